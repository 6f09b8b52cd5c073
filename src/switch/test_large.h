/* TCP frames of several segments in one, for tests: made and judged by their own code. */
#pragma once
#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>

#define LARGE_MAX 65600

/* What a frame is made of. The payload's bytes follow from their place, so that one that is lost or moved shows. */
struct large {
	const char *smac, *dmac, *src, *dst; /* addresses of either family */
	uint16_t sport, dport;
	uint8_t tcp_flags; /* 0: ACK and PSH */
	unsigned ip_words, tcp_words; /* of options, 4 bytes each; IPv4: NOPs */
	uint32_t payload;
	bool may_fragment; /* IPv4: no DF */
};

#define LARGE_ID  0xfffe /* the first segment's IPv4 identification: it wraps */
#define LARGE_SEQ 0xffff8000u /* the same of its sequence number */

/* In a chain of buffers of at most `part` bytes each; 0: as they come. Its TCP checksum is rubbish. */
struct rte_mbuf *large_make(const struct large *large, struct rte_mempool *pool, uint32_t part);
/* Claims, as ports do, that its checksum was left open; segment: and that it is segments of so many bytes. 0:
 * it is one. */
void large_claim(struct rte_mbuf *packet, uint16_t segment);

/* Asserts that these bytes are the n-th segment of it, whole and right: the one that begins at the payload's
 * byte `from`. Returns where the next one begins. ttl: that it must have. */
uint32_t large_check(const struct large *large, const uint8_t *bytes, uint32_t length, unsigned n,
	uint32_t from, uint32_t segment, uint8_t ttl);
/* The same for the frame as one, with the checksum that an open frame has when it is handed on: any. */
void large_check_whole(const struct large *large, const uint8_t *bytes, uint32_t length, uint8_t ttl);
/* And that it holds the pseudo header's sum, over all of its length (virtio 1.1, 5.1.6.2; Linux cuts by that). */
void large_check_started(const struct large *large, const uint8_t *bytes);
