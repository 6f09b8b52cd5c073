/* The system user that a program runs as. */
#include "cli/account.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAPABILITIES_MAX 64
#define BIT(n)           (UINT64_C(1) << (n))

bool account_find(const char *name, struct account *ret, GError **error)
{
	char buffer[4096];
	struct passwd entry, *found = NULL;
	int r = getpwnam_r(name, &entry, buffer, sizeof buffer, &found);

	if (r != 0)
		return fault_set(
			error, FAULT_INTERNAL, "user %s cannot be looked up: %s", name, g_strerror(r));
	if (!found)
		return fault_set(error, FAULT_NOT_FOUND,
			"there is no user %s; make it with 'useradd --system --user-group --home-dir "
			"/nonexistent --shell /usr/sbin/nologin %s'",
			name, name);
	if (entry.pw_uid == 0 || entry.pw_gid == 0)
		return fault_set(error, FAULT_INVALID,
			"user %s has root's rights over files; name a system user with a group of its own",
			name);
	*ret = (struct account){.name = g_strdup(name), .uid = entry.pw_uid, .gid = entry.pw_gid};
	return true;
}

void account_clear(struct account *account)
{
	g_clear_pointer(&account->name, g_free);
}

/* ---- folders ---- */

/* Only what belongs to the folder's owner: a hard link to a file of somebody else's is not its to give. */
static bool give_entries(const char *path, int folder, uid_t owner, uid_t uid, gid_t gid)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;
	struct stat st;

	while (dir && (name = g_dir_read_name(dir)))
		if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			(st.st_uid == owner && fchownat(folder, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0))
			return false;
	return dir != NULL;
}

/* The folder itself comes last: a kill in between leaves it to the next time. */
static bool give_folder(const char *path, int folder, uid_t uid, gid_t gid, mode_t mode)
{
	struct stat st;

	if (fstat(folder, &st) < 0)
		return false;
	if ((st.st_uid != uid || st.st_gid != gid) &&
		(!give_entries(path, folder, st.st_uid, uid, gid) || fchown(folder, uid, gid) < 0))
		return false;
	return fchmod(folder, mode) == 0;
}

bool account_give(const char *path, uid_t uid, gid_t gid, mode_t mode, GError **error)
{
	int folder =
		g_mkdir_with_parents(path, 0700) < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool given = folder >= 0 && give_folder(path, folder, uid, gid, mode);

	if (!given)
		fault_set(error, FAULT_INTERNAL,
			"folder %s cannot be made, or given to user %u, group %u: %s", path, (unsigned)uid,
			(unsigned)gid, g_strerror(errno));
	if (folder >= 0)
		close(folder);
	return given;
}

/* The first folder of the path that this thread cannot pass, as far as errno says so. Owned by the caller; NULL:
 * none. */
static char *find_closed(const char *path)
{
	for (const char *end = path; *end;) {
		end = strchrnul(end + 1, '/');
		g_autofree char *folder = g_strndup(path, (gsize)(end - path));
		g_autofree char *inside = g_strconcat(folder, "/.", NULL);
		struct stat st;
		if (stat(inside, &st) < 0 && errno == EACCES)
			return g_steal_pointer(&folder);
	}
	return NULL;
}

bool account_check_reach(const struct account *account, const char *path, GError **error)
{
	gid_t groups[NGROUPS_MAX];
	int n = getgroups(NGROUPS_MAX, groups);

	/* For this thread alone (glibc's setgroups is for all of them) and, see setfsuid(2), for looking at files. It
	 * takes root's rights over files too. */
	if (n < 0 || syscall(SYS_setgroups, 0, NULL) < 0)
		return fault_set(error, FAULT_INTERNAL, "cannot look at %s as user %s: %s", path,
			account->name, g_strerror(errno));
	setfsgid(account->gid);
	setfsuid(account->uid);
	g_autofree char *closed = find_closed(path);
	setfsuid(geteuid());
	setfsgid(getegid());
	if (syscall(SYS_setgroups, n, groups) < 0)
		g_error("cannot take the groups back: %s", g_strerror(errno));
	if (!closed)
		return true;
	return fault_set(error, FAULT_DENIED,
		"user %s needs %s and cannot pass through %s; let it ('chmod o+x %s'), or take another "
		"folder",
		account->name, path, closed, closed);
}

/* ---- what follows runs in the child: system calls only ---- */

static int bound_capabilities(uint64_t kept)
{
	for (int n = 0; n < CAPABILITIES_MAX && prctl(PR_CAPBSET_READ, n, 0, 0, 0) >= 0; n++)
		if (!(kept & BIT(n)) && prctl(PR_CAPBSET_DROP, n, 0, 0, 0) < 0)
			return -1;
	return 0;
}

static int set_capabilities(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].effective = data[i].permitted = (uint32_t)(permitted >> 32 * i);
		data[i].inheritable = (uint32_t)(inheritable >> 32 * i);
	}
	return (int)syscall(SYS_capset, &header, data);
}

static int raise_ambient(uint64_t kept)
{
	for (int n = 0; n < CAPABILITIES_MAX; n++)
		if (kept & BIT(n) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, n, 0, 0) < 0)
			return -1;
	return 0;
}

bool account_become(const struct account *account)
{
	uint64_t kept = account->capabilities;
	/* What is not ambient ends with the exec. Until then this one lets the program be found below a folder
	 * that root keeps for itself, such as a build tree in its home. */
	uint64_t until_exec = kept | BIT(CAP_DAC_READ_SEARCH);

	return bound_capabilities(kept) == 0 && setgroups(0, NULL) == 0 &&
	       setresgid(account->gid, account->gid, account->gid) == 0 &&
	       prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
	       setresuid(account->uid, account->uid, account->uid) == 0 &&
	       set_capabilities(until_exec, kept) == 0 && raise_ambient(kept) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}
