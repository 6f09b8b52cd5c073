/* What differs between two states of a resource. */
#include "api/arm/what_if_delta.h"

#include "base/relaxed_json.h"

#include <string.h>

static json_t *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	json_t *json = relaxed_json_parse(text, strlen(text), &error);

	g_assert_no_error(error);
	return json;
}

/* Each change as "~path=before>after", "+path=after", "-path=before", "*path[...]"; texts are without quotes. */
static void describe(GString *to, const json_t *delta)
{
	json_t *change;
	size_t i;

	json_array_foreach((json_t *)delta, i, change)
	{
		const char *type = json_string_value(json_object_get(change, "propertyChangeType"));
		const json_t *children = json_object_get(change, "children");
		g_autofree char *before = json_dumps(
					json_object_get(change, "before"), JSON_ENCODE_ANY | JSON_COMPACT),
				*after = json_dumps(
					json_object_get(change, "after"), JSON_ENCODE_ANY | JSON_COMPACT);
		g_string_append_printf(to, "%s%c%s", i ? " " : "",
			*type == 'C'   ? '+'
			: *type == 'D' ? '-'
			: *type == 'A' ? '*'
				       : '~',
			json_string_value(json_object_get(change, "path")));
		if (children) {
			g_string_append_c(to, '[');
			describe(to, children);
			g_string_append_c(to, ']');
		} else {
			g_string_append_printf(to, "=%s%s%s", before ? before : "", *type == 'M' ? ">" : "",
				after ? after : "");
		}
	}
}

static void assert_delta(const char *before, const char *after, const char *expected)
{
	json_auto_t *was = parse(before), *is = parse(after), *delta = what_if_delta(was, is);
	g_autoptr(GString) text = g_string_new(NULL);

	describe(text, delta);
	g_assert_cmpstr(text->str, ==, expected);
}

static void test_members(void)
{
	assert_delta("{a: 1, b: {c: 'x'}}", "{b: {c: 'x'}, a: 1}", "");
	assert_delta("{a: 1, b: {c: 'x'}}", "{a: 2, b: {c: 'y'}}", "~a=1>2 ~b.c=\"x\">\"y\"");
	assert_delta(
		"{a: 1, tags: {one: '1'}}", "{tags: {two: '2'}}", "-a=1 -tags.one=\"1\" +tags.two=\"2\"");
	assert_delta("{a: {b: 1}}", "{a: [1]}", "~a={\"b\":1}>[1]");
	assert_delta("{a: 1}", "{a: true}", "~a=1>true");
}

static void test_empty(void)
{
	assert_delta("{a: null, b: [], c: {}}", "{}", "");
	assert_delta("{}", "{a: null, b: {}, c: []}", "");
	assert_delta("{a: {b: {c: null}}}", "{}", "");
	assert_delta("{a: []}", "{a: [1]}", "+a=[1]");
	assert_delta("{a: {b: 1}}", "{a: {}}", "-a={\"b\":1}");
	assert_delta("{a: false, b: ''}", "{}", "-a=false -b=\"\"");
}

static void test_named(void)
{
	assert_delta("{r: [{name: 'a', p: {x: 1}}, {name: 'b', p: {x: 1}}]}",
		"{r: [{name: 'A', p: {x: 1}}, {name: 'b', p: {x: 2}}]}",
		"*r[~0[~name=\"a\">\"A\"] ~1[~p.x=1>2]]");
	assert_delta("{r: [{name: 'a', x: 1}, {name: 'b', x: 1}]}",
		"{r: [{name: 'b', x: 1}, {name: 'c', x: 1}]}",
		"*r[-0={\"name\":\"a\",\"x\":1} +1={\"name\":\"c\",\"x\":1}]");
	assert_delta("{r: [{id: '/a'}, {id: '/b'}]}", "{r: [{id: '/b'}]}", "*r[-0={\"id\":\"/a\"}]");
	/* Which one is first matters. */
	assert_delta("{r: [{id: '/a'}, {id: '/b'}]}", "{r: [{id: '/b'}, {id: '/a'}]}",
		"~r=[{\"id\":\"/a\"},{\"id\":\"/b\"}]>[{\"id\":\"/b\"},{\"id\":\"/a\"}]");
}

static void test_plain(void)
{
	assert_delta("{p: ['22', '80']}", "{p: ['22', '443', '80']}", "*p[+1=\"443\"]");
	assert_delta("{p: ['22', '80']}", "{p: ['80']}", "*p[-0=\"22\"]");
	assert_delta("{p: ['a', 'a']}", "{p: ['a']}", "*p[-1=\"a\"]");
	assert_delta("{p: [1, 2]}", "{p: [2, 1]}", "~p=[1,2]>[2,1]");
	/* Nothing tells them apart, or two have the same name. */
	assert_delta("{p: [{x: 1}, {x: 2}]}", "{p: [{x: 1}, {x: 3}]}", "*p[~1[~x=2>3]]");
	assert_delta("{p: [{name: 'a', x: 1}, {name: 'a', x: 2}]}", "{p: [{name: 'a', x: 1}]}",
		"*p[-1={\"name\":\"a\",\"x\":2}]");
	assert_delta("{p: [[1], [2]]}", "{p: [[1], [3]]}", "*p[*1[-0=2 +0=3]]");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/arm/what-if/delta/has a path for each member that changes", test_members);
	g_test_add_func("/arm/what-if/delta/takes what is empty for absent", test_empty);
	g_test_add_func("/arm/what-if/delta/knows elements of lists by name or id", test_named);
	g_test_add_func("/arm/what-if/delta/knows others by value or place", test_plain);
	return g_test_run();
}
