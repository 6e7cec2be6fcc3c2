/* `fleet-core serve` from outside: the program as a process, pages on loopback, the control API
 * over its socket, and the verbs that talk to it. What must hold: what was acknowledged is carried
 * out once, also through kill -9; bad input is told by place and changes nothing; clients that are
 * slow, gone or many cost nobody else anything; nothing is left behind. */
#include "tests/support/testing.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/api/client.h"
#include "core/api/listener.h"
#include "core/base/file.h"
#include "tests/integration/serve_rig.h"

#define FLOW "\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\",\"name\":\"r\"}]}"

/* --- cases --- */

static void test_submit_and_results(void **state)
{
    struct json *b;
    char *text;

    (void)state;
    serve_start(NULL);
    b = submit_rows(5, "/page", NULL, 201);
    assert_string_equal(text_of(b, "state"), "processing");
    wait_over(text_of(b, "id"), "completed");
    text = ask_text("GET", "/v1/batches/b-0000001/results", "", 200);
    assert_int_equal(count_lines(text), 5);
    assert_non_null(strstr(text, "\"status\":\"succeeded\""));
    free(text);
    text = ask_text("GET", "/v1/batches/b-0000001/results?after=1&max=2", "", 200);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, "t-000003"));
    assert_non_null(strstr(text, "t-000004"));
    free(text);
    text = ask_text("GET", "/v1/batches/b-0000001/summary", "", 200);
    assert_non_null(strstr(text, "\"success_rate\":1"));
    free(text);
    text = ask_text("GET", "/v1/events?type=batch.completed&wait_ms=10000", "", 200);
    assert_non_null(strstr(text, "batch.completed"));
    free(text);
    json_destroy(&b);
    serve_end(SIGTERM, 143);
    assert_int_equal(run("audit verify"), 0);
}

static void test_idempotency(void **state)
{
    struct json *a, *b;
    char *text;

    (void)state;
    serve_start(NULL);
    a = submit_rows(3, "/page", "k1", 201);
    b = submit_rows(3, "/page", "k1", 200);
    assert_string_equal(text_of(a, "id"), text_of(b, "id"));
    json_destroy(&b);
    b = submit_rows(4, "/page", "k1", 409);
    assert_non_null(strstr(text_of(json_get(b, "error"), "message"), text_of(a, "id")));
    json_destroy(&b);
    wait_over(text_of(a, "id"), "completed");
    serve_kill();
    serve_start(NULL);
    b = submit_rows(3, "/page", "k1", 200); /* also by the next process */
    assert_string_equal(text_of(a, "id"), text_of(b, "id"));
    json_destroy(&b);
    json_destroy(&a);
    text = ask_text("GET", "/v1/batches", "", 200);
    assert_null(strstr(text, "b-0000002"));
    free(text);
    serve_end(SIGINT, 130);
}

/* Killed in the middle: the next serve goes on, each task has one result, the chain verifies. */
static void test_kill_and_go_on(void **state)
{
    struct json *b;
    char *text;

    (void)state;
    rig.delay_ms = 30;
    serve_start(NULL);
    b = submit_rows(60, "/page", "k7", 201);
    wait_finished(text_of(b, "id"), 10);
    serve_kill();
    serve_start(NULL);
    wait_over(text_of(b, "id"), "completed");
    text = ask_text("GET", "/v1/batches/b-0000001/results", "", 200);
    assert_int_equal(count_lines(text), 60);
    free(text);
    text = ask_text("GET", "/v1/batches/b-0000001", "", 200);
    assert_non_null(strstr(text, "\"resumed\":true"));
    assert_non_null(strstr(text, "\"key\":\"k7\""));
    free(text);
    json_destroy(&b);
    serve_end(SIGTERM, 143);
    assert_int_equal(run("audit verify"), 0);
    /* what had a result before the kill was not asked for again: at most the busy ones were */
    assert_true(httpd_count(rig.server) <= 60 + 8);
}

static char *artifact(const char *name)
{
    return file_join("out/b-0000001", name);
}

static void keep_file(const char *name)
{
    cleanup_free char *path = artifact(name);

    test_write_file(path, "x", 1);
}

static bool file_is_kept(const char *name)
{
    cleanup_free char *path = artifact(name);

    return access(path, F_OK) == 0;
}

static void test_cancel_pause_scale(void **state)
{
    struct json *b, *j;
    char *text;

    (void)state;
    rig.delay_ms = 20;
    serve_start(NULL);
    free(ask_text("POST", "/v1/pause", "", 200));
    b = submit_rows(50, "/page", NULL, 201);
    test_sleep_ms(100);
    j = ask("GET", "/v1/batches/b-0000001", "", 200);
    assert_int_equal(json_int(json_get(j, "finished"), -1), 0);
    assert_int_equal(json_int(json_get(j, "waiting"), -1), 50);
    json_destroy(&j);
    j = ask("POST", "/v1/scale", "{\"slots\":2}", 200);
    assert_int_equal(json_int(json_at(j, "settings", "slots", NULL), 0), 2);
    json_destroy(&j);
    j = ask("PATCH", "/v1/config", "{\"retry\":{\"max\":0},\"deadlines\":{\"run_ms\":5000}}", 200);
    assert_int_equal(json_int(json_at(j, "settings", "retry", "max", NULL), 9), 0);
    json_destroy(&j);
    free(ask_text("POST", "/v1/resume", "{}", 200));
    wait_finished("b-0000001", 1);
    j = ask("GET", "/v1/status", "", 200);
    assert_true(json_int(json_at(j, "engine", "busy", NULL), 99) <= 2);
    text = ask_text("GET", "/metrics", "", 200);
    assert_non_null(strstr(text, "\nfleet_slots 2\n"));
    assert_non_null(strstr(text, "\nfleet_target_ops_total{target=\"127.0.0.1\"} "));
    free(text);
    assert_int_equal(json_int(json_at(j, "members", "count", NULL), 0), 4);
    json_destroy(&j);
    j = ask("POST", "/v1/batches/b-0000001/remove", "", 409); /* it runs */
    assert_non_null(strstr(text_of(json_get(j, "error"), "message"), "is processing"));
    json_destroy(&j);
    j = ask("DELETE", "/v1/batches/b-0000001", "", 202);
    json_destroy(&j);
    wait_over("b-0000001", "cancelled");
    j = ask("POST", "/v1/batches/b-0000001/cancel", "", 200); /* it is over: harmless */
    json_destroy(&j);
    text = ask_text("GET", "/v1/batches?state=cancelled", "", 200);
    assert_non_null(strstr(text, "b-0000001"));
    free(text);
    json_destroy(&b);
    keep_file("t-000001-1-failed.png");
    keep_file("mine.txt");
    j = ask("POST", "/v1/batches/remove", "{}", 400); /* how old is required */
    json_destroy(&j);
    j = ask("POST", "/v1/batches/remove", "{\"older_than_ms\":0}", 200);
    assert_int_equal(json_int(json_get(j, "removed"), -1), 1);
    json_destroy(&j);
    j = ask("GET", "/v1/batches/b-0000001", "", 404);
    json_destroy(&j);
    assert_false(file_is_kept("t-000001-1-failed.png"));
    assert_true(file_is_kept("mine.txt"));
    j = ask("POST", "/v1/drain", "", 202);
    json_destroy(&j);
    assert_int_equal(serve_wait(), 0);
    assert_int_equal(run("audit verify"), 0);
    assert_int_equal(run("audit export"), 0);
    assert_true(out_has("batch.removed"));
    assert_true(out_has("campaign.close")); /* its receipts are all there */
}

static void test_breaker(void **state)
{
    struct json *b, *j;

    (void)state;
    serve_start("--retry.max=0");
    b = submit_rows(40, "/500", NULL, 201);
    wait_over(text_of(b, "id"), "failed");
    json_destroy(&b);
    j = ask("GET", "/v1/breakers", "", 200);
    b = json_dup(json_first(json_get(j, "breakers")));
    assert_string_equal(text_of(b, "target"), "127.0.0.1");
    json_destroy(&b);
    json_destroy(&j);
    j = ask("POST", "/v1/breakers/127.0.0.1/reset", "", 200);
    assert_string_equal(text_of(j, "breaker"), "closed");
    assert_int_equal(strlen(text_of(j, "receipt")), 64);
    json_destroy(&j);
    j = ask("POST", "/v1/breakers/127.0.0.1/reset", "", 404);
    json_destroy(&j);
    j = ask("GET", "/v1/breakers", "", 200);
    assert_int_equal(json_len(json_get(j, "breakers")), 0);
    json_destroy(&j);
    serve_end(SIGTERM, 143);
    assert_int_equal(run("audit export"), 0);
    assert_true(out_has("breaker.reset"));
}

static void test_bad_input(void **state)
{
    static const struct {
        const char *method, *path, *body;
        unsigned code;
        const char *has;
    } cases[] = {
        {"GET", "/v2", "", 404, "no such path"},
        {"PUT", "/healthz", "", 405, "expected GET"},
        {"GET", "/v1/status?verbose=1", "", 400, "unknown parameter"},
        {"POST", "/v1/batches", "", 400, "expected a value"},
        {"POST", "/v1/batches", "{}", 400, "/targets"},
        {"POST", "/v1/batches", "{", 400, "line 1"},
        {"POST", "/v1/batches", "[]", 400, "found array, expected an object"},
        {"POST", "/v1/batches", "{" FLOW ",\"target\":[\"http://a.example/\"]}", 400,
         "did you mean \\\"targets\\\""},
        {"POST", "/v1/batches", "{" FLOW ",\"targets\":[\"nowhere\"]}", 400, "/targets/0"},
        {"POST", "/v1/batches", "{" FLOW ",\"targets\":[]}", 400, "/targets"},
        {"POST", "/v1/batches", "{\"flow\":\"file.json\",\"targets\":[\"http://a.example/\"]}", 400,
         "flow"},
        {"POST", "/v1/batches", "{" FLOW ",\"targets\":[\"http://a.example/\"],\"priority\":\"x\"}",
         400, "/priority"},
        {"POST", "/v1/batches", "{" FLOW ",\"targets\":[\"http://a.example/\"],\"key\":7}", 400,
         "/key"},
        {"GET", "/v1/batches?state=done", "", 400, "found \\\"done\\\", expected pending"},
        {"GET", "/v1/batches/nothing", "", 404, "no batch nothing"},
        {"DELETE", "/v1/batches/b-0000009", "", 404, "no batch"},
        {"GET", "/v1/batches/b-0000009/results", "", 404, ""},
        {"GET", "/v1/batches/b-0000009/results?after=x", "", 400, "expected an integer"},
        {"GET", "/v1/batches/b-0000009/results?max=0", "", 400, "from 1 to 1000"},
        {"GET", "/v1/batches/b-0000009/summary", "", 404, "no batch"},
        {"POST", "/v1/scale", "", 400, "/slots: missing"},
        {"POST", "/v1/scale", "{\"slots\":0}", 400, "/slots: found 0"},
        {"POST", "/v1/scale", "{\"slots\":\"4\"}", 400, "/slots: found"},
        {"POST", "/v1/scale", "{\"slot\":4}", 400, "did you mean \\\"slots\\\""},
        {"PATCH", "/v1/config", "{\"retry\":{\"max\":-1}}", 400, "/retry/max"},
        {"PATCH", "/v1/config", "{\"deadline\":{}}", 400, "did you mean \\\"deadlines\\\""},
        {"PATCH", "/v1/config", "7", 400, "expected an object"},
        {"POST", "/v1/pause", "{\"x\":1}", 400, "unknown"},
        {"POST", "/v1/breakers/nowhere.example/reset", "", 404, "is not open"},
        {"GET", "/v1/events?after=-1", "", 400, "expected an integer"},
        {"GET", "/v1/events?wait_ms=100000000", "", 400, "from 0 to 60000"},
    };

    (void)state;
    serve_start(NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = ask_text(cases[i].method, cases[i].path, cases[i].body, cases[i].code);

        if (!strstr(text, "{\"error\":{\"code\":\"") || !strstr(text, cases[i].has))
            fail_msg("%s %s %s: %s", cases[i].method, cases[i].path, cases[i].body, text);
        free(text);
    }
    too_large(17u << 20);
    free(ask_text("GET", "/v1/batches", "", 200));
    serve_end(SIGTERM, 143);
}

/* Slow clients, gone clients and two hundred at once. */
static void test_many_clients(void **state)
{
    enum { N = 200 };
    int slow[N], fds[N];

    (void)state;
    serve_start(NULL);
    for (int i = 0; i < N; i++) {
        slow[i] = raw_open();
        raw_send(slow[i],
                 i % 2 ? "GET /v1/sta" : "POST /v1/batches HTTP/1.1\r\nContent-Length: 9\r\n\r\n{");
    }
    for (int i = 0; i < N; i++) {
        fds[i] = raw_open();
        raw_send(fds[i], "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    for (int i = 0; i < N; i += 2)
        close(fds[i]); /* and half of them do not wait for the answer */
    for (int i = 1; i < N; i += 2) {
        assert_int_equal(raw_code(fds[i]), 200);
        close(fds[i]);
    }
    for (int i = 0; i < N; i++)
        close(slow[i]);
    free(ask_text("GET", "/healthz", "", 200));
    serve_end(SIGTERM, 143);
}

static void test_events_are_awaited(void **state)
{
    struct json *b;
    char *text;
    int fd;

    (void)state;
    serve_start(NULL);
    fd = raw_open();
    raw_send(fd, "GET /v1/events?type=batch.completed&wait_ms=10000 HTTP/1.1\r\nHost: x\r\n\r\n");
    b = submit_rows(1, "/page", NULL, 201);
    text = raw_rest(fd);
    assert_non_null(strstr(text, "batch.completed"));
    free(text);
    json_destroy(&b);
    text = ask_text("GET", "/v1/events?type=batch.failed&wait_ms=20", "", 200);
    assert_string_equal(text, "");
    free(text);
    serve_end(SIGTERM, 143);
}

/* One engine a state directory; a socket that a dead one left is no hindrance. */
static void test_alone(void **state)
{
    char want[64];
    struct stat sb;

    (void)state;
    serve_start(NULL);
    assert_int_equal(stat(".fleet/run/control.sock", &sb), 0);
    assert_int_equal(sb.st_mode & 07777, 0600);
    assert_int_equal(run("serve"), 9);
    snprintf(want, sizeof(want), "process %d serves on", (int)rig.pid);
    assert_true(err_has(want));
    serve_kill();
    assert_int_equal(run("status"), 9);
    assert_true(err_has("no engine runs here (looked for .fleet/run/control.sock)"));
    serve_start(NULL);
    serve_end(SIGTERM, 143);
    assert_int_not_equal(stat(".fleet/run/control.sock", &sb), 0);
}

static void test_config(void **state)
{
    static const struct {
        const char *text, *has;
    } cases[] = {
        {"{", "serve.json"},
        {"{\"targets\":[\"http://a.example/\"]}", "/targets: found array, expected none"},
        {"{\"flow\":\"x\"}", "/flow: found string, expected none"},
        {"{\"slot\":4}", "did you mean \"slots\""},
        {"{\"limits\":{\"max_requests\":0}}", "/limits/max_requests"},
        {"{\"proxies\":{\"file\":\"none.txt\"}}", "none.txt"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        test_write_file("serve.json", cases[i].text, strlen(cases[i].text));
        assert_int_equal(run("serve --config serve.json"), 3);
        if (!err_has(cases[i].has))
            fail_msg("%s: expected \"%s\", found %s", cases[i].text, cases[i].has, rig.err);
    }
    assert_int_equal(run("serve --listen 127.0.0.1:8730"), 2);
    assert_int_equal(run("serve --config nowhere.json"), 3);
}

/* The verbs, as a person uses them; files of flows and targets beside the batch. */
static void test_verbs(void **state)
{
    char text[256];

    (void)state;
    snprintf(text, sizeof(text),
             "url,word\nhttp://127.0.0.1:%u/page/1,a\nhttp://127.0.0.1:%u/500,b\n",
             httpd_port(rig.server), httpd_port(rig.server));
    test_write_file("t.csv", text, strlen(text));
    snprintf(text, sizeof(text), "{%s}", "\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]");
    test_write_file("f.json", text, strlen(text));
    snprintf(text, sizeof(text),
             "{\"name\":\"two\", // a comment\n\"flow\":\"f.json\",\"targets\":\"t.csv\"}");
    test_write_file("b.json", text, strlen(text));

    serve_start("--retry.max=0");
    assert_int_equal(run("batch list"), 0);
    assert_true(out_has("no batch was submitted yet"));
    assert_int_equal(run("batch submit b.json --wait --key k"), 4);
    assert_true(out_has("b-0000001 is submitted"));
    assert_true(out_has("2 of 2 done (100%): 1 completed, 1 failed"));
    assert_int_equal(run("batch submit b.json --key k"), 0);
    assert_true(out_has("nothing was submitted again"));
    assert_int_equal(run("batch list"), 0);
    assert_true(out_has("b-0000001  partial"));
    assert_int_equal(run("batch status b-0000001 --json"), 0);
    assert_true(out_has("\"coordinator\": \"batch\""));
    assert_int_equal(run("batch results b-0000001"), 0);
    assert_int_equal(count_lines(rig.out), 2);
    assert_int_equal(run("batch cancel b-0000001"), 0);
    assert_true(out_has("is over: partial"));
    assert_int_equal(run("batch status b-7"), 3);
    assert_int_equal(run("batch remove"), 2);
    assert_int_equal(run("batch remove b-0000001 --older-than 1d"), 2);
    assert_int_equal(run("batch remove --older-than soon"), 2);
    assert_true(err_has("--older-than: found \"soon\", expected a number and s, m, h or d"));
    assert_int_equal(run("batch remove --older-than 1h"), 0);
    assert_true(out_has("0 batches are removed"));
    assert_int_equal(run("batch remove b-0000001"), 0);
    assert_true(out_has("b-0000001 is removed: its results are gone, its receipts stay"));
    assert_int_equal(run("batch remove b-0000001"), 3);
    assert_true(err_has("there is no batch b-0000001"));
    assert_int_equal(run("status"), 0);
    assert_true(out_has("engine     ready"));
    assert_int_equal(run("status --json"), 0);
    assert_int_equal(run("scale 3"), 0);
    assert_true(out_has("3 slots from now on"));
    assert_int_equal(run("scale 0"), 3);
    assert_int_equal(run("scale many"), 2);
    assert_int_equal(run("config set retry.max=1"), 0);
    assert_int_equal(run("config set retry.max=x"), 3);
    assert_true(err_has("/retry/max: found \"x\""));
    assert_int_equal(run("pause"), 0);
    assert_int_equal(run("unpause"), 0);
    assert_int_equal(run("breaker list"), 0);
    assert_true(out_has("no breaker is open"));
    assert_int_equal(run("breaker reset 127.0.0.1"), 3);
    assert_int_equal(run("batch submit nowhere.json"), 3);
    snprintf(text, sizeof(text), "{\"targets\":\"t.csv\",\"flow\":\"g.json\"}");
    test_write_file("b.json", text, strlen(text));
    assert_int_equal(run("batch submit b.json"), 3);
    assert_true(err_has("g.json"));
    assert_int_equal(run("drain"), 0);
    assert_int_equal(serve_wait(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_submit_and_results, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_idempotency, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_kill_and_go_on, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_cancel_pause_scale, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_breaker, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_bad_input, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_many_clients, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_events_are_awaited, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_alone, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_config, rig_up, rig_down),
        cmocka_unit_test_setup_teardown(test_verbs, rig_up, rig_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
