/* What a layer said, in words. */
#include "switch/walk_text.h"

#include "switch/flow_text.h"

#include <string.h>

/* Whether the walk is of a packet to or from a physical network. */
static bool is_physical(const struct walk *walk)
{
	return walk->exit == FLOW_TO_PHYSICAL || walk->key.origin == FLOW_FROM_PHYSICAL;
}

/* What goes to the NIC's physical network, or the answers to what came from there. */
static void tell_vlan(GString *text, const struct nic *nic, const struct walk *walk)
{
	g_autofree char *segment = flow_segment_format(walk->state, nic->network->segment);
	char via[IP_TEXT_MAX];

	ip_format(walk->via, via);
	g_string_append_printf(text, "%s %s, ", walk->target ? "it is answered by" : "by", segment);
	if (walk->routed)
		g_string_append_printf(text, "routed to %s", via);
	else
		g_string_append_printf(text, "bridged; for the gateway's MAC, to %s", via);
}

/* What a load balancer made of it. */
static void tell_load_balancer(GString *text, const struct walk *after, struct ip_addr next)
{
	char hop[IP_TEXT_MAX];

	g_string_append_printf(text, "%sby rule %s, ", text->len ? "; " : "", after->rule);
	if (after->target)
		g_string_append_printf(text, "to NIC %s", after->target->name);
	else
		g_string_append_printf(text, "to the switch %s", ip_format(next, hop));
}

static void tell_change(GString *text, const struct layer *layer, const struct nic *nic,
	const struct walk *before, const struct walk *after, bool passed)
{
	char hop[IP_TEXT_MAX];
	struct ip_addr next = {.family = IP_V4};

	memcpy(next.bytes, after->next_hop, 4);
	if (!passed)
		g_string_append(text, drop_text(after->drop));
	if (after->group)
		g_string_append_printf(text, "%sgroup %s", text->len ? ": " : "", after->group->name);
	if (after->group && after->rule)
		g_string_append_printf(text, ", rule %s", after->rule);
	if (!flow_key_equal(&before->key, &after->key)) {
		g_autofree char *key = flow_key_format(&after->key);
		g_string_append_printf(text, "%sit becomes %s",
			!before->shared && after->shared ? "by an address that NICs share, " : "", key);
	}
	if (passed && layer == &layer_load_balancer && after->rule)
		tell_load_balancer(text, after, next);
	else if (passed && before->exit != after->exit && after->exit == FLOW_TO_PHYSICAL)
		g_string_append_printf(text, "to %s, which no NIC here has", ip_format(after->via, hop));
	else if (passed && layer == &layer_vlan && is_physical(after) && after->via.family != IP_NONE)
		tell_vlan(text, nic, after);
	else if (passed && !before->target && after->target)
		g_string_append_printf(text, "to NIC %s, %s", after->target->name,
			after->leaves   ? "by its public address"
			: after->routed ? "in another subnet"
					: "in the same subnet");
	else if (passed && !before->remote && after->remote)
		g_string_append_printf(text, "%s %s", after->target ? "it must come by" : "to the switch",
			ip_format(next, hop));
	else if (passed && before->exit != after->exit && after->exit == FLOW_TO_TUNNEL)
		g_string_append_printf(text, "to %s, which no NIC here has", ip_format(after->via, hop));
	else if (passed && before->exit != after->exit)
		g_string_append_printf(text, "to the %s by %s",
			after->exit == FLOW_TO_OUTSIDE ? "outside" : "host port", ip_format(next, hop));
}

/* A group layer that passed without naming a rule. */
static void tell_group(
	GString *text, const struct layer *layer, const struct walk *walk, const struct nic *nic)
{
	const struct group *group = layer == &layer_nic_group ? nic->group : nic->subnet->group;

	if (!group) {
		g_string_append(text, "there is none");
		return;
	}
	g_string_append_printf(text, "group %s ", group->name);
	if (policy_is_platform(flow_key_source(&walk->key)) ||
		policy_is_platform(flow_key_destination(&walk->key)))
		g_string_append(text, "is not asked: platform addresses pass");
	else if (walk->existing && !group->revalidate)
		g_string_append(text, "is not asked: it leaves established connections alone");
	else
		g_string_append(text, "allows it");
}

char *walk_text(const struct layer *layer, const struct nic *nic, const struct walk *before,
	const struct walk *after, bool passed)
{
	g_autoptr(GString) text = g_string_new(NULL);

	tell_change(text, layer, nic, before, after, passed);
	if (text->len == 0 && (layer == &layer_nic_group || layer == &layer_subnet_group))
		tell_group(text, layer, after, nic);
	if (text->len == 0)
		g_string_append(text, "nothing to object");
	return g_string_free(g_steal_pointer(&text), false);
}
