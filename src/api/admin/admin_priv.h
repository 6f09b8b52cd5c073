/* What the files of the operator's view share. */
#pragma once
#include "api/admin/admin.h"
#include "api/page.h"

/* {"uid", "name", "group"}; null when there is none. */
json_t *admin_user(struct control *control, enum kind kind, const char *uid);

/* A JSON object; NULL with *error. New reference. */
json_t *admin_read_body(const struct call *call, GError **error);
/* Answers a page of all objects of a kind, each as `encode` has it (NULL with *error: the page fails), as {WORD: […]}. */
typedef json_t *(*admin_encode_fn)(struct control *control, const void *object, GError **error);
void admin_list(
	struct call *call, struct control *control, enum kind kind, const char *word, admin_encode_fn encode);
/* Takes the JSON; NULL: it failed. */
void admin_answer(struct call *call, unsigned status, json_t *json, const GError *error);
/* By the uid in the path, or by group and name. Owned by the caller. */
void *admin_find(const struct call *call, struct control *control, enum kind kind, GError **error);

/* vms.c: virtual machines, and their way from host to host. */
extern const struct route admin_vm_routes[];
/* networks.c: physical networks, and the segments of virtual ones. */
extern const struct route admin_network_routes[];
/* quotas.c */
extern const struct route admin_quota_routes[];
