/* Where the flow table's entries lie: memory that outlives the process, and a header that says what it is.
 *
 * How it works. The memory is a file that every process maps as a whole: a header, then the entries. Both hold
 * numbers and indices only. What can be made again from the entries (buckets, lists of free ones) is not
 * in it (flow_table.c). The next process maps the file, sees by the header that it was written for the same
 * layout and size, and adopts the entries one by one (flow_adopt.c): nothing in the file is trusted.
 *
 * A file is its process's alone, by flock, which ends with the process however that ends. A file that cannot be
 * adopted is emptied and begun anew, and `refused` says why.
 *
 * The place. On hugetlbfs, all pages are reserved when it is opened, so a process that starts knows that it
 * will run. On tmpfs, pages are taken in steps as connections come: asked for, not faulted in, since a fault in a
 * full tmpfs would be the end of the process, while a refusal is a full table. On a disk's file system it is
 * refused: writeback would stall the packets' stores. Without a file the memory is anonymous.
 *
 * Threads. The main thread opens it and writes the header's `epoch` and `nics`, before a state is published by
 * which flows could name them; the times of NICs' functions are bypass.c's. All else is changed under the flow table's
 * lock.
 */
#pragma once
#include "base/capacity.h"
#include "base/cleanup.h"
#include "switch/flow.h"

#include <glib.h>

#define FLOW_MEMORY_CONNECTIONS_MAX 16777216
#define FLOW_MEMORY_SPARE                                                                                    \
	256 /* connections that can be replaced within one grace period, also when it is full */

/* A NIC by which flows are known. After a restart it has the same number again. */
struct flow_memory_nic {
	_Atomic uint32_t number; /* nic_id; 0: nobody, or the uid is being written */
	_Atomic uint32_t function_s; /* when its function past the host was last active: see bypass.c */
	char uid[TEXT_LENGTH_MAX + 1];
};

struct flow_header {
	uint32_t magic, version;
	uint64_t layout; /* of all that lies in the file: see layout_hash */
	uint32_t connections, n_entries;
	_Atomic uint32_t high_water; /* entries from here on were never used; entry 0 never is */
	_Atomic uint32_t epoch; /* the newest that a flow can bear */
	uint64_t secret[6]; /* of the hash, which entries bear */
	struct flow_memory_nic nics[NIC_SLOTS]; /* by slot */
};

struct flow_memory {
	struct flow_header *header; /* Owned: the mapping */
	struct flow *entries;
	uint32_t connections, n_entries; /* what the header says, which is not read again */
	uint32_t n_backed; /* entries below may be written: their memory is there */
	bool made; /* its file is this process's making */
	bool adopted; /* it holds what a process before this one left */
	char *refused; /* Owned: why what was there is not adopted; NULL: it is, or nothing was there */
	char *path; /* Owned; NULL: anonymous */
	int64_t opened_us; /* g_get_monotonic_time when opening began */
	int fd; /* holds the lock; -1: anonymous */
	size_t size;
};

/* Memory that goes with the process. NULL when there is none. connections: at most
 * FLOW_MEMORY_CONNECTIONS_MAX. */
struct flow_memory *flow_memory_new(uint32_t connections);

/* The file, made (mode 0600) if it is not there. Fails when it cannot be used as it is: it is another user's,
 * another process has it open, or the place is none for it. */
struct flow_memory *flow_memory_open(const char *path, uint32_t connections, GError **error);

/* The same with a file that belongs to a state directory: on hugetlbfs where there are huge pages enough and
 * `hugepages` asks for it, else below /dev/shm; one that is there already comes first. */
struct flow_memory *flow_memory_open_for(
	const char *state_dir, uint32_t connections, bool hugepages, GError **error);

void flow_memory_free(struct flow_memory *memory);
CLEANUP_FUNC(struct flow_memory *, flow_memory_free)

/* Whether the connections' memory can be at that path, as far as its folder tells: FAULT_INVALID if not. */
bool flow_memory_check_place(const char *path, GError **error);

/* Removes the file's name, when connections need not outlive this process. */
void flow_memory_forget(const struct flow_memory *memory);
/* The same of a file that was not there before, by a process that has not begun to serve. */
void flow_memory_forget_made(const struct flow_memory *memory);

/* Sees to it that entries below n (at most n_entries) may be written. False when the place is full. */
bool flow_memory_back(struct flow_memory *memory, uint32_t n);

/* Who is known by that number from now on: uid NULL and number 0 for nobody; a new one's function was never active. A
 * kill at any moment leaves the user before, nobody, or this one. */
void flow_memory_set_nic(struct flow_memory *memory, unsigned slot, uint32_t number, const char *uid);
/* The uid in the slot, or NULL for nobody; whatever is in the file. */
const char *flow_memory_nic_uid(const struct flow_memory *memory, unsigned slot);

/* Bytes that so many connections take when all of them are used. */
size_t flow_memory_size(uint32_t connections);
