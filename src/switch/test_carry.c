/* What tests of carried connections share: files from switch one to switch two, and what came of them. */
#include "switch/test_carry.h"

#include "switch/connection_file.h"

#include <glib/gstdio.h>
#include <unistd.h>

const struct nic *carry_nic_a(const struct fixture *f)
{
	const struct snapshot *state = datapath_snapshot(f->datapath);

	for (unsigned slot = 0; slot < NIC_SLOTS; slot++)
		if (state->nics[slot] && g_str_equal(state->nics[slot]->uid, "a"))
			return state->nics[slot];
	g_error("a is not here");
}

/* The contents of the file that switch one exports. */
GBytes *carry_file(struct pair *p, unsigned wanted, unsigned wanted_left)
{
	g_autofree char *folder = g_dir_make_tmp("carry-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "a", NULL);
	_cleanup_(connection_writer_free) struct connection_writer *writer = connection_writer_new("a");
	struct carry_left left;
	char *contents;
	gsize size;

	carry_export(p->one.datapath, carry_nic_a(&p->one), p->one.now_ms, writer, &left);
	g_assert_cmpuint(connection_writer_count(writer), ==, wanted);
	g_assert_cmpuint(left.shared + left.host, ==, wanted_left);
	g_assert_true(connection_writer_save(writer, path, NULL));
	g_assert_true(g_file_get_contents(path, &contents, &size, NULL));
	g_unlink(path);
	g_rmdir(folder);
	return g_bytes_new_take(contents, size);
}

struct carry_taken carry_take(struct pair *p, GBytes *file)
{
	g_autoptr(GError) error = NULL;
	struct carry_taken taken;
	gsize size;
	const uint8_t *bytes = g_bytes_get_data(file, &size);
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_new(bytes, size, "a", CARRY_MANY, &error);

	g_assert_no_error(error);
	carry_import(p->two.datapath, carry_nic_a(&p->two), p->two.now_ms, reader, &taken);
	return taken;
}

unsigned carry_refused(const struct carry_taken *taken)
{
	unsigned sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += taken->refused[i];
	return sum;
}

void carry_assert_taken(struct carry_taken taken, unsigned imported, unsigned known, unsigned n_refused)
{
	g_assert_cmpuint(taken.imported, ==, imported);
	g_assert_cmpuint(taken.known, ==, known);
	g_assert_cmpuint(carry_refused(&taken), ==, n_refused);
}

/* One rule for everything that goes that way. */
json_t *carry_rules(const char *direction, const char *action)
{
	return json_pack("[{s:s, s:s, s:i, s:s, s:s, s:{s:b}, s:{s:b}}]", "name", "r", "direction", direction,
		"priority", 100, "protocol", "any", "action", action, "source", "any", 1, "destination",
		"any", 1);
}

void carry_set_rules(struct fixture *f, const char *direction, const char *action)
{
	json_object_set_new(lab_group(f), "rules", carry_rules(direction, action));
	lab_apply(f);
}

/* All groups allow all; everybody knows everybody. */
void carry_setup(struct pair *p, const void *data)
{
	pair_setup(p, data);
	carry_set_rules(&p->one, "inbound", "allow");
	carry_set_rules(&p->two, "inbound", "allow");
	pair_meet(p);
	lab_meet_peer(&p->one);
}

/* The peer outside finds a at switch two. */
void carry_move(struct pair *p)
{
	talk_arrive(p);
	lab_meet_peer(&p->two);
}
