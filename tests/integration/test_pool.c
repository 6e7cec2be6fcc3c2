/* The pool with real Chromium: leases, contexts that are kept or fresh, instances that are due,
 * that die, or that never come up. */
#include <signal.h>
#include <stdio.h>

#include "browser/ops_page.h"
#include "browser/page/session.h"
#include "browser/pool.h"
#include "tests/integration/browser_site.h"
#include "tests/support/testing.h"

enum { SOON_MS = 15000, N_MEMBERS = 3 };

static struct fx {
    struct loop *loop;
    struct site *site;
    struct reaper *reaper;
    struct arena *arena;
    char *state;
    struct browser_program program;
    struct identity identity[N_MEMBERS];
    struct member member[N_MEMBERS];
    struct member *members[N_MEMBERS];
    struct pool *pool;
    bool ready, stopped, reaper_stopped;
    enum status ready_status;
    struct err err;
    unsigned started, died, failed, recycled;
} fx;

struct use {
    struct pool_lease *lease;
    struct context *ctx;
    struct page_session session;
    bool answered;
    enum status status;
    struct err err;
};

static bool turn_until(const bool *flag)
{
    uint64_t end = test_now_ms() + SOON_MS;

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

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    (void)arg;
    (void)m;
    (void)text;
    fx.started += strcmp(what, "instance started") == 0;
    fx.died += strcmp(what, "instance died") == 0;
    fx.failed += strcmp(what, "instance failed") == 0;
    fx.recycled += strcmp(what, "instance recycled") == 0;
}

static void on_ready(void *arg, enum status s, const struct err *e)
{
    (void)arg;
    fx.ready = true;
    fx.ready_status = s;
    fx.err = *e;
}

static void on_flag(void *arg)
{
    *(bool *)arg = true;
}

static void open_loop(void)
{
    struct reaper_opts ro = {.program = test_program("fleet-reaper")};

    memset(&fx, 0, sizeof fx);
    fx.state = test_mkdir();
    ro.state_dir = fx.state;
    assert_int_equal(loop_create(&fx.loop, NULL, &fx.err), STATUS_OK);
    fx.arena = arena_create(NULL, 0);
    fx.site = site_open(fx.loop);
    if (reaper_start(fx.loop, &ro, &fx.reaper, &fx.err) != STATUS_OK)
        fail_msg("%s", fx.err.text);
    for (size_t i = 0; i < N_MEMBERS; i++) {
        fx.identity[i] = (struct identity){.id = "i-1",
                                           .honest = true,
                                           .viewport_w = 800,
                                           .viewport_h = 600,
                                           .screen_w = 800,
                                           .screen_h = 600,
                                           .timezone = "Europe/Berlin"};
        fx.member[i] = (struct member){
            .index = (uint32_t)i, .identity = &fx.identity[i], .forward_port = site_port(fx.site)};
        list_init(&fx.member[i].idle_link);
        fx.members[i] = &fx.member[i];
    }
    site_answer(fx.site, "/set", 200, "Set-Cookie: who=me; Max-Age=3600\r\nSet-Cookie: s=1\r\n",
                "<title>set</title>");
}

static void start_pool(enum isolation isolation, enum context_life life,
                       const struct pool_limits *limits)
{
    struct pool_opts o = {
        .loop = fx.loop,
        .reaper = fx.reaper,
        .program = &fx.program,
        .isolation = isolation,
        .context = life,
        .sandbox = SANDBOX_PREFER,
        .slots = 1,
        .members = fx.members,
        .n_members = N_MEMBERS,
        .targets = {.on_event = on_event},
    };

    if (limits != NULL)
        o.limits = *limits;
    fx.pool = pool_create(&o);
    pool_start(fx.pool, on_ready, NULL);
    assert_false(fx.ready);
}

static void open_pool(enum isolation isolation, enum context_life life,
                      const struct pool_limits *limits)
{
    start_pool(isolation, life, limits);
    assert_true(turn_until(&fx.ready));
}

static void open_all(enum isolation isolation, enum context_life life,
                     const struct pool_limits *limits)
{
    open_loop();
    if (browser_find(fx.arena, BROWSER_HEADLESS_SHELL, &fx.program, &fx.err) != STATUS_OK)
        test_skip("%s", fx.err.text);
    open_pool(isolation, life, limits);
    if (fx.ready_status != STATUS_OK)
        fail_msg("%s", fx.err.text);
}

static void close_all(void)
{
    pool_stop(fx.pool, on_flag, &fx.stopped);
    assert_true(turn_until(&fx.stopped));
    pool_destroy(&fx.pool);
    assert_int_equal(reaper_child_count(fx.reaper), 0);
    reaper_stop(fx.reaper, on_flag, &fx.reaper_stopped);
    assert_true(turn_until(&fx.reaper_stopped));
    site_close(&fx.site);
    turn_for(5);
    loop_destroy(&fx.loop);
    arena_destroy(&fx.arena);
    test_rmdir(&fx.state);
}

static void on_lease(void *arg, struct context *c, enum status s, const struct err *e)
{
    struct use *u = arg;

    u->answered = true;
    u->status = s;
    u->err = *e;
    u->ctx = c;
    if (s != STATUS_OK)
        return;
    u->session = (struct page_session){.loop = fx.loop, .arena = fx.arena};
    context_begin(c, &u->session);
}

static enum status lease(struct use *u, size_t member)
{
    memset(u, 0, sizeof *u);
    u->lease = pool_acquire(fx.pool, &fx.member[member], on_lease, u);
    assert_false(u->answered);
    assert_true(turn_until(&u->answered));
    return u->status;
}

static struct {
    bool done;
    enum status status;
} nav;

static void on_nav(void *arg, const struct page_nav *n)
{
    (void)arg;
    nav.done = true;
    nav.status = n->status;
}

static enum status go(struct use *u, const char *url)
{
    const struct page_goto g = {.url = url,
                                .until = UNTIL_LOAD,
                                .admitted = true,
                                .deadline_ms = loop_now_ms(fx.loop) + SOON_MS - 1000};

    nav.done = false;
    page_navigate(u->session.page, &g, on_nav, NULL);
    assert_true(turn_until(&nav.done));
    return nav.status;
}

static pid_t instance_of(size_t i)
{
    struct json *j = json_new_object();
    const struct json *one;
    pid_t pid;

    pool_describe(fx.pool, j);
    one = json_first(json_get(j, "instances"));
    while (i-- > 0 && one != NULL)
        one = json_next(one);
    pid = (pid_t)json_int(json_get(one, "pid"), 0);
    json_destroy(&j);
    return pid;
}

static void test_kept_context_keeps_cookies_and_page(void **state)
{
    struct use a, b;

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_KEPT, NULL);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/set"), STATUS_OK);
    assert_int_equal(lease(&b, 1), STATUS_OK); /* side by side */
    assert_int_equal(go(&b, "http://a.test/other"), STATUS_OK);
    assert_string_equal(site_last(fx.site, "/other")->cookie, "");
    pool_release(a.lease, true);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(page_state(a.session.page), PAGE_OPEN);
    assert_int_equal(go(&a, "http://a.test/again"), STATUS_OK);
    assert_string_equal(site_last(fx.site, "/again")->cookie, "who=me; s=1");
    pool_release(a.lease, true);
    turn_for(600); /* an idle page is sent to about:blank, and is of use afterwards */
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_string_equal(page_url(a.session.page), "about:blank");
    assert_int_equal(go(&a, "http://a.test/third"), STATUS_OK);
    pool_release(a.lease, false); /* it went badly: another page, the same cookies */
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(page_state(a.session.page), PAGE_NEW);
    assert_int_equal(go(&a, "http://a.test/fourth"), STATUS_OK);
    assert_string_equal(site_last(fx.site, "/fourth")->cookie, "who=me; s=1");
    pool_release(a.lease, true);
    pool_release(b.lease, true);
    assert_int_equal(fx.started, 1);
    close_all();
}

static void test_fresh_context_forgets(void **state)
{
    struct use a;

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_FRESH, NULL);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/set"), STATUS_OK);
    pool_release(a.lease, true);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/again"), STATUS_OK);
    assert_string_equal(site_last(fx.site, "/again")->cookie, "");
    pool_release(a.lease, true);
    close_all();
}

static void test_instance_that_is_due_hands_on_cookies(void **state)
{
    const struct pool_limits limits = {.pages = 1};
    struct use a, b;
    pid_t first;

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_KEPT, &limits);
    first = instance_of(0);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(lease(&b, 1), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/set"), STATUS_OK);
    assert_int_equal(go(&b, "http://a.test/x"), STATUS_OK);
    pool_release(a.lease, true); /* two pages were made: it is due */
    assert_int_equal(fx.recycled, 1);
    assert_int_equal(go(&b, "http://a.test/y"), STATUS_OK); /* what is leased goes on */
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/after"), STATUS_OK);
    assert_string_equal(site_last(fx.site, "/after")->cookie, "who=me; s=1");
    pool_release(b.lease, true);
    turn_for(1500);
    assert_int_equal(reaper_child_count(fx.reaper), 1);
    assert_int_not_equal(instance_of(0), first);
    pool_release(a.lease, true);
    close_all();
}

static void test_instance_that_dies_is_replaced(void **state)
{
    struct use a, b;

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_KEPT, NULL);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/x"), STATUS_OK);
    kill(instance_of(0), SIGKILL);
    assert_int_equal(go(&a, "http://a.test/y"), STATUS_BROWSER_GONE);
    assert_int_equal(lease(&b, 1), STATUS_OK);
    assert_int_equal(fx.died, 1);
    assert_int_equal(fx.started, 2);
    assert_int_equal(go(&b, "http://a.test/z"), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/y"),
                     STATUS_BROWSER_GONE); /* its page is not another's */
    pool_release(a.lease, false);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/w"), STATUS_OK);
    pool_release(a.lease, true);
    pool_release(b.lease, true);
    close_all();
}

static void test_an_instance_a_member(void **state)
{
    struct use a;

    (void)state;
    open_all(ISOLATION_PROCESS, CONTEXT_KEPT, NULL);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/set"), STATUS_OK);
    pool_release(a.lease, true);
    for (size_t i = 1; i < N_MEMBERS; i++) { /* room for two: the first goes when the third comes */
        assert_int_equal(lease(&a, i), STATUS_OK);
        assert_int_equal(go(&a, "http://a.test/x"), STATUS_OK);
        pool_release(a.lease, true);
    }
    turn_for(1500);
    assert_int_equal(reaper_child_count(fx.reaper), 2);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/after"), STATUS_OK);
    assert_string_equal(site_last(fx.site, "/after")->cookie, "who=me; s=1");
    pool_release(a.lease, true);
    close_all();
}

/* Fewer slots take no lease away; instances beyond them go when they are idle. */
static bool warms(size_t member)
{
    pool_warm(fx.pool, &fx.member[member]);
    for (unsigned i = 0; i < 500 && !pool_is_warm(fx.pool, &fx.member[member]); i++)
        turn_for(10);
    return pool_is_warm(fx.pool, &fx.member[member]);
}

static void test_warm_page_is_there_when_it_is_asked_for(void **state)
{
    struct use a, b;

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_FRESH, NULL);
    assert_true(warms(0));
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_true(pool_is_new(a.lease));
    assert_int_equal(page_state(a.session.page), PAGE_OPEN);
    assert_false(pool_is_warm(fx.pool, &fx.member[0]));
    pool_warm(fx.pool, &fx.member[0]); /* it has a lease: nothing to do */
    assert_int_equal(go(&a, "http://a.test/set"), STATUS_OK);
    pool_release(a.lease, true);
    assert_int_equal(lease(&a, 0), STATUS_OK); /* the next one is another's, without it */
    assert_int_equal(page_state(a.session.page), PAGE_NEW);
    pool_release(a.lease, true);

    pool_warm(fx.pool, &fx.member[0]); /* on its way yet: not waited for */
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/early"), STATUS_OK);
    pool_release(a.lease, true);

    assert_true(warms(1)); /* somebody else's by now */
    pool_renew(fx.pool, &fx.member[1], fx.member[1].identity);
    assert_false(pool_is_warm(fx.pool, &fx.member[1]));
    assert_int_equal(lease(&b, 1), STATUS_OK);
    assert_int_equal(go(&b, "http://a.test/renewed"), STATUS_OK);
    pool_release(b.lease, true);

    assert_true(warms(0)); /* its browser dies */
    assert_int_equal(kill(instance_of(0), SIGKILL), 0);
    for (unsigned i = 0; i < 500 && pool_is_warm(fx.pool, &fx.member[0]); i++)
        turn_for(10);
    assert_false(pool_is_warm(fx.pool, &fx.member[0]));
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/after"), STATUS_OK);
    pool_release(a.lease, true);
    assert_true(warms(0)); /* and one is left when the pool stops */
    close_all();
}

static void test_scaled_while_leased(void **state)
{
    struct use u[N_MEMBERS];

    (void)state;
    open_all(ISOLATION_PROCESS, CONTEXT_KEPT, NULL);
    pool_scale(fx.pool, 2);
    assert_int_equal(lease(&u[0], 0), STATUS_OK);
    assert_int_equal(go(&u[0], "http://a.test/set"), STATUS_OK);
    pool_scale(fx.pool, 4);
    for (size_t i = 1; i < N_MEMBERS; i++)
        assert_int_equal(lease(&u[i], i), STATUS_OK);
    pool_scale(fx.pool, 1);
    for (size_t i = 0; i < N_MEMBERS; i++)
        assert_int_equal(go(&u[i], "http://a.test/x"), STATUS_OK);
    assert_int_equal(reaper_child_count(fx.reaper), N_MEMBERS);
    pool_release(u[0].lease, true); /* one more than twice the slots */
    assert_int_equal(lease(&u[0], 0), STATUS_OK);
    assert_int_equal(go(&u[0], "http://a.test/after"), STATUS_OK);
    assert_string_equal(site_last(fx.site, "/after")->cookie, "who=me; s=1");
    for (size_t i = 1; i < N_MEMBERS; i++)
        assert_int_equal(go(&u[i], "http://a.test/y"), STATUS_OK);
    for (size_t i = 0; i < N_MEMBERS; i++)
        pool_release(u[i].lease, true);
    turn_for(1500);
    assert_int_equal(reaper_child_count(fx.reaper), 2);
    assert_int_equal(fx.died, 0);
    close_all();
}

/* --- a page that takes more than its cgroup has --- */

/* Of version 1 or 2; "": it has none, or not one of its own. */
static void cgroup_of(pid_t pid, char *dir, size_t max, bool *v2)
{
    char path[64], line[1024];
    FILE *f;

    dir[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    f = fopen(path, "re");
    while (f != NULL && dir[0] == '\0' && fgets(line, sizeof line, f) != NULL) {
        char *names = strchr(line, ':'), *at = names != NULL ? strchr(names + 1, ':') : NULL;

        line[strcspn(line, "\n")] = '\0';
        *v2 = names != NULL && names[1] == ':';
        if (at != NULL && strstr(at, "/fleet-") != NULL &&
            (*v2 || strncmp(names, ":memory:", 8) == 0))
            snprintf(dir, max, "/sys/fs/cgroup%s%s", *v2 ? "" : "/memory", at + 1);
    }
    if (f != NULL)
        fclose(f);
}

static bool give(const char *dir, const char *file, unsigned long long bytes)
{
    char path[2048];
    bool ok;
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, file);
    f = fopen(path, "we");
    if (f == NULL)
        return false;
    ok = fprintf(f, "%llu\n", bytes) > 0;
    return fclose(f) == 0 && ok;
}

static void on_take(void *arg, enum status s, const struct json *result, const struct err *e)
{
    (void)result;
    nav.status = s;
    fx.err = *e;
    on_flag(arg);
}

#define TAKE_ALL                                                                                   \
    "{\"expression\":\"const a = []; for (;;) a.push(new Uint8Array(1 << 24).fill(1))\"}"

/* The kernel kills the page's process: told as that, and the browser goes on. */
static void test_page_that_takes_all_memory(void **state)
{
    struct use a;
    char dir[1100];
    bool v2, over = false;

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_KEPT, NULL);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/x"), STATUS_OK);
    cgroup_of(instance_of(0), dir, sizeof dir, &v2);
    if (dir[0] == '\0' || !give(dir, v2 ? "memory.max" : "memory.limit_in_bytes", 600ull << 20)) {
        pool_release(a.lease, true);
        close_all();
        test_skip("no cgroup with a limit of memory here");
    }
    page_call(a.session.page, NULL, "Runtime.evaluate", STR(TAKE_ALL), 0, on_take, &over);
    assert_true(turn_until(&over));
    assert_int_equal(nav.status, STATUS_PAGE_OUT_OF_MEMORY);
    assert_non_null(strstr(fx.err.text, "the kernel killed its process"));
    pool_release(a.lease, false);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/after"), STATUS_OK);
    assert_int_equal(fx.died, 0);
    pool_release(a.lease, true);
    close_all();
}

static void test_lease_given_up(void **state)
{
    struct use a = {0};

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_KEPT, NULL);
    a.lease = pool_acquire(fx.pool, &fx.member[0], on_lease, &a);
    pool_give_up(a.lease, STATUS_CANCELLED);
    assert_false(a.answered);
    assert_true(turn_until(&a.answered));
    assert_int_equal(a.status, STATUS_CANCELLED);
    a.answered = false;
    a.lease = pool_acquire(fx.pool, &fx.member[0], on_lease, &a);
    loop_run_once(fx.loop, 0); /* its context is being made */
    pool_give_up(a.lease, STATUS_TIMEOUT);
    assert_true(turn_until(&a.answered));
    assert_int_equal(a.status, STATUS_TIMEOUT);
    assert_int_equal(lease(&a, 0), STATUS_OK);
    pool_release(a.lease, true);
    close_all();
}

/* Kills the nth browser, which is starting, as soon as it has a process. */
static void kill_at_start(size_t nth)
{
    uint64_t end = test_now_ms() + SOON_MS;
    unsigned failed = fx.failed, started = fx.started;
    pid_t pid = 0;

    while ((pid = instance_of(nth)) == 0 && test_now_ms() < end)
        loop_run_once(fx.loop, 5);
    assert_true(pid > 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (fx.failed == failed && test_now_ms() < end)
        loop_run_once(fx.loop, 5);
    assert_int_equal(fx.failed, failed + 1);
    assert_int_equal(fx.started, started);
}

static void ask_for(struct use *u, size_t member)
{
    memset(u, 0, sizeof *u);
    u->lease = pool_acquire(fx.pool, &fx.member[member], on_lease, u);
}

/* A browser that is killed while it starts costs those who wait for it nothing but time: also the
 * first one of all. */
static void test_killed_while_it_starts(void **state)
{
    struct use a, b;

    (void)state;
    open_loop();
    if (browser_find(fx.arena, BROWSER_HEADLESS_SHELL, &fx.program, &fx.err) != STATUS_OK)
        test_skip("%s", fx.err.text);
    start_pool(ISOLATION_CONTEXT, CONTEXT_KEPT, NULL);
    kill_at_start(0);
    kill_at_start(0);
    assert_true(turn_until(&fx.ready));
    assert_int_equal(fx.ready_status, STATUS_OK);

    assert_int_equal(lease(&a, 0), STATUS_OK);
    kill(instance_of(0), SIGKILL);
    pool_release(a.lease, false);
    while (fx.died == 0)
        loop_run_once(fx.loop, 5);
    ask_for(&a, 0);
    ask_for(&b, 1);
    kill_at_start(0);
    kill_at_start(0);
    assert_false(a.answered || b.answered);
    assert_true(turn_until(&a.answered) && turn_until(&b.answered));
    assert_int_equal(a.status, STATUS_OK);
    assert_int_equal(b.status, STATUS_OK);
    assert_int_equal(go(&a, "http://a.test/x"), STATUS_OK);
    assert_int_equal(go(&b, "http://a.test/y"), STATUS_OK);
    pool_release(a.lease, true);
    pool_release(b.lease, true);
    close_all();
}

/* Not for ever: the third start in a row that fails is told, and the next who comes is told at
 * once; later another start is tried. */
static void test_killed_whenever_it_starts(void **state)
{
    struct use a, b;

    (void)state;
    open_all(ISOLATION_PROCESS, CONTEXT_KEPT, NULL);
    ask_for(&a, 1); /* the first instance is member 0's */
    for (unsigned i = 0; i < POOL_STARTS; i++) {
        assert_false(a.answered);
        kill_at_start(1);
    }
    assert_true(turn_until(&a.answered));
    assert_int_equal(a.status, STATUS_BROWSER_GONE);
    assert_non_null(strstr(a.err.text, "3 starts in a row failed: Chromium ended at start: "));
    assert_int_equal(lease(&b, 2), STATUS_BROWSER_GONE);
    assert_int_equal(lease(&b, 0), STATUS_OK); /* its browser runs */
    pool_release(b.lease, true);
    turn_for(1100);
    assert_int_equal(lease(&a, 1), STATUS_OK);
    pool_release(a.lease, true);
    close_all();
}

static void test_browser_that_does_not_start(void **state)
{
    (void)state;
    open_loop();
    fx.program = (struct browser_program){BROWSER_HEADLESS_SHELL, "/bin/false"};
    open_pool(ISOLATION_CONTEXT, CONTEXT_KEPT, NULL);
    assert_int_equal(fx.ready_status, STATUS_ENVIRONMENT);
    assert_non_null(strstr(fx.err.text, "3 starts in a row failed: Chromium ended at start: "));
    assert_int_equal(fx.failed, POOL_STARTS);
    close_all();
    setenv("FLEET_CHROMIUM", "/nonexistent", 1);
    assert_int_equal(browser_find(NULL, BROWSER_CHROMIUM, &fx.program, &fx.err),
                     STATUS_ENVIRONMENT);
    assert_non_null(strstr(fx.err.text, "/nonexistent"));
    unsetenv("FLEET_CHROMIUM");
}

static void test_memory_is_measured(void **state)
{
    const struct pool_limits limits = {.memory_bytes = 1024 * 1024, .measure_ms = 200};

    (void)state;
    open_all(ISOLATION_CONTEXT, CONTEXT_KEPT, &limits);
    turn_for(700);
    assert_true(fx.recycled >= 1); /* no browser is as small as that */
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_context_keeps_cookies_and_page),
        cmocka_unit_test(test_fresh_context_forgets),
        cmocka_unit_test(test_instance_that_is_due_hands_on_cookies),
        cmocka_unit_test(test_instance_that_dies_is_replaced),
        cmocka_unit_test(test_an_instance_a_member),
        cmocka_unit_test(test_warm_page_is_there_when_it_is_asked_for),
        cmocka_unit_test(test_scaled_while_leased),
        cmocka_unit_test(test_page_that_takes_all_memory),
        cmocka_unit_test(test_lease_given_up),
        cmocka_unit_test(test_killed_while_it_starts),
        cmocka_unit_test(test_killed_whenever_it_starts),
        cmocka_unit_test(test_browser_that_does_not_start),
        cmocka_unit_test(test_memory_is_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
