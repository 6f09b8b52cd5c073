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

/* Each that releases sees what those before it have done: the last of them clears the box. */
static inline void sanitized_rc_box_release(void *box, GDestroyNotify clear)
{
	__tsan_release(box);
	__tsan_acquire(box);
	g_atomic_rc_box_release_full(box, clear);
}

#define g_mutex_lock                 sanitized_mutex_lock
#define g_mutex_unlock               sanitized_mutex_unlock
#define g_cond_wait                  sanitized_cond_wait
#define g_cond_wait_until            sanitized_cond_wait_until
#define g_atomic_rc_box_release_full sanitized_rc_box_release
#endif
