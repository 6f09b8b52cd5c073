/* Images of users' own: from JSON to the model and back. */
#include "api/arm/arm_priv.h"

#include <string.h>

#define SCHEME "sluice:" /* of the address of an image of the store, which stands where Azure has a blob's */

static const struct refusal refused[] = {
	{"properties.sourceVirtualMachine", "images of virtual machines"},
	{"properties.storageProfile.osDisk.managedDisk", "images of managed disks"},
	{"properties.storageProfile.osDisk.snapshot", "images of snapshots"},
	{"properties.storageProfile.osDisk.diskEncryptionSet", "encrypted disks"},
	{"properties.storageProfile.dataDisks", "data disks"},
	{"properties.storageProfile.zoneResilient", "zones"},
	{"extendedLocation", "extended locations"},
	{},
};

static const char *const systems[] = {"Linux", NULL};
static const char *const states[] = {"Generalized", NULL};

static void decode(struct arm *arm, const struct cursor *body, const void *object, void *wanted)
{
	const struct custom_image *old = object;
	struct custom_image *image = wanted;
	struct cursor properties = cursor_object(body, "properties"),
		      storage = cursor_object(&properties, "storageProfile"),
		      disk = cursor_object(&storage, "osDisk");
	const char *address = cursor_string(&disk, "blobUri");

	cursor_word(&disk, "osType", systems, 0);
	cursor_word(&disk, "osState", states, 0);
	if (address && g_ascii_strncasecmp(address, SCHEME, strlen(SCHEME)) == 0)
		image->spec.image = g_strdup(address + strlen(SCHEME));
	else if (!address && old)
		image->spec.image = g_strdup(old->spec.image);
	else
		cursor_fail(&disk, "blobUri",
			"it is required, as " SCHEME
			"NAME, of an image that the operator has imported by that name");
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct custom_image *image = object;
	json_t *storage = put_object(properties, "storageProfile"), *disk = put_object(storage, "osDisk");
	g_autofree char *address = g_strconcat(SCHEME, image->spec.image, NULL);

	put_text(disk, "osType", systems[0]);
	put_text(disk, "osState", states[0]);
	put_text(disk, "blobUri", address);
	put_json(storage, "dataDisks", json_array());
	if (!json_object_get(properties, "hyperVGeneration"))
		put_text(properties, "hyperVGeneration", "V1");
}

const struct arm_type arm_custom_images = {
	.namespace = "Microsoft.Compute",
	.name = "images",
	.kind = KIND_CUSTOM_IMAGE,
	.refused = refused,
	.decode = decode,
	.encode = encode,
};
