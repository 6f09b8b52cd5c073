/* JSON as people and tools write it, where the standard's would refuse.
 *
 * On top of RFC 8259 it takes line and block comments, keys without quotes, strings in single quotes, a comma
 * before a closing bracket, and line breaks inside strings. Of a key that is there twice the last one counts.
 * Deployment templates are such text: clients splice the user's file as it is behind an unquoted key.
 */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stddef.h>

#define RELAXED_JSON_DEPTH_MAX 100 /* arrays and objects inside each other */

/* New reference, or NULL and FAULT_INVALID that names line and column ("line 3, column 7: a ':' is needed
 * behind the key"). The text need not end with a NUL; anything but white space and comments behind the value
 * is an error. Never reads past `length`, whatever the bytes are. */
json_t *relaxed_json_parse(const char *text, size_t length, GError **error);
