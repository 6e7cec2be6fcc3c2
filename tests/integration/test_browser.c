/* The browser's lower floors with real Chromium: a member's context and page, the gate that holds
 * documents, identities, and what may go wrong with a page. The site is the test's own and answers
 * for all host names, since it is also the members' proxy. */
#include <signal.h>
#include <stdio.h>

#include "browser/chromium/instance.h"
#include "browser/ops.h"
#include "browser/ops_page.h"
#include "browser/page/session.h"
#include "core/base/log.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/guard/policy.h"
#include "tests/integration/browser_site.h"
#include "tests/support/testing.h"

enum { SOON_MS = 10000, OPS_MAX = 256 };

struct seen_op {
    char name[32], host[64], path[128];
    enum status status;
    int http_status;
};

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
    enum enforce enforce;
    struct identity identity[2];
    struct applied applied[2];
    struct member member[2];
    struct context *ctx;
    struct page_session session;
    struct attempt attempt;
    struct seen_op op[OPS_MAX];
    size_t n_ops;
    bool ready, over, made, stopped;
    struct err err;
    enum status over_why;
    char killed[200];
} fx;

/* --- turning the loop --- */

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

/* --- the fixture --- */

static void on_op(void *arg, const struct op_call *call)
{
    struct seen_op *o = &fx.op[fx.n_ops < OPS_MAX ? fx.n_ops++ : OPS_MAX - 1];
    ptrdiff_t slash = str_find(call->url, STR("://"));
    struct str rest = slash >= 0 ? str_skip(call->url, (size_t)slash + 3) : STR("");
    ptrdiff_t path = str_chr(rest, '/');

    (void)arg;
    snprintf(o->name, sizeof o->name, "%s", call->op->name);
    snprintf(o->host, sizeof o->host, "%.*s", STR_ARG(call->host));
    snprintf(o->path, sizeof o->path, "%.*s",
             STR_ARG(path >= 0 ? str_skip(rest, (size_t)path) : rest));
    o->status = call->status;
    o->http_status = call->seen.http_status;
}

static size_t count_ops(const char *name, const char *host, const char *path)
{
    size_t n = 0;

    for (size_t i = 0; i < fx.n_ops; i++)
        if (strcmp(fx.op[i].name, name) == 0 &&
            (host == NULL || strcmp(fx.op[i].host, host) == 0) && strcmp(fx.op[i].path, path) == 0)
            n++;
    return n;
}

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    (void)arg;
    (void)m;
    if (strcmp(what, "page killed") == 0)
        snprintf(fx.killed, sizeof fx.killed, "%s", text);
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
    fx.over = true;
    fx.over_why = why;
    fx.err = *e;
}

static struct identity some_identity(const char *lang)
{
    struct identity id = {
        .id = "i-0000000000000001",
        .seed = "x",
        .user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
                      "Chrome/156.0.0.0 Safari/537.36",
        .platform = "Linux x86_64",
        .brands = {{"Chromium", "156", "156.0.8078.79"}, {"Not A;Brand", "8", "8.0.0.0"}},
        .n_brands = 2,
        .full_version = "156.0.8078.79",
        .ch_platform = "Linux",
        .ch_platform_version = "6.1.0",
        .ch_architecture = "x86",
        .ch_bitness = "64",
        .ch_model = "",
        .locale = lang,
        .languages = {strcmp(lang, "de") == 0 ? "de-DE" : "en-GB", lang},
        .n_languages = 2,
        .timezone = strcmp(lang, "de") == 0 ? "Europe/Berlin" : "Asia/Tokyo",
        .screen_w = 1600,
        .screen_h = 900,
        .avail_w = 1600,
        .avail_h = 870,
        .window_w = 1300,
        .window_h = 850,
        .viewport_w = 1285,
        .viewport_h = 717,
        .device_pixel_ratio = 1,
        .color_depth = 24,
        .hardware_concurrency = 6,
    };

    return id;
}

static void make_guards(void)
{
    static const char *const denied[] = {"denied.test"};
    const struct policy_conf pc = {.deny = {(const char **)(uintptr_t)denied, 1},
                                   .private_networks = POLICY_PRIVATE_YES};
    const struct breaker_conf bc = {.failure_rate = 0.9, .window_ms = 60000, .min_samples = 1000};
    const struct limit_rate rate = {1000, 1000};
    static const char *const hosts[] = {"a.test", "b.test", "c.test", "denied.test", "127.0.0.1"};
    const struct gate_deps deps = {
        .loop = fx.loop,
        .table = fx.ops,
        .policy = fx.policy,
    };
    struct gate_deps d = deps;

    assert_int_equal(policy_create(&pc, &fx.policy, &fx.err), STATUS_OK);
    assert_int_equal(breaker_open_store(&bc, NULL, &fx.breaker, &fx.err), STATUS_OK);
    fx.limiter = limiter_create(rate);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        limiter_trust(fx.limiter, str_from(hosts[i]));
    fx.ops = op_table_create();
    ops_add_browser(fx.ops);
    d.table = fx.ops;
    d.policy = fx.policy;
    d.breaker = fx.breaker;
    d.limiter = fx.limiter;
    d.on_op = on_op;
    fx.gate = gate_create(&d);
}

static void make_member(size_t i)
{
    fx.identity[i] = some_identity(i == 0 ? "de" : "en-GB");
    identity_prepare(fx.arena, &fx.identity[i], false, &fx.applied[i]);
    fx.member[i] = (struct member){
        .index = (uint32_t)i, .identity = &fx.identity[i], .forward_port = site_port(fx.site)};
    list_init(&fx.member[i].idle_link);
}

static void start_instance(enum browser_kind kind)
{
    struct instance_opts o = {
        .loop = fx.loop,
        .reaper = fx.reaper,
        .name = "browser-test",
        .program = &fx.program,
        .sandbox = SANDBOX_PREFER,
        .targets = {.gate = fx.gate,
                    .document = ops_page_document(),
                    .enforce = fx.enforce,
                    .on_event = on_event},
        .on_ready = on_ready,
        .on_over = on_over,
    };

    if (browser_find(fx.arena, kind, &fx.program, &fx.err) != STATUS_OK)
        test_skip("%s", fx.err.text);
    fx.ready = fx.over = false;
    if (instance_start(&o, &fx.instance, &fx.err) != STATUS_OK)
        fail_msg("%s", fx.err.text);
    while (!fx.ready && !fx.over)
        loop_run_once(fx.loop, 50);
    if (!fx.ready)
        fail_msg("the browser did not start: %s", fx.err.text);
}

static int open_fixture(enum browser_kind kind)
{
    const struct reaper_opts ro = {.program = test_program("fleet-reaper")};
    struct reaper_opts opts = ro;

    memset(&fx, 0, sizeof fx);
    fx.state = test_mkdir();
    opts.state_dir = fx.state;
    assert_int_equal(loop_create(&fx.loop, NULL, &fx.err), STATUS_OK);
    fx.arena = arena_create(NULL, 0);
    fx.site = site_open(fx.loop);
    if (reaper_start(fx.loop, &opts, &fx.reaper, &fx.err) != STATUS_OK)
        fail_msg("%s", fx.err.text);
    make_guards();
    make_member(0);
    make_member(1);
    start_instance(kind);
    return 0;
}

static void on_stopped(void *arg)
{
    (void)arg;
    fx.stopped = true;
}

static void end_session(bool keep)
{
    context_end(fx.ctx, keep);
    json_destroy(&fx.session.artifacts);
    json_destroy(&fx.session.console);
}

static int close_fixture(void)
{
    if (fx.ctx != NULL) {
        end_session(false);
        context_destroy(&fx.ctx);
    }
    if (fx.instance != NULL && !fx.over) {
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

static void begin(void)
{
    static struct attempt attempt;

    attempt = (struct attempt){.task_id = "t-000001",
                               .number = 1,
                               .arena = fx.arena,
                               .deadline_ms = loop_now_ms(fx.loop) + 60000};
    fx.session = (struct page_session){
        .attempt = &attempt,
        .gate = fx.gate,
        .ops = fx.ops,
        .loop = fx.loop,
        .arena = fx.arena,
        .artifacts_dir = fx.state,
        .artifacts = json_new_array(),
    };
    context_begin(fx.ctx, &fx.session);
}

static void open_context(size_t member)
{
    fx.made = false;
    context_create(instance_targets(fx.instance), &fx.member[member], &fx.applied[member],
                   on_context, NULL);
    assert_true(turn_until(&fx.made, SOON_MS));
    begin();
}

static int setup_shell(void **state)
{
    (void)state;
    open_fixture(BROWSER_HEADLESS_SHELL);
    open_context(0);
    return 0;
}

static int setup_chromium(void **state)
{
    (void)state;
    open_fixture(BROWSER_CHROMIUM);
    open_context(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return close_fixture();
}

/* --- ops, evaluation, waiting --- */

static struct {
    struct op_call call;
    struct json *params, *result;
    bool done;
} run;

static void op_over(struct op_call *call)
{
    json_destroy(&run.result);
    run.result = op_call_take_result(call);
    run.done = true;
}

static enum status op_run(const char *name, const char *params, const char *url, unsigned ms)
{
    struct url u = {0};

    json_destroy(&run.params);
    run.params = json_parse(str_from(params), true, &fx.err);
    assert_non_null(run.params);
    if (url != NULL)
        assert_int_equal(url_parse(fx.arena, str_from(url), "http https", &u, &fx.err), STATUS_OK);
    run.call = (struct op_call){
        .op = op_table_find(fx.ops, str_from(name)),
        .member = fx.session.member,
        .arena = fx.arena,
        .params = run.params,
        .url = u.href,
        .host = u.host,
        .session = &fx.session,
        .deadline_ms = loop_now_ms(fx.loop) + ms,
        .on_done = op_over,
    };
    run.done = false;
    gate_run(fx.gate, &run.call);
    assert_true(turn_until(&run.done, ms + 6000));
    return run.call.status;
}

static enum status go(const char *url, unsigned ms)
{
    char params[600];

    snprintf(params, sizeof params, "{\"url\":\"%s\"}", url);
    return op_run("page.navigate", params, url, ms);
}

static void go_ok(const char *url)
{
    if (go(url, SOON_MS) != STATUS_OK)
        fail_msg("%s: %s: %s", url, status_name(run.call.status), run.call.err.text);
}

static struct {
    bool done;
    enum status status;
    char text[4096];
} ev;

static void evaluated(void *arg, enum status s, const struct json *value, const char *handle,
                      const struct err *e)
{
    struct buf b = BUF_INIT(1 << 20);

    (void)arg;
    ev.done = true;
    ev.status = s;
    if (value != NULL)
        json_print(value, 0, &b);
    snprintf(ev.text, sizeof ev.text, "%s",
             s != STATUS_OK   ? e->text
             : handle != NULL ? handle
             : b.ptr != NULL  ? b.ptr
                              : "undefined");
    buf_deinit(&b);
}

static const char *eval_in(struct page *p, struct frame *f, enum page_world world,
                           const char *source)
{
    const struct page_eval e = {
        .world = world, .source = str_from(source), .deadline_ms = loop_now_ms(fx.loop) + SOON_MS};

    ev.done = false;
    page_evaluate(p, f, &e, evaluated, NULL);
    assert_false(ev.done);
    assert_true(turn_until(&ev.done, SOON_MS + 500));
    return ev.text;
}

static const char *eval(const char *source)
{
    return eval_in(fx.session.page, NULL, PAGE_WORLD_MAIN, source);
}

static struct {
    bool done;
    enum status status;
    struct page_nav nav;
    char url[200], text[ERR_TEXT_MAX];
} nv;

static void nav_over(void *arg, const struct page_nav *nav)
{
    (void)arg;
    nv.done = true;
    nv.nav = *nav;
    nv.status = nav->status;
    snprintf(nv.url, sizeof nv.url, "%s", nav->url);
    snprintf(nv.text, sizeof nv.text, "%s", nav->err.text);
}

/* Runs a script as if a user did it, and waits for what comes of it. */
static enum status act_and_settle(const char *source)
{
    struct page_mark mark = page_mark(fx.session.page);

    (void)eval(source);
    nv.done = false;
    page_settle(fx.session.page, mark, UNTIL_LOAD, loop_now_ms(fx.loop) + SOON_MS, nav_over, NULL);
    assert_true(turn_until(&nv.done, SOON_MS + 500));
    return nv.status;
}

/* --- navigation and identity --- */

static void test_navigate_sees_page_and_identity(void **state)
{
    const struct site_hit *h;

    (void)state;
    site_answer(fx.site, "/id", 200, "", "<!doctype html><title>Hello</title><body>text");
    go_ok("http://a.test/id");
    assert_string_equal(json_str(json_get(run.result, "title"), ""), "Hello");
    assert_string_equal(json_str(json_get(run.result, "url"), ""), "http://a.test/id");
    assert_int_equal(json_int(json_get(run.result, "status"), 0), 200);
    h = site_hit(fx.site, 0);
    assert_string_equal(h->path, "/id");
    assert_string_equal(h->host, "a.test");
    assert_string_equal(h->user_agent, fx.identity[0].user_agent);
    assert_string_equal(h->languages, "de-DE,de;q=0.9");
    assert_string_equal(eval("navigator.userAgent"),
                        "\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
                        "(KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\"");
    assert_string_equal(eval("navigator.languages.join()"), "\"de-DE,de\"");
    assert_string_equal(eval("Intl.DateTimeFormat().resolvedOptions().timeZone"),
                        "\"Europe/Berlin\"");
    assert_string_equal(eval("(1.5).toLocaleString()"), "\"1,5\"");
    assert_string_equal(eval("navigator.hardwareConcurrency"), "6");
    assert_string_equal(eval("[innerWidth,innerHeight,screen.width,screen.height].join()"),
                        "\"1285,717,1600,900\"");
    assert_string_equal(eval("navigator.webdriver"), "false");
    assert_string_equal(eval("document.hasFocus()"), "true");
    /* one document, admitted for the op itself: no page.document */
    assert_int_equal(fx.n_ops, 1);
    go_ok("http://127.0.0.1/hints"); /* client hints are for places that are trustworthy */
    assert_string_equal(site_last(fx.site, "/hints")->platform, "\"Linux\"");
    assert_string_equal(eval("navigator.userAgentData.brands.map(b=>b.brand+b.version).join()"),
                        "\"Chromium156,Not A;Brand8\"");
}

static void test_identity_reaches_workers_and_frames(void **state)
{
    (void)state;
    site_answer(fx.site, "/w", 200, "",
                "<!doctype html><iframe src=http://b.test/fr></iframe><script>"
                "window.r=new Promise(function(ok){var w=new Worker(URL.createObjectURL(new Blob(["
                "'postMessage([navigator.userAgent,navigator.languages.join(),"
                "Intl.DateTimeFormat().resolvedOptions().timeZone,navigator.hardwareConcurrency]."
                "join(\"|\"))"
                "'])));w.onmessage=function(e){ok(e.data)}})</script>");
    go_ok("http://a.test/w");
    assert_string_equal(eval("window.r"),
                        "\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like "
                        "Gecko) Chrome/156.0.0.0 Safari/537.36|de-DE,de|Europe/Berlin|6\"");
    assert_non_null(frame_child(page_main_frame(fx.session.page), 0));
    assert_string_equal(eval_in(fx.session.page, frame_child(page_main_frame(fx.session.page), 0),
                                PAGE_WORLD_MAIN,
                                "[location.host,navigator.languages.join(),"
                                "Intl.DateTimeFormat().resolvedOptions().timeZone].join('|')"),
                        "\"b.test|de-DE,de|Europe/Berlin\"");
    assert_string_equal(site_last(fx.site, "/fr")->user_agent, fx.identity[0].user_agent);
    assert_string_equal(site_last(fx.site, "/fr")->languages, "de-DE,de;q=0.9");
}

static void test_second_member_has_its_own(void **state)
{
    struct context *first = fx.ctx;
    struct page *tab;

    (void)state;
    site_answer(fx.site, "/set", 200, "Set-Cookie: who=first\r\n", "<title>set</title>");
    go_ok("http://a.test/set");
    tab = fx.session.page;
    end_session(true);
    open_context(1);
    go_ok("http://a.test/other");
    assert_string_equal(site_last(fx.site, "/other")->cookie, "");
    assert_string_equal(site_last(fx.site, "/other")->languages, "en-GB,en-GB;q=0.9");
    assert_string_equal(eval("Intl.DateTimeFormat().resolvedOptions().timeZone"), "\"Asia/Tokyo\"");
    end_session(true);
    context_destroy(&fx.ctx);
    /* the first one's context was kept, with its cookies and its page */
    fx.ctx = first;
    begin();
    go_ok("http://a.test/again");
    assert_string_equal(site_last(fx.site, "/again")->cookie, "who=first");
    assert_ptr_equal(fx.session.page, tab);
    assert_int_equal(context_pages_made(fx.ctx), 2); /* documents */
}

/* --- documents held --- */

static void test_redirect_is_held(void **state)
{
    (void)state;
    site_answer(fx.site, "/r", 302, "Location: http://b.test/there\r\n", "");
    go_ok("http://a.test/r");
    assert_string_equal(json_str(json_get(run.result, "url"), ""), "http://b.test/there");
    assert_int_equal(count_ops("page.document", "b.test", "/there"), 1);
    assert_int_equal(count_ops("page.document", "a.test", "/r"), 0);
    assert_true(run.call.seen.accounted);
}

static void test_redirect_to_a_denied_host(void **state)
{
    (void)state;
    site_answer(fx.site, "/r", 302, "Location: http://denied.test/x\r\n", "");
    assert_int_equal(go("http://a.test/r", SOON_MS), STATUS_POLICY_DENIED);
    assert_int_equal(site_count(fx.site, "denied.test", "/x"), 0);
    /* the same on a page that is there already */
    go_ok("http://a.test/fine");
    assert_int_equal(go("http://a.test/r", SOON_MS), STATUS_POLICY_DENIED);
    assert_int_equal(site_count(fx.site, "denied.test", "/x"), 0);
    go_ok("http://a.test/fine");
}

static void test_frames_are_held(void **state)
{
    (void)state;
    site_answer(fx.site, "/f", 200, "",
                "<iframe src=http://b.test/in></iframe><iframe src=/same></iframe>"
                "<iframe src=http://denied.test/no></iframe><object data=http://c.test/obj "
                "type=text/html></object>"
                "<iframe src='data:text/html,free'></iframe><iframe srcdoc=free></iframe>");
    go_ok("http://a.test/f");
    assert_int_equal(count_ops("page.document", "b.test", "/in"), 1);
    assert_int_equal(count_ops("page.document", "a.test", "/same"), 1);
    assert_int_equal(count_ops("page.document", "c.test", "/obj"), 1);
    assert_int_equal(site_count(fx.site, "denied.test", "/no"), 0);
    assert_int_equal(site_count(fx.site, "b.test", "/in"), 1);
    assert_non_null(page_frame_by_url(fx.session.page, STR("http://b.test/in")));
    assert_string_equal(eval_in(fx.session.page,
                                page_frame_by_url(fx.session.page, STR("http://a.test/same")),
                                PAGE_WORLD_ISOLATED, "location.pathname"),
                        "\"/same\"");
    assert_string_equal(eval_in(fx.session.page,
                                page_frame_by_url(fx.session.page, STR("http://a.test/same")),
                                PAGE_WORLD_MAIN, "location.pathname"),
                        "\"/same\"");
}

/* Every way that a script has to ask for a document goes through the gate, once for each request
 * that the site sees. */
static void test_no_way_round(void **state)
{
    static const char *const ways[] = {
        "location.href='/t'",
        "location.replace('/t')",
        "location.reload()",
        "document.body.innerHTML='<a id=l href=/t>x</a>';document.getElementById('l').click()",
        ("document.body.innerHTML='<form id=f action=/t method=post><input name=a></form>';"
         "document.getElementById('f').submit()"),
        "document.head.innerHTML='<meta http-equiv=refresh content=\"0;url=/t\">'",
        "history.back()",
        "window.open('/t','_self')",
    };
    size_t asked;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        go_ok("http://a.test/t?1");
        site_forget(fx.site);
        fx.n_ops = 0;
        (void)act_and_settle(ways[i]);
        turn_for(150);
        asked = 0;
        for (size_t k = 0; k < site_hits(fx.site); k++)
            if (strncmp(site_hit(fx.site, k)->path, "/t", 2) == 0)
                asked++;
        /* what the cache has may be had without asking the site */
        if (asked > fx.n_ops || (asked < fx.n_ops && strncmp(ways[i], "history", 7) != 0))
            fail_msg("%s: %zu requests, %zu ops", ways[i], asked, fx.n_ops);
        if (strncmp(ways[i], "history", 7) != 0)
            assert_true(asked > 0);
    }
}

/* Chromium fetches documents ahead for speculation rules, without telling the Fetch domain, and a
 * later navigation is then served from what it has. The switches of args.c keep that from
 * happening. */
static void test_nothing_is_fetched_ahead(void **state)
{
    (void)state;
    site_answer(
        fx.site, "/s", 200, "",
        "<title>s</title><script "
        "type=speculationrules>{\"prerender\":[{\"source\":\"list\",\"urls\":"
        "[\"/pre\"],\"eagerness\":\"immediate\"}],\"prefetch\":[{\"source\":\"list\",\"urls\":[\"/"
        "pref\"],"
        "\"eagerness\":\"immediate\"}]}</script>");
    go_ok("http://a.test/s");
    turn_for(700);
    assert_int_equal(site_count(fx.site, NULL, "/pre"), 0);
    assert_int_equal(site_count(fx.site, NULL, "/pref"), 0);
    assert_int_equal(act_and_settle("location='/pref'"), STATUS_OK);
    assert_int_equal(count_ops("page.document", "a.test", "/pref"), 1);
    assert_int_equal(site_count(fx.site, NULL, "/pref"), 1);
}

static void test_popups_belong_to_the_member(void **state)
{
    struct page *popup;

    (void)state;
    go_ok("http://a.test/opener");
    (void)act_and_settle("void window.open('http://b.test/pop')");
    turn_for(300);
    popup = page_next_sibling(fx.session.main);
    assert_non_null(popup);
    assert_string_equal(page_url(popup), "http://b.test/pop");
    assert_int_equal(count_ops("page.document", "b.test", "/pop"), 1);
    assert_string_equal(site_last(fx.site, "/pop")->user_agent, fx.identity[0].user_agent);
    assert_string_equal(site_last(fx.site, "/pop")->languages, "de-DE,de;q=0.9");
    assert_string_equal(
        eval_in(popup, NULL, PAGE_WORLD_MAIN, "Intl.DateTimeFormat().resolvedOptions().timeZone"),
        "\"Europe/Berlin\"");
    (void)act_and_settle("void window.open('http://c.test/pop2','_blank','noopener')");
    turn_for(300);
    assert_int_equal(count_ops("page.document", "c.test", "/pop2"), 1);
    assert_string_equal(site_last(fx.site, "/pop2")->user_agent, fx.identity[0].user_agent);
    /* told by the op that opened it, when it is refused in time */
    (void)act_and_settle("void window.open('http://denied.test/pop3')");
    turn_for(300);
    assert_int_equal(site_count(fx.site, "denied.test", "/pop3"), 0);
}

static void test_click_settles(void **state)
{
    (void)state;
    site_answer(fx.site, "/429", 429, "Retry-After: 7\r\n", "slow down");
    site_answer(fx.site, "/r", 302, "Location: http://denied.test/x\r\n", "");
    go_ok("http://a.test/one");
    assert_int_equal(act_and_settle("1+1"), STATUS_OK);
    assert_false(nv.nav.navigated);
    assert_int_equal(act_and_settle("location.hash='x'"), STATUS_OK);
    assert_true(nv.nav.same_document);
    assert_int_equal(act_and_settle("location='/two'"), STATUS_OK);
    assert_true(nv.nav.navigated);
    assert_string_equal(nv.url, "http://a.test/two");
    assert_int_equal(nv.nav.http_status, 200);
    assert_int_equal(act_and_settle("location='/429'"), STATUS_OK);
    assert_int_equal(nv.nav.http_status, 429);
    assert_int_equal(nv.nav.retry_after_ms, 7000);
    assert_true(nv.nav.accounted);
    go_ok("http://a.test/one");
    assert_int_equal(act_and_settle("location='/r'"), STATUS_POLICY_DENIED);
}

static void test_answers_are_classified(void **state)
{
    static const struct {
        const char *path;
        int status;
        const char *headers, *body;
        enum status want;
    } cases[] = {
        {"/429", 429, "Retry-After: 7\r\n", "slow", STATUS_HTTP_429},
        {"/403", 403, "", "no", STATUS_HTTP_403},
        {"/404e", 404, "", "", STATUS_HTTP_4XX},
        {"/500", 500, "", "oops", STATUS_HTTP_5XX},
        {"/captcha-here", 200, "", "<title>Are you a robot?</title>prove it",
         STATUS_CAPTCHA_DETECTED},
        {"/proxy", 502, "x-fleet-error: PROXY_AUTH\r\n", "proxy", STATUS_PROXY_AUTH},
        {"/unreachable", 502, "x-fleet-error: UNAVAILABLE\r\n", "no way", STATUS_UNAVAILABLE},
        {"/204", 204, "", "", STATUS_OK},
        {"/file", 200, "Content-Disposition: attachment; filename=x\r\n", "data",
         STATUS_NAVIGATION_FAILED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        site_answer(fx.site, cases[i].path, cases[i].status, cases[i].headers, cases[i].body);
    /* each twice: on a page that is made for it, and on one that is there */
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        char url[100];

        snprintf(url, sizeof url, "http://a.test%s", cases[i / 2].path);
        if (i % 2 == 0) {
            end_session(false);
            begin();
        } else {
            go_ok("http://a.test/before");
        }
        if (go(url, SOON_MS) != cases[i / 2].want)
            fail_msg("%s (%zu): %s, expected %s: %s", url, i % 2, status_name(run.call.status),
                     status_name(cases[i / 2].want), run.call.err.text);
        if (cases[i / 2].status == 429)
            assert_int_equal(run.call.seen.retry_after_ms, 7000);
        assert_int_equal(run.call.seen.from_proxy, cases[i / 2].want == STATUS_PROXY_AUTH);
    }
}

/* --- pages that misbehave --- */

static void test_hung_page_is_killed(void **state)
{
    (void)state;
    site_answer(fx.site, "/hang", 200, "", "<title>hang</title><script>for(;;);</script>");
    assert_int_equal(go("http://a.test/hang", 1000), STATUS_PAGE_HUNG);
    assert_string_equal(fx.killed, "http://a.test/hang");
    assert_int_equal(page_state(fx.session.page), PAGE_GONE);
    assert_int_equal(page_gone_why(fx.session.page), STATUS_PAGE_HUNG);
    (void)eval("1");
    assert_int_equal(ev.status, STATUS_PAGE_HUNG);
    end_session(true);
    begin();
    go_ok("http://a.test/fine");
}

static void test_page_that_never_finishes(void **state)
{
    (void)state;
    site_answer(fx.site, "/never", 200, "", "@never");
    assert_int_equal(go("http://a.test/never", 1500), STATUS_TIMEOUT);
    assert_int_equal(page_state(fx.session.page), PAGE_OPEN);
    go_ok("http://a.test/fine");
    assert_int_equal(op_run("page.navigate",
                            "{\"url\":\"http://a.test/never\",\"wait\":\"commit\"}",
                            "http://a.test/never", SOON_MS),
                     STATUS_OK);
}

static void test_dialogs_hold_nothing(void **state)
{
    (void)state;
    site_answer(
        fx.site, "/d", 200, "",
        "<title>d</title><script>alert('a');window.c=confirm('sure?');window.p=prompt('name?')</"
        "script>");
    go_ok("http://a.test/d");
    assert_string_equal(eval("[window.c,window.p].join()"), "\"false,\"");
    assert_string_equal(page_last_dialog(fx.session.page).type, "prompt");
    assert_string_equal(page_last_dialog(fx.session.page).message, "name?");
    page_dialog_policy(fx.session.page, true, "Ada");
    assert_string_equal(eval("[confirm('1'),prompt('2')].join()"), "\"true,Ada\"");
    (void)eval("window.onbeforeunload=function(e){e.preventDefault();return 'stay'}");
    go_ok("http://a.test/left");
}

static void replied(void *arg, enum status s, const struct json *result, const struct err *e)
{
    (void)result;
    (void)e;
    *(enum status *)arg = s;
}

static void test_crash_is_told(void **state)
{
    enum status answer = STATUS_OK;

    (void)state;
    go_ok("http://a.test/x");
    page_call(fx.session.page, NULL, "Page.crash", STR_NONE, 0, replied, &answer);
    turn_for(300);
    assert_int_equal(answer, STATUS_PAGE_CRASHED);
    assert_int_equal(page_gone_why(fx.session.page), STATUS_PAGE_CRASHED);
    assert_int_equal(go("http://a.test/y", SOON_MS), STATUS_PAGE_CRASHED);
    end_session(true);
    begin();
    go_ok("http://a.test/fine");
}

static void test_browser_dies_under_it(void **state)
{
    pid_t pid = instance_pid(fx.instance);

    (void)state;
    go_ok("http://a.test/x");
    assert_true(pid > 0);
    site_answer(fx.site, "/never", 200, "", "@never");
    kill(pid, SIGKILL);
    assert_int_equal(go("http://a.test/never", SOON_MS), STATUS_BROWSER_GONE);
    assert_true(turn_until(&fx.over, SOON_MS));
    assert_int_equal(fx.over_why, STATUS_BROWSER_GONE);
    end_session(true); /* the rest of the context, which went with its instance */
    fx.ctx = NULL;
}

/* --- captures --- */

static void test_captures(void **state)
{
    size_t n;
    char *bytes;

    (void)state;
    site_answer(fx.site, "/long", 200, "",
                "<body style='margin:0'><div style='height:3000px;background:red'>x</div>");
    go_ok("http://a.test/long");
    assert_int_equal(op_run("page.set_viewport", "{\"width\":400,\"height\":300}", NULL, SOON_MS),
                     STATUS_OK);
    assert_int_equal(op_run("page.screenshot", "{}", NULL, SOON_MS), STATUS_OK);
    bytes = test_read_file(json_str(json_get(run.result, "path"), ""), &n);
    assert_memory_equal(bytes, "\x89PNG", 4);
    assert_int_equal((unsigned char)bytes[18] * 256 + (unsigned char)bytes[19], 400);
    assert_int_equal((unsigned char)bytes[22] * 256 + (unsigned char)bytes[23], 300);
    free(bytes);
    assert_int_equal(
        op_run("page.screenshot", "{\"full_page\":true,\"name\":\"all\"}", NULL, SOON_MS),
        STATUS_OK);
    bytes = test_read_file(json_str(json_get(run.result, "path"), ""), &n);
    assert_int_equal((unsigned char)bytes[22] * 256 + (unsigned char)bytes[23], 3000);
    free(bytes);
    assert_int_equal(
        op_run("page.screenshot", "{\"format\":\"jpeg\",\"quality\":50}", NULL, SOON_MS),
        STATUS_OK);
    bytes = test_read_file(json_str(json_get(run.result, "path"), ""), &n);
    assert_memory_equal(bytes, "\xff\xd8\xff", 3);
    free(bytes);
    assert_int_equal(op_run("page.pdf", "{}", NULL, SOON_MS), STATUS_OK);
    bytes = test_read_file(json_str(json_get(run.result, "path"), ""), &n);
    assert_memory_equal(bytes, "%PDF", 4);
    free(bytes);
    assert_int_equal(json_len(fx.session.artifacts), 4);
}

/* --- the full browser --- */

static void test_chromium_leaks_nothing_first(void **state)
{
    (void)state;
    go_ok("http://a.test/first");
    for (size_t i = 0; i < site_hits(fx.site); i++) {
        assert_string_equal(site_hit(fx.site, i)->user_agent, fx.identity[0].user_agent);
        assert_string_equal(site_hit(fx.site, i)->host, "a.test");
    }
    assert_int_equal(site_count(fx.site, NULL, "/first"), 1);
    assert_string_equal(eval("navigator.languages.join()"), "\"de-DE,de\"");
    test_identity_reaches_workers_and_frames(state);
    /* a frame of another site has a process, and a session, of its own here */
    assert_true(frame_is_local_root(frame_child(page_main_frame(fx.session.page), 0)));
    site_answer(fx.site, "/r", 302, "Location: http://denied.test/x\r\n", "");
    assert_int_equal(go("http://a.test/r", SOON_MS), STATUS_POLICY_DENIED);
}

#define SHELL(name) cmocka_unit_test_setup_teardown(name, setup_shell, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHELL(test_navigate_sees_page_and_identity),
        SHELL(test_identity_reaches_workers_and_frames),
        SHELL(test_second_member_has_its_own),
        SHELL(test_redirect_is_held),
        SHELL(test_redirect_to_a_denied_host),
        SHELL(test_frames_are_held),
        SHELL(test_no_way_round),
        SHELL(test_nothing_is_fetched_ahead),
        SHELL(test_popups_belong_to_the_member),
        SHELL(test_click_settles),
        SHELL(test_answers_are_classified),
        SHELL(test_hung_page_is_killed),
        SHELL(test_page_that_never_finishes),
        SHELL(test_dialogs_hold_nothing),
        SHELL(test_crash_is_told),
        SHELL(test_browser_dies_under_it),
        SHELL(test_captures),
        cmocka_unit_test_setup_teardown(test_chromium_leaks_nothing_first, setup_chromium,
                                        teardown),
    };

    if (getenv("FLEET_TEST_TRACE") != NULL) /* all that goes over the DevTools pipe */
        log_set(LOG_LEVEL_TRACE, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
