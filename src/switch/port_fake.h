/* A port for tests: what is put in is received, what is sent can be taken out. */
#pragma once
#include "switch/port.h"

struct port *port_fake_open(const char *name, unsigned index, struct rte_mempool *pool);
void port_fake_close(struct port *port);

/* The next frame that was sent, or NULL; g_bytes_unref it. */
GBytes *port_fake_take(struct port *port);
/* Frames that wait to be received, n of one kind; and how many still do. */
void port_fake_offer(struct port *port, const void *frame, size_t length, unsigned n);
unsigned port_fake_waiting(struct port *port);
/* What was left to the port (segmentation.h), whose `takes` a test may set. */
struct port_fake_open {
	uint64_t flags; /* SEGMENTATION_OPEN's; 0: the frame is complete */
	uint16_t segment;
};
GBytes *port_fake_take_open(struct port *port, struct port_fake_open *ret);
/* How many packets the receiver still takes; UINT_MAX: any number. */
void port_fake_limit(struct port *port, unsigned packets);
/* Nobody at the other end. */
void port_fake_set_down(struct port *port, bool down);
