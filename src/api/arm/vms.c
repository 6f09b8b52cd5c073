/* Virtual machines: from JSON to the model and back. */
#include "api/arm/arm_priv.h"
#include "api/arm/instance_view.h"

#include <string.h>

#define KEY_LENGTH_MAX 16384
#define DISK_GIB_MAX   4095 /* of a disk with an operating system, as in Azure */

static const char *const owned[] = {"availabilitySet", "virtualMachineScaleSet", "hardwareProfile",
	"networkProfile", "diagnosticsProfile", "vmId", "timeCreated", "instanceView", "etag", NULL};

static const struct refusal refused[] = {
	{"properties.proximityPlacementGroup", "proximity placement groups"},
	{"properties.host", "dedicated hosts"},
	{"properties.hostGroup", "dedicated hosts"},
	{"properties.capacityReservation", "capacity reservations"},
	{"properties.billingProfile", "spot prices"},
	{"properties.applicationProfile", "gallery applications"},
	{"properties.userData", "user data"},
	{"properties.diagnosticsProfile.bootDiagnostics.storageUri", "storage accounts of one's own"},
	{"properties.hardwareProfile.vmSizeProperties", "customized sizes"},
	{"properties.networkProfile.networkInterfaceConfigurations",
		"interfaces that are made with the machine"},
	{"properties.osProfile.customData", "custom data"},
	{"properties.osProfile.secrets", "certificates from a key vault"},
	{"properties.osProfile.windowsConfiguration", "Windows machines"},
	{"properties.securityProfile.securityType", "security types"},
	{"properties.securityProfile.encryptionAtHost", "encrypted hosts"},
	{"properties.storageProfile.dataDisks", "data disks"},
	{"properties.storageProfile.imageReference.communityGalleryImageId", "images of galleries"},
	{"properties.storageProfile.imageReference.sharedGalleryImageId", "images of galleries"},
	{"properties.storageProfile.osDisk.image", "images by URL"},
	{"properties.storageProfile.osDisk.encryptionSettings", "encrypted disks"},
	{"properties.storageProfile.osDisk.diffDiskSettings", "ephemeral disks"},
	{"properties.storageProfile.osDisk.managedDisk.diskEncryptionSet", "encrypted disks"},
	{"identity", "managed identities"},
	{"zones", "availability zones"},
	{"extendedLocation", "extended locations"},
	{},
};

static const char *const create_options[] = {"FromImage", NULL};
static const char *const nic_delete_options[] = {"Detach", NULL};
static const char *const priorities[] = {"Regular", NULL};

/* ---- from JSON ---- */

static void decode_size(struct arm *arm, const struct cursor *properties, const struct vm *old, struct vm *vm)
{
	struct cursor hardware = cursor_object(properties, "hardwareProfile");
	const char *name = cursor_string(&hardware, "vmSize");
	const struct size *size = name ? control_size(arm->control, name) : NULL;

	if (!name && !old)
		cursor_fail(&hardware, "vmSize", "it is required");
	/* One that is not known goes on as it is: the control plane refuses it. */
	vm->spec.size = g_strdup(size ? size->name : name ? name : old ? old->spec.size : NULL);
}

/* The words of the reference that the machine was made by. It stays with its image then, also where they would lead to
 * another one by now, or nowhere. */
static bool is_reference_of(const struct cursor *reference, const struct vm *old)
{
	static const char *const words[] = {"publisher", "offer", "sku", "version", "id"};

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		const char *was = json_string_value(json_object_get(old->spec.image_reference, words[i])),
			   *is = cursor_string(reference, words[i]);
		if (!was != !is || (was && g_ascii_strcasecmp(was, is) != 0))
			return false;
	}
	return true;
}

static void decode_custom_image(struct arm *arm, const struct cursor *reference, struct vm *vm)
{
	g_autofree char *uid = arm_reference_at(arm, reference, KIND_CUSTOM_IMAGE);
	_cleanup_(model_free) struct custom_image *image =
		uid ? control_get(arm->control, KIND_CUSTOM_IMAGE, uid, NULL) : NULL;
	g_autofree char *id = image ? arm_id_of_object(arm, &image->meta) : NULL;

	if (!id)
		return;
	vm->spec.image = g_strdup(image->spec.image);
	vm->spec.image_reference = json_pack("{s:s}", "id", id);
	vm->spec.custom_image = g_steal_pointer(&uid);
}

static void decode_platform_image(struct arm *arm, const struct cursor *reference, struct vm *vm)
{
	const char *publisher = cursor_string(reference, "publisher"),
		   *offer = cursor_string(reference, "offer"), *sku = cursor_string(reference, "sku"),
		   *version = cursor_string(reference, "version");
	const struct image_entry *image;

	if (!publisher || !offer || !sku) {
		cursor_fail(reference, NULL, "publisher, offer and sku are required, or id");
		return;
	}
	image = arm_image_find(arm, publisher, offer, sku, version);
	if (!image) {
		GError *error = NULL;
		fault_set(&error, FAULT_INVALID_REFERENCE,
			"The platform image '%s:%s:%s:%s' is not available. Verify that all fields in the "
			"storage profile "
			"are correct; \"az vm image list\" shows the images there are.",
			publisher, offer, sku, version ? version : "latest");
		cursor_take_error(reference, error);
		return;
	}
	vm->spec.image = g_strdup(image->image);
	vm->spec.image_reference = json_pack("{s:s, s:s, s:s, s:s, s:s}", "publisher", image->publisher,
		"offer", image->offer, "sku", image->sku, "version", version ? version : "latest",
		"exactVersion", arm_image_version(image));
}

static void decode_image(struct arm *arm, const struct cursor *storage, const struct vm *old, struct vm *vm)
{
	struct cursor reference = cursor_object(storage, "imageReference");

	if (old && (!cursor_is_set(&reference) || is_reference_of(&reference, old))) {
		vm->spec.image = g_strdup(old->spec.image);
		vm->spec.custom_image = g_strdup(old->spec.custom_image);
		vm->spec.image_reference = json_incref(old->spec.image_reference);
	} else if (cursor_string(&reference, "id")) {
		decode_custom_image(arm, &reference, vm);
	} else {
		decode_platform_image(arm, &reference, vm);
	}
}

static void decode_storage(
	struct arm *arm, const struct cursor *properties, const struct vm *old, struct vm *vm)
{
	struct cursor storage = cursor_object(properties, "storageProfile");
	struct cursor disk = cursor_object(&storage, "osDisk");

	decode_image(arm, &storage, old, vm);
	cursor_word(&disk, "createOption", create_options, 0);
	vm->spec.disk_gib = cursor_int(&disk, "diskSizeGB", old ? old->spec.disk_gib : 0);
	if (vm->spec.disk_gib < 0 || vm->spec.disk_gib > DISK_GIB_MAX)
		cursor_fail(&disk, "diskSizeGB", "a number of 1 to " G_STRINGIFY(DISK_GIB_MAX) " is needed");
}

static struct ssh_key *decode_key(const struct cursor *item)
{
	struct ssh_key *key = shape_new(&ssh_key_shape);

	key->path = cursor_dup(item, "path");
	key->key = cursor_need(item, "keyData");
	if (!key->key)
		return key;
	g_strstrip(key->key);
	bool good = strchr(key->key, ' ') && strlen(key->key) <= KEY_LENGTH_MAX;
	for (const char *c = key->key; *c; c++)
		good = good && !g_ascii_iscntrl(*c);
	if (!good)
		cursor_fail(item, "keyData",
			"one line with a public key is needed, such as 'ssh-ed25519 AAAA...'");
	return key;
}

static void decode_keys(const struct cursor *os, const struct vm *old, struct vm *vm)
{
	struct cursor linux_part = cursor_object(os, "linuxConfiguration"),
		      ssh = cursor_object(&linux_part, "ssh");
	struct cursor keys = cursor_array(&ssh, "publicKeys");
	const char *password = cursor_string(os, "adminPassword");

	vm->spec.ssh_keys = shape_list_new(&ssh_key_shape);
	for (size_t i = 0; i < cursor_length(&keys); i++) {
		struct cursor item = cursor_item(&keys, i);
		g_ptr_array_add(vm->spec.ssh_keys, decode_key(&item));
	}
	for (guint i = 0; old && !cursor_is_set(&keys) && i < list_length(old->spec.ssh_keys); i++)
		g_ptr_array_add(vm->spec.ssh_keys, shape_copy(&ssh_key_shape, old->spec.ssh_keys->pdata[i]));
	if (vm->spec.ssh_keys->len == 0 && password) {
		GError *error = NULL;
		fault_set(&error, FAULT_UNSUPPORTED,
			"osProfile.adminPassword: the images here admit ssh keys only; give a public key "
			"(az vm create --generate-ssh-keys).");
		cursor_take_error(os, error);
	} else if (vm->spec.ssh_keys->len == 0) {
		cursor_fail(&ssh, "publicKeys", "at least one key is required");
	}
}

static void decode_os(const struct cursor *properties, const struct vm *old, struct vm *vm)
{
	struct cursor os = cursor_object(properties, "osProfile");

	vm->spec.computer_name = cursor_dup(&os, "computerName");
	vm->spec.admin_user = cursor_dup(&os, "adminUsername");
	if (!vm->spec.computer_name && old)
		vm->spec.computer_name = g_strdup(old->spec.computer_name);
	if (!vm->spec.admin_user && old)
		vm->spec.admin_user = g_strdup(old->spec.admin_user);
	if (!vm->spec.admin_user)
		cursor_fail(&os, "adminUsername", "it is required");
	decode_keys(&os, old, vm);
}

void arm_decode_machine(struct arm *arm, const struct cursor *at, const struct vm *old, struct vm *vm)
{
	decode_storage(arm, at, old, vm);
	decode_os(at, old, vm);
}

/* Instances name their set, and other machines cannot come to one. */
static void check_scale_set(struct arm *arm, const struct cursor *properties, const struct vm *old)
{
	g_autofree char *set = arm_reference(arm, properties, "virtualMachineScaleSet", KIND_SCALE_SET);
	GError *error = NULL;

	if (!set || (old && g_strcmp0(old->spec.scale_set, set) == 0))
		return;
	fault_set(&error, FAULT_UNSUPPORTED,
		"properties.virtualMachineScaleSet: a machine cannot be put into a scale set; sets make "
		"theirs "
		"themselves (az vmss scale).");
	cursor_take_error(properties, error);
}

static void decode_nics(struct arm *arm, const struct cursor *properties, const struct vm *old, struct vm *vm)
{
	struct cursor network = cursor_object(properties, "networkProfile");
	struct cursor nics = cursor_array(&network, "networkInterfaces");

	vm->spec.nics = shape_list_new(&vm_nic_ref_shape);
	for (size_t i = 0; i < cursor_length(&nics); i++) {
		struct cursor item = cursor_item(&nics, i), its = cursor_object(&item, "properties");
		struct vm_nic_ref *ref = shape_new(&vm_nic_ref_shape);
		g_ptr_array_add(vm->spec.nics, ref);
		ref->nic = arm_reference_at(arm, &item, KIND_NIC);
		ref->primary = cursor_bool(&its, "primary", cursor_length(&nics) == 1);
		/* A NIC outlives its machine: what would delete it with the machine is refused. */
		cursor_word(&its, "deleteOption", nic_delete_options, 0);
	}
	for (guint i = 0; old && !cursor_is_set(&nics) && i < list_length(old->spec.nics); i++)
		g_ptr_array_add(vm->spec.nics, shape_copy(&vm_nic_ref_shape, old->spec.nics->pdata[i]));
	if (vm->spec.nics->len == 0)
		cursor_fail(&network, "networkInterfaces", "at least one interface is required");
}

static bool decode_diagnostics(const struct cursor *properties, const struct vm *old)
{
	struct cursor profile = cursor_object(properties, "diagnosticsProfile"),
		      boot = cursor_object(&profile, "bootDiagnostics");

	return cursor_bool(&boot, "enabled", old && old->spec.boot_diagnostics);
}

/* A put replaces, but clients leave out what they may not read or change: the image, keys, and the power
 * state. */
static void decode(struct arm *arm, const struct cursor *body, const void *object, void *wanted)
{
	const struct vm *old = object;
	struct vm *vm = wanted;
	struct cursor properties = cursor_object(body, "properties");

	cursor_word(&properties, "priority", priorities, 0);
	decode_size(arm, &properties, old, vm);
	arm_decode_machine(arm, &properties, old, vm);
	check_scale_set(arm, &properties, old);
	decode_nics(arm, &properties, old, vm);
	vm->spec.availability_set = arm_reference(arm, &properties, "availabilitySet", KIND_AVAILABILITY_SET);
	vm->spec.boot_diagnostics = decode_diagnostics(&properties, old);
	vm->spec.power = old ? old->spec.power : POWER_RUNNING;
	vm->spec.restarts = old ? old->spec.restarts : 0;
}

/* ---- to JSON ---- */

static void encode_storage(const struct vm *vm, json_t *properties)
{
	json_t *storage = put_object(properties, "storageProfile"), *disk = put_object(storage, "osDisk");
	g_autofree char *name = vm->meta.name ? instance_disk_name(vm) : NULL;

	if (vm->spec.image_reference)
		json_object_set(storage, "imageReference", vm->spec.image_reference);
	put_text(disk, "name", name);
	put_text(disk, "osType", "Linux");
	put_text(disk, "createOption", create_options[0]);
	put_text(disk, "deleteOption", "Delete");
	if (vm->spec.disk_gib)
		put_number(disk, "diskSizeGB", vm->spec.disk_gib);
	put_json(storage, "dataDisks", json_array());
}

static void encode_os(const struct vm *vm, json_t *properties)
{
	json_t *os = put_object(properties, "osProfile"), *linux_part = put_object(os, "linuxConfiguration"),
	       *keys = json_array();

	for (guint i = 0; i < list_length(vm->spec.ssh_keys); i++) {
		const struct ssh_key *key = vm->spec.ssh_keys->pdata[i];
		json_t *json = json_object();
		put_text(json, "path", key->path);
		put_text(json, "keyData", key->key);
		json_array_append_new(keys, json);
	}
	put_text(os, "computerName", vm->spec.computer_name);
	put_text(os, "adminUsername", vm->spec.admin_user);
	put_flag(linux_part, "disablePasswordAuthentication", true);
	put_json(put_object(linux_part, "ssh"), "publicKeys", keys);
	put_json(os, "secrets", json_array());
	put_flag(os, "allowExtensionOperations", false);
}

void arm_encode_machine(const struct vm *vm, json_t *at)
{
	encode_storage(vm, at);
	encode_os(vm, at);
}

static void encode_nics(struct arm *arm, const struct vm *vm, json_t *properties)
{
	json_t *nics = json_array();

	for (guint i = 0; i < list_length(vm->spec.nics); i++) {
		const struct vm_nic_ref *ref = vm->spec.nics->pdata[i];
		g_autofree char *id = arm_id_of(arm, KIND_NIC, ref->nic);
		if (id)
			json_array_append_new(nics, json_pack("{s:s, s:{s:b}}", "id", id, "properties",
							    "primary", (int)ref->primary));
	}
	put_json(put_object(properties, "networkProfile"), "networkInterfaces", nics);
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct vm *vm = object;

	put_text(put_object(properties, "hardwareProfile"), "vmSize", vm->spec.size);
	arm_encode_machine(vm, properties);
	encode_nics(arm, vm, properties);
	put_id(properties, "availabilitySet",
		arm_id_of(arm, KIND_AVAILABILITY_SET, vm->spec.availability_set));
	put_id(properties, "virtualMachineScaleSet", arm_id_of(arm, KIND_SCALE_SET, vm->spec.scale_set));
	put_flag(put_object(put_object(properties, "diagnosticsProfile"), "bootDiagnostics"), "enabled",
		vm->spec.boot_diagnostics);
	if (flags & ENCODE_WANTED)
		return;
	put_text(properties, "vmId", vm->meta.uid);
	put_time(properties, "timeCreated", vm->meta.created_us);
	if (flags & ENCODE_INSTANCE_VIEW)
		put_json(properties, "instanceView", instance_view(arm, vm));
}

static json_t *encode_sizes(struct arm *arm, const void *object)
{
	return put_list(arm_size_list(arm, object));
}

static const struct arm_view views[] = {
	{"instanceView", instance_view},
	{"vmSizes", encode_sizes},
	{},
};

static const struct arm_action actions[] = {
	{"start", VERB_START},
	{"powerOff", VERB_POWER_OFF},
	{"deallocate", VERB_DEALLOCATE},
	{"restart", VERB_RESTART},
	{"reimage", VERB_REIMAGE},
	{},
};

const struct arm_type arm_vms = {
	.namespace = "Microsoft.Compute",
	.name = "virtualMachines",
	.kind = KIND_VM,
	.owned = owned,
	.refused = refused,
	.decode = decode,
	.encode = encode,
	.views = views,
	.actions = actions,
};
