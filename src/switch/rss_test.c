/* Tests of what is asked of devices that have several queues. */
#include "switch/rss.h"

#include <glib.h>
#include <rte_thash.h>

static const struct rte_eth_dev_info capable = {
	.max_rx_queues = 8,
	.hash_key_size = 52,
	.flow_type_rss_offloads = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_ESP,
};

static void test_queues(void)
{
	struct rte_eth_dev_info info = capable;

	g_assert_cmpuint(rss_queues(&info, 1), ==, 1);
	g_assert_cmpuint(rss_queues(&info, 4), ==, 4);
	g_assert_cmpuint(rss_queues(&info, 16), ==, 8);
	info.flow_type_rss_offloads = RTE_ETH_RSS_ESP;
	g_assert_cmpuint(rss_queues(&info, 4), ==, 1);
	info = capable;
	info.hash_key_size = 255; /* longer than any that there is */
	g_assert_cmpuint(rss_queues(&info, 4), ==, 1);
	info.max_rx_queues = 0;
	g_assert_cmpuint(rss_queues(&info, 4), ==, 1);
}

static void test_asked(void)
{
	struct rte_eth_dev_info info = capable;
	struct rte_eth_conf one = {}, many = {};

	rss_configure(&info, 1, &one);
	g_assert_cmpuint(one.rxmode.mq_mode, ==, RTE_ETH_MQ_RX_NONE);
	rss_configure(&info, 4, &many);
	g_assert_cmpuint(many.rxmode.mq_mode, ==, RTE_ETH_MQ_RX_RSS);
	g_assert_cmpuint(
		many.rx_adv_conf.rss_conf.rss_hf, ==, RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP);
	g_assert_cmpuint(many.rx_adv_conf.rss_conf.rss_key_len, ==, 52);
	info.hash_key_size = 0;
	rss_configure(&info, 4, &many);
	g_assert_cmpuint(many.rx_adv_conf.rss_conf.rss_key_len, ==, 40);
}

/* DPDK's own computation of the hash; words: of addresses, ports behind them in one. */
static void assert_symmetric(const uint8_t *key, unsigned address_words)
{
	uint32_t there[9], back[9], n = 2 * address_words;

	for (unsigned i = 0; i <= n; i++)
		there[i] = (uint32_t)g_test_rand_int();
	for (unsigned i = 0; i < address_words; i++) {
		back[i] = there[address_words + i];
		back[address_words + i] = there[i];
	}
	back[n] = there[n] >> 16 | there[n] << 16;
	g_assert_cmphex(rte_softrss(there, n, key), ==, rte_softrss(back, n, key));
	g_assert_cmphex(rte_softrss(there, n + 1, key), ==, rte_softrss(back, n + 1, key));
}

static void test_symmetric(void)
{
	struct rte_eth_conf conf = {};
	GHashTable *hashes = g_hash_table_new(NULL, NULL);

	rss_configure(&capable, 4, &conf);
	const uint8_t *key = conf.rx_adv_conf.rss_conf.rss_key;
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t tuple[3] = {0x0a000001, 0x0a000002, 80u << 16 | i};
		assert_symmetric(key, 1);
		assert_symmetric(key, 4);
		g_hash_table_add(hashes, GUINT_TO_POINTER(rte_softrss(tuple, 3, key) % 4));
	}
	g_assert_cmpuint(g_hash_table_size(hashes), ==, 4); /* and spreads */
	g_hash_table_unref(hashes);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/rss/a device has a queue a worker where it can hash, else one", test_queues);
	g_test_add_func("/rss/a device is asked for what it can hash", test_asked);
	g_test_add_func(
		"/rss/both directions of a connection have one hash, and connections differ", test_symmetric);
	return g_test_run();
}
