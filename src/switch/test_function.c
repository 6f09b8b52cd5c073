/* A switch with NICs whose functions are past the host, for tests: see test_function.h. */
#include "switch/test_function.h"

#include "switch/report.h"

#include <string.h>

/* ---- the state ---- */

void function_put_on_wire(struct fixture *f, size_t i, const char *socket)
{
	json_object_set_new(lab_nic(f, i), "attachments",
		json_pack("[{s:s, s:b}, {s:s, s:s}]", "kind", "function", "physical", 1, "kind", "synthetic",
			"socket", socket));
}

/* Whether the switch delivers to the NIC's function on the wire, by the state that it has. */
static bool is_on_wire(struct fixture *f, size_t i)
{
	const char *uid = json_string_value(json_object_get(lab_nic(f, i), "uid"));
	const struct snapshot *snapshot = datapath_snapshot(f->datapath);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (snapshot->nics[slot] && g_str_equal(snapshot->nics[slot]->uid, uid))
			return nic_uses_wire(snapshot->nics[slot]);
	return false;
}

/* Behind what was on its way to the wire before. */
static void expect_announced(struct fixture *f, const char *mac, const char *ip)
{
	const struct test_frame wanted = test_arp(mac, 1, mac, ip, ip);
	struct test_frame frame;

	do
		frame = vlan_on_wire(f, 100);
	while (memcmp(frame.bytes + 6, wanted.bytes + 6, 6) != 0);
	vlan_assert_arp(frame, 1, mac, ip, ip);
	lab_expect_none(f, "phys");
}

void function_set_active(struct fixture *f, size_t i, const char *active)
{
	const char *mac = json_string_value(json_object_get(lab_nic(f, i), "mac"));
	json_t *address = json_array_get(json_object_get(lab_nic(f, i), "addresses"), 0);
	const char *ip = json_string_value(json_object_get(address, "ip"));
	bool was_on_wire = is_on_wire(f, i);

	json_object_set_new(lab_nic(f, i), "active", json_string(active));
	lab_apply(f);
	if (was_on_wire && !is_on_wire(f, i) && !strchr(ip, ':')) /* IPv4 alone is announced */
		expect_announced(f, mac, ip);
}

void function_setup(struct fixture *f, const void *data)
{
	vlan_setup(f, data);
	function_put_on_wire(f, 0, "/a");
	lab_apply(f);
	lab_expect_none(f, "phys");
}

void function_let_in(struct fixture *f, int port)
{
	static const char rule[] = "{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b, s:[[i,i]]}}";
	json_t *rules = json_array();

	json_array_append_new(rules,
		json_pack(rule, "name", "rest", "direction", "inbound", "priority", 200, "protocol", "any",
			"action", "deny", "source", "any", 1, "destination", "any", 1, "ports", 0, 65535));
	if (port)
		json_array_append_new(
			rules, json_pack(rule, "name", "port", "direction", "inbound", "priority", 100,
				       "protocol", "tcp", "action", "allow", "source", "any", 1,
				       "destination", "any", 1, "ports", port, port));
	json_object_set_new(lab_group(f), "rules", rules);
	json_object_set_new(lab_nic(f, 0), "group", json_string("g"));
	lab_apply(f);
}

void function_expect_taken_up(struct fixture *f, uint16_t sport, bool taken)
{
	struct test_frame ack = test_tcp(MAC_A, MAC_PEER, IP_A, sport, IP_PEER, 80, TCP_ACK, 9);
	uint64_t before = lab_drops(f, DROP_TCP_NO_SYN);

	lab_put(f, "/a", ack);
	if (taken)
		vlan_assert_same(vlan_on_wire(f, 100), ack);
	g_assert_cmpuint(lab_drops(f, DROP_TCP_NO_SYN), ==, before + !taken);
	function_expect_silence(f);
}

void function_detach(struct fixture *f)
{
	json_object_set_new(
		lab_nic(f, 0), "attachments", json_pack("[{s:s, s:s}]", "kind", "synthetic", "socket", "/a"));
	function_set_active(f, 0, "synthetic");
}

void function_expect_silence(struct fixture *f)
{
	static const char *const ports[] = {"/a", "b", "c", "/c", "v", "w", "phys", "out", "host"};

	for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++)
		lab_expect_none(f, ports[i]);
}

void function_refuse(struct fixture *f, struct test_frame frame, enum drop reason)
{
	for (unsigned i = 0; i < FUNCTION_PACKETS; i++) {
		uint64_t before = lab_drops(f, reason);
		vlan_from_wire(f, 100, frame);
		g_assert_cmpuint(lab_drops(f, reason), ==, before + 1);
		function_expect_silence(f);
	}
}

const json_t *function_row_of(struct fixture *f, size_t nic, size_t attachment, json_t **ret_nics)
{
	*ret_nics = report_nics(f->datapath);
	return json_array_get(json_object_get(json_array_get(*ret_nics, nic), "attachments"), attachment);
}

json_int_t function_count(struct fixture *f, size_t nic, size_t attachment, const char *member)
{
	json_auto_t *nics = NULL;

	return json_integer_value(json_object_get(function_row_of(f, nic, attachment, &nics), member));
}
