/* What flows share in tc: see tc_shared.h. */
#include "offload/tc_shared.h"

#include <errno.h>

#define FORGET_TRIES    20
#define FORGET_PAUSE_US 10000

struct meter {
	struct offload_meter is;
	bool taken; /* by the NIC, as it is */
};

struct tc_shared {
	struct tc_socket *socket; /* Borrowed */
	uint32_t flags;
	GHashTable *mtus; /* those that have an action */
	GHashTable *meters; /* id → struct meter, Owned */
};

struct tc_shared *tc_shared_new(struct tc_socket *socket, uint32_t flags)
{
	struct tc_shared *shared = g_new0(struct tc_shared, 1);

	shared->socket = socket;
	shared->flags = flags;
	shared->mtus = g_hash_table_new(NULL, NULL);
	shared->meters = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	return shared;
}

/* ---- MTUs ---- */

bool tc_shared_has_mtu(const struct tc_shared *shared, uint16_t mtu)
{
	return g_hash_table_contains(shared->mtus, GUINT_TO_POINTER(mtu));
}

int tc_shared_add_mtu(struct tc_shared *shared, uint16_t mtu, char **ret_text)
{
	tc_message_mtu(tc_socket_message(shared->socket), mtu, shared->flags);
	int status = tc_socket_do(shared->socket, ret_text);
	if (status == 0)
		g_hash_table_add(shared->mtus, GUINT_TO_POINTER(mtu));
	return status;
}

/* ---- meters ---- */

static bool has_action(const struct offload_meter *meter, bool packets)
{
	return packets ? meter->packets_per_s : meter->bits_per_s;
}

static int set_actions(struct tc_shared *shared, const struct offload_meter *meter)
{
	int status = 0;

	for (unsigned packets = 0; packets < 2 && status == 0; packets++) {
		if (!has_action(meter, packets))
			continue;
		tc_message_meter(tc_socket_message(shared->socket), meter, packets, shared->flags);
		status = tc_socket_do(shared->socket, NULL);
	}
	return status;
}

int tc_shared_set_meter(struct tc_shared *shared, const struct offload_meter *is)
{
	struct meter *meter = g_new0(struct meter, 1);
	int status = set_actions(shared, is);

	meter->is = *is;
	meter->taken = status == 0;
	g_hash_table_replace(shared->meters, GUINT_TO_POINTER(is->id), meter);
	return status;
}

bool tc_shared_find_meters(
	const struct tc_shared *shared, const struct offload_flow *flow, struct tc_out *out)
{
	for (unsigned i = 0; i < OFFLOAD_METERS; i++) {
		uint32_t id = flow->actions.meters[i];
		const struct meter *meter =
			id ? g_hash_table_lookup(shared->meters, GUINT_TO_POINTER(id)) : NULL;
		if (id && (!meter || !meter->taken))
			return false;
		for (unsigned packets = 0; id && packets < 2; packets++)
			if (has_action(&meter->is, packets))
				out->police[out->n_police++] = tc_meter_index(id, packets, shared->flags);
	}
	return true;
}

/* ---- the end ---- */

static void forget(struct tc_shared *shared, uint32_t index)
{
	tc_message_remove_police(tc_socket_message(shared->socket), index);
	tc_socket_add(shared->socket, 0, 0);
}

static void forget_all(struct tc_shared *shared)
{
	GHashTableIter iter;
	gpointer key, value;

	g_hash_table_iter_init(&iter, shared->mtus);
	while (g_hash_table_iter_next(&iter, &key, NULL))
		forget(shared, tc_mtu_index((uint16_t)GPOINTER_TO_UINT(key), shared->flags));
	g_hash_table_iter_init(&iter, shared->meters);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const struct meter *meter = value;
		for (unsigned packets = 0; packets < 2; packets++)
			if (has_action(&meter->is, packets))
				forget(shared, tc_meter_index(meter->is.id, packets, shared->flags));
	}
}

static void count_held(void *data, uint64_t cookie, int status, const char *text)
{
	*(unsigned *)data += status == -EPERM;
}

static void release(struct tc_shared *shared)
{
	static const struct tc_hearer hearer = {.done = count_held};

	for (unsigned i = 0; i < FORGET_TRIES; i++) {
		unsigned n_held = 0;
		forget_all(shared);
		if (tc_socket_run(shared->socket, &hearer, &n_held) < 0 || !n_held)
			return;
		g_usleep(FORGET_PAUSE_US);
	}
}

void tc_shared_free(struct tc_shared *shared)
{
	release(shared);
	g_hash_table_unref(shared->mtus);
	g_hash_table_unref(shared->meters);
	g_free(shared);
}
