/* For builds with a sanitizer of threads, which every file of theirs includes first (meson.build): GLib is not built with it, so
 * what its locks order has to be told. */
#pragma once
#if __has_include(<glib.h>)
#include <glib.h>
#include <sanitizer/tsan_interface.h>

static inline void sanitized_mutex_lock(GMutex *mutex)
{
	g_mutex_lock(mutex);
	__tsan_acquire(mutex);
}

static inline void sanitized_mutex_unlock(GMutex *mutex)
{
	__tsan_release(mutex);
	g_mutex_unlock(mutex);
}

static inline void sanitized_cond_wait(GCond *cond, GMutex *mutex)
{
	__tsan_release(mutex);
	g_cond_wait(cond, mutex);
	__tsan_acquire(mutex);
}

static inline gboolean sanitized_cond_wait_until(GCond *cond, GMutex *mutex, gint64 end_time)
{
	__tsan_release(mutex);
	gboolean in_time = g_cond_wait_until(cond, mutex, end_time);
	__tsan_acquire(mutex);
	return in_time;
}

typedef struct SanitizedLocker SanitizedLocker;

static inline SanitizedLocker *sanitized_locker_new(GMutex *mutex)
{
	sanitized_mutex_lock(mutex);
	return (SanitizedLocker *)mutex;
}

static inline void sanitized_locker_free(SanitizedLocker *locker)
{
	sanitized_mutex_unlock((GMutex *)locker);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SanitizedLocker, sanitized_locker_free)

/* Each that releases sees what those before it have done: the last of them clears the box. */
static inline void sanitized_rc_box_release(void *box, GDestroyNotify clear)
{
	__tsan_release(box);
	__tsan_acquire(box);
	g_atomic_rc_box_release_full(box, clear);
}

/* What a thread has done before it attaches an idle source is seen by the one that runs it. */
struct sanitized_call {
	GSource *source; /* Borrowed: its address only */
	GSourceFunc fn;
	void *data;
	GDestroyNotify clear;
};

static inline gboolean sanitized_call_run(void *data)
{
	struct sanitized_call *call = data;

	__tsan_acquire(call);
	__tsan_acquire(call->source);
	return call->fn(call->data);
}

static inline void sanitized_call_free(void *data)
{
	struct sanitized_call *call = data;

	__tsan_acquire(call);
	__tsan_acquire(call->source);
	if (call->clear)
		call->clear(call->data);
	g_free(call);
}

static inline void sanitized_source_set_callback(
	GSource *source, GSourceFunc fn, void *data, GDestroyNotify clear)
{
	if (source->source_funcs != &g_idle_funcs) {
		g_source_set_callback(source, fn, data, clear);
		return;
	}
	struct sanitized_call *call = g_new(struct sanitized_call, 1);
	*call = (struct sanitized_call){source, fn, data, clear};
	__tsan_release(call);
	g_source_set_callback(source, sanitized_call_run, call, sanitized_call_free);
}

static inline guint sanitized_source_attach(GSource *source, GMainContext *context)
{
	__tsan_release(source);
	return g_source_attach(source, context);
}

#define g_source_set_callback        sanitized_source_set_callback
#define g_source_attach              sanitized_source_attach
#define g_mutex_lock                 sanitized_mutex_lock
#define g_mutex_unlock               sanitized_mutex_unlock
#define g_mutex_locker_new           sanitized_locker_new
#define GMutexLocker                 SanitizedLocker
#define g_cond_wait                  sanitized_cond_wait
#define g_cond_wait_until            sanitized_cond_wait_until
#define g_atomic_rc_box_release_full sanitized_rc_box_release
#endif
