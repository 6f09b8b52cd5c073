/* Reading the audit log, from its end to its beginning.
 *
 * A position is "FIRST:OFFSET": the file that begins with that record, and where in it the records end that are still to
 * come. Files only grow, so it stays good until its file is removed; then the log is at its end.
 */
#include "api/audit_priv.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKS_MAX 10000 /* lines that one page costs at most */

struct reading {
	const struct audit *audit;
	const struct audit_filter *filter;
	struct page *page;
	json_t *array;
	int64_t first; /* of the file that is read */
	int64_t end; /* in it, of what is still to come */
};

/* ---- what fits ---- */

static const char *text(const json_t *record, const char *member)
{
	const char *value = json_string_value(json_object_get(record, member));

	return value ? value : "";
}

static bool is(const char *wanted, const char *value)
{
	return !wanted || g_ascii_strcasecmp(wanted, value) == 0;
}

static bool contains(const char *part, const char *whole)
{
	g_autofree char *small = part ? g_ascii_strdown(part, -1) : NULL, *in = g_ascii_strdown(whole, -1);

	return !part || strstr(in, small);
}

int64_t audit_time_us(const json_t *record)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text(record, "time"), NULL);

	return time ? g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time) : 0;
}

static bool is_in_time(const struct audit_filter *filter, const json_t *record)
{
	if (!filter->since_us && !filter->until_us)
		return true;
	int64_t us = audit_time_us(record);
	return us && us >= filter->since_us && (!filter->until_us || us <= filter->until_us);
}

static bool fits(const struct audit_filter *filter, const json_t *record)
{
	return is(filter->who, text(record, "who")) && contains(filter->what, text(record, "what")) &&
	       is(filter->result, text(record, "result")) &&
	       (is(filter->id, text(record, "request")) || is(filter->id, text(record, "client")) ||
		       is(filter->id, text(record, "operation")) || is(filter->id, text(record, "parent"))) &&
	       is_in_time(filter, record);
}

/* ---- lines ---- */

static bool is_full(const struct reading *reading)
{
	return reading->page->taken >= reading->page->limit || reading->page->looked >= LOOKS_MAX;
}

/* The lines of a block of the file, the last one first. `from`: of the block in the file. */
static void take_lines(struct reading *reading, const char *block, int64_t from)
{
	while (reading->end > from && !is_full(reading)) {
		size_t length = (size_t)(reading->end - from);
		const char *newline = memrchr(block, '\n', length - 1);
		/* The block's first line may have begun before it. */
		if (!newline && from > 0)
			return;
		const char *line = newline ? newline + 1 : block;
		json_auto_t *record = json_loadb(line, (size_t)(block + length - line), 0, NULL);
		reading->end = from + (line - block);
		reading->page->looked++;
		if (json_is_object(record) && fits(reading->filter, record)) {
			json_array_append(reading->array, record);
			reading->page->taken++;
		}
	}
}

static bool read_file(struct reading *reading, int fd, GError **error)
{
	g_autofree char *block = g_malloc(AUDIT_BLOCK);

	while (reading->end > 0 && !is_full(reading)) {
		int64_t from = MAX(reading->end - AUDIT_BLOCK, 0), before = reading->end;
		ssize_t n = pread(fd, block, (size_t)(reading->end - from), from);
		if (n != reading->end - from)
			return fault_set(error, FAULT_INTERNAL, "the audit log in %s cannot be read: %s",
				reading->audit->dir, n < 0 ? g_strerror(errno) : "a file was cut");
		take_lines(reading, block, from);
		/* No line is so long: what has no line is none of ours. */
		if (reading->end == before)
			reading->end = from;
	}
	return true;
}

/* ---- files ---- */

/* end < 0: of the file. A file that is gone has nothing. */
static bool read_from(struct reading *reading, int64_t first, int64_t end, GError **error)
{
	g_autofree char *path = audit_path(reading->audit, first);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	bool good = true;

	if (fd < 0 && errno == ENOENT)
		return true;
	if (fd < 0 || fstat(fd, &status) < 0) {
		good = fault_set(error, FAULT_INTERNAL, "%s cannot be read: %s", path, g_strerror(errno));
	} else {
		reading->first = first;
		reading->end = end < 0 ? status.st_size : MIN(end, status.st_size);
		good = read_file(reading, fd, error);
	}
	if (fd >= 0)
		close(fd);
	return good;
}

/* Where the page begins: the newest file whose number is not above the position's. */
static bool parse_position(const char *position, int64_t *ret_first, int64_t *ret_end, GError **error)
{
	char *colon = NULL, *end = NULL;

	*ret_first = G_MAXINT64;
	*ret_end = -1;
	if (!position)
		return true;
	*ret_first = g_ascii_strtoll(position, &colon, 10);
	if (*colon == ':')
		*ret_end = g_ascii_strtoll(colon + 1, &end, 10);
	return (end && !*end && *ret_first > 0 && *ret_end >= 0) ||
	       fault_set(error, FAULT_INVALID, "the place '%s' is none of the audit log", position);
}

bool audit_read(struct audit *audit, const struct audit_filter *filter, struct page *page, json_t *array,
	GError **error)
{
	struct reading reading = {.audit = audit, .filter = filter, .page = page, .array = array};
	g_autoptr(GArray) files = audit_files(audit, error);
	int64_t first, end;

	if (!files || !parse_position(page->after, &first, &end, error))
		return false;
	for (guint i = files->len; i-- > 0 && !is_full(&reading);) {
		int64_t file = g_array_index(files, int64_t, i);
		if (file > first)
			continue;
		if (!read_from(&reading, file, file == first ? end : -1, error))
			return false;
	}
	if (is_full(&reading) && (reading.end > 0 || reading.first > g_array_index(files, int64_t, 0)))
		page->next =
			g_strdup_printf("%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT, reading.first, reading.end);
	return true;
}
