/* What a guest may read about itself: the document behind the metadata service. Pure.
 *
 * Its shape is that of Azure's Instance Metadata Service, /metadata/instance of version 2021-08-01, since
 * that is what cloud-init and guest agents read. Members that Sluice has nothing to say about are empty text
 * or left out.
 */
#pragma once
#include "model/goal.h"

/* The NIC whose traffic comes from this address of the host port; NULL when there is none. Borrowed. */
const struct goal_nic *metadata_find_nic(const struct goal *goal, const char *host_address);

/* {"compute": {...}, "network": {...}} of the VM that has the NIC: new reference; NULL when the goal does not
 * name the VM. */
json_t *metadata_document(const struct goal *goal, const struct goal_nic *nic);

/* The part of a document that a path names, as "compute/publicKeys/0/keyData"; an empty path is the whole.
 * NULL when there is none. Borrowed. */
const json_t *metadata_find(const json_t *document, const char *path);

/* As text: a leaf as it is, lines with the names of what is below anything else (a name that has more below
 * it ends with '/'). Owned by the caller. */
char *metadata_text(const json_t *part);
