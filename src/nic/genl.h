/* Generic netlink: a request to one of the kernel's families, and what it answers.
 *
 * By this seam goes all that is asked of devlink and ethtool. Tests have another kernel's recorded answers in its place, or a
 * made-up NIC (nic/test_trace.h, nic/test_devlink.h).
 */
#pragma once
#include "base/cleanup.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct nl_msg;
struct nlattr;
struct genl;

struct genl_ops {
	/* Sends a request (its netlink header's flags count, its type does not) and adds what is answered to `answers`,
	 * GBytes from the generic netlink header on. Returns 0 or the kernel's -errno; *ret_why is then its own
	 * sentence, or NULL. Owned by the caller. */
	int (*ask)(struct genl *genl, struct nl_msg *request, GPtrArray *answers, char **ret_why);
	void (*close)(struct genl *genl);
};

/* First member of every implementation's own struct. One thread at a time. */
struct genl {
	const struct genl_ops *ops;
};

/* To the kernel, in this process's network namespace. FAULT_UNSUPPORTED when it has no such family ("devlink",
 * "ethtool"). */
struct genl *genl_open(const char *family, GError **error);

static inline void genl_close(struct genl *genl)
{
	if (genl)
		genl->ops->close(genl);
}
CLEANUP_FUNC(struct genl *, genl_close)

/* A request with no attributes yet. Owned by the caller. */
struct nl_msg *genl_request(uint8_t command, uint8_t version);

/* Asks; takes the request. GPtrArray of GBytes, Owned by the caller; NULL with *ret_error (-errno), and *ret_why as above. */
GPtrArray *genl_ask(struct genl *genl, struct nl_msg *request, bool dump, int *ret_error, char **ret_why);

/* The answer's attributes by their numbers, up to `max`; Borrowed of the answer. False when it is none of netlink's. */
bool genl_parse(GBytes *answer, int max, struct nlattr **ret);

/* Of an attribute that may be absent (NULL), or be of another length than it should: then the number is `otherwise`, the text
 * NULL. Texts are Borrowed. */
uint32_t genl_number(const struct nlattr *attribute, uint32_t otherwise);
const char *genl_text(const struct nlattr *attribute);
