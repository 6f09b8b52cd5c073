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
	gboolean accelerated, remove;
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

	if (!image || !image_alias_set(dir, options->alias, options->urn, image, error))
		return false;
	printf("alias %s stands for image %s\n", options->alias, id);
	return true;
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

	if (!image_import(dir, &import, error))
		return false;
	printf("image %s is ready in %s\n", options->id, dir);
	return !options->alias || set_alias(options, dir, options->id, error);
}

static bool remove_alias(const char *dir, const char *name, GError **error)
{
	if (!image_alias_remove(dir, name, error))
		return false;
	printf("alias %s is removed\n", name);
	return true;
}

static bool do_alias(const struct options *options, const char *dir, const char *argument, GError **error)
{
	if (options->remove)
		return remove_alias(dir, argument, error);
	return set_alias(options, dir, argument, error);
}

static bool do_remove(const struct options *options, const char *dir, const char *argument, GError **error)
{
	if (!image_remove(dir, argument, error))
		return false;
	printf("image %s is removed\n", argument);
	return true;
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
		g_autofree char *names = image_alias_names(aliases, image->id, " ");
		scols_line_set_data(line, 0, image->id);
		bool accelerated = image->accelerated || image_alias_supports(aliases, image->id);
		scols_line_set_data(line, 1, accelerated ? "yes" : "no");
		scols_line_set_data(line, 2, names);
		scols_line_set_data(line, 3, image->description ? image->description : "");
	}
	if (aliases && !images->len)
		printf("no image in %s; make one with 'sluice image build', or import one\n", dir);
	else if (aliases)
		scols_print_table(table);
	scols_unref_table(table);
	return aliases != NULL;
}

static const struct action {
	const char *name;
	bool (*run)(const struct options *options, const char *dir, const char *argument, GError **error);
	int arguments; /* at most */
} actions[] = {{"build", do_build, 0}, {"import", do_import, 1}, {"alias", do_alias, 1}, {"list", do_list, 0},
	{"remove", do_remove, 1}};

/* NULL, having said why, when the words are none of the verb's. */
static const struct action *find_action(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < G_N_ELEMENTS(actions); i++) {
		if (!g_str_equal(argv[1], actions[i].name))
			continue;
		int last = 1 + actions[i].arguments;
		if (argc - 1 <= last)
			return &actions[i];
		fprintf(stderr, "sluice image: %s does not take '%s'\n", argv[1], argv[last + 1]);
		return NULL;
	}
	cli_no_action("image", argc > 1 ? argv[1] : NULL, "one of build, import, alias, list, remove");
	return NULL;
}

/* What is missing, or too much; NULL: nothing. */
static const char *find_mistake(const struct action *action, const char *argument, const struct options *o)
{
	bool import = action->run == do_import, alias = action->run == do_alias;

	if (import && (!argument || !o->id))
		return "a qcow2 file and --id NAME are needed";
	if (alias && o->remove && !argument)
		return "the name of an alias is needed; 'sluice image list' shows them";
	if (alias && o->remove && (o->alias || o->urn))
		return "alias --remove takes the name of an alias, and neither --alias nor --urn";
	if (alias && !o->remove && (!argument || !o->alias))
		return "give the id of an image and --alias NAME, or --remove and an alias; 'sluice image "
		       "list' "
		       "shows them";
	if (action->run == do_remove && !argument)
		return "the id of an image is needed; 'sluice image list' shows them";
	if (!import && (o->id || o->description || o->accelerated))
		return "--id, --description and --accelerated are for 'import FILE'";
	if (!import && !alias && (o->alias || o->urn))
		return "--alias and --urn are for 'import FILE' and 'alias ID'";
	return o->remove && !alias ? "--remove is for 'alias --remove NAME'" : NULL;
}

/* No image or alias can be called so. */
static bool check_names(
	const struct action *action, const char *argument, const struct options *o, GError **error)
{
	bool has_id = action->run == do_remove || (action->run == do_alias && !o->remove);

	return image_check_names(has_id ? argument : o->id, o->alias, o->urn, error);
}

static void options_clear(struct options *options)
{
	g_free(options->state);
	g_free(options->dir);
	g_free(options->id);
	g_free(options->description);
	g_free(options->alias);
	g_free(options->urn);
}
CLEANUP_CLEAR_FUNC(struct options, options_clear)

int cli_image(int argc, char **argv)
{
	_cleanup_(options_clear) struct options o = {};
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
		{"remove", 0, 0, G_OPTION_ARG_NONE, &o.remove,
			"Remove an alias instead of setting one: alias --remove NAME", NULL},
		{NULL},
	};
	g_autoptr(GError) error = NULL;

	if (!cli_options(&argc, &argv,
		    "build | import FILE | alias ID | alias --remove NAME | list | remove ID",
		    "Makes, takes in, shows and removes images of virtual machines.", entries))
		return CLI_USAGE;
	const struct action *action = find_action(argc, argv);
	if (!action)
		return CLI_USAGE;
	const char *mistake = find_mistake(action, argc > 2 ? argv[2] : NULL, &o);
	if (mistake)
		return cli_misused("image", mistake);
	if (!check_names(action, argc > 2 ? argv[2] : NULL, &o, &error))
		return cli_misused("image", error->message);
	log_init("sluice");
	g_autofree char *dir = image_dir(&o);
	return action->run(&o, dir, argc > 2 ? argv[2] : NULL, &error) ? CLI_OK : cli_fail("image", error);
}
