/* Fuzz target: what agent and controller tell each other, the goal state and the report. The bytes are JSON, which is
 * read as both. */
#include "fuzz.h"

#include "base/fault.h"
#include "model/goal.h"

static void read_as(const struct shape *shape, const json_t *json, unsigned flags)
{
	g_autoptr(GError) error = NULL;
	void *object = shape_decode(shape, json, flags, &error);

	if (!object) {
		g_assert_error(error, FAULT, FAULT_INVALID);
		return;
	}
	g_assert_no_error(error);
	/* What was understood is said again so that it is understood alike, also by the strict. */
	json_auto_t *said = shape_encode(shape, object);
	void *again = shape_decode(shape, said, SHAPE_STRICT, &error), *copy = shape_copy(shape, object);
	g_assert_no_error(error);
	g_assert_true(shape_equal(shape, object, again));
	g_assert_true(shape_equal(shape, object, copy));
	shape_free(shape, copy);
	shape_free(shape, again);
	shape_free(shape, object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);

	if (!json)
		return 0;
	read_as(&goal_shape, json, SHAPE_LENIENT);
	read_as(&goal_shape, json, SHAPE_STRICT);
	read_as(&report_shape, json, SHAPE_LENIENT);
	return 0;
}
