/* Conformance of the providers of NIC functions: built once for the fake one, once (PROVIDER_EMULATED) for taps in a
 * network namespace, which needs root, and for the lab, where SLUICE_PF names the interface of a PF with three VFs, once for
 * the provider sriov (PROVIDER_SRIOV) and once for switchdev (PROVIDER_SWITCHDEV): to the PF's VFs, which are legacy ones, devlink is
 * made up, and their representors are dummy interfaces. */
#include "base/fault.h"
#include "nic/inventory.h"
#include "nic/link.h"
#include "nic/netns.h"
#include "nic/provider.h"
#ifdef PROVIDER_SWITCHDEV
#include "nic/test_switchdev.h"
#endif

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NETNS "agent-provider"
#define VLAN  100

struct fixture {
	char *folder;
	struct nic_provider *provider;
};

/* ---- what differs: how one is opened, what the device of a function is ---- */

#if defined PROVIDER_EMULATED

#define POINT_RECORDED "nic.function-recorded"
#define POINT_REMOVED  "nic.function-removed"

static struct nic_provider *provider_open(const char *folder, GError **error)
{
	g_autofree char *ledger = g_build_filename(folder, "functions.json", NULL);

	return nic_emulated_open(ledger, NETNS, error);
}

static bool device_exists(struct fixture *f, const char *name)
{
	_cleanup_(links_close) struct links *links = links_open(NETNS, NULL);
	return links_exists(links, name);
}

static void device_lose(struct fixture *f, const char *name)
{
	_cleanup_(links_close) struct links *links = links_open(NETNS, NULL);
	g_assert_true(links_remove(links, name, NULL));
}

struct held_tap {
	const char *name;
	int fd;
};

static bool open_tap(void *data, GError **error)
{
	struct held_tap *held = data;
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

	held->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	g_strlcpy(request.ifr_name, held->name, sizeof request.ifr_name);
	return held->fd >= 0 && ioctl(held->fd, TUNSETIFF, &request) == 0;
}

/* As the program of the guest's machine does: a descriptor; negative: no program has it. */
static int device_hold(const char *name)
{
	struct held_tap held = {name, -1};

	g_assert_true(netns_run(NETNS, open_tap, &held, NULL));
	return held.fd;
}

#elif defined PROVIDER_SWITCHDEV

#define POINT_RECORDED "sriov.recorded"
#define POINT_REMOVED  "sriov.restored"

static struct nic_provider *provider_open(const char *folder, GError **error)
{
	g_autofree char *ledger = g_build_filename(folder, "functions.json", NULL);

	return test_switchdev_open(ledger, error);
}

/* Its representor is up. */
static bool device_exists(struct fixture *f, const char *name)
{
	g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);

	for (guint i = 0; i < survey->len; i++) {
		const struct nic_device *device = survey->pdata[i];
		if (g_str_equal(device->name, name))
			return test_switchdev_is_up(device->index);
	}
	return false;
}

static void device_lose(struct fixture *f, const char *name)
{
	test_switchdev_make_vfs();
}

#elif defined PROVIDER_SRIOV

#define POINT_RECORDED "sriov.recorded"
#define POINT_REMOVED  "sriov.restored"

static struct nic_provider *provider_open(const char *folder, GError **error)
{
	g_autofree char *ledger = g_build_filename(folder, "functions.json", NULL);
	g_autofree char *link = g_strdup_printf("/sys/class/net/%s/device", g_getenv("SLUICE_PF"));
	g_autofree char *target = g_file_read_link(link, NULL), *address = g_path_get_basename(target);
	g_autoptr(GPtrArray) pfs = g_ptr_array_new();

	g_ptr_array_add(pfs, address);
	return nic_sriov_open("", ledger, &(struct sriov_physical){"physnet1", pfs}, 1, error);
}

/* The VF is set up. */
static bool device_exists(struct fixture *f, const char *name)
{
	g_autoptr(GPtrArray) survey = f->provider->ops->survey(f->provider);

	for (guint i = 0; i < survey->len; i++) {
		const struct nic_device *device = survey->pdata[i];
		if (g_str_equal(device->name, name))
			return device->attributes.vlan == VLAN;
	}
	return false;
}

/* All of the PF's are made again. */
static void device_lose(struct fixture *f, const char *name)
{
	g_autofree char *path =
		g_strdup_printf("/sys/class/net/%s/device/sriov_numvfs", g_getenv("SLUICE_PF"));
	g_autofree char *command = g_strdup_printf("echo 0 >%s && echo 3 >%s", path, path);

	g_assert_cmpint(system(command), ==, 0);
}

#else

#define PROVIDER_FAKE
#define POINT_RECORDED "nic.function-recorded"
#define POINT_REMOVED  "nic.function-removed"

static struct nic_provider *provider_open(const char *folder, GError **error)
{
	return nic_fake_open(folder, 3, error);
}

static bool device_exists(struct fixture *f, const char *name)
{
	g_autofree char *path = g_build_filename(f->folder, name, NULL);
	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void device_lose(struct fixture *f, const char *name)
{
	g_autofree char *path = g_build_filename(f->folder, name, NULL);
	g_assert_cmpint(g_unlink(path), ==, 0);
}

static int device_hold(const char *name)
{
	return -1;
}

#endif

/* Whether packets could pass the device of a claimed function. */
static bool device_passes(struct fixture *f, const char *name)
{
#if defined PROVIDER_EMULATED
	g_autofree char *command =
		g_strdup_printf("ip -n %s link show dev %s up | grep -q %s", NETNS, name, name);
	return system(command) == 0;
#elif defined PROVIDER_FAKE
	g_autofree char *path = g_build_filename(f->folder, name, NULL), *text = NULL;
	return g_file_get_contents(path, &text, NULL, NULL) && !g_str_equal(text, "cut");
#else
	return device_exists(f, name);
#endif
}

/* The last letter of the uid makes the MAC. */
static struct nic_request request_of(const char *nic)
{
	return (struct nic_request)
	{
		.nic = nic,
#if defined PROVIDER_SRIOV || defined PROVIDER_SWITCHDEV
		.physical = "physnet1", .vlan = VLAN,
#endif
		.mac = { {0x00, 0x0d, 0x3a, 0, 0, (uint8_t)nic[strlen(nic) - 1]} }
	};
}

static void open_again(struct fixture *f)
{
	g_autoptr(GError) error = NULL;

	nic_provider_close(f->provider);
	f->provider = provider_open(f->folder, &error);
	g_assert_no_error(error);
}

static void setup(struct fixture *f, gconstpointer data)
{
#ifdef PROVIDER_EMULATED
	g_autoptr(GError) error = NULL;
	netns_create(NETNS, &error);
	g_assert_no_error(error);
#endif
#ifdef PROVIDER_SWITCHDEV
	test_switchdev_make_vfs();
#endif
	f->folder = g_dir_make_tmp("provider-XXXXXX", NULL);
	open_again(f);
}

static void teardown(struct fixture *f, gconstpointer data)
{
	g_autofree char *command = g_strdup_printf("rm -r '%s'", f->folder);
	g_autoptr(GPtrArray) left = f->provider->ops->list(f->provider);

	for (guint i = 0; i < left->len; i++)
		f->provider->ops->release(f->provider, ((struct nic_function *)left->pdata[i])->nic, NULL);
	nic_provider_close(f->provider);
	g_assert_cmpint(system(command), ==, 0);
	g_free(f->folder);
#ifdef PROVIDER_EMULATED
	g_assert_true(netns_remove(NETNS, NULL));
#endif
}

static char *claim(struct fixture *f, const char *nic)
{
	const struct nic_request request = request_of(nic);
	g_autoptr(GError) error = NULL;
	char *name = NULL;

	f->provider->ops->claim(f->provider, &request, &name, &error);
	g_assert_no_error(error);
	g_assert_nonnull(name);
	return name;
}

static void release(struct fixture *f, const char *nic)
{
	g_autoptr(GError) error = NULL;

	g_assert_true(f->provider->ops->release(f->provider, nic, &error));
	g_assert_no_error(error);
}

static unsigned n_claimed(struct fixture *f)
{
	g_autoptr(GPtrArray) list = f->provider->ops->list(f->provider);

	return list->len;
}

static void test_claim(struct fixture *f, gconstpointer data)
{
	g_autofree char *a = claim(f, "nic-a"), *b = claim(f, "nic-b"), *again = claim(f, "nic-a");

	g_assert_cmpstr(a, !=, b);
	g_assert_cmpstr(a, ==, again);
	g_assert_true(device_exists(f, a) && device_exists(f, b));
	g_assert_cmpuint(n_claimed(f), ==, 2);
}

static void test_release(struct fixture *f, gconstpointer data)
{
	g_autofree char *a = claim(f, "nic-a"), *b = claim(f, "nic-b");

	release(f, "nic-a");
	release(f, "nic-a");
	release(f, "never-had-one");
	g_assert_false(device_exists(f, a));
	g_assert_true(device_exists(f, b));
	g_autofree char *c = claim(f, "nic-c");
	g_assert_cmpstr(c, ==, a);
}

static void expect_not_reclaimed(struct fixture *f, const char *name, int code)
{
	for (int as_is = 0; as_is < 2; as_is++) {
		g_autoptr(GError) error = NULL;
		GPtrArray *lost = NULL;
		g_assert_false(f->provider->ops->reclaim(f->provider, name, as_is, &lost, &error));
		g_assert_error(error, FAULT, code);
		g_assert_null(lost);
	}
}

static void test_not_quarantined(struct fixture *f, gconstpointer data)
{
	g_autofree char *name = claim(f, "nic-a");

	expect_not_reclaimed(f, name, FAULT_NOT_ALLOWED);
	g_assert_true(device_exists(f, name));
	release(f, "nic-a");
	expect_not_reclaimed(f, name, FAULT_NOT_FOUND);
}

#if defined PROVIDER_FAKE || defined PROVIDER_EMULATED
/* A function whose end cannot be written down has its NIC still, and may be released again. */
static void test_unsaved(struct fixture *f, gconstpointer data)
{
	g_autofree char *ledger = g_build_filename(f->folder, "functions.json", NULL), *a = claim(f, "nic-a"),
			*b = claim(f, "nic-b");
	g_autoptr(GError) error = NULL;

	g_assert_cmpint(g_unlink(ledger), ==, 0);
	g_assert_cmpint(g_mkdir(ledger, 0700), ==, 0); /* no file can be put there */
	g_assert_false(f->provider->ops->release(f->provider, "nic-a", &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
	g_assert_cmpuint(n_claimed(f), ==, 2);
	g_assert_cmpint(g_rmdir(ledger), ==, 0);
	release(f, "nic-a");
	open_again(f);
	g_assert_cmpuint(n_claimed(f), ==, 1);
	g_assert_true(device_exists(f, b));
}
#endif

static void test_survives(struct fixture *f, gconstpointer data)
{
	g_autofree char *a = claim(f, "nic-a");

	open_again(f);
	g_assert_cmpuint(n_claimed(f), ==, 1);
	g_assert_true(device_exists(f, a));
	g_autofree char *again = claim(f, "nic-a");
	g_assert_cmpstr(again, ==, a);
	release(f, "nic-a");
	open_again(f);
	g_assert_cmpuint(n_claimed(f), ==, 0);
}

static void test_remake(struct fixture *f, gconstpointer data)
{
	g_autofree char *a = claim(f, "nic-a");

	device_lose(f, a);
	g_autofree char *again = claim(f, "nic-a");
	g_assert_cmpstr(again, ==, a);
	g_assert_true(device_exists(f, a));
	device_lose(f, a);
	release(f, "nic-a");
	g_assert_cmpuint(n_claimed(f), ==, 0);
}

#if defined PROVIDER_FAKE || defined PROVIDER_EMULATED
/* Fails the test unless exactly one function is claimed, and its loss begins like that (NULL: it has none). */
static void expect_loss(struct fixture *f, const char *loss)
{
	g_autoptr(GPtrArray) list = f->provider->ops->list(f->provider);

	g_assert_cmpuint(list->len, ==, 1);
	g_assert_cmpstr(((struct nic_function *)list->pdata[0])->loss, ==, loss);
}

/* As the guest's machine has it. */
static void test_lost(struct fixture *f, gconstpointer data)
{
	g_autofree char *a = claim(f, "nic-a"), *again = NULL;
	int held = device_hold(a);

	expect_loss(f, NULL);
	device_lose(f, a);
	expect_loss(f, "is not there any more");
	again = claim(f, "nic-a");
	/* Made again under a guest that has it, it is another one than the guest's. */
	expect_loss(f, held < 0 ? NULL : "is open in no program any more");
	if (held >= 0)
		close(held);
	held = device_hold(again);
	expect_loss(f, NULL);
	if (held >= 0)
		close(held);
}
#endif

static bool is_cut(struct fixture *f)
{
	g_autoptr(GPtrArray) list = f->provider->ops->list(f->provider);

	g_assert_cmpuint(list->len, ==, 1);
	return ((struct nic_function *)list->pdata[0])->cut;
}

/* Whoever looks after it, and however the process ends. */
static void test_cut(struct fixture *f, gconstpointer data)
{
	g_autofree char *a = claim(f, "nic-a");
	const struct nic_provider_ops *ops = f->provider->ops;
	const struct nic_request request = request_of("nic-a");
	g_autoptr(GError) error = NULL, claimed = NULL, unknown = NULL;
	g_autofree char *none = NULL;

	g_assert_true(!ops->arm || ops->arm(f->provider, "nic-a", &error));
	g_assert_true(device_passes(f, a) && !is_cut(f));
	for (unsigned i = 0; i < 2; i++) {
		g_assert_true(ops->cut(f->provider, "nic-a", &error));
		g_assert_no_error(error);
		g_assert_true(!device_passes(f, a) && is_cut(f));
		open_again(f);
	}
	if (ops->check)
		g_ptr_array_unref(ops->check(f->provider));
	g_assert_false(ops->claim(f->provider, &request, &none, &claimed));
	g_assert_error(claimed, FAULT, FAULT_IN_USE);
	g_assert_true(!device_passes(f, a) && is_cut(f));
	g_assert_true(!ops->left || ops->left(f->provider, "nic-a", &error));
	release(f, "nic-a");
	g_assert_false(ops->cut(f->provider, "nic-a", &unknown));
	g_assert_error(unknown, FAULT, FAULT_NOT_FOUND);
	g_autofree char *again = claim(f, "nic-a");
	g_assert_true(device_passes(f, again) && !is_cut(f));
}

#ifdef PROVIDER_EMULATED
/* What check() says: a sentence, or nothing. */
static void expect_finding(struct fixture *f, const char *sentence)
{
	g_autoptr(GPtrArray) found = f->provider->ops->check(f->provider);

	g_assert_cmpuint(found->len, ==, sentence ? 1 : 0);
	if (sentence)
		g_assert_cmpstr(found->pdata[0], ==, sentence);
}

static void test_drift(struct fixture *f, gconstpointer data)
{
	_cleanup_(links_close) struct links *links = links_open(NETNS, NULL);
	g_autofree char *a = claim(f, "nic-a");

	expect_finding(f, NULL);
	g_assert_true(links_set_down(links, a, NULL));
	expect_finding(f, "function sl-f0 (NIC nic-a) was set down by somebody else; it is up again");
	g_assert_true(device_passes(f, a));
	g_assert_true(f->provider->ops->cut(f->provider, "nic-a", NULL));
	expect_finding(f, NULL);
	g_assert_true(links_set_up(links, a, NULL));
	expect_finding(f, "function sl-f0 (NIC nic-a) was set up by somebody else; it is down again");
	g_assert_false(device_passes(f, a));
	device_lose(f, a);
	expect_finding(f, NULL); /* its guest has to give it back */
}
#endif

/* Runs one call in a child that dies at the failpoint. */
static void die_in_call(struct fixture *f, const char *point, bool releasing)
{
	const struct nic_request request = request_of("nic-a");
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		char *name = NULL;
		setenv("SLUICE_FAILPOINT", point, 1);
		struct nic_provider *provider = provider_open(f->folder, NULL);
		if (releasing)
			provider->ops->release(provider, "nic-a", NULL);
		else
			provider->ops->claim(provider, &request, &name, NULL);
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status));
}

static void test_crash(struct fixture *f, gconstpointer data)
{
	die_in_call(f, POINT_RECORDED, false);
	open_again(f);
	g_assert_cmpuint(n_claimed(f), ==, 1);
	g_autofree char *a = claim(f, "nic-a");
	g_assert_true(device_exists(f, a));
	die_in_call(f, POINT_REMOVED, true);
	open_again(f);
	g_assert_cmpuint(n_claimed(f), ==, 1);
	g_assert_false(device_exists(f, a));
	release(f, "nic-a");
	g_assert_cmpuint(n_claimed(f), ==, 0);
}

#ifndef PROVIDER_EMULATED
static void test_full(struct fixture *f, gconstpointer data)
{
	g_autofree char *a = claim(f, "nic-a"), *b = claim(f, "nic-b"), *c = claim(f, "nic-c"), *d = NULL;
	const struct nic_request request = request_of("nic-d");
	g_autoptr(GError) error = NULL;

	g_assert_false(f->provider->ops->claim(f->provider, &request, &d, &error));
	g_assert_error(error, FAULT, FAULT_POOL_FULL);
	g_assert_null(d);
	release(f, "nic-b");
	d = claim(f, "nic-d");
	g_assert_cmpstr(d, ==, b);
}

static void test_damaged(struct fixture *f, gconstpointer data)
{
	g_autofree char *ledger = g_build_filename(f->folder, "functions.json", NULL);
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(ledger, "{\"functions\": 7}", -1, NULL));
	g_assert_null(provider_open(f->folder, &error));
	g_assert_error(error, FAULT, FAULT_INTERNAL);
}

#ifdef PROVIDER_FAKE
static void test_caps(void)
{
	static const struct nic_caps emulated = {.name = "emulated"};
	static const struct nic_caps switchdev = {
		.name = "switchdev", .bypass = true, .tunnels = true, .flow_policy = true};
	static const struct nic_caps legacy = {.name = "sriov", .bypass = true};
	enum nic_enforcer enforcer = NIC_ENFORCER_GUEST;
	const char *reason = NULL;

	for (int segment = NIC_SEGMENT_VXLAN; segment <= NIC_SEGMENT_VLAN; segment++)
		for (int policy = NIC_POLICY_ALLOW_ALL; policy <= NIC_POLICY_OTHER; policy++) {
			g_assert_true(nic_caps_allow(&emulated, segment, policy, false, &enforcer, &reason));
			g_assert_cmpint(enforcer, ==, NIC_ENFORCER_SWITCH);
			g_assert_true(nic_caps_allow(&switchdev, segment, policy, true, &enforcer, &reason));
			g_assert_cmpint(enforcer, ==, NIC_ENFORCER_HARDWARE);
			bool wanted = segment == NIC_SEGMENT_VLAN && policy == NIC_POLICY_ALLOW_ALL;
			g_assert_cmpint(nic_caps_allow(&legacy, segment, policy, false, &enforcer, &reason),
				==, wanted);
		}
	g_assert_false(
		nic_caps_allow(&legacy, NIC_SEGMENT_VXLAN, NIC_POLICY_ALLOW_ALL, true, &enforcer, &reason));
	g_assert_nonnull(strstr(reason, "vxlan"));
	g_assert_false(
		nic_caps_allow(&legacy, NIC_SEGMENT_VLAN, NIC_POLICY_OTHER, false, &enforcer, &reason));
	g_assert_nonnull(strstr(reason, "security groups"));
	g_assert_true(nic_caps_allow(&legacy, NIC_SEGMENT_VLAN, NIC_POLICY_OTHER, true, &enforcer, &reason));
	g_assert_cmpint(enforcer, ==, NIC_ENFORCER_GUEST);
	g_assert_true(
		nic_caps_allow(&legacy, NIC_SEGMENT_VLAN, NIC_POLICY_ALLOW_ALL, true, &enforcer, &reason));
	g_assert_cmpint(enforcer, ==, NIC_ENFORCER_HARDWARE);
}
#endif
#endif

static void add(const char *name, void (*fn)(struct fixture *, gconstpointer))
{
	g_test_add(name, struct fixture, NULL, setup, fn, teardown);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#ifdef PROVIDER_EMULATED
	if (getuid() != 0) {
		g_print("1..0 # SKIP network namespaces need root\n");
		return 0;
	}
#else
	add("/provider/the last function in use is followed by a fault that says so", test_full);
	add("/provider/a damaged ledger is refused, not overwritten", test_damaged);
#ifdef PROVIDER_FAKE
	g_test_add_func(
		"/provider/legacy functions carry only vlan segments that allow everything", test_caps);
#endif
#endif
	add("/provider/a claim makes a device, and repeats with the same one", test_claim);
	add("/provider/a release removes the device and frees its name; repeated it is fine", test_release);
	add("/provider/only what is in quarantine is taken out of it", test_not_quarantined);
#if defined PROVIDER_FAKE || defined PROVIDER_EMULATED
	add("/provider/what the ledger cannot be rid of stays claimed", test_unsaved);
#endif
#if defined PROVIDER_FAKE || defined PROVIDER_EMULATED
	add("/provider/a function whose device went under its guest is lost until it is claimed anew",
		test_lost);
#endif
#ifdef PROVIDER_EMULATED
	add("/provider/a function that somebody sets up or down is as it was again", test_drift);
#endif
	add("/provider/claims outlive the process", test_survives);
	add("/provider/what was cut off lets nothing pass until it is released", test_cut);
	add("/provider/a device that vanished is made again, or released without it", test_remake);
	add("/provider/a crash at any point leaks no device", test_crash);
	return g_test_run();
}
