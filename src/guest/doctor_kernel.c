/* Kernels: older than the first with which a distribution's VFs work. */
#include "guest/doctor_priv.h"

#include "base/sysfs.h"

#include <string.h>

/* "Create a Linux virtual machine with Accelerated Networking" says which; of other distributions nothing is known. What
 * it says of RHEL and CentOS 7.4 are versions of images, which a guest does not know of itself. */
static const struct minimum {
	const char *id, *version; /* ID and VERSION_ID, os-release(5) */
	const char *name;
	const char *kernel; /* as `uname -r`, up to the flavour */
} minima[] = {
	{"ubuntu", "16.04", "Ubuntu 16.04", "4.11.0-1013"},
	{"sles", "12.3", "SUSE Linux Enterprise Server 12 SP3", "4.4.92-6.18"},
};

/* The value of a line KEY=VALUE, without the quotes of a shell; NULL: there is none. Owned by the caller. */
static char *value_of(char *const *lines, const char *key)
{
	size_t length = strlen(key);

	for (; *lines; lines++)
		if (g_str_has_prefix(*lines, key) && (*lines)[length] == '=')
			return g_shell_unquote(*lines + length + 1, NULL);
	return NULL;
}

static const struct minimum *find_minimum(const char *root)
{
	g_autofree char *text = sysfs_text(root, "/etc/os-release");
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	g_autofree char *id = value_of(lines, "ID"), *version = value_of(lines, "VERSION_ID");

	for (size_t i = 0; i < G_N_ELEMENTS(minima); i++)
		if (g_strcmp0(id, minima[i].id) == 0 && g_strcmp0(version, minima[i].version) == 0)
			return &minima[i];
	return NULL;
}

void doctor_check_kernel(const char *root, const char *kernel, GPtrArray *findings)
{
	const struct minimum *minimum = find_minimum(root);

	if (!minimum || !kernel)
		return;
	if (strverscmp(kernel, minimum->kernel) < 0)
		findings_add(findings, FINDING_PROBLEM, "kernel", NULL,
			"install the distribution's newest kernel (Ubuntu 16.04: linux-azure), and reboot",
			"%s is older than %s, with which VFs begin to work in %s", kernel, minimum->kernel,
			minimum->name);
	else
		findings_add(findings, FINDING_OK, "kernel", NULL, NULL, "%s is not older than %s", kernel,
			minimum->kernel);
}
