/* The Azure Resource Manager dialect: what `az` and other clients of ARM's REST API see of Sluice.
 *
 * How it works. A resource type is a row of a table (arm_priv.h): how its JSON becomes a model object and
 * back. Everything that types share — ids, groups, tags, ETags, asynchronous operations, errors — is done
 * once, in resource.c and operations.c. A PUT decodes the body into a fresh object, hands it to control_put()
 * and answers with what is stored; when the operation behind it is still running, the answer carries its URL,
 * and a GET there is held open until it is over (the client's first poll comes at once, so one poll does).
 * Template deployments go through the same PUT, resource by resource (deploy.c).
 *
 * The shape of what is sent is checked here; the rules of the domain are the control plane's.
 */
#pragma once
#include "api/audit.h"
#include "api/auth.h"
#include "api/server.h"
#include "control/control.h"

struct arm;

struct arm_config {
	struct control *control; /* Borrowed */
	const struct auth *auth; /* Borrowed */
	const char *url; /* that clients reach the server by; NULL: the server's own */
	struct audit *audit; /* Borrowed; NULL: none is kept */
};

struct arm *arm_new(const struct arm_config *config);
void arm_free(struct arm *arm);
CLEANUP_FUNC(struct arm *, arm_free)

/* For the server that carries it, with struct arm as its data. */
extern const struct server_dialect arm_dialect;
/* The server is Borrowed and outlives calls only. */
void arm_serve(struct arm *arm, struct server *server);
