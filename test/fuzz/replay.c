/* Replays a corpus: every file of the folder goes through the target, as one test.
 *
 *   fuzz_NAME_replay FOLDER
 */
#include "fuzz.h"

#include <stdlib.h>

extern int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static gint by_name(const void *a, const void *b)
{
	return g_strcmp0(*(char *const *)a, *(char *const *)b);
}

static GPtrArray *files_of(const char *folder)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) dir = g_dir_open(folder, 0, &error);
	GPtrArray *files = g_ptr_array_new_with_free_func(g_free);

	g_assert_no_error(error);
	for (const char *name; (name = g_dir_read_name(dir));)
		g_ptr_array_add(files, g_build_filename(folder, name, NULL));
	g_ptr_array_sort(files, by_name);
	return files;
}

static void replay(const void *data)
{
	const GPtrArray *files = data;

	g_assert_cmpuint(files->len, >, 0);
	for (unsigned i = 0; i < files->len; i++) {
		const char *path = g_ptr_array_index(files, i);
		g_autofree char *contents = NULL;
		g_autoptr(GError) error = NULL;
		gsize size;
		g_file_get_contents(path, &contents, &size, &error);
		g_assert_no_error(error);
		g_test_message("%s", path); /* the last one named is the one that broke it */
		/* g_file_get_contents adds a NUL, behind which an overrun would hide. */
		uint8_t *exact = g_memdup2(contents, size);
		LLVMFuzzerTestOneInput(exact, size);
		g_free(exact);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (argc != 2) {
		g_printerr("usage: %s CORPUS-FOLDER\n", argv[0]);
		return EXIT_FAILURE;
	}
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	g_autoptr(GPtrArray) files = files_of(argv[1]);
	g_autofree char *target = g_path_get_basename(argv[1]);
	g_autofree char *promise =
		g_strdup_printf("/fuzz/%s/%u inputs break no memory and no promise", target, files->len);
	g_test_add_data_func(promise, files, replay);
	return g_test_run();
}
