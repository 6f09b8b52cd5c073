/* What is refused of a scale set: numbers, names and models. */
#include "control/set_fixture.h"

static void test_refused_percentages(void)
{
	static const struct {
		struct set_rolling_policy policy;
		const char *words;
	} rows[] = {
		{{4, 20, 20, 0}, "percentage of a batch is 5 to 100, not 4"},
		{{INT64_MAX, 20, 20, 0}, "percentage of a batch is 5 to 100, not 9223372036854775807"},
		{{20, -1, 20, 0}, "percentage of unhealthy instances is 5 to 100, not -1"},
		{{20, 20, 101, 0}, "percentage of unhealthy upgraded instances is 0 to 100, not 101"},
		{{20, 20, 20, -1}, "in seconds, is 0 to 86400, not -1"},
	};
	OPEN(f);

	/* Also where it does not upgrade by them by itself. */
	for (int mode = UPGRADE_MANUAL; mode <= UPGRADE_ROLLING; mode++)
		for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
			struct scale_set *set = fixture_scale_set(&f, "web", 1);
			set->spec.upgrade = mode;
			set->spec.rolling = rows[i].policy;
			set_assert_refused(&f, set, FAULT_INVALID, rows[i].words);
		}
}

/* Of the set, of an interface or of its address. */
static struct scale_set *with_name(struct fixture *f, bool flexible, int of, guint length)
{
	g_autofree char *name = g_strnfill(length, 'n');
	struct scale_set *set = fixture_scale_set(f, of == 0 ? name : flexible ? "flex" : "web", 1);
	struct set_nic *nic = set_first_nic(set);
	struct set_config *config = nic->configs->pdata[0];

	set->spec.flexible = flexible;
	if (of == 1) {
		g_free(nic->name);
		nic->name = g_steal_pointer(&name);
	} else if (of == 2) {
		config->address.name = g_steal_pointer(&name);
	}
	return set;
}

static void test_long_names(void)
{
	static const guint most[] = {55, 71, 71}, uniform[] = {64, 80, 80};
	static const enum kind kinds[] = {KIND_VM, KIND_NIC, KIND_ADDRESS};

	for (int of = 0; of < 3; of++) {
		OPEN(f);
		set_assert_refused(&f, with_name(&f, true, of, most[of] + 1), FAULT_INVALID,
			"is too long a name for a flexible scale set");
		_cleanup_(model_free) struct scale_set *set = set_put(&f, with_name(&f, true, of, most[of])),
						       *inside = set_put(
							       &f, with_name(&f, false, of, uniform[of]));
		g_assert_true(set && inside);
		g_autoptr(GPtrArray) parts = control_list(f.control, kinds[of], f.group, NULL);
		g_assert_cmpuint(parts->len, ==, 1);
		/* A client can put it as it is. */
		model_free(set_put(&f, model_copy(parts->pdata[0])));
	}
}

static struct scale_set *of_prefix(struct fixture *f, const char *name, size_t length)
{
	struct scale_set *set = fixture_scale_set(f, name, 1);

	g_free(set->spec.model.name_prefix);
	set->spec.model.name_prefix = g_strnfill(length, 'p');
	return set;
}

/* Host names have 63 characters at most. A set that was made when 58 were taken goes on as it is. */
static void test_long_prefixes(void)
{
	OPEN(f);

	set_assert_refused(&f, of_prefix(&f, "long", 58), FAULT_INVALID,
		"use 1 to 57 letters, digits and '-', starting with a letter or digit: instances have six "
		"characters more, and a host name has 63 at most");
	_cleanup_(model_free) struct scale_set *set = set_put(&f, of_prefix(&f, "web", 57));
	_cleanup_(model_free) struct vm *vm = set_instance(&f, 0);
	g_assert_cmpuint(strlen(vm->spec.computer_name), ==, 63);
	g_free(set->spec.model.name_prefix);
	set->spec.model.name_prefix = g_strnfill(58, 'p');
	g_assert_true(control_store(f.control, set, NULL)); /* as if it had been made so */
	struct scale_set *wider = set_read(&f);
	wider->spec.capacity = 2;
	model_free(set_put(&f, wider));
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/vm/"), ==, 2);
}

static void test_refused_models(void)
{
	OPEN(f);
	struct scale_set *set = fixture_scale_set(&f, "web", 1);

	set->spec.capacity = 1001;
	set_assert_refused(&f, model_copy(set), FAULT_INVALID, "the capacity is 0 to 1000, not 1001");
	set->spec.capacity = 1;
	set->spec.fault_domains = 6;
	set_assert_refused(&f, model_copy(set), FAULT_INVALID, "fault domains is 1 to 5, not 6");
	set->spec.fault_domains = 1;
	g_ptr_array_add(set->spec.model.nics, shape_copy(&set_nic_shape, set_first_nic(set)));
	set_assert_refused(&f, model_copy(set), FAULT_INVALID, "two network interfaces named eth0");
	g_ptr_array_set_size(set->spec.model.nics, 0);
	set_assert_refused(&f, model_copy(set), FAULT_INVALID, "at least one network interface");
	model_free(set);
	set = fixture_scale_set(&f, "web", 1);
	g_free(set->spec.model.name_prefix);
	set->spec.model.name_prefix = g_strdup("-web");
	set_assert_refused(&f, model_copy(set), FAULT_INVALID, "'-web' is no prefix of computer names");
	g_free(set->spec.model.name_prefix);
	set->spec.model.name_prefix = g_strdup("web");
	g_free(((struct set_config *)set_first_nic(set)->configs->pdata[0])->nic.subnet);
	((struct set_config *)set_first_nic(set)->configs->pdata[0])->nic.subnet = g_strdup("none");
	set_assert_refused(&f, set, FAULT_INVALID_REFERENCE, "eth0 refers to a subnet that");
	g_assert_cmpuint(set_count_keys(&f, "/sluice/object/scale-set/"), ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add_func("/scale-set-refusal/" name, fn)
	ADD("what is wrong in the policy of rolling upgrades is refused in each mode",
		test_refused_percentages);
	ADD("what instances of a flexible one are named can be put again", test_long_names);
	ADD("prefixes of computer names make host names", test_long_prefixes);
	ADD("what is wrong in a model is refused by name", test_refused_models);
	return g_test_run();
}
