/* `fleet-core run` from outside: a server that counts, the program as a process, and what it leaves
 * on disk. What must hold: every task gets one whole line, in the results and only after its
 * receipt; the chain verifies after any end; exit codes are those of the manual; a target is never
 * asked faster than its limit. */
#include "tests/support/testing.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "core/base/json.h"
#include "tests/support/child.h"
#include "tests/support/httpd.h"

enum { DEADLINE_MS = 15000 };

static struct {
    struct httpd *server;
    unsigned delay_ms;
    char *dir;
    char err[32 * 1024];
} w;

static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    (void)arg;
    a->type = "application/json";
    a->status = 200;
    a->body = "{\"hello\":\"world\"}";
    if (strcmp(q->path, "/robots.txt") == 0)
        a->status = 404;
    else if (strncmp(q->path, "/500", 4) == 0)
        a->status = 500;
    else if (strncmp(q->path, "/echo/", 6) == 0)
        a->body = q->path + 6;
    else
        a->delay_ms = w.delay_ms;
}

static int set_up(void **state)
{
    (void)state;
    w.dir = test_mkdir();
    w.delay_ms = 0;
    w.server = httpd_start(NULL, 0, answer, NULL);
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

static pid_t start(const char *words)
{
    return child_program("fleet-core", words, "out.txt", "err.txt");
}

/* The exit code; what was told is in w.err. */
static int finish(pid_t pid)
{
    int code = child_wait(pid, DEADLINE_MS);
    char *text = test_read_file("err.txt", NULL);

    snprintf(w.err, sizeof(w.err), "%s", text);
    free(text);
    return code;
}

static int run(const char *words)
{
    return finish(start(words));
}

static void expect(const char *words, int code)
{
    int got = run(words);

    if (got != code)
        fail_msg("fleet-core %s: exit code %d, expected %d\n%s", words, got, code, w.err);
}

/* --- files --- */

/* "%1" in `text` is the server's base, "%2" the same under another name. */
static void campaign(const char *text)
{
    char whole[8192] = "", base[64];

    for (const char *p = text; *p; p++) {
        size_t n = strlen(whole);

        if (p[0] == '%' && (p[1] == '1' || p[1] == '2')) {
            snprintf(base, sizeof(base), "http://%s:%u", p[1] == '1' ? "127.0.0.1" : "localhost",
                     httpd_port(w.server));
            snprintf(whole + n, sizeof(whole) - n, "%s", base);
            p++;
        } else {
            snprintf(whole + n, sizeof(whole) - n, "%c", *p);
        }
    }
    test_write_file("c.json", whole, strlen(whole));
}

static void many_targets(const char *path, unsigned n)
{
    char *text = calloc(n, 64);
    size_t len = 0;

    for (unsigned i = 0; i < n; i++)
        len +=
            (size_t)snprintf(text + len, 64, "http://127.0.0.1:%u/%u\n", httpd_port(w.server), i);
    test_write_file(path, text, len);
    free(text);
}

/* Lines of the results, each whole JSON; calls fn for each. */
static unsigned results(const char *path, void (*fn)(const struct json *j))
{
    char *text = test_read_file(path, NULL);
    struct str rest = str_from(text);
    unsigned n = 0;

    while (rest.ptr && rest.len > 0) {
        struct str line = str_cut(&rest, '\n');
        struct json *j = json_parse(line, true, NULL);

        assert_non_null(j);
        assert_non_null(rest.ptr); /* its end is there */
        assert_int_equal(strlen(json_str(json_get(j, "receipt"), "")), 64);
        if (fn)
            fn(j);
        json_destroy(&j);
        n++;
    }
    free(text);
    return n;
}

#define FLOW "\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\",\"name\":\"r\"}]}"
#define FAST "\"limits\":{\"max_requests\":1000},\"retry\":{\"max\":1,\"base_ms\":10,\"cap_ms\":20}"

/* --- cases --- */

static void is_whole(const struct json *j)
{
    assert_non_null(json_str(json_get(j, "task"), NULL));
    assert_string_equal(json_str(json_get(j, "target"), ""), "127.0.0.1");
    assert_non_null(json_str(json_get(j, "identity"), NULL));
    assert_string_equal(json_str(json_get(j, "status"), ""), "succeeded");
    assert_int_equal(json_int(json_get(j, "attempts"), 0), 1);
    assert_int_equal(json_type(json_get(j, "error")), JSON_NULL);
    assert_string_equal(json_str(json_at(j, "output", "r", "body", NULL), ""),
                        "{\"hello\":\"world\"}");
}

static void test_all_succeed(void **state)
{
    char *text;

    (void)state;
    many_targets("t.txt", 30);
    campaign("{" FLOW ",\"targets\":\"t.txt\",\"members\":{\"count\":4},\"slots\":3," FAST "}");
    expect("run c.json", 0);
    assert_int_equal(results("results.ndjson", is_whole), 30);
    expect("audit verify", 0);
    expect("audit verify audit.ndjson", 0);
    text = test_read_file("report.html", NULL);
    assert_non_null(strstr(text, "all tasks succeeded"));
    free(text);
    expect("run c.json --json --quiet", 0);
    text = test_read_file("out.txt", NULL);
    assert_non_null(strstr(text, "\"exit_code\": 0"));
    free(text);
    assert_string_equal(w.err, "");
    assert_int_equal(results("results.ndjson.1", is_whole), 30); /* the earlier ones are kept */
}

static void test_limit_is_kept(void **state)
{
    uint64_t from = test_now_ms();

    (void)state;
    many_targets("t.txt", 6); /* and robots.txt: five tokens more than the bucket holds */
    campaign("{" FLOW ",\"targets\":\"t.txt\",\"members\":{\"count\":4},\"slots\":4,"
             "\"limits\":{\"max_requests\":2,\"window_ms\":400}}");
    expect("run c.json", 0);
    assert_true(test_now_ms() - from >= 1000);
    assert_int_equal(httpd_count(w.server), 7);
}

static void test_some_fail(void **state)
{
    (void)state;
    campaign("{" FLOW ",\"targets\":[\"%1/a\",\"%2/500\"]," FAST "}");
    expect("run c.json", 4);
    assert_int_equal(results("results.ndjson", NULL), 2);
    campaign("{" FLOW ",\"targets\":[\"%2/500\"]," FAST "}");
    expect("run c.json", 5);
}

static void test_refuses(void **state)
{
    (void)state;
    campaign("{" FLOW ",\"targets\":[]}");
    expect("run c.json", 3);
    expect("run none.json", 3);
    expect("run", 2);
    expect("rnu c.json", 2);
    campaign("{\"flow\":{\"steps\":[{\"type\":\"navigate\",\"url\":\"x\"}]},\"targets\":[\"%1\"]}");
    expect("run c.json", 3);
    assert_non_null(strstr(w.err, "c.json: /flow/steps/0/type: found \"navigate\", expected"));
    assert_int_equal(access(".fleet", F_OK), -1); /* nothing was begun */
}

static void test_breaker(void **state)
{
    (void)state;
    many_targets("t.txt", 40);
    campaign("{\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"%1/500\"}]},"
             "\"targets\":\"t.txt\",\"limits\":{\"max_requests\":1000},\"retry\":{\"max\":0}}");
    expect("run c.json", 6);
    assert_int_equal(results("results.ndjson", NULL), 40);
    assert_true(httpd_count(w.server) <=
                23); /* twenty samples, robots.txt, and what was on its way */
    expect("breaker list", 0);
    expect("run c.json", 6); /* not healed by a restart */
    assert_true(httpd_count(w.server) <= 23);
    expect("breaker reset 127.0.0.1", 0);
    expect("breaker reset 127.0.0.1", 3);
    assert_non_null(strstr(w.err, "not open"));
    expect("audit verify", 0);
}

struct count {
    unsigned at_least;
};

static bool has_answered(void *arg)
{
    return httpd_count(w.server) >= ((struct count *)arg)->at_least;
}

static pid_t start_slow(void)
{
    struct count c = {.at_least = 6};
    pid_t pid;

    w.delay_ms = 150;
    many_targets("t.txt", 400);
    campaign("{" FLOW ",\"targets\":\"t.txt\",\"members\":{\"count\":4},\"slots\":4," FAST "}");
    pid = start("run c.json");
    assert_true(test_wait_until(has_answered, &c, DEADLINE_MS));
    return pid;
}

static void test_sigterm_drains(void **state)
{
    pid_t pid = start_slow();
    unsigned n;
    char *text;

    (void)state;
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid), 143);
    n = results("results.ndjson", is_whole);
    assert_true(n >= 5 && n < 400);
    expect("audit verify", 0);
    text = test_read_file("report.html", NULL);
    assert_non_null(strstr(text, "stopped before the end"));
    free(text);
}

static void test_second_signal_stops(void **state)
{
    pid_t pid;
    uint64_t from;

    (void)state;
    pid = start_slow();
    w.delay_ms = 8000; /* what runs now does not end by itself */
    test_sleep_ms(300);
    kill(pid, SIGINT);
    test_sleep_ms(200);
    from = test_now_ms();
    kill(pid, SIGINT);
    assert_int_equal(finish(pid), 130);
    assert_true(test_now_ms() - from < 4000);
    (void)results("results.ndjson", NULL);
    expect("audit verify", 0);
}

/* What was told is proved: a result that is in the file has its receipt in the log. */
static char *copy_text;

static void has_receipt(const struct json *j)
{
    const char *task = json_str(json_get(j, "task"), "");
    char member[64];

    (void)task;
    snprintf(member, sizeof(member), "\"%s\"", json_str(json_get(j, "identity"), ""));
    assert_non_null(strstr(copy_text, member));
}

static void test_kill_9(void **state)
{
    pid_t pid;

    (void)state;
    for (int i = 0; i < 3; i++) {
        pid = start_slow();
        test_sleep_ms(37 * (unsigned)i);
        kill(pid, SIGKILL);
        assert_int_equal(finish(pid), -SIGKILL);
        expect("audit verify", 0);
        copy_text = test_read_file("audit.ndjson", NULL);
        (void)results("results.ndjson", has_receipt);
        free(copy_text);
        httpd_stop(&w.server);
        w.server = httpd_start(NULL, 0, answer, NULL);
    }
}

static void test_full_disk(void **state)
{
    (void)state;
    many_targets("t.txt", 50);
    campaign("{" FLOW ",\"targets\":\"t.txt\"," FAST
             ",\"output\":{\"results\":\"/dev/full\",\"report\":\"report.html\"}}");
    expect("run c.json", 9);
    assert_non_null(strstr(w.err, "results: "));
    assert_non_null(strstr(w.err, "No space left on device"));
    assert_true(httpd_count(w.server) < 50);
    expect("audit verify", 0);
}

/* Each kind of failure is told in full once; a report that is not there is not named. */
static void test_summary(void **state)
{
    (void)state;
    campaign("{" FLOW ",\"targets\":[\"http://127.0.0.1:1/a\"],\"retry\":{\"max\":0},"
             "\"limits\":{\"robots\":false},\"output\":{\"report\":\"/dev/full/r.html\"}}");
    expect("run c.json", 5);
    assert_non_null(strstr(w.err, "    t-000001: "));
    assert_non_null(strstr(w.err, "Connection refused"));
    assert_non_null(strstr(w.err, "report: "));
    assert_null(strstr(w.err, "  report   "));
}

static void test_state_directory(void **state)
{
    (void)state;
    campaign("{" FLOW ",\"targets\":[\"%1/a\"]}");
    test_write_file("file", "", 0);
    expect("run c.json --state-dir file", 9);
    assert_non_null(strstr(w.err, "state directory: "));
    expect("run c.json --state-dir /proc/fleet", 9);
    expect("run c.json --state-dir sub/dir", 0);
}

static void test_one_at_a_time(void **state)
{
    pid_t pid = start_slow();

    (void)state;
    rename("err.txt", "err1.txt");
    assert_int_equal(run("run c.json"), 9);
    kill(pid, SIGTERM);
    assert_int_equal(finish(pid), 143);
    unlink("err1.txt");
}

static unsigned by_member[3];

static void count_member(const struct json *j)
{
    by_member[json_int(json_get(j, "member"), 0)]++;
}

static void test_broadcast_and_plan(void **state)
{
    (void)state;
    campaign("{" FLOW ",\"coordinator\":\"broadcast\",\"targets\":[\"%1/a\",\"%1/b\"],"
             "\"members\":{\"count\":3},\"slots\":2," FAST "}");
    expect("run c.json", 0);
    memset(by_member, 0, sizeof(by_member));
    assert_int_equal(results("results.ndjson", count_member), 6);
    for (int i = 0; i < 3; i++)
        assert_int_equal(by_member[i], 2);
    campaign("{" FLOW ",\"coordinator\":\"plan\",\"targets\":[\"%1/a\",\"%1/b\",\"%1/c\",\"%1/d\"],"
             "\"members\":{\"count\":3},\"slots\":2," FAST "}");
    expect("run c.json", 0);
    memset(by_member, 0, sizeof(by_member));
    assert_int_equal(results("results.ndjson", count_member), 4);
    assert_int_equal(by_member[0], 2);
    assert_int_equal(by_member[2], 1);
}

static void is_second_stage(const struct json *j)
{
    const char *body = json_str(json_at(j, "output", "response", "body", NULL), "");

    assert_string_equal(json_str(json_get(j, "status"), ""), "succeeded");
    assert_string_equal(body, "again-x");
}

static void test_pipeline(void **state)
{
    (void)state;
    campaign(
        "{\"coordinator\":\"pipeline\",\"stages\":["
        "{\"steps\":[{\"type\":\"http.get\",\"url\":\"%1/echo/{{word}}\",\"name\":\"first\"}]},"
        "{\"steps\":[{\"type\":\"http.get\",\"url\":\"%1/echo/again-{{input.first.body}}\"}]}],"
        "\"targets\":[{\"url\":\"%1/\",\"word\":\"x\"}],\"members\":{\"count\":3}," FAST "}");
    expect("run c.json", 0);
    assert_int_equal(results("results.ndjson", is_second_stage), 3);
    expect("audit verify", 0);
}

static void test_standard_input(void **state)
{
    (void)state;
    many_targets("t.txt", 3);
    campaign("{" FLOW ",\"targets\":\"-\"," FAST "}");
    assert_non_null(freopen("t.txt", "r", stdin));
    expect("run c.json", 0);
    assert_int_equal(results("results.ndjson", is_whole), 3);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_all_succeed),
        CASE(test_limit_is_kept),
        CASE(test_some_fail),
        CASE(test_refuses),
        CASE(test_breaker),
        CASE(test_sigterm_drains),
        CASE(test_second_signal_stops),
        CASE(test_kill_9),
        CASE(test_full_disk),
        CASE(test_summary),
        CASE(test_state_directory),
        CASE(test_one_at_a_time),
        CASE(test_broadcast_and_plan),
        CASE(test_pipeline),
        CASE(test_standard_input),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
