/* Sets of VLAN ids, as text "100-199,300". */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define VLAN_ID_MAX 4094 /* IEEE 802.1Q: 0 means no VLAN, 4095 is reserved */

struct vlan_set {
	uint64_t bits[(VLAN_ID_MAX + 2) / 64];
};

/* One id or range at least, in any order; they may overlap. FAULT_INVALID. */
bool vlan_set_parse(const char *text, struct vlan_set *ret, GError **error);
/* In order, with as few ranges as there can be. Owned by the caller. */
char *vlan_set_format(const struct vlan_set *set);
bool vlan_set_has(const struct vlan_set *set, int64_t id);
