/* NICs by uid or name. */
#include "switch/lookup.h"

#include "base/fault.h"

/* "UID (192.168.1.4, 198.18.0.2)": what tells it from others of its name. Owned by the caller. */
static char *describe(const struct nic *nic)
{
	GString *text = g_string_new(nic->uid);
	char addr[IP_TEXT_MAX];

	for (unsigned i = 0; i < nic->n_addresses; i++) {
		const struct nic_address *address = &nic->addresses[i];
		g_string_append_printf(text, "%s%s", i ? ", " : " (", ip_format(address->ip, addr));
		if (address->public_ip.family != IP_NONE)
			g_string_append_printf(text, ", %s", ip_format(address->public_ip, addr));
	}
	return g_string_free(g_string_append(text, nic->n_addresses ? ")" : ""), false);
}

static void fail_ambiguous(const char *word, const struct nic *a, const struct nic *b, GError **error)
{
	g_autofree char *first = describe(a), *second = describe(b);

	fault_set(error, FAULT_INVALID,
		"several NICs of this switch are called %s; give a uid, such as %s or %s", word, first,
		second);
}

const struct nic *lookup_nic(const struct snapshot *snapshot, const char *word, GError **error)
{
	const struct nic *found = NULL;

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		if (nic && g_str_equal(nic->uid, word))
			return nic;
	}
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++) {
		const struct nic *nic = snapshot->nics[slot];
		if (!nic || !g_str_equal(nic->name, word))
			continue;
		if (found) {
			fail_ambiguous(word, found, nic, error);
			return NULL;
		}
		found = nic;
	}
	if (!found)
		fault_set(error, FAULT_NOT_FOUND,
			"this switch has no NIC with the uid or name %s; it has those of virtual machines "
			"that "
			"are on this host and not deallocated",
			word);
	return found;
}
