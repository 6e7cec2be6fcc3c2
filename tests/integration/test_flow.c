/* Flows on real pages in a real Chromium: every type of step, every kind of selector, elements that
 * are late, covered, moving or in frames of other processes, and what is said when a step fails.
 * Pages are those of tests/site/cases/flow; the site answers for all host names, since it is also
 * the member's proxy. Flows end by reading the page's own log into their output. */
#include <stdio.h>

#include "browser/chromium/instance.h"
#include "browser/flow/flow.h"
#include "browser/ops.h"
#include "browser/ops_page.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "tests/integration/browser_site.h"
#include "tests/support/testing.h"

enum { SOON_MS = 15000 };

static struct fx {
    struct loop *loop;
    struct site *site;
    struct reaper *reaper;
    struct op_table *ops;
    struct policy *policy;
    struct breaker *breaker;
    struct limiter *limiter;
    struct gate *gate;
    struct arena *arena;
    char *state;
    struct browser_program program;
    struct instance *instance;
    struct identity identity;
    struct applied applied;
    struct member member;
    struct context *ctx;
    struct page_session session;
    struct attempt attempt;
    char *bodies[32];
    size_t n_bodies;
    bool ready, over, made, stopped, done;
    struct err err;
    char last_op[64];
} fx;

static bool turn_until(const bool *flag, unsigned ms)
{
    uint64_t end = test_now_ms() + ms;

    while (!*flag && test_now_ms() < end)
        loop_run_once(fx.loop, 50);
    return *flag;
}

static void turn_for(unsigned ms)
{
    uint64_t end = test_now_ms() + ms;

    while (test_now_ms() < end)
        loop_run_once(fx.loop, 10);
}

/* --- the fixture: one browser for all cases, a context each --- */

static void on_op(void *arg, const struct op_call *call)
{
    (void)arg;
    snprintf(fx.last_op, sizeof fx.last_op, "%s", call->op->name);
}

static void on_ready(struct instance *i, void *arg)
{
    (void)i;
    (void)arg;
    fx.ready = true;
}

static void on_over(struct instance *i, enum status why, const struct err *e, void *arg)
{
    (void)i;
    (void)arg;
    (void)why;
    fx.over = true;
    fx.err = *e;
}

static void make_gate(void)
{
    static const char *const denied[] = {"denied.test"};
    static const char *const hosts[] = {"a.test", "b.test", "denied.test"};
    const struct policy_conf pc = {.deny = {(const char **)(uintptr_t)denied, 1},
                                   .private_networks = POLICY_PRIVATE_YES};
    const struct breaker_conf bc = {.failure_rate = 0.9, .window_ms = 60000, .min_samples = 1000};
    const struct limit_rate rate = {1000, 1000};

    assert_int_equal(policy_create(&pc, &fx.policy, &fx.err), STATUS_OK);
    assert_int_equal(breaker_open_store(&bc, NULL, &fx.breaker, &fx.err), STATUS_OK);
    fx.limiter = limiter_create(rate);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        limiter_trust(fx.limiter, str_from(hosts[i]));
    fx.ops = op_table_create();
    ops_add_browser(fx.ops);
    fx.gate = gate_create(&(struct gate_deps){
        .loop = fx.loop,
        .table = fx.ops,
        .policy = fx.policy,
        .breaker = fx.breaker,
        .limiter = fx.limiter,
        .on_op = on_op,
    });
}

static void serve(const char *name)
{
    const char *path = arena_printf(fx.arena, "/%s", name);
    char file[128];

    snprintf(file, sizeof file, "tests/site/cases/flow/%s", name);
    fx.bodies[fx.n_bodies] = test_read_file(test_source(file), NULL);
    site_answer(fx.site, path, 200, "Content-Type: text/html\r\n", fx.bodies[fx.n_bodies++]);
}

static void make_site(void)
{
    static const char *const pages[] = {
        "form.html",  "selectors.html", "hard.html", "inner.html",  "frames.html",  "nest.html",
        "popup.html", "child.html",     "nav.html",  "second.html", "extract.html", "pages.html"};

    fx.site = site_open(fx.loop);
    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        serve(pages[i]);
    site_answer(fx.site, "/around", 302, "Location: /second.html?around\r\n", "");
    site_answer(fx.site, "/missing", 404, "", "<title>No such page</title>");
    site_answer(fx.site, "/too-many", 429, "Retry-After: 0\r\n", "slow down");
    site_answer(fx.site, "/slow", 200, "", "@never");
    site_answer(fx.site, "/hang", 200, "Content-Type: text/html\r\n",
                "<title>Hang</title><button onclick='for(;;);'>Hang</button>");
}

static int setup_all(void **state)
{
    const char *kind = getenv("FLOW_BROWSER");

    (void)state;
    memset(&fx, 0, sizeof fx);
    fx.state = test_mkdir();
    assert_int_equal(loop_create(&fx.loop, NULL, &fx.err), STATUS_OK);
    fx.arena = arena_create(NULL, 0);
    make_site();
    if (reaper_start(
            fx.loop,
            &(struct reaper_opts){.program = test_program("fleet-reaper"), .state_dir = fx.state},
            &fx.reaper, &fx.err) != STATUS_OK)
        fail_msg("%s", fx.err.text);
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
    identity_prepare(fx.arena, &fx.identity, false, &fx.applied);
    fx.member =
        (struct member){.index = 3, .identity = &fx.identity, .forward_port = site_port(fx.site)};
    list_init(&fx.member.idle_link);
    if (browser_find(fx.arena,
                     kind != NULL && strcmp(kind, "chromium") == 0 ? BROWSER_CHROMIUM
                                                                   : BROWSER_HEADLESS_SHELL,
                     &fx.program, &fx.err) != STATUS_OK)
        test_skip("%s", fx.err.text);
    if (instance_start(&(struct instance_opts){.loop = fx.loop,
                                               .reaper = fx.reaper,
                                               .name = "browser-test",
                                               .program = &fx.program,
                                               .sandbox = SANDBOX_PREFER,
                                               .targets = {.gate = fx.gate,
                                                           .document = ops_page_document(),
                                                           .enforce = ENFORCE_HOLD},
                                               .on_ready = on_ready,
                                               .on_over = on_over},
                       &fx.instance, &fx.err) != STATUS_OK)
        fail_msg("%s", fx.err.text);
    while (!fx.ready && !fx.over)
        loop_run_once(fx.loop, 50);
    if (!fx.ready)
        fail_msg("the browser did not start: %s", fx.err.text);
    return 0;
}

static void on_stopped(void *arg)
{
    (void)arg;
    fx.stopped = true;
}

static int teardown_all(void **state)
{
    (void)state;
    if (!fx.over) {
        instance_stop(fx.instance);
        assert_true(turn_until(&fx.over, SOON_MS));
    }
    instance_destroy(&fx.instance);
    reaper_stop(fx.reaper, on_stopped, NULL);
    assert_true(turn_until(&fx.stopped, SOON_MS));
    turn_for(20);
    assert_int_equal(gate_inside(fx.gate), 0);
    gate_destroy(&fx.gate);
    op_table_destroy(&fx.ops);
    limiter_destroy(&fx.limiter);
    breaker_close_store(&fx.breaker);
    policy_destroy(&fx.policy);
    site_close(&fx.site);
    turn_for(5);
    loop_destroy(&fx.loop);
    arena_destroy(&fx.arena);
    for (size_t i = 0; i < fx.n_bodies; i++)
        free(fx.bodies[i]);
    test_rmdir(&fx.state);
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

static int setup(void **state)
{
    (void)state;
    fx.made = false;
    context_create(instance_targets(fx.instance), &fx.member, &fx.applied, on_context, NULL);
    assert_true(turn_until(&fx.made, SOON_MS));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    context_destroy(&fx.ctx);
    turn_for(5);
    return 0;
}

/* --- one flow --- */

static struct {
    char output[8192]; /* JSON text, "null" when none */
    char artifacts[1024];
    uint64_t took_ms;
} got;

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
    j = json_parse(str_from(z), true, &fx.err);
    if (j == NULL)
        fail_msg("%s in %s", fx.err.text, z);
    return j;
}

static void begin(struct arena *a, const struct json *row)
{
    fx.attempt = (struct attempt){.task_id = "t-000001",
                                  .number = 1,
                                  .arena = a,
                                  .member = &fx.member,
                                  .row = row,
                                  .deadline_ms = loop_now_ms(fx.loop) + 60000,
                                  .error_step = -1};
    fx.session = (struct page_session){.member = &fx.member,
                                       .attempt = &fx.attempt,
                                       .gate = fx.gate,
                                       .ops = fx.ops,
                                       .loop = fx.loop,
                                       .arena = a,
                                       .artifacts_dir = fx.state,
                                       .artifacts = json_new_array(),
                                       .vars = json_new_object(),
                                       .timeout_ms = 5000};
    context_begin(fx.ctx, &fx.session);
}

static void remove_artifacts(void)
{
    for (const struct json *j = json_first(fx.session.artifacts); j != NULL; j = json_next(j))
        (void)remove(json_str(j, ""));
}

/* Cancels after `cancel_ms` (0: never). */
static enum status run_with(const char *steps, const char *row_text, unsigned cancel_ms)
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
    got.took_ms = test_now_ms();
    r = flow_run(f, &fx.session, flow_over, NULL);
    if (cancel_ms > 0 && !turn_until(&fx.done, cancel_ms)) {
        got.took_ms = test_now_ms();
        flow_cancel(r, STATUS_CANCELLED);
    }
    assert_true(turn_until(&fx.done, 40000));
    got.took_ms = test_now_ms() - got.took_ms;
    if (getenv("FLOW_TIMES") != NULL)
        print_message("%5u ms  %.150s\n", (unsigned)got.took_ms, steps);
    print(fx.attempt.output, got.output, sizeof got.output);
    print(fx.session.artifacts, got.artifacts, sizeof got.artifacts);
    fx.err = fx.attempt.err;
    remove_artifacts();
    context_end(fx.ctx, true);
    json_destroy(&fx.attempt.output);
    json_destroy(&fx.session.artifacts);
    json_destroy(&fx.session.vars);
    json_destroy(&row);
    json_destroy(&j);
    arena_destroy(&a);
    return fx.attempt.status;
}

static enum status run(const char *steps)
{
    return run_with(steps, "{'url': 'http://a.test/form.html', 'word': 'green', 'n': 7}", 0);
}

static void expect_output(const char *steps, const char *output)
{
    if (run(steps) != STATUS_OK)
        fail_msg("%s: %s", status_name(fx.attempt.status), fx.attempt.err.text);
    assert_string_equal(got.output, output);
}

/* The page's log at the end. */
#define GO(page) "{'type': 'navigate', 'url': 'http://a.test/" page "'}, "
#define LOG      ", {'type': 'set', 'name': 'log', 'expression': 'log.join(^ ^)', 'output': true}"
#define VALUE(id)                                                                                  \
    ", {'type': 'set', 'name': '" id "', 'expression': 'document.getElementById(^" id              \
    "^).value', 'output': true}"

static void expect_fail(const char *steps, enum status s, const char *text)
{
    if (run(steps) != s)
        fail_msg("%s: %s, expected %s", status_name(fx.attempt.status), fx.attempt.err.text,
                 status_name(s));
    if (strstr(fx.attempt.err.text, text) == NULL)
        fail_msg("\"%s\" is not in: %s", text, fx.attempt.err.text);
}

/* --- clicks --- */

static void clicks(void **state)
{
    (void)state;
    expect_output(GO("form.html") "{'type': 'click', 'selectors': [['#one']], 'offsetX': 5, "
                                  "'offsetY': 6}" LOG,
                  "{\"log\":\"mouseover:one mousedown:one:1 mouseup:one:1 click:one:1\"}");
    expect_output(GO("form.html") "{'type': 'doubleClick', 'selectors': '#one'}" LOG,
                  "{\"log\":\"mouseover:one mousedown:one:1 mouseup:one:1 click:one:1 "
                  "mousedown:one:2 mouseup:one:2 "
                  "click:one:2 dblclick:one:2\"}");
    expect_output(
        GO("form.html") "{'type': 'click', 'selectors': ['#one'], 'button': 'secondary'}" LOG,
        "{\"log\":\"mouseover:one mousedown:one:1 contextmenu:one mouseup:one:1 auxclick:one:1\"}");
    expect_output(GO("form.html") "{'type': 'click', 'selectors': ['#one'], 'button': 'auxiliary', "
                                  "'duration': 120}" LOG,
                  "{\"log\":\"mouseover:one mousedown:one:1 mouseup:one:1 auxclick:one:1\"}");
    assert_true(got.took_ms >= 120);
    expect_output(GO("form.html") "{'type': 'hover', 'selectors': ['#one']}" LOG,
                  "{\"log\":\"mouseover:one\"}");
    expect_output(GO("form.html") "{'type': 'click', 'selectors': ['#below']}" LOG,
                  "{\"log\":\"mouseover:below mousedown:below:1 mouseup:below:1 click:below:1\"}");
}

static void offsets_and_modifiers(void **state)
{
    (void)state;
    expect_output(GO("form.html") "{'type': 'click', 'selectors': ['#target'], 'offsetX': 10, "
                                  "'offsetY': 20}, "
                                  "{'type': 'keyDown', 'key': 'Shift'}, {'type': 'click', "
                                  "'selectors': ['#target']}, "
                                  "{'type': 'keyUp', 'key': 'Shift'}, "
                                  "{'type': 'set', 'name': 'log', 'expression': 'log.filter((l) => "
                                  "l.startsWith(^at^)).join(^ ^)', 'output': true}",
                  "{\"log\":\"at:8,18:false at:48,23:true\"}");
}

static void touches(void **state)
{
    (void)state;
    expect_output(
        GO("form.html") "{'type': 'click', 'selectors': ['#one'], 'deviceType': 'touch'}, "
                        "{'type': 'set', 'name': 'log', 'expression': 'log.filter((l) => "
                        "/touch|click/.test(l)).join(^ ^)', 'output': true}",
        "{\"log\":\"touchstart:one click:one:1\"}");
}

/* --- fields --- */

static void fields(void **state)
{
    (void)state;
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#name'], 'value': 'Ada'}" LOG VALUE(
            "name"),
        "{\"log\":\"key:A input:name key:d input:name key:a input:name\",\"name\":\"Ada\"}");
    expect_output(GO("form.html") "{'type': 'change', 'selectors': ['#mail'], 'value': "
                                  "'ada@example.com'}" VALUE("mail"),
                  "{\"mail\":\"ada@example.com\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#old'], 'value': 'new'}" VALUE("old"),
        "{\"old\":\"new\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#old'], 'value': ''}" VALUE("old"),
        "{\"old\":\"\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#count'], 'value': '42'}" VALUE("count"),
        "{\"count\":\"42\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#day'], 'value': '2026-01-02'}" LOG
            VALUE("day"),
        "{\"log\":\"input:day change:day\",\"day\":\"2026-01-02\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#colour'], 'value': '#ff0000'}" VALUE(
            "colour"),
        "{\"colour\":\"#ff0000\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#range'], 'value': '7'}" LOG VALUE(
            "range"),
        "{\"log\":\"input:range change:range\",\"range\":\"7\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#locked'], 'value': 'set'}" VALUE(
            "locked"),
        "{\"locked\":\"set\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['aria/Name'], 'value': 'né€😀'}" VALUE(
            "name"),
        "{\"name\":\"né€😀\"}");
}

static void more_fields(void **state)
{
    (void)state;
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#text'], 'value': 'two\\nlines'}" VALUE(
            "text"),
        "{\"text\":\"two\\nlines\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#text'], 'value': '{{row.word}} "
                        "0123456789012345678901234567890123456789"
                        "0123456789012345678901234567890123456789012345678901234567890123456789'}, "
                        "{'type': 'set', 'name': 'n', 'expression': 'text.value.length', 'output': "
                        "true}" LOG,
        "{\"n\":116,\"log\":\"input:text change:text\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#size'], 'value': 'm'}" LOG VALUE(
            "size"),
        "{\"log\":\"input:size change:size\",\"size\":\"m\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#size'], 'value': 'Large'}" VALUE(
            "size"),
        "{\"size\":\"l\"}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#late'], 'value': 'Bee'}" VALUE("late"),
        "{\"late\":\"b\"}");
    expect_output(GO("form.html") "{'type': 'change', 'selectors': ['#terms'], 'value': 'on'}, "
                                  "{'type': 'change', 'selectors': ['#news'], 'value': 'false'}, "
                                  "{'type': 'set', 'name': 'both', 'expression': '[terms.checked, "
                                  "news.checked]', 'output': true}",
                  "{\"both\":[true,false]}");
    expect_output(
        GO("form.html") "{'type': 'change', 'selectors': ['#rich'], 'value': 'new words'}, "
                        "{'type': 'set', 'name': 't', 'expression': 'rich.innerText', 'output': "
                        "true}",
        "{\"t\":\"new words\"}");
    expect_fail(GO("form.html") "{'type': 'change', 'selectors': ['#size'], 'value': 'xxl', "
                                "'timeout': 300}",
                STATUS_ELEMENT_NOT_FOUND, "no option \"xxl\" among \"s\", \"m\", \"l\"");
    expect_fail(
        GO("form.html") "{'type': 'change', 'selectors': ['#box'], 'value': 'x', 'timeout': 300}",
        STATUS_ELEMENT_NOT_FOUND, "<div id=box> is no field");
}

static void keys(void **state)
{
    (void)state;
    expect_output(
        GO("form.html") "{'type': 'click', 'selectors': ['#name']}, {'type': 'keyDown', 'key': "
                        "'a'}, {'type': 'keyUp', 'key': 'a'}, "
                        "{'type': 'keyDown', 'key': 'Shift'}, {'type': 'keyDown', 'key': 'KeyB'}, "
                        "{'type': 'keyUp', 'key': 'KeyB'}, "
                        "{'type': 'keyUp', 'key': 'Shift'}, {'type': 'keyDown', 'key': 'Digit5'}, "
                        "{'type': 'keyUp', 'key': 'Digit5'}, "
                        "{'type': 'keyDown', 'key': 'Backspace'}, {'type': 'keyUp', 'key': "
                        "'Backspace'}, "
                        "{'type': 'keyDown', 'key': 'Enter'}, {'type': 'keyUp', 'key': 'Enter'}" LOG
                            VALUE("name"),
        "{\"log\":\"key:a input:name key:Shift key:B input:name key:5 input:name key:Backspace "
        "input:name "
        "key:Enter change:name submit\",\"name\":\"aB\"}");
    /* A chord: all of it selected, then replaced. */
    expect_output(
        GO("form.html") "{'type': 'click', 'selectors': ['#old']}, {'type': 'keyDown', 'key': "
                        "'Control'}, "
                        "{'type': 'keyDown', 'key': 'a'}, {'type': 'keyUp', 'key': 'a'}, {'type': "
                        "'keyUp', 'key': 'Control'}, "
                        "{'type': 'keyDown', 'key': 'z'}, {'type': 'keyUp', 'key': 'z'}" VALUE(
                            "old"),
        "{\"old\":\"z\"}");
}

static void scrolling(void **state)
{
    (void)state;
    expect_output(GO("form.html") "{'type': 'scroll', 'selectors': ['#box'], 'x': 40, 'y': 70}, "
                                  "{'type': 'scroll', 'y': 333}, "
                                  "{'type': 'set', 'name': 'at', 'expression': '[box.scrollLeft, "
                                  "box.scrollTop, scrollY]', 'output': true}",
                  "{\"at\":[40,70,333]}");
}

/* --- selectors --- */

#define CLICKED(sel, what)                                                                         \
    {                                                                                              \
        GO("selectors.html")                                                                       \
        "{'type': 'click', 'selectors': [" sel "]}" LOG, "{\"log\":\"" what "\"}"                  \
    }

static void selectors(void **state)
{
    static const struct {
        const char *steps, *output;
    } cases[] = {
        CLICKED("['#css']", "css"),
        CLICKED("['aria/Close dialog']", "aria"),
        CLICKED("['aria/Save[role=\\'button\\']']", "button-save"),
        CLICKED("['aria/Save[role=\\'link\\']']", "link"),
        CLICKED("['aria/[name=\\'Save\\'][role=\\'button\\']']", "button-save"),
        CLICKED("['text/text here']", "italic bold"),
        CLICKED("['text/deep text']", "bold"),
        CLICKED("['text/my value']", "value"),
        CLICKED("['text/shadow words']", "shadow-text"),
        CLICKED("['xpath///li[2]']", "two"),
        CLICKED("['xpath//html/body/ul/li[contains(., \\'tw\\')]']", "two"),
        CLICKED("['pierce/#inner']", "inner"),
        CLICKED("['x-outer', 'x-inner', '#inner']", "inner"),
        CLICKED("['x-outer', 'section > x-inner', 'text/Inner']", "inner"),
        CLICKED("['x-outer', 'xpath///x-inner', 'xpath///button']", "inner"),
        CLICKED("['x-outer', 'x-inner', 'aria/Inner button']", "inner"),
        CLICKED("['.many']", "many"),
        CLICKED("['#inside', '#deep']", "frame"),
        CLICKED("['#nowhere'], ['aria/Nobody'], ['text/never'], ['#css']", "css"),
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *steps = strdup(cases[i].steps);

        for (char *c = strstr(steps, "\\'"); c != NULL; c = strstr(c, "\\'"))
            memcpy(c, "\\\"", 2);
        expect_output(steps, cases[i].output);
        free(steps);
    }
}

static void waiting(void **state)
{
    (void)state;
    expect_output(
        GO("selectors.html") "{'type': 'waitForElement', 'selectors': ['li'], 'count': 3, "
                             "'operator': '=='}, "
                             "{'type': 'waitForElement', 'selectors': [['#none'], ['ul']], "
                             "'visible': true}, "
                             "{'type': 'waitForElement', 'selectors': ['#none'], 'visible': "
                             "false}, "
                             "{'type': 'waitForElement', 'selectors': ['li'], 'operator': '<=', "
                             "'count': 5}, "
                             "{'type': 'waitForElement', 'selectors': ['aria/Save'], 'count': 2}, "
                             "{'type': 'waitForElement', 'selectors': ['#css'], 'attributes': "
                             "{'class': 'b'}}, "
                             "{'type': 'waitForElement', 'selectors': ['x-outer'], 'properties': "
                             "{'state': {'level': 3}}}, "
                             "{'type': 'waitForElement', 'selectors': ['aria/First'], "
                             "'properties': {'id': 'css'}}, "
                             "{'type': 'waitForExpression', 'expression': 'document.readyState === "
                             "^complete^'}, "
                             "{'type': 'waitForExpression', 'expression': 'new Promise((r) => "
                             "setTimeout(() => r(true), 50))'}, "
                             "{'type': 'set', 'values': {'ok': '{{row.n}}', 'text': 'n is {{n}}'}, "
                             "'output': true}",
        "{\"ok\":7,\"text\":\"n is 7\"}");
    expect_fail(GO("selectors.html") "{'type': 'waitForElement', 'selectors': ['li'], 'count': 4, "
                                     "'timeout': 200}",
                STATUS_ELEMENT_NOT_FOUND, "step 1 (waitForElement): after 200 ms: 3 found");
    expect_fail(GO("selectors.html") "{'type': 'waitForElement', 'selectors': ['#css'], "
                                     "'attributes': {'class': 'c'}, 'timeout': 200}",
                STATUS_ELEMENT_NOT_FOUND,
                "attribute class of <button id=css class=\"b\"> is \"b\"");
    expect_fail(GO("selectors.html") "{'type': 'waitForExpression', 'expression': 'window.never', "
                                     "'timeout': 200}",
                STATUS_TIMEOUT, "after 200 ms the expression is not true: window.never");
    expect_fail(GO("selectors.html") "{'type': 'waitForExpression', 'expression': 'no.such.name', "
                                     "'timeout': 200}",
                STATUS_SCRIPT_FAILED, "no is not defined");
    expect_fail(GO("selectors.html") "{'type': 'waitForExpression', 'expression': 'if (', "
                                     "'timeout': 20000}",
                STATUS_SCRIPT_FAILED, "SyntaxError");
    expect_fail(GO("selectors.html") "{'type': 'click', 'selectors': ['li[', 'p >']}",
                STATUS_INVALID, "no valid selector");
}

/* --- elements that are not ready --- */

static void hard(void **state)
{
    (void)state;
    expect_output(GO("hard.html") "{'type': 'click', 'selectors': ['#mover']}, {'type': 'click', "
                                  "'selectors': ['#behind']}, "
                                  "{'type': 'click', 'selectors': ['#off']}, {'type': 'click', "
                                  "'selectors': ['#late']}, "
                                  "{'type': 'click', 'selectors': ['#bottom']}" LOG,
                  "{\"log\":\"mover behind off late bottom\"}");
    expect_fail(GO("hard.html") "{'type': 'click', 'selectors': ['#always'], 'timeout': 300}",
                STATUS_ELEMENT_NOT_FOUND,
                "step 1 (click): after 300 ms: \"#always\": found but covered by <div id=cover "
                "class=\"veil dark\">");
    assert_int_equal(fx.attempt.error_step, 1);
    expect_fail(GO("hard.html") "{'type': 'click', 'selectors': ['#never'], 'timeout': 300}",
                STATUS_ELEMENT_NOT_FOUND, "\"#never\": found but disabled");
    expect_fail(GO("hard.html") "{'type': 'click', 'selectors': ['#set'], 'timeout': 300}",
                STATUS_ELEMENT_NOT_FOUND, "found but disabled");
    expect_fail(GO("hard.html") "{'type': 'click', 'selectors': [['.gone'], ['aria/No one']], "
                                "'timeout': 300}",
                STATUS_ELEMENT_NOT_FOUND,
                "\".gone\": 3 elements, none visible, the first is visible (display: none); "
                "\"aria/No one\": no such element");
    assert_non_null(strstr(got.artifacts, "t-000001-1-failed.png"));
}

/* --- frames and pages --- */

#define SAID ", {'type': 'extract', 'into': 'said', 'selectors': ['#said'], 'frame': "

static void frames(void **state)
{
    (void)state;
    expect_output(GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'frame': [0]}" SAID
                                    "[0]}",
                  "{\"said\":\"clicked true\"}");
    expect_output(GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'frame': [1]}" SAID
                                    "[1]}",
                  "{\"said\":\"clicked true\"}");
    expect_output(
        GO("frames.html") "{'type': 'click', 'selectors': ['aria/Inside'], 'frame': [2, 0]}" SAID
                          "[2, 0]}",
        "{\"said\":\"clicked true\"}");
    expect_output(
        GO("frames.html") "{'type': 'change', 'selectors': ['#field'], 'frame': [1], 'value': "
                          "'abc'}, "
                          "{'type': 'extract', 'into': 'v', 'selectors': ['#field'], 'frame': [1]}",
        "{\"v\":\"abc\"}");
    expect_output(GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'target': "
                                    "'http://b.test/inner.html?far'}, "
                                    "{'type': 'extract', 'into': 'said', 'selectors': ['#said'], "
                                    "'target': 'http://b.test/inner.html?far'}",
                  "{\"said\":\"clicked true\"}");
    expect_output(GO("frames.html") "{'type': 'set', 'name': 'w', 'expression': 'location.host', "
                                    "'frame': [2, 0], 'output': true}",
                  "{\"w\":\"a.test\"}");
    expect_fail(
        GO("frames.html") "{'type': 'click', 'selectors': ['#in'], 'frame': [7], 'timeout': 200}",
        STATUS_ELEMENT_NOT_FOUND, "the page has no such frame after 200 ms");
}

static void popups(void **state)
{
    (void)state;
    expect_output(
        GO("popup.html") "{'type': 'click', 'selectors': ['#open']}, "
                         "{'type': 'change', 'target': 'http://a.test/child.html', 'selectors': "
                         "['#word'], 'value': 'hello {{word}}'}, "
                         "{'type': 'click', 'target': 'http://a.test/child.html', 'selectors': "
                         "['#tell']}, "
                         "{'type': 'assert', 'selectors': ['#got'], 'text': 'hello green'}, "
                         "{'type': 'click', 'target': 'http://a.test/child.html', 'selectors': "
                         "['#close']}, "
                         "{'type': 'extract', 'into': 'got', 'selectors': '#got'}",
        "{\"got\":\"hello green\"}");
    expect_output(GO("popup.html") "{'type': 'click', 'selectors': ['#blank']}, "
                                   "{'type': 'waitForElement', 'target': "
                                   "'http://a.test/child.html?blank', 'selectors': ['#word']}, "
                                   "{'type': 'close', 'target': 'http://a.test/child.html?blank'}, "
                                   "{'type': 'set', 'name': 't', 'expression': 'document.title', "
                                   "'output': true}",
                  "{\"t\":\"Opener\"}");
    expect_fail(GO("popup.html") "{'type': 'click', 'target': 'http://a.test/other', 'selectors': "
                                 "['#word'], 'timeout': 150}",
                STATUS_ELEMENT_NOT_FOUND,
                "no page or frame with the URL http://a.test/other is open; the page is at "
                "http://a.test/popup.html");
}

/* --- navigations --- */

#define NAV "'assertedEvents': [{'type': 'navigation', 'url': 'http://x/', 'title': 'x'}]"
#define WHERE                                                                                      \
    ", {'type': 'set', 'name': 'at', 'expression': 'location.pathname + location.search', "        \
    "'output': true}"

static void navigations(void **state)
{
    (void)state;
    expect_output(GO("nav.html") "{'type': 'click', 'selectors': ['#go']}" WHERE,
                  "{\"at\":\"/second.html\"}");
    expect_output(GO("nav.html") "{'type': 'click', 'selectors': ['#go'], " NAV "}" WHERE,
                  "{\"at\":\"/second.html\"}");
    expect_output(GO("nav.html") "{'type': 'click', 'selectors': ['#around'], " NAV "}" WHERE,
                  "{\"at\":\"/second.html?around\"}");
    expect_output(GO("nav.html") "{'type': 'click', 'selectors': ['#soon'], " NAV "}" WHERE,
                  "{\"at\":\"/second.html?soon\"}");
    expect_output(GO("nav.html") "{'type': 'click', 'selectors': ['#soon']}, {'type': "
                                 "'waitForElement', 'selectors': ['#head']}" WHERE,
                  "{\"at\":\"/second.html?soon\"}");
    expect_output(GO("nav.html") "{'type': 'click', 'selectors': ['#route'], " NAV "}, "
                                 "{'type': 'assert', 'url': '*/route/*', 'selectors': ['#view'], "
                                 "'text': 'second view', 'title': 'N*v'}" WHERE,
                  "{\"at\":\"/route/2\"}");
    expect_output(GO("nav.html") "{'type': 'change', 'selectors': ['#q'], 'value': 'x y'}, "
                                 "{'type': 'keyDown', 'key': 'Enter', " NAV "}, "
                                 "{'type': 'keyUp', 'key': 'Enter'}" WHERE,
                  "{\"at\":\"/second.html?q=x+y\"}");
    expect_output(
        GO("nav.html") "{'type': 'change', 'selectors': ['#jump'], 'value': 'Jump'}" WHERE,
        "{\"at\":\"/second.html?jump\"}");
    expect_output(GO("nav.html") "{'type': 'click', 'selectors': ['#missing']}" WHERE,
                  "{\"at\":\"/missing\"}");
}

static void refused_navigations(void **state)
{
    (void)state;
    expect_fail(GO("nav.html") "{'type': 'click', 'selectors': ['#nothing'], 'timeout': 300, " NAV
                               "}",
                STATUS_TIMEOUT, "a navigation was expected, and none began within");
    expect_fail(GO("nav.html") "{'type': 'click', 'selectors': ['#refused']}", STATUS_POLICY_DENIED,
                "step 1 (click)");
    expect_fail(GO("nav.html") "{'type': 'click', 'selectors': ['#blocked']}", STATUS_HTTP_429,
                "step 1 (click)");
    expect_fail("{'type': 'navigate', 'url': 'http://a.test/missing'}", STATUS_HTTP_4XX,
                "answered HTTP 404");
    expect_output(
        "{'type': 'navigate', 'url': 'http://a.test/missing', 'accept_status': [404]}" WHERE,
        "{\"at\":\"/missing\"}");
    expect_fail("{'type': 'navigate', 'url': 'http://a.test/missing', 'accept_status': [410]}",
                STATUS_HTTP_4XX, "HTTP 404");
    expect_fail("{'type': 'navigate', 'url': 'http://a.test/slow', 'timeout': 400}", STATUS_TIMEOUT,
                "step 0 (navigate)");
    assert_true(got.took_ms < 5000);
}

/* --- Fleet's own steps --- */

static void extracts(void **state)
{
    (void)state;
    expect_output(
        GO("extract.html") "{'type': 'extract', 'each': ['article'], 'fields': {'name': 'h2', "
                           "'id': {'attribute': 'data-id', 'type': 'integer'}, "
                           "'price': {'selector': '.p', 'type': 'number'}, "
                           "'stock': {'selector': 'em', 'default': 'none'}, "
                           "'link': {'selector': 'xpath/.//a', 'type': 'url'}, "
                           "'tags': {'selector': 'i', 'many': true}}}",
        "{\"items\":[{\"name\":\"Tea\",\"id\":1,\"price\":2.1,\"stock\":\"stock\",\"link\":\"http:/"
        "/a.test/shop/item/0\",\"tags\":[\"t0\",\"u0\"]},"
        "{\"name\":\"Salt\",\"id\":2,\"price\":0.95,\"stock\":\"none\",\"link\":\"http://a.test/"
        "shop/item/1\",\"tags\":[\"t1\",\"u1\"]},"
        "{\"name\":\"Rice\",\"id\":3,\"price\":null,\"stock\":\"stock\",\"link\":\"http://a.test/"
        "shop/item/2\",\"tags\":[\"t2\",\"u2\"]}]}");
    expect_output(
        GO("extract.html") "{'type': 'extract', 'fields': {'h': 'h1', 'gbp': {'selector': '#gbp', "
                           "'type': 'number'}, "
                           "'eur': {'selector': '#eur', 'type': 'number'}, 'usd': {'selector': "
                           "'#usd', 'type': 'number'}, "
                           "'chf': {'selector': '#chf', 'type': 'number'}, 'thousand': "
                           "{'selector': '#thousand', 'type': 'integer'}, "
                           "'comma': {'selector': '#comma', 'type': 'number'}, 'minus': "
                           "{'selector': '#minus', 'type': 'number'}, "
                           "'words': {'selector': '#words', 'type': 'number'}}}",
        "{\"h\":\"Our "
        "things\",\"gbp\":12.5,\"eur\":1234.56,\"usd\":1234.56,\"chf\":1234.5,\"thousand\":1234,"
        "\"comma\":3.5,\"minus\":-4.25,\"words\":null}");
    expect_output(GO("extract.html") "{'type': 'extract', 'into': 'r', 'fields': {'t': "
                                     "{'selector': '#time', 'type': 'date'}, "
                                     "'d': {'selector': '#day', 'type': 'date'}, 'on': "
                                     "{'selector': '#ticked', 'type': 'boolean'}, "
                                     "'u': {'selector': '#link', 'type': 'url'}, 'j': {'selector': "
                                     "'#data', 'type': 'json'}, "
                                     "'m': '#meta', 'raw': {'selector': '#raw', 'property': "
                                     "'textContent', 'type': 'raw'}, "
                                     "'html': {'selector': 'h1', 'type': 'html'}}}",
                  "{\"r\":{\"t\":\"2026-03-04T05:06:07.000Z\",\"d\":\"2026-03-04\",\"on\":true,"
                  "\"u\":\"http://a.test/up?x=1#f\","
                  "\"j\":{\"sku\":[1,2]},\"m\":\"from meta\",\"raw\":\"  a   b  \",\"html\":\" Our "
                  "  <b>things</b> \"}}");
    expect_fail(GO("extract.html") "{'type': 'extract', 'timeout': 400, 'fields': {'h': 'h1', 'x': "
                                   "{'selector': '#none', 'required': true}}}",
                STATUS_ELEMENT_NOT_FOUND, "field x: no element");
    expect_fail(GO("extract.html") "{'type': 'extract', 'timeout': 300, 'each': '.nothing', "
                                   "'fields': {'h': 'h1'}}",
                STATUS_ELEMENT_NOT_FOUND, "\".nothing\": no such element");
    expect_output(GO("extract.html") "{'type': 'extract', 'min': 0, 'each': '.nothing', 'fields': "
                                     "{'h': 'h1'}}",
                  "{\"items\":[]}");
}

static void asserts(void **state)
{
    (void)state;
    expect_output(GO("second.html?x=1") "{'type': 'assert', 'expression': 'document.title === "
                                        "^Second page^'}, "
                                        "{'type': 'assert', 'selectors': ['h1'], 'count': 1, "
                                        "'operator': '==', 'text': 'Second'}, "
                                        "{'type': 'assert', 'url': 'http://a.test/second.html*'}",
                  "null");
    expect_fail(GO("second.html") "{'type': 'assert', 'selectors': ['h1'], 'text': 'Third', "
                                  "'timeout': 200, 'message': 'the heading'}",
                STATUS_ASSERTION_FAILED,
                "the heading: after 200 ms: the text of <h1 id=head> is \"Second\"");
    expect_fail(GO("second.html") "{'type': 'assert', 'url': '*/third', 'timeout': 200}",
                STATUS_ASSERTION_FAILED, "the URL is http://a.test/second.html, expected */third");
    expect_fail(GO("second.html") "{'type': 'assert', 'title': 'Third*', 'timeout': 200}",
                STATUS_ASSERTION_FAILED, "the title is \"Second page\"");
    expect_fail(
        GO("second.html") "{'type': 'assert', 'expression': '1 > {{row.n}}', 'timeout': 200}",
        STATUS_ASSERTION_FAILED, "the expression is not true: 1 > 7");
}

static void pictures(void **state)
{
    (void)state;
    expect_output(
        GO("second.html") "{'type': 'setViewport', 'width': 640, 'height': 480, "
                          "'deviceScaleFactor': 1, 'isMobile': false, "
                          "'hasTouch': false, 'isLandscape': false}, "
                          "{'type': 'screenshot', 'name': 'whole', 'fullPage': true}, "
                          "{'type': 'screenshot', 'name': 'head', 'selectors': ['#head'], "
                          "'format': 'jpeg', 'quality': 60}, "
                          "{'type': 'pdf', 'name': 'paper'}, {'type': 'sleep', 'ms': 10}, "
                          "{'type': 'set', 'name': 'w', 'expression': '[innerWidth, innerHeight]', "
                          "'output': true}",
        "{\"w\":[640,480]}");
    assert_non_null(strstr(got.artifacts, "t-000001-1-whole.png"));
    assert_non_null(strstr(got.artifacts, "t-000001-1-head.jpg"));
    assert_non_null(strstr(got.artifacts, "t-000001-1-paper.pdf"));
}

static void conditions(void **state)
{
    (void)state;
    expect_output(
        "{'type': 'emulateNetworkConditions', 'download': 0, 'upload': 0, 'latency': 0}, "
        "{'type': 'emulateNetworkConditions', 'download': 900000, 'upload': 900000, 'latency': "
        "5}, " GO("second.html") "{'type': 'customStep', 'name': 'x', 'parameters': {}}, "
                                 "{'type': 'set', 'name': 'on', 'expression': 'navigator.onLine', "
                                 "'output': true}",
        "{\"on\":true}");
}

static void implied_navigation(void **state)
{
    (void)state;
    expect_output(
        "{'type': 'set', 'name': 'who', 'value': "
        "'{{member.index}}/{{member.id}}/{{task.id}}/{{vars.none|-}}', 'output': true}, "
        "{'type': 'set', 'name': 'at', 'expression': 'location.href', 'output': true}",
        "{\"who\":\"3/i-0000000000000001/t-000001/-\",\"at\":\"http://a.test/form.html\"}");
    expect_fail(
        "{'type': 'assert', 'selectors': ['{{nosuch}}']}", STATUS_INVALID,
        "step 0 (assert): {{nosuch}}: there is no such value; row: url, word, n; member: index");
}

static void loops(void **state)
{
    (void)state;
    expect_output(GO("pages.html") "{'type': 'paginate', 'next': ['#next'], 'timeout': 600, "
                                   "'steps': [{'type': 'extract', 'each': 'li', 'into': 'all'}]}",
                  "{\"all\":[\"item 1.1\",\"item 1.2\",\"item 2.1\",\"item 2.2\",\"item "
                  "3.1\",\"item 3.2\"]}");
    expect_output(
        GO("pages.html") "{'type': 'repeat', 'until': '{{n|0}} > 1 && page === 3', 'steps': "
                         "[{'type': 'click', 'selectors': ['#next']}]}, "
                         "{'type': 'if', 'expression': 'page > 2', 'steps': [{'type': 'set', "
                         "'name': 'p', 'value': 'late', 'output': true}], "
                         "'else': [{'type': 'set', 'name': 'p', 'value': 'early', 'output': "
                         "true}]}, "
                         "{'type': 'if', 'selectors': ['#nowhere'], 'steps': [{'type': 'set', "
                         "'name': 'q', 'value': 'x', 'output': true}]}, "
                         "{'type': 'repeat', 'times': 3, 'steps': [{'type': 'set', 'name': "
                         "'count', 'expression': '({{count|0}}) + 1', 'output': true}]}",
        "{\"p\":\"late\",\"count\":3}");
    expect_fail(GO("pages.html") "{'type': 'repeat', 'while': 'true', 'max': 3, 'steps': [{'type': "
                                 "'set', 'name': 'x', 'value': 1}]}",
                STATUS_ASSERTION_FAILED, "step 1 (repeat): 3 rounds");
    expect_fail(GO("pages.html") "{'type': 'repeat', 'times': 2, 'steps': [{'type': 'click', "
                                 "'selectors': ['#nope'], 'timeout': 100}]}",
                STATUS_ELEMENT_NOT_FOUND, "step /steps/1/steps/0 (click): after 100 ms");
    assert_int_equal(fx.attempt.error_step, 1);
}

static void optional_and_retries(void **state)
{
    (void)state;
    expect_output(GO("hard.html") "{'type': 'click', 'selectors': ['#nope'], 'timeout': 100, "
                                  "'optional': true}, "
                                  "{'type': 'click', 'selectors': ['#late'], 'timeout': 100, "
                                  "'retries': 10, 'retry_delay_ms': 50}" LOG,
                  "{\"log\":\"late\"}");
    assert_int_equal(run(GO("form.html") "{'type': 'click', 'selectors': ['#nope'], 'timeout': "
                                         "100, 'irreversible': true}"),
                     STATUS_ELEMENT_NOT_FOUND);
    assert_false(fx.attempt.may_have_happened);
    assert_int_equal(
        run(GO("form.html") "{'type': 'click', 'selectors': ['#send'], 'irreversible': true}, "
                            "{'type': 'click', 'selectors': ['#nope'], 'timeout': 100}"),
        STATUS_ELEMENT_NOT_FOUND);
    assert_true(fx.attempt.may_have_happened);
}

static void cancelled(void **state)
{
    static const char *const waits[] = {
        GO("form.html") "{'type': 'click', 'selectors': ['#nope'], 'timeout': 30000}",
        GO("form.html") "{'type': 'click', 'selectors': ['aria/Nope'], 'timeout': 30000}",
        GO("form.html") "{'type': 'click', 'selectors': ['#nope'], 'frame': [4], 'timeout': 30000}",
        GO("form.html") "{'type': 'waitForExpression', 'expression': 'false', 'timeout': 30000}",
        GO("form.html") "{'type': 'waitForExpression', 'expression': 'new Promise(() => 0)', "
                        "'timeout': 30000}",
        GO("form.html") "{'type': 'sleep', 'ms': 30000}",
        GO("form.html") "{'type': 'click', 'selectors': ['#name'], 'target': "
                        "'http://a.test/never', 'timeout': 30000}",
        GO("nav.html") "{'type': 'click', 'selectors': ['#slow'], 'assertedEvents': [{'type': "
                       "'navigation'}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        assert_int_equal(run_with(waits[i], "{'url': 'http://a.test/'}", 500), STATUS_CANCELLED);
        if (got.took_ms > 2000)
            fail_msg("%s: took %u ms to cancel", waits[i], (unsigned)got.took_ms);
    }
}

static void hung(void **state)
{
    (void)state;
    assert_int_equal(
        run(GO("hang") "{'type': 'click', 'selectors': ['text/Hang'], 'timeout': 500}, "
                       "{'type': 'click', 'selectors': ['text/Hang'], 'timeout': 500}"),
        STATUS_PAGE_HUNG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(clicks),
        T(offsets_and_modifiers),
        T(touches),
        T(fields),
        T(more_fields),
        T(keys),
        T(scrolling),
        T(selectors),
        T(waiting),
        T(hard),
        T(frames),
        T(popups),
        T(navigations),
        T(refused_navigations),
        T(extracts),
        T(asserts),
        T(pictures),
        T(conditions),
        T(implied_navigation),
        T(loops),
        T(optional_and_retries),
        T(cancelled),
        T(hung),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
