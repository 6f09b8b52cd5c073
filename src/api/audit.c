/* Writing the audit log. */
#include "api/audit_priv.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYNC_S   1
#define TEXT_MAX 128
#define WHAT_MAX 1024
#define STRANGERS_MAX                                                                                        \
	10 /* records a second of those who have not shown who they are: they must not push out others' */
#define SUFFIX ".jsonl"

const char *const audit_result_words[] = {
	[AUDIT_DONE] = "done",
	[AUDIT_ACCEPTED] = "accepted",
	[AUDIT_REFUSED] = "refused",
	[AUDIT_SUCCEEDED] = "succeeded",
	[AUDIT_FAILED] = "failed",
	NULL,
};

/* ---- files ---- */

char *audit_path(const struct audit *audit, int64_t first)
{
	g_autofree char *name = g_strdup_printf("%016" G_GINT64_FORMAT SUFFIX, first);

	return g_build_filename(audit->dir, name, NULL);
}

static int compare_numbers(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

GArray *audit_files(const struct audit *audit, GError **error)
{
	g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(int64_t));
	g_autoptr(GDir) dir = g_dir_open(audit->dir, 0, error);
	const char *name;

	if (!dir)
		return NULL;
	while ((name = g_dir_read_name(dir))) {
		char *end;
		int64_t first = g_ascii_strtoll(name, &end, 10);
		if (first > 0 && g_str_equal(end, SUFFIX))
			g_array_append_val(files, first);
	}
	g_array_sort(files, compare_numbers);
	return g_steal_pointer(&files);
}

static bool open_file(struct audit *audit, int64_t first, GError **error)
{
	g_autofree char *path = audit_path(audit, first);
	struct stat status;
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || fstat(fd, &status) < 0) {
		if (fd >= 0)
			close(fd);
		return fault_set(error, FAULT_INTERNAL, "the audit log %s cannot be opened: %s", path,
			g_strerror(errno));
	}
	if (audit->fd >= 0) {
		fdatasync(audit->fd);
		close(audit->fd);
	}
	audit->fd = fd;
	audit->size = status.st_size;
	return true;
}

static void remove_oldest(struct audit *audit)
{
	g_autoptr(GArray) files = audit_files(audit, NULL);

	for (guint i = 0; files && i + audit->files < files->len; i++) {
		g_autofree char *path = audit_path(audit, g_array_index(files, int64_t, i));
		unlink(path);
	}
}

/* ---- opening ---- */

/* Finds the number of the last record, and whether the last line was cut off. */
static bool read_end(struct audit *audit, int64_t first, GError **error)
{
	g_autofree char *text = g_malloc(AUDIT_BLOCK);
	int64_t from = MAX(audit->size - AUDIT_BLOCK, 0);
	ssize_t n = pread(audit->fd, text, AUDIT_BLOCK, from);

	if (n < 0)
		return fault_set(error, FAULT_INTERNAL, "the audit log in %s cannot be read: %s", audit->dir,
			g_strerror(errno));
	audit->torn = n > 0 && text[n - 1] != '\n';
	/* Where no line says it, it is no more than there are bytes. */
	audit->seq = first - 1 + (n > 0 ? audit->size : 0);
	for (ssize_t end = n; end > 0;) {
		const char *line = memrchr(text, '\n', (size_t)end - 1);
		ssize_t start = line ? line + 1 - text : 0;
		json_auto_t *json = json_loadb(text + start, (size_t)(end - start), 0, NULL);
		if (json_is_integer(json_object_get(json, "seq"))) {
			audit->seq = json_integer_value(json_object_get(json, "seq"));
			break;
		}
		end = start;
	}
	return true;
}

static gboolean synchronise(void *data)
{
	struct audit *audit = data;

	if (audit->dirty)
		fdatasync(audit->fd);
	audit->dirty = false;
	return G_SOURCE_CONTINUE;
}

static bool open_last(struct audit *audit, GError **error)
{
	g_autoptr(GArray) files = NULL;

	if (g_mkdir_with_parents(audit->dir, 0700) < 0)
		return fault_set(
			error, FAULT_INTERNAL, "folder %s cannot be made: %s", audit->dir, g_strerror(errno));
	files = audit_files(audit, error);
	if (!files)
		return false;
	int64_t first = files->len ? g_array_index(files, int64_t, files->len - 1) : 1;
	return open_file(audit, first, error) && read_end(audit, first, error);
}

struct audit *audit_open(const struct audit_config *config, GError **error)
{
	_cleanup_(audit_close) struct audit *audit = g_new0(struct audit, 1);

	audit->fd = -1;
	audit->dir = g_strdup(config->dir);
	audit->file_bytes = config->file_bytes;
	audit->files = config->files;
	if (!open_last(audit, error))
		return NULL;
	audit->timer = g_timeout_add_seconds(SYNC_S, synchronise, audit);
	return g_steal_pointer(&audit);
}

void audit_close(struct audit *audit)
{
	if (!audit)
		return;
	g_clear_handle_id(&audit->timer, g_source_remove);
	if (audit->fd >= 0) {
		fdatasync(audit->fd);
		close(audit->fd);
	}
	g_free(audit->dir);
	g_free(audit);
}

/* ---- writing ---- */

static void put(json_t *json, const char *key, const char *text, size_t max)
{
	if (!text)
		return;
	g_autofree char *cut = g_strndup(text, max), *valid = g_utf8_make_valid(cut, -1);
	json_object_set_new(json, key, json_string(valid));
}

/* Owned. */
static char *format_time(int64_t us)
{
	g_autoptr(GDateTime) second = g_date_time_new_from_unix_utc(us / G_USEC_PER_SEC);
	g_autoptr(GDateTime) time = second ? g_date_time_add(second, (GTimeSpan)(us % G_USEC_PER_SEC)) : NULL;

	return time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S.%fZ") : NULL;
}

static char *format(const struct audit *audit, const struct audit_record *record)
{
	g_autofree char *time = format_time(g_get_real_time()),
			*ended = record->ended_us ? format_time(record->ended_us) : NULL;
	json_auto_t *json = json_pack("{s:I, s:s, s:s}", "seq", (json_int_t)audit->seq + 1, "time", time,
		"result", audit_result_words[record->result]);

	put(json, "who", record->who, TEXT_MAX);
	put(json, "what", record->what, WHAT_MAX);
	if (record->status)
		json_object_set_new(json, "status", json_integer(record->status));
	put(json, "code", record->code, TEXT_MAX);
	put(json, "operation", record->operation, TEXT_MAX);
	put(json, "parent", record->parent, TEXT_MAX);
	put(json, "request", record->request, TEXT_MAX);
	put(json, "client", record->client, TEXT_MAX);
	put(json, "command", record->command, TEXT_MAX);
	put(json, "address", record->address, TEXT_MAX);
	put(json, "ended", ended, TEXT_MAX);
	if (audit->missed)
		json_object_set_new(json, "missed", json_integer((json_int_t)audit->missed));
	g_autofree char *text = json_dumps(json, JSON_COMPACT);
	return g_strdup_printf("%s%s\n", audit->torn ? "\n" : "", text);
}

static void note_failure(struct audit *audit, const char *why)
{
	if (!audit->failing)
		log_error("audit", "records are missing from %s: %s", audit->dir, why);
	audit->failing = true;
	audit->missed++;
}

/* A file that is full is followed by another; one that cannot be made leaves all in the full one. */
static void rotate(struct audit *audit)
{
	g_autoptr(GError) failure = NULL;

	if (audit->size < audit->file_bytes)
		return;
	if (!open_file(audit, audit->seq + 1, &failure)) {
		log_warn("audit", "%s", failure->message);
		return;
	}
	audit->torn = false;
	remove_oldest(audit);
}

static bool is_too_often(struct audit *audit, const struct audit_record *record)
{
	int64_t second = g_get_monotonic_time() / G_USEC_PER_SEC;

	if (record->who)
		return false;
	if (second != audit->strangers_s)
		audit->strangers = 0;
	audit->strangers_s = second;
	return ++audit->strangers > STRANGERS_MAX;
}

void audit_write(struct audit *audit, const struct audit_record *record)
{
	if (is_too_often(audit, record)) {
		audit->missed++;
		return;
	}
	rotate(audit);
	g_autofree char *line = format(audit, record);
	size_t length = strlen(line);
	ssize_t n = write(audit->fd, line, length);
	if (n > 0)
		audit->size += n;
	audit->torn = n > 0 ? (size_t)n < length : audit->torn;
	if (n != (ssize_t)length) {
		note_failure(audit, n < 0 ? g_strerror(errno) : "the disk is full");
		return;
	}
	audit->seq++;
	audit->missed = 0;
	audit->failing = false;
	audit->dirty = true;
}
