/* SSH public keys: from JSON to the model and back, and making pairs.
 *
 * How it works. A pair is made in a thread of its own, since RSA takes long, while the call is held. Then the public key is
 * stored, unless somebody else has given the resource one meanwhile, and only then is the private one handed out: it is
 * nowhere else, and whoever hangs up before has changed nothing. Each resource has one in the making at most, and all
 * together PAIRS_MAX: the threads are few, and others need them.
 */
#include "api/arm/arm_priv.h"
#include "base/fault.h"
#include "base/ssh_key.h"

static const char *const owned[] = {"publicKey", NULL};

static void decode(struct arm *arm, const struct cursor *body, const void *object, void *wanted)
{
	const struct key_pair *old = object;
	struct key_pair *pair = wanted;
	struct cursor properties = cursor_object(body, "properties");

	pair->spec.key = cursor_dup(&properties, "publicKey");
	if (pair->spec.key)
		g_strstrip(pair->spec.key);
	else if (old)
		pair->spec.key = g_strdup(old->spec.key);
}

static void encode(struct arm *arm, const void *object, unsigned flags, json_t *answer, json_t *properties)
{
	const struct key_pair *pair = object;

	if (pair->spec.key)
		put_text(properties, "publicKey", pair->spec.key);
}

const struct arm_type arm_key_pairs = {
	.namespace = "Microsoft.Compute",
	.name = "sshPublicKeys",
	.kind = KIND_KEY_PAIR,
	.owned = owned,
	.decode = decode,
	.encode = encode,
};

/* ---- making a pair ---- */

#define PAIRS_MAX 4 /* made at one time */

/* By enum ssh_key_type. */
static const char *const types[] = {"RSA", "Ed25519", NULL};

/* A thread makes it. */
struct making {
	struct call *call; /* Borrowed: held until it is answered or gone; NULL: it is gone */
	struct arm *arm; /* Borrowed, as long as the call is there */
	GHashTable *pairs; /* Ref: the dialect's, which may be gone before the thread is done */
	char *uid; /* of the resource */
	enum ssh_key_type type;
	char *private, *public;
};

static void making_free(void *data)
{
	struct making *making = data;

	g_hash_table_unref(making->pairs);
	g_free(making->uid);
	ssh_key_free_private(making->private);
	g_free(making->public);
	g_free(making);
}

static bool check_empty(const struct key_pair *pair, GError **error)
{
	return !pair->spec.key || fault_set(error, FAULT_NOT_ALLOWED,
					  "SSH public key %s has a key already; a pair is made once for "
					  "each, create another one",
					  pair->meta.name);
}

/* Takes the resource's place among the pairs that are being made. */
static bool begin(struct arm *arm, const struct key_pair *pair, GError **error)
{
	if (g_hash_table_contains(arm->pairs, pair->meta.uid))
		return fault_set(error, FAULT_BUSY,
			"A pair for SSH public key %s is being made; wait for its answer, or create another "
			"one.",
			pair->meta.name);
	if (g_hash_table_size(arm->pairs) >= PAIRS_MAX)
		return fault_set(error, FAULT_UNAVAILABLE,
			"%d key pairs are being made, and no more are at one time; try again in a second.",
			PAIRS_MAX);
	return g_hash_table_add(arm->pairs, g_strdup(pair->meta.uid));
}

/* The resource as it is answered; NULL with *error. */
static struct key_pair *store_public(const struct making *making, GError **error)
{
	_cleanup_(model_free) struct key_pair *pair =
		control_get(making->arm->control, KIND_KEY_PAIR, making->uid, error);
	_cleanup_(control_result_clear) struct control_result result = {};

	if (!pair || !check_empty(pair, error))
		return NULL;
	const struct control_request request = {.principal = call_principal(making->call),
		.id = call_id(making->call),
		.if_revision = pair->meta.revision};
	pair->spec.key = g_strdup(making->public);
	return control_put(making->arm->control, pair, &request, &result, error) ? g_steal_pointer(&pair)
										 : NULL;
}

static void made(GObject *source, GAsyncResult *task, void *data)
{
	struct making *making = g_task_get_task_data(G_TASK(task));
	_cleanup_(model_free) struct key_pair *pair = NULL;
	GError *error = NULL;

	g_hash_table_remove(making->pairs, making->uid);
	if (!making->call)
		return;
	if (g_task_propagate_boolean(G_TASK(task), &error))
		pair = store_public(making, &error);
	if (!pair) {
		arm_fail(making->call, error);
		return;
	}
	g_autofree char *id = arm_id_of_object(making->arm, &pair->meta);
	call_answer_json(making->call, 200,
		json_pack("{s:s, s:s, s:s}", "privateKey", making->private, "publicKey", making->public, "id",
			id));
}

static void make(GTask *task, void *source, void *data, GCancellable *cancellable)
{
	struct making *making = data;
	GError *error = NULL;

	if (ssh_key_generate(making->type, &making->private, &making->public, &error))
		g_task_return_boolean(task, true);
	else
		g_task_return_error(task, error);
}

static void on_gone(void *data)
{
	((struct making *)data)->call = NULL;
}

/* Older clients send no body. */
static bool read_type(const struct call *call, enum ssh_key_type *ret, GError **error)
{
	GError *mistake = NULL;
	size_t length;

	*ret = SSH_KEY_RSA;
	call_body(call, &length);
	if (!length)
		return true;
	json_auto_t *body = arm_body(call, error);
	if (!body)
		return false;
	struct cursor root = cursor_root(body, &mistake);
	*ret = (enum ssh_key_type)cursor_word(&root, "encryptionType", types, SSH_KEY_RSA);
	if (mistake)
		g_propagate_error(error, mistake);
	return !mistake;
}

static struct key_pair *find(const struct call *call, struct arm *arm, GError **error)
{
	_cleanup_(arm_id_clear) struct arm_id id = {};

	arm_id_of_call(call, &id);
	struct meta *object = arm_find(arm, &id, error);
	if (!object || object->kind == KIND_KEY_PAIR)
		return (struct key_pair *)object;
	fault_set(error, FAULT_UNSUPPORTED, "A %s has no action generateKeyPair.",
		kind_info((enum kind)object->kind)->title);
	model_free(object);
	return NULL;
}

static void post_generate(struct call *call, void *data)
{
	struct arm *arm = data;
	enum ssh_key_type type;
	GError *error = NULL;
	_cleanup_(model_free) struct key_pair *pair = find(call, arm, &error);

	if (!pair || !check_empty(pair, &error) || !read_type(call, &type, &error) ||
		!begin(arm, pair, &error)) {
		arm_fail(call, error);
		return;
	}
	struct making *making = g_new0(struct making, 1);
	*making = (struct making){.call = call,
		.arm = arm,
		.pairs = g_hash_table_ref(arm->pairs),
		.uid = g_strdup(pair->meta.uid),
		.type = type};
	g_autoptr(GTask) task = g_task_new(NULL, NULL, made, NULL);
	g_task_set_task_data(task, making, making_free);
	call_hold(call, on_gone, making);
	g_task_run_in_thread(task, make);
}

#define RESOURCE "/subscriptions/{subscription}/resourceGroups/{group}/providers/{namespace}/{type}/{name}"

const struct route arm_key_pair_routes[] = {
	{"POST", RESOURCE "/generateKeyPair", post_generate},
	{},
};
