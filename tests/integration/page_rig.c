#include "tests/integration/page_rig.h"

#include <stdio.h>

#include "tests/support/testing.h"
#include "tests/support/turn.h"

struct browser_rig rig;
struct page_fixture fx;
struct op_ran ran;
struct script_ran evaled;
struct page_went went;

/* --- the fixture --- */

static void on_op(void *arg, const struct op_call *call)
{
    struct seen_op *o = &fx.op[fx.n_ops < SEEN_OPS_MAX ? fx.n_ops++ : SEEN_OPS_MAX - 1];
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

size_t count_ops(const char *name, const char *host, const char *path)
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

static void make_member(size_t i)
{
    fx.identity[i] = some_identity(i == 0 ? "de" : "en-GB");
    identity_prepare(rig.arena, &fx.identity[i], false, &fx.applied[i]);
    fx.member[i] = (struct member){
        .index = (uint32_t)i, .identity = &fx.identity[i], .forward_port = site_port(rig.site)};
    list_init(&fx.member[i].idle_link);
}

static int open_fixture(enum browser_kind kind)
{
    memset(&fx, 0, sizeof fx);
    rig_open(&rig);
    rig_make_gate(&rig, &(struct gate_deps){.on_op = on_op});
    make_member(0);
    make_member(1);
    rig_start_browser(&rig, kind,
                      &(struct targets_opts){.enforce = ENFORCE_HOLD, .on_event = on_event});
    page_open_context(0);
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

void page_end(bool keep)
{
    context_end(fx.ctx, keep);
    json_destroy(&fx.session.artifacts);
    json_destroy(&fx.session.console);
}

void page_begin(void)
{
    static struct attempt attempt;

    attempt = (struct attempt){.task_id = "t-000001",
                               .number = 1,
                               .arena = rig.arena,
                               .deadline_ms = loop_now_ms(rig.loop) + 60000};
    fx.session = (struct page_session){
        .attempt = &attempt,
        .gate = rig.gate,
        .ops = rig.ops,
        .loop = rig.loop,
        .arena = rig.arena,
        .artifacts_dir = rig.state,
        .artifacts = json_new_array(),
    };
    context_begin(fx.ctx, &fx.session);
}

void page_open_context(size_t member)
{
    fx.made = false;
    context_create(instance_targets(rig.instance), &fx.member[member], &fx.applied[member],
                   on_context, NULL);
    assert_true(turn_until(rig.loop, &fx.made, SOON_MS));
    page_begin();
}

int page_rig_up(void **state)
{
    (void)state;
    return open_fixture(BROWSER_HEADLESS_SHELL);
}

int page_rig_up_chromium(void **state)
{
    (void)state;
    return open_fixture(BROWSER_CHROMIUM);
}

int page_rig_down(void **state)
{
    (void)state;
    if (fx.ctx != NULL) {
        page_end(false);
        context_destroy(&fx.ctx);
    }
    rig_close(&rig);
    return 0;
}

/* --- ops, evaluation, waiting --- */

static void op_over(struct op_call *call)
{
    json_destroy(&ran.result);
    ran.result = op_call_take_result(call);
    ran.done = true;
}

enum status op_run(const char *name, const char *params, const char *url, unsigned ms)
{
    struct url u = {0};

    json_destroy(&ran.params);
    ran.params = json_parse(str_from(params), true, &rig.err);
    assert_non_null(ran.params);
    if (url != NULL)
        assert_int_equal(url_parse(rig.arena, str_from(url), "http https", &u, &rig.err),
                         STATUS_OK);
    ran.call = (struct op_call){
        .op = op_table_find(rig.ops, str_from(name)),
        .member = fx.session.member,
        .arena = rig.arena,
        .params = ran.params,
        .url = u.href,
        .host = u.host,
        .session = &fx.session,
        .deadline_ms = loop_now_ms(rig.loop) + ms,
        .on_done = op_over,
    };
    ran.done = false;
    gate_run(rig.gate, &ran.call);
    assert_true(turn_until(rig.loop, &ran.done, ms + 6000));
    return ran.call.status;
}

enum status go(const char *url, unsigned ms)
{
    char params[600];

    snprintf(params, sizeof params, "{\"url\":\"%s\"}", url);
    return op_run("page.navigate", params, url, ms);
}

void go_ok(const char *url)
{
    if (go(url, SOON_MS) != STATUS_OK)
        fail_msg("%s: %s: %s", url, status_name(ran.call.status), ran.call.err.text);
}

static void evaluated(void *arg, enum status s, const struct json *value, const char *handle,
                      const struct err *e)
{
    struct buf b = BUF_INIT(1 << 20);

    (void)arg;
    evaled.done = true;
    evaled.status = s;
    if (value != NULL)
        json_print(value, 0, &b);
    snprintf(evaled.text, sizeof evaled.text, "%s",
             s != STATUS_OK   ? e->text
             : handle != NULL ? handle
             : b.ptr != NULL  ? b.ptr
                              : "undefined");
    buf_deinit(&b);
}

const char *eval_in(struct page *p, struct frame *f, enum page_world world, const char *source)
{
    const struct page_eval e = {
        .world = world, .source = str_from(source), .deadline_ms = loop_now_ms(rig.loop) + SOON_MS};

    evaled.done = false;
    page_evaluate(p, f, &e, evaluated, NULL);
    assert_false(evaled.done);
    assert_true(turn_until(rig.loop, &evaled.done, SOON_MS + 500));
    return evaled.text;
}

const char *eval(const char *source)
{
    return eval_in(fx.session.page, NULL, PAGE_WORLD_MAIN, source);
}

static void nav_over(void *arg, const struct page_nav *nav)
{
    (void)arg;
    went.done = true;
    went.nav = *nav;
    went.status = nav->status;
    snprintf(went.url, sizeof went.url, "%s", nav->url);
    snprintf(went.text, sizeof went.text, "%s", nav->err.text);
}

/* Runs a script as if a user did it, and waits for what comes of it. */
enum status act_and_settle(const char *source)
{
    struct page_mark mark = page_mark(fx.session.page);

    (void)eval(source);
    went.done = false;
    page_settle(fx.session.page, mark, UNTIL_LOAD, loop_now_ms(rig.loop) + SOON_MS, nav_over, NULL);
    assert_true(turn_until(rig.loop, &went.done, SOON_MS + 500));
    return went.status;
}
