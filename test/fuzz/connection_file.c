/* Fuzz target: files of connections. The bytes are a file, whose sum is put right where the first byte is odd; it is not
 * of the file. A file that is taken is what its records say: written again, it is the same.
 */
#include "fuzz.h"

#include "switch/connection_file.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define SUM         32u
#define RECORDS_MAX 64u

static char *path;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	path = g_strdup_printf("/dev/shm/fuzz-connection-file-%d", (int)getpid());
	return 0;
}

static void mend(uint8_t *file, size_t size)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize length = SUM;

	g_checksum_update(sum, file, (gssize)(size - SUM));
	g_checksum_get_digest(sum, file + size - SUM, &length);
}

static void assert_same_again(const struct connection_reader *reader, const uint8_t *file, size_t size)
{
	_cleanup_(connection_writer_free) struct connection_writer *writer = connection_writer_new("a");
	struct connection_record record;
	g_autofree char *again = NULL;
	gsize again_size;
	uint32_t ago_s;

	g_assert_cmpuint(connection_reader_count(reader), <=, RECORDS_MAX);
	if (connection_reader_function(reader, &ago_s))
		connection_writer_note_function(writer, ago_s);
	for (unsigned i = 0; i < connection_reader_count(reader); i++) {
		connection_reader_get(reader, i, &record);
		connection_writer_add(writer, &record);
	}
	g_assert_true(connection_writer_save(writer, path, NULL));
	g_assert_true(g_file_get_contents(path, &again, &again_size, NULL));
	g_unlink(path);
	g_assert_cmpmem(again, again_size, file, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	g_autoptr(GError) error = NULL;
	g_autofree uint8_t *file = g_memdup2(data + 1, size - 1);
	if (data[0] & 1 && size - 1 >= SUM)
		mend(file, size - 1);
	_cleanup_(connection_reader_free) struct connection_reader *reader =
		connection_reader_new(file, size - 1, "a", RECORDS_MAX, &error);

	g_assert_true(!reader == !!error);
	if (reader)
		assert_same_again(reader, file, size - 1);
	return 0;
}
