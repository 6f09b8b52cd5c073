/* Kernels: older than the first with which a distribution's VFs work. */
#include "guest/doctor_priv.h"

#include "base/kernel_age.h"
#include "guest/os_release.h"

void doctor_check_kernel(const char *root, const char *kernel, GPtrArray *findings)
{
	_cleanup_(os_release_clear) struct os_release release = {};
	const struct kernel_minimum *minimum;

	os_release_read(root, &release);
	minimum = kernel_minimum_find(release.id, release.version);
	if (!minimum || !kernel)
		return;
	if (kernel_minimum_missed(release.id, release.version, kernel))
		findings_add(findings, FINDING_PROBLEM, "kernel", NULL, KERNEL_REMEDY,
			"%s is older than %s, with which VFs begin to work in %s", kernel, minimum->kernel,
			minimum->name);
	else
		findings_add(findings, FINDING_OK, "kernel", NULL, NULL, "%s is not older than %s", kernel,
			minimum->kernel);
}
