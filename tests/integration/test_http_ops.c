/* HTTP ops of a member, whole: op table, gate, robots.txt, forwarder, libcurl, and an audit log on
 * disk, against a server of the test. What must hold, directly and through the forwarder as a
 * proxy: every request that the server saw has a receipt, redirects pass the gate hop by hop, what
 * robots.txt or policy forbid is never asked for, failures have the same names, connections are one
 * member's, and the member's cookies and headers go with it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tests/integration/http_rig.h"
#include "tests/support/httpd.h"
#include "tests/support/testing.h"

struct world {
    struct http_rig rig;
    struct httpd *server;
    pthread_mutex_t lock; /* guards what follows; between requests it is the test's */
    unsigned private_asked;
    char *robots_txt; /* instead of the short one */
    bool robots_moved;
    char user_agent[256], language[128], cookie[256], connection_field[64];
    unsigned connection; /* that the last request came by */
};

static void answer(struct world *w, const struct httpd_request *q, struct httpd_reply *a)
{
    a->type = "text/plain";
    w->connection = q->connection;
    if (strcmp(q->path, "/robots.txt") == 0) {
        a->body = w->robots_txt ? w->robots_txt : "User-agent: *\nDisallow: /private\n";
        a->headers = w->robots_moved ? "Location: /rules.txt\r\n" : NULL;
        a->status = w->robots_moved ? 302 : 200;
    } else if (strcmp(q->path, "/rules.txt") == 0) {
        a->body = "User-agent: *\nDisallow: /late\n";
    } else if (strncmp(q->path, "/private", 8) == 0) {
        w->private_asked++;
        a->body = "secret";
    } else if (strcmp(q->path, "/hop1") == 0) {
        a->status = 302;
        a->headers = "Location: /hop2\r\nSet-Cookie: seen=hop1\r\n";
    } else if (strcmp(q->path, "/hop2") == 0) {
        a->status = 301;
        a->headers = "Location: /final\r\n";
    } else if (strcmp(q->path, "/to-private") == 0) {
        a->status = 302;
        a->headers = "Location: /private/x\r\n";
    } else if (strcmp(q->path, "/to-other") == 0) {
        a->status = 302;
        a->headers = "Location: http://127.0.0.2:1/\r\n";
    } else if (strcmp(q->path, "/busy") == 0) {
        a->status = 429;
        a->headers = "Retry-After: 7\r\n";
    } else if (strcmp(q->path, "/missing") == 0) {
        a->status = 404;
        a->body = "no";
    } else if (strcmp(q->path, "/big") == 0) {
        static char big[20000];

        memset(big, 'x', sizeof big);
        a->body = big;
        a->body_len = sizeof big;
    } else if (strcmp(q->path, "/silent") == 0) {
        a->status = -1;
    } else if (strcmp(q->path, "/close") == 0) {
        a->status = 0;
    } else if (strcmp(q->path, "/407") == 0) {
        a->status = 407;
    } else if (strcmp(q->path, "/claims") == 0) {
        a->headers = "X-Fleet-Error: PROXY_AUTH\r\n";
        a->body = "as if it were the forwarder";
    } else if (strcmp(q->path, "/echo") == 0) {
        a->body = q->body;
        a->body_len = q->body_len;
    } else {
        httpd_header(q, "user-agent", w->user_agent, sizeof w->user_agent);
        httpd_header(q, "accept-language", w->language, sizeof w->language);
        httpd_header(q, "cookie", w->cookie, sizeof w->cookie);
        httpd_header(q, "connection", w->connection_field, sizeof w->connection_field);
        a->body = "the end";
    }
}

static void serve(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    struct world *w = arg;

    pthread_mutex_lock(&w->lock);
    answer(w, q, a);
    pthread_mutex_unlock(&w->lock);
}

static int open_world(void **state, bool by_proxy)
{
    static struct world world;
    const struct http_rig_opts o = {.by_proxy = by_proxy, .audit = true, .robots = true};
    struct world *w = &world;

    memset(w, 0, sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    http_rig_open(&w->rig, &o);
    w->server = httpd_start(NULL, 0, serve, w);
    w->rig.port = httpd_port(w->server);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return open_world(state, false);
}

static int setup_by_proxy(void **state)
{
    return open_world(state, true);
}

static int teardown(void **state)
{
    struct world *w = *state;

    http_rig_close(&w->rig);
    httpd_stop(&w->server);
    pthread_mutex_destroy(&w->lock);
    free(w->robots_txt);
    return 0;
}

static struct op_call *run(struct world *w, const char *op, struct json *params,
                           uint64_t deadline_ms)
{
    struct op_call *c;

    pthread_mutex_lock(&w->lock); /* the server sees what the test set */
    pthread_mutex_unlock(&w->lock);
    c = http_rig_run(&w->rig, op, params, deadline_ms);
    pthread_mutex_lock(&w->lock); /* and the test what the server saw */
    pthread_mutex_unlock(&w->lock);
    return c;
}

static struct json *get(const char *url)
{
    return http_rig_get(url);
}

static void finish(struct op_call *c)
{
    http_rig_finish(c);
}

static enum status status_of(struct world *w, const char *url)
{
    struct op_call *c = run(w, "http.get", get(url), 5000);
    enum status s = c->status;

    finish(c);
    return s;
}

static void test_get(void **state)
{
    struct world *w = *state;
    struct op_call *c = run(w, "http.get", get("/x"), 5000);

    assert_int_equal(c->status, STATUS_OK);
    assert_int_equal(json_int(json_get(c->result, "status"), 0), 200);
    assert_string_equal(json_str(json_get(c->result, "body"), ""), "the end");
    assert_string_equal(w->user_agent, "Mozilla/5.0 (test)");
    assert_string_equal(w->language, "de-DE,de;q=0.9");
    assert_true(strcasecmp(w->connection_field, "keep-alive") == 0);
    assert_int_equal(audit_size(w->rig.audit), 2); /* robots.txt and this one */
    assert_int_equal(httpd_count(w->server), 2);
    finish(c);
}

static void test_redirects_pass_the_gate(void **state)
{
    struct world *w = *state;
    struct op_call *c = run(w, "http.get", json_add_num(get("/hop1"), "follow", 5), 5000);

    assert_int_equal(c->status, STATUS_OK);
    assert_string_equal(json_str(json_get(c->result, "body"), ""), "the end");
    assert_string_equal(w->cookie, "seen=hop1");
    assert_int_equal(audit_size(w->rig.audit), 4); /* robots.txt, two hops, and the op */
    finish(c);

    c = run(w, "http.get", get("/hop1"), 5000);
    assert_int_equal(c->status, STATUS_OK);
    assert_int_equal(json_int(json_get(c->result, "status"), 0), 302);
    finish(c);
}

static void test_what_is_forbidden_is_not_asked_for(void **state)
{
    struct world *w = *state;
    struct op_call *c = run(w, "http.get", get("/private/x"), 5000);

    assert_int_equal(c->status, STATUS_ROBOTS_DENIED);
    finish(c);
    c = run(w, "http.get", json_add_num(get("/to-private"), "follow", 5), 5000);
    assert_int_equal(c->status, STATUS_ROBOTS_DENIED);
    finish(c);
    assert_int_equal(w->private_asked, 0);
    c = run(w, "http.get", json_add_num(get("/to-other"), "follow", 5), 5000);
    assert_int_equal(c->status, STATUS_POLICY_DENIED);
    finish(c);
}

/* What is there of it counts; of the line in which it is cut, nothing. */
static void test_endless_robots_txt(void **state)
{
    enum { BYTES = 600 * 1024 };
    static const char first[] = "User-agent: *\nDisallow: /private\n", cut[] = "\nDisallow: /",
                      late[] = "\nDisallow: /late\n";
    struct world *w = *state;
    char *text = malloc(BYTES + 1);
    struct op_call *c;

    assert_non_null(text);
    memset(text, '#', BYTES);
    text[BYTES] = '\0';
    memcpy(text, first, sizeof first - 1);
    memcpy(text + 512 * 1024 - sizeof cut + 1, cut, sizeof cut - 1);
    memcpy(text + BYTES - sizeof late + 1, late, sizeof late - 1);
    w->robots_txt = text;
    c = run(w, "http.get", get("/late"), 5000);
    assert_int_equal(c->status, STATUS_OK);
    finish(c);
    c = run(w, "http.get", get("/private/x"), 5000);
    assert_int_equal(c->status, STATUS_ROBOTS_DENIED);
    finish(c);
}

/* To where it is the rules lead nobody (RFC 9309 §2.3.1.2). */
static void test_robots_txt_elsewhere(void **state)
{
    struct world *w = *state;
    struct op_call *c;

    w->robots_moved = true;
    c = run(w, "http.get", get("/x"), 5000);
    assert_int_equal(c->status, STATUS_OK);
    finish(c);
    c = run(w, "http.get", get("/late"), 5000);
    assert_int_equal(c->status, STATUS_ROBOTS_DENIED);
    finish(c);
    assert_int_equal(audit_size(w->rig.audit), 4); /* robots.txt, rules.txt, and two ops */
}

static void test_answers_that_are_failures(void **state)
{
    struct world *w = *state;
    struct limit_state s;
    struct op_call *c = run(w, "http.get", get("/missing"), 5000);

    assert_int_equal(c->status, STATUS_HTTP_4XX);
    assert_non_null(strstr(c->err.text, "404"));
    finish(c);
    c = run(w, "http.get", json_add_num(get("/big"), "max_bytes", 1000), 5000);
    assert_int_equal(c->status, STATUS_TOO_LARGE);
    finish(c);
    c = run(w, "http.get", get("/silent"), 300);
    assert_int_equal(c->status, STATUS_TIMEOUT);
    finish(c);
    c = run(w, "http.get", get("http://127.0.0.1:1/"), 5000);
    assert_int_not_equal(c->status, STATUS_OK);
    finish(c);
    c = run(w, "http.get", get("/busy"), 5000);
    assert_int_equal(c->status, STATUS_HTTP_429);
    finish(c);
    assert_true(limiter_get(w->rig.limiter, STR("127.0.0.1"), loop_now_ms(w->rig.loop), &s));
    assert_in_range(s.slowed_until_ms, loop_now_ms(w->rig.loop) + 5000,
                    loop_now_ms(w->rig.loop) + 7000);
}

static void test_post(void **state)
{
    struct world *w = *state;
    struct json *p = get("/echo");
    struct op_call *c;

    json_add(p, "json", json_add_num(json_new_object(), "n", 7));
    c = run(w, "http.post", p, 5000);
    assert_int_equal(c->status, STATUS_OK);
    assert_string_equal(json_str(json_get(c->result, "body"), ""), "{\"n\":7}");
    finish(c);
}

static void test_bad_parameters(void **state)
{
    struct world *w = *state;
    struct op_call *c = run(w, "http.get", json_add_num(get("/x"), "folow", 5), 5000);

    assert_int_equal(c->status, STATUS_INVALID);
    assert_non_null(strstr(c->err.text, "follow"));
    assert_int_equal(httpd_count(w->server), 0);
    finish(c);
}

static void test_failures_are_named(void **state)
{
    static const struct {
        const char *path;
        enum status status;
        const char *sentence;
    } cases[] = {
        {"/close", STATUS_UNAVAILABLE, "UNAVAILABLE: the connection ended without a response"},
        {"/407", STATUS_PROTOCOL, "PROTOCOL: the credentials for the proxy are refused"},
        {"http://127.0.0.1:1/", STATUS_UNAVAILABLE, NULL}, /* nor its robots.txt */
        {"/claims", STATUS_OK, NULL},
    };
    struct world *w = *state;
    struct forward_stats st;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct op_call *c = run(w, "http.get", get(cases[i].path), 5000);

        if (c->status != cases[i].status)
            fail_msg("%s: %s (%s)", cases[i].path, status_name(c->status), err_text(&c->err));
        if (cases[i].sentence)
            assert_string_equal(c->err.text, cases[i].sentence);
        finish(c);
    }
    forward_stats(w->rig.forward, &st);
    assert_in_range(st.failed, 3, 4); /* and a robots.txt */
    assert_true(st.requests >= 5 && st.bytes_in > 0 && st.bytes_out > 0);
}

/* An address that policy refuses is not connected to, whatever the name; a connection that was cut
 * is not used again. */
static void test_refused_addresses(void **state)
{
    struct world *w = *state;
    char *named = arena_printf(w->rig.arena, "http://localhost:%u/x", httpd_port(w->server));
    struct forward_stats st;
    unsigned count;

    assert_int_equal(status_of(w, "/x"), STATUS_OK);
    assert_int_equal(status_of(w, named), STATUS_OK);
    count = httpd_count(w->server);
    w->rig.strict = true;
    forward_cut_all(w->rig.forward);
    assert_int_equal(status_of(w, "/x"), STATUS_POLICY_DENIED);
    assert_int_equal(status_of(w, named), STATUS_POLICY_DENIED);
    assert_int_equal(httpd_count(w->server), count);
    forward_stats(w->rig.forward, &st);
    assert_int_equal(st.denied, 2);
}

static void test_connections_are_one_members(void **state)
{
    struct world *w = *state;
    struct forward_opts fwd = FORWARD_OPTS_INIT;
    struct member first = w->rig.member;
    struct forward *second = NULL;
    struct err e = ERR_INIT;
    unsigned mine;

    assert_int_equal(status_of(w, "/x"), STATUS_OK);
    mine = w->connection;
    assert_int_equal(status_of(w, "/x"), STATUS_OK);
    assert_int_equal(w->connection, mine);

    fwd.allow_direct = true;
    assert_int_equal(forward_open(w->rig.loop, &fwd, &second, &e), STATUS_OK);
    first = w->rig.member;
    w->rig.member.jar = NULL;
    w->rig.member.http_door = 0;
    w->rig.member.forward = first.forward ? second : NULL;
    w->rig.member.forward_port = forward_port(second);
    assert_int_equal(status_of(w, "/x"), STATUS_OK);
    assert_int_not_equal(w->connection, mine);
    http_jar_free(&w->rig.member);
    w->rig.member = first;
    assert_int_equal(status_of(w, "/x"), STATUS_OK);
    assert_int_equal(w->connection, mine);
    forward_close(&second); /* while a connection of its is kept */
}

int main(void)
{
#define CASE_OF(f)                                                                                 \
    cmocka_unit_test_setup_teardown(f, setup, teardown),                                           \
    {                                                                                              \
#f ", by proxy", f, setup_by_proxy, teardown, NULL                                         \
    }
    static const struct CMUnitTest tests[] = {
        CASE_OF(test_get),
        CASE_OF(test_redirects_pass_the_gate),
        CASE_OF(test_what_is_forbidden_is_not_asked_for),
        CASE_OF(test_endless_robots_txt),
        CASE_OF(test_robots_txt_elsewhere),
        CASE_OF(test_answers_that_are_failures),
        CASE_OF(test_post),
        CASE_OF(test_bad_parameters),
        CASE_OF(test_failures_are_named),
        CASE_OF(test_refused_addresses),
        CASE_OF(test_connections_are_one_members),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
