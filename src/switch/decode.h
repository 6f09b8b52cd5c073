/* Strict decoding of JSON by tables of members, with the path of what is bad.
 *
 * Members that a table does not name are refused, as are missing ones that are not optional: a misspelt
 * "ports" must not open all of them. The first fault wins and says where: "nics[1].attachments[0].kind: must
 * be ...".
 */
#pragma once
#include "base/ip.h"
#include "switch/snapshot.h"

#include <glib.h>
#include <jansson.h>

struct decode {
	GString *path; /* Owned */
	struct snapshot *snapshot; /* Borrowed: what is being filled; lists and strings come from it */
	void *data; /* Borrowed: the caller's */
	GError *error; /* Owned: the first fault */
};

/* Decodes `value` into *to. False after decode_fail. */
typedef bool (*decode_value)(struct decode *d, json_t *value, void *to);

struct decode_member {
	const char *name;
	decode_value decode;
	size_t offset; /* of what is decoded, in the object's struct */
	bool optional; /* absent or null: left as it is */
};

void decode_init(struct decode *d, struct snapshot *snapshot, void *data);
/* Takes the fault, if any, into *error. Returns whether there was none. */
bool decode_done(struct decode *d, GError **error);

/* Records a fault at the present path; always false. */
bool decode_fail(struct decode *d, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* The same, at the member `name` of the present path. */
bool decode_fail_at(struct decode *d, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The value (NULL: absent) of the member `name` of the present path. */
bool decode_at(struct decode *d, const char *name, json_t *value, decode_value decode, void *to);
/* An object, member by member in the table's order; the table ends with a NULL name. */
bool decode_object(struct decode *d, json_t *value, const struct decode_member *members, void *to);
/* The parameters of a method, which may be NULL: then an object without members. */
bool decode_params(json_t *params, const struct decode_member *members, void *to, GError **error);
/* An array of at most `max` elements: a block of the snapshot, NULL when empty or on a fault. */
void *decode_list(
	struct decode *d, json_t *value, size_t size, unsigned max, decode_value decode, unsigned *ret_n);

bool decode_whole(struct decode *d, json_t *value, int64_t min, int64_t max, int64_t *ret);

/* Element decoders; what `to` is, is said at each. */
bool decode_bool(struct decode *d, json_t *value, void *to); /* bool */
bool decode_text(struct decode *d, json_t *value, void *to); /* char *, a block of the snapshot */
bool decode_word(struct decode *d, json_t *value, void *to); /* const char *, Borrowed from the value */
bool decode_ip(struct decode *d, json_t *value, void *to); /* struct ip_addr */
bool decode_ipv4(struct decode *d, json_t *value, void *to); /* struct ip_addr, of IPv4 */
bool decode_prefix(struct decode *d, json_t *value, void *to); /* struct ip_prefix */
bool decode_prefix_ipv4(struct decode *d, json_t *value, void *to);
bool decode_mac(struct decode *d, json_t *value, void *to); /* struct mac_addr: a unicast one */
