/* Words and sentences of the drop reasons. */
#include "switch/drop.h"

#include <assert.h>

static const struct {
	const char *word, *text;
} reasons[DROP_COUNT] = {[DROP_NONE] = {"none", "not dropped"},
#define X(NAME, word, text) [DROP_##NAME] = {word, text},
	DROP_REASONS(X)
#undef X
};

const char *drop_word(enum drop reason)
{
	assert(reason < DROP_COUNT);
	return reasons[reason].word;
}

const char *drop_text(enum drop reason)
{
	assert(reason < DROP_COUNT);
	return reasons[reason].text;
}
