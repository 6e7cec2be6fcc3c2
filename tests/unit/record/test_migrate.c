#include "tests/support/testing.h"

#include "core/record/migrate.h"

#include <sqlite3.h>

static const char *const steps[] = {
    "CREATE TABLE a(x INTEGER); INSERT INTO a VALUES(1);",
    "ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 7;",
    "this is no SQL",
};

static sqlite3_int64 number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *st;
    sqlite3_int64 v = -1;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    if (sqlite3_step(st) == SQLITE_ROW)
        v = sqlite3_column_int64(st, 0);
    assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
    return v;
}

static void test_steps(void **state maybe_unused)
{
    struct migration m = {"mod", steps, 1}, other = {"other", NULL, 0};
    struct err e = ERR_INIT;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(migrate_run(db, &m, "file", &e), STATUS_OK);
    assert_int_equal(migrate_run(db, &m, "file", &e), STATUS_OK);
    assert_int_equal(number(db, "SELECT count(*) FROM a"), 1);
    m.n = 2;
    assert_int_equal(migrate_run(db, &m, "file", &e), STATUS_OK);
    assert_int_equal(number(db, "SELECT y FROM a"), 7);
    assert_int_equal(migrate_run(db, &other, "file", &e), STATUS_OK);
    assert_int_equal(number(db, "SELECT version FROM schema_version WHERE module = 'mod'"), 2);

    /* a step that fails leaves everything as it was */
    m.n = 3;
    assert_int_equal(migrate_run(db, &m, "file", &e), STATUS_IO);
    assert_non_null(strstr(e.text, "version 3"));
    assert_int_equal(number(db, "SELECT version FROM schema_version WHERE module = 'mod'"), 2);
    assert_true(sqlite3_get_autocommit(db));

    /* an older program refuses */
    m.n = 1;
    assert_int_equal(migrate_run(db, &m, "file", &e), STATUS_UNSUPPORTED);
    assert_non_null(strstr(e.text, "version 2"));
    assert_non_null(strstr(e.text, "up to 1"));
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
