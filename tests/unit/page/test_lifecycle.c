/* Navigations against a browser that the test plays, event by event: each watcher ends once, in the
 * way that the events say. */
#include "browser/page/download.h"
#include "browser/page/page_internal.h"

#include <stdio.h>

#include "tests/support/testing.h"

static struct scripted {
    struct transport base;
    struct buf sent;
} wire;

static struct loop *loop;
static struct clock_fake fake;
static struct arena *arena;
static struct cdp_conn *conn;
static struct targets *targets;
static struct identity identity = {
    .id = "i-1", .honest = true, .viewport_w = 800, .viewport_h = 600};
static struct applied applied;
static struct member member = {.identity = &identity};
static struct context *ctx;
static struct page_session session;

static struct result {
    unsigned n;
    enum status status;
    bool navigated, same_document;
    int http_status;
    char text[ERR_TEXT_MAX];
} res[2];

static enum status wire_send(struct transport *t, struct str batch, struct err *e)
{
    (void)t;
    (void)e;
    buf_addstr(&wire.sent, batch);
    return STATUS_OK;
}

static void wire_destroy(struct transport *t)
{
    (void)t;
}

static void turn(void)
{
    for (int i = 0; i < 3; i++)
        loop_run_once(loop, 0);
}

static void say(const char *message)
{
    wire.base.events.on_message(wire.base.events.arg, str_from(message));
    turn();
}

/* The id of the last command with this method; 0: none was sent. */
static unsigned long long sent_id(const char *method)
{
    char want[100];
    struct str rest = buf_str(&wire.sent);
    unsigned long long id = 0;

    snprintf(want, sizeof want, "\"method\":\"%s\"", method);
    while (rest.ptr != NULL && rest.len > 0) {
        struct str one = str_cut(&rest, '\0');

        if (str_find(one, str_from(want)) >= 0)
            assert_int_equal(sscanf(one.ptr, "{\"id\":%llu", &id), 1);
    }
    return id;
}

static void reply(const char *method, const char *body)
{
    char message[600];
    unsigned long long id = sent_id(method);

    if (id == 0)
        fail_msg("%s was not sent", method);
    snprintf(message, sizeof message, "{\"id\":%llu,%s}", id, body);
    say(message);
}

static void event(const char *method, const char *params)
{
    char message[800];

    snprintf(message, sizeof message, "{\"method\":\"%s\",\"params\":%s,\"sessionId\":\"S1\"}",
             method, params);
    say(message);
}

static void on_context(void *arg, struct context *c, enum status s, const struct err *e)
{
    (void)arg;
    (void)e;
    assert_int_equal(s, STATUS_OK);
    ctx = c;
}

static int setup(void **state)
{
    static const struct transport_ops ops = {"scripted", wire_send, wire_destroy};
    const struct targets_opts to = {.url_at_creation = true};

    (void)state;
    memset(&wire, 0, sizeof wire);
    memset(res, 0, sizeof res);
    wire.base.ops = &ops;
    buf_init(&wire.sent, 1 << 20);
    clock_fake_init(&fake, 1000000);
    assert_int_equal(loop_create(&loop, &fake.clock, NULL), STATUS_OK);
    arena = arena_create(NULL, 0);
    identity_prepare(arena, &identity, false, &applied);
    conn = cdp_conn_create(loop, &wire.base, NULL, NULL);
    targets = targets_create(conn, &to);
    context_create(targets, &member, &applied, on_context, NULL);
    turn();
    reply("Target.createBrowserContext", "\"result\":{\"browserContextId\":\"C1\"}");
    session = (struct page_session){.loop = loop, .arena = arena};
    context_begin(ctx, &session);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (ctx != NULL) {
        context_end(ctx, false);
        context_destroy(&ctx);
    }
    targets_destroy(&targets);
    cdp_conn_destroy(&conn);
    turn();
    loop_destroy(&loop);
    arena_destroy(&arena);
    buf_deinit(&wire.sent);
    return 0;
}

static void on_nav(void *arg, const struct page_nav *nav)
{
    struct result *r = arg;

    r->n++;
    r->status = nav->status;
    r->navigated = nav->navigated;
    r->same_document = nav->same_document;
    r->http_status = nav->http_status;
    snprintf(r->text, sizeof r->text, "%s", nav->err.text);
}

static uint64_t go(struct result *r, const char *url)
{
    const struct page_goto g = {
        .url = url, .until = UNTIL_LOAD, .deadline_ms = loop_now_ms(loop) + 1000};
    uint64_t id = page_navigate(session.page, &g, on_nav, r);

    assert_int_equal(r->n, 0);
    turn();
    return id;
}

static void attach(void)
{
    say("{\"method\":\"Target.attachedToTarget\",\"params\":{\"sessionId\":\"S1\",\"targetInfo\":{"
        "\"targetId\":\"F1\","
        "\"type\":\"page\",\"url\":\"\",\"browserContextId\":\"C1\"},\"waitingForDebugger\":true}"
        "}");
}

static void commit(const char *loader, const char *url)
{
    char params[300];

    snprintf(params, sizeof params,
             "{\"frame\":{\"id\":\"F1\",\"loaderId\":\"%s\",\"url\":\"%s\"}}", loader, url);
    event("Page.frameNavigated", params);
}

static void load(void)
{
    event("Page.domContentEventFired", "{}");
    event("Page.loadEventFired", "{}");
}

/* A page with a document, made by its first navigation. */
static void open_page(void)
{
    go(&res[1], "http://a.test/");
    attach();
    commit("L1", "http://a.test/");
    load();
    assert_int_equal(res[1].n, 1);
    memset(&res[1], 0, sizeof res[1]);
}

static void test_tab_made_with_its_url(void **state)
{
    (void)state;
    go(&res[0], "http://a.test/");
    assert_int_not_equal(sent_id("Target.createTarget"), 0);
    assert_int_equal(sent_id("Page.navigate"), 0);
    attach();
    assert_int_not_equal(sent_id("Runtime.runIfWaitingForDebugger"), 0);
    commit("L1", "http://a.test/");
    assert_int_equal(res[0].n, 0);
    load();
    assert_int_equal(res[0].n, 1);
    assert_int_equal(res[0].status, STATUS_OK);
    assert_true(res[0].navigated);
    load();
    commit("L2", "http://a.test/2");
    load();
    assert_int_equal(res[0].n, 1);
}

static void test_answer_before_and_after_commit(void **state)
{
    (void)state;
    open_page();
    go(&res[0], "http://a.test/2");
    reply("Page.navigate",
          "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L2\"},\"sessionId\":\"S1\"");
    commit("L2", "http://a.test/2");
    load();
    assert_int_equal(res[0].n, 1);
    go(&res[1], "http://a.test/3");
    commit("L3", "http://a.test/3");
    load();
    assert_int_equal(res[1].n, 0);
    reply("Page.navigate",
          "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L3\"},\"sessionId\":\"S1\"");
    assert_int_equal(res[1].n, 1);
    assert_int_equal(res[1].status, STATUS_OK);
}

/* The error page of an earlier failure commits late: it is not this navigation's document. */
static void test_late_error_page_of_before(void **state)
{
    (void)state;
    open_page();
    go(&res[0], "http://a.test/2");
    reply("Page.navigate", "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L2\",\"errorText\":\"net:"
                           ":ERR_CONNECTION_REFUSED\"},\"sessionId\":\"S1\"");
    assert_int_equal(res[0].status, STATUS_NAVIGATION_FAILED);
    assert_string_equal(res[0].text,
                        "http://a.test/2: the connection was refused: nothing listens there "
                        "(net::ERR_CONNECTION_REFUSED)");
    go(&res[1], "http://a.test/3");
    event("Page.frameNavigated",
          "{\"frame\":{\"id\":\"F1\",\"loaderId\":\"L2\",\"url\":\"chrome-error://chromewebdata/"
          "\",\"unreachableUrl\":\"http://a.test/2\"}}");
    load();
    reply("Page.navigate",
          "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L3\"},\"sessionId\":\"S1\"");
    assert_int_equal(res[1].n, 0);
    commit("L3", "http://a.test/3");
    load();
    assert_int_equal(res[1].n, 1);
    assert_int_equal(res[1].status, STATUS_OK);
}

static void test_same_document(void **state)
{
    (void)state;
    open_page();
    go(&res[0], "http://a.test/#x");
    reply("Page.navigate", "\"result\":{\"frameId\":\"F1\"},\"sessionId\":\"S1\"");
    assert_int_equal(res[0].n, 1);
    assert_true(res[0].same_document);
}

static void test_superseded(void **state)
{
    (void)state;
    open_page();
    go(&res[0], "http://a.test/2");
    go(&res[1], "http://a.test/3");
    assert_int_equal(res[0].n, 1);
    assert_int_equal(res[0].status, STATUS_CANCELLED);
    reply("Page.navigate",
          "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L3\"},\"sessionId\":\"S1\"");
    commit("L3", "http://a.test/3");
    load();
    assert_int_equal(res[1].n, 1);
    assert_int_equal(res[1].status, STATUS_OK);
}

/* A frame within a frame that never loads holds its page's load event: which one, is told. */
static void test_deadline_names_the_frame(void **state)
{
    static const struct {
        const char *method, *params, *why;
    } rows[] = {
        {"Page.frameNavigated",
         "{\"frame\":{\"id\":\"F3\",\"parentId\":\"F2\",\"loaderId\":\"L5\",\"url\":"
         "\"http://b.test/inner\"}}",
         ": its frame http://b.test/inner is not loaded"},
        {"Page.frameStartedNavigating",
         "{\"frameId\":\"F3\",\"url\":\"http://b.test/next\",\"loaderId\":\"L6\","
         "\"navigationType\":\"differentDocument\"}",
         ": its frame http://b.test/inner has no document"},
        {"Page.frameStoppedLoading", "{\"frameId\":\"F3\"}", ""},
    };

    (void)state;
    open_page();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char want[300];

        memset(&res[0], 0, sizeof res[0]);
        go(&res[0], "http://a.test/2");
        reply("Page.navigate",
              "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L2\"},\"sessionId\":\"S1\"");
        commit("L2", "http://a.test/2");
        event("Page.frameAttached", "{\"frameId\":\"F2\",\"parentFrameId\":\"F1\"}");
        event("Page.frameAttached", "{\"frameId\":\"F3\",\"parentFrameId\":\"F2\"}");
        for (size_t k = 0; k <= i; k++)
            event(rows[k].method, rows[k].params);
        clock_fake_advance_ms(&fake, 1000);
        turn();
        assert_int_equal(res[0].n, 1);
        assert_int_equal(res[0].status, STATUS_TIMEOUT);
        snprintf(want, sizeof want, "http://a.test/2 did not finish loading by the deadline%s",
                 rows[i].why);
        assert_string_equal(res[0].text, want);
    }
}

static void test_deadline_and_cancel(void **state)
{
    uint64_t id;

    (void)state;
    open_page();
    go(&res[0], "http://a.test/2");
    reply("Page.navigate",
          "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L2\"},\"sessionId\":\"S1\"");
    commit("L2", "http://a.test/2");
    clock_fake_advance_ms(&fake, 1000);
    turn();
    assert_int_equal(res[0].n, 1);
    assert_int_equal(res[0].status, STATUS_TIMEOUT);
    assert_string_equal(res[0].text, "http://a.test/2 did not finish loading by the deadline");
    load();
    id = go(&res[1], "http://a.test/3");
    page_cancel(session.page, id, STATUS_CANCELLED);
    assert_int_equal(res[1].n, 0);
    turn();
    assert_int_equal(res[1].n, 1);
    assert_int_equal(res[1].status, STATUS_CANCELLED);
}

static void test_crash_while_it_loads(void **state)
{
    (void)state;
    open_page();
    go(&res[0], "http://a.test/2");
    event("Inspector.targetCrashed", "{}");
    assert_int_equal(res[0].n, 1);
    assert_int_equal(res[0].status, STATUS_PAGE_CRASHED);
    go(&res[1], "http://a.test/3");
    assert_int_equal(res[1].n, 1);
    assert_int_equal(res[1].status, STATUS_PAGE_CRASHED);
}

static void test_browser_ends_before_the_tab(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    go(&res[0], "http://a.test/");
    err_set(&e, STATUS_CLOSED, "gone");
    wire.base.events.on_close(wire.base.events.arg, STATUS_CLOSED, &e);
    turn();
    assert_int_equal(res[0].n, 1);
    assert_int_equal(res[0].status, STATUS_BROWSER_GONE);
}

static void test_context_goes_under_a_session(void **state)
{
    struct context *c = ctx;

    (void)state;
    open_page();
    go(&res[0], "http://a.test/2");
    context_destroy(&c);
    turn();
    assert_int_equal(res[0].n, 1);
    assert_int_equal(page_state(session.page), PAGE_GONE); /* and yet there */
    context_end(ctx, true);
    ctx = NULL;
}

/* An attempt that ends before its tab is there: the next one's page is not given that tab. */
static void test_tab_that_comes_too_late(void **state)
{
    (void)state;
    go(&res[0], "http://a.test/old");
    context_end(ctx, true);
    turn();
    assert_int_equal(res[0].status, STATUS_CLOSED);
    context_begin(ctx, &session);
    go(&res[1], "http://a.test/new");
    say("{\"method\":\"Target.attachedToTarget\",\"params\":{\"sessionId\":\"S0\",\"targetInfo\":{"
        "\"targetId\":\"F0\","
        "\"type\":\"page\",\"url\":\"\",\"browserContextId\":\"C1\"},\"waitingForDebugger\":true}"
        "}");
    assert_int_not_equal(sent_id("Target.closeTarget"), 0);
    assert_int_equal(page_state(session.page), PAGE_OPENING);
    attach();
    commit("L1", "http://a.test/new");
    load();
    assert_int_equal(res[1].n, 1);
    assert_int_equal(res[1].status, STATUS_OK);
}

static void test_wait_and_settle(void **state)
{
    struct page_mark mark;

    (void)state;
    open_page();
    page_wait_navigation(session.page, NULL, UNTIL_LOAD, loop_now_ms(loop) + 500, on_nav, &res[0]);
    mark = page_mark(session.page);
    event("Page.frameRequestedNavigation", "{\"frameId\":\"F1\",\"reason\":\"anchorClick\",\"url\":"
                                           "\"http://a.test/2\",\"disposition\":\"currentTab\"}");
    page_settle(session.page, mark, UNTIL_COMMIT, loop_now_ms(loop) + 500, on_nav, &res[1]);
    turn();
    reply("Runtime.evaluate",
          "\"result\":{\"result\":{\"type\":\"number\",\"value\":1}},\"sessionId\":\"S1\"");
    assert_int_equal(res[1].n, 0); /* something is under way */
    event("Page.frameStartedNavigating",
          "{\"frameId\":\"F1\",\"url\":\"http://a.test/"
          "2\",\"loaderId\":\"L2\",\"navigationType\":\"differentDocument\"}");
    commit("L2", "http://a.test/2");
    assert_int_equal(res[0].n, 0);
    load();
    assert_int_equal(res[0].n, 1);
    assert_int_equal(res[0].status, STATUS_OK);
    reply("Runtime.evaluate", "\"result\":{\"result\":{\"type\":\"object\",\"value\":{\"t\":\"T\","
                              "\"x\":\"\",\"u\":\"\",\"s\":200}}},\"sessionId\":\"S1\"");
    assert_int_equal(res[1].n, 1);
    assert_true(res[1].navigated);
    assert_int_equal(res[1].http_status, 200);
    /* asked for, and never begun */
    memset(res, 0, sizeof res);
    mark = page_mark(session.page);
    event("Page.frameRequestedNavigation", "{\"frameId\":\"F1\",\"reason\":\"anchorClick\",\"url\":"
                                           "\"mailto:x\",\"disposition\":\"currentTab\"}");
    page_settle(session.page, mark, UNTIL_LOAD, loop_now_ms(loop) + 5000, on_nav, &res[1]);
    turn();
    reply("Runtime.evaluate",
          "\"result\":{\"result\":{\"type\":\"number\",\"value\":1}},\"sessionId\":\"S1\"");
    clock_fake_advance_ms(&fake, 499);
    turn();
    assert_int_equal(res[1].n, 0);
    clock_fake_advance_ms(&fake, 1);
    turn();
    assert_int_equal(res[1].n, 1);
    assert_false(res[1].navigated);
}

static void test_frames_come_and_go(void **state)
{
    struct frame_ref child;

    (void)state;
    open_page();
    event("Page.frameAttached", "{\"frameId\":\"F2\",\"parentFrameId\":\"F1\"}");
    event("Page.frameAttached", "{\"frameId\":\"F3\",\"parentFrameId\":\"F2\"}");
    event("Page.frameAttached", "{\"frameId\":\"F9\",\"parentFrameId\":\"nobody\"}");
    event("Page.frameNavigated", "{\"frame\":{\"id\":\"F2\",\"parentId\":\"F1\",\"loaderId\":\"M\","
                                 "\"url\":\"http://b.test/\"}}");
    assert_null(frame_child(page_main_frame(session.page), 1));
    child = frame_ref(frame_child(page_main_frame(session.page), 0));
    assert_ptr_equal(page_frame_by_url(session.page, STR("http://b.test/")),
                     page_frame_find(session.page, child));
    assert_null(
        frame_child(page_frame_find(session.page, child), 0)); /* its new document has none yet */
    /* into a process of its own, and its detachment from the old one */
    event("Target.attachedToTarget", "{\"sessionId\":\"S2\",\"targetInfo\":{\"targetId\":\"F2\","
                                     "\"type\":\"iframe\",\"url\":\"x\"}}");
    event("Page.frameDetached", "{\"frameId\":\"F2\",\"reason\":\"swap\"}");
    assert_non_null(page_frame_find(session.page, child));
    assert_true(frame_is_local_root(page_frame_find(session.page, child)));
    event("Target.detachedFromTarget", "{\"sessionId\":\"S2\"}");
    assert_null(page_frame_find(session.page, child));
}

static void answer_look(const char *state)
{
    char body[200];

    snprintf(body, sizeof body,
             "\"result\":{\"result\":{\"value\":{\"t\":\"\",\"r\":\"%s\",\"s\":200}}}", state);
    reply("Runtime.evaluate", body);
}

/* A body that ends too early, or cannot be decoded: no load, no word, only the end of loading. What
 * window.stop() ends is the page's own wish. */
static void test_document_that_breaks_off(void **state)
{
    static const struct {
        const char *ready_state, *text;
        enum status status;
    } rows[] = {
        {"loading", "http://a.test/cut: the answer broke off", STATUS_NAVIGATION_FAILED},
        {"complete", "", STATUS_OK},
    };

    (void)state;
    open_page();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct page_goto g = {.url = "http://a.test/cut",
                                    .until = UNTIL_LOAD,
                                    .look = true,
                                    .deadline_ms = loop_now_ms(loop) + 1000};
        char loader[10];

        memset(&res[0], 0, sizeof res[0]);
        buf_reset(&wire.sent);
        snprintf(loader, sizeof loader, "L%zu", i + 5);
        (void)page_navigate(session.page, &g, on_nav, &res[0]);
        turn();
        event("Page.frameStartedLoading", "{\"frameId\":\"F1\"}");
        reply("Page.navigate", i == 0 ? "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L5\"}"
                                      : "\"result\":{\"frameId\":\"F1\",\"loaderId\":\"L6\"}");
        commit(loader, "http://a.test/cut");
        assert_int_equal(res[0].n, 0);
        event("Page.frameStoppedLoading", "{\"frameId\":\"F1\"}");
        answer_look(rows[i].ready_state);
        assert_int_equal(res[0].n, 1);
        assert_int_equal(res[0].status, rows[i].status);
        assert_true(str_starts(str_from(res[0].text), str_from(rows[i].text)));
    }
}

/* The browser tells of downloads a session at a time, not a context (156): a member whose session
 * ends must not make it silent about the downloads of the others. */
static void test_downloads_are_always_told(void **state)
{
    struct str sent;
    size_t n = 0;

    (void)state;
    open_page();
    page_allow_downloads(session.page, "/profile/downloads", 1000);
    context_end(ctx, true);
    ctx = NULL;
    turn();
    for (sent = buf_str(&wire.sent); sent.len > 0;) {
        struct str one = str_cut(&sent, '\0');

        if (str_find(one, STR("Browser.setDownloadBehavior")) < 0)
            continue;
        assert_true(str_find(one, STR("\"eventsEnabled\":true")) >= 0);
        n++;
    }
    assert_int_equal(n, 3); /* made, allowed, over */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_tab_made_with_its_url),
        CASE(test_answer_before_and_after_commit),
        CASE(test_late_error_page_of_before),
        CASE(test_same_document),
        CASE(test_superseded),
        CASE(test_deadline_names_the_frame),
        CASE(test_deadline_and_cancel),
        CASE(test_crash_while_it_loads),
        CASE(test_browser_ends_before_the_tab),
        CASE(test_context_goes_under_a_session),
        CASE(test_tab_that_comes_too_late),
        CASE(test_document_that_breaks_off),
        CASE(test_downloads_are_always_told),
        CASE(test_wait_and_settle),
        CASE(test_frames_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
