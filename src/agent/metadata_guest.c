/* The metadata service's answers to a guest that says what it is: see guest_identity.h. */
#include "agent/guest_identity.h"
#include "agent/metadata_priv.h"

METADATA_HANDLER(metadata_on_guest)
{
	static const char *const methods[] = {"PUT", NULL};
	struct metadata *metadata = data;
	const struct goal_nic *nic = metadata_asker(metadata, message);
	g_autoptr(GError) error = NULL;

	if (!metadata_check_request(message, methods))
		return;
	if (!nic || !metadata->config.identities) {
		metadata_refuse(message, 404, "Not found");
		return;
	}
	json_auto_t *json = metadata_body(message);
	if (!json)
		return;
	if (guest_identities_take(metadata->config.identities, nic->uid, json, &error))
		soup_server_message_set_status(message, 204, NULL);
	else
		metadata_refuse(message, 400, error->message);
}
