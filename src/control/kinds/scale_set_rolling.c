/* Rolling upgrades: instances take their set's model batch after batch.
 *
 * How it works. The set's record says where it stands, and is written before each step:
 *
 * | state     | batch | means                                                                   |
 * |-----------|-------|-------------------------------------------------------------------------|
 * | forward   | uids  | these take the model; instances of it that have it are not asked again; |
 * |           |       | where a probe says who is well, they have PATIENCE_S to be so behind it |
 * | forward   | empty | nothing is under way until the pause is over; then a batch is chosen    |
 * | completed |       | all have the model                                                      |
 * | cancelled |       | somebody asked for its end; what has the model keeps it                 |
 * | faulted   |       | it stopped itself, see below                                            |
 *
 * It stops when an instance refuses the model; when more of those that it has upgraded are unhealthy than the policy
 * allows; and, at its begin and before each batch, when more of all are. Healthy means to be as asked for
 * (control_instance_is_healthy()), and well for the probe of the set: a guest that does not come up again stops it. What
 * is deallocated is healthy.
 */
#include "base/failpoint.h"
#include "control/kinds/scale_set_priv.h"

#include <string.h>

#define NAMES_MAX  5
#define PATIENCE_S 300 /* as in Azure */

static struct set_rolling_status *status_of(const struct drive *drive)
{
	return &drive->set->status.rolling;
}

/* Writes the record. FAULT_CONFLICT makes the reconciler look again. */
static bool save(struct drive *drive, GError **error)
{
	return control_store(drive->control, drive->set, error);
}

static int end(struct drive *drive, enum rolling state, const char *message, GError **error)
{
	struct set_rolling_status *status = status_of(drive);

	status->state = (int)state;
	status->finished_us = g_get_real_time();
	g_clear_pointer(&status->batch, g_ptr_array_unref);
	g_free(status->message);
	status->message = g_strdup(message);
	if (!save(drive, error))
		return -1;
	if (state != ROLLING_COMPLETED)
		fault_set(error, state == ROLLING_CANCELLED ? FAULT_CANCELLED : FAULT_NOT_ALLOWED, "%s",
			message);
	return state == ROLLING_COMPLETED ? 1 : -1;
}

static bool has_outdated(const struct drive *drive)
{
	for (guint i = 0; i < drive->instances->len; i++)
		if (!control_instance_is_current(drive->set, drive->instances->pdata[i]))
			return true;
	return false;
}

/* ---- health ---- */

/* Those of all, or of the upgraded. Sentence when they are too many; Owned. */
static char *judge(const struct drive *drive, bool upgraded, int64_t limit_percent)
{
	g_autoptr(GString) names = g_string_new(NULL);
	guint n = 0, unhealthy = 0;

	for (guint i = 0; i < drive->instances->len; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		if (upgraded && !control_instance_was_upgraded(vm, drive->operation->meta.uid))
			continue;
		n++;
		if (control_instance_is_healthy(drive->control, drive->set, vm))
			continue;
		if (unhealthy++ < NAMES_MAX)
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", vm->meta.name);
	}
	if ((int64_t)unhealthy * 100 <= limit_percent * n)
		return NULL;
	return g_strdup_printf(
		"The rolling upgrade of scale set %s has stopped: %u of %u %sinstances are not "
		"healthy (%s%s), its policy allows %" G_GINT64_FORMAT
		" percent. Repair them (az vmss get-instance-view), then put the set again.",
		drive->set->meta.name, unhealthy, n, upgraded ? "upgraded " : "", names->str,
		unhealthy > NAMES_MAX ? " and others" : "", limit_percent);
}

/* ---- batches ---- */

static const struct vm *find(const struct drive *drive, const char *uid)
{
	for (guint i = 0; i < drive->instances->len; i++)
		if (g_str_equal(model_meta(drive->instances->pdata[i])->uid, uid))
			return drive->instances->pdata[i];
	return NULL;
}

/* Begins what is not begun of the batch; true once it is over. What refuses is in the drive's failures. */
static bool advance_batch(struct drive *drive)
{
	const struct set_rolling_status *status = status_of(drive);
	bool waited = drive->waiting;

	drive->waiting = false;
	for (guint i = 0; i < status->batch->len; i++) {
		const struct vm *vm = find(drive, status->batch->pdata[i]);
		if (!vm || (!operation_running(&vm->status.outcome) && drive_has_touched(drive, vm)))
			continue;
		if (operation_running(&vm->status.outcome))
			drive->waiting = true;
		else if (!control_instance_is_current(drive->set, vm))
			drive_upgrade(drive, vm);
	}
	bool over = !drive->waiting;
	drive->waiting |= waited;
	return over;
}

static int finish_batch(struct drive *drive, GError **error)
{
	struct set_rolling_status *status = status_of(drive);
	g_autofree char *why = judge(drive, true, drive->set->spec.rolling.unhealthy_upgraded_percent);

	if (!why && drive->failed)
		why = g_strdup_printf("The rolling upgrade of scale set %s has stopped.%s",
			drive->set->meta.name, drive->reasons->str);
	if (why)
		return end(drive, ROLLING_FAULTED, why, error);
	g_clear_pointer(&status->batch, g_ptr_array_unref);
	status->patience_us = 0;
	status->resume_us = g_get_real_time() + drive->set->spec.rolling.pause_s * G_USEC_PER_SEC;
	if (!save(drive, error))
		return -1;
	failpoint(FAILPOINT_CONTROL_BATCH_OVER);
	return 0;
}

static int cancel(struct drive *drive, GError **error)
{
	return end(drive, ROLLING_CANCELLED,
		"The rolling upgrade was cancelled; instances that it has upgraded keep the new model.",
		error);
}

/* Something of the batch is on its way, and its host can tell of the end. */
static bool has_news_to_come(const struct drive *drive)
{
	const GPtrArray *batch = status_of(drive)->batch;

	for (guint i = 0; i < batch->len; i++) {
		const struct vm *vm = find(drive, batch->pdata[i]);
		if (vm && operation_running(&vm->status.outcome) &&
			!(vm->status.host && hosts_is_silent(drive->control, vm->status.host)))
			return true;
	}
	return false;
}

/* Whoever wants the end waits for what a host does, not for one that is silent, nor for guests to be well. */
static int wait_on(struct drive *drive, GError **error)
{
	return status_of(drive)->cancel && !has_news_to_come(drive) ? cancel(drive, error) : 0;
}

/* The batch has the model. Those of it that can be well are, or their time is over. */
static bool is_settled(const struct drive *drive)
{
	const struct set_rolling_status *status = status_of(drive);

	if (g_get_real_time() >= status->patience_us)
		return true;
	for (guint i = 0; i < status->batch->len; i++) {
		const struct vm *vm = find(drive, status->batch->pdata[i]);
		if (vm && vm->status.outcome.state != PROVISIONING_FAILED &&
			!control_instance_is_healthy(drive->control, drive->set, vm))
			return false;
	}
	return true;
}

static int wait_for_batch(struct drive *drive, GError **error)
{
	struct set_rolling_status *status = status_of(drive);

	if (!advance_batch(drive))
		return wait_on(drive, error);
	if (drive->failed || !drive->set->spec.health.balancer)
		return finish_batch(drive, error);
	if (!status->patience_us) {
		status->patience_us = g_get_real_time() + PATIENCE_S * G_USEC_PER_SEC;
		if (!save(drive, error))
			return -1;
	}
	return is_settled(drive) ? finish_batch(drive, error) : wait_on(drive, error);
}

static int choose_batch(struct drive *drive, GError **error)
{
	struct set_rolling_status *status = status_of(drive);
	const struct set_rolling_policy *policy = &drive->set->spec.rolling;
	gint64 most = MAX((gint64)drive->instances->len * policy->batch_percent / 100, 1);
	g_autofree char *why = judge(drive, false, policy->unhealthy_percent);

	if (why)
		return end(drive, ROLLING_FAULTED, why, error);
	status->batch = strings_new();
	for (guint i = 0; i < drive->instances->len && status->batch->len < most; i++) {
		const struct vm *vm = drive->instances->pdata[i];
		if (!control_instance_is_current(drive->set, vm))
			g_ptr_array_add(status->batch, g_strdup(vm->meta.uid));
	}
	if (!save(drive, error))
		return -1;
	failpoint(FAILPOINT_CONTROL_BATCH_CHOSEN);
	return 0;
}

/* ---- steps ---- */

static bool begin(struct drive *drive, GError **error)
{
	struct set_rolling_status *status = status_of(drive);

	g_free(status->operation);
	g_free(status->message);
	g_clear_pointer(&status->batch, g_ptr_array_unref);
	*status = (struct set_rolling_status){
		.operation = g_strdup(drive->operation->meta.uid),
		.state = ROLLING_FORWARD,
		.started_us = g_get_real_time(),
	};
	return save(drive, error);
}

/* It ended, and the program did before the operation. */
static int repeat_end(const struct drive *drive, GError **error)
{
	const struct set_rolling_status *status = status_of(drive);

	if (status->state == ROLLING_COMPLETED)
		return 1;
	fault_set(error, status->state == ROLLING_CANCELLED ? FAULT_CANCELLED : FAULT_NOT_ALLOWED, "%s",
		status->message);
	return -1;
}

static int step(struct drive *drive, GError **error)
{
	struct set_rolling_status *status = status_of(drive);

	if (list_length(status->batch) > 0)
		return wait_for_batch(drive, error);
	if (status->cancel)
		return cancel(drive, error);
	if (!has_outdated(drive))
		return end(drive, ROLLING_COMPLETED, NULL, error);
	return g_get_real_time() < status->resume_us ? 0 : choose_batch(drive, error);
}

bool scale_set_is_rolling(const struct drive *drive)
{
	return g_strcmp0(status_of(drive)->operation, drive->operation->meta.uid) == 0;
}

int scale_set_roll(struct drive *drive, GError **error)
{
	struct set_rolling_status *status = status_of(drive);

	if (!scale_set_is_rolling(drive)) {
		if (!has_outdated(drive))
			return 1;
		if (!begin(drive, error))
			return -1;
	}
	return status->state == ROLLING_FORWARD ? step(drive, error) : repeat_end(drive, error);
}
