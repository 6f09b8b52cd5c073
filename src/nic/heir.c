/* A provider on a host that had another one before.
 *
 * How it works. Functions that are claimed outlive the process, and so the choice of the provider: an operator may have emptied
 * the host file, or have named another provider. What the former one gave it alone can take back, by its own ledger. So both
 * are asked: claims go to the present one, every other call to each, as a NIC without a function is fine with all.
 * When the former's ledger is empty the next process has the present one alone.
 *
 * Rejected: to refuse to start, which ends all machines of a host for the sake of a few functions.
 */
#include "nic/heir.h"

#include "base/fault.h"
#include "base/log.h"
#include "nic/function_pool.h"
#include "nic/netns.h"
#include "nic/sriov_ledger.h"

struct heir {
	struct nic_provider provider; /* first member */
	struct nic_provider *now; /* Owned; NULL: none */
	struct nic_provider *former; /* Owned */
};

static const struct nic_caps no_caps = {.name = "none", .claim = "none"};

/* ---- the calls ---- */

static bool heir_claim(
	struct nic_provider *provider, const struct nic_request *request, char **ret_name, GError **error)
{
	const struct heir *heir = (struct heir *)provider;

	if (heir->now)
		return heir->now->ops->claim(heir->now, request, ret_name, error);
	return fault_set(error, FAULT_POOL_FULL, "this host has no functions to give");
}

static bool heir_arm(struct nic_provider *provider, const char *nic, GError **error)
{
	const struct heir *heir = (struct heir *)provider;

	return !heir->now || !heir->now->ops->arm || heir->now->ops->arm(heir->now, nic, error);
}

static bool heir_cut(struct nic_provider *provider, const char *nic, GError **error)
{
	const struct heir *heir = (struct heir *)provider;
	g_autoptr(GError) cause = NULL;

	if (heir->former->ops->cut(heir->former, nic, &cause))
		return true;
	if (heir->now && g_error_matches(cause, FAULT, FAULT_NOT_FOUND))
		return heir->now->ops->cut(heir->now, nic, error);
	g_propagate_error(error, g_steal_pointer(&cause));
	return false;
}

static bool left(struct nic_provider *provider, const char *nic, GError **error)
{
	return !provider || !provider->ops->left || provider->ops->left(provider, nic, error);
}

static bool heir_left(struct nic_provider *provider, const char *nic, GError **error)
{
	const struct heir *heir = (struct heir *)provider;

	return left(heir->former, nic, error) && left(heir->now, nic, error);
}

static bool heir_release(struct nic_provider *provider, const char *nic, GError **error)
{
	const struct heir *heir = (struct heir *)provider;

	return heir->former->ops->release(heir->former, nic, error) &&
	       (!heir->now || heir->now->ops->release(heir->now, nic, error));
}

static bool heir_reclaim(
	struct nic_provider *provider, const char *name, bool as_is, GPtrArray **ret_lost, GError **error)
{
	const struct heir *heir = (struct heir *)provider;
	g_autoptr(GError) cause = NULL;

	if (heir->former->ops->reclaim(heir->former, name, as_is, ret_lost, &cause))
		return true;
	if (heir->now && g_error_matches(cause, FAULT, FAULT_NOT_FOUND))
		return heir->now->ops->reclaim(heir->now, name, as_is, ret_lost, error);
	g_propagate_error(error, g_steal_pointer(&cause));
	return false;
}

/* Both may be NULL, or have no such call: then NULL. Owned by the caller. */
static GPtrArray *join(GPtrArray *first, GPtrArray *second)
{
	if (first && second)
		g_ptr_array_extend_and_steal(first, second);
	return first ? first : second;
}

static GPtrArray *heir_list(struct nic_provider *provider)
{
	const struct heir *heir = (struct heir *)provider;
	GPtrArray *list = heir->now ? heir->now->ops->list(heir->now) : NULL;

	return join(list, heir->former->ops->list(heir->former));
}

static GPtrArray *survey(struct nic_provider *provider)
{
	return provider && provider->ops->survey ? provider->ops->survey(provider) : NULL;
}

static GPtrArray *heir_survey(struct nic_provider *provider)
{
	const struct heir *heir = (struct heir *)provider;

	return join(survey(heir->now), survey(heir->former));
}

static GPtrArray *check(struct nic_provider *provider)
{
	return provider && provider->ops->check ? provider->ops->check(provider) : NULL;
}

static GPtrArray *heir_check(struct nic_provider *provider)
{
	const struct heir *heir = (struct heir *)provider;

	return join(check(heir->now), check(heir->former));
}

static bool heir_hear(struct nic_provider *provider, const struct nic_heard *heard, size_t n, GError **error)
{
	const struct heir *heir = (struct heir *)provider;

	return !heir->now || !heir->now->ops->hear || heir->now->ops->hear(heir->now, heard, n, error);
}

static void heir_follow(struct nic_provider *provider, const struct sriov_physical *physicals, size_t n)
{
	const struct heir *heir = (struct heir *)provider;

	if (heir->now && heir->now->ops->follow)
		heir->now->ops->follow(heir->now, physicals, n);
}

static void heir_close(struct nic_provider *provider)
{
	struct heir *heir = (struct heir *)provider;

	nic_provider_close(heir->now);
	nic_provider_close(heir->former);
	g_free(heir);
}

static const struct nic_provider_ops heir_ops = {
	.claim = heir_claim,
	.arm = heir_arm,
	.cut = heir_cut,
	.left = heir_left,
	.release = heir_release,
	.reclaim = heir_reclaim,
	.list = heir_list,
	.survey = heir_survey,
	.check = heir_check,
	.hear = heir_hear,
	.follow = heir_follow,
	.close = heir_close,
};

struct nic_provider *nic_heir_open(struct nic_provider *now, struct nic_provider *former)
{
	struct heir *heir = g_new(struct heir, 1);

	*heir = (struct heir){.provider = {&heir_ops, now ? now->caps : &no_caps}, now, former};
	return &heir->provider;
}

/* ---- former providers, by their ledgers ---- */

static struct nic_provider *open_vfs(const char *ledger, GError **error)
{
	_cleanup_(sriov_ledger_free) struct sriov_ledger *read = sriov_ledger_load(ledger, error);

	if (!read)
		return NULL;
	bool switchdev = g_strcmp0(read->kind, "switchdev") == 0;
	return (switchdev ? nic_switchdev_open : nic_sriov_open)("", ledger, NULL, 0, error);
}

/* Taps go with the namespace that they were in. */
static struct nic_provider *open_emulated(const char *ledger, GError **error)
{
	g_autofree char *netns = function_pool_place(ledger);

	return nic_emulated_open(ledger, netns && netns_exists(netns) ? netns : NULL, error);
}

bool nic_former_open(
	enum nic_former former, const char *ledger, struct nic_provider **ret_provider, GError **error)
{
	struct nic_provider *provider;

	*ret_provider = NULL;
	if (!g_file_test(ledger, G_FILE_TEST_EXISTS))
		return true;
	provider = former == NIC_FORMER_VFS ? open_vfs(ledger, error) : open_emulated(ledger, error);
	if (!provider)
		return false;
	g_autoptr(GPtrArray) functions = provider->ops->list(provider);
	g_autoptr(GError) cause = NULL;
	/* What its PFs heard for the host they need not hear any more. */
	if (provider->ops->hear && !provider->ops->hear(provider, NULL, 0, &cause))
		log_warn("functions", "%s", cause->message);
	if (functions->len)
		*ret_provider = provider;
	else
		nic_provider_close(provider);
	return true;
}
