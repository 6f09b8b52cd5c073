/* The metadata service's answers to a guest that applies its NIC's rules: see guest_policy.h. */
#include "agent/guest_policy.h"
#include "agent/metadata_priv.h"
#include "base/fault.h"

#define HOLD_MS 25000

/* A request that waits for other rules. */
struct held {
	struct metadata *metadata; /* Borrowed */
	SoupServerMessage *message; /* Ref */
	char *nic; /* Owned: uid */
	gulong gone; /* signal of its end */
};

static void held_free(struct held *held)
{
	g_hash_table_remove(held->metadata->held, held);
	g_signal_handler_disconnect(held->message, held->gone);
	g_object_unref(held->message);
	g_free(held->nic);
	g_free(held);
}

static void answer_rules(const struct metadata *metadata, SoupServerMessage *message, const char *nic)
{
	const char *body = guest_policies_body(metadata->config.policies, nic);

	metadata_answer(message, 200, "application/json; charset=utf-8", body);
}

static void on_rules(bool news, void *data)
{
	struct held *held = data;

	if (news)
		answer_rules(held->metadata, held->message, held->nic);
	else
		soup_server_message_set_status(held->message, 204, NULL);
	soup_server_message_unpause(held->message);
	held_free(held);
}

/* The guest has hung up. */
static void on_gone(SoupServerMessage *message, void *data)
{
	struct held *held = data;

	guest_policies_cancel(held->metadata->config.policies, held);
	held_free(held);
}

static void hold(struct metadata *metadata, SoupServerMessage *message, const char *nic, const char *after)
{
	struct held *held = g_new0(struct held, 1);

	held->metadata = metadata;
	held->message = g_object_ref(message);
	held->nic = g_strdup(nic);
	g_hash_table_add(metadata->held, held);
	held->gone = g_signal_connect(message, "finished", G_CALLBACK(on_gone), held);
	soup_server_message_pause(message);
	guest_policies_wait(metadata->config.policies, nic, after, HOLD_MS, on_rules, held);
}

void metadata_policy_done(struct metadata *metadata)
{
	GHashTableIter iter;
	void *held;

	while (g_hash_table_size(metadata->held) > 0) {
		g_hash_table_iter_init(&iter, metadata->held);
		g_hash_table_iter_next(&iter, &held, NULL);
		on_gone(NULL, held); /* takes it out */
	}
	g_hash_table_unref(metadata->held);
}

static void take_report(struct metadata *metadata, SoupServerMessage *message, const char *nic)
{
	json_auto_t *report = metadata_body(message);
	g_autoptr(GError) error = NULL;

	if (!report)
		return;
	if (guest_policies_report(metadata->config.policies, nic, report, &error))
		soup_server_message_set_status(message, 204, NULL);
	else
		metadata_refuse(message, fault_code(error) == FAULT_INVALID ? 400 : 409, error->message);
}

METADATA_HANDLER(metadata_on_policy)
{
	static const char *const methods[] = {"GET", "PUT", NULL};
	struct metadata *metadata = data;
	const struct goal_nic *nic = metadata_asker(metadata, message);
	const char *hash, *after = query ? g_hash_table_lookup(query, "after") : NULL;

	if (!metadata_check_request(message, methods))
		return;
	hash = nic && metadata->config.policies ? guest_policies_hash(metadata->config.policies, nic->uid)
						: NULL;
	if (!hash)
		metadata_refuse(message, 404, "Not found");
	else if (soup_server_message_get_method(message) == SOUP_METHOD_PUT)
		take_report(metadata, message, nic->uid);
	else if (g_strcmp0(hash, after) == 0)
		hold(metadata, message, nic->uid, hash);
	else
		answer_rules(metadata, message, nic->uid);
}
