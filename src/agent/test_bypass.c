/* The world of functions that pass the host. */
#include "agent/test_bypass.h"

#include "agent/agent_priv.h"

#include <glib/gstdio.h>
#include <string.h>

void bypass_setup(struct world *w, gconstpointer data)
{
	world_init(w);
	w->bypass = true;
}

void bypass_teardown(struct world *w, gconstpointer data)
{
	world_done(w);
}

/* ---- looking ---- */

const struct report_nic *bypass_entry_of(const struct report *report, const char *nic)
{
	for (guint i = 0; i < report->nics->len; i++) {
		const struct report_nic *entry = report->nics->pdata[i];
		if (g_str_equal(entry->uid, nic))
			return entry;
	}
	return NULL;
}

enum nic_path bypass_path_of(struct world *w, const char *nic)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *entry = bypass_entry_of(report, nic);

	return entry ? (enum nic_path)entry->path : PATH_NONE;
}

enum enforcement bypass_enforcement(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return (enum enforcement)bypass_entry_of(report, WORLD_NIC)->enforcement;
}

bool bypass_reason_has(struct world *w, const char *nic, const char *text)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);
	const struct report_nic *entry = bypass_entry_of(report, nic);

	return entry && entry->reason && strstr(entry->reason, text);
}

int64_t bypass_applied(struct world *w)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	return report->applied;
}

/* Why the NIC's policy is not in force; NULL: it is. Owned by the caller. */
char *bypass_exposure(struct world *w, const char *nic)
{
	_cleanup_(report_free) struct report *report = agent_report(w->agent);

	for (guint i = 0; i < report->exposed->len; i++) {
		const struct report_exposure *exposed = report->exposed->pdata[i];
		if (g_str_equal(exposed->nic, nic))
			return g_strdup(exposed->reason);
	}
	return NULL;
}

bool bypass_nothing_is_claimed(struct world *w)
{
	g_autoptr(GPtrArray) list = w->provider->ops->list(w->provider);

	return list->len == 0;
}

bool bypass_is_on(struct world *w)
{
	return bypass_path_of(w, WORLD_NIC) == PATH_VF && world_find(w, FUNCTION, 0) >= 0;
}

bool bypass_is_back(struct world *w)
{
	return bypass_path_of(w, WORLD_NIC) == PATH_SYNTHETIC && bypass_nothing_is_claimed(w);
}

char *bypass_read_file(struct world *w, const char *name)
{
	g_autofree char *path = g_build_filename(w->folder, name, NULL);
	char *text = NULL;

	g_file_get_contents(path, &text, NULL, NULL);
	return text;
}

void bypass_touch(struct world *w, const char *name)
{
	g_autofree char *path = g_build_filename(w->folder, name, NULL);

	g_assert_true(g_file_set_contents(path, "", 0, NULL));
}

void bypass_untouch(struct world *w, const char *name)
{
	g_autofree char *path = g_build_filename(w->folder, name, NULL);

	g_assert_cmpint(g_unlink(path), ==, 0);
}

void bypass_bring_up(struct world *w)
{
	struct goal *goal = world_goal_physical(1, true);

	world_nic(goal)->bandwidth_mbps = 500;
	world_start_agent(w, true);
	agent_take_goal(w->agent, goal);
	world_wait(w, "the NIC is on its function", bypass_is_on);
}

/* ---- what the host hears ---- */

bool bypass_heard_is(struct world *w, const char *wanted)
{
	g_autofree char *heard = bypass_read_file(w, "heard");

	return g_strcmp0(heard, wanted) == 0;
}

bool bypass_hears_both(struct world *w)
{
	return bypass_heard_is(w, GATEWAY PLACE "\n");
}

/* ---- goals ---- */

struct goal *bypass_two_nics(int64_t version, bool first, bool second)
{
	struct goal *goal = world_goal_physical(version, first);

	world_add_vm(goal);
	struct goal_nic *nic = goal->nics->pdata[1];
	struct goal_address *address = nic->addresses->pdata[0];
	nic->accelerated = second;
	g_clear_pointer(&address->public_ip, g_free);
	return goal;
}
