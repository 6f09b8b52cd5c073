/* `sluice host drain`: takes all functions of this host back, for its maintenance; `undrain` gives them again. */
#include "base/fault.h"
#include "cli/cli.h"
#include "cli/host_priv.h"
#include "cli/vm.h"

#include <stdio.h>

#define CALL_MS 10000
#define LOOK_US (G_USEC_PER_SEC / 5)

static const char *text_of(const json_t *entry, const char *member)
{
	const char *text = json_string_value(json_object_get(entry, member));

	return text ? text : "-";
}

/* Those of `before` that hold no function any more. */
static void print_progress(const json_t *before, const json_t *now)
{
	json_t *was, *is;
	size_t i, j;

	json_array_foreach(before, i, was)
	{
		bool holds = false;
		json_array_foreach(now, j, is) holds |= g_str_equal(text_of(was, "nic"), text_of(is, "nic"));
		if (!holds)
			printf("NIC %s of VM %s is on its synthetic path\n", text_of(was, "nic_name"),
				text_of(was, "vm"));
	}
	fflush(stdout);
}

static bool is_cut(const json_t *entry)
{
	return g_str_equal(text_of(entry, "state"), "cut");
}

/* What is still waited for: functions that NICs have, but for those that a forced drain has cut off. */
static size_t count_held(const json_t *state, bool force)
{
	json_t *entry;
	size_t i, n = 0;

	json_array_foreach(json_object_get(state, "holding"), i, entry) n += !(force && is_cut(entry));
	return n;
}

/* Looks until no NIC has a function, or the time is over. New reference; NULL with error. */
static json_t *wait_until_empty(struct jsonrpc_client *client, json_t *state, const struct drain_plan *plan,
	bool quiet, GError **error)
{
	int64_t end = g_get_monotonic_time() + (int64_t)(plan->notice_s + plan->timeout_s) * G_USEC_PER_SEC;

	while (state && count_held(state, plan->force) > 0 && g_get_monotonic_time() < end) {
		g_usleep(LOOK_US);
		json_t *next = jsonrpc_call(client, "host.draining", NULL, CALL_MS, error);
		if (next && !quiet)
			print_progress(json_object_get(state, "holding"), json_object_get(next, "holding"));
		json_decref(state);
		state = next;
	}
	return state;
}

/* Each NIC that still has a function. */
static void print_holding(const json_t *holding, unsigned timeout_s)
{
	json_t *entry;
	size_t i;

	json_array_foreach(holding, i, entry)
	{
		const char *reason = json_string_value(json_object_get(entry, "reason"));
		if (is_cut(entry))
			fprintf(stderr,
				"sluice host: the guest of VM %s does not let go of %s (NIC %s): it is cut "
				"off; stop the "
				"VM before the driver of %s is reloaded\n",
				text_of(entry, "vm"), text_of(entry, "function"), text_of(entry, "nic_name"),
				text_of(entry, "pf"));
		else
			fprintf(stderr, "sluice host: NIC %s of VM %s still has %s after %u s%s%s\n",
				text_of(entry, "nic_name"), text_of(entry, "vm"), text_of(entry, "function"),
				timeout_s, reason ? ": " : "", reason ? reason : "");
	}
}

/* Whether all is off; else says what is not. */
static bool print_end(const json_t *state, const struct drain_plan *plan)
{
	const json_t *holding = json_object_get(state, "holding");

	if (!json_is_true(json_object_get(state, "drained"))) {
		fprintf(stderr, "sluice host: somebody undrained it meanwhile\n");
		return false;
	}
	if (json_array_size(holding) == 0) {
		printf("host %s is drained: no NIC has a function, and none is given until 'sluice host "
		       "undrain'\n",
			text_of(state, "host"));
		return true;
	}
	print_holding(holding, plan->notice_s + plan->timeout_s);
	fprintf(stderr, "sluice host: the agent goes on trying; the host stays drained\n");
	return count_held(state, plan->force) == 0;
}

/* Guests have had their notice. What came of it is added to the state. */
static int move_vms(const char *state_option, const char *host, bool quiet, json_t *state)
{
	const struct vm_move move = {.quiet = quiet};
	json_auto_t *result = NULL;
	g_autoptr(GError) error = NULL;

	vm_move_guard();
	_cleanup_(controller_close) struct controller *controller = controller_open(state_option, &error);

	if (!controller)
		g_prefix_error(&error,
			"the functions are off, the virtual machines are still here ('sluice vm migrate "
			"--from %s' "
			"on the controller's machine moves them): ",
			host);
	bool gone = controller && vm_move_all(controller, host, &move, &result, &error);
	if (result)
		json_object_update(state, result);
	if (error)
		return cli_fail("host", error);
	return gone ? CLI_OK : CLI_FAILED;
}

int host_drain(const char *state_option, const struct drain_plan *plan, bool as_json)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state_option, CLI_AGENT_SOCKET, &error);

	json_t *began = client ? jsonrpc_call(client, "host.drain",
					 json_pack("{s:i, s:b}", "notice_s", (int)plan->notice_s, "force",
						 plan->force),
					 CALL_MS, &error)
			       : NULL;
	json_auto_t *state = began ? wait_until_empty(client, began, plan, as_json, &error) : NULL;
	if (!state)
		return cli_refused("host", error);
	bool empty = as_json ? count_held(state, plan->force) == 0 : print_end(state, plan);
	int status = empty ? CLI_OK : CLI_FAILED;
	if (empty && plan->migrate)
		status = move_vms(state_option, text_of(state, "host"), as_json, state);
	/* One document, whatever has happened. */
	if (as_json)
		cli_print_json(state);
	return status;
}

int host_undrain(const char *state_option, bool as_json)
{
	g_autoptr(GError) error = NULL;
	_cleanup_(jsonrpc_client_free) struct jsonrpc_client *client =
		cli_client(state_option, CLI_AGENT_SOCKET, &error);
	json_auto_t *state = client ? jsonrpc_call(client, "host.undrain", NULL, CALL_MS, &error) : NULL;

	if (!state)
		return cli_fail("host", error);
	if (as_json)
		cli_print_json(state);
	else
		printf("host %s gives functions again\n", text_of(state, "host"));
	return CLI_OK;
}
