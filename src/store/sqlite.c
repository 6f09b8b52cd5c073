/* A store in one SQLite file: what one controller uses.
 *
 * How it works: `versions` holds every version of every key, deletions too (without a value); `keys` has one
 * row for each key that is there and points at its newest version. So reading the newest costs what is read,
 * however long the history; reading an old revision costs two searches a key. The store's revision is the
 * greatest one in `versions`, or 1: compaction never removes a version of the newest revision.
 *
 * Durability: write-ahead log with synchronous=FULL, so every commit is on the disk before it is
 * acknowledged. NORMAL would be faster but loses the last commits in a power cut, and then an address that
 * was given to a VM could be given out again.
 *
 * One process: the file is held in locking_mode=EXCLUSIVE from opening to closing. That also keeps the log's
 * index in memory instead of in a file, and lets reads go without transactions: nobody else writes.
 *
 * A damaged file is never written: it is checked at opening (quick_check), and a page that turns out damaged
 * later fails the call. Nothing is repaired behind the operator's back.
 */
#include "store/local_priv.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

#define APPLICATION_ID 0x536c7563 /* "Sluc" */

/* Step n brings a file of schema version n to version n + 1. Steps are never edited, only added. The value is
 * the last column, so that reading the others does not read it. */
static const char *const migrations[] = {
	"CREATE TABLE versions ("
	" id INTEGER PRIMARY KEY,"
	" key TEXT NOT NULL,"
	" create_revision INTEGER NOT NULL,"
	" revision INTEGER NOT NULL,"
	" sub INTEGER NOT NULL,"
	" version INTEGER NOT NULL,"
	" lease INTEGER NOT NULL,"
	" value BLOB);"
	"CREATE UNIQUE INDEX versions_by_key ON versions (key, revision);"
	"CREATE UNIQUE INDEX versions_by_revision ON versions (revision, sub);"
	"CREATE TABLE keys ("
	" key TEXT PRIMARY KEY,"
	" id INTEGER NOT NULL,"
	" lease INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX keys_by_lease ON keys (lease, key) WHERE lease <> 0;"
	"CREATE TABLE leases (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_s INTEGER NOT NULL);"
	"CREATE TABLE compaction (revision INTEGER NOT NULL);"
	"INSERT INTO compaction VALUES (0);",
};

#define SCHEMA_VERSION ((int)G_N_ELEMENTS(migrations))

/* Columns in the order that read_kv() wants. */
#define META    "v.key, v.create_revision, v.revision, v.version, v.lease"
#define CURRENT " FROM keys k JOIN versions v ON v.id = k.id "

/* X(NAME, sql): prepared once, at opening. */
#define STATEMENTS(X)                                                                                        \
	X(BEGIN, "BEGIN IMMEDIATE")                                                                          \
	X(COMMIT, "COMMIT")                                                                                  \
	X(ROLLBACK, "ROLLBACK")                                                                              \
	X(GET, "SELECT " META ", v.value" CURRENT "WHERE k.key = ?1")                                        \
	X(GET_META, "SELECT " META CURRENT "WHERE k.key = ?1")                                               \
	X(RANGE, "SELECT " META ", v.value" CURRENT                                                          \
		 "WHERE k.key >= ?1 AND k.key < ?2 ORDER BY k.key LIMIT ?3")                                 \
	X(RANGE_META, "SELECT " META CURRENT "WHERE k.key >= ?1 AND k.key < ?2 ORDER BY k.key LIMIT ?3")     \
	X(OLD_FIRST, "SELECT key FROM versions WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT 1")           \
	X(OLD_NEXT, "SELECT key FROM versions WHERE key > ?1 AND key < ?2 ORDER BY key LIMIT 1")             \
	X(OLD_GET, "SELECT " META ", v.value FROM versions v WHERE v.key = ?1 AND v.revision <= ?2"          \
		   " ORDER BY v.revision DESC LIMIT 1")                                                      \
	X(CHANGES, "SELECT " META                                                                            \
		   ", v.value FROM versions v WHERE v.revision >= ?1 ORDER BY v.revision, v.sub")            \
	X(ADD_VERSION, "INSERT INTO versions (key, create_revision, revision, sub, version, lease, value)"   \
		       " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                                               \
	X(SET_KEY, "INSERT INTO keys (key, id, lease) VALUES (?1, ?2, ?3)"                                   \
		   " ON CONFLICT (key) DO UPDATE SET id = excluded.id, lease = excluded.lease")              \
	X(DROP_KEY, "DELETE FROM keys WHERE key = ?1")                                                       \
	X(FORGET, "DELETE FROM versions AS v WHERE v.revision < ?1 AND (v.value IS NULL OR EXISTS"           \
		  " (SELECT 1 FROM versions n WHERE n.key = v.key AND n.revision > v.revision"               \
		  " AND n.revision <= ?1))")                                                                 \
	X(SET_COMPACTED, "UPDATE compaction SET revision = ?1")                                              \
	X(GET_STATE, "SELECT coalesce((SELECT max(revision) FROM versions), 1), revision FROM compaction")   \
	X(ADD_LEASE, "INSERT INTO leases (ttl_s) VALUES (?1)")                                               \
	X(DROP_LEASE, "DELETE FROM leases WHERE id = ?1")                                                    \
	X(LEASES, "SELECT id, ttl_s FROM leases ORDER BY id")                                                \
	X(LEASE_KEYS, "SELECT key FROM keys WHERE lease = ?1 AND lease <> 0 ORDER BY key")

enum statement {
#define X(NAME, sql) NAME,
	STATEMENTS(X)
#undef X
		N_STATEMENTS
};

static const char *const statement_sql[] = {
#define X(NAME, sql) [NAME] = sql,
	STATEMENTS(X)
#undef X
};

struct sqlite {
	struct local local;
	char *path;
	sqlite3 *db;
	sqlite3_stmt *statements[N_STATEMENTS];
};

static struct sqlite *sqlite_of(struct local *local)
{
	return (struct sqlite *)local;
}

/* ---- errors ---- */

static bool set_fault(struct sqlite *sqlite, int code, const char *doing, GError **error)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fault_set(error, FAULT_UNAVAILABLE,
			"%s: the store is held by another process; a SQLite store admits one controller: "
			"stop the "
			"other one, or use etcd",
			sqlite->path);
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		return fault_set(error, FAULT_INTERNAL,
			"%s is damaged (%s); stop the controller, move the file and its -wal away, and "
			"restore a "
			"backup or what `sqlite3 %s .recover` can read",
			sqlite->path, sqlite3_errmsg(sqlite->db), sqlite->path);
	case SQLITE_FULL:
		return fault_set(
			error, FAULT_INTERNAL, "%s cannot grow: the disk is full; make room", sqlite->path);
	default:
		return fault_set(error, FAULT_INTERNAL, "%s: cannot %s: %s", sqlite->path, doing,
			sqlite->db ? sqlite3_errmsg(sqlite->db) : sqlite3_errstr(code));
	}
}

static bool execute(struct sqlite *sqlite, const char *sql, GError **error)
{
	int code = sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL);

	return code == SQLITE_OK ? true : set_fault(sqlite, code, "be used", error);
}

/* ---- statements ---- */

static void finish(sqlite3_stmt *statement)
{
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
}

/* Runs a statement to its end. `doing` completes the sentence "cannot ...". */
static bool run(struct sqlite *sqlite, enum statement which, const char *doing, GError **error)
{
	sqlite3_stmt *statement = sqlite->statements[which];
	int code = sqlite3_step(statement);
	bool ok = code == SQLITE_DONE || set_fault(sqlite, code, doing, error);

	finish(statement);
	return ok;
}

static void bind_text(sqlite3_stmt *statement, int at, const char *text)
{
	sqlite3_bind_text(statement, at, text, -1, SQLITE_STATIC);
}

/* SQLite sorts every blob after every text, so an empty one stands for "no end". */
static void bind_end(sqlite3_stmt *statement, int at, const char *end)
{
	if (*end)
		bind_text(statement, at, end);
	else
		sqlite3_bind_zeroblob(statement, at, 0);
}

static void bind_value(sqlite3_stmt *statement, int at, GBytes *value)
{
	gsize size;
	const void *data = value ? g_bytes_get_data(value, &size) : NULL;

	if (!value)
		sqlite3_bind_null(statement, at);
	else if (size == 0)
		sqlite3_bind_zeroblob(statement, at, 0);
	else
		sqlite3_bind_blob64(statement, at, data, size, SQLITE_STATIC);
}

/* The version in the present row; without a value when that column is NULL or was not asked for. */
static struct store_kv *read_kv(sqlite3_stmt *row)
{
	struct store_kv *kv = g_new0(struct store_kv, 1);

	kv->key = g_strdup((const char *)sqlite3_column_text(row, 0));
	kv->create_revision = sqlite3_column_int64(row, 1);
	kv->mod_revision = sqlite3_column_int64(row, 2);
	kv->version = sqlite3_column_int64(row, 3);
	kv->lease = sqlite3_column_int64(row, 4);
	if (sqlite3_column_count(row) > 5 && sqlite3_column_type(row, 5) != SQLITE_NULL) {
		const void *data = sqlite3_column_blob(row, 5);
		kv->value = g_bytes_new(data, (size_t)sqlite3_column_bytes(row, 5));
	}
	return kv;
}

/* ---- reading ---- */

static bool range_newest(
	struct sqlite *sqlite, const struct local_query *query, struct store_range *ret, GError **error)
{
	enum statement which =
		query->end ? (query->keys_only ? RANGE_META : RANGE) : (query->keys_only ? GET_META : GET);
	sqlite3_stmt *statement = sqlite->statements[which];
	int code;

	bind_text(statement, 1, query->key);
	if (query->end) {
		bind_end(statement, 2, query->end);
		sqlite3_bind_int64(
			statement, 3, query->limit && query->limit < INT64_MAX ? query->limit + 1 : -1);
	}
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		ret->more = query->limit && ret->kvs->len >= query->limit;
		if (ret->more)
			break;
		g_ptr_array_add(ret->kvs, read_kv(statement));
	}
	bool ok = code == SQLITE_ROW || code == SQLITE_DONE || set_fault(sqlite, code, "be read", error);
	finish(statement);
	return ok;
}

/* What the key was at the revision. *ret is NULL when it was not there. */
static bool get_old(
	struct sqlite *sqlite, const char *key, int64_t revision, struct store_kv **ret, GError **error)
{
	sqlite3_stmt *statement = sqlite->statements[OLD_GET];

	bind_text(statement, 1, key);
	sqlite3_bind_int64(statement, 2, revision);
	int code = sqlite3_step(statement);
	*ret = code == SQLITE_ROW ? read_kv(statement) : NULL;
	bool ok = code == SQLITE_ROW || code == SQLITE_DONE || set_fault(sqlite, code, "be read", error);
	finish(statement);
	if (*ret && !(*ret)->value)
		g_clear_pointer(ret, store_kv_free);
	return ok;
}

/* Moves *key on to the next key of the range that has any version, deletions too; NULL at the end. */
static bool next_old_key(
	struct sqlite *sqlite, enum statement which, char **key, const char *end, GError **error)
{
	sqlite3_stmt *statement = sqlite->statements[which];

	bind_text(statement, 1, *key);
	bind_end(statement, 2, end);
	int code = sqlite3_step(statement);
	g_autofree char *next =
		code == SQLITE_ROW ? g_strdup((const char *)sqlite3_column_text(statement, 0)) : NULL;
	bool ok = code == SQLITE_ROW || code == SQLITE_DONE || set_fault(sqlite, code, "be read", error);
	finish(statement);
	g_free(*key);
	*key = g_steal_pointer(&next);
	return ok;
}

static bool add_old(struct sqlite *sqlite, const struct local_query *query, const char *key,
	struct store_range *ret, GError **error)
{
	_cleanup_(store_kv_free) struct store_kv *kv = NULL;

	if (!get_old(sqlite, key, query->revision, &kv, error))
		return false;
	if (kv && query->limit && ret->kvs->len >= query->limit)
		ret->more = true;
	else if (kv)
		g_ptr_array_add(ret->kvs, g_steal_pointer(&kv));
	return true;
}

static bool range_old(
	struct sqlite *sqlite, const struct local_query *query, struct store_range *ret, GError **error)
{
	g_autofree char *key = g_strdup(query->key);

	if (!query->end)
		return add_old(sqlite, query, key, ret, error);
	if (!next_old_key(sqlite, OLD_FIRST, &key, query->end, error))
		return false;
	while (key && !ret->more)
		if (!add_old(sqlite, query, key, ret, error) ||
			!next_old_key(sqlite, OLD_NEXT, &key, query->end, error))
			return false;
	return true;
}

static bool sqlite_range(
	struct local *local, const struct local_query *query, struct store_range *ret, GError **error)
{
	if (query->revision)
		return range_old(sqlite_of(local), query, ret, error);
	return range_newest(sqlite_of(local), query, ret, error);
}

static bool sqlite_changes(
	struct local *local, int64_t from, unsigned enough, GPtrArray *ret, int64_t *ret_upto, GError **error)
{
	struct sqlite *sqlite = sqlite_of(local);
	sqlite3_stmt *statement = sqlite->statements[CHANGES];
	int64_t last = 0;
	int code;

	*ret_upto = local->revision;
	sqlite3_bind_int64(statement, 1, from);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
		struct store_kv *kv = read_kv(statement);
		if (ret->len >= enough && kv->mod_revision != last) {
			store_kv_free(kv);
			*ret_upto = last;
			break;
		}
		last = kv->mod_revision;
		g_ptr_array_add(ret, kv);
	}
	bool ok = code == SQLITE_ROW || code == SQLITE_DONE || set_fault(sqlite, code, "be read", error);
	finish(statement);
	return ok;
}

/* ---- writing ---- */

static bool sqlite_begin(struct local *local, GError **error)
{
	return run(sqlite_of(local), BEGIN, "begin a transaction", error);
}

static bool sqlite_commit(struct local *local, GError **error)
{
	return run(sqlite_of(local), COMMIT, "commit", error);
}

/* After some errors SQLite has rolled back by itself. */
static void sqlite_rollback(struct local *local)
{
	struct sqlite *sqlite = sqlite_of(local);

	if (!sqlite3_get_autocommit(sqlite->db))
		run(sqlite, ROLLBACK, "roll back", NULL);
}

static bool add_version(struct sqlite *sqlite, const struct store_kv *kv, unsigned sub, GError **error)
{
	sqlite3_stmt *statement = sqlite->statements[ADD_VERSION];

	bind_text(statement, 1, kv->key);
	sqlite3_bind_int64(statement, 2, kv->create_revision);
	sqlite3_bind_int64(statement, 3, kv->mod_revision);
	sqlite3_bind_int64(statement, 4, sub);
	sqlite3_bind_int64(statement, 5, kv->version);
	sqlite3_bind_int64(statement, 6, kv->lease);
	bind_value(statement, 7, kv->value);
	return run(sqlite, ADD_VERSION, "be written", error);
}

static bool sqlite_write(struct local *local, const struct store_kv *kv, unsigned sub, GError **error)
{
	struct sqlite *sqlite = sqlite_of(local);
	enum statement which = kv->value ? SET_KEY : DROP_KEY;
	sqlite3_stmt *statement = sqlite->statements[which];

	if (!add_version(sqlite, kv, sub, error))
		return false;
	bind_text(statement, 1, kv->key);
	if (kv->value) {
		sqlite3_bind_int64(statement, 2, sqlite3_last_insert_rowid(sqlite->db));
		sqlite3_bind_int64(statement, 3, kv->lease);
	}
	return run(sqlite, which, "be written", error);
}

/* FORGET keeps a deletion at just that revision: a watch from there must see it. */
static bool sqlite_compact(struct local *local, int64_t revision, GError **error)
{
	struct sqlite *sqlite = sqlite_of(local);

	if (!sqlite_begin(local, error))
		return false;
	sqlite3_bind_int64(sqlite->statements[FORGET], 1, revision);
	sqlite3_bind_int64(sqlite->statements[SET_COMPACTED], 1, revision);
	if (run(sqlite, FORGET, "be compacted", error) && run(sqlite, SET_COMPACTED, "be compacted", error) &&
		sqlite_commit(local, error))
		return true;
	sqlite_rollback(local);
	return false;
}

/* ---- leases ---- */

static bool sqlite_lease_add(struct local *local, int64_t ttl_s, int64_t *ret_id, GError **error)
{
	struct sqlite *sqlite = sqlite_of(local);

	sqlite3_bind_int64(sqlite->statements[ADD_LEASE], 1, ttl_s);
	if (!run(sqlite, ADD_LEASE, "add a lease", error))
		return false;
	*ret_id = sqlite3_last_insert_rowid(sqlite->db);
	return true;
}

static bool sqlite_lease_drop(struct local *local, int64_t id, GError **error)
{
	struct sqlite *sqlite = sqlite_of(local);

	sqlite3_bind_int64(sqlite->statements[DROP_LEASE], 1, id);
	return run(sqlite, DROP_LEASE, "drop a lease", error);
}

static bool sqlite_lease_keys(struct local *local, int64_t id, GPtrArray *ret, GError **error)
{
	struct sqlite *sqlite = sqlite_of(local);
	sqlite3_stmt *statement = sqlite->statements[LEASE_KEYS];
	int code;

	sqlite3_bind_int64(statement, 1, id);
	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		g_ptr_array_add(ret, g_strdup((const char *)sqlite3_column_text(statement, 0)));
	bool ok = code == SQLITE_DONE || set_fault(sqlite, code, "be read", error);
	finish(statement);
	return ok;
}

/* ---- opening ---- */

/* Makes the file, readable by its owner only; SQLite gives its log the same mode. A file that is there is not
 * opened: closing it again would drop the locks of a store that this process has on it (POSIX locks). */
static bool create_file(const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno != EEXIST)
		return fault_set(
			error, FAULT_INTERNAL, "cannot make the store %s: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return true;
}

/* First column of a statement's first row, as a number. */
static bool query_number(struct sqlite *sqlite, const char *sql, int64_t *ret, GError **error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(sqlite->db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	bool ok = code == SQLITE_ROW || set_fault(sqlite, code, "be read", error);
	sqlite3_finalize(statement);
	return ok;
}

/* Whether the statement's first row is just this text. */
static bool query_is(struct sqlite *sqlite, const char *sql, const char *expected, GError **error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(sqlite->db, sql, -1, &statement, NULL);
	bool ok;

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code != SQLITE_ROW) {
		ok = set_fault(sqlite, code, "be opened", error);
	} else {
		const char *text = (const char *)sqlite3_column_text(statement, 0);
		ok = g_strcmp0(text, expected) == 0 ||
		     fault_set(error, FAULT_INTERNAL,
			     "%s cannot be used: `%s` says '%s' instead of '%s'; if it is damaged, restore a "
			     "backup or what `sqlite3 %s .recover` can read",
			     sqlite->path, sql, text ? text : "", expected, sqlite->path);
	}
	sqlite3_finalize(statement);
	return ok;
}

static bool configure(struct sqlite *sqlite, GError **error)
{
	sqlite3_extended_result_codes(sqlite->db, 1);
	return execute(sqlite,
		       "PRAGMA locking_mode = EXCLUSIVE;"
		       "PRAGMA synchronous = FULL;"
		       "PRAGMA secure_delete = ON;" /* what is compacted away is overwritten */
		       "PRAGMA trusted_schema = OFF;"
		       "PRAGMA cell_size_check = ON;"
		       "PRAGMA temp_store = MEMORY;"
		       "PRAGMA cache_size = -32768;", /* KiB */
		       error) &&
	       query_is(sqlite, "PRAGMA journal_mode = WAL", "wal", error) &&
	       execute(sqlite, "BEGIN EXCLUSIVE; COMMIT;", error) && /* takes the lock, and keeps it */
	       query_is(sqlite, "PRAGMA quick_check(1)", "ok", error);
}

/* Brings the schema to this program's version. Each step is one transaction together with its number. */
static bool migrate(struct sqlite *sqlite, GError **error)
{
	int64_t version, application, tables;

	if (!query_number(sqlite, "PRAGMA user_version", &version, error) ||
		!query_number(sqlite, "PRAGMA application_id", &application, error) ||
		!query_number(sqlite, "SELECT count(*) FROM sqlite_schema", &tables, error))
		return false;
	if (application != APPLICATION_ID && (application || version || tables))
		return fault_set(error, FAULT_INTERNAL,
			"%s is a database of another program; name another file", sqlite->path);
	if (version > SCHEMA_VERSION)
		return fault_set(error, FAULT_UNSUPPORTED,
			"%s was written by a newer Sluice (schema %d, this one knows %d); upgrade this "
			"program",
			sqlite->path, (int)version, SCHEMA_VERSION);
	for (int i = (int)version; i < SCHEMA_VERSION; i++) {
		g_autofree char *sql = g_strdup_printf("BEGIN EXCLUSIVE; %s PRAGMA application_id = %d;"
						       " PRAGMA user_version = %d; COMMIT;",
			migrations[i], APPLICATION_ID, i + 1);
		if (!execute(sqlite, sql, error))
			return false;
	}
	return true;
}

static bool prepare(struct sqlite *sqlite, GError **error)
{
	for (int i = 0; i < N_STATEMENTS; i++) {
		int code = sqlite3_prepare_v3(sqlite->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
			&sqlite->statements[i], NULL);
		if (code != SQLITE_OK)
			return set_fault(sqlite, code, "be used", error);
	}
	return true;
}

static bool load_state(struct sqlite *sqlite, GError **error)
{
	sqlite3_stmt *statement = sqlite->statements[GET_STATE];
	int code = sqlite3_step(statement);
	bool ok = code == SQLITE_ROW;

	if (ok) {
		sqlite->local.revision = sqlite3_column_int64(statement, 0);
		sqlite->local.compacted = sqlite3_column_int64(statement, 1);
	} else {
		set_fault(sqlite, code, "be read", error);
	}
	finish(statement);
	return ok;
}

static bool restore_leases(struct sqlite *sqlite, GError **error)
{
	sqlite3_stmt *statement = sqlite->statements[LEASES];
	int code;

	while ((code = sqlite3_step(statement)) == SQLITE_ROW)
		local_restore_lease(&sqlite->local, sqlite3_column_int64(statement, 0),
			sqlite3_column_int64(statement, 1));
	bool ok = code == SQLITE_DONE || set_fault(sqlite, code, "be read", error);
	finish(statement);
	return ok;
}

static void sqlite_free(struct local *local)
{
	struct sqlite *sqlite = sqlite_of(local);

	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(sqlite->statements[i]);
	sqlite3_close(sqlite->db);
	g_free(sqlite->path);
	g_free(sqlite);
}

static const struct local_storage sqlite_storage = {
	.range = sqlite_range,
	.begin = sqlite_begin,
	.write = sqlite_write,
	.lease_drop = sqlite_lease_drop,
	.commit = sqlite_commit,
	.rollback = sqlite_rollback,
	.changes = sqlite_changes,
	.compact = sqlite_compact,
	.lease_add = sqlite_lease_add,
	.lease_keys = sqlite_lease_keys,
	.free = sqlite_free,
};

static bool open_database(struct sqlite *sqlite, GError **error)
{
	if (!create_file(sqlite->path, error))
		return false;
	int code = sqlite3_open_v2(sqlite->path, &sqlite->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	if (code != SQLITE_OK)
		return set_fault(sqlite, code, "be opened", error);
	return configure(sqlite, error) && migrate(sqlite, error) && prepare(sqlite, error) &&
	       load_state(sqlite, error);
}

struct store *store_sqlite_open(const char *path, GError **error)
{
	struct sqlite *sqlite = g_new0(struct sqlite, 1);

	sqlite->path = g_strdup(path);
	if (!open_database(sqlite, error)) {
		sqlite_free(&sqlite->local);
		return NULL;
	}
	local_init(&sqlite->local, &sqlite_storage);
	if (!restore_leases(sqlite, error)) {
		store_close(&sqlite->local.store);
		return NULL;
	}
	return &sqlite->local.store;
}
