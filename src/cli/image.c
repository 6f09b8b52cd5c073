/* `sluice image`: the disks that virtual machines start from. */
#include "vm/image.h"

#include "base/fault.h"
#include "base/log.h"
#include "cli/cli.h"
#include "vm/image_alias.h"
#include "vm/image_build.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <string.h>

struct options {
	char *state, *dir, *id, *description, *alias, *urn;
	gboolean accelerated;
};

static char *image_dir(const struct options *options)
{
	g_autofree char *state = cli_state_dir(options->state);

	return options->dir ? g_canonicalize_filename(options->dir, NULL)
			    : g_build_filename(state, "images", NULL);
}

static bool set_alias(const struct options *options, const char *dir, const char *id, GError **error)
{
	_cleanup_(image_free) struct image *image = image_load(dir, id, error);

	return image && image_alias_set(dir, options->alias, options->urn, image, error);
}

static bool do_build(const struct options *options, const char *dir, const char *argument, GError **error)
{
	const struct image_build build = {.image_dir = dir};
	g_autofree char *id = NULL;

	if (!image_build_run(&build, &id, error))
		return false;
	printf("image %s is ready in %s\n", id, dir);
	return true;
}

static bool do_import(const struct options *options, const char *dir, const char *argument, GError **error)
{
	const struct image_import import = {
		.id = options->id,
		.source = argument,
		.description = options->description,
		.accelerated = options->accelerated,
	};

	if (!argument || !options->id)
		return fault_set(error, FAULT_INVALID, "a qcow2 file and --id NAME are needed");
	return image_import(dir, &import, error) &&
	       (!options->alias || set_alias(options, dir, options->id, error));
}

static bool do_alias(const struct options *options, const char *dir, const char *argument, GError **error)
{
	if (!argument || !options->alias)
		return fault_set(error, FAULT_INVALID,
			"the id of an image and --alias NAME are needed; 'sluice image list' shows ids");
	return set_alias(options, dir, argument, error);
}

static bool do_remove(const struct options *options, const char *dir, const char *argument, GError **error)
{
	if (!argument)
		return fault_set(
			error, FAULT_INVALID, "the id of an image is needed; 'sluice image list' shows them");
	return image_remove(dir, argument, error);
}

/* Aliases that stand for the image, "UbuntuLTS Debian12". */
static char *aliases_of(const GPtrArray *aliases, const char *image)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < aliases->len; i++) {
		const struct image_alias *alias = aliases->pdata[i];
		if (g_str_equal(alias->image, image))
			g_string_append_printf(text, "%s%s", text->len ? " " : "", alias->name);
	}
	return g_string_free(text, FALSE);
}

static bool do_list(const struct options *options, const char *dir, const char *argument, GError **error)
{
	g_autoptr(GPtrArray) images = image_list(dir, error);
	g_autoptr(GPtrArray) aliases = images ? image_alias_list(dir, error) : NULL;
	struct libscols_table *table = scols_new_table();

	for (const char *const *column =
			(const char *const[]){"ID", "ACCELERATED", "ALIASES", "DESCRIPTION", NULL};
		*column; column++)
		scols_table_new_column(table, *column, 0, 0);
	for (guint i = 0; aliases && i < images->len; i++) {
		const struct image *image = images->pdata[i];
		struct libscols_line *line = scols_table_new_line(table, NULL);
		g_autofree char *names = aliases_of(aliases, image->id);
		scols_line_set_data(line, 0, image->id);
		scols_line_set_data(line, 1, image->accelerated ? "yes" : "no");
		scols_line_set_data(line, 2, names);
		scols_line_set_data(line, 3, image->description ? image->description : "");
	}
	if (aliases)
		scols_print_table(table);
	scols_unref_table(table);
	return aliases != NULL;
}

static const struct {
	const char *name;
	bool (*run)(const struct options *options, const char *dir, const char *argument, GError **error);
} actions[] = {{"build", do_build}, {"import", do_import}, {"alias", do_alias}, {"list", do_list},
	{"remove", do_remove}};

int cli_image(int argc, char **argv)
{
	struct options o = {};
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o.state,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"images", 0, 0, G_OPTION_ARG_FILENAME, &o.dir, "Image store (STATE/images)", "DIR"},
		{"id", 0, 0, G_OPTION_ARG_STRING, &o.id, "Name of the image in the store", "NAME"},
		{"description", 0, 0, G_OPTION_ARG_STRING, &o.description, "A sentence about it (import)",
			"TEXT"},
		{"accelerated", 0, 0, G_OPTION_ARG_NONE, &o.accelerated,
			"The guest has net_failover and VF drivers (import)", NULL},
		{"alias", 0, 0, G_OPTION_ARG_STRING, &o.alias,
			"Name that clients ask for it by, such as UbuntuLTS (import, alias)", "NAME"},
		{"urn", 0, 0, G_OPTION_ARG_STRING, &o.urn,
			"URN of the alias (what it had, else sluice:NAME:default)", "PUBLISHER:OFFER:SKU"},
		{NULL},
	};
	g_autoptr(GError) error = NULL;
	int status = CLI_USAGE;

	if (!cli_options(&argc, &argv, "build|import FILE|alias ID|list|remove ID",
		    "Makes, takes in, shows and removes images of virtual machines.", entries))
		return CLI_USAGE;
	log_init("sluice");
	g_autofree char *dir = image_dir(&o);
	for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(actions); i++)
		if (g_str_equal(argv[1], actions[i].name))
			status = actions[i].run(&o, dir, argc > 2 ? argv[2] : NULL, &error)
					 ? CLI_OK
					 : cli_fail("image", error);
	if (status == CLI_USAGE)
		fprintf(stderr, "sluice image: one of build, import, alias, list, remove is needed\n");
	g_free(o.state);
	g_free(o.dir);
	g_free(o.id);
	g_free(o.description);
	g_free(o.alias);
	g_free(o.urn);
	return status;
}
