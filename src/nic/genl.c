/* Generic netlink, by libnl-genl. */
#include "nic/genl.h"

#include "base/fault.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/socket.h>

CLEANUP_FUNC(struct nl_cb *, nl_cb_put)
CLEANUP_FUNC(struct nl_msg *, nlmsg_free)

/* ---- the kernel ---- */

struct kernel {
	struct genl genl; /* first member */
	struct nl_sock *sock; /* Owned */
	int family;
};

/* One request under way. */
struct exchange {
	GPtrArray *answers; /* Borrowed */
	char *why; /* Owned */
	int error;
	bool done;
};

static GBytes *payload_of(struct nl_msg *message)
{
	const struct nlmsghdr *header = nlmsg_hdr(message);

	return g_bytes_new(nlmsg_data(header), (gsize)nlmsg_datalen(header));
}

static int on_answer(struct nl_msg *message, void *data)
{
	struct exchange *exchange = data;

	g_ptr_array_add(exchange->answers, payload_of(message));
	return NL_OK;
}

static int on_end(struct nl_msg *message, void *data)
{
	((struct exchange *)data)->done = true;
	return NL_OK;
}

/* The request is not quoted (NETLINK_CAP_ACK), so that the attributes follow at once. */
static int on_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *data)
{
	const struct nlmsghdr *header = (const void *)((const char *)error - NLMSG_HDRLEN);
	int length = (int)header->nlmsg_len - NLMSG_HDRLEN - (int)sizeof *error;
	struct exchange *exchange = data;

	exchange->done = true;
	exchange->error = error->error;
	if (header->nlmsg_flags & NLM_F_ACK_TLVS && length > 0)
		exchange->why = g_strdup(genl_text(nla_find((void *)(error + 1), length, NLMSGERR_ATTR_MSG)));
	return NL_STOP;
}

static int kernel_ask(struct genl *genl, struct nl_msg *request, GPtrArray *answers, char **ret_why)
{
	const struct kernel *kernel = (const struct kernel *)genl;
	_cleanup_(nl_cb_put) struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	struct exchange exchange = {.answers = answers};

	nlmsg_hdr(request)->nlmsg_type = (uint16_t)kernel->family;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_answer, &exchange);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &exchange);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &exchange);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &exchange);
	int rc = nl_send_auto(kernel->sock, request);
	while (rc >= 0 && !exchange.done)
		rc = nl_recvmsgs(kernel->sock, cb);
	*ret_why = exchange.why;
	return exchange.done ? exchange.error : -EIO;
}

static void kernel_close(struct genl *genl)
{
	struct kernel *kernel = (struct kernel *)genl;

	nl_socket_free(kernel->sock);
	g_free(kernel);
}

static const struct genl_ops kernel_ops = {.ask = kernel_ask, .close = kernel_close};

struct genl *genl_open(const char *family, GError **error)
{
	struct kernel *kernel = g_new0(struct kernel, 1);
	_cleanup_(genl_close) struct genl *genl = &kernel->genl;
	const int on = 1;

	kernel->genl.ops = &kernel_ops;
	kernel->sock = nl_socket_alloc();
	int rc = kernel->sock ? genl_connect(kernel->sock) : -NLE_NOMEM;
	if (rc < 0) {
		fault_set(error, FAULT_INTERNAL, "cannot connect to generic netlink: %s", nl_geterror(rc));
		return NULL;
	}
	setsockopt(nl_socket_get_fd(kernel->sock), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	setsockopt(nl_socket_get_fd(kernel->sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	kernel->family = genl_ctrl_resolve(kernel->sock, family);
	if (kernel->family >= 0)
		return g_steal_pointer(&genl);
	fault_set(error, FAULT_UNSUPPORTED, "the kernel has no %s", family);
	return NULL;
}

/* ---- requests ---- */

struct nl_msg *genl_request(uint8_t command, uint8_t version)
{
	struct nl_msg *request = nlmsg_alloc();

	if (!request || !genlmsg_put(request, NL_AUTO_PORT, NL_AUTO_SEQ, 0, 0, 0, command, version))
		g_error("no memory for a netlink message");
	return request;
}

GPtrArray *genl_ask(struct genl *genl, struct nl_msg *request, bool dump, int *ret_error, char **ret_why)
{
	_cleanup_(nlmsg_free) struct nl_msg *owned = request;
	g_autoptr(GPtrArray) answers = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

	nlmsg_hdr(owned)->nlmsg_flags |= dump ? NLM_F_DUMP : 0;
	*ret_error = genl->ops->ask(genl, owned, answers, ret_why);
	return *ret_error == 0 ? g_steal_pointer(&answers) : NULL;
}

/* ---- answers ---- */

bool genl_parse(GBytes *answer, int max, struct nlattr **ret)
{
	gsize length;
	const uint8_t *bytes = g_bytes_get_data(answer, &length);

	return length >= GENL_HDRLEN && nla_parse(ret, max, (struct nlattr *)(bytes + GENL_HDRLEN),
						(int)(length - GENL_HDRLEN), NULL) == 0;
}

uint32_t genl_number(const struct nlattr *attribute, uint32_t otherwise)
{
	switch (attribute ? nla_len(attribute) : 0) {
	case 1: return nla_get_u8(attribute);
	case 2: return nla_get_u16(attribute);
	case 4: return nla_get_u32(attribute);
	default: return otherwise;
	}
}

const char *genl_text(const struct nlattr *attribute)
{
	int length = attribute ? nla_len(attribute) : 0;

	return length > 0 && memchr(nla_data(attribute), '\0', (size_t)length) ? nla_data(attribute) : NULL;
}
