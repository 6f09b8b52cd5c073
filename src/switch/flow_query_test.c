/* Questions about flows, put to a switch without devices. */
#include "switch/flow_query.h"

#include "base/fault.h"
#include "switch/test_lab.h"

static json_t *ask(
	struct fixture *f, json_t *(*method)(const struct datapath *, json_t *, GError **), json_t *params)
{
	g_autoptr(GError) error = NULL;
	json_t *result = method(f->datapath, params, &error);

	g_assert_no_error(error);
	json_decref(params);
	return result;
}

static json_t *flows_of(struct fixture *f, json_t *params)
{
	json_auto_t *result = ask(f, flow_query_list, params);

	g_assert_true(json_is_null(json_object_get(result, "next")));
	return json_incref(json_object_get(result, "flows"));
}

static size_t count_of(struct fixture *f, json_t *params)
{
	json_auto_t *rows = flows_of(f, params);

	return json_array_size(rows);
}

static const char *text(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

static json_int_t number(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

/* a → c by UDP, a → the outside by TCP. */
static void make_flows(struct fixture *f)
{
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 2000, 10));
	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 2000, 10));
	lab_put(f, "c", test_udp(MAC_C, MAC_GATEWAY, IP_C, 2000, IP_A, 1000, 0));
	lab_put(f, "a", test_tcp(MAC_A, MAC_GATEWAY, IP_A, 3000, PEER, 443, TCP_SYN, 0));
}

static void test_rows(struct fixture *f, const void *data)
{
	make_flows(f);
	json_auto_t *rows = flows_of(f, json_pack("{s:s}", "protocol", "udp"));
	g_assert_cmpuint(json_array_size(rows), ==, 2);
	const json_t *there = json_array_get(rows, 0), *back = json_array_get(rows, 1);

	g_assert_cmpstr(text(there, "src"), ==, IP_A);
	g_assert_cmpstr(text(there, "dst"), ==, IP_C);
	g_assert_cmpint(number(there, "sport"), ==, 1000);
	g_assert_cmpint(number(there, "packets"), ==, 2);
	g_assert_cmpint(number(there, "bytes"), ==, 2 * (14 + 20 + 8 + 10));
	g_assert_cmpint(number(back, "packets"), ==, 1);
	g_assert_true(json_is_true(json_object_get(back, "reply")));
	g_assert_cmpstr(text(back, "nic"), ==, "c");
	g_assert_cmpstr(text(there, "state"), ==, "established");
	g_assert_cmpstr(text(there, "id"), ==, text(back, "id"));
	g_assert_cmpstr(text(there, "offload"), ==, "none");
}

/* Past what milliseconds in 32 bits tell. */
static void test_age(struct fixture *f, const void *data)
{
	const json_int_t year = 365 * 86400;
	uint32_t now_s = (uint32_t)(datapath_clock_ms() / 1000);

	lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, 1000, IP_C, 2000, 0));
	flow_table_at(f->datapath->flows, 1)->created_s = now_s - (uint32_t)year;
	flow_table_at(f->datapath->flows, 2)->created_s = now_s - (uint32_t)year;
	json_auto_t *rows = flows_of(f, NULL);
	json_int_t age_s = number(json_array_get(rows, 0), "age_s");
	g_assert_cmpint(age_s, >=, year);
	g_assert_cmpint(age_s, <, year + 600);
}

static void test_filters(struct fixture *f, const void *data)
{
	make_flows(f);
	g_assert_cmpuint(count_of(f, NULL), ==, 4);
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "nic", "a")), ==, 4);
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "nic", "c")), ==, 2);
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "nic", "b")), ==, 0);
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "protocol", "6")), ==, 2);
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "protocol", "icmp")), ==, 0);
	g_assert_cmpuint(count_of(f, json_pack("{s:i}", "port", 443)), ==, 2);
	g_assert_cmpuint(count_of(f, json_pack("{s:i}", "port", 444)), ==, 0);
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "address", "192.168.2.0/24")), ==, 2);
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "address", PUBLIC_A)), ==, 2); /* translated to it */
	g_assert_cmpuint(count_of(f, json_pack("{s:s}", "state", "new")), ==, 2);
	g_assert_cmpuint(count_of(f, json_pack("{s:s, s:i}", "state", "new", "port", 2000)), ==, 0);
}

static void test_pages(struct fixture *f, const void *data)
{
	const unsigned connections = 10;
	unsigned seen = 0, pages = 0;
	json_int_t cursor = 1;

	for (uint16_t port = 1; port <= connections; port++)
		lab_put(f, "a", test_udp(MAC_A, MAC_GATEWAY, IP_A, port, IP_C, 2000, 0));
	while (cursor) {
		json_auto_t *page =
			ask(f, flow_query_list, json_pack("{s:i, s:I}", "limit", 5, "cursor", cursor));
		size_t n = json_array_size(json_object_get(page, "flows"));
		g_assert_cmpuint(n, <=, 4); /* connections are whole */
		seen += (unsigned)n;
		pages++;
		cursor = number(page, "next");
	}
	g_assert_cmpuint(seen, ==, 2 * connections);
	g_assert_cmpuint(pages, >=, 5);
}

static void test_count(struct fixture *f, const void *data)
{
	make_flows(f);
	json_auto_t *all = ask(f, flow_query_count, NULL);
	json_auto_t *tcp = ask(f, flow_query_count, json_pack("{s:s}", "protocol", "tcp"));

	g_assert_cmpint(number(all, "connections"), ==, 2);
	g_assert_cmpint(number(all, "packets"), ==, 4);
	g_assert_cmpint(number(json_object_get(all, "states"), "established"), ==, 1);
	g_assert_cmpint(number(json_object_get(all, "states"), "new"), ==, 1);
	g_assert_cmpint(number(tcp, "connections"), ==, 1);
	g_assert_cmpint(number(tcp, "bytes"), ==, 14 + 20 + 20);
	g_assert_true(json_is_null(json_object_get(all, "next")));
}

static void test_show(struct fixture *f, const void *data)
{
	g_autoptr(GError) error = NULL;

	make_flows(f);
	json_auto_t *rows = flows_of(f, json_pack("{s:i}", "port", 443));
	json_auto_t *params = json_pack("{s:s}", "id", text(json_array_get(rows, 0), "id"));
	json_auto_t *shown = flow_query_show(f->datapath, params, &error);
	g_assert_no_error(error);
	const json_t *forward = json_object_get(shown, "forward"), *reply = json_object_get(shown, "reply");
	g_assert_cmpstr(text(forward, "src"), ==, IP_A);
	g_assert_cmpstr(text(reply, "dst"), ==, PUBLIC_A);
	g_assert_cmpstr(json_string_value(json_array_get(json_object_get(forward, "actions"), 0)), ==,
		"source " PUBLIC_A);
	g_assert_cmpstr(
		json_string_value(json_array_get(json_object_get(forward, "tcp_flags_seen"), 0)), ==, "syn");
	g_assert_cmpint(number(forward, "tcp_window_shift"), ==, 0); /* its SYN did not speak of it */
	g_assert_null(json_object_get(forward, "tcp_acknowledged"));
	g_assert_true(json_is_true(json_object_get(shown, "current")));
	g_assert_cmpint(number(shown, "expires_s"), <=, 60);
	lab_pass(f, 70 * SECOND);
	g_assert_null(flow_query_show(f->datapath, params, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
}

static void test_refused(struct fixture *f, const void *data)
{
	static const struct {
		const char *params, *says;
		enum fault code;
	} cases[] = {
		{"{\"nic\": \"q\"}", "no NIC with the uid or name q", FAULT_NOT_FOUND},
		{"{\"protocol\": \"tpc\"}", "protocol: must be tcp", FAULT_INVALID},
		{"{\"protocol\": \"256\"}", "protocol: must be tcp", FAULT_INVALID},
		{"{\"address\": \"10.0.0.1/8\"}", "address: must be", FAULT_INVALID},
		{"{\"port\": 65536}", "port: must be", FAULT_INVALID},
		{"{\"state\": \"open\"}", "state: must be", FAULT_INVALID},
		{"{\"limit\": 0}", "limit: must be", FAULT_INVALID},
		{"{\"cursor\": 0}", "cursor: must be", FAULT_INVALID},
		{"{\"colour\": \"red\"}", "colour: is not known", FAULT_INVALID},
		{"[]", "must be an object", FAULT_INVALID},
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		json_auto_t *params = json_loads(cases[i].params, 0, NULL);
		g_autoptr(GError) error = NULL;
		g_assert_null(flow_query_list(f->datapath, params, &error));
		g_assert_error(error, FAULT, (int)cases[i].code);
		g_assert_nonnull(strstr(error->message, cases[i].says));
	}
}

static void test_ambiguous(struct fixture *f, const void *data)
{
	json_auto_t *params = json_pack("{s:s}", "nic", "web");
	g_autoptr(GError) error = NULL;

	json_object_set_new(lab_nic(f, 0), "name", json_string("web"));
	json_object_set_new(lab_nic(f, 2), "name", json_string("web"));
	lab_apply(f);
	g_assert_null(flow_query_list(f->datapath, params, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
	g_assert_nonnull(strstr(error->message, "a (" IP_A ", " PUBLIC_A ")"));
	g_assert_nonnull(strstr(error->message, "c (" IP_C ")"));
}

#define ADD(name, test) g_test_add("/flow query/" name, struct fixture, NULL, lab_setup, test, lab_teardown)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("a connection is two rows with what each direction did", test_rows);
	ADD("a connection is as old as it is, after a year as after a minute", test_age);
	ADD("filters choose whole connections, by any address that they have", test_filters);
	ADD("pages together are all of it, once", test_pages);
	ADD("counting adds both directions up, by state", test_count);
	ADD("a connection is shown by its id until it ends", test_show);
	ADD("a wrong question is refused and says where", test_refused);
	ADD("a name that two NICs have is refused with what tells them apart", test_ambiguous);
	return lab_run();
}
