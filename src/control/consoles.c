/* What machines write to their consoles, asked of the hosts that have it.
 *
 * How it works. Only the host has the log, and nobody calls a host: it asks for goals. So a wish is kept here, and
 * the answer to the host's next request for a goal names the machine; a request that is held is answered for it. The
 * host then brings what it has, which ends the wish. A host is told of a wish once: one of which nothing comes ends
 * after its time, and whoever asked asks again.
 *
 * Rejected: logs in the store, or pushed by each host. They change all the time and nobody reads most of them.
 */
#include "base/fault.h"
#include "control/control_priv.h"

struct wish {
	guint id;
	char *vm, *host; /* Owned: uid, name */
	bool told; /* the host was */
	control_console_fn fn;
	void *data;
	guint timeout;
	struct consoles *consoles; /* Borrowed */
};

struct consoles {
	GList *wishes; /* of struct wish, Owned */
	guint next_id;
};

static void wish_free(struct wish *wish)
{
	if (wish->timeout)
		g_source_remove(wish->timeout);
	g_free(wish->vm);
	g_free(wish->host);
	g_free(wish);
}

struct consoles *consoles_open(void)
{
	return g_new0(struct consoles, 1);
}

void consoles_close(struct consoles *consoles)
{
	g_list_free_full(consoles->wishes, (GDestroyNotify)wish_free);
	g_free(consoles);
}

static void end(struct wish *wish, GBytes *log, const GError *error)
{
	wish->consoles->wishes = g_list_remove(wish->consoles->wishes, wish);
	wish->fn(log, error, wish->data);
	wish_free(wish);
}

static gboolean waited_enough(void *data)
{
	struct wish *wish = data;
	g_autoptr(GError) error = NULL;

	wish->timeout = 0;
	fault_set(&error, FAULT_UNAVAILABLE, "host %s has not brought the console log yet; try again later",
		wish->host);
	end(wish, NULL, error);
	return G_SOURCE_REMOVE;
}

/* Name of the host that has the VM's log. Owned; NULL with *error. */
static char *host_of(struct control *control, const struct vm *vm, GError **error)
{
	_cleanup_(model_free) struct host *host =
		vm->status.host ? control_get(control, KIND_HOST, vm->status.host, error) : NULL;

	if (!vm->status.host)
		fault_set(error, FAULT_NOT_FOUND,
			"Virtual machine %s has not been started yet, so it has no console log",
			vm->meta.name);
	if (!host)
		return NULL;
	if (!hosts_is_silent(control, host->meta.uid))
		return g_strdup(host->meta.name);
	fault_set(error, FAULT_UNAVAILABLE,
		"Host %s, which has the console log of virtual machine %s, does not report; try again later",
		host->meta.name, vm->meta.name);
	return NULL;
}

guint control_console(struct control *control, const struct vm *vm, unsigned timeout_ms,
	control_console_fn fn, void *data, GError **error)
{
	char *host = host_of(control, vm, error);

	if (!host)
		return 0;
	struct wish *wish = g_new0(struct wish, 1);
	*wish = (struct wish){
		.id = ++control->consoles->next_id,
		.vm = g_strdup(vm->meta.uid),
		.host = host,
		.fn = fn,
		.data = data,
		.timeout = g_timeout_add(timeout_ms, waited_enough, wish),
		.consoles = control->consoles,
	};
	control->consoles->wishes = g_list_append(control->consoles->wishes, wish);
	hosts_touch(control);
	return wish->id;
}

void control_console_cancel(struct control *control, guint id)
{
	for (GList *item = control->consoles->wishes; item; item = item->next) {
		struct wish *wish = item->data;
		if (wish->id != id)
			continue;
		control->consoles->wishes = g_list_delete_link(control->consoles->wishes, item);
		wish_free(wish);
		return;
	}
}

bool consoles_has_news(const struct control *control, const char *host_name)
{
	for (const GList *item = control->consoles->wishes; item; item = item->next) {
		const struct wish *wish = item->data;
		if (!wish->told && g_str_equal(wish->host, host_name))
			return true;
	}
	return false;
}

char *control_consoles_wanted(struct control *control, const char *host_name)
{
	g_autoptr(GString) uids = g_string_new(NULL);

	for (GList *item = control->consoles->wishes; item; item = item->next) {
		struct wish *wish = item->data;
		if (wish->told || !g_str_equal(wish->host, host_name))
			continue;
		wish->told = true;
		g_string_append_printf(uids, "%s%s", uids->len ? "," : "", wish->vm);
	}
	return uids->len ? g_string_free(g_steal_pointer(&uids), false) : NULL;
}

bool control_console_bring(
	struct control *control, const char *host_name, const char *vm, GBytes *log, GError **error)
{
	g_autoptr(GList) wishes = g_list_copy(control->consoles->wishes);
	bool wanted = false;

	for (GList *item = wishes; item; item = item->next) {
		struct wish *wish = item->data;
		if (!wish->told || !g_str_equal(wish->host, host_name) || !g_str_equal(wish->vm, vm))
			continue;
		end(wish, log, NULL);
		wanted = true;
	}
	return wanted ||
	       fault_set(error, FAULT_NOT_FOUND, "nobody waits for the console log of machine %s", vm);
}
