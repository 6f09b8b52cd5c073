/* Drivers of functions: bound, there to be loaded, or missing. */
#include "guest/doctor_priv.h"

#include "base/sysfs.h"

#include <fnmatch.h>
#include <string.h>

#define MODULES "/lib/modules"

/* Module files are named with '-' or '_', whatever the module's name has. */
static bool names_module(const char *list, const char *name)
{
	g_autofree char *file = g_strdup_printf("/%s.ko", name),
			*dashes = g_strdelimit(g_strdup(file), "_", '-');

	return list && (strstr(list, file) || strstr(list, dashes));
}

/* To be loaded, or built in. */
static bool has_module(const char *root, const char *name)
{
	static const char *const lists[] = {"modules.dep", "modules.builtin"};
	g_autofree char *release = sysfs_text(root, "/proc/sys/kernel/osrelease");

	for (size_t i = 0; release && i < G_N_ELEMENTS(lists); i++) {
		g_autofree char *list = sysfs_text(root, MODULES "/%s/%s", release, lists[i]);
		if (names_module(list, name))
			return true;
	}
	return false;
}

/* The module of a device that our table does not know, by what it says of itself: lines "alias PATTERN MODULE".
 * NULL: the kernel has none. Owned by the caller. */
static char *module_by_alias(const char *root, const char *address)
{
	g_autofree char *release = sysfs_text(root, "/proc/sys/kernel/osrelease");
	g_autofree char *alias = sysfs_text(root, "/sys/bus/pci/devices/%s/modalias", address);
	g_autofree char *list = release ? sysfs_text(root, MODULES "/%s/modules.alias", release) : NULL;
	g_auto(GStrv) lines = list ? g_strsplit(list, "\n", -1) : NULL;

	for (char **line = lines; alias && lines && *line; line++) {
		g_auto(GStrv) words = g_strsplit(*line, " ", 3);
		if (g_strv_length(words) == 3 && fnmatch(words[1], alias, 0) == 0)
			return g_strdup(words[2]);
	}
	return NULL;
}

static void add_missing(
	const struct function *function, const char *what, const char *wanted, GPtrArray *findings)
{
	g_autofree char *remedy =
		wanted ? g_strdup_printf("install a kernel that has %s (Debian: linux-image-amd64, as small "
					 "kernels leave "
					 "it out), or the driver of the NIC's vendor",
				 wanted)
		       : g_strdup("install the driver of the NIC's vendor, or a newer kernel");

	findings_add(findings, FINDING_PROBLEM, "driver", function->address, remedy,
		"the kernel has no driver for %s%s%s", what, wanted ? ": " : "", wanted ? wanted : "");
}

static void check_unbound(
	const char *root, const struct function *function, const char *what, GPtrArray *findings)
{
	g_autofree char *aliased = function->wanted ? NULL : module_by_alias(root, function->address);
	const char *wanted = function->wanted ? function->wanted : aliased;
	g_autofree char *load =
		g_strdup_printf("modprobe %s; if that changes nothing, dmesg tells why", wanted);

	if (aliased || (wanted && has_module(root, wanted)))
		findings_add(findings, FINDING_PROBLEM, "driver", function->address, load,
			"no driver is bound to %s", what);
	else
		add_missing(function, what, wanted, findings);
}

void doctor_check_driver(const char *root, const struct function *function, GPtrArray *findings)
{
	g_autofree char *what = function_describe(function);
	g_autofree char *give_back =
		g_strdup_printf("give it back: echo > /sys/bus/pci/devices/%s/driver_override; echo %s > "
				"/sys/bus/pci/devices/%s/driver/unbind; echo %s > /sys/bus/pci/drivers_probe",
			function->address, function->address, function->address, function->address);

	if (!function->driver)
		check_unbound(root, function, what, findings);
	else if (!function->netdev)
		findings_add(findings, FINDING_PROBLEM, "driver", function->address, give_back,
			"%s is held by %s, which makes no network interface of it", what, function->driver);
	else
		findings_add(findings, FINDING_OK, "driver", function->address, NULL, "%s has %s", what,
			function->driver);
}
