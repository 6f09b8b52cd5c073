/* What tc_message.c and tc_action.c write messages with. A message that does not fit is a mistake of ours. */
#pragma once
#include "offload/tc_message.h"

#include <assert.h>
#include <endian.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

void tc_begin(struct nl_msg *msg, int type, int flags, const void *head, size_t size);

/* The actions of a flow, one behind the other, into the attribute that is open. */
void tc_put_actions(struct nl_msg *msg, const struct offload_flow *flow, const struct tc_out *out);
/* One action, a guard's: the packet goes up. */
void tc_put_pass(struct nl_msg *msg, bool made_ingress);

static inline void tc_put(struct nl_msg *msg, int type, const void *data, size_t size)
{
	int status = nla_put(msg, type, (int)size, data);

	assert(status == 0);
	(void)status;
}

static inline void tc_put_text(struct nl_msg *msg, int type, const char *text)
{
	tc_put(msg, type, text, strlen(text) + 1);
}

static inline void tc_put_u16(struct nl_msg *msg, int type, uint16_t value)
{
	tc_put(msg, type, &value, sizeof value);
}

static inline void tc_put_u32(struct nl_msg *msg, int type, uint32_t value)
{
	tc_put(msg, type, &value, sizeof value);
}

static inline void tc_put_be16(struct nl_msg *msg, int type, uint16_t value)
{
	tc_put_u16(msg, type, htobe16(value));
}

static inline void tc_put_be32(struct nl_msg *msg, int type, uint32_t value)
{
	tc_put_u32(msg, type, htobe32(value));
}

static inline struct nlattr *tc_nest(struct nl_msg *msg, int type)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	assert(nest);
	return nest;
}
