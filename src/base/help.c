/* Help without characters that a locale may lack. */
#include "base/help.h"

#include <stdio.h>

#define ELLIPSIS "\u2026"

/* In the locale's characters. Owned by the caller. */
static char *printable(const char *text)
{
	g_auto(GStrv) parts = g_strsplit(text, ELLIPSIS, -1);
	g_autofree char *plain = g_strjoinv("...", parts);
	const char *charset;

	if (g_get_charset(&charset))
		return g_steal_pointer(&plain);
	char *converted = g_convert_with_fallback(plain, -1, charset, "UTF-8", "?", NULL, NULL, NULL);
	return converted ? converted : g_steal_pointer(&plain); /* a program's name need not be UTF-8 */
}

static void print(const char *text)
{
	g_autofree char *plain = printable(text);

	fputs(plain, stdout);
	fflush(stdout);
}

void help_init(void)
{
	g_set_print_handler(print);
}

char *help_text(GOptionContext *context)
{
	g_autofree char *text = g_option_context_get_help(context, TRUE, NULL);

	return printable(text);
}
