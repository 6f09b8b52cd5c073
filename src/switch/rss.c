/* Receive-side scaling: see rss.h. */
#include "switch/rss.h"

#define KEY_DEFAULT 40 /* bytes, where the device does not say */
#define KEY_4       0x6d, 0x5a, 0x6d, 0x5a
#define KEY_16      KEY_4, KEY_4, KEY_4, KEY_4

#define HASHED (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP)

static const uint8_t symmetric_key[] = {KEY_16, KEY_16, KEY_16, KEY_16};

uint16_t rss_queues(const struct rte_eth_dev_info *info, unsigned workers)
{
	uint16_t queues = (uint16_t)RTE_MIN(workers, (unsigned)info->max_rx_queues);

	return info->flow_type_rss_offloads & HASHED && info->hash_key_size <= sizeof symmetric_key && queues
		       ? queues
		       : 1;
}

void rss_configure(const struct rte_eth_dev_info *info, uint16_t queues, struct rte_eth_conf *conf)
{
	if (queues == 1)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf = (struct rte_eth_rss_conf){
		.rss_key = (uint8_t *)symmetric_key, /* drivers copy it */
		.rss_key_len = info->hash_key_size ? info->hash_key_size : KEY_DEFAULT,
		.rss_hf = info->flow_type_rss_offloads & HASHED,
	};
}
