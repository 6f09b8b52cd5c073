/* A running domain's XML with the places that another host's definition names.
 *
 * How it works: both texts describe the same machine, so the paths in them come in the same order. The definition there
 * is read first, into a list of places; then the running one is copied element by element, and takes its next path from
 * that list at each place. What kind of place it is must agree, so that two texts that differ in shape are refused
 * rather than mixed. Backing chains are left out of both: the daemon there finds the chain by the overlay, which was made
 * on that host's copy of the image.
 */
#include "vm/domain_xml.h"

#include <string.h>

/* Where a definition has paths of its host. */
static const struct place {
	const char *element, *attribute; /* attribute NULL: the element's text */
} places[] = {
	{"emulator", NULL},
	{"kernel", NULL},
	{"initrd", NULL},
	{"source", "file"},
	{"source", "path"},
	{"log", "file"},
	{"vm", "directory"},
	{DOMAIN_XML_PREFIX ":vm", "directory"},
};

struct found {
	const struct place *place;
	char *path; /* Owned */
};

static void found_free(void *data)
{
	struct found *found = data;

	g_free(found->path);
	g_free(found);
}

/* One pass over a text. */
struct pass {
	GPtrArray *found; /* Owned, of struct found: of the definition there */
	guint next; /* of them, in the second pass */
	GString *out; /* NULL: the first pass, which only looks */
	unsigned skipped; /* depth inside a backing chain; 0: outside */
	bool misfit; /* a place has no counterpart */
};

static const struct place *find_place(const char *element, const char *attribute)
{
	for (size_t i = 0; i < G_N_ELEMENTS(places); i++)
		if (g_str_equal(places[i].element, element) && g_strcmp0(places[i].attribute, attribute) == 0)
			return &places[i];
	return NULL;
}

/* Of a value at a place: notes it (first pass), or says what stands there on the other host. Borrowed. */
static const char *pass_place(struct pass *pass, const struct place *place, const char *value)
{
	if (!pass->out) {
		struct found *found = g_new0(struct found, 1);
		*found = (struct found){place, g_strdup(value)};
		g_ptr_array_add(pass->found, found);
		return value;
	}
	const struct found *found = pass->next < pass->found->len ? pass->found->pdata[pass->next++] : NULL;
	if (found && found->place == place)
		return found->path;
	pass->misfit = true;
	return value;
}

static void G_GNUC_PRINTF(2, 3) emit(struct pass *pass, const char *format, ...)
{
	va_list args;

	if (!pass->out)
		return;
	va_start(args, format);
	g_autofree char *text = g_markup_vprintf_escaped(format, args);
	va_end(args);
	g_string_append(pass->out, text);
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names,
	const char **values, void *data, GError **error)
{
	struct pass *pass = data;

	if (pass->skipped || g_str_equal(element, "backingStore")) {
		pass->skipped++;
		return;
	}
	emit(pass, "<%s", element);
	for (; *names; names++, values++) {
		const struct place *place = find_place(element, *names);
		emit(pass, " %s='%s'", *names, place ? pass_place(pass, place, *values) : *values);
	}
	emit(pass, ">");
}

static void on_text(GMarkupParseContext *context, const char *text, gsize length, void *data, GError **error)
{
	struct pass *pass = data;
	const struct place *place = find_place(g_markup_parse_context_get_element(context), NULL);

	if (!pass->skipped)
		emit(pass, "%s", place ? pass_place(pass, place, text) : text);
}

static void on_end(GMarkupParseContext *context, const char *element, void *data, GError **error)
{
	struct pass *pass = data;

	if (pass->skipped)
		pass->skipped--;
	else
		emit(pass, "</%s>", element);
}

static bool run(struct pass *pass, const char *xml)
{
	static const GMarkupParser parser = {
		.start_element = on_start, .end_element = on_end, .text = on_text};
	g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, pass, NULL);

	return g_markup_parse_context_parse(context, xml, -1, NULL) &&
	       g_markup_parse_context_end_parse(context, NULL);
}

char *domain_xml_move(const char *running, const char *there, GError **error)
{
	g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(found_free);
	struct pass pass = {.found = found};
	bool read = run(&pass, there);

	g_autoptr(GString) out = pass.out = g_string_new(NULL);
	if (read && run(&pass, running) && !pass.misfit && pass.next == found->len)
		return g_string_free(g_steal_pointer(&out), FALSE);
	fault_set(error, FAULT_INVALID,
		"the definition on the other host is not one of the same machine: it has other disks, NICs "
		"or boot files");
	return NULL;
}
