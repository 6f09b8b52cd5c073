/* What the audit log says of requests and operations.
 *
 * How it works. A request is on record before its answer goes out, an operation when control tells of its end, which is
 * soon after the store has it. A program that ends in between would leave them out; so where one begins, it looks for
 * operations that the store has ended since shortly before the log's last record, and of which the log does not say so.
 */
#include "api/arm/arm_priv.h"
#include "base/log.h"

#include <string.h>

#define LAG_US  (60 * G_USEC_PER_SEC) /* by which an end is on record at most, while the program runs */
#define RECORDS 1000 /* that are read at once */

static bool is_reading(const char *method)
{
	return g_str_equal(method, "GET") || g_str_equal(method, "HEAD") || g_str_equal(method, "OPTIONS");
}

static enum audit_result result_of(const struct call *call, unsigned status)
{
	if (status >= 400 || call_code(call))
		return AUDIT_REFUSED;
	return call_answer_header(call, "Azure-AsyncOperation") || status == 202 ? AUDIT_ACCEPTED
										 : AUDIT_DONE;
}

void arm_record_answer(struct call *call, unsigned status, void *data)
{
	const struct arm *arm = data;

	if (!arm->audit || call_is_open(call) || is_reading(call_method(call)))
		return;
	g_autofree char *what = g_strdup_printf("%s %s", call_method(call), call_path(call));
	const struct audit_record record = {
		.result = result_of(call, status),
		.status = status,
		.who = call_principal(call),
		.what = what,
		.code = call_code(call),
		.operation = call_operation(call),
		.request = call_id(call),
		.client = call_header(call, "x-ms-client-request-id"),
		.command = call_header(call, "CommandName"),
		.address = call_remote(call),
	};
	audit_write(arm->audit, &record);
}

/* ended_us: as in the record. */
static void write_end(const struct arm *arm, const struct operation *operation, int64_t ended_us)
{
	bool failed = operation->status.state == OPERATION_FAILED;

	g_autofree char *what = g_strdup_printf("%s %s %s", verb_words[operation->spec.verb],
		kind_info((enum kind)operation->spec.target_kind)->title, operation->spec.target_name);
	const struct audit_record record = {
		.result = failed ? AUDIT_FAILED : AUDIT_SUCCEEDED,
		.who = operation->spec.principal,
		.what = what,
		.code = failed ? arm_error_of_word(operation->status.fault).code : NULL,
		.operation = operation->meta.uid,
		.parent = operation->spec.parent,
		.request = operation->spec.request,
		.ended_us = ended_us,
	};
	audit_write(arm->audit, &record);
}

void arm_record_end(const struct operation *operation, void *data)
{
	const struct arm *arm = data;

	if (arm->audit)
		write_end(arm, operation, 0);
}

/* Of an operation that was over when it began no end is told. */
static enum audit_result result_of_part(const struct operation *operation)
{
	if (!operation)
		return AUDIT_REFUSED;
	return operation->status.state == OPERATION_RUNNING ? AUDIT_ACCEPTED : AUDIT_DONE;
}

void arm_record_part(struct arm *arm, const struct operation *deployment, const char *verb, const char *id,
	const struct operation *operation, const char *code)
{
	g_autofree char *what = g_strdup_printf("%s %s", verb, id);
	const struct audit_record record = {
		.result = result_of_part(operation),
		.who = deployment->spec.principal,
		.what = what,
		.code = code,
		.operation = operation ? operation->meta.uid : NULL,
		.parent = deployment->meta.uid,
		.request = deployment->spec.request,
	};

	if (arm->audit)
		audit_write(arm->audit, &record);
}

void arm_record_forgotten(struct arm *arm, const struct operation *deployment, const char *id)
{
	g_autofree char *what = g_strdup_printf("DELETE %s", id);
	const struct audit_record record = {
		.result = AUDIT_DONE,
		.who = deployment->spec.principal,
		.what = what,
		.parent = deployment->meta.uid,
		.request = deployment->spec.request,
	};

	if (arm->audit)
		audit_write(arm->audit, &record);
}

/* ---- what the end of the program kept from the log ---- */

/* Notes what the record says to be over, or refused: its operation, and its request, which stands for an operation that was
 * over when it was answered. */
static void note_told(GHashTable *told, const json_t *record)
{
	const char *result = json_string_value(json_object_get(record, "result")),
		   *operation = json_string_value(json_object_get(record, "operation")),
		   *request = json_string_value(json_object_get(record, "request"));

	if (g_strcmp0(result, audit_result_words[AUDIT_ACCEPTED]) == 0)
		return;
	if (operation)
		g_hash_table_add(told, g_strdup(operation));
	else if (request && !json_object_get(record, "parent"))
		g_hash_table_add(told, g_strdup(request));
}

/* All that the end of the log tells, as far back as *ret_since_us, which is 0 where that is the whole log. NULL with *error. */
static GHashTable *read_told(struct audit *audit, int64_t *ret_since_us, GError **error)
{
	const struct audit_filter all = {};
	g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *after = NULL;
	int64_t since_us = 0, us = G_MAXINT64;

	do {
		_cleanup_(page_clear) struct page page = {.limit = RECORDS, .after = g_steal_pointer(&after)};
		json_auto_t *records = json_array();
		json_t *record;
		size_t i;
		if (!audit_read(audit, &all, &page, records, error))
			return NULL;
		json_array_foreach(records, i, record)
		{
			note_told(told, record);
			us = audit_time_us(record);
			since_us = since_us ? since_us : us - LAG_US;
		}
		after = g_steal_pointer(&page.next);
	} while (after && us >= since_us);
	*ret_since_us = since_us;
	return g_steal_pointer(&told);
}

static bool is_missed(const struct operation *operation, int64_t since_us, GHashTable *told)
{
	const struct operation_spec *spec = &operation->spec;

	return operation->status.state != OPERATION_RUNNING && operation->status.finished_us >= since_us &&
	       !g_hash_table_contains(told, operation->meta.uid) &&
	       (spec->parent || !spec->request || !g_hash_table_contains(told, spec->request));
}

static int compare_ends(const void *a, const void *b)
{
	int64_t one = (*(const struct operation *const *)a)->status.finished_us,
		other = (*(const struct operation *const *)b)->status.finished_us;

	return (one > other) - (one < other);
}

void arm_record_missed(const struct arm *arm)
{
	g_autoptr(GError) failure = NULL;
	g_autoptr(GPtrArray) missed = g_ptr_array_new();
	int64_t since_us = 0;

	if (!arm->audit)
		return;
	g_autoptr(GHashTable) told = read_told(arm->audit, &since_us, &failure);
	g_autoptr(GPtrArray) all = told ? control_list(arm->control, KIND_OPERATION, NULL, &failure) : NULL;
	if (!all) {
		log_error("audit", "ends of operations may be missing: %s", failure->message);
		return;
	}
	for (guint i = 0; i < all->len; i++)
		if (is_missed(all->pdata[i], since_us, told))
			g_ptr_array_add(missed, all->pdata[i]);
	g_ptr_array_sort(missed, compare_ends);
	for (guint i = 0; i < missed->len; i++) {
		const struct operation *operation = missed->pdata[i];
		write_end(arm, operation, operation->status.finished_us);
	}
}
