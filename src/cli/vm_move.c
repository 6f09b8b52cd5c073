/* Moving virtual machines, and watching them. */
#include "cli/vm.h"

#include "base/fault.h"

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
	if (!move->quiet)
		printf("%s %s on host %s\n", title,
			g_str_equal(text_of(vm, "power"), "deallocated") ? "is" : "runs",
			text_of(vm, "host"));
	return true;
}

bool vm_move_one(struct controller *controller, const json_t *vm, const struct vm_move *move, bool *ret_left,
	json_t **ret_operation, GError **error)
{
	g_autofree char *path = g_strdup_printf("/virtual-machines/%s/migrate", text_of(vm, "uid"));
	json_t *body = json_pack("{s:i}", "noticeSeconds", (int)move->notice_s);

	*ret_left = false;
	*ret_operation = NULL;
	if (move->to)
		json_object_set_new(body, "host", json_string(move->to));
	return controller_call(controller, "POST", path, body, ret_operation, error) &&
	       watch(controller, ret_operation, move->quiet, ret_left, error) &&
	       finish(*ret_operation, move, *ret_left, error);
}

/* Says it, and adds it to the list. */
static void note_staying(json_t *staying, const json_t *vm, const char *reason)
{
	g_autofree char *title = title_of(vm);

	fprintf(stderr, "%s stays: %s\n", title, reason);
	json_array_append_new(
		staying, json_pack("{s:s, s:s, s:s, s:s}", "uid", text_of(vm, "uid"), "group",
				 text_of(vm, "group"), "name", text_of(vm, "name"), "reason", reason));
}

/* Whether it has gone. */
static bool move_of_host(struct controller *controller, const json_t *vm, const struct vm_move *move,
	json_t *result, bool *ret_left)
{
	json_t *staying = json_object_get(result, "staying"), *operation;
	g_autoptr(GError) failure = NULL;

	if (!g_str_equal(text_of(vm, "power"), "running")) {
		const char *remedy = g_str_equal(text_of(vm, "power"), "deallocated")
					     ? "; 'sluice vm migrate' with its name moves that"
					     : "";
		g_autofree char *reason =
			g_strdup_printf("it is %s, and its disk is here%s", text_of(vm, "power"), remedy);
		note_staying(staying, vm, reason);
		return false;
	}
	bool done = vm_move_one(controller, vm, move, ret_left, &operation, &failure);
	if (operation)
		json_array_append_new(json_object_get(result, "migrations"), operation);
	if (!done)
		note_staying(staying, vm, failure->message);
	return done && !*ret_left;
}

bool vm_move_all(struct controller *controller, const char *host, const struct vm_move *move, json_t **ret,
	GError **error)
{
	g_autofree char *encoded = g_uri_escape_string(host, NULL, false);
	g_autofree char *path = g_strconcat("/virtual-machines?host=", encoded, NULL);
	json_auto_t *answer = NULL;
	bool all = true, left = false;
	json_t *vm;
	size_t i;

	*ret = NULL;
	if (!controller_list(controller, path, "virtualMachines", 0, &answer, error))
		return false;
	*ret = json_pack("{s:[], s:[]}", "migrations", "staying");
	json_array_foreach(json_object_get(answer, "virtualMachines"), i, vm)
	{
		if (!left)
			all &= move_of_host(controller, vm, move, *ret, &left);
	}
	if (all && !move->quiet)
		printf("no virtual machine is on host %s any more\n", host);
	return all;
}
