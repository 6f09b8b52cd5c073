/* Processors and memory of this host. */
#include "agent/host.h"

#include "base/fault.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Value of "Name:   123 kB" in MiB, -1 when there is no such line. */
static int64_t read_line(const char *text, const char *name)
{
	const char *line = strstr(text, name);
	int64_t kib;

	if (!line || sscanf(line + strlen(name), " %" G_GINT64_FORMAT " kB", &kib) != 1)
		return -1;
	return kib / 1024;
}

bool host_read_memory(const char *proc, struct host_memory *ret, GError **error)
{
	g_autofree char *path = g_build_filename(proc, "meminfo", NULL), *text = NULL;
	g_autoptr(GError) cause = NULL;
	struct host_memory memory;

	if (!g_file_get_contents(path, &text, NULL, &cause))
		return fault_set(error, FAULT_INTERNAL, "cannot read the host's memory: %s", cause->message);
	memory.total_mib = read_line(text, "MemTotal:");
	memory.available_mib = read_line(text, "MemAvailable:");
	if (memory.total_mib < 0 || memory.available_mib < 0)
		return fault_set(error, FAULT_INTERNAL, "%s names no MemTotal or no MemAvailable", path);
	*ret = memory;
	return true;
}

int64_t host_vcpus(void)
{
	return MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
}

int64_t host_start_mib(const struct host_admission *admission, int64_t memory_mib)
{
	return MIN(memory_mib, admission->start_mib);
}

bool host_admit(const struct host_admission *admission, const struct host_memory *memory, const char *vm,
	int64_t memory_mib, int64_t starting_mib, GError **error)
{
	int64_t need = host_start_mib(admission, memory_mib);
	int64_t have = memory->available_mib - admission->reserve_mib - starting_mib;

	if (need <= have)
		return true;
	return fault_set(error, FAULT_ALLOCATION,
		"VM %s needs %" G_GINT64_FORMAT " MiB to start; this host has %" G_GINT64_FORMAT
		" MiB available, of which %" G_GINT64_FORMAT " are reserved and %" G_GINT64_FORMAT
		" promised to VMs that are starting. Stop another VM, or choose another host",
		vm, need, memory->available_mib, admission->reserve_mib, starting_mib);
}
