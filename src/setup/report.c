/* Steps as text and as JSON. */
#include "setup/setup_priv.h"

#include <string.h>

static const char *const states[] = {
	[SETUP_SO] = "is so",
	[SETUP_TO_DO] = "to do",
	[SETUP_BLOCKED] = "blocked",
	[SETUP_FOR_PERSON] = "by hand",
	[SETUP_DONE] = "done",
	[SETUP_UNDONE] = "undone",
	[SETUP_LEFT] = "left",
	[SETUP_FAILED] = "failed",
};

static bool is_change(const struct setup_step *step)
{
	return step->state == SETUP_TO_DO || step->state == SETUP_DONE || step->state == SETUP_UNDONE;
}

/* "(3 -> 0)" of what is one word; files are told by their lines. */
static void add_change(GString *out, const struct setup_step *step)
{
	if (is_change(step) && step->kind != SETUP_FILE)
		g_string_append_printf(
			out, " (%s -> %s)", step->now ? step->now : "-", step->wanted ? step->wanted : "-");
}

static void add_contents(GString *out, const struct setup_step *step)
{
	if (step->kind != SETUP_FILE || step->state != SETUP_TO_DO)
		return;
	g_autofree char *text = g_strchomp(g_strdup(step->wanted));
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		g_string_append_printf(out, "         | %s\n", *line);
}

char *setup_text(const GPtrArray *steps)
{
	GString *out = g_string_new(NULL);

	for (guint i = 0; i < steps->len; i++) {
		const struct setup_step *step = steps->pdata[i];
		g_string_append_printf(out, "%-7s  %-9s  %s", states[step->state],
			setup_kinds[step->kind].word, step->object);
		add_change(out, step);
		g_string_append_printf(out, ": %s\n", step->text);
		if (step->problem)
			g_string_append_printf(out, "         -> %s\n", step->problem);
		add_contents(out, step);
	}
	return g_string_free(out, false);
}

json_t *setup_encode(const GPtrArray *steps)
{
	json_t *list = json_array();

	for (guint i = 0; i < steps->len; i++) {
		const struct setup_step *step = steps->pdata[i];
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:s, s:s?}", "kind",
				      setup_kinds[step->kind].word, "object", step->object, "state",
				      states[step->state], "now", step->now, "wanted", step->wanted, "text",
				      step->text, "problem", step->problem));
	}
	return list;
}
