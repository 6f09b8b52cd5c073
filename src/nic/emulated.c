/* The emulated provider: taps in place of virtual functions, for machines without an SR-IOV NIC.
 *
 * The switch opens the kernel's side of a tap by packet socket, QEMU the other one as the back end of an
 * e1000e device. Packets go through the host and the switch as on the synthetic path, so every policy holds;
 * what is real is the guest's side (a PCI network device that pairs with the virtio NIC, and comes and goes).
 */
#include "nic/function_pool.h"
#include "nic/link.h"

#define FUNCTIONS_MAX 1000 /* names stay below IFNAMSIZ */

static const struct nic_caps emulated_caps = {
	.name = "emulated",
	.claim = "emulated: no host bypass, no speed claim",
};

static bool make_tap(void *data, const char *name, const struct nic_request *request, GError **error)
{
	return links_add_tap(data, name, error) && links_quiet(data, name, error) &&
	       links_set_up(data, name, error);
}

static bool remove_tap(void *data, const char *name, GError **error)
{
	return links_remove(data, name, error);
}

/* The guest's device loses its link, and nothing comes from it. */
static bool cut_tap(void *data, const char *name, GError **error)
{
	return !links_exists(data, name) || links_set_down(data, name, error);
}

/* A program that had a tap open keeps what it has of one that was removed, or went to another namespace, and nothing passes that:
 * so the guest's device must be plugged anew. */
static char *tap_loss(void *data, const char *name)
{
	struct link_state state;

	if (!links_get_state(data, name, &state, NULL))
		return NULL;
	return !state.exists    ? g_strdup("is not there any more")
	       : !state.carrier ? g_strdup("is open in no program any more")
				: NULL;
}

static char *mend_tap(void *data, const struct nic_function *function)
{
	const char *now = function->cut ? "down" : "up";
	g_autoptr(GError) error = NULL;
	struct link_state state;

	if (!links_get_state(data, function->name, &state, NULL) || !state.exists ||
		state.up != function->cut)
		return NULL;
	if ((function->cut ? links_set_down : links_set_up)(data, function->name, &error))
		return g_strdup_printf("function %s (NIC %s) was set %s by somebody else; it is %s again",
			function->name, function->nic, function->cut ? "up" : "down", now);
	return g_strdup_printf("function %s (NIC %s) must be %s, and is not: %s", function->name,
		function->nic, now, error->message);
}

static void close_taps(void *data)
{
	links_close(data);
}

static const struct function_maker tap_maker = {
	.make = make_tap,
	.remove = remove_tap,
	.cut = cut_tap,
	.free = close_taps,
	.loss = tap_loss,
	.mend = mend_tap,
};

struct nic_provider *nic_emulated_open(const char *ledger, const char *netns, GError **error)
{
	struct links *links = links_open(netns, error);

	return links ? function_pool_open(
			       &emulated_caps, ledger, FUNCTIONS_MAX, netns, &tap_maker, links, error)
		     : NULL;
}
