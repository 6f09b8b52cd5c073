/* What guests say that they are: see guest_identity.h. */
#include "agent/guest_identity.h"

#include "base/fault.h"

#include <string.h>

struct entry {
	struct guest_identity *identity; /* Owned */
	int64_t heard_us;
};

struct guest_identities {
	int64_t (*now_us)(void);
	GHashTable *entries; /* Owned: uid of a NIC → struct entry */
};

static const struct field identity_fields[] = {
	F_STRUCT(guest_identity, os, guest_os_shape), F_STRING(guest_identity, driver), F_END};
static const struct shape identity_shape = {"guest", sizeof(struct guest_identity), identity_fields};

static void entry_free(void *data)
{
	struct entry *entry = data;

	shape_free(&identity_shape, entry->identity);
	g_free(entry);
}

bool guest_identities_take(
	struct guest_identities *identities, const char *nic, const json_t *json, GError **error)
{
	struct guest_identity *identity = shape_decode(&identity_shape, json, SHAPE_LENIENT, error);

	if (!identity)
		return false;
	if (!guest_os_is_sound(&identity->os) || !guest_word_is_sound(identity->driver)) {
		shape_free(&identity_shape, identity);
		return fault_set(error, FAULT_INVALID,
			"os.kernel is needed, and each word must have 1 to %d bytes, all printable",
			GUEST_WORD_MAX);
	}
	struct entry *entry = g_new0(struct entry, 1);
	*entry = (struct entry){identity, identities->now_us()};
	g_hash_table_insert(identities->entries, g_strdup(nic), entry);
	return true;
}

void guest_identities_forget(struct guest_identities *identities, const char *nic)
{
	g_hash_table_remove(identities->entries, nic);
}

static gboolean is_gone(void *uid, void *entry, void *goal)
{
	return !goal_find_nic(goal, uid);
}

void guest_identities_set_goal(struct guest_identities *identities, const struct goal *goal)
{
	g_hash_table_foreach_remove(identities->entries, is_gone, (void *)goal);
}

const struct guest_identity *guest_identities_find(const struct guest_identities *identities, const char *nic)
{
	const struct entry *entry = g_hash_table_lookup(identities->entries, nic);
	int64_t silence_us = entry ? identities->now_us() - entry->heard_us : 0;

	return entry && silence_us < GUEST_IDENTITY_RENEW_S * G_USEC_PER_SEC ? entry->identity : NULL;
}

struct guest_identities *guest_identities_new(int64_t (*now_us)(void))
{
	struct guest_identities *identities = g_new0(struct guest_identities, 1);

	identities->now_us = now_us;
	identities->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
	return identities;
}

void guest_identities_free(struct guest_identities *identities)
{
	g_hash_table_unref(identities->entries);
	g_free(identities);
}
