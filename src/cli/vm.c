/* `sluice vm`: where virtual machines are, and their way from host to host. */
#include "cli/vm.h"

#include "base/fault.h"
#include "cli/cli.h"
#include "cli/order.h"

#include <libsmartcols/libsmartcols.h>
#include <stdio.h>

#define NOTICE_MAX_S 3600

/* What the command line says. */
struct vm_options {
	char *state, *to, *from; /* Owned */
	int notice_s;
	gboolean cancel, as_json;
};

static const char *text_of(const json_t *json, const char *member)
{
	const char *text = json_string_value(json_object_get(json, member));

	return text ? text : "-";
}

/* ---- list ---- */

static char *describe_migration(const json_t *vm)
{
	const json_t *migration = json_object_get(vm, "migration");

	if (!json_is_object(migration))
		return g_strdup("-");
	return g_strdup_printf("to %s: %s, %" JSON_INTEGER_FORMAT " %%", text_of(migration, "to"),
		text_of(migration, "phase"), json_integer_value(json_object_get(migration, "percent")));
}

/* One that has no host has no power either. */
static const char *power_of(const json_t *vm)
{
	return json_is_string(json_object_get(vm, "host")) ? text_of(vm, "power") : "-";
}

static void print_table(const json_t *vms)
{
	static const char *const titles[] = {"VM", "HOST", "POWER", "STATE", "MIGRATION", "UID", "REASON"};
	struct libscols_table *table = scols_new_table();
	json_t *vm;
	size_t i;

	for (size_t c = 0; c < G_N_ELEMENTS(titles); c++)
		scols_table_new_column(table, titles[c], 0, 0);
	json_array_foreach((json_t *)vms, i, vm)
	{
		g_autofree char *title = g_strdup_printf("%s/%s", text_of(vm, "group"), text_of(vm, "name"));
		g_autofree char *migration = describe_migration(vm);
		const char *const cells[] = {title, text_of(vm, "host"), power_of(vm),
			text_of(vm, "provisioning"), migration, text_of(vm, "uid"), text_of(vm, "message")};
		struct libscols_line *line = scols_table_new_line(table, NULL);
		for (size_t c = 0; c < G_N_ELEMENTS(cells); c++)
			scols_line_set_data(line, c, cells[c]);
	}
	scols_print_table(table);
	scols_unref_table(table);
}

static bool do_list(struct controller *controller, const struct vm_options *o, GError **error)
{
	static const char *const order[] = {"group", "name", NULL};
	json_auto_t *answer = NULL;

	if (!controller_list(controller, "/virtual-machines", "virtualMachines", 0, &answer, error))
		return false;
	json_t *vms = json_object_get(answer, "virtualMachines");
	order_by(vms, order);
	if (o->as_json)
		cli_print_json(answer);
	else if (json_array_size(vms))
		print_table(vms);
	else
		puts("there is no virtual machine");
	return true;
}

/* ---- migrate ---- */

static bool is_named(const json_t *vm, const char *name)
{
	g_autofree char *title = g_strdup_printf("%s/%s", text_of(vm, "group"), text_of(vm, "name"));

	return g_str_equal(text_of(vm, "uid"), name) || g_ascii_strcasecmp(title, name) == 0 ||
	       g_ascii_strcasecmp(text_of(vm, "name"), name) == 0;
}

/* The one that is called so. New reference. */
static json_t *find_vm(struct controller *controller, const char *name, GError **error)
{
	json_auto_t *answer = NULL;
	json_t *vm, *found = NULL;
	guint n = 0;
	size_t i;

	if (!controller_list(controller, "/virtual-machines", "virtualMachines", 0, &answer, error))
		return NULL;
	json_array_foreach(json_object_get(answer, "virtualMachines"), i, vm)
	{
		if (is_named(vm, name) && n++ == 0)
			found = vm;
	}
	if (n == 1)
		return json_incref(found);
	if (n == 0)
		fault_set(error, FAULT_NOT_FOUND,
			"there is no virtual machine %s; 'sluice vm list' shows those that are there", name);
	else
		fault_set(error, FAULT_INVALID, "%u virtual machines are called %s; say GROUP/%s", n, name,
			name);
	return NULL;
}

static bool do_cancel(
	struct controller *controller, const struct vm_options *o, const char *name, GError **error)
{
	json_auto_t *vm = find_vm(controller, name, error), *answer = NULL;
	g_autofree char *path =
		vm ? g_strdup_printf("/virtual-machines/%s/migrate", text_of(vm, "uid")) : NULL;

	if (!vm || !controller_call(controller, "DELETE", path, NULL, &answer, error))
		return false;
	if (o->as_json)
		cli_print_json(answer);
	else
		printf("%s: cancelling; 'sluice vm list' shows where it is in the end\n", name);
	return true;
}

static bool do_migrate(
	struct controller *controller, const struct vm_options *o, const char *name, GError **error)
{
	const struct vm_move move = {.to = o->to, .notice_s = (unsigned)o->notice_s, .quiet = o->as_json};
	json_auto_t *result = NULL;
	bool left, done;

	if (o->cancel)
		return do_cancel(controller, o, name, error);
	if (o->from) {
		done = vm_move_all(controller, o->from, &move, &result, error);
	} else {
		json_auto_t *vm = find_vm(controller, name, error);
		done = vm && vm_move_one(controller, vm, &move, &left, &result, error);
	}
	if (result && o->as_json)
		cli_print_json(result);
	return done;
}

/* ---- words and options ---- */

/* NULL when there is nothing that is for `migrate`; else a sentence. */
static const char *check_list(const struct vm_options *o, const char *name)
{
	if (name)
		return "list takes no argument";
	if (o->to || o->from || o->notice_s || o->cancel)
		return "--to, --from, --notice and --cancel are for 'migrate'";
	return NULL;
}

/* NULL when words and options are what `migrate` needs; else a sentence. */
static const char *check(const struct vm_options *o, int argc, const char *name)
{
	if (argc > 3)
		return "migrate takes one VM, or --from HOST";
	if ((name != NULL) == (o->from != NULL))
		return "migrate needs either a VM or --from HOST";
	if (o->cancel && (o->from || o->to))
		return "--cancel takes a VM alone";
	if (o->notice_s < 0 || o->notice_s > NOTICE_MAX_S)
		return "--notice takes a number of seconds from 0 to 3600";
	return NULL;
}

static int run(const struct vm_options *o, bool migrate, const char *name)
{
	g_autoptr(GError) error = NULL;

	if (migrate)
		vm_move_guard();
	_cleanup_(controller_close) struct controller *controller = controller_open(o->state, &error);
	bool done = controller &&
		    (migrate ? do_migrate(controller, o, name, &error) : do_list(controller, o, &error));
	if (error)
		return cli_refused("vm", error);
	return done ? CLI_OK : CLI_FAILED;
}

static void options_clear(struct vm_options *o)
{
	g_free(o->state);
	g_free(o->to);
	g_free(o->from);
}
CLEANUP_CLEAR_FUNC(struct vm_options, options_clear)

int cli_vm(int argc, char **argv)
{
	_cleanup_(options_clear) struct vm_options o = {};
	const GOptionEntry entries[] = {
		{"state", 0, 0, G_OPTION_ARG_FILENAME, &o.state,
			"State folder of the cloud (/var/lib/sluice)", "DIR"},
		{"to", 0, 0, G_OPTION_ARG_STRING, &o.to, "Move it to this host (the one that fits best)",
			"HOST"},
		{"from", 0, 0, G_OPTION_ARG_STRING, &o.from,
			"Move all that run on this host, one after the other", "HOST"},
		{"notice", 0, 0, G_OPTION_ARG_INT, &o.notice_s,
			"Tell guests so long before, unless they acknowledge it earlier (0)", "SECONDS"},
		{"cancel", 0, 0, G_OPTION_ARG_NONE, &o.cancel, "Let a machine that is on its way stay", NULL},
		{"json", 0, 0, G_OPTION_ARG_NONE, &o.as_json, "Print JSON", NULL},
		{NULL},
	};

	if (!cli_options(&argc, &argv, "list | migrate VM | migrate --from HOST",
		    "Shows where virtual machines are, and moves those that run to other hosts while they "
		    "run: "
		    "connections go on, functions are given back first and got again there; of a machine "
		    "that "
		    "is "
		    "deallocated it moves the disk. It prints how far it "
		    "is; Ctrl-C ends that and not the migration. VM is NAME, GROUP/NAME or a uid. Runs on "
		    "the "
		    "controller's machine.",
		    entries))
		return CLI_USAGE;
	bool list = argc > 1 && g_str_equal(argv[1], "list");
	if (!list && !(argc > 1 && g_str_equal(argv[1], "migrate")))
		return cli_no_action("vm", argc > 1 ? argv[1] : NULL, "'list' or 'migrate VM'");
	const char *name = argc > 2 ? argv[2] : NULL,
		   *wrong = list ? check_list(&o, name) : check(&o, argc, name);
	return wrong ? cli_misused("vm", wrong) : run(&o, !list, name);
}
