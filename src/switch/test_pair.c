/* Two switches and the wire between them: see test_pair.h. */
#include "switch/test_pair.h"

#include <string.h>

/* ---- states ---- */

static json_t *underlay(const char *mac, const char *address)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i}", "interface", "wire", "mac", mac, "address",
		address, "prefix", "172.16.0.0/24", "gateway", "172.16.0.254", "mtu", WIRE_MTU);
}

json_t *pair_mapping(const char *prefix, const char *vtep, const char *mac)
{
	return json_pack("{s:s, s:s, s:s}", "prefix", prefix, "vtep", vtep, "mac", mac);
}

json_t *pair_network(struct fixture *f)
{
	return json_array_get(json_object_get(f->state, "networks"), 0);
}
json_t *pair_nic(const char *name, const char *mac, const char *subnet, const char *ip, json_t *group)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:i, s:[{s:s}], s:s, s:[{s:s, s:s}]}", "uid", name,
		"name", name, "mac", mac, "network", "n", "subnet", subnet, "group", group, "mtu", 1500,
		"addresses", "ip", ip, "active", "function", "attachments", "kind", "function", "interface",
		name);
}

void pair_setup(struct pair *p, const void *data)
{
	lab_setup(&p->one, data);
	json_object_set_new(p->one.state, "underlay", underlay(MAC_W1, VTEP_1));
	json_object_set_new(pair_network(&p->one), "mappings",
		json_pack("[o,o]", pair_mapping(IP_D, VTEP_2, MAC_D), pair_mapping(IP_E, VTEP_2, MAC_E)));
	lab_apply(&p->one);

	lab_setup(&p->two, data);
	json_object_set_new(p->two.state, "underlay", underlay(MAC_W2, VTEP_2));
	json_object_set_new(pair_network(&p->two), "mappings",
		json_pack("[o,o,o]", pair_mapping(IP_A, VTEP_1, MAC_A), pair_mapping(IP_B, VTEP_1, MAC_B),
			pair_mapping(IP_C, VTEP_1, MAC_C)));
	json_object_set_new(p->two.state, "nics",
		json_pack("[o,o]", pair_nic("d", MAC_D, "s1", IP_D, json_string("g")),
			pair_nic("e", MAC_E, "s2", IP_E, json_null())));
	lab_apply(&p->two);
}

void pair_teardown(struct pair *p, const void *data)
{
	lab_teardown(&p->one, data);
	lab_teardown(&p->two, data);
}

/* ---- the wire ---- */

bool pair_take(struct fixture *f, struct test_frame *ret)
{
	g_autoptr(GBytes) bytes = port_fake_take(lab_port(f, "wire"));
	gsize size;

	if (!bytes)
		return false;
	const void *data = g_bytes_get_data(bytes, &size);
	*ret = (struct test_frame){.length = (uint32_t)size};
	memcpy(ret->bytes, data, size);
	return true;
}

static bool carry(struct fixture *from, struct fixture *to)
{
	struct test_frame frame;
	bool any = false;

	while (pair_take(from, &frame)) {
		lab_put(to, "wire", frame);
		any = true;
	}
	return any;
}

void pair_settle(struct pair *p)
{
	bool busy = true;

	while (busy) {
		busy = carry(&p->one, &p->two);
		busy = carry(&p->two, &p->one) || busy;
	}
}

/* Both know each other's MAC. */
void pair_meet(struct pair *p)
{
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 0));
	pair_settle(p);
	lab_expect(&p->two, "d");
	lab_put(&p->two, "d", test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, 0));
	pair_settle(p);
	lab_expect(&p->one, "a");
}

void pair_outer(struct test_frame *frame, const char *smac, const char *dmac, const char *src,
	const char *dst, uint32_t vni)
{
	uint32_t length = frame->length;
	uint8_t *ip = frame->bytes + 14, *udp = ip + 20;

	memmove(frame->bytes + OUTER, frame->bytes, length);
	memset(frame->bytes, 0, OUTER);
	frame->length += OUTER;
	test_mac(dmac, frame->bytes);
	test_mac(smac, frame->bytes + 6);
	store16(frame->bytes + 12, 0x0800);
	ip[0] = 0x45;
	store16(ip + 2, (uint16_t)(length + 36));
	ip[8] = 64;
	ip[9] = 17;
	test_ip(src, ip + 12);
	test_ip(dst, ip + 16);
	store16(udp, 50000);
	store16(udp + 2, 4789);
	store16(udp + 4, (uint16_t)(length + 16));
	udp[8] = 8;
	store32(udp + 12, vni << 8);
	test_set_check(ip + 10, checksum_of(ip, 20));
}

void pair_fix_outer(struct test_frame *frame)
{
	uint8_t *ip = frame->bytes + 14;

	memset(ip + 10, 0, 2);
	test_set_check(ip + 10, checksum_of(ip, 20));
}

struct test_frame pair_from_two(struct test_frame inner)
{
	pair_outer(&inner, MAC_W2, MAC_W1, VTEP_2, VTEP_1, 1);
	return inner;
}
void pair_refused(struct pair *p, struct test_frame frame, enum drop reason)
{
	uint64_t before = lab_drops(&p->one, reason);

	lab_put(&p->one, "wire", frame);
	g_assert_cmpuint(lab_drops(&p->one, reason), ==, before + 1);
	lab_expect_none(&p->one, "a");
	lab_expect_none(&p->one, "b");
	lab_expect_none(&p->one, "c");
	lab_expect_none(&p->one, "wire");
}
