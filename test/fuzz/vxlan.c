/* Fuzz target: a frame of the underlay. The bytes are one frame, taken as addressed to us. */
#include "fuzz.h"

#include "switch/parse.h"
#include "switch/vxlan.h"

#include <string.h>

static const uint8_t mac[6] = {2, 0, 0, 0, 1, 1}, address[4] = {172, 16, 0, 1};

/* What was carried, put into an outer frame of our own and opened again, is the same. */
static void assert_round(const struct vxlan_inner *inner, const uint8_t *frame)
{
	g_autofree uint8_t *again = g_malloc(VXLAN_OVERHEAD + inner->length);
	struct vxlan_outer outer;
	struct vxlan_inner opened;

	vxlan_outer_init(&outer, mac, address);
	vxlan_encapsulate(again, &outer, inner->length, address, inner->vni, 0x12345678);
	memcpy(again, mac, sizeof mac);
	memcpy(again + VXLAN_OVERHEAD, frame + inner->offset, inner->length);
	uint32_t length = VXLAN_OVERHEAD + inner->length;
	g_assert_cmpint(vxlan_open(again, length, length, mac, address, &opened), ==, DROP_NONE);
	g_assert_cmpuint(opened.vni, ==, inner->vni);
	g_assert_cmpuint(opened.offset, ==, VXLAN_OVERHEAD);
	g_assert_cmpuint(opened.length, ==, inner->length);
	g_assert_cmpmem(opened.vtep, 4, address, 4);
}

/* A mark changes the mark alone, and a second one changes nothing. */
static void mark(const uint8_t *frame, uint32_t length)
{
	g_autofree uint8_t *copy = g_memdup2(frame, length), *twice = NULL;
	struct packet before, after;

	parse_frame(copy, length, length, &before);
	if (before.kind != PACKET_FLOW || !vxlan_mark_congested(copy + before.l3, before.key.family == IP_V6))
		return;
	parse_frame(copy, length, length, &after);
	g_assert_cmpmem(&before, sizeof before, &after, sizeof after);
	twice = g_memdup2(copy, length);
	g_assert_true(vxlan_mark_congested(twice + before.l3, before.key.family == IP_V6));
	g_assert_cmpmem(copy, length, twice, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t length = (uint32_t)MIN(size, 65535u - VXLAN_OVERHEAD);
	struct vxlan_inner inner;

	if (vxlan_open(data, length, length, mac, address, &inner) != DROP_NONE)
		return 0;
	g_assert_cmpuint(inner.vni, <=, VXLAN_VNI_MAX);
	g_assert_cmpuint(inner.offset, <=, length);
	g_assert_cmpuint(inner.length, <=, length - inner.offset);
	assert_round(&inner, data);
	uint8_t *exact = g_memdup2(data + inner.offset, inner.length);
	if (exact)
		mark(exact, inner.length);
	g_free(exact);
	return 0;
}
