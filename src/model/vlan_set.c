/* Sets of VLAN ids. */
#include "model/vlan_set.h"

#include "base/fault.h"

#include <string.h>

static bool parse_id(const char *text, guint64 *ret)
{
	return g_ascii_string_to_unsigned(text, 10, 1, VLAN_ID_MAX, ret, NULL);
}

/* "100-199" or "300". Writes to the text. */
static bool parse_range(char *text, guint64 *ret_first, guint64 *ret_last)
{
	char *dash = strchr(text, '-');

	if (!dash)
		return parse_id(text, ret_first) && parse_id(text, ret_last);
	*dash = '\0';
	return parse_id(text, ret_first) && parse_id(dash + 1, ret_last) && *ret_first <= *ret_last;
}

bool vlan_set_parse(const char *text, struct vlan_set *ret, GError **error)
{
	g_auto(GStrv) ranges = g_strsplit(text, ",", -1);
	struct vlan_set set = {};

	for (char **range = ranges; *range; range++) {
		guint64 first, last;
		if (!parse_range(*range, &first, &last))
			break;
		for (guint64 id = first; id <= last; id++)
			set.bits[id / 64] |= UINT64_C(1) << id % 64;
		if (range[1])
			continue;
		*ret = set;
		return true;
	}
	return fault_set(error, FAULT_INVALID,
		"'%s' are no VLANs: ids from 1 to %d are needed, and ranges of them, such as 100-199,300",
		text, VLAN_ID_MAX);
}

bool vlan_set_has(const struct vlan_set *set, int64_t id)
{
	return id >= 1 && id <= VLAN_ID_MAX && set->bits[id / 64] >> id % 64 & 1;
}

char *vlan_set_format(const struct vlan_set *set)
{
	g_autoptr(GString) text = g_string_new(NULL);

	for (int first = 1, last; first <= VLAN_ID_MAX; first = last + 1) {
		last = first;
		if (!vlan_set_has(set, first))
			continue;
		while (vlan_set_has(set, last + 1))
			last++;
		g_string_append_printf(text, "%s%d", text->len ? "," : "", first);
		if (last > first)
			g_string_append_printf(text, "-%d", last);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}
