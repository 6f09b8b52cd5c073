/* What the files of `sluice network` share. */
#pragma once
#include "cli/controller.h"

struct network_options {
	char *state; /* as for cli_state_dir() */
	char *vlan; /* segment: "PHYSICAL" or "PHYSICAL:ID" */
	char *vlans; /* physical add */
	gboolean vxlan; /* segment */
	gboolean guest_enforcement, no_guest_enforcement; /* physical add; neither: as it was */
	gboolean as_json;
};

/* "GROUP/NAME" of {"group", "name"}. Owned by the caller. */
char *network_title(const json_t *network);

/* network.c: prints rows of cells under titles; both end with NULL. Rows: GPtrArray of GStrv. */
void network_print(const char *const *titles, const GPtrArray *rows);

/* network_physical.c; each does what it says, by the controller, and prints what came of it. */
bool network_physical_list(struct controller *controller, const struct network_options *options,
	const char *name, GError **error);
bool network_physical_add(struct controller *controller, const struct network_options *options,
	const char *name, GError **error);
bool network_physical_remove(struct controller *controller, const struct network_options *options,
	const char *name, GError **error);
