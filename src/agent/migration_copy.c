/* A VM's migration: its connections, from this host's switch to the target's, NIC by NIC.
 *
 * Files lie in a folder that agent and switch both write to (agent->exchange_dir).
 */
#include "agent/migration_priv.h"
#include "base/fault.h"
#include "base/log.h"

#include <unistd.h>

static void copy_next(struct migration *m);

static void drop_file(struct migration *m)
{
	if (m->path)
		unlink(m->path);
	g_clear_pointer(&m->path, g_free);
}

void migration_drop_copy(struct migration *m)
{
	drop_file(m);
	g_clear_pointer(&m->nics, g_ptr_array_unref);
}

static void end(struct migration *m, const GError *error)
{
	migration_drop_copy(m);
	m->copied(m, error);
	agent_kick(m->agent);
}

static void log_answer(const struct migration *m, const char *nic, const json_t *answer)
{
	const json_t *refused = json_object_get(answer, "refused");
	const char *word;
	json_t *n;

	log_info(nic,
		"%" JSON_INTEGER_FORMAT " connections have gone along, %" JSON_INTEGER_FORMAT " had before",
		json_integer_value(json_object_get(answer, "imported")),
		json_integer_value(json_object_get(answer, "known")));
	json_object_foreach((json_t *)refused, word, n) log_info(
		nic, "%" JSON_INTEGER_FORMAT " connections do not go along: %s", json_integer_value(n), word);
}

/* The NIC that is under way: the last of the list. */
static const char *current(const struct migration *m)
{
	return m->nics->pdata[m->nics->len - 1];
}

static void sent(json_t *answer, const GError *error, void *data)
{
	struct migration *m = data;

	if (error) {
		end(m, error);
		return;
	}
	log_answer(m, current(m), answer);
	drop_file(m);
	g_ptr_array_set_size(m->nics, (gint)m->nics->len - 1);
	copy_next(m);
}

/* The goal may have changed while the switch was asked. */
static bool is_wanted(const struct migration *m)
{
	const struct goal_vm *goal = migration_goal(m);

	return !m->agent->stopping && m->agent->tunnel && goal &&
	       g_strcmp0(goal->migration.uid, m->uid) == 0 && goal->migration.address;
}

static void exported(json_t *answer, const GError *error, void *data)
{
	struct migration *m = data;
	g_autoptr(GError) stopped = NULL;

	if (!error && !is_wanted(m))
		fault_set(&stopped, FAULT_UNAVAILABLE, "the target takes no machines now");
	if (error || stopped) {
		end(m, error ? error : stopped);
		return;
	}
	const struct tunnel_peer peer = migration_peer(m);
	tunnel_send_file(m->agent->tunnel, &peer, current(m), m->path, sent, m);
}

static void copy_next(struct migration *m)
{
	if (m->nics->len == 0) {
		end(m, NULL);
		return;
	}
	m->path = g_strdup_printf("%s/%s.out", m->agent->exchange_dir, current(m));
	switch_link_call(m->agent->link, "connection.export",
		json_pack("{s:s, s:s}", "nic", current(m), "path", m->path), exported, m);
}

void migration_copy(struct migration *m, migration_copied_fn copied)
{
	const GPtrArray *nics = m->agent->goal->nics;

	m->copied = copied;
	m->nics = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < list_length(nics); i++) {
		const struct goal_nic *nic = nics->pdata[i];
		if (g_strcmp0(nic->vm, m->vm) == 0 && !g_hash_table_contains(m->agent->left_out, nic->uid))
			g_ptr_array_add(m->nics, g_strdup(nic->uid));
	}
	copy_next(m);
}
