/* The switch without devices: see test_lab.h. */
#include "switch/test_lab.h"

#include "switch/eal.h"
#include "switch/offloader.h"
#include "switch/state.h"

#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <string.h>

#define SETTLE_US 100

static const char state_text[] =
	"{\"generation\": 1,"
	" \"outside\": {\"interface\": \"out\", \"mac\": \"" MAC_OUT "\", \"prefix\": \"203.0.113.0/24\","
	"   \"gateway\": \"203.0.113.1\"},"
	" \"host_port\": {\"interface\": \"host\", \"mac\": \"" MAC_HOST "\", \"prefix\": \"100.64.0.0/10\"},"
	" \"groups\": [{\"uid\": \"g\", \"name\": \"g\", \"revalidate\": true, \"rules\": []}],"
	" \"networks\": [{\"uid\": \"n\", \"vni\": 1, \"prefixes\": [\"192.168.0.0/16\"], \"subnets\": ["
	"   {\"uid\": \"s1\", \"prefix\": \"192.168.1.0/24\", \"gateway\": \"192.168.1.1\", \"dns\": [], "
	"\"group\": null},"
	"   {\"uid\": \"s2\", \"prefix\": \"192.168.2.0/24\", \"gateway\": \"192.168.2.1\", \"dns\": [], "
	"\"group\": null}]}],"
	" \"nics\": ["
	"  {\"uid\": \"a\", \"name\": \"a\", \"mac\": \"" MAC_A
	"\", \"network\": \"n\", \"subnet\": \"s1\", \"group\": null,"
	"   \"mtu\": 1500, \"addresses\": [{\"ip\": \"" IP_A "\", \"public\": \"" PUBLIC_A
	"\", \"standard\": false}],"
	"   \"host_address\": \"100.64.0.4\", \"hostname\": \"a\", \"active\": \"function\","
	"   \"attachments\": [{\"kind\": \"function\", \"interface\": \"a\"},"
	"     {\"kind\": \"synthetic\", \"socket\": \"/a\"}]},"
	"  {\"uid\": \"b\", \"name\": \"b\", \"mac\": \"" MAC_B
	"\", \"network\": \"n\", \"subnet\": \"s1\", \"group\": \"g\","
	"   \"mtu\": 1500, \"addresses\": [{\"ip\": \"" IP_B "\", \"public\": \"" PUBLIC_B
	"\", \"standard\": false}],"
	"   \"host_address\": \"100.64.0.5\", \"hostname\": \"b\", \"active\": \"function\","
	"   \"attachments\": [{\"kind\": \"function\", \"interface\": \"b\"}]},"
	"  {\"uid\": \"c\", \"name\": \"c\", \"mac\": \"" MAC_C
	"\", \"network\": \"n\", \"subnet\": \"s2\", \"group\": null,"
	"   \"mtu\": 1500, \"addresses\": [{\"ip\": \"" IP_C "\", \"public\": null, \"standard\": false}],"
	"   \"host_address\": null, \"hostname\": \"c\", \"active\": \"function\","
	"   \"attachments\": [{\"kind\": \"function\", \"interface\": \"c\"}]}]}";

static struct rte_mempool *pool;

struct rte_mempool *lab_pool(void)
{
	return pool;
}

struct port *lab_port(struct fixture *f, const char *name)
{
	struct port *port = g_hash_table_lookup(f->ports, name);

	if (!port) {
		port = port_fake_open(name, g_hash_table_size(f->ports), pool);
		g_hash_table_insert(f->ports, port->name, port);
	}
	return port;
}

static void port_close(struct port *port)
{
	port->ops->close(port);
}

static void resolve(struct fixture *f, const struct nic *nic, struct attachment *attachment)
{
	if (attachment->physical && !g_hash_table_contains(f->ports, attachment->name)) {
		struct port *port = function_open(attachment->name, nic->network->physical->edge.port,
			segment_vlan_id(nic->network->segment), nic->mac, pool);
		port->index = g_hash_table_size(f->ports);
		g_hash_table_insert(f->ports, port->name, port);
	}
	attachment->port = lab_port(f, attachment->name);
}

void lab_publish(struct fixture *f)
{
	g_autoptr(GError) error = NULL;
	json_auto_t *copy = json_deep_copy(f->state); /* the test goes on changing it */
	struct snapshot *snapshot = state_decode(copy, datapath_snapshot(f->datapath), &error);

	g_assert_no_error(error);
	if (snapshot->outside.present)
		snapshot->outside.port = lab_port(f, "out");
	if (snapshot->host.present)
		snapshot->host.port = lab_port(f, "host");
	if (snapshot->underlay.edge.present)
		snapshot->underlay.edge.port = lab_port(f, "wire");
	for (unsigned slot = 0; slot < PHYSICAL_SLOTS; slot++)
		if (snapshot->physicals[slot].edge.present)
			snapshot->physicals[slot].edge.port =
				lab_port(f, snapshot->physicals[slot].edge.interface);
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		for (unsigned i = 0; snapshot->nics[slot] && i < snapshot->nics[slot]->n_attachments; i++)
			resolve(f, snapshot->nics[slot], &snapshot->nics[slot]->attachments[i]);
	snapshot_free(datapath_publish(f->datapath, snapshot));
}

void lab_settle(struct fixture *f)
{
	while (!offloader_is_settled(f->datapath->offloader))
		g_usleep(SETTLE_US);
}

void lab_apply(struct fixture *f)
{
	lab_publish(f);
	lab_settle(f);
	for (unsigned i = 0; i < f->datapath->limits.workers; i++)
		worker_begin(f->datapath->workers[i], f->now_ms);
}

void lab_start(struct fixture *f, json_t *state, uint32_t connections, uint32_t nic_connections)
{
	const struct datapath_limits limits = {.workers = f->workers ? f->workers : 1,
		.connections = connections,
		.nic_connections = nic_connections};
	g_autoptr(GError) error = NULL;
	struct flow_memory *memory =
		f->memory_path ? flow_memory_open(f->memory_path, connections, &error) : NULL;

	g_assert_no_error(error);
	g_assert_nonnull(state);
	f->state = state;
	f->ports = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)port_close);
	f->datapath = datapath_new(&limits, memory, pool, &error);
	g_assert_no_error(error);
	f->worker = f->datapath->workers[0];
	f->now_ms = f->datapath->started_ms + 3600 * SECOND; /* long after the start */
	f->worker->housekept_ms = f->now_ms;
	lab_apply(f);
	for (GBytes *announcement; (announcement = port_fake_take(lab_port(f, "out")));)
		g_bytes_unref(announcement);
}

void lab_setup(struct fixture *f, const void *data)
{
	lab_start(f, json_loads(state_text, 0, NULL), 1000, 500);
}

void lab_teardown(struct fixture *f, const void *data)
{
	datapath_free(f->datapath);
	g_hash_table_unref(f->ports);
	json_decref(f->state);
	/* Whatever became of the packets, their buffers are back. */
	g_assert_cmpuint(rte_mempool_in_use_count(pool), ==, 0);
}

void lab_pass(struct fixture *f, uint32_t milliseconds)
{
	for (uint32_t step; milliseconds; milliseconds -= step) {
		step = MIN(milliseconds, 200u);
		f->now_ms += step;
		worker_begin(f->worker, f->now_ms);
		worker_housekeep(f->worker);
	}
}

/* The source of that name, and the worker that polls it. */
static struct source source_of(struct fixture *f, const char *name, struct worker **ret_worker)
{
	for (unsigned w = 0; w < f->datapath->limits.workers; w++) {
		const GArray *sources = datapath_polling(f->datapath)->sources[w];
		*ret_worker = f->datapath->workers[w];
		for (unsigned i = 0; i < sources->len; i++)
			if (g_str_equal(g_array_index(sources, struct source, i).port->name, name))
				return g_array_index(sources, struct source, i);
	}
	g_error("no source %s", name);
}

void lab_put_packets(struct fixture *f, const char *port, struct rte_mbuf **packets, unsigned n)
{
	struct worker *worker;
	struct source source = source_of(f, port, &worker);

	worker_burst(worker, &source, packets, n);
}

void lab_put_burst(struct fixture *f, const char *port, const struct test_frame *frames, unsigned n)
{
	struct rte_mbuf *packets[WORKER_BURST];

	for (unsigned i = 0; i < n; i++) {
		packets[i] = rte_pktmbuf_alloc(pool);
		memcpy(rte_pktmbuf_append(packets[i], (uint16_t)frames[i].length), frames[i].bytes,
			frames[i].length);
	}
	lab_put_packets(f, port, packets, n);
}

void lab_put(struct fixture *f, const char *port, struct test_frame frame)
{
	lab_put_burst(f, port, &frame, 1);
}

/* The next frame out of the port; its checksums are right. Fails when there is none. */
bool lab_take(struct fixture *f, const char *port, struct test_frame *ret)
{
	g_autoptr(GBytes) bytes = port_fake_take(lab_port(f, port));
	gsize size;

	if (!bytes)
		return false;
	const uint8_t *data = g_bytes_get_data(bytes, &size);
	*ret = (struct test_frame){.length = (uint32_t)size};
	memcpy(ret->bytes, data, size);
	if (load16(data + 12) == 0x0800)
		test_assert_checksums(ret->bytes, ret->length);
	else if (load16(data + 12) == 0x86dd)
		test_assert_checksum6(ret);
	return true;
}

struct test_frame lab_expect(struct fixture *f, const char *port)
{
	struct test_frame frame;

	if (!lab_take(f, port, &frame))
		g_error("nothing came out of %s", port);
	return frame;
}

void lab_expect_none(struct fixture *f, const char *port)
{
	g_autoptr(GBytes) bytes = port_fake_take(lab_port(f, port));

	g_assert_null(bytes);
}

uint64_t lab_drops(struct fixture *f, enum drop reason)
{
	return datapath_drops(f->datapath, reason);
}

void lab_assert_path(
	const struct test_frame *frame, const char *smac, const char *dmac, const char *src, const char *dst)
{
	uint8_t mac[6], ip[4];

	test_mac(dmac, mac);
	g_assert_cmpmem(frame->bytes, 6, mac, 6);
	test_mac(smac, mac);
	g_assert_cmpmem(frame->bytes + 6, 6, mac, 6);
	test_ip(src, ip);
	g_assert_cmpmem(frame->bytes + 26, 4, ip, 4);
	test_ip(dst, ip);
	g_assert_cmpmem(frame->bytes + 30, 4, ip, 4);
}

void lab_assert_path6(
	const struct test_frame *frame, const char *smac, const char *dmac, const char *src, const char *dst)
{
	uint8_t mac[6], ip[16];

	test_mac(dmac, mac);
	g_assert_cmpmem(frame->bytes, 6, mac, 6);
	test_mac(smac, mac);
	g_assert_cmpmem(frame->bytes + 6, 6, mac, 6);
	g_assert_cmphex(load16(frame->bytes + 12), ==, 0x86dd);
	test_ip6(src, ip);
	g_assert_cmpmem(frame->bytes + 22, 16, ip, 16);
	test_ip6(dst, ip);
	g_assert_cmpmem(frame->bytes + 38, 16, ip, 16);
}

void lab_setup_ipv6(struct fixture *f)
{
	static const char *const addresses[] = {IP6_A, IP6_B, IP6_C}, *const ports[] = {"a", "b", "c"};
	json_t *network = json_array_get(json_object_get(f->state, "networks"), 0);
	json_t *subnets = json_object_get(network, "subnets");

	json_array_append_new(json_object_get(network, "prefixes"), json_string("fd00::/48"));
	json_object_update_new(json_array_get(subnets, 0),
		json_pack("{s:s, s:s}", "prefix6", "fd00:0:0:1::/64", "gateway6", GATEWAY6_1));
	json_object_update_new(json_array_get(subnets, 1),
		json_pack("{s:s, s:s}", "prefix6", "fd00:0:0:2::/64", "gateway6", GATEWAY6_2));
	for (size_t i = 0; i < G_N_ELEMENTS(addresses); i++)
		json_array_append_new(
			json_object_get(lab_nic(f, i), "addresses"), json_pack("{s:s}", "ip", addresses[i]));
	lab_apply(f);
	/* They are told of their router. */
	for (size_t i = 0; i < G_N_ELEMENTS(ports); i++)
		lab_expect(f, ports[i]);
}

/* The peer outside becomes known to the switch. */
void lab_meet_peer(struct fixture *f)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1, PEER, 1, 0));
	lab_expect(f, "out");
	lab_put(f, "out", test_arp(MAC_PEER, 2, MAC_PEER, PEER, PUBLIC_A));
	lab_expect(f, "out");
}

json_t *lab_nic(struct fixture *f, size_t i)
{
	return json_array_get(json_object_get(f->state, "nics"), i);
}

json_t *lab_group(struct fixture *f)
{
	return json_array_get(json_object_get(f->state, "groups"), 0);
}

/* One inbound rule for group g: that TCP port, from anywhere. */
void lab_allow_port(struct fixture *f, int port)
{
	json_t *rules = json_pack("[{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b, s:[[i,i]]}}]", "name", "r",
		"direction", "inbound", "priority", 100, "protocol", "tcp", "action", "allow", "source",
		"any", 1, "destination", "any", 1, "ports", port, port);

	g_assert_nonnull(rules);
	json_object_set_new(lab_group(f), "rules", rules);
	lab_apply(f);
}

void lab_deny_all(struct fixture *f)
{
	json_object_set_new(lab_group(f), "rules", json_array());
	lab_apply(f);
}

void lab_setup_large(struct fixture *f, const void *data)
{
	lab_start(f, json_loads(state_text, 0, NULL), 100000, 50000);
}

void lab_setup_small(struct fixture *f, const void *data)
{
	lab_start(f, json_loads(state_text, 0, NULL), 16, 500);
}

void lab_begin_with(unsigned workers, const char *pool_ops)
{
	const struct eal_config eal = {.workers = workers, .memory_mib = 32, .hugepages = EAL_HUGEPAGES_OFF};
	g_autoptr(GError) error = NULL;
	bool hugepages;

	if (!eal_start(&eal, &hugepages, &error))
		g_error("%s", error->message);
	if (pool_ops)
		g_assert_cmpint(rte_mbuf_set_user_mempool_ops(pool_ops), ==, 0);
	if (!(pool = eal_pool_new(&eal, &error)))
		g_error("%s", error->message);
}

void lab_begin(void)
{
	lab_begin_with(1, NULL);
}

int lab_run(void)
{
	lab_begin();
	int status = g_test_run();
	eal_stop();
	return status;
}
