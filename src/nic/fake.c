/* The fake provider, for tests: a function is a file. */
#include "base/fault.h"
#include "nic/function_pool.h"

#include <errno.h>
#include <glib/gstdio.h>

static const struct nic_caps fake_caps = {
	.name = "fake",
	.claim = "fake: for tests",
};

static bool make_file(void *data, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(data, name, NULL);

	return g_file_set_contents(path, "", 0, error);
}

static bool remove_file(void *data, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(data, name, NULL);

	return g_unlink(path) == 0 || errno == ENOENT ||
	       fault_set(error, FAULT_INTERNAL, "cannot remove %s: %s", path, g_strerror(errno));
}

static const struct function_maker file_maker = {make_file, remove_file, g_free};

struct nic_provider *nic_fake_open(const char *folder, unsigned limit, GError **error)
{
	g_autofree char *ledger = g_build_filename(folder, "functions.json", NULL);

	return function_pool_open(&fake_caps, ledger, limit, &file_maker, g_strdup(folder), error);
}
