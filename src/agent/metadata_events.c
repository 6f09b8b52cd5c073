/* Scheduled events in the metadata service: see events.h. */
#include "agent/events.h"
#include "agent/metadata_priv.h"
#include "base/fault.h"

static const char *const versions[] = {"2017-03-01", "2017-08-01", "2017-11-01", "2019-01-01", "2019-04-01",
	"2019-08-01", "2020-07-01", NULL};

static bool check_version(SoupServerMessage *message, GHashTable *query)
{
	const char *version = query ? g_hash_table_lookup(query, "api-version") : NULL;

	if (version && g_strv_contains(versions, version))
		return true;
	metadata_refuse(message, 400,
		version ? "Bad request. api-version is invalid or not supported"
			: "Bad request. api-version was not specified in the request");
	return false;
}

static void acknowledge(struct metadata *metadata, SoupServerMessage *message, const char *vm)
{
	json_auto_t *json = metadata_body(message);
	g_autoptr(GError) error = NULL;

	if (!json)
		return;
	if (events_acknowledge(metadata->config.events, vm, json, &error))
		soup_server_message_set_status(message, 200, NULL);
	else
		metadata_refuse(message, fault_code(error) == FAULT_INTERNAL ? 500 : 400, error->message);
}

METADATA_HANDLER(metadata_on_events)
{
	static const char *const methods[] = {"GET", "POST", NULL};
	struct metadata *metadata = data;
	const struct goal_nic *nic = metadata_asker(metadata, message);
	const struct goal_vm *vm =
		nic ? goal_find_vm(metadata->config.goal(metadata->config.data), nic->vm) : NULL;

	if (!metadata_check_request(message, methods) || !check_version(message, query))
		return;
	if (!vm || !metadata->config.events) {
		metadata_refuse(message, 404, "Not found");
	} else if (soup_server_message_get_method(message) == SOUP_METHOD_POST) {
		acknowledge(metadata, message, vm->uid);
	} else {
		json_auto_t *json =
			events_document(metadata->config.events, vm->uid, vm->name ? vm->name : "");
		metadata_answer_json(message, 200, json);
	}
}
