/* KVM probe. */
#include "vm/kvm_probe.h"

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <string.h>

static void a_missing_device_means_tcg_and_says_why(void)
{
	struct kvm_probe probe = kvm_probe_run("/dev/kvm-that-is-not-there");
	g_autofree char *text = kvm_probe_describe(&probe);

	g_assert_cmpint(probe.outcome, ==, KVM_NO_DEVICE);
	g_assert_cmpint(probe.error, ==, ENOENT);
	g_assert_true(g_str_has_prefix(text, "TCG: there is no /dev/kvm"));
}

static void a_device_that_is_no_kvm_means_tcg_and_names_the_step(void)
{
	struct kvm_probe probe = kvm_probe_run("/dev/null");
	g_autofree char *text = kvm_probe_describe(&probe);

	g_assert_cmpint(probe.outcome, ==, KVM_BROKEN);
	g_assert_nonnull(strstr(text, "asking for the API version failed"));
}

static void the_answer_comes_in_bounded_time_and_is_consistent(void)
{
	gint64 start = g_get_monotonic_time();
	struct kvm_probe probe = kvm_probe_run("/dev/kvm");
	gint64 took_ms = (g_get_monotonic_time() - start) / 1000;
	g_autofree char *text = kvm_probe_describe(&probe);

	g_test_message("%s (%" G_GINT64_FORMAT " ms)", text, took_ms);
	g_assert_cmpint(took_ms, <, KVM_PROBE_TIMEOUT_MS + 1000);
	g_assert_true((probe.outcome == KVM_USABLE) == (probe.mips >= KVM_PROBE_MIN_MIPS));
	g_assert_true(g_str_has_prefix(text, probe.outcome == KVM_USABLE ? "KVM " : "TCG: "));
}

static void every_outcome_has_a_sentence(void)
{
	for (enum kvm_outcome outcome = KVM_USABLE; outcome <= KVM_HANGS; outcome++) {
		struct kvm_probe probe = {
			.outcome = outcome, .error = EIO, .step = "making a VM", .mips = 0.45};
		g_autofree char *text = kvm_probe_describe(&probe);
		g_assert_cmpuint(strlen(text), >, 20);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/vm/kvm/a missing device means TCG and says why", a_missing_device_means_tcg_and_says_why);
	g_test_add_func("/vm/kvm/a device that is no KVM means TCG and names the step",
		a_device_that_is_no_kvm_means_tcg_and_names_the_step);
	g_test_add_func("/vm/kvm/the answer comes in bounded time and is consistent",
		the_answer_comes_in_bounded_time_and_is_consistent);
	g_test_add_func("/vm/kvm/every outcome has a sentence", every_outcome_has_a_sentence);
	return g_test_run();
}
