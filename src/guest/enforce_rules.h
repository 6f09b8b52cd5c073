/* The rules of NICs whose guest applies them, as nftables: text for `nft -f`, nothing else.
 *
 * How it works. The text replaces the table `inet sluice` as a whole, in one transaction. Rules hang on the
 * interface that has the addresses: of a net_failover pair that is the master. A frame that a lower interface
 * takes belongs to the master before IP sees it, and IP sends through the master, so the same rules hold whether VF
 * or standby carries the packet. Netdev hooks would see lower interfaces and masters too, but before connection
 * tracking; so the hooks are prerouting (after conntrack, before DNAT) and postrouting (after SNAT): addresses
 * are those on the wire, and what the guest forwards is judged too.
 *
 *     arrive, leave          by interface, to the NIC's
 *     nN_arrive, nN_leave     what passes groups: platform addresses and DHCP, which come from the gateway's MAC;
 *                            neighbour discovery, ICMP errors about connections; then by who began the connection
 *     nN_in, nN_out            connections that began on the other side, or here: known ones pass, those that were
 *                            judged by older rules go to the groups that revalidate, others to all groups
 *     nN_…_back               the same for packets of the answering direction: sides are exchanged
 *
 * A connection carries in its mark by which generation of rules it was let in (bits 8–19) and out (bits 20–31;
 * one that is forwarded has both); zero: by none yet. Only the present generation passes unseen. Each new text
 * has another generation, so that the next packet of a connection, of either direction, has it judged anew. Bits 0–7
 * are left alone. Rejected: judging a connection's first direction only, since a revoked one could go on
 * answering; and flushing connections, which would cut those that are still allowed.
 */
#pragma once
#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#define ENFORCE_TABLE          "inet sluice"
#define ENFORCE_GENERATION_MAX 4095

struct enforce_nic {
	const char *interface; /* that has the addresses */
	const json_t *policy; /* src/policy/policy_document.h */
};

/* 1 … ENFORCE_GENERATION_MAX and round again. */
unsigned enforce_generation_after(unsigned generation);

/* Owned by the caller. NULL with FAULT_INVALID, and a sentence that names the bad member, when a document is not of the
 * known form; nothing of it gets into the text unchecked. */
char *enforce_rules_text(const struct enforce_nic *nics, size_t n, unsigned generation, GError **error);

/* Removes the table; it need not be there. */
#define ENFORCE_RULES_NONE "table " ENFORCE_TABLE "\ndelete table " ENFORCE_TABLE "\n"
