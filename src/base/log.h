/* Log lines with the object they are about, as structured fields.
 *
 * Log once, where an error stops. What a packet or a peer can trigger is a counter or rate limited, never a
 * plain line. Lines go to standard error as "TIME LEVEL PROGRAM OBJECT: text"; under systemd the journal gets
 * the same as fields (OBJECT=, PRIORITY=, MESSAGE=).
 */
#pragma once
#include <glib.h>

/* Names the program in every line; called first thing in main(). Debug lines show when SLUICE_DEBUG is set.
 */
void log_init(const char *program);

/* object: what the line is about, for example "vm web-1" or "subnet 10.0.0.0/24"; NULL for the program. */
void log_line(GLogLevelFlags level, const char *object, const char *format, ...) G_GNUC_PRINTF(3, 4);

#define log_error(object, ...) log_line(G_LOG_LEVEL_CRITICAL, object, __VA_ARGS__)
#define log_warn(object, ...)  log_line(G_LOG_LEVEL_WARNING, object, __VA_ARGS__)
#define log_info(object, ...)  log_line(G_LOG_LEVEL_INFO, object, __VA_ARGS__)
#define log_debug(object, ...) log_line(G_LOG_LEVEL_DEBUG, object, __VA_ARGS__)
