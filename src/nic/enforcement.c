/* What the functions of a PF can enforce. */
#include "nic/enforcement.h"

#include "base/fault.h"
#include "nic/ethtool.h"
#include "nic/sriov_priv.h"

#define SET_UP "'sluice host setup --apply' sets it"
/* An eswitch tunnels by an address of the kernel's: see switchdev.c. */
#define IF_UNDERLAY                                                                                          \
	"if the host's underlay leaves by it, with the host's own address ('--underlay-address host')"

struct answer {
	const char *word; /* ENFORCEMENT_… */
	char *reason; /* Owned; NULL: there is nothing to say */
};

static void answer_clear(struct answer *answer)
{
	g_clear_pointer(&answer->reason, g_free);
}
CLEANUP_CLEAR_FUNC(struct answer, answer_clear)

static struct answer yes(void)
{
	return (struct answer){ENFORCEMENT_YES, NULL};
}

static bool is_no(const struct answer *answer)
{
	return g_str_equal(answer->word, ENFORCEMENT_NO);
}

G_GNUC_PRINTF(2, 3)
static struct answer because(const char *word, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	struct answer answer = {word, g_strdup_vprintf(format, args)};
	va_end(args);
	return answer;
}

/* The provider that gives functions of a PF as it is now; NULL: none. */
static const struct sriov_kind *kind_of(const struct nic_pf *pf)
{
	if (!pf->sriov)
		return NULL;
	return g_strcmp0(pf->eswitch.mode, DEVLINK_SWITCHDEV) == 0 ? &sriov_switchdev : &sriov_legacy;
}

/* ---- attributes of VFs ---- */

static struct answer ask_driver(
	const struct nic_pf *pf, enum vf_attribute attribute, const struct enforcement_source *source)
{
	const char *driver = pf->driver ? pf->driver : "none";
	g_autoptr(GError) error = NULL;

	if (!pf->netdev)
		return because(ENFORCEMENT_UNKNOWN, "it has no interface here, by which it is asked");
	if (pf->vfs->len == 0)
		return because(ENFORCEMENT_UNKNOWN, "it has no VF now, and is asked once it has");
	if (source->takes(source->data, pf->netdev, pf->total_vfs, attribute, &error))
		return yes();
	if (g_error_matches(error, FAULT, FAULT_UNSUPPORTED))
		return because(ENFORCEMENT_NO, "its driver, %s, does not take it", driver);
	if (g_error_matches(error, FAULT, FAULT_DENIED))
		return because(ENFORCEMENT_UNKNOWN, "its driver, %s, may not be asked by this user", driver);
	return because(ENFORCEMENT_UNKNOWN, "%s", error->message);
}

static struct answer ask_attribute(const struct sriov_kind *kind, const struct nic_pf *pf,
	enum vf_attribute attribute, const struct enforcement_source *source)
{
	const struct nic_vf *first = pf->vfs->len ? pf->vfs->pdata[0] : NULL;

	if (!((kind->protection | kind->limits) & attribute))
		return because(ENFORCEMENT_NO, "the switch does, at the VF's representor");
	/* What cannot be read cannot be put back. */
	if (first && first->attributes.known && kind->needed & ~first->attributes.known & attribute)
		return because(
			ENFORCEMENT_NO, "its driver, %s, does not show it", pf->driver ? pf->driver : "none");
	return ask_driver(pf, attribute, source);
}

/* ---- flows ---- */

/* Of a PF whose provider has no flows. */
static struct answer without_flows(const struct nic_pf *pf)
{
	if (pf->eswitch.mode)
		return because(ENFORCEMENT_NO,
			"its eswitch is in %s mode, and switches by MAC and VLAN alone; 'mode = switchdev' "
			"in the "
			"host file changes that",
			pf->eswitch.mode);
	return because(ENFORCEMENT_NO, "it switches by MAC and VLAN alone: its driver, %s, shows no eswitch",
		pf->driver ? pf->driver : "none");
}

static struct answer ask_offload(const struct nic_pf *pf, const struct enforcement_source *source)
{
	enum ethtool_feature feature = source->ethtool && pf->netdev ? ethtool_feature(source->ethtool,
									       pf->netdev, ETHTOOL_TC_OFFLOAD)
								     : ETHTOOL_UNKNOWN;

	switch (feature) {
	case ETHTOOL_ON: return yes();
	case ETHTOOL_OFF:
		return because(ENFORCEMENT_NO,
			"tc offload of %s is turned off; 'sluice host setup --apply' turns it on",
			pf->netdev);
	case ETHTOOL_ABSENT:
		return because(ENFORCEMENT_NO, "its driver, %s, offloads nothing of tc",
			pf->driver ? pf->driver : "none");
	default: return because(ENFORCEMENT_UNKNOWN, "the kernel does not tell whether tc offload is on");
	}
}

static struct answer ask_policy(
	const struct nic_caps *caps, const struct nic_pf *pf, const struct enforcement_source *source)
{
	const char *inline_mode = pf->eswitch.inline_mode;

	if (!caps->flow_policy)
		return without_flows(pf);
	if (inline_mode && !g_str_equal(inline_mode, "none") &&
		!g_str_equal(inline_mode, DEVLINK_INLINE_WANTED))
		return because(ENFORCEMENT_NO,
			"its eswitch does not match ports of what VFs send (inline mode %s); " SET_UP,
			inline_mode);
	return ask_offload(pf, source);
}

/* policy: what was answered of flows that put no tunnels on. */
static struct answer ask_tunnels(const struct nic_pf *pf, const struct answer *policy)
{
	const char *encap_mode = pf->eswitch.encap_mode;

	if (is_no(policy))
		return because(ENFORCEMENT_NO, "%s", policy->reason);
	if (encap_mode && !g_str_equal(encap_mode, DEVLINK_ENCAP_WANTED))
		return because(ENFORCEMENT_NO,
			"its eswitch puts nothing into tunnels (encap mode %s); " SET_UP, encap_mode);
	return because(policy->word, IF_UNDERLAY);
}

/* That guests send by none but their own addresses, beyond the MAC. */
static struct answer ask_addresses(const struct nic_caps *caps)
{
	if (caps->flow_policy)
		return yes();
	return because(ENFORCEMENT_NO,
		"a VF that passes the switch sends whatever IP addresses, ARP, DHCP and IPv6 "
		"its guest likes, under its own MAC");
}

/* ---- networks ---- */

/* What of a PF was found that nic_caps do not say. */
struct findings {
	const char *withheld; /* why no VF of it is handed out; NULL: they are */
	const char *no_flows; /* why its NIC executes none; NULL: it does, or its provider has none */
	const char *no_tunnels; /* the same of flows that put packets into tunnels */
};

static json_t *describe_network(const struct nic_caps *caps, const struct findings *findings,
	const char *segment_word, enum nic_segment segment, const char *policy_word, enum nic_policy policy)
{
	const char *enforcer = NULL, *reason = findings->withheld, *unused;
	enum nic_enforcer by;
	bool guest = !reason && nic_caps_allow(caps, segment, policy, true, &by, &unused);

	if (!reason && nic_caps_allow(caps, segment, policy, false, &by, &reason)) {
		bool tunnel = segment == NIC_SEGMENT_VXLAN;
		reason = tunnel ? findings->no_tunnels : findings->no_flows;
		enforcer = by == NIC_ENFORCER_HARDWARE && !reason ? "hardware" : "switch";
		if (tunnel && !reason)
			reason = IF_UNDERLAY;
	}
	return json_pack("{s:s, s:s, s:s?, s:s*, s:b}", "segment", segment_word, "policy", policy_word,
		"enforcer", enforcer, "reason", reason, "guest", guest && !enforcer);
}

static json_t *describe_networks(const struct nic_caps *caps, const struct findings *findings)
{
	/* What holds any policy on a vxlan segment holds the open one. */
	return json_pack("[o, o, o]",
		describe_network(caps, findings, "vxlan", NIC_SEGMENT_VXLAN, "any", NIC_POLICY_OTHER),
		describe_network(caps, findings, "vlan", NIC_SEGMENT_VLAN, "allow-all", NIC_POLICY_ALLOW_ALL),
		describe_network(caps, findings, "vlan", NIC_SEGMENT_VLAN, "other", NIC_POLICY_OTHER));
}

/* ---- all of it ---- */

static void add(json_t *abilities, const char *name, const struct answer *answer)
{
	json_array_append_new(abilities, json_pack("{s:s, s:s, s:s*}", "name", name, "answer", answer->word,
						 "reason", answer->reason));
}

/* Adds the attributes' answers. Returns why no VF is handed out, or NULL. Owned by the caller. */
static char *describe_attributes(const struct sriov_kind *kind, const struct nic_pf *pf,
	const struct enforcement_source *source, json_t *abilities)
{
	char *withheld = NULL;

	for (unsigned i = 0; i < VF_ATTRIBUTES; i++) {
		enum vf_attribute attribute = 1u << i;
		_cleanup_(answer_clear) struct answer answer = ask_attribute(kind, pf, attribute, source);
		add(abilities, vf_attribute_word(attribute), &answer);
		if (kind->protection & attribute && is_no(&answer) && !withheld)
			withheld = g_strdup_printf("No VF is handed out without its %s: %s.",
				vf_attribute_word(attribute), answer.reason);
	}
	return withheld;
}

json_t *enforcement_describe(const struct nic_pf *pf, const struct enforcement_source *source)
{
	const struct sriov_kind *kind = kind_of(pf);

	if (!kind)
		return json_pack("{s:n, s:s}", "provider", "reason",
			"it gives no functions: the kernel shows no SR-IOV of it");
	json_t *abilities = json_array();
	g_autofree char *withheld = describe_attributes(kind, pf, source, abilities);
	_cleanup_(answer_clear) struct answer policy = ask_policy(&kind->caps, pf, source),
					      tunnels = ask_tunnels(pf, &policy);
	const struct findings findings = {
		.withheld = withheld,
		.no_flows = kind->caps.flow_policy && is_no(&policy) ? policy.reason : NULL,
		.no_tunnels = kind->caps.tunnels && is_no(&tunnels) ? tunnels.reason : NULL,
	};

	_cleanup_(answer_clear) struct answer addresses = ask_addresses(&kind->caps);
	add(abilities, "addresses", &addresses);
	add(abilities, "policy", &policy);
	add(abilities, "tunnels", &tunnels);
	return json_pack("{s:s, s:o, s:o}", "provider", kind->caps.name, "abilities", abilities, "networks",
		describe_networks(&kind->caps, &findings));
}
