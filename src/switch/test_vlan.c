/* A switch with NICs on VLANs, and its wire: see test_vlan.h. */
#include "switch/test_vlan.h"

#include <string.h>

/* ---- the state ---- */

json_t *vlan_network(struct fixture *f, size_t i)
{
	return json_array_get(json_object_get(f->state, "networks"), i);
}

json_t *vlan_subnet(struct fixture *f, size_t i, size_t j)
{
	return json_array_get(json_object_get(vlan_network(f, i), "subnets"), j);
}

json_t *vlan_segment(int id)
{
	return id ? json_pack("{s:s, s:i}", "physical", "physnet1", "id", id)
		  : json_pack("{s:s}", "physical", "physnet1");
}

static json_t *make_network(
	const char *uid, int id, const char *space, const char *prefix, const char *gateway)
{
	return json_pack("{s:s, s:o, s:[s], s:[{s:s, s:s, s:s, s:b, s:[], s:n}]}", "uid", uid, "vlan",
		vlan_segment(id), "prefixes", space, "subnets", "uid", "s", "prefix", prefix, "gateway",
		gateway, "gateway_external", 1, "dns", "group");
}

static json_t *make_nic(const char *name, const char *mac, const char *of, const char *ip)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:[{s:s}], s:s, s:[{s:s, s:s}]}", "uid", name,
		"name", name, "mac", mac, "network", of, "subnet", "s", "group", "g", "mtu", 1500,
		"addresses", "ip", ip, "active", "function", "attachments", "kind", "function", "interface",
		name);
}

void vlan_drain(struct fixture *f, const char *port)
{
	for (GBytes *frame; (frame = port_fake_take(lab_port(f, port)));)
		g_bytes_unref(frame);
}

void vlan_setup_announcing(struct fixture *f, const void *data)
{
	lab_setup(f, data);
	json_object_set_new(f->state, "physicals",
		json_pack("[{s:s, s:s, s:i}]", "name", "physnet1", "interface", "phys", "mtu", 1500));
	json_object_del(vlan_network(f, 0), "vni");
	json_object_set_new(vlan_network(f, 0), "vlan", vlan_segment(100));
	json_array_append_new(json_object_get(f->state, "networks"),
		make_network("m", 200, "192.168.0.0/16", "192.168.1.0/24", IP_ROUTER));
	json_array_append_new(json_object_get(f->state, "networks"),
		make_network("o", UNTAGGED, "10.0.0.0/8", "10.0.0.0/24", "10.0.0.1"));
	json_array_append_new(json_object_get(f->state, "nics"), make_nic("v", MAC_V, "m", IP_V));
	json_array_append_new(json_object_get(f->state, "nics"), make_nic("w", MAC_W, "o", IP_W));
	lab_apply(f);
}

void vlan_setup(struct fixture *f, const void *data)
{
	vlan_setup_announcing(f, data);
	vlan_drain(f, "phys");
}

/* ---- tags ---- */

struct test_frame vlan_with_tag(struct test_frame frame, uint16_t type, uint16_t tci)
{
	memmove(frame.bytes + 16, frame.bytes + 12, frame.length - 12);
	store16(frame.bytes + 12, type);
	store16(frame.bytes + 14, tci);
	frame.length += 4;
	return frame;
}

struct test_frame vlan_tagged(struct test_frame frame, uint16_t id)
{
	return id == UNTAGGED ? frame : vlan_with_tag(frame, 0x8100, id);
}

void vlan_from_wire(struct fixture *f, uint16_t id, struct test_frame frame)
{
	lab_put(f, "phys", vlan_tagged(frame, id));
}

/* The next frame on the wire, which is in that VLAN, without its tag. */
struct test_frame vlan_on_wire(struct fixture *f, uint16_t id)
{
	struct test_frame frame = lab_expect(f, "phys");

	if (id == UNTAGGED) {
		g_assert_cmphex(load16(frame.bytes + 12), !=, 0x8100);
		return frame;
	}
	g_assert_cmphex(load16(frame.bytes + 12), ==, 0x8100);
	g_assert_cmpuint(load16(frame.bytes + 14), ==, id); /* no priority either */
	memmove(frame.bytes + 12, frame.bytes + 16, frame.length - 16);
	frame.length -= 4;
	if (load16(frame.bytes + 12) == 0x0800)
		test_assert_checksums(frame.bytes, frame.length);
	return frame;
}

void vlan_assert_same(struct test_frame a, struct test_frame b)
{
	g_assert_cmpmem(a.bytes, a.length, b.bytes, b.length);
}

struct test_frame vlan_to_mac(struct test_frame frame, const char *dmac)
{
	test_mac(dmac, frame.bytes);
	return frame;
}

/* It comes by the wire, is dropped for that reason, and nothing comes of it. */
void vlan_refused(struct fixture *f, struct test_frame frame, enum drop reason)
{
	static const char *const ports[] = {"a", "b", "c", "v", "w", "phys", "out", "host"};
	uint64_t before = lab_drops(f, reason);

	lab_put(f, "phys", frame);
	if (lab_drops(f, reason) != before + 1)
		g_error("it is not refused as %s", drop_word(reason));
	for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++)
		lab_expect_none(f, ports[i]);
}

void vlan_assert_arp(
	struct test_frame frame, uint16_t operation, const char *smac, const char *spa, const char *tpa)
{
	uint8_t mac[6], ip[4];

	g_assert_cmphex(load16(frame.bytes + 12), ==, 0x0806);
	g_assert_cmpuint(load16(frame.bytes + 20), ==, operation);
	test_mac(smac, mac);
	g_assert_cmpmem(frame.bytes + 6, 6, mac, 6);
	g_assert_cmpmem(frame.bytes + 22, 6, mac, 6);
	test_ip(spa, ip);
	g_assert_cmpmem(frame.bytes + 28, 4, ip, 4);
	test_ip(tpa, ip);
	g_assert_cmpmem(frame.bytes + 38, 4, ip, 4);
}
