/* Images of users' own, and what machines may be made from and have by their image.
 *
 * How it works. A machine's disk is made from an image of the store, which each host keeps as files (vm/image.h). Two
 * things name one: an alias, which is the operator's (catalog.c), and a custom image, which a user makes in a group of
 * what the operator has imported. The machine keeps the store's id, so that neither has to stay.
 *
 * Whether guests support acceleration is said by the aliases, and by the tag of a custom image: who has put the
 * image together knows it. It is asked when a machine gets an accelerated interface. A tag that goes takes nothing
 * away that is there.
 */
#include "base/fault.h"
#include "control/control_priv.h"

#define TAG_SUPPORT "sluice-accelerated-networking"

/* ---- what machines may ---- */

static bool check_custom(
	struct put *put, const struct meta *of, const struct machine_image *image, GError **error)
{
	const struct custom_image *custom =
		check_reference(put->change, KIND_CUSTOM_IMAGE, image->custom, of, error);

	return custom && (g_str_equal(custom->meta.location, of->location) ||
				 fault_set(error, FAULT_INVALID_REFERENCE,
					 "image %s is in %s but %s %s is in %s; both must be in one location",
					 custom->meta.name, custom->meta.location,
					 kind_info((enum kind)of->kind)->title, of->name, of->location));
}

bool machine_check_image(
	struct put *put, const struct meta *of, const struct machine_image *image, GError **error)
{
	if (image->custom)
		return check_custom(put, of, image, error);
	return catalog_image(put->control, image->id ? image->id : "") ||
	       fault_set(error, FAULT_INVALID_REFERENCE,
		       "%s %s asks for an image that this cloud does not have; 'sluice image list' shows "
		       "what "
		       "is there",
		       kind_info((enum kind)of->kind)->title, of->name);
}

static bool refuse_support(const struct meta *of, const char *nic, const char *remedy, GError **error)
{
	return fault_set(error, FAULT_NOT_ALLOWED,
		"The image of %s %s does not support accelerated networking, which network interface %s has; "
		"%s, or turn it off on the interface",
		kind_info((enum kind)of->kind)->title, of->name, nic, remedy);
}

/* Of a custom image that is gone nothing is asked, as of an image that has no alias any more. */
static bool check_declared(struct put *put, const struct meta *of, const struct machine_image *image,
	const char *nic, GError **error)
{
	g_autoptr(GError) failure = NULL;
	const struct custom_image *custom =
		change_get(put->change, KIND_CUSTOM_IMAGE, image->custom, &failure);

	if (!custom && g_error_matches(failure, FAULT, FAULT_NOT_FOUND))
		return true;
	if (!custom) {
		g_propagate_error(error, g_steal_pointer(&failure));
		return false;
	}
	if (g_strcmp0(tag_value(&custom->meta, TAG_SUPPORT), "true") == 0)
		return true;
	g_autofree char *remedy = g_strdup_printf(
		"if guests of image %s do, declare it by the image's tag " TAG_SUPPORT "=true",
		custom->meta.name);
	return refuse_support(of, nic, remedy, error);
}

bool machine_check_support(struct put *put, const struct meta *of, const struct machine_image *image,
	const char *nic, GError **error)
{
	if (image->custom)
		return check_declared(put, of, image, nic, error);
	return catalog_supports(put->control, image->id) ||
	       refuse_support(of, nic,
		       "take one for which 'az vm image show' says IsAcceleratedNetworkSupported", error);
}

/* ---- the kind ---- */

static bool check_tag(const struct custom_image *image, GError **error)
{
	const char *tag = tag_value(&image->meta, TAG_SUPPORT);

	return !tag || g_str_equal(tag, "true") || g_str_equal(tag, "false") ||
	       fault_set(error, FAULT_INVALID,
		       "image %s has the tag " TAG_SUPPORT
		       " with the value '%s'; it is 'true' where its guests "
		       "support accelerated networking, else 'false'",
		       image->meta.name, tag);
}

static bool custom_image_prepare(struct put *put, GError **error)
{
	const struct custom_image *old = put->old, *image = put->object;

	if (!check_tag(image, error))
		return false;
	if (old)
		return g_str_equal(old->spec.image, image->spec.image) ||
		       fault_set(error, FAULT_NOT_ALLOWED,
			       "image %s was made of %s; that cannot be changed, make another one",
			       image->meta.name, old->spec.image);
	return catalog_has_stored(put->control, image->spec.image) ||
	       fault_set(error, FAULT_INVALID_REFERENCE,
		       "image %s is to be made of %s, which the controller's image store does not have; "
		       "'sluice image list' shows what is there, 'sluice image import' brings more",
		       image->meta.name, image->spec.image);
}

static bool custom_image_release(struct control *control, struct change *change, void *object, GError **error)
{
	return true;
}

const struct kind_hooks custom_image_hooks = {
	.prepare = custom_image_prepare,
	.release = custom_image_release,
};
