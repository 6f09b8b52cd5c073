/* Log lines with structured fields. */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	GLogLevelFlags level;
	const char *word;
	const char *priority; /* syslog number, as the journal wants it */
} levels[] = {
	{G_LOG_LEVEL_ERROR, "fatal", "2"},
	{G_LOG_LEVEL_CRITICAL, "error", "3"},
	{G_LOG_LEVEL_WARNING, "warning", "4"},
	{G_LOG_LEVEL_MESSAGE, "notice", "5"},
	{G_LOG_LEVEL_INFO, "info", "6"},
	{G_LOG_LEVEL_DEBUG, "debug", "7"},
};

static size_t level_index(GLogLevelFlags level)
{
	for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
		if (level & levels[i].level)
			return i;
	return G_N_ELEMENTS(levels) - 1;
}

static const char *field(const GLogField *fields, gsize n, const char *key)
{
	for (gsize i = 0; i < n; i++)
		if (g_str_equal(fields[i].key, key))
			return fields[i].value;
	return NULL;
}

/* One line, one write(2), so that lines of several processes on one pipe never mix. */
static GLogWriterOutput write_line(GLogLevelFlags level, const GLogField *fields, gsize n, void *data)
{
	const char *object = field(fields, n, "OBJECT"), *message = field(fields, n, "MESSAGE");

	if ((level & G_LOG_LEVEL_DEBUG) && !getenv("SLUICE_DEBUG"))
		return G_LOG_WRITER_HANDLED;
	if (g_log_writer_is_journald(STDERR_FILENO))
		return g_log_writer_journald(level, fields, n, data);
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
	g_autofree char *line = g_strdup_printf("%s.%03dZ %s %s%s%s: %s\n", time,
		g_date_time_get_microsecond(now) / 1000, levels[level_index(level)].word, g_get_prgname(),
		object ? " " : "", object ? object : "", message ? message : "");
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		return G_LOG_WRITER_UNHANDLED;
	return G_LOG_WRITER_HANDLED;
}

void log_init(const char *program)
{
	g_set_prgname(program);
	g_log_set_writer_func(write_line, NULL, NULL);
}

void log_line(GLogLevelFlags level, const char *object, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_autofree char *message = g_strdup_vprintf(format, args);
	va_end(args);
	const GLogField fields[] = {
		{"MESSAGE", message, -1},
		{"PRIORITY", levels[level_index(level)].priority, -1},
		{"OBJECT", object ? object : g_get_prgname(), -1},
	};
	g_log_structured_array(level, fields, object ? 3 : 2);
}
