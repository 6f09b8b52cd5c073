/* What hosts ask of the controller: their goal, and who hears their reports.
 *
 *     GET /agent/v1/goal?after=VERSION   200 with a goal newer than VERSION, or 204: none came within 25 s
 *     PUT /agent/v1/report               204
 *
 * On a listener of its own, which admits only certificates of the hosts' CA; the certificate's common name is
 * the host's name, so a host sees its own goal only and reports for itself only. Requests and answers carry
 * "Sluice-Protocol: 1"; a host of another protocol is refused. Shapes: model/goal.h.
 * Failures: {"fault": word of enum fault, "message": sentence}.
 */
#pragma once
#include "api/server.h"
#include "control/control.h"

/* For the server that carries it; its data is the control plane. */
extern const struct server_dialect agent_dialect;
void agent_serve(struct control *control, struct server *server);
