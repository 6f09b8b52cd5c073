/* The model NIC: an eswitch in software, for tests. It holds what it was given, executes it frame by frame by code of
 * its own (fake_frame.h), counts, has a table of bounded size, and misbehaves on command.
 *
 * How it works. Requests wait until poll, take effect there in order, and their answers are handed out by the same or
 * a later poll. A frame meets the table as it is at that moment.
 */
#pragma once
#include "offload/provider.h"

#include <glib.h>

/* flows: room of the table. Never fails. */
struct offload_provider *offload_fake_new(uint32_t abilities, uint32_t flows);

/* The clock that meters run by. */
void offload_fake_set_clock(struct offload_provider *provider, uint64_t now_ms);
/* The next n puts are refused with the sentence (a constant). */
void offload_fake_refuse(struct offload_provider *provider, unsigned n, const char *reason);
/* While it is so, meters are not taken. */
void offload_fake_refuse_meters(struct offload_provider *provider, bool refuse);
/* From when ports are told next it cannot have the one of that number; 0: it can have all. */
void offload_fake_refuse_port(struct offload_provider *provider, uint32_t number);
/* Throws a flow out; false when it has none of that id. */
bool offload_fake_evict(struct offload_provider *provider, uint64_t flow, const char *reason);
/* While it is held, requests take effect, but answers are kept back. */
void offload_fake_hold(struct offload_provider *provider, bool hold);
/* Answers that are kept back come in the opposite order. */
void offload_fake_reverse(struct offload_provider *provider);
/* The device is gone. */
void offload_fake_die(struct offload_provider *provider);
/* Flows in the table; whether one is. */
unsigned offload_fake_count(const struct offload_provider *provider);
bool offload_fake_has(const struct offload_provider *provider, uint64_t flow);

enum offload_fake_verdict {
	OFFLOAD_FAKE_UP, /* to the switch, as it came */
	OFFLOAD_FAKE_SENT,
	OFFLOAD_FAKE_METERED, /* dropped by a meter */
};

/* A frame arrives. SENT: *ret_port and *ret_frame (Owned by the caller) tell what leaves. */
enum offload_fake_verdict offload_fake_receive(struct offload_provider *provider, uint32_t port,
	const uint8_t *frame, size_t length, uint32_t *ret_port, GByteArray **ret_frame);
