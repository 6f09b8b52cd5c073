/* The SR-IOV provider's ledger: its table of steps, its file. */
#include "nic/sriov_ledger.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char *const step_words[SRIOV_STEPS] = {"free", "claimed", "armed", "cut", "left", "resetting"};

int sriov_next(enum sriov_step step, enum sriov_call call)
{
	static const int next[SRIOV_STEPS][SRIOV_CALLS] = {
		/* claim, arm, cut, left, release */
		[SRIOV_FREE] = {SRIOV_CLAIMED, SRIOV_REFUSED, SRIOV_REFUSED, SRIOV_FREE, SRIOV_FREE},
		[SRIOV_CLAIMED] = {SRIOV_CLAIMED, SRIOV_ARMED, SRIOV_CUT, SRIOV_LEFT, SRIOV_RESETTING},
		[SRIOV_ARMED] = {SRIOV_ARMED, SRIOV_ARMED, SRIOV_CUT, SRIOV_LEFT, SRIOV_RESETTING},
		[SRIOV_CUT] = {SRIOV_REFUSED, SRIOV_REFUSED, SRIOV_CUT, SRIOV_LEFT, SRIOV_RESETTING},
		[SRIOV_LEFT] = {SRIOV_CLAIMED, SRIOV_ARMED, SRIOV_LEFT, SRIOV_LEFT, SRIOV_RESETTING},
		[SRIOV_RESETTING] = {SRIOV_REFUSED, SRIOV_REFUSED, SRIOV_REFUSED, SRIOV_REFUSED,
			SRIOV_RESETTING},
	};

	return next[step][call];
}

void sriov_claim_free(struct sriov_claim *claim)
{
	if (!claim)
		return;
	g_free(claim->pf);
	g_free(claim->vf);
	g_free(claim->nic);
	g_free(claim->physical);
	g_free(claim->kind);
	g_free(claim->reason);
	g_free(claim->original.driver);
	g_free(claim->original.override);
	g_free(claim);
}
CLEANUP_FUNC(struct sriov_claim *, sriov_claim_free)

void sriov_heard_free(struct sriov_heard *heard)
{
	g_free(heard->physical);
	g_free(heard);
}

void sriov_filter_free(struct sriov_filter *filter)
{
	g_free(filter->pf);
	g_free(filter);
}

/* ---- the lock: the ledger itself is replaced ---- */

/* operation: of flock(2). */
static int take_lock(const char *path, int operation, GError **error)
{
	g_autofree char *name = g_strconcat(path, ".lock", NULL);
	int lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (lock >= 0 && flock(lock, operation) == 0)
		return lock;
	if (lock >= 0 && errno == EWOULDBLOCK)
		fault_set(error, FAULT_UNAVAILABLE,
			"the host's VFs are being set up by another program (`sluice host setup`); it is "
			"tried again");
	else
		fault_set(error, FAULT_INTERNAL, "the ledger of VFs cannot be locked by %s: %s", name,
			g_strerror(errno));
	sriov_ledger_unlock(&lock);
	return -1;
}

int sriov_ledger_lock(const char *path, GError **error)
{
	return take_lock(path, LOCK_EX, error);
}

int sriov_ledger_try_lock(const char *path, GError **error)
{
	return take_lock(path, LOCK_EX | LOCK_NB, error);
}

void sriov_ledger_unlock(int *lock)
{
	if (*lock >= 0)
		close(*lock);
	*lock = -1;
}

/* ---- finding ---- */

struct sriov_claim *sriov_ledger_find_nic(const struct sriov_ledger *ledger, const char *nic)
{
	for (guint i = 0; i < ledger->claims->len; i++) {
		struct sriov_claim *claim = ledger->claims->pdata[i];
		if (g_str_equal(claim->nic, nic) && claim->step != SRIOV_RESETTING)
			return claim;
	}
	return NULL;
}

struct sriov_claim *sriov_ledger_find_vf(const struct sriov_ledger *ledger, const char *pf, unsigned index)
{
	for (guint i = 0; i < ledger->claims->len; i++) {
		struct sriov_claim *claim = ledger->claims->pdata[i];
		if (g_str_equal(claim->pf, pf) && claim->index == index)
			return claim;
	}
	return NULL;
}

/* ---- to JSON ---- */

static json_t *mac_to_json(struct mac_addr mac)
{
	char text[MAC_TEXT_MAX];

	return json_string(mac_format(mac, text));
}

static json_t *original_to_json(const struct sriov_claim *claim)
{
	const struct vf_attributes *is = &claim->original.attributes;

	return json_pack("{s:s*, s:s*, s:i, s:o, s:i, s:i, s:i, s:b, s:b, s:I, s:I, s:i}", "driver",
		claim->original.driver, "override", claim->original.override, "known", (int)is->known, "mac",
		mac_to_json(is->mac), "vlan", is->vlan, "priority", is->priority, "vlan_protocol",
		is->vlan_protocol, "spoofchk", is->spoofchk, "trust", is->trust, "min_rate",
		(json_int_t)is->min_rate, "max_rate", (json_int_t)is->max_rate, "link", (int)is->link);
}

static json_t *claim_to_json(const void *item)
{
	const struct sriov_claim *claim = item;

	return json_pack("{s:s, s:i, s:s, s:s, s:s*, s:s*, s:o, s:i, s:I, s:s, s:s*, s:o}", "pf", claim->pf,
		"index", (int)claim->index, "vf", claim->vf, "nic", claim->nic, "physical", claim->physical,
		"kind", claim->kind, "mac", mac_to_json(claim->mac), "vlan", claim->vlan, "rate_mbps",
		(json_int_t)claim->rate_mbps, "step", step_words[claim->step], "reason", claim->reason,
		"original", original_to_json(claim));
}

static json_t *heard_to_json(const void *item)
{
	const struct sriov_heard *heard = item;

	return json_pack("{s:s, s:o}", "physical", heard->physical, "mac", mac_to_json(heard->mac));
}

static json_t *filter_to_json(const void *item)
{
	const struct sriov_filter *filter = item;

	return json_pack("{s:s, s:o}", "pf", filter->pf, "mac", mac_to_json(filter->mac));
}

static json_t *list_to_json(const GPtrArray *items, json_t *(*to_json)(const void *))
{
	json_t *list = json_array();

	for (guint i = 0; i < items->len; i++)
		json_array_append_new(list, to_json(items->pdata[i]));
	return list;
}

bool sriov_ledger_save(const struct sriov_ledger *ledger, GError **error)
{
	g_autoptr(GError) cause = NULL;
	json_auto_t *root = json_pack("{s:s*, s:o, s:o, s:o}", "kind", ledger->kind, "claims",
		list_to_json(ledger->claims, claim_to_json), "heard",
		list_to_json(ledger->heard, heard_to_json), "filters",
		list_to_json(ledger->filters, filter_to_json));
	char *text = json_dumps(root, JSON_INDENT(1));

	bool ok = text && g_file_set_contents_full(ledger->path, text, -1,
				  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, &cause);
	free(text);
	return ok || fault_set(error, FAULT_INTERNAL, "cannot write the ledger of VFs: %s",
			     cause ? cause->message : "it cannot be encoded");
}

/* ---- from JSON ---- */

static bool mac_from_json(json_t *json, struct mac_addr *ret)
{
	return json_is_string(json) && mac_parse(json_string_value(json), ret) == 0;
}

static int step_of(const char *word)
{
	for (int step = SRIOV_CLAIMED; step < SRIOV_STEPS; step++)
		if (g_str_equal(word, step_words[step]))
			return step;
	return -1;
}

#define VLAN_MAX     4095
#define PRIORITY_MAX 7

static bool is_within(json_int_t value, json_int_t max)
{
	return value >= 0 && value <= max;
}

static bool original_from_json(json_t *json, struct sriov_claim *claim)
{
	struct vf_attributes *is = &claim->original.attributes;
	const char *driver = NULL, *override = NULL;
	json_int_t known, vlan, priority, vlan_protocol = 0, min_rate, max_rate, link;
	int spoofchk, trust;
	json_t *mac;

	if (json_unpack(json, "{s?s, s?s, s:I, s:o, s:I, s:I, s?I, s:b, s:b, s:I, s:I, s:I}", "driver",
		    &driver, "override", &override, "known", &known, "mac", &mac, "vlan", &vlan, "priority",
		    &priority, "vlan_protocol", &vlan_protocol, "spoofchk", &spoofchk, "trust", &trust,
		    "min_rate", &min_rate, "max_rate", &max_rate, "link", &link) < 0 ||
		!mac_from_json(mac, &is->mac) || !is_within(known, (1 << VF_ATTRIBUTES) - 1) ||
		!is_within(vlan, VLAN_MAX) || !is_within(priority, PRIORITY_MAX) ||
		!is_within(vlan_protocol, UINT16_MAX) || !is_within(min_rate, UINT32_MAX) ||
		!is_within(max_rate, UINT32_MAX) || !is_within(link, VF_LINK_DISABLE))
		return false;
	claim->original.driver = g_strdup(driver);
	claim->original.override = g_strdup(override);
	is->known = (unsigned)known;
	is->vlan = (uint16_t)vlan;
	is->priority = (uint8_t)priority;
	is->vlan_protocol = (uint16_t)vlan_protocol;
	is->spoofchk = spoofchk;
	is->trust = trust;
	is->min_rate = (uint32_t)min_rate;
	is->max_rate = (uint32_t)max_rate;
	is->link = (enum vf_link)link;
	return true;
}

/* Each NULL when the entry is not whole. */
static void *claim_from_json(json_t *json)
{
	_cleanup_(sriov_claim_free) struct sriov_claim *claim = g_new0(struct sriov_claim, 1);
	const char *pf, *vf, *nic, *physical = NULL, *kind = NULL, *step, *reason = NULL;
	json_t *mac, *original;
	json_int_t index, vlan, rate;

	if (json_unpack(json, "{s:s, s:I, s:s, s:s, s?s, s?s, s:o, s:I, s:I, s:s, s?s, s:o}", "pf", &pf,
		    "index", &index, "vf", &vf, "nic", &nic, "physical", &physical, "kind", &kind, "mac",
		    &mac, "vlan", &vlan, "rate_mbps", &rate, "step", &step, "reason", &reason, "original",
		    &original) < 0 ||
		step_of(step) < 0 || !is_within(index, INT_MAX) || !is_within(vlan, VLAN_MAX) ||
		!is_within(rate, UINT32_MAX) || !mac_from_json(mac, &claim->mac) ||
		!original_from_json(original, claim))
		return NULL;
	claim->pf = g_strdup(pf);
	claim->index = (unsigned)index;
	claim->vf = g_strdup(vf);
	claim->nic = g_strdup(nic);
	claim->physical = g_strdup(physical);
	claim->kind = g_strdup(kind);
	claim->vlan = (uint16_t)vlan;
	claim->rate_mbps = (uint32_t)rate;
	claim->step = (enum sriov_step)step_of(step);
	claim->reason = g_strdup(reason);
	return g_steal_pointer(&claim);
}

static void *heard_from_json(json_t *json)
{
	struct mac_addr mac;
	const char *physical;
	json_t *text;

	if (json_unpack(json, "{s:s, s:o}", "physical", &physical, "mac", &text) < 0 ||
		!mac_from_json(text, &mac))
		return NULL;
	struct sriov_heard *heard = g_new0(struct sriov_heard, 1);
	*heard = (struct sriov_heard){g_strdup(physical), mac};
	return heard;
}

static void *filter_from_json(json_t *json)
{
	struct mac_addr mac;
	const char *pf;
	json_t *text;

	if (json_unpack(json, "{s:s, s:o}", "pf", &pf, "mac", &text) < 0 || !mac_from_json(text, &mac))
		return NULL;
	struct sriov_filter *filter = g_new0(struct sriov_filter, 1);
	*filter = (struct sriov_filter){g_strdup(pf), mac};
	return filter;
}

/* False when there is no such list, or an entry of it is not whole. */
static bool list_from_json(json_t *root, const char *name, void *(*from_json)(json_t *), GPtrArray *items)
{
	json_t *list = json_object_get(root, name), *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		void *item = from_json(entry);
		if (!item)
			return false;
		g_ptr_array_add(items, item);
	}
	return json_is_array(list);
}

/* Ledgers of earlier versions say it of all claims at once, and may have been wrong then; but no legacy NIC carries what is on
 * no physical network. */
static void complete_kinds(struct sriov_ledger *ledger)
{
	for (guint i = 0; i < ledger->claims->len; i++) {
		struct sriov_claim *claim = ledger->claims->pdata[i];
		if (!claim->kind)
			claim->kind = g_strdup(claim->physical ? ledger->kind : "switchdev");
	}
}

struct sriov_ledger *sriov_ledger_load(const char *path, GError **error)
{
	_cleanup_(sriov_ledger_free) struct sriov_ledger *ledger = g_new0(struct sriov_ledger, 1);
	json_error_t parse_error;

	ledger->path = g_strdup(path);
	ledger->claims = g_ptr_array_new_with_free_func((GDestroyNotify)sriov_claim_free);
	ledger->heard = g_ptr_array_new_with_free_func((GDestroyNotify)sriov_heard_free);
	ledger->filters = g_ptr_array_new_with_free_func((GDestroyNotify)sriov_filter_free);
	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return g_steal_pointer(&ledger);
	json_auto_t *root = json_load_file(path, 0, &parse_error);
	ledger->kind = g_strdup(json_string_value(json_object_get(root, "kind")));
	if (list_from_json(root, "claims", claim_from_json, ledger->claims) &&
		list_from_json(root, "heard", heard_from_json, ledger->heard) &&
		list_from_json(root, "filters", filter_from_json, ledger->filters)) {
		complete_kinds(ledger);
		return g_steal_pointer(&ledger);
	}
	fault_set(error, FAULT_INTERNAL,
		"the ledger of VFs %s is damaged (%s), so nobody knows how to restore them; stop all VMs "
		"that have "
		"VFs, make the VFs anew (sriov_numvfs) and remove the file",
		path, root ? "an entry is not whole" : parse_error.text);
	return NULL;
}

void sriov_ledger_free(struct sriov_ledger *ledger)
{
	g_ptr_array_unref(ledger->claims);
	g_ptr_array_unref(ledger->heard);
	g_ptr_array_unref(ledger->filters);
	g_free(ledger->path);
	g_free(ledger->kind);
	g_free(ledger);
}
