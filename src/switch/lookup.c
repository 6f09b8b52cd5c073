/* NICs by uid or name. */
#include "switch/lookup.h"

#include "base/fault.h"

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
			fault_set(error, FAULT_INVALID,
				"several NICs of this switch are called %s; give a uid, such as %s or %s",
				word, found->uid, nic->uid);
			return NULL;
		}
		found = nic;
	}
	if (!found)
		fault_set(error, FAULT_NOT_FOUND, "this switch has no NIC with the uid or name %s", word);
	return found;
}
