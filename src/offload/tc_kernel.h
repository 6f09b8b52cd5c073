/* Whom tc's messages go to: the kernel; or one that is made up, in tests (test_kernel.h). */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdint.h>
#include <sys/types.h>

struct tc_kernel;

struct tc_kernel_ops {
	/* Executes all messages of a buffer, and has the answers ready, before it returns: 0 or -errno. */
	int (*send)(struct tc_kernel *kernel, const void *bytes, size_t size);
	/* The next answers, or the next part of a dump: how many bytes; -EAGAIN: none are there; or another -errno. */
	ssize_t (*receive)(struct tc_kernel *kernel, void *buffer, size_t size);
	void (*close)(struct tc_kernel *kernel);
};

/* First member of every implementation's own struct. One thread at a time. */
struct tc_kernel {
	const struct tc_kernel_ops *ops;
	uint32_t port; /* that messages say they are from */
};

/* In the network namespace of the calling thread. send_bytes: the longest buffer. */
struct tc_kernel *tc_kernel_open(size_t send_bytes, GError **error);

static inline void tc_kernel_close(struct tc_kernel *kernel)
{
	if (kernel)
		kernel->ops->close(kernel);
}
CLEANUP_FUNC(struct tc_kernel *, tc_kernel_close)
