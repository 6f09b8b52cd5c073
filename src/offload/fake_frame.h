/* The model NIC's own parser and actions: written from the standards, without the switch's code. */
#pragma once
#include "offload/flow.h"

#include <glib.h>

/* What an eswitch sees of a frame. */
struct fake_frame {
	struct offload_match match; /* but for the port; has_smac and has_dmac are set */
	size_t start; /* of the frame, behind a tunnel's headers */
	size_t l3, l4, l3_length, end; /* offsets from the start of all */
	uint8_t hops;
};

/* False: no flow means it (flow.h), or it is none that the model understands. tunnels: whether VXLAN is opened. */
bool fake_frame_parse(const uint8_t *bytes, size_t length, bool tunnels, struct fake_frame *ret);

/* Whether the actions are for it, by its hops and length. */
bool fake_frame_fits(const struct fake_frame *frame, const struct offload_actions *actions);

/* What leaves when the actions are done. */
GByteArray *fake_frame_execute(
	const uint8_t *bytes, const struct fake_frame *frame, const struct offload_actions *actions);
