/* TCP in the eyes of the switch: which flags it saw, and, loosely, where the window is.
 *
 * How it works. Each packet leaves one word in its direction's flow: the flags that were seen, the shift by which the
 * windows are scaled that this side offers (from its SYN), and the top bits of what it acknowledged last; before it has
 * acknowledged anything, of its SYN's sequence number. That is enough to tell a packet that ends a connection from one
 * that somebody made up who does not see the connection: what the other side may send next lies between what this side
 * acknowledged and the largest window that it can offer.
 *
 *   RST   Believed when it lies in the window of whom it is for; before that one has acknowledged anything, when it
 *         acknowledges that one's SYN (RFC 9293, section 3.10.7). Else it is dropped: whom it is for would drop it too, or
 *         ask (RFC 5961, section 3).
 *         Where a NIC carries the other side's packets (offloader.h), nobody here knows that window, and each is believed:
 *         as Linux does of the connections that it has a NIC carry.
 *   FIN   Believed in the window only, but always passed: a repeated one may lie before it.
 *   SYN   Of a connection that is established: passed, and nothing is believed. The end host answers with a challenge; who
 *         really began anew answers that with an RST, which is in the window (RFC 5961, section 4).
 *   Data  Passed without a look: the end hosts check it against windows that they know exactly. So an ACK that somebody
 *         made up moves the mark of the direction that it pretends to be of; that lets nobody end the connection in that
 *         same direction, as such an RST is held against the other one's mark.
 *
 * Approximations are on the side that believes: the mark is rounded down, the window is the largest that the
 * shift permits, and without a SYN (a connection that was learnt in the middle) the largest there is.
 */
#pragma once
#include "switch/packet.h"
#include "switch/wire.h"

#define TCP_MARK_BITS  20 /* of a sequence number: what lies within 4 KiB is one place */
#define TCP_MARK_GRAIN (UINT32_C(1) << (32 - TCP_MARK_BITS))
#define TCP_MARK_MASK  (~(TCP_MARK_GRAIN - 1))
#define TCP_SHIFT_MAX  14 /* RFC 7323, section 2.3 */

/* struct flow's word: the mark, four bits of shift + 1 (0: not known), all flags that came this way. */
static inline uint8_t tcp_flags_seen(uint32_t word)
{
	return word & 0xff;
}

static inline uint32_t tcp_mark(uint32_t word)
{
	return word & TCP_MARK_MASK;
}

/* The window's shift; TCP_SHIFT_MAX when it is not known. */
static inline unsigned tcp_shift(uint32_t word)
{
	unsigned shift = word >> 8 & 0xf;

	return shift ? shift - 1 : TCP_SHIFT_MAX;
}

/* The word after a packet whose transport header is at `tcp`; for the fast path. */
static inline __attribute__((always_inline)) uint32_t tcp_follow(
	uint32_t word, const struct packet *parsed, const uint8_t *tcp)
{
	uint32_t after = word | parsed->tcp_flags;

	if (parsed->tcp_flags & TCP_ACK)
		after = (after & ~TCP_MARK_MASK) | tcp_mark(load32(tcp + TCP_ACKNOWLEDGED));
	return after;
}

/* The word when a SYN is about to be followed: what it says of its sender is taken down, unless that one is past it. */
uint32_t tcp_begin(uint32_t word, const struct packet *parsed, const uint8_t *frame);

/* Where an RST may lie that is for a side which has acknowledged something; `back` as below. */
void tcp_window(uint32_t back, uint32_t *ret_first, uint32_t *ret_last);

/* Whether an RST or FIN is believed; `back`: the word of the other direction. */
bool tcp_believes(uint32_t back, const struct packet *parsed, const uint8_t *frame);
