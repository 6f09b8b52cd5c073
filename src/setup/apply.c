/* Doing steps and undoing them. setup.h says how. */
#include "base/failpoint.h"
#include "base/fault.h"
#include "setup/setup_priv.h"

static void fail(struct setup_step *step, const GError *error)
{
	step->state = SETUP_FAILED;
	g_free(step->problem);
	step->problem = g_strdup(error->message);
}

bool setup_is_well(const GPtrArray *steps)
{
	for (guint i = 0; i < steps->len; i++) {
		const struct setup_step *step = steps->pdata[i];
		if (step->state == SETUP_BLOCKED || step->state == SETUP_FAILED)
			return false;
	}
	return true;
}

/* ---- doing ---- */

/* Intent, deed, and that it is done. */
static bool do_step(const struct setup_machine *machine, struct setup_ledger *ledger, struct setup_step *step,
	const char *now, GError **error)
{
	struct setup_entry *entry = setup_ledger_intend(ledger, step, now);

	if (!setup_ledger_save(ledger, error))
		return false;
	failpoint(FAILPOINT_SETUP_INTENDED);
	if (g_strcmp0(now, step->wanted) != 0 &&
		!setup_kinds[step->kind].write(machine, step->object, step->wanted, error))
		return false;
	if (step->kind == SETUP_FILE && !setup_tell(machine, step->object, error))
		return false;
	failpoint(FAILPOINT_SETUP_WRITTEN);
	entry->done = true;
	return setup_ledger_save(ledger, error);
}

/* A step that is as wanted is ours to do again only where we were stopped before its end. */
static void apply_step(
	const struct setup_machine *machine, struct setup_ledger *ledger, struct setup_step *step)
{
	g_autofree char *now = setup_kinds[step->kind].read(machine, step->object);
	const struct setup_entry *entry = setup_ledger_find(ledger, step->kind, step->object);
	bool is_so = g_strcmp0(now, step->wanted) == 0;
	g_autoptr(GError) error = NULL;

	if (is_so && (!entry || entry->done))
		step->state = SETUP_SO;
	else if (do_step(machine, ledger, step, now, &error))
		step->state = SETUP_DONE;
	else
		fail(step, error);
}

bool setup_apply(const struct setup_machine *machine, GPtrArray *steps, bool boot, GError **error)
{
	if (!boot && !setup_is_well(steps))
		return true;
	_cleanup_(setup_ledger_close) struct setup_ledger *ledger = setup_ledger_open(machine, error);
	if (!ledger)
		return false;
	for (guint i = 0; i < steps->len; i++) {
		struct setup_step *step = steps->pdata[i];
		if (step->state != SETUP_BLOCKED && step->state != SETUP_FOR_PERSON)
			apply_step(machine, ledger, step);
	}
	return true;
}

/* ---- undoing ---- */

/* As it was before, and whoever reads it knows. */
static bool restore(
	const struct setup_machine *machine, const struct setup_entry *entry, const char *now, GError **error)
{
	if (g_strcmp0(now, entry->before) != 0 &&
		!setup_kinds[entry->kind].write(machine, entry->object, entry->before, error))
		return false;
	return entry->kind != SETUP_FILE || setup_tell(machine, entry->object, error);
}

/* A device that has gone took what was set with it. */
static bool is_gone(const struct setup_entry *entry, const char *now)
{
	return !now && entry->kind != SETUP_FILE;
}

/* What an eswitch has in switchdev mode alone, and lost when the host file had the NIC set back to legacy. */
static bool is_void(const struct setup_machine *machine, const struct setup_entry *entry)
{
	if (entry->kind != SETUP_INLINE_MODE && entry->kind != SETUP_ENCAP_MODE)
		return false;
	g_autofree char *mode = setup_kinds[SETUP_MODE].read(machine, entry->object);
	return g_strcmp0(mode, DEVLINK_LEGACY) == 0;
}

static void revert_entry(const struct setup_machine *machine, struct setup_ledger *ledger,
	struct setup_entry *entry, struct setup_step *step)
{
	g_autoptr(GError) error = NULL;

	if (is_gone(entry, step->now)) {
		step->state = SETUP_UNDONE;
		step->problem = g_strdup("it is not there any more");
	} else if (is_void(machine, entry)) {
		step->state = SETUP_UNDONE;
		step->problem = g_strdup("the NIC is in legacy mode, which has none");
	} else if (g_strcmp0(step->now, entry->wrote) != 0 && g_strcmp0(step->now, entry->before) != 0) {
		step->state = SETUP_LEFT;
		step->problem = g_strdup("somebody has changed it since, so it is left as it is");
	} else if (!restore(machine, entry, step->now, &error)) {
		fail(step, error);
		return; /* the ledger still knows it, for the next time */
	} else {
		step->state = SETUP_UNDONE;
	}
	failpoint(FAILPOINT_SETUP_RESTORED);
	g_ptr_array_remove(ledger->entries, entry);
	if (!setup_ledger_save(ledger, &error))
		fail(step, error);
}

GPtrArray *setup_revert(const struct setup_machine *machine, GError **error)
{
	_cleanup_(setup_ledger_close) struct setup_ledger *ledger = setup_ledger_open(machine, error);

	if (!ledger)
		return NULL;
	g_autoptr(GPtrArray) steps = setup_steps_new();
	for (guint i = ledger->entries->len; i-- > 0;) {
		struct setup_entry *entry = ledger->entries->pdata[i];
		struct setup_step *step = setup_add_step(
			machine, steps, entry->kind, entry->object, entry->before, "%s", "as it was before");
		revert_entry(machine, ledger, entry, step);
	}
	return g_steal_pointer(&steps);
}
