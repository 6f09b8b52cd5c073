/* Tests of checksums by difference, against whole ones. */
#include "switch/checksum.h"

#include <glib.h>
#include <stdbool.h>

static void fill(uint8_t *bytes, size_t n)
{
	/* Many zeros and ones, where one's complement has its corners. */
	for (size_t i = 0; i < n; i++)
		bytes[i] = g_test_rand_int_range(0, 3) ? (uint8_t)g_test_rand_int()
						       : (g_test_rand_int_range(0, 2) ? 0x00 : 0xff);
}

/* A receiver's check: the sum over everything, the checksum with it, is all ones. */
static bool verifies(const uint8_t *message, size_t n)
{
	return checksum_fold(checksum_add(0, message, n)) == 0xffff;
}

static void test_difference(void)
{
	for (unsigned i = 0; i < 200000; i++) {
		uint8_t message[40], after[8];
		fill(message, sizeof message);
		memset(message + 10, 0, 2);
		uint16_t check = checksum_of(message, sizeof message);
		memcpy(message + 10, &check, 2);
		fill(after, sizeof after);
		uint16_t difference = checksum_fold(checksum_difference(0, message + 12, after, 8));
		memcpy(message + 12, after, 8);
		checksum_fix(message + 10, difference);
		g_assert_true(verifies(message, sizeof message));
	}
}

static void test_udp(void)
{
	uint16_t none = 0, check;

	checksum_fix_udp(&none, 0x1234);
	g_assert_cmphex(none, ==, 0);
	/* Zero never comes out, which would say that there is none: it is sent as all ones. */
	for (unsigned i = 1; i < 0x10000; i++) {
		check = (uint16_t)i;
		checksum_fix_udp(&check, (uint16_t)g_test_rand_int());
		g_assert_cmphex(check, !=, 0);
		check = (uint16_t)i;
		checksum_fix_udp(&check, (uint16_t)i);
		g_assert_cmphex(check, ==, 0xffff);
	}
}

/* RFC 1071, section 3: the example. */
static void test_example(void)
{
	static const uint8_t bytes[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	uint16_t check = checksum_of(bytes, sizeof bytes);

	g_assert_cmpmem(&check, 2, ((uint8_t[]){0x22, 0x0d}), 2); /* the complement of 0xddf2 */
}

static void test_odd(void)
{
	static const uint8_t odd[] = {1, 2, 3}, even[] = {1, 2, 3, 0};

	g_assert_cmphex(checksum_of(odd, 3), ==, checksum_of(even, 4));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/checksum/a difference gives what a receiver accepts", test_difference);
	g_test_add_func("/checksum/UDP's zero stays, and never appears", test_udp);
	g_test_add_func("/checksum/the example of RFC 1071 comes out", test_example);
	g_test_add_func("/checksum/an odd last byte counts as if a zero followed", test_odd);
	return g_test_run();
}
