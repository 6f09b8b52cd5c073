/* Rules that guests apply themselves: see guest_policy.h. */
#include "agent/guest_policy.h"

#include "agent/agent_priv.h"
#include "agent/guest_document.h"
#include "base/fault.h"
#include "base/log.h"

#include <string.h>

#define SENTENCE_MAX 300 /* of a guest's words */

struct waiter {
	struct nic_entry *entry; /* Borrowed */
	guest_policies_fn fn;
	void *data;
	guint timer;
};

/* One NIC of the goal. */
struct nic_entry {
	bool wanted; /* the guest is to apply rules */
	char *hash, *body; /* Owned */
	int64_t since_us; /* when this hash came, or what was reported was forgotten */
	char *reported; /* Owned: hash of the last report; NULL: none */
	int64_t reported_us;
	char *failure; /* Owned: a sentence; NULL: it was applied */
	struct waiter *waiter; /* Owned; NULL: nobody waits */
};

struct guest_policies {
	struct guest_policies_config config;
	GHashTable *entries; /* Owned: uid → struct nic_entry */
};

/* ---- waiting ---- */

/* Called from the main loop, or at the end. */
static void end_wait(struct nic_entry *entry, bool news)
{
	struct waiter *waiter = g_steal_pointer(&entry->waiter);

	if (!waiter)
		return;
	g_clear_handle_id(&waiter->timer, g_source_remove);
	waiter->fn(news, waiter->data);
	g_free(waiter);
}

static gboolean on_timeout(void *data)
{
	struct waiter *waiter = data;

	waiter->timer = 0;
	end_wait(waiter->entry, false);
	return G_SOURCE_REMOVE;
}

static struct nic_entry *find(const struct guest_policies *policies, const char *nic)
{
	return nic ? g_hash_table_lookup(policies->entries, nic) : NULL;
}

void guest_policies_wait(struct guest_policies *policies, const char *nic, const char *after,
	unsigned timeout_ms, guest_policies_fn fn, void *data)
{
	struct nic_entry *entry = find(policies, nic);

	g_assert(entry && g_str_equal(entry->hash, after));
	end_wait(entry, false);
	entry->waiter = g_new0(struct waiter, 1);
	*entry->waiter = (struct waiter){.entry = entry, .fn = fn, .data = data};
	entry->waiter->timer = g_timeout_add(timeout_ms, on_timeout, entry->waiter);
}

void guest_policies_cancel(struct guest_policies *policies, const void *data)
{
	GHashTableIter iter;
	void *value;

	g_hash_table_iter_init(&iter, policies->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct nic_entry *entry = value;
		if (!entry->waiter || entry->waiter->data != data)
			continue;
		g_source_remove(entry->waiter->timer);
		g_clear_pointer(&entry->waiter, g_free);
	}
}

/* ---- the goal ---- */

static void entry_free(void *data)
{
	struct nic_entry *entry = data;

	end_wait(entry, false);
	g_free(entry->hash);
	g_free(entry->body);
	g_free(entry->reported);
	g_free(entry->failure);
	g_free(entry);
}

/* Takes the document; NULL: none is to be applied. */
static void set_document(struct guest_policies *policies, struct nic_entry *entry, char *document)
{
	g_autofree char *text = document ? document : g_strdup("null");
	g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

	entry->wanted = document != NULL;
	if (g_strcmp0(hash, entry->hash) == 0)
		return;
	g_free(entry->hash);
	g_free(entry->body);
	entry->body = g_strdup_printf("{\"hash\":\"%s\",\"policy\":%s}", hash, text);
	entry->hash = g_steal_pointer(&hash);
	entry->since_us = policies->config.now_us();
	end_wait(entry, true);
}

static void set_nic(struct guest_policies *policies, const struct goal *goal, const struct goal_nic *nic)
{
	struct nic_entry *entry = find(policies, nic->uid);
	g_autoptr(GError) error = NULL;
	char *document = nic->guest_enforcement ? guest_document_text(goal, nic, &error) : NULL;

	if (error) {
		log_warn(nic->uid, "its guest is not told its rules: %s", error->message);
		return;
	}
	if (!entry) {
		entry = g_new0(struct nic_entry, 1);
		g_hash_table_insert(policies->entries, g_strdup(nic->uid), entry);
	}
	set_document(policies, entry, document);
}

static gboolean is_gone(void *uid, void *entry, void *goal)
{
	return !goal_find_nic(goal, uid);
}

void guest_policies_set_goal(struct guest_policies *policies, const struct goal *goal)
{
	g_hash_table_foreach_remove(policies->entries, is_gone, (void *)goal);
	for (guint i = 0; i < list_length(goal->nics); i++) {
		const struct goal_nic *nic = goal->nics->pdata[i];
		if (nic->uid)
			set_nic(policies, goal, nic);
	}
}

const char *guest_policies_body(const struct guest_policies *policies, const char *nic)
{
	const struct nic_entry *entry = find(policies, nic);

	return entry ? entry->body : NULL;
}

const char *guest_policies_hash(const struct guest_policies *policies, const char *nic)
{
	const struct nic_entry *entry = find(policies, nic);

	return entry ? entry->hash : NULL;
}

/* ---- reports ---- */

/* A guest's words are a tenant's: of bounded length, and one line. */
static char *quote(const char *words)
{
	g_autofree char *valid = g_utf8_make_valid(words, -1);
	char *text = g_utf8_substring(valid, 0, MIN(g_utf8_strlen(valid, -1), SENTENCE_MAX));

	for (char *c = text; *c; c++)
		if (g_ascii_iscntrl(*c))
			*c = ' ';
	return text;
}

static void log_failure(const char *nic, const struct nic_entry *entry, const char *before)
{
	if (entry->failure && g_strcmp0(entry->failure, before) != 0)
		log_warn(nic, "%s", entry->failure);
	else if (!entry->failure && before)
		log_info(nic, "its guest applies its rules again");
}

bool guest_policies_report(
	struct guest_policies *policies, const char *nic, const json_t *report, GError **error)
{
	struct nic_entry *entry = find(policies, nic);
	const char *hash = NULL, *words = NULL;
	int applied = 0;

	if (json_unpack((json_t *)report, "{s:s, s:b, s?:s}", "hash", &hash, "applied", &applied, "error",
		    &words) < 0)
		return fault_set(error, FAULT_INVALID,
			"a report must be {\"hash\": text, \"applied\": true or false, \"error\": text}");
	if (!entry || !entry->wanted)
		return fault_set(error, FAULT_NOT_ALLOWED, "the guest of this NIC is not to apply rules");
	g_autofree char *before = g_steal_pointer(&entry->failure),
			*said = quote(words ? words : "no reason");
	g_free(entry->reported);
	entry->reported =
		g_strndup(hash, strlen(entry->hash) + 1); /* a longer one is another one all the same */
	entry->reported_us = policies->config.now_us();
	if (!applied)
		entry->failure = g_strdup_printf("Its guest cannot apply its rules: %s", said);
	log_failure(nic, entry, before);
	if (policies->config.reported)
		policies->config.reported(policies->config.data);
	return true;
}

void guest_policies_forget(struct guest_policies *policies, const char *nic)
{
	struct nic_entry *entry = find(policies, nic);

	if (!entry)
		return;
	g_clear_pointer(&entry->reported, g_free);
	g_clear_pointer(&entry->failure, g_free);
	/* No grace: what starts anew applies nothing yet. */
	entry->since_us = policies->config.now_us() - GUEST_POLICY_GRACE_S * G_USEC_PER_SEC;
}

/* ---- the state ---- */

static int64_t silence_us(const struct nic_entry *entry)
{
	return entry->reported_us + GUEST_POLICY_RENEW_S * G_USEC_PER_SEC;
}

enum guest_policy_state guest_policies_state(const struct guest_policies *policies, const char *nic)
{
	const struct nic_entry *entry = find(policies, nic);

	if (!entry || !entry->wanted || !entry->reported)
		return GUEST_POLICY_NEVER;
	if (!g_str_equal(entry->reported, entry->hash) || policies->config.now_us() >= silence_us(entry))
		return GUEST_POLICY_STALE;
	return entry->failure ? GUEST_POLICY_FAILED : GUEST_POLICY_CURRENT;
}

int64_t guest_policies_deadline_us(const struct guest_policies *policies, const char *nic)
{
	const struct nic_entry *entry = find(policies, nic);

	if (!entry || !entry->wanted)
		return 0;
	if (entry->reported && !entry->failure && g_str_equal(entry->reported, entry->hash))
		return silence_us(entry);
	return entry->since_us + GUEST_POLICY_GRACE_S * G_USEC_PER_SEC;
}

const char *guest_policies_sentence(const struct guest_policies *policies, const char *nic)
{
	switch (guest_policies_state(policies, nic)) {
	case GUEST_POLICY_NEVER:
		return "Its guest has not said that it applies its rules; `sluice-guest enforce` must run "
		       "there.";
	case GUEST_POLICY_STALE:
		return "Its guest has not confirmed the rules in force; look whether `sluice-guest enforce` "
		       "runs there.";
	case GUEST_POLICY_FAILED: return find(policies, nic)->failure;
	case GUEST_POLICY_CURRENT: break;
	}
	return NULL;
}

/* ---- life ---- */

struct guest_policies *guest_policies_new(const struct guest_policies_config *config)
{
	struct guest_policies *policies = g_new0(struct guest_policies, 1);

	policies->config = *config;
	policies->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
	return policies;
}

void guest_policies_free(struct guest_policies *policies)
{
	g_hash_table_unref(policies->entries);
	g_free(policies);
}

/* ---- of an agent ---- */

enum guest_policy_state guest_policy_state(const struct agent *agent, const char *nic)
{
	return guest_policies_state(agent->guest_policies, nic);
}

int64_t guest_policy_deadline_us(const struct agent *agent, const char *nic)
{
	return guest_policies_deadline_us(agent->guest_policies, nic);
}

const char *guest_policy_sentence(const struct agent *agent, const char *nic)
{
	return guest_policies_sentence(agent->guest_policies, nic);
}

void guest_policy_forget(struct agent *agent, const char *nic)
{
	guest_policies_forget(agent->guest_policies, nic);
}
