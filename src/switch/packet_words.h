/* Packets in words, as an operator describes them to trace, and the frames that they stand for.
 *
 *   PACKET    = DIRECTION WHAT OPTION…
 *   DIRECTION = "out"                            the NIC sends it
 *             | "in"                             it is sent to the NIC
 *   WHAT      = "tcp" END ">" END [FLAGS]        FLAGS: syn ack fin rst psh urg, or none; syn when not given
 *             | "udp" END ">" END
 *             | "icmp" ADDRESS ">" ADDRESS [ECHO] [id N]
 *                                                ECHO: echo (when not given), echo-reply, or type N [code N]
 *             | PROTOCOL ADDRESS ">" ADDRESS     PROTOCOL: esp, ah, or proto N
 *             | "arp who-has" ADDRESS "tell" ADDRESS
 *             | "dhcp" [discover | request ADDRESS]
 *             | "nd who-has" ADDRESS ["tell" ADDRESS]
 *             | "rs"                           a router solicitation
 *             | "dhcp6" [solicit | request ADDRESS]
 *   END       = ADDRESS ":" PORT                 IPv6: "[" ADDRESS "]:" PORT
 *   OPTION    = "smac" MAC | "dmac" MAC | "ttl" N | "length" N (of the IP packet) | "df"
 *
 * Words are parted by blanks; flags also by commas. ICMP between IPv6 addresses is ICMPv6. Who asks by nd, rs
 * and dhcp6 is the link-local address of its MAC, if nothing is said; "tell ::" probes an address.
 */
#pragma once
#include "base/ip.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define PACKET_WORDS_FRAME 512 /* bytes of a frame that are built; what `length` says goes on with zeros */

enum packet_words_kind {
	PACKET_WORDS_IP,
	PACKET_WORDS_ARP,
	PACKET_WORDS_DHCP,
	PACKET_WORDS_ND,
	PACKET_WORDS_RS,
	PACKET_WORDS_DHCP6,
};

struct packet_words {
	bool inwards; /* "in" */
	enum packet_words_kind kind;
	uint8_t protocol;
	struct ip_addr src,
		dst; /* ARP, ND: who asks (IP_NONE: by its link-local address), who is asked for */
	uint16_t sport, dport;
	uint8_t tcp_flags;
	uint8_t icmp_type, icmp_code;
	uint16_t icmp_id;
	struct ip_addr requested; /* DHCP: IP_NONE: discover or solicit */
	struct mac_addr smac, dmac;
	bool has_smac, has_dmac;
	bool df;
	uint8_t ttl;
	uint32_t length; /* of the IP packet; 0: as long as its headers */
};

/* Whether it is for all, or for many: its destination MAC is not of one neighbour. */
static inline bool packet_words_is_for_all(const struct packet_words *words)
{
	return words->kind != PACKET_WORDS_IP;
}

/* FAULT_INVALID says which word is not understood, and what may stand there. */
bool packet_words_parse(const char *text, struct packet_words *ret, GError **error);

/* The length of its headers, and of the message that it must have: the IP packet is not shorter. */
uint32_t packet_words_least(const struct packet_words *words);

/* Writes the frame; its MACs are set. Returns its whole length, of which PACKET_WORDS_FRAME bytes at most are
 * written. The checksums of the IPv4 header and of neighbour discovery are right. */
uint32_t packet_words_build(const struct packet_words *words, uint8_t frame[static PACKET_WORDS_FRAME]);
