/* What `kill -9` leaves, `resume` finishes. A server counts what it is asked, fleet-core is killed
 * at random moments, resumed, and killed again, until it comes to its end by itself. What must hold
 * then, read from the files alone: each task has exactly one completion in the log and exactly one
 * line in the results; the server was asked for each at least once and hardly more often than it
 * was killed; the chain verifies, with one opening and one closing receipt. Lost leases and
 * irreversible steps must be seen in what the tasks come to. */
#include "tests/support/testing.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/json.h"
#include "core/base/rng.h"
#include "tests/support/child.h"
#include "tests/support/httpd.h"

enum { DEADLINE_MS = 15000, TASKS = 150, ROUNDS = 8 };

static struct {
    struct httpd *server;
    pthread_mutex_t lock;
    unsigned asked[TASKS + 1]; /* by path */
    unsigned delay_ms;
    char *dir;
    struct rng rng;
} w;

/* "/17" -> 17; "/robots.txt" -> 0. */
static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    unsigned long n = strtoul(q->path + 1, NULL, 10);

    (void)arg;
    a->type = "text/plain";
    a->status = n ? 200 : 404;
    a->body = q->path;
    a->delay_ms = n ? w.delay_ms : 0;
    pthread_mutex_lock(&w.lock);
    if (n <= TASKS)
        w.asked[n]++;
    pthread_mutex_unlock(&w.lock);
}

static int set_up(void **state)
{
    const char *seed = getenv("SEED");

    (void)state;
    memset(w.asked, 0, sizeof(w.asked));
    w.dir = test_mkdir();
    w.delay_ms = 15;
    w.server = httpd_start(NULL, 0, answer, NULL);
    rng_seed_u64(&w.rng, seed ? strtoull(seed, NULL, 10) : test_now_ms());
    assert_int_equal(chdir(w.dir), 0);
    unsetenv("FLEET_STATE_DIR");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    httpd_stop(&w.server);
    assert_int_equal(chdir(".."), 0);
    test_rmdir(&w.dir);
    return 0;
}

/* --- the program --- */

/* What it says is in err.txt. */
static pid_t start(const char *words)
{
    return child_program("fleet-core", words, "err.txt", "err.txt");
}

static void expect(int code, int got, const char *what)
{
    char *text;

    if (got == code)
        return;
    text = test_read_file("err.txt", NULL);
    print_error("%s", text);
    free(text);
    fail_msg("%s: exit code %d, expected %d", what, got, code);
}

static void verify(void)
{
    expect(0, child_wait(start("audit verify"), DEADLINE_MS), "audit verify");
}

/* --- the campaign --- */

static void campaign(const char *more, unsigned tasks)
{
    char text[2048], line[64];
    FILE *f = fopen("t.txt", "w");

    assert_non_null(f);
    for (unsigned i = 1; i <= tasks; i++) {
        snprintf(line, sizeof(line), "http://127.0.0.1:%u/%u\n", httpd_port(w.server), i);
        fputs(line, f);
    }
    assert_int_equal(fclose(f), 0);
    snprintf(
        text, sizeof(text),
        "{\"targets\":\"t.txt\",\"members\":{\"count\":6},\"slots\":3,"
        "\"limits\":{\"max_requests\":1000},\"retry\":{\"max\":1,\"base_ms\":5,\"cap_ms\":9},%s}",
        more);
    test_write_file("c.json", text, strlen(text));
}

/* --- what is left, from the files alone --- */

static int64_t query(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int64_t v;

    assert_int_equal(sqlite3_open_v2(".fleet/log.sqlite", &db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    v = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return v;
}

static int64_t receipts(const char *kind)
{
    char sql[128];

    snprintf(
        sql, sizeof(sql),
        "SELECT count(*) FROM audit_record WHERE CAST(line AS TEXT) LIKE '%%\"kind\":\"%s\"%%'",
        kind);
    return query(sql);
}

/* Lines of the results: whole, each task once. Returns how many; counts those with this status. */
static unsigned results(const char *status, unsigned *n_status)
{
    static bool seen[TASKS + 1];
    char *text = test_read_file("results.ndjson", NULL);
    struct str rest = str_from(text);
    unsigned n = 0;

    memset(seen, 0, sizeof(seen));
    *n_status = 0;
    while (rest.ptr && rest.len > 0) {
        struct json *j = json_parse(str_cut(&rest, '\n'), true, NULL);
        unsigned long task = strtoul(json_str(json_get(j, "task"), "t-0") + 2, NULL, 10);

        assert_non_null(j);
        assert_non_null(rest.ptr);
        assert_true(task >= 1 && task <= TASKS);
        if (seen[task])
            fail_msg("t-%06lu is in the results twice", task);
        seen[task] = true;
        assert_int_equal(strlen(json_str(json_get(j, "receipt"), "")), 64);
        *n_status += strcmp(json_str(json_get(j, "status"), ""), status) == 0;
        json_destroy(&j);
        n++;
    }
    free(text);
    return n;
}

static void tear_results(void)
{
    size_t len;
    char *text = test_read_file("results.ndjson", &len);

    if (len > 20 && rng_below(&w.rng, 2))
        test_write_file("results.ndjson", text, len - 1 - rng_below(&w.rng, 15));
    free(text);
}

struct going {
    pid_t pid;
    int code;
    unsigned until; /* requests */
    bool gone;
};

static bool gets_on(void *arg)
{
    struct going *g = arg;

    g->gone = child_has_ended(g->pid, &g->code);
    return g->gone || httpd_count(w.server) >= g->until;
}

/* Killed some time after a dozen requests: something is durable then, and no task is under way at
 * three kills in a row, which would end it dead. The exit code when it ended before. */
static int kill_later(pid_t pid, unsigned ms)
{
    struct going g = {.pid = pid, .until = httpd_count(w.server) + 12};

    assert_true(test_wait_until(gets_on, &g, DEADLINE_MS));
    if (g.gone)
        return g.code;
    return child_kill_after(pid, ms);
}

/* --- cases --- */

static void test_killed_again_and_again(void **state)
{
    unsigned rounds = 0, ok, extra = 0;
    int code = -SIGKILL;

    (void)state;
    campaign("\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]}", TASKS);
    code = kill_later(start("run c.json"), 1 + (unsigned)rng_below(&w.rng, 100));
    unlink("c.json"); /* nothing outside the state directory is needed */
    unlink("t.txt");
    while (code == -SIGKILL && rounds++ < ROUNDS) {
        verify();
        tear_results();
        code = kill_later(start("resume"), 1 + (unsigned)rng_below(&w.rng, 100));
    }
    if (code == -SIGKILL)
        code = child_wait(start("resume"), DEADLINE_MS);
    expect(0, code, "resume");
    verify();
    assert_int_equal(results("succeeded", &ok), TASKS);
    assert_int_equal(ok, TASKS);
    assert_int_equal(query("SELECT count(*) FROM task_done"), TASKS);
    assert_int_equal(receipts("task"), TASKS);
    assert_int_equal(receipts("campaign.open"), 1);
    assert_int_equal(receipts("campaign.close"), 1);
    for (unsigned i = 1; i <= TASKS; i++) {
        assert_true(w.asked[i] >= 1);
        extra += w.asked[i] - 1;
    }
    if (extra > 3 * (rounds + 1)) /* three slots */
        fail_msg("%u requests more than tasks after %u kills", extra, rounds);
    expect(0, child_wait(start("resume"), DEADLINE_MS), "resume of nothing");
    expect(3, child_wait(start("resume b-0000009"), DEADLINE_MS), "resume of none");
}

/* A pipeline goes on in the stage that it was in, with the outputs of the one before. */
static void test_pipeline(void **state)
{
    unsigned ok, i;
    int code;

    (void)state;
    campaign("\"coordinator\":\"pipeline\",\"stages\":["
             "{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\",\"name\":\"a\"}]},"
             "{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}{{input.a.body}}\"}]}]",
             30);
    code = kill_later(start("run c.json"), 1 + (unsigned)rng_below(&w.rng, 60));
    for (i = 0; code == -SIGKILL && i < 3; i++)
        code = kill_later(start("resume"), 1 + (unsigned)rng_below(&w.rng, 60));
    if (code == -SIGKILL)
        code = child_wait(start("resume"), DEADLINE_MS);
    expect(0, code, "resume");
    verify();
    assert_int_equal(results("succeeded", &ok), 30);
    assert_int_equal(receipts("stage"), 30); /* no stage was done twice */
    assert_int_equal(receipts("task"), 30);
}

static bool asks_first(void *arg)
{
    (void)arg;
    return w.asked[1] > 0;
}

/* A step that cannot be repeated was under way: nobody knows what came of it. */
static void test_irreversible(void **state)
{
    unsigned unknown;
    pid_t pid;

    (void)state;
    w.delay_ms = 3000;
    campaign(
        "\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\",\"irreversible\":true}]}",
        1);
    pid = start("run c.json");
    assert_true(test_wait_until(asks_first, NULL, DEADLINE_MS));
    kill(pid, SIGKILL);
    expect(-SIGKILL, child_wait(pid, DEADLINE_MS), "run");
    expect(5, child_wait(start("resume"), DEADLINE_MS), "resume");
    assert_int_equal(results("unknown", &unknown), 1);
    assert_int_equal(unknown, 1);
    assert_int_equal(w.asked[1], 1);
    verify();
}

struct ask {
    unsigned more_than;
};

static bool asks_again(void *arg)
{
    return w.asked[1] > ((struct ask *)arg)->more_than;
}

/* A task that the engine went down with three times is not tried a fourth time. */
static void test_poison(void **state)
{
    unsigned dead;

    (void)state;
    w.delay_ms = 3000;
    campaign("\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]}", 1);
    for (unsigned i = 0; i < 3; i++) {
        struct ask ask = {.more_than = i};
        pid_t pid = i ? start("resume") : start("run c.json");

        assert_true(test_wait_until(asks_again, &ask, DEADLINE_MS));
        kill(pid, SIGKILL);
        expect(-SIGKILL, child_wait(pid, DEADLINE_MS), "run");
    }
    expect(5, child_wait(start("resume"), DEADLINE_MS), "resume");
    assert_int_equal(results("dead", &dead), 1);
    assert_int_equal(dead, 1);
    assert_int_equal(w.asked[1], 3);
    verify();
}

/* A signal leaves what a kill leaves, in order. */
static void test_drained(void **state)
{
    struct ask ask = {.more_than = 0};
    unsigned ok, n;
    pid_t pid;

    (void)state;
    campaign("\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]}", 60);
    pid = start("run c.json");
    assert_true(test_wait_until(asks_again, &ask, DEADLINE_MS));
    kill(pid, SIGTERM);
    expect(143, child_wait(pid, DEADLINE_MS), "run");
    n = results("succeeded", &ok);
    assert_true(n >= 1 && n < 60);
    assert_int_equal(receipts("campaign.pause"), 1);
    expect(0, child_wait(start("resume"), DEADLINE_MS), "resume");
    assert_int_equal(results("succeeded", &ok), 60);
    assert_int_equal(receipts("campaign.close"), 1);
    for (unsigned i = 1; i <= 60; i++)
        assert_int_equal(w.asked[i], 1);
    verify();
}

/* How many times `what` is in the file, which must be there. */
static unsigned count_in(const char *path, const char *what)
{
    char *text = test_read_file(path, NULL);
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, what)) != NULL; p++)
        n++;
    free(text);
    return n;
}

/* What a power cut may leave: the lines of another campaign, then this one's, one of them zeros. */
static void zero_a_line(void)
{
    size_t n_others, n;
    char *others = test_read_file("results.ndjson.1", &n_others),
         *text = test_read_file("results.ndjson", &n), *all = malloc(n_others + n),
         *second = strchr(text, '\n');

    assert_non_null(all);
    assert_non_null(second);
    memset(second - 20, 0, 40);
    memcpy(all, others, n_others);
    memcpy(all + n_others, text, n);
    test_write_file("results.ndjson", all, n_others + n);
    free(others);
    free(text);
    free(all);
}

static void drained_campaign(unsigned tasks)
{
    struct ask ask = {.more_than = w.asked[1]};
    pid_t pid;

    campaign("\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]}", tasks);
    pid = start("run c.json");
    assert_true(test_wait_until(asks_again, &ask, DEADLINE_MS));
    kill(pid, SIGTERM);
    expect(143, child_wait(pid, DEADLINE_MS), "run");
}

/* Damage before the file's end sends it aside; what others had in it is kept. */
static void test_zeroed_line(void **state)
{
    (void)state;
    campaign("\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]}", 5);
    expect(0, child_wait(start("run c.json"), DEADLINE_MS), "run");
    drained_campaign(60);
    assert_int_equal(count_in("results.ndjson.1", "\"receipt\""), 5);
    zero_a_line();
    expect(0, child_wait(start("resume"), DEADLINE_MS), "resume");
    assert_int_equal(count_in("results.ndjson", "\"receipt\""), 65);
    assert_int_equal(count_in("results.ndjson", "\n"), 65);
    assert_int_equal(count_in("results.ndjson", "\"t-000060\""), 1);
    assert_int_equal(count_in("results.ndjson", "\"t-000001\""), 2);
    assert_int_equal(access("results.ndjson.2", F_OK), 0);
    verify();
}

/* A campaign that nobody will go on with is closed, and nothing is asked for it. */
static void test_abandoned(void **state)
{
    unsigned asked, cancelled;

    (void)state;
    drained_campaign(60);
    asked = httpd_count(w.server);
    expect(2, child_wait(start("resume --abandon"), DEADLINE_MS), "resume --abandon of none");
    expect(0, child_wait(start("resume -q --abandon b-0000001"), DEADLINE_MS), "resume --abandon");
    assert_int_equal(httpd_count(w.server), asked);
    assert_int_equal(results("cancelled", &cancelled), 60);
    assert_true(cancelled > 0);
    assert_int_equal(receipts("task"), 60);
    assert_int_equal(receipts("campaign.close"), 1);
    verify();
    expect(0, child_wait(start("resume"), DEADLINE_MS), "resume of nothing");
    assert_true(count_in("err.txt", "nothing to resume") == 1);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_killed_again_and_again),
        CASE(test_pipeline),
        CASE(test_irreversible),
        CASE(test_poison),
        CASE(test_drained),
        CASE(test_zeroed_line),
        CASE(test_abandoned),
    };

    pthread_mutex_init(&w.lock, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
