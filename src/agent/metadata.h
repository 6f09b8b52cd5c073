/* The metadata service: answers guests at 169.254.169.254.
 *
 * How it works. Guests reach it through the switch's host port, where each NIC has a source address of its
 * own; that address is the NIC's identity, and no guest can take another's. The listening socket is made
 * inside the metadata namespace and served from the main loop. Rules and answers are those of Azure's
 * service, header "Metadata: true" needed:
 *     GET /metadata/instance[/PATH]?api-version=VERSION[&format=json|text]
 *     GET /metadata/versions
 *     GET, POST /metadata/scheduledevents?api-version=VERSION     events.h
 *     GET, PUT /sluice/v1/policy                                  ours: guest_policy.h
 *     PUT /sluice/v1/guest                                        ours: guest_identity.h
 * A request that was forwarded by a proxy (X-Forwarded-For) is refused, so that a guest's web server can not be
 * tricked into handing the document out.
 */
#pragma once
#include "base/cleanup.h"
#include "model/goal.h"

struct events;
struct guest_identities;
struct guest_policies;
struct metadata;

struct metadata_config {
	const char *netns; /* where to listen; NULL: the process's own namespace */
	const char *address; /* "169.254.169.254" */
	unsigned port; /* 80; 0: any free one */
	/* The goal in force; Borrowed for the length of a request, NULL when there is none. */
	const struct goal *(*goal)(void *data);
	void *data;
	struct guest_policies *policies; /* NULL: the service does not know of them */
	struct guest_identities *identities; /* likewise */
	struct events *events; /* likewise */
};

/* FAULT_INTERNAL when the address cannot be listened on. */
struct metadata *metadata_serve(const struct metadata_config *config, GError **error);
void metadata_free(struct metadata *metadata);
CLEANUP_FUNC(struct metadata *, metadata_free)

/* The port that it listens on. */
unsigned metadata_port(const struct metadata *metadata);
