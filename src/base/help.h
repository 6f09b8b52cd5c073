/* The help of programs on terminals and in logs of any locale. */
#pragma once
#include <glib.h>

/* GLib writes an ellipsis, U+2026, into every usage line, which its own printing turns into '?' where the locale has no such
 * character. From now on help (and all else that goes by g_print()) has three dots there, and the locale's characters. */
void help_init(void);
/* The whole help, for another stream than standard output. Owned by the caller. */
char *help_text(GOptionContext *context);
