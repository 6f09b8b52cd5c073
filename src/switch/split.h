/* Frames that are too long, cut into pieces: TCP segments (RFC 9293) of an open frame (segmentation.h), IPv4
 * fragments (RFC 791).
 *
 * How it works: each piece has buffers of its own, with copied headers and a copied part of the payload.
 * Rejected: pieces that refer to the payload where it lies. Each would take two or three buffers instead of
 * one, and is to be read whole for its checksum anyway; and a tunnel's header could not be put before it in
 * place.
 *
 * Pieces are made one at a time, so that who sends them holds few.
 */
#pragma once
#include <rte_mbuf.h>
#include <stdbool.h>

/* Takes off what is behind the first `length` bytes; no other port shares the buffers. */
void split_trim(struct rte_mbuf *frame, uint32_t length);

#define SPLIT_IPV4_MAX 60 /* bytes of an IPv4 header */

struct split {
	const struct rte_mbuf *frame; /* Borrowed */
	struct rte_mempool *pool; /* Borrowed */
	bool fragments; /* else segments */
	uint32_t l3; /* offset of the IP header */
	uint32_t size; /* payload of each piece but the last */
	uint32_t done, left; /* payload that was cut, and that is to be */
	const struct rte_mbuf *part; /* of the frame: the payload goes on there, */
	uint32_t offset; /* from this byte */
	uint16_t n; /* pieces so far */
	uint32_t first_length, later_length; /* of the headers of the first piece, and of the others */
	uint8_t later[SPLIT_IPV4_MAX]; /* fragments: the IP header of the others */
};

/* An open frame of several segments. Its pieces are open too: their checksums are still to be made. */
void split_segments(struct split *split, const struct rte_mbuf *frame, struct rte_mempool *pool);
/* A complete frame whose IPv4 header, at l3, does not forbid it. */
void split_fragments(struct split *split, const struct rte_mbuf *frame, uint32_t l3, uint16_t mtu,
	struct rte_mempool *pool);

/* The next piece, the caller's; NULL at the end, or when no buffer is free: then split->left is not 0. */
struct rte_mbuf *split_next(struct split *split);
