/* Small values for tests: addresses from text, and random numbers that --seed replays. */
#pragma once
#include "base/ip.h"

#include <glib.h>

/* 0..n-1 */
static inline unsigned test_below(unsigned n)
{
	return (unsigned)g_test_rand_int_range(0, (int)n);
}

static inline struct ip_addr test_addr(const char *text)
{
	struct ip_addr addr;

	g_assert_cmpint(ip_parse(text, &addr), ==, 0);
	return addr;
}

static inline struct ip_prefix test_prefix(const char *text)
{
	struct ip_prefix prefix;

	g_assert_cmpint(prefix_parse(text, &prefix), ==, 0);
	return prefix;
}
