/* The operator's side of a mirror: the methods mirror.start, mirror.read and mirror.stop (docs/API.md).
 *
 * How it works. There is one mirror at a time. Its reader fetches copies by mirror.read; one that has not done so
 * for MIRROR_IDLE_S has gone away, and the mirror ends by itself. Main thread only.
 */
#pragma once
#include "switch/mirror.h"

#define MIRROR_IDLE_S 10

struct mirror_session;

/* datapath: Borrowed. */
struct mirror_session *mirror_session_new(struct datapath *datapath);
/* Ends the mirror, if there is one. */
void mirror_session_free(struct mirror_session *session);
CLEANUP_FUNC(struct mirror_session *, mirror_session_free)

json_t *mirror_session_start(struct mirror_session *session, json_t *params, GError **error);
json_t *mirror_session_read(struct mirror_session *session, json_t *params, GError **error);
json_t *mirror_session_stop(struct mirror_session *session, json_t *params, GError **error);

/* Every second: `now_us` of the monotonic clock. */
void mirror_session_tick(struct mirror_session *session, int64_t now_us);

/* Of all mirrors since the start. */
struct mirror_counters mirror_session_counters(const struct mirror_session *session);
