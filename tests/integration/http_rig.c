#include "tests/integration/http_rig.h"

#include <stdio.h>
#include <string.h>

#include "core/op/gate.h"
#include "tests/support/testing.h"

enum { RUN_MAX_MS = 10000, OP_MS = 5000 };

/* Names pass; what they turned out to be is looked at. */
static enum status allow(void *arg, const char *host, uint16_t port,
                         const struct sockaddr *resolved)
{
    const struct http_rig *w = arg;

    return w->strict && resolved ? forward_allow_public(NULL, host, port, resolved) : STATUS_OK;
}

void http_rig_list(struct http_rig *w, const char *host)
{
    policy_list_target(w->policy, str_from(host));
    limiter_trust(w->limiter, str_from(host));
}

static void make_guards(struct http_rig *w)
{
    struct policy_conf policy = {0};
    struct breaker_conf breaker = {0.10, 60000, 20};
    struct err e = ERR_INIT;

    w->limiter = limiter_create((struct limit_rate){1000, 1000});
    assert_int_equal(breaker_open_store(&breaker, NULL, &w->breaker, &e), STATUS_OK);
    assert_int_equal(policy_create(&policy, &w->policy, &e), STATUS_OK);
    http_rig_list(w, "127.0.0.1");
    http_rig_list(w, "localhost");
}

static void make_member(struct http_rig *w, bool by_proxy)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct err e = ERR_INIT;

    o.allow_direct = true;
    o.allow = allow;
    o.arg = w;
    assert_int_equal(forward_open(w->loop, &o, &w->forward, &e), STATUS_OK);
    w->member.forward = by_proxy ? NULL : w->forward;
    w->member.forward_port = by_proxy ? forward_port(w->forward) : 0;
    w->identity.user_agent = "Mozilla/5.0 (test)";
    w->identity.accept_language = "de-DE,de;q=0.9";
    snprintf(w->identity.id, sizeof w->identity.id, "i-test");
    w->member.identity = &w->identity;
}

void http_rig_open(struct http_rig *w, const struct http_rig_opts *o)
{
    const struct http_opts opts = {.ca_file = o->ca_file, .connections = o->connections};
    struct gate_deps deps = {0};
    struct err e = ERR_INIT;

    memset(w, 0, sizeof *w);
    w->dir = test_mkdir();
    w->scheme = "http";
    assert_int_equal(loop_create(&w->loop, o->clock, &e), STATUS_OK);
    w->arena = arena_create(NULL, 0);
    w->table = op_table_create();
    http_ops_add(w->table);
    make_guards(w);
    w->robots = robots_create(w->loop, http_robots_fetch, &w->gate);
    assert_int_equal(http_create(w->loop, &opts, &w->http, &e), STATUS_OK);
    if (o->audit)
        assert_int_equal(audit_open(w->loop, w->dir, NULL, &w->audit, &e), STATUS_OK);
    make_member(w, o->by_proxy);
    deps.loop = w->loop;
    deps.table = w->table;
    deps.policy = w->policy;
    deps.robots = o->robots ? w->robots : NULL;
    deps.breaker = w->breaker;
    deps.limiter = w->limiter;
    deps.http = w->http;
    deps.audit = w->audit;
    w->gate = gate_create(&deps);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

void http_rig_close(struct http_rig *w)
{
    assert_int_equal(gate_inside(w->gate), 0);
    http_destroy(&w->http);
    http_jar_free(&w->member);
    gate_destroy(&w->gate);
    robots_destroy(&w->robots);
    if (w->audit)
        audit_close(w->audit, on_closed, &w->closed);
    while (w->audit && !w->closed)
        loop_run_once(w->loop, 100);
    forward_close(&w->forward);
    policy_destroy(&w->policy);
    breaker_close_store(&w->breaker);
    limiter_destroy(&w->limiter);
    op_table_destroy(&w->table);
    arena_destroy(&w->arena);
    loop_destroy(&w->loop);
    test_rmdir(&w->dir);
}

/* --- ops --- */

struct done {
    struct op_call c;
    bool over;
};

static void on_done(struct op_call *c)
{
    container_of(c, struct done, c)->over = true;
}

struct json *http_rig_get(const char *url)
{
    return json_add_str(json_new_object(), "url", url);
}

struct op_call *http_rig_start(struct http_rig *w, const char *op, struct json *params,
                               uint64_t deadline_ms)
{
    struct done *d = arena_new(w->arena, struct done);
    const char *url = json_str(json_get(params, "url"), "");

    if (url[0] == '/')
        json_add_str(params, "url",
                     arena_printf(w->arena, "%s://127.0.0.1:%u%s", w->scheme, w->port, url));
    d->c = (struct op_call){
        .op = op_table_find(w->table, str_from(op)),
        .member = &w->member,
        .arena = w->arena,
        .params = params,
        .deadline_ms = loop_now_ms(w->loop) + deadline_ms,
        .on_done = on_done,
    };
    assert_non_null(d->c.op);
    assert_int_equal(http_op_target(&d->c), STATUS_OK);
    gate_run(w->gate, &d->c);
    return &d->c;
}

bool http_rig_is_over(const struct op_call *c)
{
    return container_of(c, const struct done, c)->over;
}

void http_rig_wait(struct http_rig *w, const struct op_call *c)
{
    uint64_t end = test_now_ms() + RUN_MAX_MS;

    while (!http_rig_is_over(c) && test_now_ms() < end)
        loop_run_once(w->loop, 100);
    assert_true(http_rig_is_over(c));
}

struct op_call *http_rig_run(struct http_rig *w, const char *op, struct json *params,
                             uint64_t deadline_ms)
{
    struct op_call *c = http_rig_start(w, op, params, deadline_ms);

    http_rig_wait(w, c);
    return c;
}

void http_rig_finish(struct op_call *c)
{
    struct json *p = (struct json *)(uintptr_t)c->params;

    json_destroy(&p);
    json_destroy(&c->result);
}

enum status http_rig_status(struct http_rig *w, const char *url)
{
    struct op_call *c = http_rig_run(w, "http.get", http_rig_get(url), OP_MS);
    enum status s = c->status;

    http_rig_finish(c);
    return s;
}
