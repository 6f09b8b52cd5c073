/* What the log says of functions that are given and taken. */
#include "agent/change_log.h"

#include "agent/accel_priv.h"
#include "base/log.h"

static int64_t ms_since(int64_t began_us)
{
	return (g_get_monotonic_time() - began_us + 500) / 1000;
}

static const char *text_of(const json_t *json, const char *member)
{
	return json_string_value(json_object_get(json, member));
}

/* ---- what operators ask for ---- */

/* "NIC web, function sl-f0" of an answer; of the words of a request that has none. Nothing of a host's. */
static void add_subject(GString *line, const json_t *result, const json_t *params)
{
	static const struct {
		const char *title, *member, *other; /* the NIC's uid stands for a name that nobody knows */
	} names[] = {{"NIC", "nic_name", "nic"}, {"function", "function", "function"}};
	const json_t *from = result ? result : params;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const char *name = text_of(from, names[i].member);
		name = name ? name : text_of(from, names[i].other);
		if (name)
			g_string_append_printf(
				line, "%s%s %s", i && line->len ? ", " : "", names[i].title, name);
	}
	if (line->len)
		g_string_append(line, ": ");
}

static void add_result(GString *line, const json_t *result)
{
	const char *state = text_of(result, "state"), *reason = text_of(result, "reason");
	const json_t *notice = json_object_get(result, "notice_s"),
		     *drained = json_object_get(result, "drained");

	if (notice)
		g_string_append_printf(line, "its guest has %" JSON_INTEGER_FORMAT " s of notice",
			json_integer_value(notice));
	else if (state)
		g_string_append_printf(line, "%s%s%s", state, reason ? ", as " : "", reason ? reason : "");
	else if (drained)
		g_string_append_printf(line, "%s; NICs that have functions: %zu",
			json_is_true(drained) ? "drained" : "not drained",
			json_array_size(json_object_get(result, "holding")));
	else
		g_string_append_printf(line, "released, with %zu settings given up",
			json_array_size(json_object_get(result, "given_up")));
}

/* " with 60 s of notice, by force" */
static void add_wishes(GString *line, const json_t *params)
{
	json_int_t notice_s = json_integer_value(json_object_get(params, "notice_s"));

	if (notice_s)
		g_string_append_printf(line, " with %" JSON_INTEGER_FORMAT " s of notice", notice_s);
	if (json_is_true(json_object_get(params, "force")))
		g_string_append(line, " by force");
	if (json_is_true(json_object_get(params, "as_is")))
		g_string_append(line, " as it is");
}

void change_log_request(const struct change_request *request, const json_t *result, const GError *error)
{
	g_autoptr(GString) what = g_string_new(NULL), wishes = g_string_new(NULL);
	const json_t *from = result ? result : request->params;
	const char *object = text_of(from, "nic");

	object = object ? object : text_of(from, "function");
	object = object ? object : text_of(from, "host");
	add_subject(what, result, request->params);
	add_wishes(wishes, request->params);
	if (error)
		g_string_append_printf(what, "failed: %s", error->message);
	else
		add_result(what, result);
	log_info(object, "%s%s, asked for by %s: %s (%" G_GINT64_FORMAT " ms)", request->method, wishes->str,
		request->who, what->str, ms_since(request->began_us));
}

/* ---- what nobody waits for ---- */

/* A sentence, or the end of one; owned by the caller. state: the one that is entered. */
static char *explain_taking(const struct accel *a, enum accel_state state)
{
	const char *reason = NULL;

	if (accel_machine_is_off(a))
		return g_strdup("its virtual machine is off");
	if (!accel_is_entitled(a, &reason))
		return g_strdup(reason ? reason : "the NIC is not accelerated any more");
	if (a->attach_fault)
		return g_strdup(a->attach_fault->message);
	return g_strdup(state == ACCEL_DRAINING ? "it has left its guest"
						: "the NIC is to have a function of another kind or network");
}

static void note_begin(struct accel *a, enum accel_change change)
{
	a->change = change;
	a->change_us = g_get_monotonic_time();
}

void change_log_entered(struct accel *a, enum accel_state old)
{
	const struct ledger_nic *record = accel_record(a);
	enum accel_state state = accel_state(a);

	if (state == ACCEL_CLAIMING)
		note_begin(a, ACCEL_GIVING);
	if (record->function && g_strcmp0(a->function, record->function) != 0) {
		g_free(a->function);
		a->function = g_strdup(record->function);
	}
	/* What comes to nothing before the guest has it was told as a failure, or never wanted. */
	if ((old == ACCEL_COPYING || old == ACCEL_ON) &&
		(state == ACCEL_UNPLUGGING || state == ACCEL_DRAINING)) {
		note_begin(a, ACCEL_TAKING);
		g_free(a->why);
		a->why = explain_taking(a, state);
	}
}

void change_log_resume(struct accel *a)
{
	enum accel_state state = accel_state(a);

	if (state == ACCEL_OFF || state == ACCEL_ON)
		return;
	a->function = g_strdup(accel_record(a)->function);
	a->why = g_strdup("that was under way when the agent started");
	note_begin(a, state < ACCEL_ON ? ACCEL_GIVING : ACCEL_TAKING);
}

/* "NIC web of VM db" */
static char *title_of(const struct accel *a)
{
	const struct goal_nic *goal = accel_goal(a);
	const struct ledger_nic *record = accel_record(a);
	const char *uid = record && record->vm ? record->vm : goal ? goal->vm : NULL;
	const struct goal_vm *vm = uid ? agent_goal_vm(a->agent, uid) : NULL;

	return g_strdup_printf("NIC %s of VM %s", goal ? goal->name : a->uid,
		vm    ? vm->name
		: uid ? uid
		      : "unknown");
}

void change_log_ended(struct accel *a, bool revoking, bool awaited)
{
	enum accel_change change = revoking ? ACCEL_TAKING : ACCEL_GIVING;
	enum accel_state state = accel_state(a);

	/* A function that is cut off has its own line; its end is when the guest lets go. */
	if (a->change != change || (revoking && state == ACCEL_CUT && !awaited))
		return;
	a->change = ACCEL_TOLD;
	if (awaited)
		return;
	g_autofree char *title = title_of(a);
	int64_t ms = ms_since(a->change_us);
	if (revoking)
		log_info(a->uid, "%s: function %s was taken in %" G_GINT64_FORMAT " ms: %s", title,
			a->function, ms, a->why);
	else
		log_info(a->uid, "%s: function %s was given in %" G_GINT64_FORMAT " ms%s", title, a->function,
			ms, state == ACCEL_ON ? "" : "; its guest has sent nothing by it yet");
}
