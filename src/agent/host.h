/* What this host has: processors and memory; and whether one more VM may start now. */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct host_memory {
	int64_t total_mib;
	int64_t available_mib; /* the kernel's MemAvailable */
};

/* proc: "/proc", or a folder that stands for it. FAULT_INTERNAL when meminfo cannot be read. */
bool host_read_memory(const char *proc, struct host_memory *ret, GError **error);

int64_t host_vcpus(void);

/* Memory is overcommitted by the scheduler's ratio: guests touch theirs bit by bit. What must be there at a
 * start is what a guest touches while it boots. */
struct host_admission {
	int64_t start_mib; /* that a VM may touch while it boots; less when the VM is smaller */
	int64_t reserve_mib; /* that stays free for the host's own programs */
};

/* Whether a VM of `memory_mib` may start while `starting_mib` are promised to others that are booting now.
 * FAULT_ALLOCATION with a sentence when not. */
bool host_admit(const struct host_admission *admission, const struct host_memory *memory, const char *vm,
	int64_t memory_mib, int64_t starting_mib, GError **error);
/* What host_admit counts for a VM of this size. */
int64_t host_start_mib(const struct host_admission *admission, int64_t memory_mib);
