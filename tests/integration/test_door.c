/* Members' way out, with real Chromium: each reaches its own forwarder and nothing else.
 *
 * What must hold in a network namespace: members of one browser each come to their own forwarder; a
 * page finds no way past it, whatever it tries; nobody outside finds a way in. Where no namespace
 * can be had: the same by flags and by looking up who comes, `prefer` goes on and `require`
 * refuses. What a page asks for and does not get fails as without a forwarder, while a document's
 * failure is told in the forwarder's words. The upstream of all forwarders is the test's site,
 * which answers for every name; where that is said there is none. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "browser/ops_page.h"
#include "browser/page/session.h"
#include "browser/pool.h"
#include "proxies/forward.h"
#include "tests/integration/browser_site.h"
#include "tests/support/testing.h"

enum { SOON_MS = 15000, N_MEMBERS = 3, NOBODY = 65534 };

static struct fx {
    struct loop *loop;
    struct site *site;
    struct reaper *reaper;
    struct arena *arena;
    char *state;
    struct browser_program program;
    struct proxy *upstream;
    struct identity identity[N_MEMBERS];
    struct member member[N_MEMBERS];
    struct member *members[N_MEMBERS];
    struct pool *pool;
    bool ready, stopped, reaper_stopped;
    enum status ready_status;
    struct err err;
    int tcp, udp; /* of this machine: nothing may come here */
    uint16_t port;
} fx;

struct use {
    struct pool_lease *lease;
    struct page_session session;
    bool answered;
    enum status status;
};

static bool turn_until(const bool *flag)
{
    uint64_t end = test_now_ms() + SOON_MS;

    while (!*flag && test_now_ms() < end)
        loop_run_once(fx.loop, 50);
    return *flag;
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

/* --- the outside: TCP and UDP on one port of all addresses --- */

static void open_outside(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    socklen_t len = sizeof a;
    int off = 0;

    fx.tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fx.udp = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fx.tcp >= 0 && fx.udp >= 0);
    setsockopt(fx.tcp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fx.udp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    assert_int_equal(bind(fx.tcp, (const struct sockaddr *)(const void *)&a, sizeof a), 0);
    assert_int_equal(listen(fx.tcp, 8), 0);
    assert_int_equal(getsockname(fx.tcp, (struct sockaddr *)(void *)&a, &len), 0);
    assert_int_equal(bind(fx.udp, (const struct sockaddr *)(const void *)&a, sizeof a), 0);
    fx.port = ntohs(a.sin6_port);
}

static void assert_nothing_came(void)
{
    char text[64];

    assert_int_equal(accept(fx.tcp, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(recv(fx.udp, text, sizeof text, 0), -1);
}

/* An address of this machine besides loopback, or loopback when it has none. */
static void own_address(char out[INET_ADDRSTRLEN])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
    socklen_t len = sizeof a;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(out, INET_ADDRSTRLEN, "127.0.0.2");
    inet_pton(AF_INET, "192.0.2.1", &a.sin_addr);
    if (s >= 0 && connect(s, (const struct sockaddr *)(const void *)&a, sizeof a) == 0 &&
        getsockname(s, (struct sockaddr *)(void *)&a, &len) == 0)
        inet_ntop(AF_INET, &a.sin_addr, out, INET_ADDRSTRLEN);
    if (s >= 0)
        close(s);
}

/* --- the fixture --- */

static void make_member(size_t i)
{
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct member *m = &fx.member[i];

    fx.identity[i] = (struct identity){.id = "i-1",
                                       .honest = true,
                                       .viewport_w = 800,
                                       .viewport_h = 600,
                                       .screen_w = 800,
                                       .screen_h = 600,
                                       .timezone = "Europe/Berlin"};
    *m = (struct member){.index = (uint32_t)i, .identity = &fx.identity[i]};
    list_init(&m->idle_link);
    fx.members[i] = m;
    o.dialled_only = true;
    o.allow_direct = true; /* for tests that take the upstream away */
    assert_int_equal(forward_open(fx.loop, &o, &m->forward, &fx.err), STATUS_OK);
    forward_set_upstream(m->forward, fx.upstream);
}

static void open_pool(enum isolation isolation, enum sandbox_want sandbox, uint32_t without)
{
    struct reaper_opts ro = {.program = test_program("fleet-reaper"), .without = without};
    struct pool_opts o = {.isolation = isolation,
                          .context = CONTEXT_KEPT,
                          .sandbox = sandbox,
                          .slots = 2,
                          .members = fx.members,
                          .n_members = N_MEMBERS,
                          .program = &fx.program};
    char url[64];

    memset(&fx, 0, sizeof fx);
    ro.state_dir = fx.state = test_mkdir();
    assert_int_equal(loop_create(&fx.loop, NULL, &fx.err), STATUS_OK);
    fx.arena = arena_create(NULL, 0);
    if (browser_find(fx.arena, BROWSER_HEADLESS_SHELL, &fx.program, &fx.err) != STATUS_OK)
        test_skip("%s", fx.err.text);
    open_outside();
    fx.site = site_open(fx.loop);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", site_port(fx.site));
    assert_int_equal(proxy_parse(str_from(url), "site", &fx.upstream, &fx.err), STATUS_OK);
    for (size_t i = 0; i < N_MEMBERS; i++)
        make_member(i);
    if (reaper_start(fx.loop, &ro, &fx.reaper, &fx.err) != STATUS_OK)
        fail_msg("%s", fx.err.text);
    o.loop = fx.loop;
    o.reaper = fx.reaper;
    fx.pool = pool_create(&o);
    pool_start(fx.pool, on_ready, NULL);
    assert_true(turn_until(&fx.ready));
}

static void close_all(void)
{
    uint64_t end;

    pool_stop(fx.pool, on_flag, &fx.stopped);
    assert_true(turn_until(&fx.stopped));
    pool_destroy(&fx.pool);
    reaper_stop(fx.reaper, on_flag, &fx.reaper_stopped);
    assert_true(turn_until(&fx.reaper_stopped));
    for (size_t i = 0; i < N_MEMBERS; i++)
        forward_close(&fx.member[i].forward);
    proxy_unref(&fx.upstream);
    site_close(&fx.site);
    for (end = test_now_ms() + 5; test_now_ms() < end;)
        loop_run_once(fx.loop, 5);
    loop_destroy(&fx.loop);
    arena_destroy(&fx.arena);
    test_rmdir(&fx.state);
    close(fx.tcp);
    close(fx.udp);
}

static void on_lease(void *arg, struct context *c, enum status s, const struct err *e)
{
    struct use *u = arg;

    u->answered = true;
    u->status = s;
    fx.err = *e;
    if (s != STATUS_OK)
        return;
    u->session = (struct page_session){.loop = fx.loop, .arena = fx.arena};
    context_begin(c, &u->session);
}

static void lease(struct use *u, size_t member)
{
    memset(u, 0, sizeof *u);
    u->lease = pool_acquire(fx.pool, &fx.member[member], on_lease, u);
    assert_true(turn_until(&u->answered));
    if (u->status != STATUS_OK)
        fail_msg("%s", fx.err.text);
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

static void go(struct use *u, const char *url)
{
    const struct page_goto g = {.url = url,
                                .until = UNTIL_LOAD,
                                .admitted = true,
                                .deadline_ms = loop_now_ms(fx.loop) + SOON_MS - 1000};

    nav.done = false;
    page_navigate(u->session.page, &g, on_nav, NULL);
    assert_true(turn_until(&nav.done));
    assert_int_equal(nav.status, STATUS_OK);
}

static void wait_for(const char *path)
{
    uint64_t end = test_now_ms() + SOON_MS;

    while (site_count(fx.site, NULL, path) == 0 && test_now_ms() < end)
        loop_run_once(fx.loop, 20);
    if (site_count(fx.site, NULL, path) == 0)
        fail_msg("no request for %s within %d ms", path, SOON_MS);
}

static uint64_t came_to(size_t member)
{
    struct forward_stats st;

    forward_stats(fx.member[member].forward, &st);
    return st.requests;
}

static pid_t browser_pid(void)
{
    struct json *j = json_new_object();
    pid_t pid;

    pool_describe(fx.pool, j);
    pid = (pid_t)json_int(json_get(json_first(json_get(j, "instances")), "pid"), 0);
    json_destroy(&j);
    return pid;
}

static bool in_own_network(pid_t pid)
{
    char path[64];
    struct stat ours, its;

    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    assert_int_equal(stat("/proc/self/ns/net", &ours), 0);
    assert_int_equal(stat(path, &its), 0);
    return ours.st_ino != its.st_ino;
}

static bool can_have(enum reaper_layer l)
{
    struct reaper_level level;

    assert_int_equal(reaper_level(fx.reaper, &level, &fx.err), STATUS_OK);
    return (level.layers & REAPER_LAYER_BIT(l)) != 0;
}

/* --- cases --- */

static void each_to_its_own(enum isolation isolation, uint32_t without, bool netns)
{
    struct use a, b;

    open_pool(isolation, SANDBOX_PREFER, without);
    if (fx.ready_status != STATUS_OK)
        fail_msg("%s", fx.err.text);
    if (netns && !can_have(REAPER_LAYER_NETNS)) {
        close_all();
        test_skip("no network namespaces here");
    }
    lease(&a, 0);
    lease(&b, 2);
    assert_int_equal(in_own_network(browser_pid()), netns);
    go(&a, "http://a.test/one");
    assert_true(came_to(0) > 0 && came_to(2) == 0);
    go(&b, "http://b.test/two");
    assert_true(came_to(2) > 0);
    assert_int_equal(came_to(1), 0);
    assert_int_equal(site_count(fx.site, "a.test", "/one"), 1);
    assert_int_equal(site_count(fx.site, "b.test", "/two"), 1);
    pool_release(a.lease, true);
    pool_release(b.lease, true);
    close_all();
}

static void test_members_of_one_browser(void **state)
{
    (void)state;
    each_to_its_own(ISOLATION_CONTEXT, 0, true);
}

static void test_browser_of_each_member(void **state)
{
    (void)state;
    each_to_its_own(ISOLATION_PROCESS, 0, true);
}

static void test_without_namespaces(void **state)
{
    (void)state;
    each_to_its_own(ISOLATION_CONTEXT, REAPER_LAYER_BIT(REAPER_LAYER_NETNS), false);
    each_to_its_own(ISOLATION_PROCESS, REAPER_LAYER_BIT(REAPER_LAYER_NETNS), false);
}

static void test_require_wants_the_namespace(void **state)
{
    (void)state;
    open_pool(ISOLATION_CONTEXT, SANDBOX_REQUIRE, REAPER_LAYER_BIT(REAPER_LAYER_NETNS));
    assert_int_equal(fx.ready_status, STATUS_ENVIRONMENT);
    assert_non_null(strstr(fx.err.text, "network-namespace"));
    close_all();
}

/* Everything a page may try; the last request says that all of it was tried. %s: an address of this
 * machine, %u: the port that listens outside. */
static const char attempts[] =
    "<!doctype html><link rel=dns-prefetch href='//prefetch.test'>"
    "<link rel=preconnect href='http://127.0.0.1:%2$u'><script>"
    "const port = %2$u, hosts = ['127.0.0.1', '127.1', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', "
    "'localhost', 'x.localhost', '%1$s', '127.128.0.1'];"
    "const tries = [];"
    "for (const h of hosts) {"
    "  tries.push(fetch('http://' + h + ':' + port + '/fetch', {mode: 'no-cors'}));"
    "  tries.push(fetch('https://' + h + ':' + port + '/fetch', {mode: 'no-cors'}));"
    "  navigator.sendBeacon('http://' + h + ':' + port + '/beacon', 'x');"
    "  const i = new Image(); i.src = 'http://' + h + ':' + port + '/image';"
    "  try { new WebSocket('ws://' + h + ':' + port + '/ws').onerror = () => {}; } catch (e) {}"
    "  try { new EventSource('http://' + h + ':' + port + '/events'); } catch (e) {}"
    "  try { const w = new WebTransport('https://' + h + ':' + port + '/wt');"
    "        w.ready.catch(() => {}); w.closed.catch(() => {}); } catch (e) {}"
    "}"
    "tries.push(fetch('http://127.128.0.1:3128/door', {mode: 'no-cors'}));"
    "const rtc = new RTCPeerConnection({iceServers: [{urls: ['stun:127.0.0.1:' + port, "
    "  'stun:%1$s:' + port]}, {urls: ['turn:127.0.0.1:' + port + '?transport=tcp', "
    "  'turn:127.0.0.1:' + port + '?transport=udp'], username: 'a', credential: 'b'}]});"
    "rtc.createDataChannel('x');"
    "tries.push(rtc.createOffer().then(o => rtc.setLocalDescription(o)));"
    "tries.push(new Promise(r => setTimeout(r, 600)));"
    "Promise.allSettled(tries).then(() => fetch('/done'));"
    "</script>";

static void attempt_all(uint32_t without)
{
    char own[INET_ADDRSTRLEN], body[sizeof attempts + 256];
    struct use a;

    open_pool(ISOLATION_CONTEXT, SANDBOX_PREFER, without);
    if (fx.ready_status != STATUS_OK)
        fail_msg("%s", fx.err.text);
    own_address(own);
    snprintf(body, sizeof body, attempts, own, fx.port);
    site_answer(fx.site, "/attempts", 200, "", body);
    lease(&a, 0);
    go(&a, "http://a.test/attempts");
    wait_for("/done");
    assert_nothing_came();
    assert_true(site_count(fx.site, NULL, "/fetch") >= 8); /* they came to the forwarder instead */
    assert_int_equal(came_to(1), 0);                       /* nor can one member use another's */
    pool_release(a.lease, true);
    close_all();
}

static void test_no_way_round(void **state)
{
    (void)state;
    attempt_all(0);
}

static void test_no_way_round_without_namespaces(void **state)
{
    (void)state;
    attempt_all(REAPER_LAYER_BIT(REAPER_LAYER_NETNS));
}

/* --- what a page learns of the forwarder --- */

/* The site hangs up on /gone, and its document is a frame of the page. Service workers are there
 * where the page's origin is one of this machine. */
static const char curious[] =
    "<!doctype html><iframe src=/gone></iframe><script>"
    "const end = p => p.then(r => r.status, e => e.name);"
    "onload = async () => {"
    "  await fetch('/said/frame-' + frames[0].document.body.innerText.split(':')[0]);"
    "  await fetch('/said/fetch-' + await end(fetch('/gone')));"
    "  await fetch('/said/post-' + await end(fetch('/gone', {method: 'POST', body: 'x'})));"
    "  await fetch('/said/opaque-' + await end(fetch('/gone', {mode: 'no-cors'})));"
    "  if (navigator.serviceWorker) await navigator.serviceWorker.register('/worker.js');"
    "}</script>";
static const char worker[] = "oninstall = e => e.waitUntil(fetch('/gone').then(r => r.status, "
                             "e => e.name).then(how => fetch('/said/worker-' + how)))";

/* `credentials` of the upstream; NULL: there is none. `word`: what the frame's document says. */
static void look_for_forwarder(const char *credentials, const char *word)
{
    struct proxy *p = NULL;
    char url[128], origin[64], said[64];
    struct use a;

    open_pool(ISOLATION_CONTEXT, SANDBOX_PREFER, 0);
    if (fx.ready_status != STATUS_OK)
        fail_msg("%s", fx.err.text);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u", site_port(fx.site));
    if (credentials) {
        snprintf(url, sizeof url, "http://%s@127.0.0.1:%u", credentials, site_port(fx.site));
        assert_int_equal(proxy_parse(str_from(url), "its", &p, &fx.err), STATUS_OK);
        snprintf(origin, sizeof origin, "http://a.test");
    }
    forward_set_upstream(fx.member[0].forward, p);
    proxy_unref(&p);
    site_answer(fx.site, "/curious", 200, "", curious);
    site_answer(fx.site, "/worker.js", 200, "Content-Type: text/javascript\r\n", worker);
    site_answer(fx.site, "/gone", 200, "", "@close");
    lease(&a, 0);
    snprintf(url, sizeof url, "%s/curious", origin);
    go(&a, url);
    snprintf(said, sizeof said, "/said/frame-%s", word);
    wait_for(said);
    wait_for("/said/fetch-TypeError");
    wait_for("/said/post-TypeError");
    wait_for("/said/opaque-TypeError");
    if (!credentials)
        wait_for("/said/worker-TypeError");
    pool_release(a.lease, true);
    close_all();
}

static void test_a_page_sees_no_forwarder(void **state)
{
    (void)state;
    look_for_forwarder(NULL, "UNAVAILABLE");
}

static void test_a_page_sees_no_upstream(void **state)
{
    (void)state;
    look_for_forwarder("user:secret", "PROXY_FAILED");
}

/* --- other users of the machine --- */

/* The proxy that the browser was started with. */
static struct sockaddr_in its_proxy(void)
{
    static const char flag[] = "--proxy-server=http://";
    struct sockaddr_in a = {.sin_family = AF_INET};
    char path[64], text[16384], *at;
    int fd;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)browser_pid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    n = read(fd, text, sizeof text - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = '\0';
    at = memmem(text, (size_t)n, flag, strlen(flag));
    assert_non_null(at);
    at += strlen(flag);
    at[strcspn(at, ":")] = '\0';
    assert_int_equal(inet_pton(AF_INET, at, &a.sin_addr), 1);
    a.sin_port = htons((uint16_t)strtoul(at + strlen(at) + 1, NULL, 10));
    return a;
}

/* In a child, as `uid`: asks the proxy for a page. 0: answered with something, 1: closed without a
 * word, 2: not even reached. */
static int ask_as(uid_t uid, const struct sockaddr_in *to)
{
    static const char request[] = "GET http://a.test/stolen HTTP/1.1\r\nHost: a.test\r\n\r\n";
    uint64_t end = test_now_ms() + SOON_MS;
    pid_t p = fork();
    int status = 0;

    if (p == 0) {
        int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char got[16];

        if (uid != geteuid() && (setgroups(0, NULL) != 0 || setresuid(uid, uid, uid) != 0))
            _exit(9);
        if (connect(s, (const struct sockaddr *)(const void *)to, sizeof *to) != 0)
            _exit(2);
        (void)!send(s, request, sizeof request - 1, MSG_NOSIGNAL);
        _exit(recv(s, got, sizeof got, 0) > 0 ? 0 : 1);
    }
    while (waitpid(p, &status, WNOHANG) == 0 && test_now_ms() < end)
        loop_run_once(fx.loop, 20);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_other_users_find_no_door(void **state)
{
    struct sockaddr_in door, own = {.sin_family = AF_INET};
    struct use a;

    (void)state;
    if (geteuid() != 0)
        test_skip("not root: there is no other user to be");
    for (unsigned netns = 0; netns < 2; netns++) {
        open_pool(ISOLATION_PROCESS, SANDBOX_PREFER,
                  netns ? 0 : REAPER_LAYER_BIT(REAPER_LAYER_NETNS));
        lease(&a, 0);
        door = its_proxy();
        assert_int_equal(ask_as(NOBODY, &door), netns ? 2 : 1);
        assert_int_equal(ask_as(0, &door), netns ? 2 : 1);
        /* the listener for requests of our own, which is there from the first of them on */
        assert_int_equal(forward_port(fx.member[0].forward), 0);
        assert_int_equal(forward_listen(fx.member[0].forward, &fx.err), STATUS_OK);
        own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        own.sin_port = htons(forward_port(fx.member[0].forward));
        assert_int_equal(ask_as(NOBODY, &own), 1);
        assert_int_equal(ask_as(0, &own), 1);
        go(&a, "http://a.test/one"); /* the browser is let in all the same */
        assert_int_equal(site_count(fx.site, NULL, "/stolen"), 0);
        pool_release(a.lease, true);
        close_all();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_of_one_browser),
        cmocka_unit_test(test_browser_of_each_member),
        cmocka_unit_test(test_without_namespaces),
        cmocka_unit_test(test_require_wants_the_namespace),
        cmocka_unit_test(test_no_way_round),
        cmocka_unit_test(test_no_way_round_without_namespaces),
        cmocka_unit_test(test_a_page_sees_no_forwarder),
        cmocka_unit_test(test_a_page_sees_no_upstream),
        cmocka_unit_test(test_other_users_find_no_door),
    };

    return cmocka_run_group_tests_name("doors", tests, NULL, NULL);
}
