#include "tests/integration/flow_pages.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "browser/flow/flow.h"
#include "core/op/block.h"
#include "tests/integration/browser_rig.h"
#include "tests/support/testing.h"
#include "tests/support/turn.h"

enum { SOON_MS = 15000 };

static struct browser_rig rig;

static struct fx {
    struct block_conf captcha;
    struct identity identity;
    struct applied applied;
    struct member member;
    struct context *ctx;
    struct page_session session;
    struct attempt attempt;
    char *bodies[64];
    size_t n_bodies;
    bool made, done;
    uint64_t heartbeat_ms;
    struct loop_timer timer;
    void (*strike)(struct loop_timer *t); /* what happens to the page next; NULL: nothing */
    uint64_t strike_ms;                   /* after it has been navigated */
    char events[512];
} fx;

/* --- the fixture: one browser for all cases, a context each --- */

static void on_op(void *arg, const struct op_call *call)
{
    (void)arg;
    if (fx.strike != NULL && strcmp(call->op->name, "page.navigate") == 0) {
        loop_timer_start(rig.loop, &fx.timer, fx.strike_ms, fx.strike);
        fx.strike = NULL;
    }
}

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    size_t n = strlen(fx.events);

    (void)arg;
    (void)m;
    (void)text;
    snprintf(fx.events + n, sizeof fx.events - n, "%s%s", n > 0 ? ", " : "", what);
}

static void crashed(void *arg, enum status s, const struct json *result, const struct err *e)
{
    (void)arg;
    (void)s;
    (void)result;
    (void)e;
}

static void on_stuck(void *arg)
{
    on_event(arg, "browser stuck", NULL, "");
    instance_stop(rig.instance);
    instance_stop(rig.instance);
}

static pid_t pid_of(void *arg)
{
    (void)arg;
    return instance_pid(rig.instance);
}

/* robots.test forbids everything, no other host has a robots.txt. */
struct robots_call {
    robots_done_fn *done;
    void *arg;
    bool forbids;
};

static void robots_reply(void *arg)
{
    struct robots_call *c = arg;

    if (c->forbids)
        c->done(c->arg, 200, STR("User-agent: *\nDisallow: /\n"));
    else
        c->done(c->arg, 404, STR(""));
    free(c);
}

static void robots_fetch(void *fetch_arg, struct member *m, struct str url, uint64_t deadline_ms,
                         const unsigned char *parent, robots_done_fn *done, void *arg)
{
    struct robots_call *c = xcalloc(1, sizeof *c);

    (void)fetch_arg;
    (void)m;
    (void)deadline_ms;
    (void)parent;
    *c = (struct robots_call){done, arg, str_find(url, STR("//robots.test/")) >= 0};
    loop_defer(rig.loop, robots_reply, c);
}

/* So many requests failed that its breaker is open. */
static void break_host(const char *host)
{
    for (unsigned i = 0; i < RIG_SAMPLES; i++)
        (void)breaker_record(rig.breaker, str_from(host), true, STATUS_HTTP_5XX, 1, 1, &rig.err);
    assert_false(breaker_allow(rig.breaker, str_from(host)));
}

static void make_gate(void)
{
    rig_make_gate(&rig, &(struct gate_deps){
                            .robots = robots_create(rig.loop, robots_fetch, NULL),
                            .captcha = &fx.captcha,
                            .on_op = on_op,
                        });
    break_host("broken.test");
}

static void serve(const char *file, const char *name, int status)
{
    const char *path = arena_printf(rig.arena, "/%s", name);

    assert_true(fx.n_bodies < ARRAY_LEN(fx.bodies));
    fx.bodies[fx.n_bodies] =
        test_read_file(test_source(arena_printf(rig.arena, "tests/site/%s", file)), NULL);
    site_answer(rig.site, path, status, "Content-Type: text/html\r\n", fx.bodies[fx.n_bodies++]);
}

void flow_serve_file(const char *name, int status)
{
    serve(name, name, status);
}

static void make_site(void)
{
    static const char *const pages[] = {
        "form.html",   "selectors.html", "hard.html",  "inner.html", "frames.html",
        "nest.html",   "popup.html",     "child.html", "drag.html",  "nav.html",
        "second.html", "extract.html",   "pages.html"};

    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        serve(arena_printf(rig.arena, "cases/flow/%s", pages[i]), pages[i], 200);
    site_answer(rig.site, "/around", 302, "Location: /second.html?around\r\n", "");
    site_answer(rig.site, "/missing", 404, "", "<title>No such page</title>");
    site_answer(rig.site, "/too-many", 429, "Retry-After: 0\r\n", "slow down");
    site_answer(rig.site, "/slow", 200, "", "@never");
    site_answer(rig.site, "/hang", 200, "Content-Type: text/html\r\n",
                "<title>Hang</title><button onclick='for(;;);'>Hang</button>");
}

int flow_setup_all(void **state)
{
    const char *kind = getenv("FLOW_BROWSER");
    bool full = kind != NULL && strcmp(kind, "chromium") == 0;

    (void)state;
    memset(&fx, 0, sizeof fx);
    rig_open(&rig);
    make_site();
    make_gate();
    fx.identity = (struct identity){.id = "i-0000000000000001",
                                    .seed = "x",
                                    .honest = true,
                                    .locale = "en-GB",
                                    .languages = {"en-GB", "en"},
                                    .n_languages = 2,
                                    .timezone = "Europe/London",
                                    .viewport_w = 1000,
                                    .viewport_h = 700,
                                    .screen_w = 1600,
                                    .screen_h = 900,
                                    .window_w = 1000,
                                    .window_h = 800,
                                    .device_pixel_ratio = 1};
    identity_prepare(rig.arena, &fx.identity, false, &fx.applied);
    fx.member =
        (struct member){.index = 3, .identity = &fx.identity, .forward_port = site_port(rig.site)};
    list_init(&fx.member.idle_link);
    rig_start_browser(
        &rig, full ? BROWSER_CHROMIUM : BROWSER_HEADLESS_SHELL,
        &(struct targets_opts){
            .enforce = ENFORCE_HOLD, .on_event = on_event, .pid = pid_of, .on_stuck = on_stuck});
    return 0;
}

int flow_teardown_all(void **state)
{
    (void)state;
    rig_close(&rig);
    for (size_t i = 0; i < fx.n_bodies; i++)
        free(fx.bodies[i]);
    return 0;
}

static void on_context(void *arg, struct context *c, enum status s, const struct err *e)
{
    (void)arg;
    if (s != STATUS_OK)
        fail_msg("no context: %s", e->text);
    fx.ctx = c;
    fx.made = true;
}

int flow_setup(void **state)
{
    (void)state;
    fx.made = false;
    fx.heartbeat_ms = 0;
    fx.captcha = (struct block_conf){0};
    fx.events[0] = '\0';
    context_create(instance_targets(rig.instance), &fx.member, &fx.applied, on_context, NULL);
    assert_true(turn_until(rig.loop, &fx.made, SOON_MS));
    return 0;
}

int flow_teardown(void **state)
{
    (void)state;
    loop_timer_stop(&fx.timer);
    if (rig.over) /* it went with its browser */
        fx.ctx = NULL;
    context_destroy(&fx.ctx);
    turn_for(rig.loop, 5);
    return 0;
}

void flow_serve(const char *path, int status, const char *headers, const char *body)
{
    site_answer(rig.site, path, status, headers, body);
}

size_t flow_asked(const char *host)
{
    size_t n = 0;

    for (size_t i = 0; i < site_hits(rig.site); i++)
        n += strcmp(site_hit(rig.site, i)->host, host) == 0;
    return n;
}

void flow_wait_events(const char *events)
{
    uint64_t end = test_now_ms() + SOON_MS;

    while (strcmp(fx.events, events) != 0 && test_now_ms() < end)
        loop_run_once(rig.loop, 50);
    assert_string_equal(fx.events, events);
}

void flow_captcha(const struct block_conf *c)
{
    fx.captcha = *c;
}

bool flow_breaker_was_open(void)
{
    return breaker_reset(rig.breaker, STR("a.test"), &rig.err) == STATUS_OK;
}

double flow_rate(const char *host)
{
    struct limit_state s = {0};

    (void)limiter_get(rig.limiter, str_from(host), loop_now_ms(rig.loop), &s);
    return s.rate_per_s;
}

void flow_heartbeat(uint64_t every_ms)
{
    fx.heartbeat_ms = every_ms;
}

const char *flow_events(void)
{
    return fx.events;
}

static void on_crash(struct loop_timer *t)
{
    (void)t;
    page_call(fx.session.main, NULL, "Page.crash", STR_NONE, 0, crashed, NULL);
}

void flow_crash_after(uint64_t ms)
{
    fx.strike = on_crash;
    fx.strike_ms = ms;
}

/* The process that was started, or the browser below it. */
static void on_freeze(struct loop_timer *t)
{
    pid_t pid = instance_pid(rig.instance);
    char path[64], *text;

    (void)t;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    text = test_read_file(path, NULL);
    kill(pid, SIGSTOP);
    if (text[0] != '\0')
        kill((pid_t)strtol(text, NULL, 10), SIGSTOP);
    free(text);
}

void flow_freeze_after(uint64_t ms)
{
    fx.strike = on_freeze;
    fx.strike_ms = ms;
}

/* --- one flow --- */

struct flow_tried tried;

static void flow_over(void *arg)
{
    (void)arg;
    fx.done = true;
}

static void print(const struct json *j, char *out, size_t n)
{
    struct buf b = BUF_INIT(1 << 20);

    json_print(j, 0, &b);
    snprintf(out, n, "%s", b.ptr);
    buf_deinit(&b);
}

/* Single quotes stand for double ones, so that flows can be read here. */
static struct json *parse(struct arena *a, const char *text)
{
    char *z = arena_strdup(a, text);
    struct json *j;

    for (char *c = z; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c == '^' ? '\'' : *c;
    j = json_parse(str_from(z), true, &rig.err);
    if (j == NULL)
        fail_msg("%s in %s", rig.err.text, z);
    return j;
}

static void (*look)(const char *path);
static const struct campaign_conf *campaign;

void flow_conf(const struct campaign_conf *conf)
{
    campaign = conf;
}

void flow_look(void (*fn)(const char *path))
{
    look = fn;
}

static void begin(struct arena *a, const struct json *row)
{
    fx.attempt = (struct attempt){.task_id = "t-000001",
                                  .number = 1,
                                  .arena = a,
                                  .member = &fx.member,
                                  .row = row,
                                  .deadline_ms = loop_now_ms(rig.loop) + 60000,
                                  .error_step = -1};
    fx.session = (struct page_session){.member = &fx.member,
                                       .attempt = &fx.attempt,
                                       .conf = campaign,
                                       .gate = rig.gate,
                                       .ops = rig.ops,
                                       .loop = rig.loop,
                                       .arena = a,
                                       .artifacts_dir = rig.state,
                                       .artifacts = json_new_array(),
                                       .vars = json_new_object(),
                                       .timeout_ms = 5000,
                                       .heartbeat_ms = fx.heartbeat_ms};
    context_begin(fx.ctx, &fx.session);
}

static void remove_artifacts(void)
{
    for (const struct json *j = json_first(fx.session.artifacts); j != NULL; j = json_next(j)) {
        if (look != NULL)
            look(json_str(j, ""));
        (void)remove(json_str(j, ""));
    }
}

enum status flow_try_with(const char *steps, const char *row_text, unsigned cancel_ms)
{
    struct arena *a = arena_create(NULL, 0);
    struct json *row = parse(a, row_text), *j;
    struct json_decode d;
    struct flow_run *r;
    struct flow *f;

    j = parse(a, arena_printf(a, "{'title': 'case', 'steps': [%s]}", steps));
    json_decode_init(&d, a, NULL);
    f = flow_decode(a, j, &d);
    if (f == NULL)
        fail_msg("%s: %s", d.errors[0].path, d.errors[0].text);
    begin(a, row);
    fx.done = false;
    tried.took_ms = test_now_ms();
    r = flow_run(f, &fx.session, flow_over, NULL);
    if (cancel_ms > 0 && !turn_until(rig.loop, &fx.done, cancel_ms)) {
        tried.took_ms = test_now_ms();
        flow_cancel(r, STATUS_CANCELLED);
    }
    assert_true(turn_until(rig.loop, &fx.done, 40000));
    tried.took_ms = test_now_ms() - tried.took_ms;
    if (getenv("FLOW_TIMES") != NULL)
        print_message("%5u ms  %.150s\n", (unsigned)tried.took_ms, steps);
    print(fx.attempt.output, tried.output, sizeof tried.output);
    print(fx.session.artifacts, tried.artifacts, sizeof tried.artifacts);
    tried.status = fx.attempt.status;
    tried.error_step = fx.attempt.error_step;
    tried.may_have_happened = fx.attempt.may_have_happened;
    snprintf(tried.text, sizeof tried.text, "%s", fx.attempt.err.text);
    remove_artifacts();
    context_end(fx.ctx, true);
    json_destroy(&fx.attempt.output);
    json_destroy(&fx.session.artifacts);
    json_destroy(&fx.session.vars);
    json_destroy(&fx.session.console);
    json_destroy(&row);
    json_destroy(&j);
    arena_destroy(&a);
    return tried.status;
}

enum status flow_try(const char *steps)
{
    return flow_try_with(steps, "{'url': 'http://a.test/form.html', 'word': 'green', 'n': 7}", 0);
}

void flow_expect(const char *steps, const char *output)
{
    if (flow_try(steps) != STATUS_OK)
        fail_msg("%s: %s", status_name(tried.status), tried.text);
    assert_string_equal(tried.output, output);
}

void flow_expect_fail(const char *steps, enum status s, const char *text)
{
    if (flow_try(steps) != s)
        fail_msg("%s: %s, expected %s", status_name(tried.status), tried.text, status_name(s));
    if (strstr(tried.text, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, tried.text);
}
