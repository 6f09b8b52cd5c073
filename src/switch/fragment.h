/* Later IPv4 and IPv6 fragments: the ports that their first fragment had.
 *
 * How it works: a first fragment has its transport header and is decided like any packet; what it said is
 * remembered for a while under what all its fragments share. A later fragment takes the ports from there and
 * then matches the same flow. One that comes before its first, or after too long, is dropped and counted:
 * policy cannot be asked about it. Nothing is reassembled. Owned by one worker: all fragments of a packet
 * come in by one port.
 */
#pragma once
#include "base/cleanup.h"
#include "switch/packet.h"

struct fragment_table;

struct fragment_table *fragment_table_new(void);
void fragment_table_free(struct fragment_table *table);
CLEANUP_FUNC(struct fragment_table *, fragment_table_free)

/* Remembers a first fragment; its key is whole. */
void fragment_learn(struct fragment_table *table, const struct packet *first, uint32_t now_ms);
/* Completes a later fragment's key. False when its first fragment is not known. */
bool fragment_resolve(struct fragment_table *table, struct packet *later, uint32_t now_ms);
