/* The memory of flows: see flow_memory.h for how it works. */
#include "switch/flow_memory.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MAGIC        0x534c4643u
#define VERSION      6u /* changes with what layout_hash cannot see: a member's meaning, the hash of keys */
#define PAGE         4096u
#define SHARED_DIR   "/dev/shm"
#define BACKING_STEP 4096u /* entries: half a MiB, which takes about as long as a burst of first packets */

/* ---- layout ---- */

static size_t round_up(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

static uint32_t entries_for(uint32_t connections)
{
	return (connections + FLOW_MEMORY_SPARE) * 2 + 1;
}

static size_t entries_at(void)
{
	return round_up(sizeof(struct flow_header), PAGE);
}

size_t flow_memory_size(uint32_t connections)
{
	return round_up(entries_at() + (size_t)entries_for(connections) * sizeof(struct flow), PAGE);
}

/* Differs when a member of anything that lies in the file has moved or grown. */
static uint64_t layout_hash(void)
{
#define MEMBER(type, name) offsetof(struct type, name), sizeof(((struct type *)NULL)->name)
	const size_t shape[] = {sizeof(struct flow_header), MEMBER(flow_header, high_water),
		MEMBER(flow_header, epoch), MEMBER(flow_header, secret), MEMBER(flow_header, nics),
		MEMBER(flow_memory_nic, function_s), MEMBER(flow_memory_nic, uid), sizeof(struct flow),
		MEMBER(flow, key), MEMBER(flow, seq), MEMBER(flow, pair), MEMBER(flow, created_s),
		MEMBER(flow, hash), MEMBER(flow, live), MEMBER(flow, reply), MEMBER(flow, blocked),
		MEMBER(flow, carried), MEMBER(flow, action), MEMBER(flow, epoch), MEMBER(flow, seen_ms),
		MEMBER(flow, tcp), MEMBER(flow, packets), MEMBER(flow, bytes), MEMBER(flow_key, src),
		MEMBER(flow_key, dst), MEMBER(flow_key, sport), MEMBER(flow_key, dport),
		MEMBER(flow_key, nic), MEMBER(flow_key, origin), MEMBER(flow_key, family),
		MEMBER(flow_key, protocol), MEMBER(flow_action, exit), MEMBER(flow_action, flags),
		MEMBER(flow_action, mtu), MEMBER(flow_action, target), MEMBER(flow_action, dmac),
		MEMBER(flow_action, smac), MEMBER(flow_action, new_src), MEMBER(flow_action, new_dst),
		MEMBER(flow_action, next_hop), MEMBER(flow_action, difference), MEMBER(flow_action, new_port),
		FLOW_FROM_NIC, FLOW_FROM_OUTSIDE, FLOW_FROM_HOST, FLOW_TO_NIC, FLOW_TO_OUTSIDE, FLOW_TO_HOST,
		FLOW_FROM_TUNNEL, FLOW_TO_TUNNEL, FLOW_FROM_PHYSICAL, FLOW_TO_PHYSICAL, IP_V4, IP_V6};
#undef MEMBER
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < G_N_ELEMENTS(shape); i++)
		hash = (hash ^ shape[i]) * UINT64_C(0x100000001b3);
	return hash;
}

/* ---- header ---- */

/* The magic number comes last: a header that is not whole is none. */
static void header_init(struct flow_header *header, uint32_t connections)
{
	header->version = VERSION;
	header->layout = layout_hash();
	header->connections = connections;
	header->n_entries = entries_for(connections);
	header->high_water = 1;
	if (getrandom(header->secret, sizeof header->secret, 0) != sizeof header->secret)
		abort(); /* never: the kernel gives so few bytes whole */
	__atomic_store_n(&header->magic, MAGIC, __ATOMIC_RELEASE);
}

/* Why entries under that header cannot be adopted; NULL: they can. The text is the caller's. */
static char *refusal(const struct flow_header *header, uint32_t connections)
{
	uint32_t high_water = header->high_water;

	if (header->magic != MAGIC)
		return g_strdup("it was never finished, or is no table of connections");
	if (header->version != VERSION || header->layout != layout_hash())
		return g_strdup_printf("another version wrote it (layout %u.%016" G_GINT64_MODIFIER
				       "x, here %u.%016" G_GINT64_MODIFIER "x)",
			header->version, header->layout, VERSION, layout_hash());
	if (header->connections != connections)
		return g_strdup_printf(
			"it was made for %u connections, not %u", header->connections, connections);
	if (header->n_entries != entries_for(connections) || high_water < 1 || high_water > header->n_entries)
		return g_strdup("its header is damaged");
	return NULL;
}

void flow_memory_set_nic(struct flow_memory *memory, unsigned slot, uint32_t number, const char *uid)
{
	struct flow_memory_nic *nic = &memory->header->nics[slot];

	if (atomic_load_explicit(&nic->number, memory_order_relaxed) == number)
		return; /* a number has one user in its life */
	atomic_store_explicit(&nic->number, 0, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	atomic_store_explicit(&nic->function_s, 0, memory_order_relaxed);
	g_strlcpy(nic->uid, uid ? uid : "", sizeof nic->uid);
	atomic_store_explicit(&nic->number, number, memory_order_release);
}

const char *flow_memory_nic_uid(const struct flow_memory *memory, unsigned slot)
{
	const struct flow_memory_nic *nic = &memory->header->nics[slot];
	bool whole = nic->number != 0 && memchr(nic->uid, '\0', sizeof nic->uid) && nic->uid[0];

	return whole ? nic->uid : NULL;
}

/* ---- backing ---- */

bool flow_memory_back(struct flow_memory *memory, uint32_t n)
{
	if (n <= memory->n_backed)
		return true;
	uint32_t wanted = MIN((uint32_t)round_up(n, BACKING_STEP), memory->n_entries);
	char *base = (char *)memory->header;
	size_t from = memory->n_backed
			      ? (entries_at() + (size_t)memory->n_backed * sizeof(struct flow)) / PAGE * PAGE
			      : 0;
	size_t to = round_up(entries_at() + (size_t)wanted * sizeof(struct flow), PAGE);

	if (madvise(base + from, to - from, MADV_POPULATE_WRITE) < 0)
		return false;
	memory->n_backed = wanted;
	return true;
}

/* ---- the file ---- */

/* What a file's place gives. */
struct place {
	bool huge;
	size_t page;
};

static bool check_type(const char *path, const struct statfs *fs, GError **error)
{
	return fs->f_type == HUGETLBFS_MAGIC || fs->f_type == TMPFS_MAGIC ||
	       fault_set(error, FAULT_INVALID,
		       "the connections' memory %s lies on a disk's file system, whose writeback would stall "
		       "packets; name a file on a tmpfs (" SHARED_DIR ") or on hugetlbfs",
		       path);
}

static bool check_place(const char *path, int fd, struct place *ret, GError **error)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return fault_set(
			error, FAULT_INTERNAL, "cannot tell where %s lies: %s", path, g_strerror(errno));
	ret->huge = fs.f_type == HUGETLBFS_MAGIC;
	ret->page = ret->huge ? (size_t)fs.f_bsize : PAGE;
	return check_type(path, &fs, error);
}

bool flow_memory_check_place(const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	struct statfs fs;

	if (g_file_test(path, G_FILE_TEST_IS_DIR))
		return fault_set(error, FAULT_INVALID,
			"the connections' memory %s is a folder; name a file in it", path);
	if (statfs(folder, &fs) < 0)
		return fault_set(error, FAULT_INVALID, "the connections' memory %s cannot be made: %s: %s",
			path, folder, g_strerror(errno));
	return check_type(path, &fs, error);
}

static bool claim(const char *path, int fd, GError **error)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_mode & 077)
		return fault_set(error, FAULT_DENIED,
			"the connections' memory %s is no regular file that is this user's alone; remove it",
			path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return fault_set(error, FAULT_IN_USE,
			"the connections' memory %s is in use by another process; end that, or name another "
			"file or state directory",
			path);
	return true;
}

/* Sets memory->adopted or ->refused, neither where the file is new. */
static bool examine(struct flow_memory *memory, GError **error)
{
	g_autofree struct flow_header *header = g_new0(struct flow_header, 1);
	struct stat st;

	if (fstat(memory->fd, &st) < 0)
		return fault_set(
			error, FAULT_INTERNAL, "cannot read %s: %s", memory->path, g_strerror(errno));
	if (st.st_size == 0)
		return true;
	if (pread(memory->fd, header, sizeof *header, 0) != sizeof *header)
		memory->refused = g_strdup("it is too short");
	else
		memory->refused = refusal(header, memory->connections);
	if (!memory->refused && (size_t)st.st_size != memory->size)
		memory->refused = g_strdup("its size is not what its header says");
	memory->adopted = !memory->refused;
	return true;
}

/* A slot whose uid is not whole is nobody's, and so no flow of it is adopted. */
static void mend_nics(struct flow_memory *memory)
{
	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (!flow_memory_nic_uid(memory, slot) ||
			(memory->header->nics[slot].number & 0xffff) != slot)
			memory->header->nics[slot].number = 0;
}

static bool map(struct flow_memory *memory, const struct place *place, GError **error)
{
	int flags = MAP_SHARED | (place->huge ? 0 : MAP_NORESERVE);

	if (!memory->adopted &&
		(ftruncate(memory->fd, 0) < 0 || ftruncate(memory->fd, (off_t)memory->size) < 0))
		return fault_set(error, FAULT_INTERNAL, "cannot make %s of %zu MiB: %s", memory->path,
			memory->size >> 20, g_strerror(errno));
	void *at = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, flags, memory->fd, 0);
	if (at == MAP_FAILED)
		return fault_set(error, FAULT_UNAVAILABLE, "cannot map %s of %zu MiB: %s", memory->path,
			memory->size >> 20, g_strerror(errno));
	memory->header = at;
	memory->entries = (struct flow *)(void *)((char *)at + entries_at());
	madvise(at, memory->size, MADV_HUGEPAGE); /* helps where tmpfs is allowed to; else it is as before */
	if (place->huge)
		memory->n_backed = memory->n_entries;
	/* The header of the mapping may differ from the one that was examined only by our own hand. */
	if (!flow_memory_back(memory, memory->adopted ? memory->header->high_water : 1))
		return fault_set(error, FAULT_UNAVAILABLE, "there is no room for %s", memory->path);
	if (memory->adopted)
		mend_nics(memory);
	else
		header_init(memory->header, memory->connections);
	return true;
}

static struct flow_memory *memory_for(const char *path, uint32_t connections)
{
	struct flow_memory *memory = g_new0(struct flow_memory, 1);

	memory->opened_us = g_get_monotonic_time();
	memory->fd = -1;
	memory->path = g_strdup(path);
	memory->connections = connections;
	memory->n_entries = entries_for(connections);
	memory->size = flow_memory_size(connections);
	return memory;
}

/* It has the file open. A new file that turns out to be useless is removed again. */
static bool use_file(struct flow_memory *memory, GError **error)
{
	struct place place = {.page = PAGE};

	if (!check_place(memory->path, memory->fd, &place, error) || !claim(memory->path, memory->fd, error))
		return false;
	memory->size = round_up(memory->size, place.page);
	return examine(memory, error) && map(memory, &place, error);
}

struct flow_memory *flow_memory_open(const char *path, uint32_t connections, GError **error)
{
	_cleanup_(flow_memory_free) struct flow_memory *memory = memory_for(path, connections);
	const int flags = O_RDWR | O_NOFOLLOW | O_CLOEXEC;

	memory->fd = open(path, flags);
	bool is_new = memory->fd < 0 && errno == ENOENT;
	if (is_new)
		memory->fd = open(path, flags | O_CREAT | O_EXCL, 0600);
	if (memory->fd < 0) {
		fault_set(error, FAULT_UNAVAILABLE,
			"cannot open the connections' memory %s: %s; remove it if another user made it", path,
			g_strerror(errno));
		return NULL;
	}
	memory->made = is_new;
	if (!use_file(memory, error)) {
		flow_memory_forget_made(memory);
		return NULL;
	}
	return g_steal_pointer(&memory);
}

/* ---- the place of a state directory's ---- */

/* Where hugetlbfs is mounted so that we can make files, or NULL. Owned by the caller. */
static char *huge_folder(void)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	char *found = NULL, buffer[4096];
	struct mntent entry;

	while (mounts && !found && getmntent_r(mounts, &entry, buffer, sizeof buffer))
		if (g_str_equal(entry.mnt_type, "hugetlbfs") && access(entry.mnt_dir, W_OK | X_OK) == 0)
			found = g_strdup(entry.mnt_dir);
	if (mounts)
		endmntent(mounts);
	return found;
}

struct flow_memory *flow_memory_open_for(
	const char *state_dir, uint32_t connections, bool hugepages, GError **error)
{
	g_autofree char *whole = g_canonicalize_filename(state_dir, NULL);
	g_autofree char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, whole, -1);
	g_autofree char *name = g_strdup_printf("sluice-%.16s-flows", digest);
	g_autofree char *shared = g_build_filename(SHARED_DIR, name, NULL);
	g_autofree char *folder = hugepages ? huge_folder() : NULL;
	g_autofree char *huge = folder ? g_build_filename(folder, name, NULL) : NULL;

	if (huge && (access(huge, F_OK) == 0 || access(shared, F_OK) != 0)) {
		g_autoptr(GError) cause = NULL;
		struct flow_memory *memory = flow_memory_open(huge, connections, &cause);
		if (memory)
			return memory;
		if (g_error_matches(cause, FAULT, FAULT_IN_USE)) {
			g_propagate_error(error, g_steal_pointer(&cause));
			return NULL;
		}
	}
	return flow_memory_open(shared, connections, error);
}

/* ---- life ---- */

struct flow_memory *flow_memory_new(uint32_t connections)
{
	_cleanup_(flow_memory_free) struct flow_memory *memory = memory_for(NULL, connections);
	void *at = mmap(NULL, memory->size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	memory->header = at;
	memory->entries = (struct flow *)(void *)((char *)at + entries_at());
	memory->n_backed = memory->n_entries;
	madvise(at, memory->size, MADV_HUGEPAGE);
	header_init(memory->header, connections);
	return g_steal_pointer(&memory);
}

void flow_memory_free(struct flow_memory *memory)
{
	if (!memory)
		return;
	if (memory->header)
		munmap(memory->header, memory->size);
	if (memory->fd >= 0)
		close(memory->fd);
	g_free(memory->refused);
	g_free(memory->path);
	g_free(memory);
}

void flow_memory_forget(const struct flow_memory *memory)
{
	if (memory->path)
		unlink(memory->path);
}

void flow_memory_forget_made(const struct flow_memory *memory)
{
	if (memory->made)
		flow_memory_forget(memory);
}
