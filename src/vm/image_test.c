/* The image store, on real files in a temporary folder. */
#include "vm/image.h"

#include "base/fault.h"
#include "vm/image_alias.h"
#include "vm/image_build.h"
#include "vm/image_qcow2.h"

#include <ftw.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST "{\"id\": \"one\", \"disk\": \"disk.qcow2\", \"format\": \"qcow2\""
#define BUILT_A  IMAGE_BUILD_PREFIX "12-a"
#define BUILT_B  IMAGE_BUILD_PREFIX "12-b"

/* ---- a store in a folder that goes away ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void folder_free(char *folder)
{
	nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	g_free(folder);
}
CLEANUP_FUNC(char *, folder_free)

static char *folder_new(void)
{
	char *folder = g_dir_make_tmp("image-test-XXXXXX", NULL);

	g_assert_nonnull(folder);
	return folder;
}

static void write_file(const char *folder, const char *name, const void *data, gssize length)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autofree char *parent = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
	g_assert_true(g_file_set_contents(path, data, length, NULL));
}

/* ---- qcow2 headers ---- */

static void put_be(unsigned char *at, uint64_t value, size_t bytes)
{
	while (bytes-- > 0) {
		at[bytes] = (unsigned char)value;
		value >>= 8;
	}
}

struct header {
	uint32_t version;
	uint64_t backing_offset;
	uint64_t size;
	uint32_t crypt;
	uint64_t incompatible;
	size_t length; /* 0: as long as the version's */
};

static const struct header sound = {.version = 3, .size = 1 << 20};

static void write_header(const char *folder, const char *name, const struct header *header)
{
	unsigned char bytes[104] = "QFI\xfb";

	put_be(bytes + 4, header->version, 4);
	put_be(bytes + 8, header->backing_offset, 8);
	put_be(bytes + 24, header->size, 8);
	put_be(bytes + 32, header->crypt, 4);
	put_be(bytes + 72, header->incompatible, 8);
	write_file(folder, name, bytes,
		(gssize)(header->length         ? header->length
			 : header->version == 2 ? 72
						: 104));
}

static void assert_fault(const GError *error, enum fault code, const char *part)
{
	g_assert_nonnull(error);
	g_assert_cmpstr(fault_name(fault_code(error)), ==, fault_name(code));
	if (!strstr(error->message, part))
		g_error("\"%s\" does not contain \"%s\"", error->message, part);
}

static void test_header(void)
{
	_cleanup_(folder_free) char *folder = folder_new();
	g_autofree char *path = g_build_filename(folder, "disk", NULL);
	const struct header accepted[] = {
		sound, {.version = 2, .size = 7}, {.version = 3, .incompatible = 1 | 8 | 16}};
	uint64_t bytes;

	for (size_t i = 0; i < G_N_ELEMENTS(accepted); i++) {
		g_autoptr(GError) error = NULL;

		write_header(folder, "disk", &accepted[i]);
		g_assert_true(image_qcow2_check(path, &bytes, &error));
		g_assert_no_error(error);
		g_assert_cmpuint(bytes, ==, accepted[i].size);
	}
}

static void test_bad_headers(void)
{
	_cleanup_(folder_free) char *folder = folder_new();
	g_autofree char *path = g_build_filename(folder, "disk", NULL);
	const struct {
		struct header header;
		const char *part;
	} refused[] = {
		{{.version = 3, .backing_offset = 200}, "overlay on a backing file"},
		{{.version = 2, .backing_offset = 200}, "overlay on a backing file"},
		{{.version = 3, .incompatible = 4}, "keeps its data in another file"},
		{{.version = 3, .incompatible = 2}, "marked corrupt"},
		{{.version = 3, .incompatible = 1ull << 40}, "features that are not known"},
		{{.version = 3, .crypt = 2}, "is encrypted"},
		{{.version = 4}, "header that is not known"},
		{{.version = 1}, "header that is not known"},
		{{.version = 3, .length = 80}, "header that is not known"},
		{{.version = 2, .length = 71}, "is no qcow2 disk"},
	};
	uint64_t bytes = 77;

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autoptr(GError) error = NULL;

		write_header(folder, "disk", &refused[i].header);
		g_assert_false(image_qcow2_check(path, &bytes, &error));
		assert_fault(error, FAULT_INVALID, refused[i].part);
	}
	g_assert_cmpuint(bytes, ==, 77);
}

static void test_no_regular_file(void)
{
	_cleanup_(folder_free) char *folder = folder_new();
	g_autofree char *fifo = g_build_filename(folder, "fifo", NULL);
	g_autofree char *none = g_build_filename(folder, "none", NULL);
	g_autoptr(GError) error = NULL;
	uint64_t bytes;

	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	g_assert_false(image_qcow2_check(fifo, &bytes, &error));
	assert_fault(error, FAULT_INVALID, "cannot be read");
	g_clear_error(&error);
	g_assert_false(image_qcow2_check(folder, &bytes, &error));
	assert_fault(error, FAULT_INVALID, "cannot be read");
	g_clear_error(&error);
	g_assert_false(image_qcow2_check(none, &bytes, &error));
	assert_fault(error, FAULT_NOT_FOUND, "cannot be read");
}

/* ---- loading ---- */

static void add_image(const char *store, const char *id, const char *manifest)
{
	g_autofree char *disk = g_build_filename(id, "disk.qcow2", NULL);
	g_autofree char *path = g_build_filename(id, "manifest.json", NULL);

	write_header(store, disk, &sound);
	write_file(store, path, manifest, -1);
}

static void test_load(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	g_autoptr(GError) error = NULL;

	add_image(store, "one",
		MANIFEST
		", \"description\": \"d\", \"kernel\": \"vmlinux\", \"initrd\": \"i.cpio\", \"cmdline\": "
		"\"quiet\","
		" \"cmdline_tcg\": \"nokaslr\", \"accelerated\": true, \"version\": \"1.0.1\", \"more\": 1}");
	write_file(store, "one/vmlinux", "", 0);
	write_file(store, "one/i.cpio", "", 0);

	_cleanup_(image_free) struct image *image = image_load(store, "one", &error);

	g_assert_no_error(error);
	g_assert_cmpstr(image->id, ==, "one");
	g_assert_true(g_str_has_suffix(image->disk_path, "/one/disk.qcow2"));
	g_assert_true(g_str_has_suffix(image->kernel_path, "/one/vmlinux"));
	g_assert_true(g_str_has_suffix(image->initrd_path, "/one/i.cpio"));
	g_assert_cmpstr(image->os, ==, "linux");
	g_assert_true(image->accelerated);
	g_assert_cmpuint(image->virtual_bytes, ==, 1 << 20);
}

static void test_cmdline(void)
{
	struct image image = {.cmdline = (char *)"quiet", .cmdline_tcg = (char *)"nokaslr"};

	g_assert_null(image_cmdline(&image, true));
	image.kernel_path = (char *)"/k";
	g_autofree char *real = image_cmdline(&image, false);
	g_autofree char *emulated = image_cmdline(&image, true);

	g_assert_cmpstr(real, ==, "quiet");
	g_assert_cmpstr(emulated, ==, "quiet nokaslr");
}

static void test_bad_manifests(void)
{
	static const struct {
		const char *manifest, *part;
	} refused[] = {
		{"", "line 1"},
		{"[]", "Expected object"},
		{"{\"id\": \"one\", \"format\": \"qcow2\"}", "disk"},
		{"{\"id\": \"two\", \"disk\": \"disk.qcow2\", \"format\": \"qcow2\"}",
			"stands in the folder of another"},
		{"{\"id\": \"one\", \"disk\": \"disk.qcow2\", \"format\": \"raw\"}", "only qcow2"},
		{"{\"id\": \"one\", \"disk\": \"../two/disk.qcow2\", \"format\": \"qcow2\"}",
			"no plain file name"},
		{"{\"id\": \"one\", \"disk\": \"..\", \"format\": \"qcow2\"}", "no plain file name"},
		{MANIFEST ", \"kernel\": \"/boot/vmlinuz\"}", "no plain file name"},
		{MANIFEST ", \"kernel\": \"vmlinux\"}", "is missing"},
		{MANIFEST ", \"initrd\": \"disk.qcow2\"}", "needs a kernel"},
		{MANIFEST ", \"accelerated\": \"yes\"}", "Expected true or false"},
	};
	_cleanup_(folder_free) char *store = folder_new();

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autoptr(GError) error = NULL;

		add_image(store, "one", refused[i].manifest);
		g_assert_null(image_load(store, "one", &error));
		assert_fault(error, FAULT_INVALID, "image one is not usable");
		assert_fault(error, FAULT_INVALID, refused[i].part);
	}
}

static void test_overlay_is_not_loaded(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	g_autoptr(GError) error = NULL;

	add_image(store, "one", MANIFEST "}");
	write_header(store, "one/disk.qcow2", &(struct header){.version = 3, .backing_offset = 200});
	g_assert_null(image_load(store, "one", &error));
	assert_fault(error, FAULT_INVALID, "overlay on a backing file");
}

static void test_ids(void)
{
	static const char *const bad[] = {"", ".", "..", ".one", "-one", "a/b", "a b", "\xc3\xa4", "a\n"};
	g_autofree char *longest = g_strnfill(IMAGE_ID_MAX, 'a');
	g_autofree char *too_long = g_strnfill(IMAGE_ID_MAX + 1, 'a');

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(image_id_is_valid(bad[i]));
		g_assert_null(image_load("/nowhere", bad[i], &error));
		assert_fault(error, FAULT_INVALID, "cannot be the id of an image");
	}
	g_assert_true(image_id_is_valid("sluice-debian12-3c357f0388"));
	g_assert_true(image_id_is_valid(longest));
	g_assert_false(image_id_is_valid(too_long));
}

/* What the store logs. */
static guint warnings;

static GLogWriterOutput count_warnings(GLogLevelFlags level, const GLogField *fields, gsize n, void *data)
{
	if (level != G_LOG_LEVEL_WARNING)
		return g_log_writer_default(level, fields, n, data);
	warnings++;
	return G_LOG_WRITER_HANDLED;
}

static void test_list(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	g_autofree char *none = g_build_filename(store, "none", NULL);
	g_autoptr(GError) error = NULL;

	add_image(store, "two", "{\"id\": \"two\", \"disk\": \"disk.qcow2\", \"format\": \"qcow2\"}");
	add_image(store, "one", MANIFEST "}");
	add_image(store, ".one.XXXX", MANIFEST "}");
	add_image(store, "broken", "{");
	write_file(store, "aliases.json", "{}", -1);

	warnings = 0;
	g_autoptr(GPtrArray) images = image_list(store, &error);
	g_assert_cmpint(warnings, ==, 1);
	g_autoptr(GPtrArray) empty = image_list(none, &error);

	g_assert_no_error(error);
	g_assert_cmpint(images->len, ==, 2);
	g_assert_cmpstr(((const struct image *)images->pdata[0])->id, ==, "one");
	g_assert_cmpstr(((const struct image *)images->pdata[1])->id, ==, "two");
	g_assert_cmpint(empty->len, ==, 0);
}

/* ---- import and removal ---- */

static bool make_disk(const char *folder, const char *arguments)
{
	g_autofree char *command =
		g_strdup_printf("qemu-img create -q -f qcow2 %s %s/disk 1M", arguments, folder);
	int status;

	return g_spawn_command_line_sync(command, NULL, NULL, &status, NULL) && status == 0;
}

static bool has_qemu_img(void)
{
	g_autofree char *path = g_find_program_in_path("qemu-img");

	if (!path)
		g_test_skip("qemu-img is not installed");
	return path;
}

static guint count_entries(const char *folder)
{
	g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
	guint n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

static void test_import(void)
{
	_cleanup_(folder_free) char *folder = folder_new();
	g_autofree char *store = g_build_filename(folder, "a", "store", NULL);
	g_autofree char *disk = g_build_filename(folder, "disk", NULL);
	const struct image_import import = {.id = "mine", .source = disk, .accelerated = true};
	g_autoptr(GError) error = NULL;

	if (!has_qemu_img())
		return;
	g_assert_true(make_disk(folder, ""));
	g_assert_true(image_import(store, &import, &error));
	g_assert_no_error(error);

	_cleanup_(image_free) struct image *image = image_load(store, "mine", &error);

	g_assert_no_error(error);
	g_assert_cmpstr(image->description, ==, "Imported from disk");
	g_assert_null(image->kernel_path);
	g_assert_true(image->accelerated);
	g_assert_cmpuint(image->virtual_bytes, ==, 1 << 20);

	g_assert_false(image_import(store, &import, &error));
	assert_fault(error, FAULT_EXISTS, "image mine is in the store already");
	g_clear_error(&error);
	g_assert_true(image_remove(store, "mine", &error));
	g_assert_no_error(error);
	g_assert_cmpint(count_entries(store), ==, 0);
	g_assert_false(image_remove(store, "mine", &error));
	assert_fault(error, FAULT_NOT_FOUND, "image mine is not in");
}

static void test_import_refused(void)
{
	_cleanup_(folder_free) char *folder = folder_new();
	g_autofree char *store = g_build_filename(folder, "store", NULL);
	g_autofree char *disk = g_build_filename(folder, "disk", NULL);
	g_autofree char *data = g_strdup_printf("-o data_file=%s/data", folder);
	const struct {
		const char *arguments, *part;
	} refused[] = {
		{"-u -b /etc/passwd -F raw", "overlay on a backing file"},
		{data, "keeps its data in another file"},
	};

	if (!has_qemu_img())
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_true(make_disk(folder, refused[i].arguments));
		g_assert_false(
			image_import(store, &(struct image_import){.id = "x", .source = disk}, &error));
		assert_fault(error, FAULT_INVALID, "image x cannot be imported");
		assert_fault(error, FAULT_INVALID, refused[i].part);
		g_assert_cmpint(count_entries(store), ==, 0);
	}
}

static void test_import_damaged(void)
{
	_cleanup_(folder_free) char *folder = folder_new();
	g_autofree char *store = g_build_filename(folder, "store", NULL);
	g_autofree char *disk = g_build_filename(folder, "disk", NULL);
	g_autoptr(GError) error = NULL;

	if (!has_qemu_img())
		return;
	write_header(folder, "disk", &sound);
	g_assert_false(image_import(store, &(struct image_import){.id = "x", .source = disk}, &error));
	assert_fault(error, FAULT_INVALID, "the disk is damaged");
	g_assert_cmpint(count_entries(store), ==, 0);
}

/* ---- aliases ---- */

static const struct image_alias *find(const GPtrArray *aliases, const char *name)
{
	for (guint i = 0; i < aliases->len; i++)
		if (g_str_equal(((const struct image_alias *)aliases->pdata[i])->name, name))
			return aliases->pdata[i];
	g_error("no alias %s", name);
}

static void test_aliases(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	struct image image = {.id = (char *)BUILT_A, .description = (char *)"small", .accelerated = true};
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) none = image_alias_list(store, &error);

	g_assert_cmpint(none->len, ==, 0);
	g_assert_true(image_alias_set_built(store, &image, &error));

	g_autoptr(GPtrArray) aliases = image_alias_list(store, &error);
	const struct image_alias *ubuntu = find(aliases, "UbuntuLTS");

	g_assert_no_error(error);
	g_assert_cmpstr(ubuntu->publisher, ==, "Canonical");
	g_assert_cmpstr(ubuntu->offer, ==, "UbuntuServer");
	g_assert_cmpstr(ubuntu->sku, ==, "18.04-LTS");
	g_assert_cmpstr(ubuntu->architecture, ==, "x64");
	g_assert_cmpstr(ubuntu->image, ==, BUILT_A);
	g_assert_cmpstr(ubuntu->description, ==, "Not Ubuntu 18.04: small");
	g_assert_true(ubuntu->accelerated);
	g_assert_cmpstr(find(aliases, "Debian12")->image, ==, BUILT_A);
}

static void test_aliases_move(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	struct image image = {
		.id = (char *)BUILT_B, .description = (char *)"small", .version = (char *)"1.0.2"};
	g_autoptr(GError) error = NULL;

	write_file(store, "aliases.json",
		"{\"Mine\": {\"publisher\": \"p\", \"offer\": \"o\", \"sku\": \"s\", \"image\": \"" BUILT_A
		"\"},"
		" \"Other\": {\"publisher\": \"p\", \"offer\": \"o\", \"sku\": \"t\", \"image\": "
		"\"debian-cloud\"}}",
		-1);
	g_assert_true(image_alias_set_built(store, &image, &error));

	g_autoptr(GPtrArray) aliases = image_alias_list(store, &error);

	g_assert_cmpint(aliases->len, ==, 2);
	g_assert_cmpstr(find(aliases, "Mine")->image, ==, BUILT_B);
	g_assert_cmpstr(find(aliases, "Mine")->version, ==, "1.0.2");
	g_assert_cmpstr(find(aliases, "Other")->image, ==, "debian-cloud");
}

static void test_alias_set(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	struct image built = {.id = (char *)BUILT_A, .description = (char *)"small"};
	struct image cloud = {
		.id = (char *)"focal", .description = (char *)"a cloud image", .accelerated = true};
	g_autoptr(GError) error = NULL;

	g_assert_true(image_alias_set_built(store, &built, &error));
	g_assert_true(image_alias_set(store, "UbuntuLTS", NULL, &cloud, &error));
	g_assert_true(image_alias_set(store, "Mine", NULL, &cloud, &error));
	g_assert_true(image_alias_set(store, "Named", "me:things:v1", &cloud, &error));

	g_autoptr(GPtrArray) aliases = image_alias_list(store, &error);
	const struct image_alias *ubuntu = find(aliases, "UbuntuLTS");

	g_assert_cmpstr(ubuntu->image, ==, "focal");
	g_assert_cmpstr(ubuntu->offer, ==, "UbuntuServer");
	g_assert_cmpstr(ubuntu->description, ==, "a cloud image");
	g_assert_true(ubuntu->accelerated);
	g_assert_cmpstr(find(aliases, "Mine")->offer, ==, "Mine");
	g_assert_cmpstr(find(aliases, "Named")->publisher, ==, "me");
	g_assert_cmpstr(find(aliases, "Debian12")->image, ==, BUILT_A);
}

static void test_alias_support(void)
{
	static const struct {
		const char *urn;
		bool support;
	} cases[] = {
		{"Canonical:UbuntuServer:16.04-LTS", true},
		{"Canonical:UbuntuServer:18.04-LTS", true},
		{"Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2", true},
		{"canonical:ubuntu-24_04-lts:server", true},
		{"Canonical:UbuntuServer:14.04.5-LTS", false},
		{"SUSE:SLES:12-SP3", true},
		{"SUSE:sles-15-sp4:gen2", true},
		{"SUSE:SLES:12-SP2", false},
		{"SUSE:SLES:11-SP4", false},
		{"RedHat:RHEL:7.4", true},
		{"RedHat:RHEL:8_8", true},
		{"RedHat:RHEL:810-gen2", true},
		{"RedHat:RHEL:96-gen2", true},
		{"RedHat:RHEL:7.3", false},
		{"RedHat:RHEL:8_1", false},
		{"OpenLogic:CentOS:7.4", true},
		{"OpenLogic:CentOS:6.9", false},
		{"CoreOS:CoreOS:Stable", true},
		{"ciq:rocky-8:rocky-8.10", true},
		{"ciq:rocky-9:rocky-9-2", true},
		{"ciq:rocky-9:rocky-9-1", false},
		{"credativ:Debian:9-backports", true},
		{"credativ:Debian:9", false},
		{"Debian:debian-12:12-gen2", true},
		{"Oracle:Oracle-Linux:7.4", true},
		{"Oracle:Oracle-Linux:ol90-gen2", true},
		{"Oracle:Oracle-Linux:6.8", false},
		{"MicrosoftWindowsServer:WindowsServer:2019-Datacenter", false},
		{"me:ubuntu:16.04", false},
	};
	_cleanup_(folder_free) char *store = folder_new();
	const struct image image = {.id = (char *)"imported", .description = (char *)"a cloud image"};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_test_message("%s", cases[i].urn);
		g_assert_true(image_alias_set(store, "It", cases[i].urn, &image, &error));
		g_autoptr(GPtrArray) aliases = image_alias_list(store, &error);
		g_assert_cmpint(find(aliases, "It")->accelerated, ==, cases[i].support);
		g_assert_cmpint(image_alias_supports(aliases, "imported"), ==, cases[i].support);
	}
}

static void test_alias_refused(void)
{
	static const struct {
		const char *name, *urn, *part;
	} refused[] = {
		{"a b", NULL, "an alias has letters"},
		{"", NULL, "an alias has letters"},
		{"Mine", "p:o", "publisher:offer:sku"},
		{"Mine", "p:o:s:1", "publisher:offer:sku"},
		{"Mine", "p::s", "publisher:offer:sku"},
		{"Mine", "Canonical:ubuntuserver:18.04-lts", "alias UbuntuLTS has the URN"},
	};
	_cleanup_(folder_free) char *store = folder_new();
	struct image image = {.id = (char *)BUILT_A, .description = (char *)"small"};
	g_autoptr(GError) error = NULL;

	g_assert_true(image_alias_set_built(store, &image, &error));
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autoptr(GError) why = NULL;
		g_assert_false(image_alias_set(store, refused[i].name, refused[i].urn, &image, &why));
		assert_fault(why, FAULT_INVALID, refused[i].part);
	}

	g_autoptr(GPtrArray) aliases = image_alias_list(store, &error);
	g_assert_cmpint(aliases->len, ==, 5);
}

static void test_alias_remove(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	struct image image = {.id = (char *)"one", .description = (char *)"small"};
	g_autoptr(GError) error = NULL, none = NULL;

	add_image(store, "one", MANIFEST "}");
	g_assert_true(image_alias_set(store, "Mine", NULL, &image, &error));
	g_assert_true(image_alias_set(store, "Yours", NULL, &image, &error));
	g_assert_true(image_alias_remove(store, "Mine", &error));
	g_assert_false(image_alias_remove(store, "Mine", &none));
	assert_fault(none, FAULT_NOT_FOUND, "no alias Mine");

	g_autoptr(GPtrArray) aliases = image_alias_list(store, &error);
	g_assert_cmpint(aliases->len, ==, 1);
	g_assert_nonnull(find(aliases, "Yours"));
	g_assert_true(image_alias_remove(store, "Yours", &error));
	g_assert_true(image_remove(store, "one", &error));
	g_assert_no_error(error);
}

static void test_bad_aliases(void)
{
	static const struct {
		const char *text, *part;
	} refused[] = {
		{"[]", "no object"},
		{"{", "line 1"},
		{"{\"A\": 1}", "alias A"},
		{"{\"A\": {\"publisher\": \"p\", \"offer\": \"o\", \"image\": \"i\"}}", "sku"},
		{"{\"A\": {}, \"A\": {}}", "duplicate"},
	};
	_cleanup_(folder_free) char *store = folder_new();

	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
		g_autoptr(GError) error = NULL;

		write_file(store, "aliases.json", refused[i].text, -1);
		g_assert_null(image_alias_list(store, &error));
		assert_fault(error, FAULT_INVALID, "aliases.json");
		assert_fault(error, FAULT_INVALID, refused[i].part);
	}
}

static void test_remove_in_use(void)
{
	_cleanup_(folder_free) char *store = folder_new();
	struct image image = {.id = (char *)"one", .description = (char *)"small"};
	g_autoptr(GError) error = NULL;

	add_image(store, "one", MANIFEST "}");
	g_assert_true(image_alias_set_built(store, &image, &error));
	g_assert_false(image_remove(store, "one", &error));
	assert_fault(error, FAULT_IN_USE, "aliases: Debian11, Debian12, Ubuntu2204, Ubuntu2404, UbuntuLTS;");

	_cleanup_(image_free) struct image *still = image_load(store, "one", NULL);
	g_assert_nonnull(still);
}

/* ---- building ---- */

static void test_build(void)
{
	_cleanup_(folder_free) char *folder = folder_new();
	g_autofree char *script = g_build_filename(folder, "build.sh", NULL);
	g_autofree char *store = g_build_filename(folder, "store", NULL);
	const struct image_build build = {
		.image_dir = store, .script = script, .guest_tool = "/bin/sh", .quiet = true};
	g_autoptr(GError) error = NULL;
	g_autofree char *id = NULL;

	g_assert_false(image_build_run(&build, &id, &error));
	assert_fault(error, FAULT_NOT_FOUND, "build.sh is not there");
	g_clear_error(&error);

	add_image(
		store, BUILT_A, "{\"id\": \"" BUILT_A "\", \"disk\": \"disk.qcow2\", \"format\": \"qcow2\"}");
	write_file(folder, "build.sh",
		"#!/bin/sh\n[ \"$*\" = \"--store ${0%/*}/store --guest-tool /bin/sh --quiet\" ] && "
		"echo " BUILT_A "\n",
		-1);
	g_assert_cmpint(g_chmod(script, 0755), ==, 0);
	g_assert_true(image_build_run(&build, &id, &error));
	g_assert_no_error(error);
	g_assert_cmpstr(id, ==, BUILT_A);

	g_autoptr(GPtrArray) aliases = image_alias_list(store, &error);
	g_assert_cmpstr(find(aliases, "UbuntuLTS")->image, ==, BUILT_A);
}

static void test_build_fails(void)
{
	const struct image_build build = {
		.image_dir = "/nowhere", .script = "/bin/false", .guest_tool = "/bin/sh"};
	g_autoptr(GError) error = NULL;
	g_autofree char *id = NULL;

	g_assert_false(image_build_run(&build, &id, &error));
	assert_fault(error, FAULT_INTERNAL, "the image could not be built");
	g_assert_null(id);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		GTestFunc run;
	} tests[] = {
		{"/qcow2/disks that stand alone are taken, with their size", test_header},
		{"/qcow2/disks that name other files or are not sound are refused", test_bad_headers},
		{"/qcow2/what is no regular file is refused without waiting", test_no_regular_file},
		{"/load/a whole manifest is read", test_load},
		{"/load/what helps an emulated CPU stays off a real one", test_cmdline},
		{"/load/malformed manifests are refused with the reason", test_bad_manifests},
		{"/load/an overlay in the store is refused", test_overlay_is_not_loaded},
		{"/load/ids that could be paths are refused", test_ids},
		{"/list/whole images by id, broken ones logged, unfinished ones left out", test_list},
		{"/import/an imported disk is an image until it is removed", test_import},
		{"/import/disks that name other files leave nothing behind", test_import_refused},
		{"/import/damaged disks leave nothing behind", test_import_damaged},
		{"/alias/the first build makes the default aliases", test_aliases},
		{"/alias/a later build moves only what stood for a built image", test_aliases_move},
		{"/alias/one is set to another image, or made with a URN of its own", test_alias_set},
		{"/alias/an image that documents list as supported is, by its URN", test_alias_support},
		{"/alias/bad names, bad URNs and a URN of another alias change nothing", test_alias_refused},
		{"/alias/one is removed, after which its image can be", test_alias_remove},
		{"/alias/malformed files are refused with the alias at fault", test_bad_aliases},
		{"/alias/an image that an alias stands for is not removed", test_remove_in_use},
		{"/build/the script's image gets the aliases", test_build},
		{"/build/a failing script is an error", test_build_fails},
	};

	g_test_init(&argc, &argv, NULL);
	g_log_set_writer_func(count_warnings, NULL, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add_func(tests[i].name, tests[i].run);
	return g_test_run();
}
