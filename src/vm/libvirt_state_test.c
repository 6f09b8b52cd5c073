/* libvirt's states in our words. */
#include "vm/files.h"
#include "vm/libvirt_priv.h"

static void every_state_and_reason_has_a_meaning(void)
{
	static const struct {
		int state, reason;
		enum vm_state want;
	} cases[] = {
		{VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, VM_RUNNING},
		{VIR_DOMAIN_BLOCKED, 0, VM_RUNNING},
		{VIR_DOMAIN_SHUTDOWN, VIR_DOMAIN_SHUTDOWN_USER, VM_RUNNING},
		{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, VM_STOPPED},
		{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, VM_STOPPED},
		{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, VM_RUNNING},
		{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, VM_CRASHED},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN, VM_STOPPED},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED, VM_STOPPED},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED, VM_STOPPED}, /* to start */
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_UNKNOWN, VM_STOPPED},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, VM_CRASHED},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DAEMON, VM_CRASHED},
		{VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED, VM_CRASHED},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpint(libvirt_vm_state(cases[i].state, cases[i].reason), ==, cases[i].want);
}

static void check_words(const char *log, const char *want)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *dir = g_dir_make_tmp("sluice-words-XXXXXX", &error);
	g_assert_no_error(error);
	g_autofree char *path = g_build_filename(dir, "web.log", NULL);

	g_assert_true(g_file_set_contents(path, log, -1, NULL));
	g_autofree char *words = libvirt_last_words(dir, "web");
	g_assert_cmpstr(words, ==, want);
	g_assert_true(vm_files_remove(dir, NULL));
}

#define START "2026-11-22 01:57:01.653+0000: starting up libvirt version: 9.0.0, qemu version: 10.0.2\n"
#define WAITING                                                                                              \
	"2026-11-22T01:57:01Z qemu-system-x86_64: -chardev socket: info: QEMU waiting for connection on: "   \
	"x\n"
#define DYING "2026-11-22T01:58:01Z qemu-system-x86_64: cannot map guest memory\n"
#define ENDED "2026-11-22 01:59:01.100+0000: shutting down, reason=crashed\n"

static void last_words_are_the_last_complaint_of_the_last_life(void)
{
	check_words(START WAITING DYING ENDED, "cannot map guest memory");
	check_words(START DYING ENDED START WAITING ENDED, NULL);
	check_words(START WAITING ENDED START DYING ENDED, "cannot map guest memory");
	check_words("", NULL);
}

static void without_a_log_there_are_no_last_words(void)
{
	g_assert_null(libvirt_last_words("/nonexistent", "web"));
}

/* As libvirt 9.0 and QEMU 10.0 said it. */
static void what_libvirt_complains_of_is_told_with_what_to_do(void)
{
	static const struct {
		const char *message;
		enum fault fault;
		const char *remedy; /* its beginning */
	} cases[] = {
		{"Requested operation is not valid: PCI device 0000:01:10.0 is in use by driver QEMU, domain "
		 "a-1",
			FAULT_IN_USE, "unplug it"},
		{"unsupported configuration: host doesn't support passthrough of host PCI devices",
			FAULT_UNSUPPORTED, "vfio needs an IOMMU"},
		{"unsupported configuration: host doesn't support VFIO PCI passthrough", FAULT_UNSUPPORTED,
			"vfio needs an IOMMU"},
		{"internal error: unable to execute QEMU command 'device_add': vfio 0000:01:10.0: group 14 "
		 "is not "
		 "viable\nPlease ensure all devices within the iommu_group are bound to their vfio bus "
		 "driver.",
			FAULT_UNAVAILABLE, "another device of its IOMMU group"},
		{"internal error: Unable to configure VF 0 of PF 'eth0' because the PF is not online. Please "
		 "change "
		 "host network config to put the PF online.",
			FAULT_UNAVAILABLE, NULL},
		{"Cannot set interface MAC/vlanid to 00:0d:3a:00:00:04/100 for ifname eth0 vf 0: Operation "
		 "not "
		 "permitted",
			FAULT_UNAVAILABLE, "the PF's driver"},
		{"internal error: unable to execute QEMU command 'device_add': vfio 0000:01:10.0: failed to "
		 "setup "
		 "container: vfio_dma_map(0x1, 0x0, 0xa0000, 0x2) = -12 (Cannot allocate memory)",
			FAULT_ALLOCATION, NULL},
		{"internal error: Attempt to migrate guest to the same host web-1", FAULT_UNSUPPORTED,
			"the libvirt daemons"},
		{"operation failed: guest CPU doesn't match specification: missing features: avx512f",
			FAULT_UNSUPPORTED, "the processors"},
		{"the CPU is incompatible with host CPU: Host CPU does not provide required features: avx2",
			FAULT_UNSUPPORTED, "the processors"},
	};
	const char *remedy = "none";
	enum fault fault = FAULT_INTERNAL;

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_assert_true(libvirt_complaint(cases[i].message, &fault, &remedy));
		g_assert_cmpint(fault, ==, cases[i].fault);
		if (cases[i].remedy)
			g_assert_true(g_str_has_prefix(remedy, cases[i].remedy));
		else
			g_assert_null(remedy);
	}
	g_assert_false(libvirt_complaint("internal error: something else", &fault, &remedy));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vm/libvirt state/every state and reason has a meaning",
		every_state_and_reason_has_a_meaning);
	g_test_add_func("/vm/libvirt state/last words are the last complaint of the last life",
		last_words_are_the_last_complaint_of_the_last_life);
	g_test_add_func("/vm/libvirt state/without a log there are no last words",
		without_a_log_there_are_no_last_words);
	g_test_add_func("/vm/libvirt state/what libvirt complains of is told with what to do",
		what_libvirt_complains_of_is_told_with_what_to_do);
	return g_test_run();
}
