/* Kernels with which VFs begin to work.
 *
 * Microsoft's "Create a Linux virtual machine with Accelerated Networking" says which, of two distributions. What it says
 * of RHEL and CentOS 7.4 are versions of images, which a guest does not know of itself; of others nothing is known.
 */
#pragma once

struct kernel_minimum {
	const char *id, *version; /* ID and VERSION_ID, os-release(5) */
	const char *name;
	const char *kernel; /* as `uname -r`, up to the flavour */
};

/* What an administrator of such a guest does about an old one. */
#define KERNEL_REMEDY "install the distribution's newest kernel (Ubuntu 16.04: linux-azure), and reboot"

/* NULL: nothing is known of that distribution. Either word may be NULL. */
const struct kernel_minimum *kernel_minimum_find(const char *id, const char *version);
/* The minimum that the kernel is older than; NULL: it is not, or nothing is known. */
const struct kernel_minimum *kernel_minimum_missed(const char *id, const char *version, const char *kernel);
