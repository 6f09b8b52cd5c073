/* SSH public keys that users keep by a name, and hand to machines. A machine has a copy: what becomes of the key later is
 * nothing to it. */
#include "base/fault.h"
#include "base/ssh_key.h"
#include "control/control_priv.h"

static bool key_pair_prepare(struct put *put, GError **error)
{
	const struct key_pair *pair = put->object;

	if (!pair->spec.key || ssh_key_check(pair->spec.key, error))
		return true;
	g_prefix_error(error, "SSH public key %s: ", pair->meta.name);
	return false;
}

static bool key_pair_release(struct control *control, struct change *change, void *object, GError **error)
{
	return true;
}

const struct kind_hooks key_pair_hooks = {
	.prepare = key_pair_prepare,
	.release = key_pair_release,
};
