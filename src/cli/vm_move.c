/* Moving virtual machines, and watching them. */
#include "cli/vm.h"

#include "base/fault.h"
#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>

#define LOOK_MS 500

static const char *text_of(const json_t *json, const char *member)
{
	const char *text = json_string_value(json_object_get(json, member));

	return text ? text : "-";
}

static char *title_of(const json_t *vm)
{
	return g_strdup_printf("%s/%s", text_of(vm, "group"), text_of(vm, "name"));
}

/* ---- Ctrl-C ---- */

/* A signal that is blocked stays pending until somebody asks for it, and threads that are made later have it blocked, too. */
static sigset_t interrupt(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	return set;
}

void vm_move_guard(void)
{
	sigset_t set = interrupt();

	sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Whether Ctrl-C was pressed before the next look is due. */
static bool is_interrupted(void)
{
	const struct timespec wait = {.tv_nsec = LOOK_MS * 1000000L};
	sigset_t set = interrupt();

	return sigtimedwait(&set, NULL, &wait) == SIGINT;
}

/* ---- watching ---- */

/* "moving, 42 %: waits for ..."; Owned by the caller. */
static char *describe(const json_t *operation)
{
	const json_t *migration = json_object_get(json_object_get(operation, "virtualMachine"), "migration");
	const char *message = json_string_value(json_object_get(migration, "message"));
	json_int_t percent = json_integer_value(json_object_get(migration, "percent"));
	g_autoptr(GString) text = g_string_new(text_of(migration, "phase"));

	if (percent)
		g_string_append_printf(text, ", %" JSON_INTEGER_FORMAT " %%", percent);
	if (message)
		g_string_append_printf(text, ": %s", message);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static bool is_running(const json_t *operation)
{
	return g_str_equal(text_of(operation, "state"), "running");
}

/* Replaces *operation until it is over, or Ctrl-C is pressed. */
static bool watch(
	struct controller *controller, json_t **operation, bool quiet, bool *ret_left, GError **error)
{
	g_autofree char *path = g_strdup_printf("/operations/%s", text_of(*operation, "uid"));
	g_autofree char *title = title_of(json_object_get(*operation, "virtualMachine"));
	g_autofree char *said = NULL;

	while (is_running(*operation)) {
		json_t *next = NULL;
		g_autofree char *words = describe(*operation);
		if (!quiet && g_strcmp0(words, said) != 0)
			printf("%s: %s\n", title, words);
		fflush(stdout);
		g_free(said);
		said = g_steal_pointer(&words);
		*ret_left = is_interrupted();
		if (*ret_left)
			return true;
		if (!controller_call(controller, "GET", path, NULL, &next, error))
			return false;
		json_decref(*operation);
		*operation = next;
	}
	return true;
}

/* Whether it is where it was to go. */
static bool finish(const json_t *operation, const struct vm_move *move, bool left, GError **error)
{
	const json_t *vm = json_object_get(operation, "virtualMachine");
	g_autofree char *title = title_of(vm);

	if (move->as_json)
		cli_print_json(operation);
	if (left) {
		fprintf(stderr,
			"%s: its migration goes on; 'sluice vm list' shows it, 'sluice vm migrate %s "
			"--cancel' ends "
			"it\n",
			title, title);
		return true;
	}
	if (!g_str_equal(text_of(operation, "state"), "succeeded"))
		return fault_set(error, FAULT_NOT_ALLOWED, "%s", text_of(operation, "message"));
	if (!move->as_json)
		printf("%s runs on host %s\n", title, text_of(vm, "host"));
	return true;
}

bool vm_move_one(struct controller *controller, const json_t *vm, const struct vm_move *move, bool *ret_left,
	GError **error)
{
	g_autofree char *path = g_strdup_printf("/virtual-machines/%s/migrate", text_of(vm, "uid"));
	json_t *body = json_pack("{s:i}", "noticeSeconds", (int)move->notice_s);
	json_auto_t *operation = NULL;

	*ret_left = false;
	if (move->to)
		json_object_set_new(body, "host", json_string(move->to));
	return controller_call(controller, "POST", path, body, &operation, error) &&
	       watch(controller, &operation, move->as_json, ret_left, error) &&
	       finish(operation, move, *ret_left, error);
}

/* Whether it has gone; what stays is said. */
static bool move_of_host(
	struct controller *controller, const json_t *vm, const struct vm_move *move, bool *ret_left)
{
	g_autofree char *title = title_of(vm);
	g_autoptr(GError) failure = NULL;

	if (!g_str_equal(text_of(vm, "power"), "running")) {
		fprintf(stderr, "%s stays: it is %s, and its disk is here\n", title, text_of(vm, "power"));
		return false;
	}
	if (vm_move_one(controller, vm, move, ret_left, &failure))
		return !*ret_left;
	fprintf(stderr, "%s stays: %s\n", title, failure->message);
	return false;
}

bool vm_move_all(struct controller *controller, const char *host, const struct vm_move *move, GError **error)
{
	g_autofree char *encoded = g_uri_escape_string(host, NULL, false);
	g_autofree char *path = g_strconcat("/virtual-machines?host=", encoded, NULL);
	json_auto_t *answer = NULL;
	bool all = true, left = false;
	json_t *vm;
	size_t i;

	if (!controller_list(controller, path, "virtualMachines", 0, &answer, error))
		return false;
	json_array_foreach(json_object_get(answer, "virtualMachines"), i, vm)
	{
		if (!left)
			all &= move_of_host(controller, vm, move, &left);
	}
	if (all && !move->as_json)
		printf("no virtual machine is on host %s any more\n", host);
	return all;
}
