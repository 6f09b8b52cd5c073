/* Tests of balance: what is moved, and when nothing is. */
#include "switch/balance.h"

#include <glib.h>

/* Looks n times at the same; returns how many moves came of it. */
static unsigned look(struct balance *balance, const unsigned busy[2], const struct balance_load *loads,
	unsigned n_loads, unsigned n, struct balance_move *ret)
{
	unsigned moves = 0;

	while (n--)
		moves += balance_look(balance, busy, 2, loads, n_loads, ret);
	return moves;
}

static const struct balance_load three[] = {{0, 500}, {0, 300}, {0, 200}};

static void test_lasts(void)
{
	struct balance balance = {};
	struct balance_move move;

	g_assert_cmpuint(look(&balance, (unsigned[]){900, 0}, three, 3, BALANCE_PERIODS - 1, &move), ==, 0);
	g_assert_cmpuint(look(&balance, (unsigned[]){500, 300}, three, 3, 1, &move), ==, 0); /* a quiet one */
	g_assert_cmpuint(look(&balance, (unsigned[]){900, 0}, three, 3, BALANCE_PERIODS - 1, &move), ==, 0);
	g_assert_cmpuint(
		look(&balance, (unsigned[]){0, 900}, three, 3, 1, &move), ==, 0); /* the other way round */
	g_assert_cmpuint(look(&balance, (unsigned[]){900, 0}, three, 3, BALANCE_PERIODS - 1, &move), ==, 0);
	g_assert_cmpuint(look(&balance, (unsigned[]){900, 0}, three, 3, 1, &move), ==, 1);
	g_assert_cmpuint(move.load, ==, 0);
	g_assert_cmpuint(move.worker, ==, 1);
	g_assert_cmpuint(look(&balance, (unsigned[]){900, 0}, three, 3, BALANCE_PERIODS - 1, &move), ==, 0);
}

static void test_best(void)
{
	const struct balance_load loads[] = {{0, 800}, {0, 150}, {0, 50}, {1, 400}};
	struct balance balance = {};
	struct balance_move move;

	/* 800 would make the other the busier one by more; 150 of 1000 are 13.5 % of the time. */
	g_assert_cmpuint(look(&balance, (unsigned[]){900, 300}, loads, 4, BALANCE_PERIODS, &move), ==, 1);
	g_assert_cmpuint(move.load, ==, 1);
}

static void test_alone(void)
{
	const struct balance_load loads[] = {{0, 1000}, {1, 1}};
	struct balance balance = {};
	struct balance_move move;

	g_assert_cmpuint(look(&balance, (unsigned[]){1000, 10}, loads, 2, 20, &move), ==, 0);
	g_assert_cmpuint(
		look(&balance, (unsigned[]){1000, 10}, loads, 0, 20, &move), ==, 0); /* housekeeping */
}

static void test_idle(void)
{
	struct balance balance = {};
	struct balance_move move;

	g_assert_cmpuint(look(&balance, (unsigned[]){BALANCE_BUSY - 1, 0}, three, 3, 20, &move), ==, 0);
	g_assert_cmpuint(look(&balance, (unsigned[]){900, 901 - BALANCE_GAP}, three, 3, 20, &move), ==, 0);
}

/* Loads and shares that follow from them: moves make the imbalance smaller, and end. */
static void test_settles(void)
{
	for (unsigned round = 0; round < 200; round++) {
		unsigned workers = (unsigned)g_test_rand_int_range(2, 17),
			 n = (unsigned)g_test_rand_int_range(1, 200);
		g_autofree struct balance_load *loads = g_new(struct balance_load, n);
		struct balance balance = {};
		unsigned moves = 0;

		for (unsigned i = 0; i < n; i++)
			loads[i] = (struct balance_load){
				0, (uint64_t)g_test_rand_int_range(0, 1000 * (int)workers / (int)n + 1)};
		for (unsigned period = 0; period < 2000; period++) {
			unsigned busy[16] = {};
			struct balance_move move;
			for (unsigned i = 0; i < n; i++)
				busy[loads[i].worker] += (unsigned)loads[i].packets;
			for (unsigned i = 0; i < workers; i++)
				busy[i] = MIN(busy[i], 1000u);
			if (balance_look(&balance, busy, workers, loads, n, &move)) {
				g_assert_cmpuint(period, <, 2000 - 10);
				g_assert_cmpuint(loads[move.load].worker, !=, move.worker);
				loads[move.load].worker = move.worker;
				moves++;
			}
		}
		g_assert_cmpuint(moves, <=, n * workers);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func(
		"/balance/only an imbalance that lasts moves something, and one thing at a time", test_lasts);
	g_test_add_func("/balance/what evens two workers out best is moved", test_best);
	g_test_add_func("/balance/a source that is a worker's only one stays", test_alone);
	g_test_add_func("/balance/workers that have time, or are alike, are left alone", test_idle);
	g_test_add_func("/balance/any loads come to rest", test_settles);
	return g_test_run();
}
