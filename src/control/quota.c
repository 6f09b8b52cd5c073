/* Counting what the subscription has, and its limits. */
#include "control/quota.h"

#include "base/fault.h"
#include "control/control_priv.h"

static const struct {
	const char *name, *title;
} items[] = {
	[QUOTA_CORES] = {"cores", "Total Cores"},
	[QUOTA_MACHINES] = {"virtual-machines", "Virtual Machines"},
	[QUOTA_AVAILABILITY_SETS] = {"availability-sets", "Availability Sets"},
	[QUOTA_SCALE_SETS] = {"scale-sets", "Virtual Machine Scale Sets"},
	[QUOTA_FUNCTIONS] = {"virtual-functions", "Accelerated Network Interfaces"},
	[QUOTA_INTERFACES] = {"network-interfaces", "Network Interfaces"},
	[QUOTA_ADDRESSES] = {"public-addresses", "Public IP Addresses"},
	[QUOTA_NETWORKS] = {"virtual-networks", "Virtual Networks"},
	[QUOTA_SECURITY_GROUPS] = {"security-groups", "Network Security Groups"},
	[QUOTA_BALANCERS] = {"load-balancers", "Load Balancers"},
	[QUOTA_APPLICATION_GROUPS] = {"application-security-groups", "Application Security Groups"},
	[QUOTA_ROUTE_TABLES] = {"route-tables", "Route Tables"},
	[QUOTA_IMAGES] = {"images", "Images"},
	[QUOTA_KEYS] = {"ssh-public-keys", "SSH Public Keys"},
};
G_STATIC_ASSERT(G_N_ELEMENTS(items) == QUOTA_COUNT);

/* Of kinds that count as one of something; 0 would be QUOTA_CORES, which none is. */
static const enum quota_item item_of_kind[KIND_COUNT] = {
	[KIND_VM] = QUOTA_MACHINES,
	[KIND_AVAILABILITY_SET] = QUOTA_AVAILABILITY_SETS,
	[KIND_SCALE_SET] = QUOTA_SCALE_SETS,
	[KIND_NIC] = QUOTA_INTERFACES,
	[KIND_ADDRESS] = QUOTA_ADDRESSES,
	[KIND_NETWORK] = QUOTA_NETWORKS,
	[KIND_SECURITY_GROUP] = QUOTA_SECURITY_GROUPS,
	[KIND_BALANCER] = QUOTA_BALANCERS,
	[KIND_APPLICATION_GROUP] = QUOTA_APPLICATION_GROUPS,
	[KIND_ROUTE_TABLE] = QUOTA_ROUTE_TABLES,
	[KIND_CUSTOM_IMAGE] = QUOTA_IMAGES,
	[KIND_KEY_PAIR] = QUOTA_KEYS,
};

/* ---- counting ---- */

struct quota_counts quota_of(const void *object)
{
	enum kind kind = (enum kind)((const struct meta *)object)->kind;
	struct quota_counts counts = {};

	if (!item_of_kind[kind])
		return counts;
	counts.of[item_of_kind[kind]] = 1;
	if (kind == KIND_VM)
		counts.of[QUOTA_CORES] = ((const struct vm *)object)->status.vcpus;
	if (kind == KIND_NIC)
		counts.of[QUOTA_FUNCTIONS] = ((const struct nic *)object)->spec.accelerated;
	return counts;
}

void quota_add_difference(
	struct quota_counts *sum, const struct quota_counts *was, const struct quota_counts *is)
{
	for (int i = 0; i < QUOTA_COUNT; i++)
		sum->of[i] += is->of[i] - was->of[i];
}

bool quota_is_zero(const struct quota_counts *counts)
{
	for (int i = 0; i < QUOTA_COUNT; i++)
		if (counts->of[i])
			return false;
	return true;
}

/* ---- the subscription's lists ---- */

static struct quota_line *find(const GPtrArray *lines, enum quota_item item)
{
	for (guint i = 0; i < list_length(lines); i++) {
		struct quota_line *line = lines->pdata[i];
		if (g_str_equal(line->name, items[item].name))
			return line;
	}
	return NULL;
}

static struct quota_line *need(GPtrArray **lines, enum quota_item item)
{
	struct quota_line *line = find(*lines, item);

	if (line)
		return line;
	if (!*lines)
		*lines = shape_list_new(&quota_line_shape);
	line = shape_new(&quota_line_shape);
	line->name = g_strdup(items[item].name);
	g_ptr_array_add(*lines, line);
	return line;
}

static bool check(const struct subscription *subscription, enum quota_item item, int64_t more, GError **error)
{
	const struct quota_line *limit = find(subscription->spec.limits, item),
				*used = find(subscription->status.used, item);
	int64_t n = used ? used->n : 0;

	if (!limit || more <= 0 || n + more <= limit->n)
		return true;
	return fault_set(error, FAULT_QUOTA,
		"Operation could not be completed as it results in exceeding approved %s quota. Additional "
		"details - Current Limit: %" G_GINT64_FORMAT ", Current Usage: %" G_GINT64_FORMAT
		", Additional Required: %" G_GINT64_FORMAT ", (Minimum) New Limit Required: %" G_GINT64_FORMAT
		". Delete what is not needed, or ask the operator for 'sluice quota set %s=%" G_GINT64_FORMAT
		"'.",
		items[item].title, limit->n, n, more, n + more, items[item].name, n + more);
}

bool quota_take(struct subscription *subscription, const struct quota_counts *difference, GError **error)
{
	for (int i = 0; i < QUOTA_COUNT; i++)
		if (!check(subscription, (enum quota_item)i, difference->of[i], error))
			return false;
	for (int i = 0; i < QUOTA_COUNT; i++)
		if (difference->of[i])
			need(&subscription->status.used, (enum quota_item)i)->n += difference->of[i];
	return true;
}

/* ---- counting all ---- */

/* Machines of older versions do not carry their processors yet. */
static bool note_vcpus(struct change *change, void *data, GError **error)
{
	const struct vm *noted = data;
	struct vm *vm = change_get(change, KIND_VM, noted->meta.uid, error);

	if (!vm)
		return false;
	vm->status.vcpus = noted->status.vcpus;
	change_put(change, vm);
	return true;
}

static bool count_kind(struct control *control, enum kind kind, struct quota_counts *sum, GError **error)
{
	g_autoptr(GPtrArray) objects = control_list(control, kind, NULL, error);

	for (guint i = 0; objects && i < objects->len; i++) {
		struct vm *vm = kind == KIND_VM ? objects->pdata[i] : NULL;
		const struct size *size = vm ? control_size(control, vm->spec.size) : NULL;
		if (size && !vm->status.vcpus) {
			vm->status.vcpus = size->vcpus;
			if (!change_run(control->store, note_vcpus, vm, NULL, error))
				return false;
		}
		struct quota_counts is = quota_of(objects->pdata[i]);
		quota_add_difference(sum, &(struct quota_counts){}, &is);
	}
	return objects != NULL;
}

static bool set_counts(struct change *change, void *data, GError **error)
{
	const struct quota_counts *counts = data;
	struct subscription *subscription = change_subscription(change, error);

	if (!subscription)
		return false;
	for (int i = 0; i < QUOTA_COUNT; i++)
		need(&subscription->status.used, (enum quota_item)i)->n = counts->of[i];
	change_put(change, subscription);
	return true;
}

static bool is_counted(const struct subscription *subscription, const struct quota_counts *counts)
{
	for (int i = 0; i < QUOTA_COUNT; i++) {
		const struct quota_line *used = find(subscription->status.used, (enum quota_item)i);
		if ((used ? used->n : 0) != counts->of[i])
			return false;
	}
	return true;
}

bool quota_open(struct control *control, GError **error)
{
	struct quota_counts counts = {};

	for (int kind = KIND_NONE + 1; kind < KIND_COUNT; kind++)
		if (item_of_kind[kind] && !count_kind(control, (enum kind)kind, &counts, error))
			return false;
	_cleanup_(model_free) struct subscription *subscription =
		control_get(control, KIND_SUBSCRIPTION, control->subscription, error);
	return subscription && (is_counted(subscription, &counts) ||
				       change_run(control->store, set_counts, &counts, NULL, error));
}

/* ---- for dialects ---- */

int control_quota_find(const char *name)
{
	for (int i = 0; i < QUOTA_COUNT; i++)
		if (g_ascii_strcasecmp(items[i].name, name) == 0)
			return i;
	return -1;
}

bool control_quotas(struct control *control, struct control_quota ret[QUOTA_COUNT], GError **error)
{
	_cleanup_(model_free) struct subscription *subscription =
		control_get(control, KIND_SUBSCRIPTION, control->subscription, error);

	for (int i = 0; subscription && i < QUOTA_COUNT; i++) {
		const struct quota_line *limit = find(subscription->spec.limits, (enum quota_item)i),
					*used = find(subscription->status.used, (enum quota_item)i);
		ret[i] = (struct control_quota){
			.name = items[i].name,
			.title = items[i].title,
			.limit = limit ? limit->n : CONTROL_UNLIMITED,
			.used = used ? used->n : 0,
		};
	}
	return subscription != NULL;
}

static bool set_limits(struct change *change, void *data, GError **error)
{
	const struct control_quota *wanted = data;
	struct subscription *subscription = change_subscription(change, error);

	if (!subscription)
		return false;
	for (int i = 0; i < QUOTA_COUNT; i++) {
		struct quota_line *limit = need(&subscription->spec.limits, (enum quota_item)i);
		if (wanted[i].limit == CONTROL_UNLIMITED)
			g_ptr_array_remove(subscription->spec.limits, limit);
		else
			limit->n = wanted[i].limit;
	}
	subscription->meta.generation++;
	change_put(change, subscription);
	return true;
}

bool control_set_quotas(
	struct control *control, const struct control_quota limits[QUOTA_COUNT], GError **error)
{
	return change_run(control->store, set_limits, (void *)limits, NULL, error);
}
