/* Lists in pages: what a client asks for, and the link to what follows.
 *
 * A page has `$top` elements at most (100 when it is not said, 1000 in any case). What is behind it is at "nextLink":
 * the URL by which the client asked, with a `$skiptoken` that says behind which element the list goes on. It names the
 * element and no number, so what is there all the while is in one page, whatever comes and goes between two. Clients
 * take it as it is.
 */
#pragma once
#include "api/call.h"
#include "control/control.h"

struct page {
	guint limit;
	char *after; /* Owned: position that $skiptoken says; NULL: from the start */
	char *next; /* Owned: position of the last element; NULL: the list is at its end */
	guint taken, looked; /* elements that are in it, and that were looked at */
};

/* FAULT_INVALID for a $top that is no number from 1 on, or a $skiptoken that no list has given. */
bool page_of_call(const struct call *call, struct page *ret, GError **error);
void page_clear(struct page *page);
CLEANUP_CLEAR_FUNC(struct page, page_clear)

/* Whether the object is taken into the page. */
typedef bool (*page_take_fn)(const void *object, void *data);
/* Fills the page by objects of a kind, as control_list_page() has them. A filter that few pass makes a short page, with a
 * link, and not a long wait. */
bool page_walk(struct page *page, struct control *control, enum kind kind, const char *parent,
	page_take_fn take, void *data, GError **error);
/* No more fits in. */
bool page_is_full(const struct page *page);

/* What tells apart the elements of an array. Owned text, compared without case. */
typedef char *(*page_key_fn)(const json_t *element);
char *page_key_name(const json_t *element); /* its member "name" */
char *page_key_id(const json_t *element); /* "id" */
/* Takes an array that is there as a whole, and gives back what of it is the page's. An array of more than one page is
 * sorted by its keys. */
json_t *page_cut(struct page *page, json_t *array, page_key_fn key);

/* {"WORD": array, "nextLink"?}; takes the array. */
json_t *page_encode(const struct page *page, const struct call *call, const char *word, json_t *array);
