/* The agent's control socket, for operators: JSON-RPC at <run-dir>/agent.sock.
 *
 *     status {"host","version","goal","applied","controller","switch","vms":[...],"memory":{...}} vf.list
 * [{"nic","nic_name","vm","function","provider","state","active","revoked","changes", "reason"}] vf.revoke
 * {"nic": X}      {"nic","state","changes","unplug_ms","copy_ms","total_ms"} vf.restore {"nic": X}
 * {"nic","state","changes","plug_ms","copy_ms","total_ms"} X is a NIC's uid, its name where only one has it,
 * or the name of its function (also as {"function": X}). copy_ms is how long deliveries were copied to both
 * attachments. A revocation sticks until it is restored.
 *
 * How it works. The two changes take seconds, and a JSON-RPC handler answers when it returns: so the server
 * has a thread of its own, where a handler waits until the main thread has the answer. Calls follow each
 * other.
 */
#pragma once
#include "agent/agent.h"

struct control_socket;

struct control_socket *control_socket_open(struct agent *agent, const char *path, GError **error);
/* Before agent_free: calls that wait are answered that the agent stops. */
void control_socket_close(struct control_socket *socket);
CLEANUP_FUNC(struct control_socket *, control_socket_close)
