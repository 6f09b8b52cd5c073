/* Kernels with which VFs begin to work. */
#include "base/kernel_age.h"

#include <glib.h>
#include <string.h>

static const struct kernel_minimum minima[] = {
	{"ubuntu", "16.04", "Ubuntu 16.04", "4.11.0-1013"},
	{"sles", "12.3", "SUSE Linux Enterprise Server 12 SP3", "4.4.92-6.18"},
};

const struct kernel_minimum *kernel_minimum_find(const char *id, const char *version)
{
	for (size_t i = 0; i < G_N_ELEMENTS(minima); i++)
		if (g_strcmp0(id, minima[i].id) == 0 && g_strcmp0(version, minima[i].version) == 0)
			return &minima[i];
	return NULL;
}

const struct kernel_minimum *kernel_minimum_missed(const char *id, const char *version, const char *kernel)
{
	const struct kernel_minimum *minimum = kernel_minimum_find(id, version);

	return minimum && kernel && strverscmp(kernel, minimum->kernel) < 0 ? minimum : NULL;
}
