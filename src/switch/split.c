/* Cutting frames: see split.h. */
#include "switch/split.h"

#include "switch/checksum.h"
#include "switch/segmentation.h"
#include "switch/wire.h"

#define OPTION_COPIED 0x80 /* RFC 791: to be in every fragment */

void split_trim(struct rte_mbuf *frame, uint32_t length)
{
	struct rte_mbuf *last = frame;
	uint32_t left = length;

	if (length >= frame->pkt_len)
		return;
	for (frame->nb_segs = 1; left > last->data_len; frame->nb_segs++) {
		left -= last->data_len;
		last = last->next;
	}
	rte_pktmbuf_free(last->next);
	last->next = NULL;
	last->data_len = (uint16_t)left;
	frame->pkt_len = length;
}

/* ---- copying ---- */

/* Where the next n bytes of room are: in the last buffer, or in one more. NULL when none is free. */
static uint8_t *make_room(const struct split *s, struct rte_mbuf *piece, uint32_t *n)
{
	struct rte_mbuf *last = rte_pktmbuf_lastseg(piece);

	if (rte_pktmbuf_tailroom(last) == 0) {
		last = rte_pktmbuf_alloc(s->pool);
		if (!last)
			return NULL;
		if (rte_pktmbuf_chain(piece, last) < 0) {
			rte_pktmbuf_free(last);
			return NULL;
		}
	}
	*n = RTE_MIN(*n, (uint32_t)rte_pktmbuf_tailroom(last));
	uint8_t *at = rte_pktmbuf_mtod_offset(last, uint8_t *, last->data_len);
	last->data_len = (uint16_t)(last->data_len + *n);
	piece->pkt_len += *n;
	return at;
}

/* Appends the next `length` bytes of payload. */
static bool copy_payload(struct split *s, struct rte_mbuf *piece, uint32_t length)
{
	while (length) {
		while (s->offset == s->part->data_len) {
			s->part = s->part->next;
			s->offset = 0;
		}
		uint32_t n = RTE_MIN(length, s->part->data_len - s->offset);
		uint8_t *at = make_room(s, piece, &n);
		if (!at)
			return false;
		memcpy(at, rte_pktmbuf_mtod_offset(s->part, const uint8_t *, s->offset), n);
		s->offset += n;
		length -= n;
	}
	return true;
}

/* ---- segments ---- */

static void finish_segment(const struct split *s, struct rte_mbuf *piece, uint32_t payload)
{
	uint8_t *ip = rte_pktmbuf_mtod_offset(piece, uint8_t *, s->l3), *tcp = ip + s->frame->l3_len;
	uint32_t length = (uint32_t)s->frame->l3_len + s->frame->l4_len + payload;

	if (s->frame->ol_flags & RTE_MBUF_F_TX_IPV6) {
		store16(ip + IPV6_PAYLOAD, (uint16_t)(length - IPV6_LEN));
	} else {
		store16(ip + IPV4_TOTAL, (uint16_t)length);
		store16(ip + IPV4_ID, (uint16_t)(load16(ip + IPV4_ID) + s->n));
		checksum_set(ip, s->frame->l3_len, IPV4_CHECK);
	}
	store32(tcp + TCP_SEQUENCE, load32(tcp + TCP_SEQUENCE) + s->done);
	if (s->n)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR; /* RFC 3168: said once */
	if (payload < s->left)
		tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	piece->ol_flags |=
		s->frame->ol_flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6);
	piece->l2_len = s->frame->l2_len;
	piece->l3_len = s->frame->l3_len;
	piece->l4_len = s->frame->l4_len;
}

void split_segments(struct split *split, const struct rte_mbuf *frame, struct rte_mempool *pool)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(frame, const uint8_t *, frame->l2_len);
	uint32_t headers = (uint32_t)frame->l2_len + frame->l3_len + frame->l4_len;
	uint32_t length = frame->ol_flags & RTE_MBUF_F_TX_IPV6
				  ? IPV6_LEN + (uint32_t)load16(ip + IPV6_PAYLOAD)
				  : load16(ip + IPV4_TOTAL);

	*split = (struct split){
		.frame = frame,
		.pool = pool,
		.l3 = frame->l2_len,
		.size = frame->tso_segsz,
		.left = frame->l2_len + length - headers,
		.part = frame,
		.offset = headers,
		.first_length = headers,
		.later_length = headers,
	};
}

/* ---- fragments ---- */

static void finish_fragment(const struct split *s, struct rte_mbuf *piece, uint32_t header, uint32_t payload)
{
	const uint8_t *whole = rte_pktmbuf_mtod_offset(s->frame, const uint8_t *, s->l3);
	uint8_t *ip = rte_pktmbuf_mtod_offset(piece, uint8_t *, s->l3);
	uint16_t fragment = (uint16_t)(load16(whole + IPV4_FRAGMENT) + s->done / 8);

	if (payload < s->left)
		fragment |= IPV4_MF;
	store16(ip + IPV4_TOTAL, (uint16_t)(header + payload));
	store16(ip + IPV4_FRAGMENT, fragment);
	checksum_set(ip, header, IPV4_CHECK);
}

/* The header of fragments that are not the first: of the options, those that say so. Returns its length. The parser has
 * walked the options before. */
static uint32_t write_later(uint8_t later[static SPLIT_IPV4_MAX], const uint8_t *ip, uint32_t header)
{
	uint32_t length = IPV4_MIN, n;

	memset(later, 0, SPLIT_IPV4_MAX); /* 0 ends the list of options */
	memcpy(later, ip, IPV4_MIN);
	for (uint32_t i = IPV4_MIN; i < header && ip[i] != 0; i += n) {
		n = ip[i] == 1 ? 1 : ip[i + 1];
		if (ip[i] & OPTION_COPIED) {
			memcpy(later + length, ip + i, n);
			length += n;
		}
	}
	length = RTE_ALIGN_CEIL(length, 4u);
	later[0] = (uint8_t)(0x40 | length / 4);
	return length;
}

void split_fragments(struct split *split, const struct rte_mbuf *frame, uint32_t l3, uint16_t mtu,
	struct rte_mempool *pool)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(frame, const uint8_t *, l3);
	uint32_t header = (uint32_t)(ip[0] & 0xf) * 4;

	*split = (struct split){
		.frame = frame,
		.pool = pool,
		.fragments = true,
		.l3 = l3,
		.size = (mtu - header) & ~7u,
		.left = load16(ip + IPV4_TOTAL) - header,
		.part = frame,
		.offset = l3 + header,
		.first_length = l3 + header,
	};
	split->later_length = l3 + write_later(split->later, ip, header);
}

/* ---- pieces ---- */

struct rte_mbuf *split_next(struct split *split)
{
	uint32_t headers = split->n ? split->later_length : split->first_length;
	uint32_t payload = RTE_MIN(split->size, split->left);
	struct rte_mbuf *piece = split->left ? rte_pktmbuf_alloc(split->pool) : NULL;

	if (!piece)
		return NULL;
	uint8_t *at = (uint8_t *)rte_pktmbuf_append(piece, (uint16_t)headers);
	memcpy(at, rte_pktmbuf_mtod(split->frame, const void *),
		split->n && split->fragments ? split->l3 : headers);
	if (split->n && split->fragments)
		memcpy(at + split->l3, split->later, headers - split->l3);
	if (!copy_payload(split, piece, payload)) {
		rte_pktmbuf_free(piece);
		return NULL;
	}
	if (split->fragments)
		finish_fragment(split, piece, headers - split->l3, payload);
	else
		finish_segment(split, piece, payload);
	piece->hash.rss = split->frame->hash.rss;
	split->done += payload;
	split->left -= payload;
	split->n++;
	return piece;
}
