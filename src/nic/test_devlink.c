/* devlink that is made up. Source of its messages: Linux net/devlink/leftover.c (6.1). */
#include "nic/test_devlink.h"

#include <errno.h>
#include <linux/devlink.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <string.h>

struct model {
	struct genl genl; /* first member */
	struct test_eswitch *eswitches; /* Borrowed */
	size_t n;
};

/* One request. */
struct visit {
	struct test_eswitch *eswitch; /* NULL: of all */
	struct nlattr **attributes;
	GPtrArray *answers;
};

/* ---- answers ---- */

static struct nl_msg *answer_new(const struct test_eswitch *eswitch, uint8_t command)
{
	struct nl_msg *answer = genl_request(command, 1);
	g_auto(GStrv) parts = g_strsplit(eswitch->handle, "/", 2);

	nla_put_string(answer, DEVLINK_ATTR_BUS_NAME, parts[0]);
	nla_put_string(answer, DEVLINK_ATTR_DEV_NAME, parts[1]);
	return answer;
}

static void answer_send(const struct visit *visit, struct nl_msg *answer)
{
	const struct nlmsghdr *header = nlmsg_hdr(answer);

	g_ptr_array_add(visit->answers, g_bytes_new(nlmsg_data(header), (gsize)nlmsg_datalen(header)));
	nlmsg_free(answer);
}

/* ---- commands: each 0 or -errno ---- */

/* In the kernel's order of each: their numbers. */
static const char *const modes[] = {DEVLINK_LEGACY, DEVLINK_SWITCHDEV};
static const char *const inline_modes[] = {"none", "link", "network", "transport"};
static const char *const encap_modes[] = {"none", "basic"};

static uint8_t number_of(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (g_str_equal(words[i], word))
			return (uint8_t)i;
	g_error("devlink has no word %s", word);
}

static int get_eswitch(const struct visit *visit)
{
	const struct devlink_eswitch *is = &visit->eswitch->is;
	struct nl_msg *answer = answer_new(visit->eswitch, DEVLINK_CMD_ESWITCH_GET);

	nla_put_u16(answer, DEVLINK_ATTR_ESWITCH_MODE, number_of(modes, G_N_ELEMENTS(modes), is->mode));
	if (is->inline_mode)
		nla_put_u8(answer, DEVLINK_ATTR_ESWITCH_INLINE_MODE,
			number_of(inline_modes, G_N_ELEMENTS(inline_modes), is->inline_mode));
	if (is->encap_mode)
		nla_put_u8(answer, DEVLINK_ATTR_ESWITCH_ENCAP_MODE,
			number_of(encap_modes, G_N_ELEMENTS(encap_modes), is->encap_mode));
	answer_send(visit, answer);
	return 0;
}

/* What the request says of one of them, or what it is. */
static const char *word_of(const struct nlattr *attribute, const char *const *words, size_t n, const char *is)
{
	uint32_t number = genl_number(attribute, UINT32_MAX);

	return number < n ? words[number] : is;
}

static int set_eswitch(const struct visit *visit)
{
	struct devlink_eswitch *is = &visit->eswitch->is;
	struct nlattr **attributes = visit->attributes;
	const char *mode =
		word_of(attributes[DEVLINK_ATTR_ESWITCH_MODE], modes, G_N_ELEMENTS(modes), is->mode);

	if (!g_str_equal(mode, is->mode) && visit->eswitch->refusal)
		return -EOPNOTSUPP;
	is->mode = mode;
	is->inline_mode = word_of(attributes[DEVLINK_ATTR_ESWITCH_INLINE_MODE], inline_modes,
		G_N_ELEMENTS(inline_modes), is->inline_mode);
	is->encap_mode = word_of(attributes[DEVLINK_ATTR_ESWITCH_ENCAP_MODE], encap_modes,
		G_N_ELEMENTS(encap_modes), is->encap_mode);
	return 0;
}

static int get_info(const struct visit *visit)
{
	struct nl_msg *answer = answer_new(visit->eswitch, DEVLINK_CMD_INFO_GET);

	if (visit->eswitch->firmware) {
		struct nlattr *version = nla_nest_start(answer, DEVLINK_ATTR_INFO_VERSION_RUNNING);
		nla_put_string(answer, DEVLINK_ATTR_INFO_VERSION_NAME, "fw.version");
		nla_put_string(answer, DEVLINK_ATTR_INFO_VERSION_VALUE, visit->eswitch->firmware);
		nla_nest_end(answer, version);
	}
	answer_send(visit, answer);
	return 0;
}

static int get_parameter(const struct visit *visit)
{
	const char *name = genl_text(visit->attributes[DEVLINK_ATTR_PARAM_NAME]);

	if (!visit->eswitch->steering || g_strcmp0(name, "flow_steering_mode") != 0)
		return -EINVAL;
	struct nl_msg *answer = answer_new(visit->eswitch, DEVLINK_CMD_PARAM_GET);
	struct nlattr *parameter = nla_nest_start(answer, DEVLINK_ATTR_PARAM);
	nla_put_string(answer, DEVLINK_ATTR_PARAM_NAME, name);
	struct nlattr *values = nla_nest_start(answer, DEVLINK_ATTR_PARAM_VALUES_LIST);
	struct nlattr *value = nla_nest_start(answer, DEVLINK_ATTR_PARAM_VALUE);
	nla_put_u8(answer, DEVLINK_ATTR_PARAM_VALUE_CMODE, DEVLINK_PARAM_CMODE_RUNTIME);
	nla_put_string(answer, DEVLINK_ATTR_PARAM_VALUE_DATA, visit->eswitch->steering);
	nla_nest_end(answer, value);
	nla_nest_end(answer, values);
	nla_nest_end(answer, parameter);
	answer_send(visit, answer);
	return 0;
}

static void add_port(const struct visit *visit, const struct test_eswitch *eswitch, unsigned vf)
{
	struct nl_msg *answer = answer_new(eswitch, DEVLINK_CMD_PORT_NEW);

	nla_put_string(answer, DEVLINK_ATTR_PORT_NETDEV_NAME, eswitch->representors[vf]);
	nla_put_u16(answer, DEVLINK_ATTR_PORT_FLAVOUR, DEVLINK_PORT_FLAVOUR_PCI_VF);
	nla_put_u32(answer, DEVLINK_ATTR_PORT_CONTROLLER_NUMBER, 0);
	nla_put_u16(answer, DEVLINK_ATTR_PORT_PCI_PF_NUMBER, 0);
	nla_put_u16(answer, DEVLINK_ATTR_PORT_PCI_VF_NUMBER, (uint16_t)vf);
	nla_put_u8(answer, DEVLINK_ATTR_PORT_EXTERNAL, 0);
	answer_send(visit, answer);
}

static int get_ports(const struct visit *visit, const struct model *model)
{
	for (size_t i = 0; i < model->n; i++) {
		const struct test_eswitch *eswitch = &model->eswitches[i];
		for (unsigned vf = 0; vf < TEST_REPRESENTORS; vf++)
			if (g_str_equal(eswitch->is.mode, DEVLINK_SWITCHDEV) && eswitch->representors[vf])
				add_port(visit, eswitch, vf);
	}
	return 0;
}

/* ---- the seam ---- */

static struct test_eswitch *find(const struct model *model, struct nlattr *const *attributes)
{
	const char *bus = genl_text(attributes[DEVLINK_ATTR_BUS_NAME]),
		   *device = genl_text(attributes[DEVLINK_ATTR_DEV_NAME]);
	g_autofree char *handle = g_strdup_printf("%s/%s", bus, device);

	for (size_t i = 0; i < model->n; i++)
		if (g_str_equal(model->eswitches[i].handle, handle))
			return &model->eswitches[i];
	return NULL;
}

static int model_ask(struct genl *genl, struct nl_msg *request, GPtrArray *answers, char **ret_why)
{
	const struct model *model = (const struct model *)genl;
	const struct genlmsghdr *header = nlmsg_data(nlmsg_hdr(request));
	struct nlattr *attributes[DEVLINK_ATTR_MAX + 1];

	g_assert(genlmsg_parse(nlmsg_hdr(request), 0, attributes, DEVLINK_ATTR_MAX, NULL) == 0);
	const struct visit visit = {find(model, attributes), attributes, answers};
	if (header->cmd == DEVLINK_CMD_PORT_GET)
		return get_ports(&visit, model);
	if (!visit.eswitch)
		return -ENODEV;
	int rc = header->cmd == DEVLINK_CMD_ESWITCH_GET   ? get_eswitch(&visit)
		 : header->cmd == DEVLINK_CMD_ESWITCH_SET ? set_eswitch(&visit)
		 : header->cmd == DEVLINK_CMD_INFO_GET    ? get_info(&visit)
		 : header->cmd == DEVLINK_CMD_PARAM_GET   ? get_parameter(&visit)
							  : -EOPNOTSUPP;
	*ret_why = rc && header->cmd == DEVLINK_CMD_ESWITCH_SET ? g_strdup(visit.eswitch->refusal) : NULL;
	return rc;
}

static void model_close(struct genl *genl)
{
	g_free(genl);
}

static const struct genl_ops model_ops = {.ask = model_ask, .close = model_close};

struct genl *test_devlink_open(struct test_eswitch *eswitches, size_t n)
{
	struct model *model = g_new0(struct model, 1);

	*model = (struct model){{&model_ops}, eswitches, n};
	return &model->genl;
}
