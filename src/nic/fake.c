/* The fake providers, for tests: a function is a file. */
#include "base/fault.h"
#include "nic/function_pool.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

static const struct nic_caps fake_caps = {
	.name = "fake",
	.claim = "fake: for tests",
};

static bool make_file(void *data, const char *name, const struct nic_request *request, GError **error)
{
	g_autofree char *path = g_build_filename(data, name, NULL);

	return g_file_set_contents(path, "", 0, error);
}

static bool remove_file(void *data, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(data, name, NULL);

	return g_unlink(path) == 0 || errno == ENOENT ||
	       fault_set(error, FAULT_INTERNAL, "cannot remove %s: %s", path, g_strerror(errno));
}

static bool cut_file(void *data, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(data, name, NULL);

	return g_file_set_contents(path, "cut", -1, error);
}

static char *file_loss(void *data, const char *name)
{
	g_autofree char *path = g_build_filename(data, name, NULL);

	return g_file_test(path, G_FILE_TEST_EXISTS) ? NULL : g_strdup("is not there any more");
}

static const struct function_maker file_maker = {
	.make = make_file, .remove = remove_file, .cut = cut_file, .free = g_free, .loss = file_loss};

struct nic_provider *nic_fake_open(const char *folder, unsigned limit, GError **error)
{
	g_autofree char *ledger = g_build_filename(folder, "functions.json", NULL);

	return function_pool_open(&fake_caps, ledger, limit, NULL, &file_maker, g_strdup(folder), error);
}

/* ---- bypass functions ---- */

struct fake_bypass {
	char *folder; /* Owned */
	nic_fake_note note;
	void *data; /* Borrowed; the note's */
};

static const struct nic_caps bypass_caps = {
	.name = "fake-bypass",
	.claim = "fake: for tests, past the host",
	.bypass = true,
};

static const struct nic_caps switchdev_caps = {
	.name = "fake-switchdev",
	.claim = "fake: for tests, past the host, with representors",
	.bypass = true,
	.tunnels = true,
	.flow_policy = true,
	.representors = true,
};

static char *bypass_name(unsigned n)
{
	return g_strdup_printf("0000:3b:10.%u", n);
}

static char *representor_name(const char *name)
{
	return g_strdup_printf("rep%s", strrchr(name, '.') + 1);
}

static void note(const struct fake_bypass *fake, const char *call, const char *name)
{
	g_autofree char *text = g_strdup_printf("%s %s", call, name);

	if (fake->note)
		fake->note(text, fake->data);
}

/* Owned by the caller; "" when there is no such file. */
static char *read_text(const struct fake_bypass *fake, const char *name)
{
	g_autofree char *path = g_build_filename(fake->folder, name, NULL);
	char *text;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
}

static bool write_text(const struct fake_bypass *fake, const char *name, const char *text, GError **error)
{
	g_autofree char *path = g_build_filename(fake->folder, name, NULL);

	return g_file_set_contents(path, text, -1, error);
}

static bool may(const struct fake_bypass *fake, const char *failure, GError **error)
{
	g_autofree char *path = g_build_filename(fake->folder, failure, NULL);

	return !g_file_test(path, G_FILE_TEST_EXISTS) ||
	       fault_set(error, FAULT_INTERNAL, "the test says %s", failure);
}

/* "physnet1 100 00:0d:3a:00:00:04". Owned by the caller. */
static char *place_text(const char *physical, unsigned vlan, struct mac_addr mac)
{
	char text[MAC_TEXT_MAX];

	return g_strdup_printf("%s %u %s", physical, vlan, mac_format(mac, text));
}

static bool make_bypass(void *data, const char *name, const struct nic_request *request, GError **error)
{
	const struct fake_bypass *fake = data;
	g_autofree char *old = read_text(fake, name);
	const char *physical = request->physical ? request->physical : "none";
	g_autofree char *place = place_text(physical, request->vlan, request->mac);
	g_autofree char *text = g_strdup_printf("claimed %s %u\n", place, request->rate_mbps);

	note(fake, "claim", name);
	return *old || write_text(fake, name, text, error);
}

/* Writes how far the function is. */
static bool advance(const struct fake_bypass *fake, const char *name, const char *word, GError **error)
{
	g_autofree char *old = read_text(fake, name);
	const char *rest = strchr(old, ' ');
	g_autofree char *text = g_strdup_printf("%s%s", word, rest ? rest : "\n");

	return write_text(fake, name, text, error);
}

/* Whether another function is armed with the place of this one. */
static bool place_is_taken(const struct fake_bypass *fake, const char *name, const char *place)
{
	g_autoptr(GDir) folder = g_dir_open(fake->folder, 0, NULL);
	g_autofree char *armed = g_strdup_printf("armed %s ", place);
	const char *other;

	while ((other = g_dir_read_name(folder))) {
		g_autofree char *text = g_str_has_prefix(other, "0000:") ? read_text(fake, other) : NULL;
		if (text && !g_str_equal(other, name) && g_str_has_prefix(text, armed))
			return true;
	}
	return false;
}

static bool arm_bypass(void *data, const char *name, GError **error)
{
	const struct fake_bypass *fake = data;
	g_autofree char *text = read_text(fake, name), *heard = read_text(fake, "heard");
	g_auto(GStrv) words = g_strsplit(text, " ", 5);

	note(fake, "arm", name);
	if (!may(fake, "fail-arm", error))
		return false;
	if (g_strv_length(words) < 5)
		return fault_set(error, FAULT_INTERNAL, "function %s is not claimed", name);
	g_autofree char *place = g_strdup_printf("%s %s %s", words[1], words[2], words[3]);
	if (strstr(heard, place) || place_is_taken(fake, name, place))
		return fault_set(error, FAULT_INTERNAL, "%s is another filter's", place);
	return advance(fake, name, "armed", error);
}

static bool cut_bypass(void *data, const char *name, GError **error)
{
	note(data, "cut", name);
	return may(data, "fail-cut", error) && advance(data, name, "cut", error);
}

static bool leave_bypass(void *data, const char *name, GError **error)
{
	const struct fake_bypass *fake = data;
	g_autofree char *stuck = g_build_filename(fake->folder, "stuck", NULL);

	note(fake, "left", name);
	if (!may(fake, "fail-left", error) || !advance(fake, name, "left", error))
		return false;
	return !g_file_test(stuck, G_FILE_TEST_EXISTS) ||
	       fault_set(error, FAULT_TIMEOUT, "nobody gives function %s back", name);
}

static bool remove_bypass(void *data, const char *name, GError **error)
{
	const struct fake_bypass *fake = data;
	g_autofree char *text = read_text(fake, name);

	note(fake, "release", name);
	if (g_str_has_prefix(text, "armed") || g_str_has_prefix(text, "cut"))
		return fault_set(error, FAULT_IN_USE, "function %s has a guest still", name);
	return may(fake, "fail-release", error) && remove_file(fake->folder, name, error);
}

static void survey_bypass(void *data, unsigned n, struct nic_device *device)
{
	g_autofree char *text = read_text(data, device->name);
	g_auto(GStrv) words = g_strsplit(text, " ", 5);
	bool armed = g_strcmp0(words[0], "armed") == 0, open = may(data, "unopened", NULL);

	device->physical = g_strdup("physnet1");
	device->pf = g_strdup("0000:3b:00.0");
	device->pf_netdev = g_strdup("ens3");
	device->index = n;
	device->use = armed                             ? NIC_USE_ARMED
		      : g_strcmp0(words[0], "cut") == 0 ? NIC_USE_CUT
		      : device->nic                     ? NIC_USE_CLAIMED
							: NIC_USE_FREE;
	device->attributes.known = VF_MAC | VF_VLAN;
	if (armed) {
		device->detail = open ? g_strdup("is open in a test") : NULL;
		mac_parse(words[3], &device->attributes.mac);
		device->attributes.vlan = (uint16_t)g_ascii_strtoull(words[2], NULL, 10);
		device->counters = (struct vf_counters){.index = n,
			.known = 1u << VF_RX_PACKETS | 1u << VF_TX_PACKETS,
			.values = {[VF_RX_PACKETS] = 3, [VF_TX_PACKETS] = 5}};
	}
}

static GPtrArray *check_bypass(void *data)
{
	const struct fake_bypass *fake = data;
	g_autofree char *text = read_text(fake, "drift");
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	GPtrArray *sentences = g_ptr_array_new_with_free_func(g_free);

	for (char **line = lines; *line; line++)
		if (**line)
			g_ptr_array_add(sentences, g_strdup(*line));
	if (*text)
		remove_file(fake->folder, "drift", NULL);
	return sentences;
}

static bool hear_bypass(void *data, const struct nic_heard *heard, size_t n, GError **error)
{
	const struct fake_bypass *fake = data;
	g_autoptr(GString) text = g_string_new(NULL);
	g_autofree char *limit = read_text(fake, "hear-room");
	size_t room = *limit ? (size_t)g_ascii_strtoull(limit, NULL, 10) : n;

	if (!may(fake, "fail-hear", error))
		return false;
	for (size_t i = 0; i < MIN(n, room); i++) {
		g_autofree char *place = place_text(heard[i].physical, heard[i].vlan, heard[i].mac);
		g_string_append_printf(text, "%s\n", place);
	}
	return write_text(fake, "heard", text->str, error) &&
	       (n <= room || fault_set(error, FAULT_POOL_FULL, "%zu MACs find no room", n - room));
}

static void free_bypass(void *data)
{
	struct fake_bypass *fake = data;

	g_free(fake->folder);
	g_free(fake);
}

#define BYPASS_MAKER                                                                                         \
	.name = bypass_name, .make = make_bypass, .remove = remove_bypass, .free = free_bypass,              \
	.arm = arm_bypass, .cut = cut_bypass, .left = leave_bypass, .survey = survey_bypass,                 \
	.check = check_bypass, .hear = hear_bypass

static const struct function_maker bypass_maker = {BYPASS_MAKER};
static const struct function_maker switchdev_maker = {BYPASS_MAKER, .representor = representor_name};

static struct nic_provider *open_bypass(const struct nic_caps *caps, const struct function_maker *maker,
	const char *folder, unsigned limit, nic_fake_note noted, void *data, GError **error)
{
	g_autofree char *ledger = g_build_filename(folder, "functions.json", NULL);
	struct fake_bypass *fake = g_new(struct fake_bypass, 1);

	*fake = (struct fake_bypass){g_strdup(folder), noted, data};
	return function_pool_open(caps, ledger, limit, NULL, maker, fake, error);
}

struct nic_provider *nic_fake_open_bypass(
	const char *folder, unsigned limit, nic_fake_note noted, void *data, GError **error)
{
	return open_bypass(&bypass_caps, &bypass_maker, folder, limit, noted, data, error);
}

struct nic_provider *nic_fake_open_switchdev(
	const char *folder, unsigned limit, nic_fake_note noted, void *data, GError **error)
{
	return open_bypass(&switchdev_caps, &switchdev_maker, folder, limit, noted, data, error);
}
