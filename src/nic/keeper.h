/* Keepers: programs on this host that configure network interfaces, and so may take VFs that virtual machines are to have.
 *
 * Sources: NetworkManager's /run/NetworkManager/devices/IFINDEX (src/core/nm-device-state in its tree), systemd-networkd's
 * /run/systemd/netif/links/IFINDEX (sd_network_link_get_setup_state()), interfaces(5). */
#pragma once

enum keeper {
	KEEPER_NONE,
	KEEPER_NETWORKMANAGER,
	KEEPER_NETWORKD,
	KEEPER_IFUPDOWN,
};

/* Who configures the interface, or would when it comes. root: see base/sysfs.h. */
enum keeper keeper_of(const char *root, const char *netdev);

/* "NetworkManager"; KEEPER_NONE: "nobody that is known". */
const char *keeper_name(enum keeper keeper);

/* What an operator does so that it leaves VFs alone, such as that interface: one sentence. Owned by the caller. */
char *keeper_remedy(enum keeper keeper, const char *netdev);
