/* Between the tunnel's thread and its owner's. */
#include "agent/tunnel_priv.h"

struct errand {
	void (*fn)(void *data);
	void *data;
	GMutex lock;
	GCond done_cond;
	bool done;
};

static gboolean run_errand(void *data)
{
	struct errand *errand = data;

	errand->fn(errand->data);
	g_mutex_lock(&errand->lock);
	errand->done = true;
	g_cond_signal(&errand->done_cond);
	g_mutex_unlock(&errand->lock);
	return G_SOURCE_REMOVE;
}

void tunnel_do(struct tunnel *tunnel, void (*fn)(void *data), void *data)
{
	struct errand errand = {.fn = fn, .data = data};
	g_autoptr(GSource) source = g_idle_source_new();

	g_mutex_init(&errand.lock);
	g_cond_init(&errand.done_cond);
	g_source_set_priority(source, G_PRIORITY_HIGH);
	g_source_set_callback(source, run_errand, &errand, NULL);
	g_source_attach(source, tunnel->context);
	g_mutex_lock(&errand.lock);
	while (!errand.done)
		g_cond_wait(&errand.done_cond, &errand.lock);
	g_mutex_unlock(&errand.lock);
	g_mutex_clear(&errand.lock);
	g_cond_clear(&errand.done_cond);
}

/* Something on its way to the owner. */
struct message {
	struct tunnel_life *life; /* Ref */
	void (*fn)(void *data);
	void *data;
	void (*release)(void *data);
};

static gboolean run_message(void *data)
{
	struct message *message = data;

	if (!message->life->ended)
		message->fn(message->data);
	return G_SOURCE_REMOVE;
}

static void message_free(void *data)
{
	struct message *message = data;

	message->release(message->data);
	g_atomic_rc_box_release(message->life);
	g_free(message);
}

void tunnel_tell(struct tunnel *tunnel, void (*fn)(void *data), void *data, void (*release)(void *data))
{
	struct message *message = g_new0(struct message, 1);
	g_autoptr(GSource) source = g_idle_source_new();

	*message = (struct message){g_atomic_rc_box_acquire(tunnel->life), fn, data, release};
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, run_message, message, message_free);
	g_source_attach(source, tunnel->owner);
}

static void *run(void *data)
{
	struct tunnel *tunnel = data;

	g_main_context_push_thread_default(tunnel->context);
	g_main_loop_run(tunnel->loop);
	g_main_context_pop_thread_default(tunnel->context);
	return NULL;
}

void tunnel_thread_init(struct tunnel *tunnel)
{
	tunnel->owner = g_main_context_ref_thread_default();
	tunnel->context = g_main_context_new();
	tunnel->loop = g_main_loop_new(tunnel->context, false);
	tunnel->life = g_atomic_rc_box_new0(struct tunnel_life);
}

void tunnel_thread_start(struct tunnel *tunnel)
{
	tunnel->thread = g_thread_new("tunnel", run, tunnel);
}

void tunnel_thread_clear(struct tunnel *tunnel)
{
	g_atomic_rc_box_release(tunnel->life);
	g_main_loop_unref(tunnel->loop);
	g_main_context_unref(tunnel->context);
	g_main_context_unref(tunnel->owner);
}
