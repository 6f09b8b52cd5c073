/* Network security groups, their rules, and the six rules that every group ends with. */
#include "api/arm/arm_priv.h"
#include "policy/policy_words.h"

static const char *const owned[] = {"securityRules", "defaultSecurityRules", "flushConnection",
	"flowRevalidation", "networkInterfaces", "subnets", NULL};

static const char *const protocols[] = {[PROTOCOL_ANY] = "*",
	[PROTOCOL_TCP] = "Tcp",
	[PROTOCOL_UDP] = "Udp",
	[PROTOCOL_ICMP] = "Icmp",
	[PROTOCOL_ESP] = "Esp",
	[PROTOCOL_AH] = "Ah",
	NULL};
static const char *const accesses[] = {[ACCESS_DENY] = "Deny", [ACCESS_ALLOW] = "Allow", NULL};
static const char *const directions[] = {
	[DIRECTION_INBOUND] = "Inbound", [DIRECTION_OUTBOUND] = "Outbound", NULL};

/* The names under which a side of a rule has its addresses and ports: one, or several. */
struct side_words {
	const char *address, *addresses, *application_groups, *port, *ports;
};
static const struct side_words source_words = {"sourceAddressPrefix", "sourceAddressPrefixes",
	"sourceApplicationSecurityGroups", "sourcePortRange", "sourcePortRanges"};
static const struct side_words destination_words = {"destinationAddressPrefix", "destinationAddressPrefixes",
	"destinationApplicationSecurityGroups", "destinationPortRange", "destinationPortRanges"};

/* ---- from JSON ---- */

/* What stands under either name; both is a mistake, unless one is empty. */
static GPtrArray *decode_either(const struct cursor *at, const char *one, const char *several, bool required)
{
	GPtrArray *list = cursor_strings(at, several);
	g_autofree char *single = cursor_dup(at, one);
	bool is_single = single && *single;

	if (!list)
		list = strings_new();
	if (is_single && list->len)
		cursor_fail(at, one, "only one of it and %s may be there", several);
	if (required && !is_single && !list->len)
		cursor_fail(at, one, "it is required, or %s", several);
	if (is_single)
		g_ptr_array_add(list, g_steal_pointer(&single));
	return list;
}

static void decode_side(
	struct arm *arm, const struct cursor *at, const struct side_words *words, struct rule_side *side)
{
	side->application_groups = arm_references(arm, at, words->application_groups, KIND_APPLICATION_GROUP);
	side->addresses = decode_either(
		at, words->address, words->addresses, list_length(side->application_groups) == 0);
	side->ports = decode_either(at, words->port, words->ports, true);
}

static int need_word(const struct cursor *at, const char *key, const char *const *words)
{
	int index = cursor_word(at, key, words, -1);

	if (index < 0)
		cursor_fail(at, key, "it is required");
	return MAX(index, 0);
}

static void decode_rule(struct arm *arm, const struct cursor *body, const void *parent, void *element)
{
	struct rule *rule = element;
	struct cursor properties = cursor_object(body, "properties");

	rule->name = cursor_dup(body, "name");
	rule->description = cursor_dup(&properties, "description");
	rule->direction = need_word(&properties, "direction", directions);
	rule->access = need_word(&properties, "access", accesses);
	rule->protocol = need_word(&properties, "protocol", protocols);
	rule->priority = cursor_int(&properties, "priority", -1);
	if (rule->priority < 0)
		cursor_fail(&properties, "priority", "it is required");
	decode_side(arm, &properties, &source_words, &rule->source);
	decode_side(arm, &properties, &destination_words, &rule->destination);
}

/* ARM's flushConnection asks that a change of rules meets existing connections too. It is on here unless it
 * is turned off: an operator expects that of a revoked rule. flowRevalidation is another name for it. */
static void decode(struct arm *arm, const struct cursor *body, const void *old, void *wanted)
{
	struct security_group *group = wanted;
	struct cursor properties = cursor_object(body, "properties");
	struct cursor rules = cursor_array(&properties, "securityRules");
	bool flush = cursor_bool(&properties, "flushConnection", true);

	group->spec.keep_established = !cursor_bool(&properties, "flowRevalidation", flush);
	group->spec.rules = shape_list_new(&rule_shape);
	for (size_t i = 0; i < cursor_length(&rules); i++) {
		struct cursor item = cursor_item(&rules, i);
		struct rule *rule = shape_new(&rule_shape);
		g_ptr_array_add(group->spec.rules, rule);
		decode_rule(arm, &item, group, rule);
		if (!rule->name)
			cursor_fail(&item, "name", "it is required");
	}
}

/* ---- to JSON ---- */

static void encode_either(json_t *properties, const GPtrArray *list, const char *one, const char *several)
{
	if (list_length(list) == 1)
		put_text(properties, one, list->pdata[0]);
	put_json(properties, several, list_length(list) == 1 ? json_array() : put_strings(list));
}

static void encode_side(
	struct arm *arm, json_t *properties, const struct rule_side *side, const struct side_words *words)
{
	arm_put_references(
		arm, properties, words->application_groups, KIND_APPLICATION_GROUP, side->application_groups);
	encode_either(properties, side->addresses, words->address, words->addresses);
	encode_either(properties, side->ports, words->port, words->ports);
}

static json_t *encode_rule(struct arm *arm, const struct security_group *group, const struct rule *rule,
	const char *group_id, const char *list, json_t *state)
{
	json_t *json = json_object(), *properties = put_object(json, "properties");
	g_autofree char *id = g_strdup_printf("%s/%s/%s", group_id, list, rule->name);
	g_autofree char *type = g_strdup_printf("Microsoft.Network/networkSecurityGroups/%s", list);
	g_autofree char *etag = arm_etag(&group->meta);

	put_text(json, "id", id);
	put_text(json, "name", rule->name);
	put_text(json, "type", type);
	put_text(json, "etag", etag);
	json_object_set(properties, "provisioningState", state);
	put_text(properties, "description", rule->description);
	put_text(properties, "protocol", protocols[rule->protocol]);
	put_text(properties, "access", accesses[rule->access]);
	put_text(properties, "direction", directions[rule->direction]);
	put_number(properties, "priority", rule->priority);
	encode_side(arm, properties, &rule->source, &source_words);
	encode_side(arm, properties, &rule->destination, &destination_words);
	return json;
}

/* ARM's words about the default rules, whose source is policy/.
 * https://learn.microsoft.com/azure/virtual-network/network-security-groups-overview#default-security-rules */
static const struct {
	const char *name, *description;
} default_descriptions[] = {
	{"AllowVnetInBound", "Allow inbound traffic from all VMs in VNET"},
	{"AllowAzureLoadBalancerInBound", "Allow inbound traffic from azure load balancer"},
	{"DenyAllInBound", "Deny all inbound traffic"},
	{"AllowVnetOutBound", "Allow outbound traffic from all VMs to all VMs in VNET"},
	{"AllowInternetOutBound", "Allow outbound traffic from all VMs to Internet"},
	{"DenyAllOutBound", "Deny all outbound traffic"},
};

static const char *default_description(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(default_descriptions); i++)
		if (g_str_equal(default_descriptions[i].name, name))
			return default_descriptions[i].description;
	return NULL;
}

/* Each side of a default rule is one tag, and any port. */
static const char *default_address(const struct policy_side *side)
{
	return side->tags == POLICY_TAG_ANY ? "*" : policy_word_text(policy_tag_words, side->tags);
}

static json_t *encode_default(struct arm *arm, const struct security_group *group,
	const struct policy_rule *from, const char *group_id, json_t *state)
{
	void *source[] = {(char *)default_address(&from->source)},
	     *destination[] = {(char *)default_address(&from->destination)}, *any[] = {(char *)"*"};
	GPtrArray sources = {source, 1}, destinations = {destination, 1}, ports = {any, 1};
	const struct rule rule = {
		.name = (char *)from->name,
		.description = (char *)default_description(from->name),
		.direction = from->direction == POLICY_INBOUND ? DIRECTION_INBOUND : DIRECTION_OUTBOUND,
		.access = from->action == POLICY_ALLOW ? ACCESS_ALLOW : ACCESS_DENY,
		.protocol = PROTOCOL_ANY,
		.priority = from->priority,
		.source = {.addresses = &sources, .ports = &ports},
		.destination = {.addresses = &destinations, .ports = &ports},
	};

	return encode_rule(arm, group, &rule, group_id, "defaultSecurityRules", state);
}

static json_t *encode_defaults(
	struct arm *arm, const struct security_group *group, const char *id, json_t *state)
{
	size_t n;
	const struct policy_rule *defaults = policy_default_rules(&n);
	json_t *rules = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(rules, encode_default(arm, group, &defaults[i], id, state));
	return rules;
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct security_group *group = object;
	const char *id = json_string_value(json_object_get(answer, "id"));
	json_t *rules = json_array(), *state = json_object_get(properties, "provisioningState");

	for (guint i = 0; i < list_length(group->spec.rules); i++)
		json_array_append_new(rules,
			encode_rule(arm, group, group->spec.rules->pdata[i], id, "securityRules", state));
	put_flag(properties, "flushConnection", !group->spec.keep_established);
	put_json(properties, "securityRules", rules);
	if (flags & ENCODE_WANTED)
		return;
	put_text(properties, "resourceGuid", group->meta.uid);
	put_json(properties, "defaultSecurityRules", encode_defaults(arm, group, id, state));
	arm_put_interfaces(arm, properties, group->meta.uid);
	arm_put_subnets(arm, properties, group->meta.uid, offsetof(struct subnet, security_group));
}

static GPtrArray **list_rules(void *object)
{
	return &((struct security_group *)object)->spec.rules;
}

static const struct arm_child children[] = {
	{"securityRules", &rule_shape, offsetof(struct rule, name), list_rules, decode_rule},
	{},
};

const struct arm_type arm_security_groups = {
	.namespace = "Microsoft.Network",
	.name = "networkSecurityGroups",
	.kind = KIND_SECURITY_GROUP,
	.owned = owned,
	.decode = decode,
	.encode = encode,
	.children = children,
};
