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

static void close_taps(void *data)
{
	links_close(data);
}

static const struct function_maker tap_maker = {
	.make = make_tap, .remove = remove_tap, .cut = cut_tap, .free = close_taps};

struct nic_provider *nic_emulated_open(const char *ledger, const char *netns, GError **error)
{
	struct links *links = links_open(netns, error);

	return links ? function_pool_open(
			       &emulated_caps, ledger, FUNCTIONS_MAX, netns, &tap_maker, links, error)
		     : NULL;
}
