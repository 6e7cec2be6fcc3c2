/* A policy program of the operator's own beside a real run: what it refuses is never asked of the
 * server, and the receipt says why; when it dies everything is refused; one that is not there stops
 * the run before it begins. */
#include "tests/support/child.h"
#include "tests/support/httpd.h"
#include "tests/support/testing.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TASKS = 6, END_MS = 15000 };

static struct {
    struct httpd *server;
    char *dir;
    atomic_uint asked[TASKS + 1];
} w;

static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    unsigned long n = strtoul(q->path + 1, NULL, 10);

    (void)arg;
    a->type = "text/plain";
    a->status = n ? 200 : 404;
    a->body = "fine";
    if (n <= TASKS)
        w.asked[n]++;
}

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i <= TASKS; i++)
        w.asked[i] = 0;
    w.dir = test_mkdir();
    w.server = httpd_start(NULL, 0, answer, NULL);
    unsetenv("FLEET_STATE_DIR");
    return chdir(w.dir);
}

static int tear_down(void **state)
{
    (void)state;
    httpd_stop(&w.server);
    assert_int_equal(chdir(".."), 0);
    test_rmdir(&w.dir);
    return 0;
}

static int run(const char *hook, const char *policy)
{
    char text[1024], targets[512] = "";

    if (hook) {
        test_write_file("hook.sh", hook, strlen(hook));
        assert_int_equal(chmod("hook.sh", 0755), 0);
    }
    for (unsigned i = 1; i <= TASKS; i++) {
        size_t at = strlen(targets);

        (void)snprintf(targets + at, sizeof(targets) - at, "%s\"http://127.0.0.1:%u/%u\"",
                       i > 1 ? "," : "", httpd_port(w.server), i);
    }
    (void)snprintf(text, sizeof(text),
                   "{\"targets\":[%s],\"members\":{\"count\":2},\"slots\":2,"
                   "\"limits\":{\"max_requests\":1000},\"breaker\":{\"min_samples\":1000},"
                   "\"retry\":{\"max\":0},\"policy\":%s,"
                   "\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]}}",
                   targets, policy);
    test_write_file("c.json", text, strlen(text));
    return child_wait(child_program("fleet-core", "run c.json", "err.txt", "err.txt"), END_MS);
}

static int64_t receipts_with(const char *like)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t n;

    assert_int_equal(sqlite3_open_v2(".fleet/log.sqlite", &db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT count(*) FROM audit_record WHERE CAST(line AS "
                                        "TEXT) LIKE ?1 OR CAST(payload AS TEXT) LIKE ?1",
                                        -1, &st, NULL),
                     SQLITE_OK);
    sqlite3_bind_text(st, 1, like, -1, SQLITE_STATIC);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return n;
}

static void expect(int code, int got)
{
    if (got != code)
        fail_msg("exit code %d, expected %d\n%s", got, code, test_read_file("err.txt", NULL));
}

static void expect_asked(unsigned task, bool want)
{
    if ((w.asked[task] > 0) != want)
        fail_msg("task %u was %s\n%s", task, want ? "never asked for" : "asked for",
                 test_read_file("err.txt", NULL));
}

#define READ_ID                                                                                    \
    "#!/bin/sh\n"                                                                                  \
    "while read -r line; do\n"                                                                     \
    "  id=${line#*\\\"id\\\":}; id=${id%%,*}\n"

static void test_refuses(void **state)
{
    (void)state;
    expect(4, run(READ_ID "  case $line in\n"
                          "  */3\\\"*) echo \"{\\\"id\\\":$id,\\\"allow\\\":false,"
                          "\\\"why\\\":\\\"no threes\\\"}\" ;;\n"
                          "  *) echo \"{\\\"id\\\":$id,\\\"allow\\\":true}\" ;;\n"
                          "  esac\n"
                          "done\n",
                  "{\"hook\":[\"./hook.sh\"]}"));
    for (unsigned i = 1; i <= TASKS; i++)
        expect_asked(i, i != 3);
    assert_int_equal(receipts_with("%\"kind\":\"op\"%\"outcome\":\"POLICY_DENIED\"%"), 1);
    assert_true(receipts_with("%no threes%") >= 1);
}

static void test_dies(void **state)
{
    (void)state;
    expect(5, run("#!/bin/sh\nread -r line\nexit 1\n", "{\"hook\":[\"./hook.sh\"]}"));
    for (unsigned i = 1; i <= TASKS; i++)
        expect_asked(i, false);
    assert_true(receipts_with("%program has ended%") >= TASKS);
}

static void test_is_silent(void **state)
{
    (void)state;
    expect(5, run("#!/bin/sh\nexec sleep 60\n", "{\"hook\":[\"./hook.sh\"],\"hook_ms\":100}"));
    expect_asked(1, false);
    assert_true(receipts_with("%did not answer within 100 ms%") >= 1);
}

static void test_is_not_there(void **state)
{
    char *text;

    (void)state;
    assert_int_not_equal(run(NULL, "{\"hook\":[\"./nothing.sh\"]}"), 0);
    text = test_read_file("err.txt", NULL);
    assert_non_null(strstr(text, "policy.hook"));
    assert_non_null(strstr(text, "nothing.sh"));
    free(text);
}

static void test_tags(void **state)
{
    (void)state;
    expect(5, run(NULL, "{\"tags\":[\"fleet:op\",\"target:*.example.org\"]}"));
    expect_asked(1, false);
    assert_true(receipts_with("%policy.tags does not grant%target:127.0.0.1%") >= 1);
    expect(0, run(NULL, "{\"tags\":[\"fleet:op\",\"target:127.0.0.*\"]}"));
    expect_asked(1, true);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_refuses),      CASE(test_dies), CASE(test_is_silent),
        CASE(test_is_not_there), CASE(test_tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
