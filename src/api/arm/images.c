/* Images: the document of aliases, and what a publisher, its offers and their SKUs have. */
#include "api/arm/arm_priv.h"

#include <string.h>

static bool is_latest(const char *version)
{
	return !version || g_ascii_strcasecmp(version, "latest") == 0;
}

/* An alias file may say "latest"; a client wants to see a version that it could name again. */
const char *arm_image_version(const struct image_entry *image)
{
	return is_latest(image->version) ? "1.0.0" : image->version;
}

const struct image_entry *arm_image_find(
	struct arm *arm, const char *publisher, const char *offer, const char *sku, const char *version)
{
	const GPtrArray *images = control_images(arm->control);

	for (guint i = 0; i < images->len; i++) {
		const struct image_entry *image = images->pdata[i];
		if (g_ascii_strcasecmp(image->publisher, publisher) == 0 &&
			g_ascii_strcasecmp(image->offer, offer) == 0 &&
			g_ascii_strcasecmp(image->sku, sku) == 0 &&
			(is_latest(version) || g_ascii_strcasecmp(arm_image_version(image), version) == 0))
			return image;
	}
	return NULL;
}

/* What az reads instead of its built-in list, of which newer ones lack UbuntuLTS. All five members are read.
 */
static void get_aliases(struct call *call, void *data)
{
	struct arm *arm = data;
	const GPtrArray *images = control_images(arm->control);
	json_t *aliases = json_object();

	for (guint i = 0; i < images->len; i++) {
		const struct image_entry *image = images->pdata[i];
		if (image->alias)
			json_object_set_new(aliases, image->alias,
				json_pack("{s:s, s:s, s:s, s:s, s:s}", "publisher", image->publisher, "offer",
					image->offer, "sku", image->sku, "version", "latest", "architecture",
					image->architecture ? image->architecture : "x64"));
	}
	call_answer_json(call, 200,
		json_pack("{s:{s:{s:s, s:{s:o}}}}", "outputs", "aliases", "type", "object", "value", "Linux",
			aliases));
}

/* Checks what all paths below have in common; the canonical location, or NULL after it has answered. */
static const char *check_path(struct call *call, struct arm *arm)
{
	GError *error = NULL;
	const char *location = NULL;

	if (arm_check_subscription(arm, call_param(call, "subscription"), &error))
		location = arm_location(arm, NULL, call_param(call, "location"), &error);
	if (!location)
		arm_fail(call, error);
	return location;
}

/* The parts of an image's name, from the outside in. */
static const struct {
	const char *param, *segment;
} levels[] = {
	{"publisher", "Publishers"},
	{"offer", "ArtifactTypes/VMImage/Offers"},
	{"sku", "Skus"},
	{"version", "Versions"},
};

static const char *part(const struct image_entry *image, size_t level)
{
	return (const char *const[]){
		image->publisher, image->offer, image->sku, arm_image_version(image)}[level];
}

static bool is_below(const struct image_entry *image, const struct call *call, size_t depth)
{
	for (size_t i = 0; i < depth; i++)
		if (g_ascii_strcasecmp(part(image, i), call_param(call, levels[i].param)) != 0)
			return false;
	return true;
}

static json_t *entry_of(struct arm *arm, const struct image_entry *image, size_t depth, const char *location)
{
	g_autoptr(GString) id = g_string_new(NULL);

	g_string_append_printf(id, "/subscriptions/%s/providers/Microsoft.Compute/Locations/%s",
		control_subscription(arm->control), location);
	for (size_t i = 0; i <= depth; i++)
		g_string_append_printf(id, "/%s/%s", levels[i].segment, part(image, i));
	return json_pack("{s:s, s:s, s:s}", "id", id->str, "name", part(image, depth), "location", location);
}

/* The names at one level below the ones that the path gives, each once: a bare array, not {"value"}. */
static void answer_level(struct call *call, struct arm *arm, size_t depth)
{
	const char *location = check_path(call, arm);
	const GPtrArray *images = control_images(arm->control);
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	json_t *array;

	if (!location)
		return;
	array = json_array();
	for (guint i = 0; i < images->len; i++) {
		const struct image_entry *image = images->pdata[i];
		if (is_below(image, call, depth) && g_hash_table_add(seen, (void *)part(image, depth)))
			json_array_append_new(array, entry_of(arm, image, depth, location));
	}
	call_answer_json(call, 200, array);
}

static void list_publishers(struct call *call, void *data)
{
	answer_level(call, data, 0);
}

static void list_offers(struct call *call, void *data)
{
	answer_level(call, data, 1);
}

static void list_skus(struct call *call, void *data)
{
	answer_level(call, data, 2);
}

static void list_versions(struct call *call, void *data)
{
	answer_level(call, data, 3);
}

static void get_version(struct call *call, void *data)
{
	struct arm *arm = data;
	const char *location = check_path(call, arm);
	const struct image_entry *image;
	GError *error = NULL;
	json_t *json;

	if (!location)
		return;
	image = arm_image_find(arm, call_param(call, "publisher"), call_param(call, "offer"),
		call_param(call, "sku"), call_param(call, "version"));
	if (!image) {
		fault_set(&error, FAULT_NOT_FOUND, "The image version '%s:%s:%s:%s' was not found.",
			call_param(call, "publisher"), call_param(call, "offer"), call_param(call, "sku"),
			call_param(call, "version"));
		arm_fail(call, error);
		return;
	}
	json = entry_of(arm, image, 3, location);
	put_json(json, "properties",
		json_pack("{s:{s:s}, s:[], s:s, s:s, s:[{s:s, s:s}]}", "osDiskImage", "operatingSystem",
			"Linux", "dataDiskImages", "hyperVGeneration", "V1", "architecture",
			image->architecture ? image->architecture : "x64", "features", "name",
			"IsAcceleratedNetworkSupported", "value", image->accelerated ? "True" : "False"));
	put_text(json_object_get(json, "properties"), "description", image->description);
	call_answer_json(call, 200, json);
}

#define PUBLISHERS "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/publishers"
#define OFFERS     PUBLISHERS "/{publisher}/artifacttypes/vmimage/offers"
#define VERSIONS   OFFERS "/{offer}/skus/{sku}/versions"

const struct route arm_image_routes[] = {
	{"GET", "/aliases.json", get_aliases, ROUTE_OPEN},
	{"GET", PUBLISHERS, list_publishers},
	{"GET", OFFERS, list_offers},
	{"GET", OFFERS "/{offer}/skus", list_skus},
	{"GET", VERSIONS, list_versions},
	{"GET", VERSIONS "/{version}", get_version},
	{},
};
