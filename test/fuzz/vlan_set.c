/* Fuzz target: sets of VLAN ids. The bytes are the text. */
#include "fuzz.h"

#include "base/fault.h"
#include "model/vlan_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = size ? g_strndup((const char *)data, size) : g_strdup("");
	g_autoptr(GError) error = NULL;
	struct vlan_set set, again;

	if (!vlan_set_parse(text, &set, &error)) {
		g_assert_error(error, FAULT, FAULT_INVALID);
		return 0;
	}
	g_assert_no_error(error);
	g_autofree char *said = vlan_set_format(&set);
	g_assert_true(vlan_set_parse(said, &again, NULL));
	g_assert_cmpmem(&set, sizeof set, &again, sizeof again);
	g_assert_false(vlan_set_has(&set, 0) || vlan_set_has(&set, VLAN_ID_MAX + 1));
	return 0;
}
