/* Flows of few connections, which a provider executes as the switch does: see test_offload.h. */
#include "switch/test_offload.h"

#include "switch/offload_flows.h"
#include "switch/offloader.h"
#include "switch/test_executor.h"
#include "switch/test_lab.h"
#include "switch/test_pair.h"
#include "switch/test_vlan.h"

#define HOT 40 /* packets that make a connection worth a place */

static const char *wire; /* namespace of the far ends; NULL: the model NIC */

static void put_flows(struct fixture *f, struct executor *executor, unsigned *ret_n)
{
	struct offload_flow made;
	struct flow flow, pair;
	const char *reason;

	*ret_n = 0;
	for (uint32_t i = 1; i < flow_table_end(f->datapath->flows); i++) {
		if (!flow_table_copy_both(f->datapath->flows, i, &flow, &pair))
			continue;
		if (!offload_flows_make(f->datapath, &flow, &pair, f->now_ms, &made, &reason))
			continue;
		g_autofree char *refused = executor_put(executor, &made);
		g_assert_cmpstr(refused, ==, NULL);
		++*ret_n;
	}
}

/* The outer packet's identification, whether it may be fragmented, and its source port are the provider's choice. */
static void clear_choice(struct test_frame *frame)
{
	memset(frame->bytes + 18, 0, 4);
	memset(frame->bytes + 24, 0, 2);
	memset(frame->bytes + 34, 0, 2);
}

/* The switch and the executor do the same with the frame; returns which port that is. */
static void same_of_both(struct fixture *f, struct executor *executor, const char *in, const char *out,
	struct test_frame frame, bool tunnelled)
{
	struct test_frame got;
	uint32_t port;

	lab_put(f, in, frame);
	g_autoptr(GBytes) bytes = port_fake_take(lab_port(f, out));
	g_assert_nonnull(bytes);
	struct test_frame want = {.length = (uint32_t)g_bytes_get_size(bytes)};
	memcpy(want.bytes, g_bytes_get_data(bytes, NULL), want.length);
	g_assert_cmpint(
		executor_run(executor, lab_port(f, in)->index, &frame, &port, &got), ==, EXECUTOR_SENT);
	g_assert_cmpuint(port, ==, lab_port(f, out)->index);
	if (tunnelled) {
		test_assert_checksums(got.bytes, got.length);
		clear_choice(&want);
		clear_choice(&got);
	}
	g_assert_cmpmem(got.bytes, got.length, want.bytes, want.length);
}

static void test_tunnels(struct pair *p, const void *data)
{
	_cleanup_(executor_free) struct executor *executor =
		executor_new(wire, lab_port(&p->one, "wire")->index);
	struct test_frame frame, out;
	uint32_t port, wire_port = lab_port(&p->one, "wire")->index;
	unsigned n;

	pair_meet(p); /* a flow of neighbours, both ways; and one between subnets: */
	lab_put(&p->one, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_E, 53, 3));
	pair_settle(p);
	lab_expect(&p->two, "e");
	lab_put(&p->two, "e", test_udp(MAC_E, MAC_GATEWAY, IP_E, 53, IP_A, 1000, 3));
	pair_settle(p);
	lab_expect(&p->one, "a");
	put_flows(&p->one, executor, &n);
	g_assert_cmpuint(n, ==, 4);
	for (unsigned length = 0; length < 64; length++) {
		frame = test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, length);
		same_of_both(&p->one, executor, "a", "wire", frame, true);
		frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_E, 53, length);
		same_of_both(&p->one, executor, "a", "wire", frame, true);
		frame = pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, length));
		same_of_both(&p->one, executor, "wire", "a", frame, false);
	}
	/* What comes from another VTEP, or in another network, is not theirs. */
	frame = test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, 5);
	pair_outer(&frame, MAC_W2, MAC_W1, VTEP_3, VTEP_1, 1);
	g_assert_cmpint(executor_run(executor, wire_port, &frame, &port, &out), ==, EXECUTOR_UP);
	frame = test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, 5);
	pair_outer(&frame, MAC_W2, MAC_W1, VTEP_2, VTEP_1, 2);
	g_assert_cmpint(executor_run(executor, wire_port, &frame, &port, &out), ==, EXECUTOR_UP);
	/* Nor is what does not fit into an outer packet. */
	frame = test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, WIRE_MTU - VXLAN_MTU_LESS - 28);
	same_of_both(&p->one, executor, "a", "wire", frame, true);
	frame = test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, WIRE_MTU - VXLAN_MTU_LESS - 27);
	g_assert_cmpint(
		executor_run(executor, lab_port(&p->one, "a")->index, &frame, &port, &out), ==, EXECUTOR_UP);
}

/* ---- tunnels, as it runs ---- */

static struct offload_provider *lend(void *executor, GError **error)
{
	return executor_lend(executor);
}

/* Of the offloader's rounds. */
static void pass(struct fixture *f, struct offloader *offloader)
{
	for (unsigned i = 0; i < 8; i++) {
		lab_pass(f, 250);
		while (offloader_turn(offloader, (uint32_t)f->now_ms))
			;
	}
}

static void heat(struct pair *p)
{
	struct test_frame frame;

	for (unsigned i = 0; i < HOT; i++) {
		lab_put(&p->one, "a", test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, i));
		g_assert_true(pair_take(&p->one, &frame));
		lab_put(&p->one, "wire", pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, i)));
		lab_expect(&p->one, "a");
	}
}

/* The underlay is the kernel's, and its interface an eswitch's uplink; so is the representor of a. */
static void give_eswitch(struct fixture *f)
{
	json_t *underlay = json_object_get(f->state, "underlay");

	json_object_set_new(underlay, "kernel", json_true());
	json_object_set_new(underlay, "vxlan_device", json_string("lo")); /* one that there is */
	json_object_set_new(underlay, "offload", json_string("tc"));
	json_object_set_new(json_array_get(json_object_get(lab_nic(f, 0), "attachments"), 0), "offload",
		json_string("tc"));
	lab_apply(f);
}

/* What the switch chooses goes by the executor, both ways, until the other end is on another host. */
static void test_chosen_tunnels(struct pair *p, const void *data)
{
	_cleanup_(executor_free) struct executor *executor =
		executor_new(wire, lab_port(&p->one, "wire")->index);
	_cleanup_(offloader_free) struct offloader *offloader =
		offloader_new(p->one.datapath, lend, executor);
	struct test_frame there = test_udp(MAC_A, MAC_D, IP_A, 9, IP_D, 9, 3), out;
	struct test_frame back = pair_from_two(test_udp(MAC_D, MAC_A, IP_D, 9, IP_A, 9, 3));
	uint32_t port, a = lab_port(&p->one, "a")->index, outer = lab_port(&p->one, "wire")->index;

	pair_meet(p); /* before: then the kernel answers for the VTEP */
	give_eswitch(&p->one);
	pass(&p->one, offloader);
	g_assert_cmpint(executor_run(executor, a, &there, &port, &out), ==, EXECUTOR_UP);
	heat(p);
	pass(&p->one, offloader);
	same_of_both(&p->one, executor, "a", "wire", there, true);
	same_of_both(&p->one, executor, "wire", "a", back, false);

	json_object_set_new(
		pair_network(&p->one), "mappings", json_pack("[o]", pair_mapping(IP_D, VTEP_3, MAC_D)));
	lab_apply(&p->one);
	g_assert_cmpint(executor_run(executor, a, &there, &port, &out), ==, EXECUTOR_UP);
	g_assert_cmpint(executor_run(executor, outer, &back, &port, &out), ==, EXECUTOR_UP);
}

static void test_vlans(struct fixture *f, const void *data)
{
	_cleanup_(executor_free) struct executor *executor = executor_new(wire, EXECUTOR_NO_UNDERLAY);
	uint32_t port, phys = lab_port(f, "phys")->index;
	struct test_frame frame, out;
	unsigned n;

	/* By the switch as router: it knows the neighbour's MAC. */
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, 3));
	vlan_drain(f, "phys");
	vlan_from_wire(f, 100, vlan_to_mac(test_arp(MAC_PEER, 2, MAC_PEER, IP_REMOTE, IP_A), MAC_A));
	vlan_drain(f, "phys");
	vlan_drain(f, "a");
	/* Of neighbours that know each other, it knows none. */
	lab_put(f, "a", test_udp(MAC_A, MAC_PEER, IP_A, 7, IP_PEER, 7, 3));
	vlan_drain(f, "phys");
	put_flows(f, executor, &n);
	g_assert_cmpuint(n, ==, 2);
	for (unsigned length = 0; length < 64; length++) {
		frame = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_REMOTE, 53, length);
		same_of_both(f, executor, "a", "phys", frame, false);
		frame = vlan_tagged(test_udp(MAC_PEER, MAC_A, IP_REMOTE, 53, IP_A, 1000, length), 100);
		same_of_both(f, executor, "phys", "a", frame, false);
	}
	/* In another VLAN, without a tag, or of another neighbour. */
	frame = vlan_tagged(test_udp(MAC_PEER, MAC_A, IP_REMOTE, 53, IP_A, 1000, 5), 200);
	g_assert_cmpint(executor_run(executor, phys, &frame, &port, &out), ==, EXECUTOR_UP);
	frame = test_udp(MAC_PEER, MAC_A, IP_REMOTE, 53, IP_A, 1000, 5);
	g_assert_cmpint(executor_run(executor, phys, &frame, &port, &out), ==, EXECUTOR_UP);
	frame = vlan_tagged(test_udp(MAC_ROUTER, MAC_A, IP_REMOTE, 53, IP_A, 1000, 5), 100);
	g_assert_cmpint(executor_run(executor, phys, &frame, &port, &out), ==, EXECUTOR_UP);
}

/* Two NICs share an address and choose the same port: one of them gets another. */
static void test_translation(struct fixture *f, const void *data)
{
	static const struct {
		const char *nic, *mac, *address;
	} senders[] = {{"b", MAC_B, IP_B}, {"c", MAC_C, IP_C}};
	_cleanup_(executor_free) struct executor *executor = executor_new(wire, EXECUTOR_NO_UNDERLAY);
	struct test_frame out[G_N_ELEMENTS(senders)];
	unsigned n;

	lab_meet_peer(f);
	json_object_set_new(
		json_array_get(json_object_get(lab_nic(f, 1), "addresses"), 0), "public", json_null());
	json_object_set_new(json_array_get(json_object_get(f->state, "networks"), 0), "source_nat",
		json_pack("{s:[s]}", "addresses", "203.0.113.250"));
	lab_apply(f);
	vlan_drain(f, "out"); /* the address is announced */
	for (unsigned i = 0; i < G_N_ELEMENTS(senders); i++) {
		lab_put(f, senders[i].nic,
			test_udp(senders[i].mac, MAC_GATEWAY, senders[i].address, 1000, PEER, 53, 3));
		out[i] = lab_expect(f, "out");
	}
	g_assert_cmpuint(load16(out[0].bytes + 34), !=, load16(out[1].bytes + 34));
	put_flows(f, executor, &n);
	g_assert_cmpuint(n, ==, 4);
	for (unsigned length = 0; length < 64; length++) {
		unsigned i = length % G_N_ELEMENTS(senders);
		struct test_frame there =
			test_udp(senders[i].mac, MAC_GATEWAY, senders[i].address, 1000, PEER, 53, length);
		struct test_frame back = test_udp(
			MAC_PEER, MAC_OUT, PEER, 53, "203.0.113.250", load16(out[i].bytes + 34), length);
		same_of_both(f, executor, senders[i].nic, "out", there, false);
		same_of_both(f, executor, "out", senders[i].nic, back, false);
	}
}

/* As when a representor or an uplink comes again under its name. */
static void test_remade(struct fixture *f, const void *data)
{
	_cleanup_(executor_free) struct executor *executor = executor_new(wire, EXECUTOR_NO_UNDERLAY);
	struct test_frame there = test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 53, 3), out;
	struct test_frame back = test_udp(MAC_C, MAC_GATEWAY, IP_C, 53, IP_A, 1000, 3);
	const uint32_t a = lab_port(f, "a")->index, c = lab_port(f, "c")->index;
	uint32_t port;
	unsigned n;

	lab_put(f, "a", there);
	lab_expect(f, "c");
	lab_put(f, "c", back);
	lab_expect(f, "a");
	for (unsigned i = 0; i < 2; i++) {
		put_flows(f, executor, &n);
		g_assert_cmpuint(n, ==, 2);
		same_of_both(f, executor, "a", "c", there, false);
		same_of_both(f, executor, "c", "a", back, false);
		g_assert_cmpuint(executor_remake(executor, c), ==, 2);
		g_assert_cmpint(executor_run(executor, a, &there, &port, &out), ==, EXECUTOR_UP);
		g_assert_cmpint(executor_run(executor, c, &back, &port, &out), ==, EXECUTOR_UP);
	}
}

void test_offload_add(const char *far)
{
	wire = far;
	g_test_add("/offload conformance/tunnels: the same packets in and out", struct pair, NULL, pair_setup,
		test_tunnels, pair_teardown);
	g_test_add(
		"/offload conformance/tunnels that the switch chooses: the same, until it decides otherwise",
		struct pair, NULL, pair_setup, test_chosen_tunnels, pair_teardown);
	g_test_add("/offload conformance/shared addresses: the same ports", struct fixture, NULL, lab_setup,
		test_translation, lab_teardown);
	g_test_add("/offload conformance/a port that is made anew has none of its flows, either way",
		struct fixture, NULL, lab_setup, test_remade, lab_teardown);
	g_test_add("/offload conformance/VLANs: the same packets in and out", struct fixture, NULL,
		vlan_setup, test_vlans, lab_teardown);
}
