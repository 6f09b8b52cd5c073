/* Fuzz target: deployment templates. The bytes are the body of a deployment, as clients send it: relaxed JSON. */
#include "fuzz.h"

#include "api/arm/error.h"
#include "api/arm/template.h"
#include "base/relaxed_json.h"

static json_t *lookup(const struct arm_id *id, void *data, GError **error)
{
	return json_pack(
		"{s:s, s:{s:s, s:[s]}}", "name", id->name, "properties", "name", id->name, "list", "a");
}

static struct template *open_json(const json_t *json, GError **error)
{
	const json_t *properties = json_object_get(json, "properties");
	json_auto_t *globals =
		json_pack("{s:{s:s, s:s}}", "resourceGroup", "name", "rg", "location", "centralus");
	const struct template_input input = {.template = json_object_get(properties, "template"),
		.parameters = json_object_get(properties, "parameters"),
		.mode = json_string_value(json_object_get(properties, "mode")),
		.subscription = "sub",
		.group = "rg",
		.globals = globals,
		.seed = "seed"};

	return template_open(&input, error);
}

/* What opens has an order, and bodies whether others are there or not. */
static void assert_usable(struct template *template)
{
	for (guint i = 0; i < template->resources->len; i++) {
		const struct template_resource *resource = template->resources->pdata[i];
		for (guint j = 0; j < resource->depends->len; j++)
			g_assert_cmpuint(
				g_array_index(resource->depends, guint, j), <, template->resources->len);
		if (resource->skipped)
			continue;
		json_auto_t *unknown = template_body(template, i, NULL, NULL, NULL);
		g_assert_nonnull(unknown);
		json_auto_t *shown = template_shown_body(template, i, NULL);
		g_assert_true(shown && !template_is_unknown(template, shown));
		json_auto_t *known = template_body(template, i, lookup, NULL, NULL);
		g_assert_true(!known || !template_is_unknown(template, known));
	}
	json_auto_t *outputs = template_outputs(template, lookup, NULL, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *json = relaxed_json_parse((const char *)data, size, NULL);
	g_autoptr(GError) error = NULL;

	if (!json)
		return 0;
	_cleanup_(template_free) struct template *template = open_json(json, &error);
	if (!template) {
		g_assert_true(error->domain == ARM_FAULT);
		return 0;
	}
	g_assert_no_error(error);
	assert_usable(template);
	return 0;
}
