/* devlink, by generic netlink. */
#include "nic/devlink.h"

#include "base/fault.h"

#include <errno.h>
#include <linux/devlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>

#define VERSION       1 /* DEVLINK_GENL_VERSION, of all kernels */
#define ATTRIBUTE_MAX DEVLINK_ATTR_MAX

char *devlink_handle(const char *address)
{
	return g_strdup_printf("pci/%s", address);
}

/* ---- asking ---- */

static struct nl_msg *request_new(uint8_t command, const char *handle)
{
	struct nl_msg *request = genl_request(command, VERSION);
	const char *slash = strchr(handle, '/');

	g_assert(slash);
	g_autofree char *bus = g_strndup(handle, (gsize)(slash - handle));
	NLA_PUT_STRING(request, DEVLINK_ATTR_BUS_NAME, bus);
	NLA_PUT_STRING(request, DEVLINK_ATTR_DEV_NAME, slash + 1);
	return request;
nla_put_failure:
	g_error("no room in a netlink message");
}

static enum fault fault_of(int error)
{
	switch (error) {
	case -ENODEV:
	case -EOPNOTSUPP: return FAULT_UNSUPPORTED;
	case -EPERM:
	case -EACCES: return FAULT_DENIED;
	case -EBUSY: return FAULT_BUSY;
	case -EINVAL: return FAULT_INVALID;
	default: return FAULT_INTERNAL;
	}
}

/* Takes the request. NULL with *error: "what: why". */
static GPtrArray *ask(
	struct genl *devlink, struct nl_msg *request, bool dump, const char *what, GError **error)
{
	g_autofree char *why = NULL;
	int rc;
	GPtrArray *answers = genl_ask(devlink, request, dump, &rc, &why);

	if (!answers)
		fault_set(error, fault_of(rc), "%s: %s", what, why ? why : g_strerror(-rc));
	return answers;
}

/* ---- eswitches ---- */

static const struct setting {
	const char *name;
	int attribute;
	const char *words[5];
} settings[DEVLINK_SETTINGS] = {
	[DEVLINK_MODE] = {"mode", DEVLINK_ATTR_ESWITCH_MODE, {DEVLINK_LEGACY, DEVLINK_SWITCHDEV}},
	[DEVLINK_INLINE_MODE] = {"inline-mode", DEVLINK_ATTR_ESWITCH_INLINE_MODE,
		{"none", "link", "network", "transport"}},
	[DEVLINK_ENCAP_MODE] = {"encap-mode", DEVLINK_ATTR_ESWITCH_ENCAP_MODE, {"none", "basic"}},
};

/* One that this program does not know is none. */
static const char *word_of(enum devlink_setting setting, struct nlattr *const *attributes)
{
	const char *const *words = settings[setting].words;
	uint32_t number = genl_number(attributes[settings[setting].attribute], UINT32_MAX);

	return number < g_strv_length((char **)words) ? words[number] : NULL;
}

bool devlink_read_eswitch(
	struct genl *devlink, const char *handle, struct devlink_eswitch *ret, GError **error)
{
	g_autofree char *what = g_strdup_printf("%s shows no eswitch", handle);
	struct nlattr *attributes[ATTRIBUTE_MAX + 1];
	g_autoptr(GPtrArray) answers =
		ask(devlink, request_new(DEVLINK_CMD_ESWITCH_GET, handle), false, what, error);

	if (!answers)
		return false;
	if (answers->len != 1 || !genl_parse(answers->pdata[0], ATTRIBUTE_MAX, attributes))
		return fault_set(error, FAULT_INTERNAL, "%s: the kernel's answer is none", what);
	*ret = (struct devlink_eswitch){
		.mode = word_of(DEVLINK_MODE, attributes),
		.inline_mode = word_of(DEVLINK_INLINE_MODE, attributes),
		.encap_mode = word_of(DEVLINK_ENCAP_MODE, attributes),
	};
	return true;
}

bool devlink_write_eswitch(struct genl *devlink, const char *handle, enum devlink_setting which,
	const char *word, GError **error)
{
	const struct setting *setting = &settings[which];
	g_autofree char *what =
		g_strdup_printf("%s does not take %s for its eswitch's %s", handle, word, setting->name);
	uint8_t value = 0;

	while (setting->words[value] && !g_str_equal(setting->words[value], word))
		value++;
	if (!setting->words[value])
		return fault_set(error, FAULT_INVALID, "%s: there is no such %s", what, setting->name);
	struct nl_msg *request = request_new(DEVLINK_CMD_ESWITCH_SET, handle);
	/* The mode alone has 16 bits. */
	int rc = which == DEVLINK_MODE ? nla_put_u16(request, setting->attribute, value)
				       : nla_put_u8(request, setting->attribute, value);
	g_assert(rc == 0);
	g_autoptr(GPtrArray) answers = ask(devlink, request, false, what, error);
	return answers != NULL;
}

/* ---- versions ---- */

/* Value of the version of that name that runs; NULL: there is none. Borrowed of the answer. */
static const char *running_version(GBytes *answer, const char *name)
{
	struct nlattr *attributes[ATTRIBUTE_MAX + 1], *version[ATTRIBUTE_MAX + 1], *at;
	gsize length;
	int rest;
	const uint8_t *bytes = g_bytes_get_data(answer, &length);

	if (!genl_parse(answer, ATTRIBUTE_MAX, attributes))
		return NULL;
	/* There are several of the same attribute. */
	nla_for_each_attr(at, (struct nlattr *)(bytes + GENL_HDRLEN), (int)(length - GENL_HDRLEN), rest)
	{
		if (nla_type(at) == DEVLINK_ATTR_INFO_VERSION_RUNNING &&
			nla_parse_nested(version, ATTRIBUTE_MAX, at, NULL) == 0 &&
			g_strcmp0(genl_text(version[DEVLINK_ATTR_INFO_VERSION_NAME]), name) == 0)
			return genl_text(version[DEVLINK_ATTR_INFO_VERSION_VALUE]);
	}
	return NULL;
}

char *devlink_firmware(struct genl *devlink, const char *handle)
{
	/* Of the whole; else of what manages the device. Source: Documentation/networking/devlink/devlink-info.rst. */
	static const char *const names[] = {"fw", "fw.version", "fw.mgmt"};
	g_autoptr(GPtrArray) answers =
		ask(devlink, request_new(DEVLINK_CMD_INFO_GET, handle), false, handle, NULL);
	const char *version = NULL;

	for (size_t i = 0; answers && answers->len && !version && i < G_N_ELEMENTS(names); i++)
		version = running_version(answers->pdata[0], names[i]);
	return g_strdup(version);
}

/* ---- parameters ---- */

/* The value that it has now: of several, the one of the mode `runtime`. */
static const char *runtime_text(struct nlattr *values)
{
	struct nlattr *value[ATTRIBUTE_MAX + 1], *at;
	int rest;

	nla_for_each_nested(at, values, rest)
	{
		if (nla_parse_nested(value, ATTRIBUTE_MAX, at, NULL) == 0 &&
			genl_number(value[DEVLINK_ATTR_PARAM_VALUE_CMODE], UINT32_MAX) ==
				DEVLINK_PARAM_CMODE_RUNTIME)
			return genl_text(value[DEVLINK_ATTR_PARAM_VALUE_DATA]);
	}
	return NULL;
}

char *devlink_parameter(struct genl *devlink, const char *handle, const char *name)
{
	struct nlattr *attributes[ATTRIBUTE_MAX + 1], *parameter[ATTRIBUTE_MAX + 1];
	struct nl_msg *request = request_new(DEVLINK_CMD_PARAM_GET, handle);
	int rc = nla_put_string(request, DEVLINK_ATTR_PARAM_NAME, name);

	g_assert(rc == 0);
	g_autoptr(GPtrArray) answers = ask(devlink, request, false, handle, NULL);
	if (!answers || !answers->len || !genl_parse(answers->pdata[0], ATTRIBUTE_MAX, attributes) ||
		!attributes[DEVLINK_ATTR_PARAM] ||
		nla_parse_nested(parameter, ATTRIBUTE_MAX, attributes[DEVLINK_ATTR_PARAM], NULL) < 0 ||
		!parameter[DEVLINK_ATTR_PARAM_VALUES_LIST])
		return NULL;
	return g_strdup(runtime_text(parameter[DEVLINK_ATTR_PARAM_VALUES_LIST]));
}

/* ---- ports ---- */

static void port_free(struct devlink_port *port)
{
	g_free(port->netdev);
	g_free(port);
}

static bool is_of(struct nlattr *const *attributes, const char *handle)
{
	const char *bus = genl_text(attributes[DEVLINK_ATTR_BUS_NAME]),
		   *device = genl_text(attributes[DEVLINK_ATTR_DEV_NAME]);
	g_autofree char *whole = g_strdup_printf("%s/%s", bus ? bus : "", device ? device : "");

	return g_str_equal(whole, handle);
}

/* NULL: it is another device's, no function's, one's of another host (a SmartNIC's own), or has no interface here. */
static struct devlink_port *read_port(GBytes *answer, const char *handle)
{
	struct nlattr *attributes[ATTRIBUTE_MAX + 1];

	if (!genl_parse(answer, ATTRIBUTE_MAX, attributes) || !is_of(attributes, handle))
		return NULL;
	uint32_t flavour = genl_number(attributes[DEVLINK_ATTR_PORT_FLAVOUR], UINT32_MAX);
	const char *netdev = genl_text(attributes[DEVLINK_ATTR_PORT_NETDEV_NAME]);
	if ((flavour != DEVLINK_PORT_FLAVOUR_PCI_PF && flavour != DEVLINK_PORT_FLAVOUR_PCI_VF) || !netdev ||
		genl_number(attributes[DEVLINK_ATTR_PORT_CONTROLLER_NUMBER], 0) != 0 ||
		genl_number(attributes[DEVLINK_ATTR_PORT_EXTERNAL], 0) != 0)
		return NULL;
	struct devlink_port *port = g_new0(struct devlink_port, 1);
	port->is_vf = flavour == DEVLINK_PORT_FLAVOUR_PCI_VF;
	port->pf = genl_number(attributes[DEVLINK_ATTR_PORT_PCI_PF_NUMBER], 0);
	port->vf = genl_number(attributes[DEVLINK_ATTR_PORT_PCI_VF_NUMBER], 0);
	port->netdev = g_strdup(netdev);
	return port;
}

GPtrArray *devlink_ports(struct genl *devlink, const char *handle, GError **error)
{
	g_autofree char *what = g_strdup_printf("the ports of %s cannot be read", handle);
	/* Kernels before 6.5 give those of all devices. */
	g_autoptr(GPtrArray) answers =
		ask(devlink, request_new(DEVLINK_CMD_PORT_GET, handle), true, what, error);
	g_autoptr(GPtrArray) ports = g_ptr_array_new_with_free_func((GDestroyNotify)port_free);

	for (guint i = 0; answers && i < answers->len; i++) {
		struct devlink_port *port = read_port(answers->pdata[i], handle);
		if (port)
			g_ptr_array_add(ports, port);
	}
	return answers ? g_steal_pointer(&ports) : NULL;
}
