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
	g_test_add_func(
		"/vm/domain xml/text cannot break out of its place", text_cannot_break_out_of_its_place);
	g_test_add_func("/vm/domain xml/a domain name holds only what files can and part of the uid",
		a_domain_name_holds_only_what_files_can_and_part_of_the_uid);
	g_test_add_func("/vm/domain xml/an alias leads back to its NIC", an_alias_leads_back_to_its_nic);
	g_test_add_func("/vm/domain xml/a device is found by its whole alias only",
		a_device_is_found_by_its_whole_alias_only);
	g_test_add_func("/vm/domain xml/the directory is read back from the metadata",
		the_directory_is_read_back_from_the_metadata);
	return g_test_run();
}
