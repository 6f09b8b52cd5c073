/* Domain XML: golden documents in testdata/, and what is read back.
 *
 * SLUICE_GOLDEN=write writes the golden documents anew instead of comparing; look at the difference before
 * keeping it.
 */
#include "vm/domain_xml.h"

#include <string.h>

static struct vm_nic *nic_new(const char *uid, const char *mac, bool teamed, uint16_t queues)
{
	struct vm_nic *nic = g_new0(struct vm_nic, 1);

	nic->uid = g_strdup(uid);
	g_assert_cmpint(mac_parse(mac, &nic->mac), ==, 0);
	nic->mtu = 1450;
	nic->vhost_socket = g_strdup_printf("/var/lib/sluice/vm/web/%s.sock", uid);
	nic->teamed = teamed;
	nic->queues = queues;
	return nic;
}

static struct vm_spec *spec_new(const char *name)
{
	struct vm_spec *spec = vm_spec_new();

	spec->uid = g_strdup("8c7f3a52-0b6e-4a44-9a65-7d1f36a1c9e0");
	spec->name = g_strdup(name);
	spec->vcpus = 8;
	spec->memory_mib = 28672;
	spec->image = g_strdup("sluice-debian");
	spec->directory = g_strdup("/var/lib/sluice/vm/web");
	g_ptr_array_add(spec->nics, nic_new("nic-a", "00:0d:3a:00:00:04", true, 4));
	g_ptr_array_add(spec->nics, nic_new("nic-b", "00:0d:3a:00:00:05", false, 1));
	return spec;
}

static void compare(const char *name, const char *xml)
{
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "testdata", name, NULL);
	g_autofree char *golden = NULL;
	g_autoptr(GError) error = NULL;

	if (g_strcmp0(g_getenv("SLUICE_GOLDEN"), "write") == 0)
		g_assert_true(g_file_set_contents(path, xml, -1, NULL));
	g_file_get_contents(path, &golden, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(xml, ==, golden);
}

static void a_direct_boot_without_kvm_is_as_the_golden_document(void)
{
	_cleanup_(vm_spec_free) struct vm_spec *spec = spec_new("web");
	const struct image image = {.id = (char *)"sluice-debian",
		.kernel_path = (char *)"/images/sluice-debian/vmlinux",
		.initrd_path = (char *)"/images/sluice-debian/initrd.cpio",
		.cmdline = (char *)"root=/dev/vda console=ttyS0",
		.cmdline_tcg = (char *)"mitigations=off"};
	g_autofree char *xml = domain_xml_format(spec, &(struct domain_xml_options){.image = &image});

	compare("tcg-direct.xml", xml);
}

static void a_firmware_boot_with_kvm_is_as_the_golden_document(void)
{
	_cleanup_(vm_spec_free) struct vm_spec *spec = spec_new("web");
	const struct image image = {.id = (char *)"sluice-debian"};
	g_autofree char *xml = domain_xml_format(
		spec, &(struct domain_xml_options){
			      .image = &image, .kvm = true, .emulator = "/usr/bin/qemu-system-x86_64"});

	compare("kvm-firmware.xml", xml);
}

static void a_primary_is_as_the_golden_document(void)
{
	struct vm_primary primary = {.nic_uid = "nic-a", .mac = {{0, 0x0d, 0x3a, 0, 0, 4}}, .tap = "sl-f0"};
	g_autofree char *xml = domain_xml_format_primary(&primary);

	compare("primary.xml", xml);
}

static void a_function_as_a_primary_is_as_the_golden_documents(void)
{
	struct vm_primary primary = {
		.nic_uid = "nic-a", .mac = {{0, 0x0d, 0x3a, 0, 0, 4}}, .pci = "0000:3b:10.1", .vlan = 100};
	g_autofree char *tagged = domain_xml_format_primary(&primary);

	compare("primary-function-vlan.xml", tagged);
	primary.vlan = 0;
	g_autofree char *plain = domain_xml_format_primary(&primary);
	compare("primary-function.xml", plain);
}

static void a_definition_tells_how_many_backends_it_waits_for(void)
{
	_cleanup_(vm_spec_free) struct vm_spec *spec = spec_new("web");
	const struct image image = {.id = (char *)"sluice-debian", .disk_path = (char *)"/images/disk.qcow2"};
	g_autofree char *two = domain_xml_format(spec, &(struct domain_xml_options){.image = &image});

	g_ptr_array_set_size(spec->nics, 0);
	g_autofree char *none = domain_xml_format(spec, &(struct domain_xml_options){.image = &image});
	g_assert_cmpuint(domain_xml_count_nics(two), ==, 2);
	g_assert_cmpuint(domain_xml_count_nics(none), ==, 0);
}

static void a_function_of_the_host_is_found(void)
{
	const struct vm_primary primary = {
		.nic_uid = "nic-a", .mac = {{0, 0x0d, 0x3a, 0, 0, 4}}, .pci = "0000:3b:10.1"};
	g_autofree char *xml = domain_xml_format_primary(&primary);

	g_assert_true(domain_xml_has_function(xml, "0000:3b:10.1"));
	g_assert_false(domain_xml_has_function(xml, "0000:3b:10.0"));
}

/* Empties the text in data when the document has just that text. */
static void see_text(GMarkupParseContext *context, const char *text, gsize length, void *data, GError **error)
{
	if (strncmp(text, data, length) == 0 && length == strlen(data))
		*(char *)data = '\0';
}

static void text_cannot_break_out_of_its_place(void)
{
	static const GMarkupParser parser = {.text = see_text};
	char hostile[] = "a'/><devices>&\"]]>";
	_cleanup_(vm_spec_free) struct vm_spec *spec = spec_new(hostile);
	const struct image image = {
		.id = (char *)"x", .kernel_path = (char *)"/k", .cmdline = (char *)"a='<b>' & c"};
	g_free(spec->directory);
	spec->directory = g_strdup("/tmp/it's <here> & there");
	g_autofree char *xml = domain_xml_format(spec, &(struct domain_xml_options){.image = &image});
	g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&parser, 0, hostile, NULL);
	g_autoptr(GError) error = NULL;

	g_markup_parse_context_parse(context, xml, -1, &error);
	g_assert_no_error(error);
	g_assert_true(g_markup_parse_context_end_parse(context, NULL));
	g_assert_cmpstr(hostile, ==, ""); /* the title came back as it was */
	g_assert_null(strstr(xml, "<devices>&"));
}

static void a_domain_name_holds_only_what_files_can_and_part_of_the_uid(void)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{"myVm", "myVm-8c7f3a52"},
		{"../../etc/passwd", "_._.._etc_passwd-8c7f3a52"},
		{"a b<c>", "a_b_c_-8c7f3a52"},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autofree char *name =
			domain_xml_name(cases[i].name, "8c7f3a52-0b6e-4a44-9a65-7d1f36a1c9e0");
		g_assert_cmpstr(name, ==, cases[i].want);
	}
	g_autofree char *long_name = g_strnfill(500, 'x');
	g_autofree char *name = domain_xml_name(long_name, "8c7f3a52-0b6e-4a44-9a65-7d1f36a1c9e0");
	g_assert_cmpuint(strlen(name), <, 100);
}

static void an_alias_leads_back_to_its_nic(void)
{
	g_autofree char *alias = domain_xml_primary_alias("nic-a");

	g_assert_cmpstr(domain_xml_alias_nic(alias), ==, "nic-a");
	g_assert_null(domain_xml_alias_nic("ua-standby-nic-a"));
	g_assert_null(domain_xml_alias_nic("net0"));
}

static void a_device_is_found_by_its_whole_alias_only(void)
{
	const char *xml =
		"<domain><devices><interface><alias name='ua-primary-nic-a'/></interface></devices></domain>";

	g_assert_true(domain_xml_has_alias(xml, "ua-primary-nic-a"));
	g_assert_false(domain_xml_has_alias(xml, "ua-primary-nic"));
	g_assert_false(domain_xml_has_alias("<domain><alias name=", "ua-primary-nic-a"));
}

static void the_directory_is_read_back_from_the_metadata(void)
{
	_cleanup_(vm_spec_free) struct vm_spec *spec = spec_new("web");
	const struct image image = {.id = (char *)"x"};
	g_autofree char *xml = domain_xml_format(spec, &(struct domain_xml_options){.image = &image});
	g_autofree char *whole = domain_xml_directory(xml);
	g_autofree char *plain = domain_xml_directory("<vm directory='/a &amp; b'/>");

	g_assert_cmpstr(whole, ==, "/var/lib/sluice/vm/web");
	g_assert_cmpstr(plain, ==, "/a & b");
	g_assert_null(domain_xml_directory("<vm/>"));
	g_assert_null(domain_xml_directory("not xml"));
}

/* Definition of one VM on a host that has all under `root`. */
static char *definition_on(const char *root, guint nics)
{
	_cleanup_(vm_spec_free) struct vm_spec *spec = spec_new("it's <web> & more");
	g_autofree char *kernel = g_build_filename(root, "images/a/vmlinux", NULL);
	g_autofree char *initrd = g_build_filename(root, "images/a/initrd", NULL);
	const struct image image = {
		.id = (char *)"a", .kernel_path = kernel, .initrd_path = initrd, .cmdline = (char *)"quiet"};

	g_free(spec->directory);
	spec->directory = g_build_filename(root, "vm", NULL);
	for (guint i = 0; i < spec->nics->len; i++) {
		struct vm_nic *nic = spec->nics->pdata[i];
		g_free(nic->vhost_socket);
		nic->vhost_socket = g_strdup_printf("%s/run/%s.sock", root, nic->uid);
	}
	g_ptr_array_set_size(spec->nics, (gint)nics);
	return domain_xml_format(spec, &(struct domain_xml_options){.image = &image, .emulator = root});
}

/* Replaces the only `from` in a text. Takes the text. */
static char *edited(char *text, const char *from, const char *to)
{
	g_auto(GStrv) parts = g_strsplit(text, from, -1);

	g_free(text);
	g_assert_cmpuint(g_strv_length(parts), ==, 2);
	return g_strconcat(parts[0], to, parts[1], NULL);
}

static void a_machine_moves_with_what_its_guest_sees_to_the_places_of_the_other_host(void)
{
	const char *file = "<source file='/here/vm/disk.qcow2'/>";
	g_autofree char *there = definition_on("/there", 2);
	g_autofree char *running = edited(definition_on("/here", 2), "machine='q35'", "machine='pc-q35-7.2'");
	g_autoptr(GError) error = NULL;

	running = edited(running, file,
		"<source file='/here/vm/disk.qcow2' index='1'/><backingStore type='file'><source "
		"file='/here/images/a/disk.qcow2'/><backingStore/></backingStore><address slot='0x03'/>");
	g_autofree char *moved = domain_xml_move(running, there, &error);
	g_assert_no_error(error);
	g_assert_null(strstr(moved, "/here"));
	g_assert_nonnull(strstr(moved, "machine='pc-q35-7.2'"));
	g_assert_nonnull(strstr(
		moved, "<source file='/there/vm/disk.qcow2' index='1'></source><address slot='0x03'>"));
	g_assert_nonnull(strstr(moved, "<kernel>/there/images/a/vmlinux</kernel>"));
	g_assert_nonnull(strstr(moved, "path='/there/run/nic-b.sock'"));
	g_assert_nonnull(strstr(moved, "it&apos;s &lt;web&gt; &amp; more"));
	/* It is a definition as good as those it is made of. */
	g_autofree char *again = domain_xml_move(moved, there, &error);
	g_assert_cmpstr(again, ==, moved);
}

static void a_machine_does_not_move_to_the_definition_of_another(void)
{
	g_autofree char *running = definition_on("/here", 2), *less = definition_on("/there", 1);
	const char *wrong[] = {less, "<domain/>", "<domain", ""};

	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
		g_autoptr(GError) one = NULL, other = NULL;
		g_assert_null(domain_xml_move(running, wrong[i], &one));
		g_assert_error(one, FAULT, FAULT_INVALID);
		g_assert_null(domain_xml_move(wrong[i], running, &other));
		g_assert_error(other, FAULT, FAULT_INVALID);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vm/domain xml/a direct boot without KVM is as the golden document",
		a_direct_boot_without_kvm_is_as_the_golden_document);
	g_test_add_func("/vm/domain xml/a firmware boot with KVM is as the golden document",
		a_firmware_boot_with_kvm_is_as_the_golden_document);
	g_test_add_func(
		"/vm/domain xml/a primary is as the golden document", a_primary_is_as_the_golden_document);
	g_test_add_func("/vm/domain xml/a function as a primary is as the golden documents",
		a_function_as_a_primary_is_as_the_golden_documents);
	g_test_add_func("/vm/domain xml/a function of the host is found", a_function_of_the_host_is_found);
	g_test_add_func("/vm/domain xml/a definition tells how many backends it waits for",
		a_definition_tells_how_many_backends_it_waits_for);
	g_test_add_func(
		"/vm/domain xml/text cannot break out of its place", text_cannot_break_out_of_its_place);
	g_test_add_func("/vm/domain xml/a domain name holds only what files can and part of the uid",
		a_domain_name_holds_only_what_files_can_and_part_of_the_uid);
	g_test_add_func("/vm/domain xml/an alias leads back to its NIC", an_alias_leads_back_to_its_nic);
	g_test_add_func("/vm/domain xml/a device is found by its whole alias only",
		a_device_is_found_by_its_whole_alias_only);
	g_test_add_func("/vm/domain xml/the directory is read back from the metadata",
		the_directory_is_read_back_from_the_metadata);
	g_test_add_func(
		"/vm/domain xml/a machine moves with what its guest sees, to the places of the other host",
		a_machine_moves_with_what_its_guest_sees_to_the_places_of_the_other_host);
	g_test_add_func("/vm/domain xml/a machine does not move to the definition of another",
		a_machine_does_not_move_to_the_definition_of_another);
	return g_test_run();
}
