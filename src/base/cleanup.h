/* Cleanup attributes for our own types; GLib's g_autoptr covers GLib's.
 *
 *     CLEANUP_FUNC(struct store *, store_close)           in the header, once
 *     _cleanup_(store_close) struct store *store = NULL;  where it is used
 *
 * The variable is released when it goes out of scope; g_steal_pointer() keeps it.
 */
#pragma once

#define _cleanup_(fn) __attribute__((cleanup(fn##_at_exit)))

/* For pointers: fn(pointer) unless it is NULL. */
#define CLEANUP_FUNC(pointer_type, fn)                                                                       \
	static inline void fn##_at_exit(pointer_type *at)                                                    \
	{                                                                                                    \
		if (*at)                                                                                     \
			fn(*at);                                                                             \
	}

/* For structs on the stack: fn(&object). */
#define CLEANUP_CLEAR_FUNC(type, fn)                                                                         \
	static inline void fn##_at_exit(type *at)                                                            \
	{                                                                                                    \
		fn(at);                                                                                      \
	}
