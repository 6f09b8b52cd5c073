/* The switch's user: whom it may be, which folders it gets, what a child that became it can still do. Needs root and
 * the user nobody, who stands for it. */
#include "cli/account.h"

#include "base/fault.h"
#include "base/log.h"
#include "cli/process.h"

#include <glib/gstdio.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER        "nobody"
#define PATIENCE_US (15 * G_USEC_PER_SEC)
#define BIT(n)      (UINT64_C(1) << (n))

static bool skipped(void)
{
	if (geteuid() == 0)
		return false;
	g_test_skip("root is needed to become somebody else");
	return true;
}

static struct account find_user(void)
{
	g_autoptr(GError) error = NULL;
	struct account account = {};

	account_find(USER, &account, &error);
	g_assert_no_error(error);
	return account;
}

/* ---- who ---- */

static void test_unknown(void)
{
	g_autoptr(GError) error = NULL;
	struct account account = {};

	g_assert_false(account_find("sluice-no-such-user", &account, &error));
	g_assert_error(error, FAULT, FAULT_NOT_FOUND);
	g_assert_nonnull(strstr(error->message, "useradd --system"));
	g_assert_nonnull(strstr(error->message, "sluice-no-such-user"));
	g_assert_null(account.name);
}

static void test_root(void)
{
	g_autoptr(GError) error = NULL;
	struct account account = {};

	g_assert_false(account_find("root", &account, &error));
	g_assert_error(error, FAULT, FAULT_INVALID);
}

static void test_found(void)
{
	_cleanup_(account_clear) struct account account = find_user();

	g_assert_cmpstr(account.name, ==, USER);
	g_assert_cmpuint(account.uid, !=, 0);
	g_assert_cmpuint(account.capabilities, ==, 0);
}

/* ---- folders ---- */

struct place {
	char *dir, *folder, *file; /* dir/folder/file; Owned */
};

static void place_init(struct place *place)
{
	place->dir = g_dir_make_tmp("sluice-account-XXXXXX", NULL);
	place->folder = g_build_filename(place->dir, "folder", NULL);
	place->file = g_build_filename(place->folder, "file", NULL);
}

static void place_clear(struct place *place)
{
	g_remove(place->file);
	g_rmdir(place->folder);
	g_assert_cmpint(g_rmdir(place->dir), ==, 0);
	g_free(place->file);
	g_free(place->folder);
	g_free(place->dir);
}
CLEANUP_CLEAR_FUNC(struct place, place_clear)

static void make_file(const char *path)
{
	g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static struct stat look(const char *path)
{
	struct stat st;

	g_assert_cmpint(lstat(path, &st), ==, 0);
	return st;
}

static void give(const char *path, const struct account *account, mode_t mode)
{
	g_autoptr(GError) error = NULL;

	account_give(path, account->uid, account->gid, mode, &error);
	g_assert_no_error(error);
}

static void test_give(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	_cleanup_(place_clear) struct place place = {};
	place_init(&place);

	give(place.folder, &account, S_ISGID | 0710);
	g_assert_cmpuint(look(place.folder).st_uid, ==, account.uid);
	g_assert_cmpuint(look(place.folder).st_gid, ==, account.gid);
	g_assert_cmpuint(look(place.folder).st_mode & 07777, ==, S_ISGID | 0710);
	/* What a set-group-id folder is for: what root makes in it has its group. */
	make_file(place.file);
	g_assert_cmpuint(look(place.file).st_gid, ==, account.gid);
}

static void test_take_over(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	_cleanup_(place_clear) struct place place = {};
	place_init(&place);

	g_assert_cmpint(g_mkdir(place.folder, 0755), ==, 0);
	make_file(place.file);
	give(place.folder, &account, 0700);
	g_assert_cmpuint(look(place.file).st_uid, ==, account.uid);
	g_assert_cmpuint(look(place.folder).st_mode & 07777, ==, 0700);
}

/* A link that the user puts there to a file of root's must not give it to the user. */
static void test_no_second_time(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	_cleanup_(place_clear) struct place place = {};
	place_init(&place);

	give(place.folder, &account, 0700);
	make_file(place.file);
	give(place.folder, &account, 0700);
	g_assert_cmpuint(look(place.file).st_uid, ==, 0);
}

/* Nor one that an earlier user put there to the next. */
static void test_not_theirs(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	_cleanup_(place_clear) struct place place = {};
	struct account next = {.uid = account.uid - 1, .gid = account.gid};
	place_init(&place);

	give(place.folder, &account, 0700);
	make_file(place.file);
	give(place.folder, &next, 0700);
	g_assert_cmpuint(look(place.folder).st_uid, ==, next.uid);
	g_assert_cmpuint(look(place.file).st_uid, ==, 0);
}

static void test_reach(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	_cleanup_(place_clear) struct place place = {};
	g_autoptr(GError) error = NULL;
	place_init(&place);

	give(place.folder, &account, 0700);
	g_assert_cmpint(chmod(place.dir, 0700), ==, 0);
	g_assert_false(account_check_reach(&account, place.folder, &error));
	g_assert_error(error, FAULT, FAULT_DENIED);
	g_autofree char *advice = g_strdup_printf("'chmod o+x %s'", place.dir);
	g_assert_nonnull(strstr(error->message, advice));
	/* Root's other groups are not the user's. */
	const gid_t root = 0;
	g_assert_cmpint(setgroups(1, &root), ==, 0);
	g_assert_cmpint(chmod(place.dir, 0750), ==, 0);
	g_clear_error(&error);
	g_assert_false(account_check_reach(&account, place.folder, &error));
	g_assert_error(error, FAULT, FAULT_DENIED);
	gid_t groups[2];
	g_assert_cmpint(getgroups(2, groups), ==, 1);
	/* We are root again, */
	g_assert_cmpint(access(place.folder, R_OK | W_OK), ==, 0);
	make_file(place.file);
	g_assert_cmpuint(look(place.file).st_uid, ==, 0);
	/* and the advice helps. */
	g_assert_cmpint(chmod(place.dir, 0711), ==, 0);
	g_clear_error(&error);
	account_check_reach(&account, place.folder, &error);
	g_assert_no_error(error);
}

/* ---- becoming it ---- */

/* What a program prints, run as the user. Owned by the caller. */
static char *output_as(const struct account *account, const char *const *argv)
{
	g_autofree char *dir = g_dir_make_tmp("sluice-account-XXXXXX", NULL);
	g_autofree char *log_path = g_build_filename(dir, "log", NULL);
	const struct process_config config = {.name = "program",
		.log_path = log_path,
		.argv = argv,
		.oom_score_adj = 500,
		.account = account};
	g_autoptr(GError) error = NULL;
	struct process *process = process_start(&config, &error);
	int64_t limit = g_get_monotonic_time() + PATIENCE_US;
	char *text = NULL;

	g_assert_no_error(error);
	while (process_deaths(process) == 0 && g_get_monotonic_time() < limit) {
		g_main_context_iteration(NULL, FALSE);
		g_usleep(5000);
	}
	process_stop(process, 1);
	g_assert_true(g_file_get_contents(log_path, &text, NULL, NULL));
	g_remove(log_path);
	g_rmdir(dir);
	return text;
}

static void assert_line(const char *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void assert_line(const char *text, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *line = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	if (!g_strv_contains((const char *const *)lines, line))
		g_error("there is no line '%s' in:\n%s", line, text);
}

static void test_become(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	account.capabilities = BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW);
	static const char *const argv[] = {"/usr/bin/setpriv", "--dump", "--dump", NULL};
	g_autofree char *text = output_as(&account, argv);

	assert_line(text, "uid: %u", (unsigned)account.uid);
	assert_line(text, "euid: %u", (unsigned)account.uid);
	assert_line(text, "gid: %u", (unsigned)account.gid);
	assert_line(text, "egid: %u", (unsigned)account.gid);
	assert_line(text, "Supplementary groups: [none]");
	assert_line(text, "no_new_privs: 1");
	assert_line(text, "Effective capabilities: net_admin,net_raw");
	assert_line(text, "Permitted capabilities: net_admin,net_raw");
	assert_line(text, "Inheritable capabilities: net_admin,net_raw");
	assert_line(text, "Ambient capabilities: net_admin,net_raw");
	assert_line(text, "Capability bounding set: net_admin,net_raw");
	assert_line(text, "Parent death signal: TERM");
}

static void test_oom(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	static const char *const argv[] = {"/bin/cat", "/proc/self/oom_score_adj", NULL};
	g_autofree char *text = output_as(&account, argv);

	g_assert_cmpstr(text, ==, "500\n");
}

/* The program lies where only root comes, as a build tree in root's home. */
static void test_hidden_program(void)
{
	if (skipped())
		return;
	_cleanup_(account_clear) struct account account = find_user();
	_cleanup_(place_clear) struct place place = {};
	g_autofree char *cat = NULL;
	gsize length;
	place_init(&place);

	g_assert_cmpint(g_mkdir(place.folder, 0700), ==, 0);
	g_assert_true(g_file_get_contents("/bin/cat", &cat, &length, NULL));
	g_assert_true(g_file_set_contents_full(
		place.file, cat, (gssize)length, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
	const char *const argv[] = {place.file, "/proc/self/status", NULL};
	g_autofree char *text = output_as(&account, argv);
	assert_line(text, "CapEff:\t0000000000000000");
	const char *const itself[] = {place.file, place.file, NULL};
	g_autofree char *refused = output_as(&account, itself);
	g_assert_nonnull(strstr(refused, "Permission denied"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* That programs end is logged. */
	g_log_set_always_fatal(G_LOG_LEVEL_ERROR);
	log_init("account_test");
	g_test_add_func("/account/a user that is missing comes with the command that makes it", test_unknown);
	g_test_add_func("/account/root is refused", test_root);
	g_test_add_func("/account/a user is found and has no capability", test_found);
	g_test_add_func("/account/a folder is made with owner, group and mode", test_give);
	g_test_add_func("/account/what lies in a folder of others changes hands with it", test_take_over);
	g_test_add_func("/account/what lies in the user's own folder is left alone", test_no_second_time);
	g_test_add_func("/account/what was not the earlier owner's is left alone", test_not_theirs);
	g_test_add_func("/account/the folder that stops the user is named", test_reach);
	g_test_add_func("/account/a child keeps two capabilities and nothing else of root's", test_become);
	g_test_add_func(
		"/account/a child keeps the place that it was given in the OOM killer's order", test_oom);
	g_test_add_func("/account/its program may lie where only root comes, and it sees no more of it",
		test_hidden_program);
	return g_test_run();
}
