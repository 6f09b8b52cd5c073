/* Parts of states about load balancers, for tests. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#define MAC_LB "00:0d:3a:00:00:1b"

static inline json_t *test_member(const char *ip)
{
	return json_pack("{s:s, s:b}", "ip", ip, "healthy", true);
}

/* For a TCP port of that address; takes the members. */
static inline json_t *test_rule(
	const char *name, const char *address, int port, int member_port, json_t *members)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:o}", "name", name, "address", address, "protocol",
		"tcp", "port", port, "member_port", member_port, "members", members);
}

/* "lb" of network n; takes the rules. */
static inline json_t *test_balancer(const char *address, json_t *rules)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:[s], s:o}", "uid", "lb", "name", "lb", "mac", MAC_LB,
		"network", "n", "addresses", address, "rules", rules);
}
