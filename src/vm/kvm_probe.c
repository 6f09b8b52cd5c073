/* Times a loop in a tiny guest.
 *
 * How it works: a child is forked, makes a VM with one page of memory and one real-mode vCPU, and runs
 *
 *     mov cx, LOOPS; L: add ax, bx; add ax, bx; dec cx; jnz L; hlt
 *
 * up to RUNS times, until one run is fast enough (a preempted run on a busy host must not condemn KVM) or
 * clearly emulated. It writes the outcome into a pipe. The parent waits for the pipe with a deadline and
 * kills the child after it. The child of a threaded program may only make system calls: it neither allocates
 * nor formats. Rejected: feature bits (KVM_CAP_X86_SMM and the like), module names and cpuinfo flags, since
 * each is right about today's kernels only; booting a real kernel, since it takes seconds where it works.
 */
#include "vm/kvm_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GUEST_BASE   0x1000
#define GUEST_SIZE   0x1000
#define TSS_ADDR     0xfffbd000 /* three pages that older Intel CPUs need for real mode; outside guest memory */
#define LOOPS        50000
#define INSTRUCTIONS (4.0 * LOOPS)
#define RUNS         5
#define HOPELESS_S   0.1 /* a run this long is no preemption */

struct guest {
	int vm, vcpu;
	uint8_t *memory;
	struct kvm_run *run;
};

static struct kvm_probe broken(const char *step)
{
	return (struct kvm_probe){.outcome = KVM_BROKEN, .error = errno, .step = step};
}

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *map(int fd, size_t size)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Returns the name of the step that failed (errno set), NULL when the guest is ready. */
static const char *guest_make(int kvm, struct guest *guest)
{
	static const uint8_t code[] = {
		0xb9, LOOPS & 0xff, LOOPS >> 8, 0x01, 0xd8, 0x01, 0xd8, 0x49, 0x75, 0xf9, 0xf4};
	struct kvm_sregs sregs;
	int run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (run_size < (int)sizeof *guest->run)
		return "asking for the size of a vCPU";
	if ((guest->vm = ioctl(kvm, KVM_CREATE_VM, 0)) < 0)
		return "making a VM";
	if (!(guest->memory = map(-1, GUEST_SIZE)))
		return "allocating guest memory";
	memcpy(guest->memory, code, sizeof code);
	struct kvm_userspace_memory_region region = {.guest_phys_addr = GUEST_BASE,
		.memory_size = GUEST_SIZE,
		.userspace_addr = (uintptr_t)guest->memory};
	if (ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return "giving the VM memory";
	if (ioctl(guest->vm, KVM_SET_TSS_ADDR, TSS_ADDR) < 0)
		return "setting the TSS address";
	if ((guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0)) < 0)
		return "making a vCPU";
	if (!(guest->run = map(guest->vcpu, (size_t)run_size)))
		return "mapping the vCPU";
	if (ioctl(guest->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return "reading registers";
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	return ioctl(guest->vcpu, KVM_SET_SREGS, &sregs) < 0 ? "setting segment registers" : NULL;
}

/* Seconds that one run of the loop took; negative when it did not end in HLT. */
static double guest_loop(const struct guest *guest)
{
	struct kvm_regs regs = {.rip = GUEST_BASE, .rflags = 2 /* always one */};

	if (ioctl(guest->vcpu, KVM_SET_REGS, &regs) < 0)
		return -1;
	double start = now_s();
	if (ioctl(guest->vcpu, KVM_RUN, 0) < 0 || guest->run->exit_reason != KVM_EXIT_HLT)
		return -1;
	return now_s() - start;
}

static struct kvm_probe measure(const char *device)
{
	struct guest guest;
	double best = 0;
	int kvm = open(device, O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		return (struct kvm_probe){.outcome = KVM_NO_DEVICE, .error = errno};
	if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return broken("asking for the API version");
	const char *step = guest_make(kvm, &guest);
	if (step)
		return broken(step);
	for (int i = 0; i < RUNS; i++) {
		double took_s = guest_loop(&guest);
		if (took_s < 0)
			return broken("running the guest");
		double mips = INSTRUCTIONS / took_s / 1e6;
		best = mips > best ? mips : best;
		if (best >= KVM_PROBE_MIN_MIPS || took_s > HOPELESS_S)
			break;
	}
	return (struct kvm_probe){
		.outcome = best >= KVM_PROBE_MIN_MIPS ? KVM_USABLE : KVM_SLOW, .mips = best};
}

/* Waits for the child to end, but not for one that the kernel holds: that one is left as a zombie. */
static void reap(pid_t child)
{
	for (int i = 0; i < 100 && waitpid(child, NULL, WNOHANG) == 0; i++)
		g_usleep(1000);
}

struct kvm_probe kvm_probe_run(const char *device)
{
	struct kvm_probe probe = {.outcome = KVM_HANGS};
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return broken("making a pipe");
	pid_t child = fork();
	if (child == 0) {
		probe = measure(device);
		_exit(write(fds[1], &probe, sizeof probe) == sizeof probe ? 0 : 1);
	}
	if (child < 0) {
		probe = broken("starting a child process");
		close(fds[0]);
		close(fds[1]);
		return probe;
	}
	close(fds[1]);
	struct pollfd readable = {.fd = fds[0], .events = POLLIN};
	gint64 end = g_get_monotonic_time() + KVM_PROBE_TIMEOUT_MS * 1000;
	int n, left_ms;
	do
		left_ms = (int)MAX(0, (end - g_get_monotonic_time()) / 1000);
	while ((n = poll(&readable, 1, left_ms)) < 0 && errno == EINTR);
	/* The pointer in it is to static text: the child is a copy of this process. */
	if (n == 1 && read(fds[0], &probe, sizeof probe) != sizeof probe)
		probe = (struct kvm_probe){
			.outcome = KVM_BROKEN, .step = "running the guest (the process died)"};
	kill(child, SIGKILL);
	reap(child);
	close(fds[0]);
	return probe;
}

char *kvm_probe_describe(const struct kvm_probe *probe)
{
	switch (probe->outcome) {
	case KVM_USABLE:
		return g_strdup_printf("KVM runs guest code at hardware speed (%.0f MIPS)", probe->mips);
	case KVM_NO_DEVICE:
		if (probe->error == ENOENT)
			return g_strdup("TCG: there is no /dev/kvm; the processor's virtualisation is off or "
					"its kvm module "
					"is not loaded");
		return g_strdup_printf("TCG: /dev/kvm does not open: %s", g_strerror(probe->error));
	case KVM_BROKEN:
		return g_strdup_printf("TCG: /dev/kvm is there, but %s failed%s%s", probe->step,
			probe->error ? ": " : "", probe->error ? g_strerror(probe->error) : "");
	case KVM_SLOW:
		return g_strdup_printf(
			"TCG: /dev/kvm runs guest code at %.2f MIPS, so it is itself emulated; stock "
			"kernels do not boot on it",
			probe->mips);
	case KVM_HANGS:
		return g_strdup_printf(
			"TCG: /dev/kvm did not finish a tiny guest in %d s", KVM_PROBE_TIMEOUT_MS / 1000);
	}
	g_return_val_if_reached(NULL);
}
