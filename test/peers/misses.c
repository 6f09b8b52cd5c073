/* What a cache line costs that is not near: the arithmetic of docs/PERFORMANCE.md. Prints a table.
 *
 * Lines of a memory are read in random order: each from the one before, so that nothing can be fetched ahead, and by bursts
 * of 32 that are asked for first, as a flow table does. The memory is as much as that many connections take there, in
 * pages of 4 KiB and of 2 MiB (where the machine has some to give).
 */
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#define LINE          64
#define CONNECTION    256 /* bytes: two directions of 128 */
#define BURST         32
#define READS         (1u << 22)
#define HUGE_PAGE     ((gsize)2 << 20)
#define NS_PER_SECOND 1e9

struct line {
	uint32_t next;
	uint32_t filler[LINE / sizeof(uint32_t) - 1];
};
G_STATIC_ASSERT(sizeof(struct line) == LINE);

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * NS_PER_SECOND + (double)now.tv_nsec;
}

/* Makes one circle of all lines, in random order (Sattolo's shuffle). */
static void link_lines(struct line *lines, uint32_t n)
{
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (uint32_t i = 0; i < n; i++)
		lines[i].next = i;
	for (uint32_t i = n - 1; i > 0; i--) {
		uint32_t other = (uint32_t)g_rand_int_range(random, 0, (gint32)i);
		uint32_t next = lines[i].next;
		lines[i].next = lines[other].next;
		lines[other].next = next;
	}
}

/* ns a line when each says which is next. */
static double chase(const struct line *lines)
{
	uint32_t at = 0;
	double began = now_ns();

	for (uint32_t i = 0; i < READS; i++)
		at = lines[at].next;
	double took = now_ns() - began;
	__asm__ volatile("" : : "r"(at));
	return took / READS;
}

/* ns a line when 32 are asked for before the first is read. */
static double bursts(const struct line *lines, uint32_t n)
{
	uint32_t state = 1, sum = 0;
	double began = now_ns();

	for (uint32_t i = 0; i < READS; i += BURST) {
		const struct line *wanted[BURST];
		for (unsigned k = 0; k < BURST; k++) {
			state = state * 1664525 + 1013904223;
			wanted[k] = &lines[((uint64_t)state * n) >> 32];
			__builtin_prefetch(wanted[k]);
		}
		for (unsigned k = 0; k < BURST; k++)
			sum += wanted[k]->next;
	}
	double took = now_ns() - began;
	__asm__ volatile("" : : "r"(sum));
	return took / READS;
}

static void measure(gsize connections, bool huge)
{
	gsize bytes = (connections * CONNECTION + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
	uint32_t n = (uint32_t)(connections * CONNECTION / LINE);
	struct line *lines = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | (huge ? MAP_HUGETLB : 0), -1, 0);

	if (lines == MAP_FAILED) {
		printf("| %zu | %s | not to be had | |\n", connections, huge ? "2 MiB" : "4 KiB");
		return;
	}
	if (!huge) /* not made so behind our back */
		madvise(lines, bytes, MADV_NOHUGEPAGE);
	link_lines(lines, n);
	chase(lines);
	double alone = chase(lines);
	printf("| %zu | %s | %.1f | %.1f |\n", connections, huge ? "2 MiB" : "4 KiB", alone,
		bursts(lines, n));
	munmap(lines, bytes);
}

int main(void)
{
	static const gsize connections[] = {1000, 100000, 1000000};

	printf("| connections | pages | a line, each from the one before, ns | by bursts of 32, ns "
	       "|\n|---|---|---|---|\n");
	for (size_t i = 0; i < G_N_ELEMENTS(connections); i++) {
		measure(connections[i], false);
		measure(connections[i], true);
	}
	return 0;
}
