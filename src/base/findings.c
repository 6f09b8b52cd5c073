/* Findings, for people and for programs. */
#include "base/findings.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const char *const level_words[] = {
	[FINDING_OK] = "ok",
	[FINDING_NOTE] = "note",
	[FINDING_PROBLEM] = "problem",
};

static void finding_free(struct finding *finding)
{
	g_free(finding->subject);
	g_free(finding->text);
	g_free(finding->remedy);
	g_free(finding);
}

GPtrArray *findings_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)finding_free);
}

void findings_add(GPtrArray *findings, enum finding_level level, const char *check, const char *subject,
	const char *remedy, const char *format, ...)
{
	struct finding *finding = g_new0(struct finding, 1);
	va_list args;

	finding->level = level;
	finding->check = check;
	finding->subject = g_strdup(subject);
	finding->remedy = g_strdup(remedy);
	va_start(args, format);
	finding->text = g_strdup_vprintf(format, args);
	va_end(args);
	g_ptr_array_add(findings, finding);
}

unsigned findings_count(const GPtrArray *findings, enum finding_level level)
{
	unsigned n = 0;

	for (guint i = 0; i < findings->len; i++)
		n += ((const struct finding *)findings->pdata[i])->level == level;
	return n;
}

enum findings_exit findings_exit_of(const GPtrArray *findings)
{
	return findings_count(findings, FINDING_PROBLEM) ? FINDINGS_PROBLEM : FINDINGS_WELL;
}

/* ---- text ---- */

static int widest_check(const GPtrArray *findings)
{
	size_t widest = 0;

	for (guint i = 0; i < findings->len; i++)
		widest = MAX(widest, strlen(((const struct finding *)findings->pdata[i])->check));
	return (int)widest;
}

char *findings_text(const GPtrArray *findings)
{
	GString *out = g_string_new(NULL);
	int width = widest_check(findings);
	unsigned problems = findings_count(findings, FINDING_PROBLEM);
	unsigned notes = findings_count(findings, FINDING_NOTE);

	for (guint i = 0; i < findings->len; i++) {
		const struct finding *finding = findings->pdata[i];
		g_string_append_printf(out, "%-7s  %-*s  %s%s%s\n", level_words[finding->level], width,
			finding->check, finding->subject ? finding->subject : "",
			finding->subject ? ": " : "", finding->text);
		if (finding->remedy)
			g_string_append_printf(out, "%*s-> %s\n", width + 11, "", finding->remedy);
	}
	g_string_append_printf(out, "%u problem%s, %u note%s\n", problems, problems == 1 ? "" : "s", notes,
		notes == 1 ? "" : "s");
	return g_string_free(out, false);
}

json_t *findings_encode(const GPtrArray *findings)
{
	json_t *list = json_array();

	for (guint i = 0; i < findings->len; i++) {
		const struct finding *finding = findings->pdata[i];
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s?, s:s, s:s?}", "level", level_words[finding->level],
				      "check", finding->check, "subject", finding->subject, "text",
				      finding->text, "remedy", finding->remedy));
	}
	return json_pack("{s:i, s:i, s:o}", "problems", (int)findings_count(findings, FINDING_PROBLEM),
		"notes", (int)findings_count(findings, FINDING_NOTE), "findings", list);
}
