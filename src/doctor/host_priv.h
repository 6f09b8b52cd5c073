/* Parts of the host's doctor: each looks at one matter and adds what it finds. */
#pragma once
#include "doctor/host.h"

/* Whether one of the space-separated words of the kernel's command line is `word`. */
bool host_kernel_line_has(const struct host_source *source, const char *word);

/* Whether this machine is a virtual one itself: then what firmware does elsewhere is for its hypervisor to do. */
bool host_is_virtual(const struct host_source *source);

/* The remedy that fits the machine: a constant. */
const char *host_remedy(const struct host_source *source, const char *real, const char *virtual_machine);

/* Whether a NIC here has SR-IOV: without one, what only SR-IOV needs is no problem. */
bool host_has_sriov(const struct host_source *source);

void host_check_devices(const struct host_source *source, GPtrArray *findings); /* NICs and their functions */
void host_check_nic_setup(
	const struct host_source *source, GPtrArray *findings); /* NICs that are set up for no VFs */
void host_check_eswitches(const struct host_source *source,
	GPtrArray *findings); /* of NICs that are in switchdev mode, or should be */
void host_check_kernel_log(const struct host_source *source, GPtrArray *findings);
