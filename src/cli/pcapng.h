/* Captures in the pcapng format, as Wireshark and tcpdump read them.
 *
 * Source: draft-ietf-opsawg-pcapng; numbers in the byte order of this machine, which its readers expect.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Begins a file: the section's header. False when it cannot be written; errno says why. So the others. */
bool pcapng_begin(FILE *to, const char *program);
/* One Ethernet interface; the first is number 0. */
bool pcapng_interface(FILE *to, const char *name, uint32_t snaplen);

struct pcapng_packet {
	uint32_t interface;
	uint64_t time_ns; /* since 1970 */
	bool outbound; /* as the interface sees it; else inbound */
	uint32_t length, captured;
	const uint8_t *bytes; /* Borrowed: `captured` of them */
};

bool pcapng_packet(FILE *to, const struct pcapng_packet *packet);
