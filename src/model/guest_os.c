/* What a guest says that it is. */
#include "model/guest_os.h"

#include "base/kernel_age.h"

#include <string.h>

static const struct field guest_os_fields[] = {F_STRING(guest_os, kernel), F_STRING(guest_os, id),
	F_STRING(guest_os, version), F_STRING(guest_os, name), F_STRING(guest_os, agent), F_END};
const struct shape guest_os_shape = {"guest", sizeof(struct guest_os), guest_os_fields};

void guest_os_take(struct guest_os *os, const struct guest_os *from)
{
	struct guest_os *copy = shape_copy(&guest_os_shape, from), old = *os;

	*os = *copy;
	*copy = old;
	shape_free(&guest_os_shape, copy);
}

bool guest_word_is_sound(const char *word)
{
	if (!word)
		return true;
	if (!*word || strlen(word) > GUEST_WORD_MAX || !g_utf8_validate(word, -1, NULL))
		return false;
	for (const char *c = word; *c; c = g_utf8_next_char(c))
		if (!g_unichar_isprint(g_utf8_get_char(c)))
			return false;
	return true;
}

bool guest_os_is_sound(const struct guest_os *os)
{
	return os->kernel && guest_word_is_sound(os->kernel) && guest_word_is_sound(os->id) &&
	       guest_word_is_sound(os->version) && guest_word_is_sound(os->name) &&
	       guest_word_is_sound(os->agent);
}

char *guest_os_explain(const struct guest_os *os, const char *reason)
{
	const struct kernel_minimum *minimum = kernel_minimum_missed(os->id, os->version, os->kernel);

	if (!minimum)
		return g_strdup(reason);
	return g_strdup_printf("%s%sIts guest runs kernel %s, older than %s, with which VFs begin to work in "
			       "%s: " KERNEL_REMEDY ".",
		reason ? reason : "", reason ? " " : "", os->kernel, minimum->kernel, minimum->name);
}
