/* Does /dev/kvm really run guests at hardware speed?
 *
 * A device that opens is not enough: where KVM is itself virtualised without hardware help, CREATE_VM
 * succeeds and a stock kernel never boots. So a tiny guest runs a counted loop and is timed.
 */
#pragma once
#include <stdbool.h>

struct kvm_probe {
	enum kvm_outcome {
		KVM_USABLE,
		KVM_NO_DEVICE, /* `error` says why it does not open */
		KVM_BROKEN, /* a step of making or running the guest failed; `step` and `error` */
		KVM_SLOW, /* it runs, but is emulated: `mips` */
		KVM_HANGS, /* no answer within KVM_PROBE_TIMEOUT_MS */
	} outcome;
	int error; /* errno, 0 for none */
	const char *step; /* static text, NULL for none */
	double mips; /* millions of guest instructions a second */
};

/* A guest slower than this is emulated: hardware does a thousand and more, nested paravirtual KVM below one.
 */
#define KVM_PROBE_MIN_MIPS   100
#define KVM_PROBE_TIMEOUT_MS 3000

/* Blocks for milliseconds where KVM works, KVM_PROBE_TIMEOUT_MS at most. The guest runs in a forked child, so
 * that a hang in the kernel cannot hurt the caller. Thread-safe. */
struct kvm_probe kvm_probe_run(const char *device);

/* One sentence for people: which KVM, or why TCG. Owned by the caller. */
char *kvm_probe_describe(const struct kvm_probe *probe);
