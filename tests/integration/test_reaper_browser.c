/* A whole browser's work inside all layers at once: own sandbox, filter, Landlock, namespaces, and
 * a network that has no way out but the listener which init passed out. The test is the proxy: it
 * answers every request with one page, whose script tries what pages do (and tries to get around
 * the proxy), and tells by a list of words what went well.
 *
 * What must hold: all of it works; every renderer is sandboxed; nothing reaches a socket of this
 * machine but through the proxy. Then again with somebody who is asked about each system call that
 * the filter refuses (tests/support/bpf.h): all of them must be known, with the reason. The browser
 * is then a child of this very test, started again inside with "--observe". */
#include "tests/support/members.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/filter.h"
#include "tests/support/bpf.h"

enum { SLOW_MS = 30000, REQUEST_MAX = 8192, REPORT_MAX = 1024 * 1024 };

#define BIT(l) REAPER_LAYER_BIT(REAPER_LAYER_##l)

/* Words in the order they are tried; each is a promise. %u: a port of this machine outside. */
static const char script[] =
    "(async () => { const done = []; const t = (n, p) => Promise.race([p, new Promise((_, r) => "
    "setTimeout(r, 8000))])"
    ".then(v => { if (v) done.push(n); }, () => {});"
    "const c = document.createElement('canvas');"
    "await t('canvas', c.getContext('2d').fillText('x', 1, 9) === undefined && "
    "c.toDataURL().length > 50);"
    "await t('webgl', !!document.createElement('canvas').getContext('webgl'));"
    "await t('wasm', WebAssembly.instantiate(new Uint8Array([0,97,115,109,1,0,0,0])));"
    "await t('worker', new Promise(r => { const w = new Worker(URL.createObjectURL(new "
    "Blob(['postMessage(1)'])));"
    " w.onmessage = () => r(1); }));"
    "await t('indexeddb', new Promise((r, j) => { const q = indexedDB.open('x', 1); q.onsuccess = "
    "() => r(1); q.onerror = j; }));"
    "await t('cache', caches.open('x').then(k => k.put('/k', new Response('v'))).then(() => 1));"
    "await t('opfs', navigator.storage.getDirectory().then(d => d.getFileHandle('f', {create: "
    "true})));"
    "await t('serviceworker', navigator.serviceWorker.register('/sw.js').then(() => "
    "navigator.serviceWorker.ready));"
    "await t('rtc', new RTCPeerConnection().createOffer({offerToReceiveAudio: true}).then(o => "
    "o.sdp.length > 10));"
    "await t('frame', new Promise(r => { const f = document.createElement('iframe'); f.onload = () "
    "=> r(1);"
    " f.src = 'http://other.test/frame'; document.body.append(f); }));"
    "await t('audio', !!new OfflineAudioContext(1, 44100, 44100).startRendering());"
    "await t('crypto', crypto.subtle.digest('SHA-256', new Uint8Array(9)));"
    "await t('random', crypto.getRandomValues(new Uint8Array(9)));"
    "for (const h of ['127.0.0.1', '[::1]', 'localhost', '0.0.0.0', '%s'])"
    " await fetch('http://' + h + ':%u/bypass', {mode: 'no-cors'}).catch(() => {});"
    "try { new WebSocket('ws://127.0.0.1:%u/ws').onerror = () => {}; } catch (e) {}"
    "try { const p = new RTCPeerConnection({iceServers: [{urls: 'stun:127.0.0.1:%u'}]}); "
    "p.createDataChannel('x');"
    " await p.setLocalDescription(await p.createOffer()); await new Promise(r => setTimeout(r, "
    "700)); } catch (e) {}"
    "done.push('end'); return done.join(' '); })()";

static const char *const words[] = {"canvas", "webgl",  "wasm",          "worker", "indexeddb",
                                    "cache",  "opfs",   "serviceworker", "rtc",    "frame",
                                    "audio",  "crypto", "random",        "end"};

static const char page[] = "<!doctype html><title>page</title><body><h1>page</h1>";
static const char worker[] = "self.addEventListener('fetch', () => {});";

/* --- the proxy --- */

struct proxy {
    struct loop_watch *watch;
    unsigned requests;
    int fd;
};

static void answer(int fd, const char *request)
{
    bool js = strstr(request, "/sw.js ") != NULL;
    const char *body = js ? worker : page;
    char head[256];
    int n = snprintf(
        head, sizeof(head),
        "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
        js ? "text/javascript" : "text/html", strlen(body));

    if (write(fd, head, (size_t)n) < 0 || write(fd, body, strlen(body)) < 0)
        print_message("the browser did not wait for an answer\n");
}

static void on_listener(void *arg, int fd, int events)
{
    struct proxy *p = arg;
    char request[REQUEST_MAX + 1];
    struct pollfd poll_fd;
    size_t len = 0;
    int c = accept(fd, NULL, NULL);

    (void)events;
    if (c < 0)
        return;
    poll_fd = (struct pollfd){.fd = c, .events = POLLIN};
    request[0] = '\0';
    while (len < REQUEST_MAX && !strstr(request, "\r\n\r\n") && poll(&poll_fd, 1, 2000) == 1) {
        ssize_t n = read(c, request + len, REQUEST_MAX - len);

        if (n <= 0)
            break;
        len += (size_t)n;
        request[len] = '\0';
    }
    if (strncmp(request, "GET http://", 11) == 0) {
        p->requests++;
        answer(c, request);
    }
    close(c);
}

/* --- the outside --- */

/* An address of this machine besides loopback, or loopback when it has none. */
static void own_address(char out[INET_ADDRSTRLEN])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
    socklen_t len = sizeof(a);
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(out, INET_ADDRSTRLEN, "127.0.0.2");
    inet_pton(AF_INET, "192.0.2.1", &a.sin_addr);
    if (s >= 0 && connect(s, (const struct sockaddr *)(const void *)&a, sizeof(a)) == 0 &&
        getsockname(s, (struct sockaddr *)(void *)&a, &len) == 0)
        inet_ntop(AF_INET, &a.sin_addr, out, INET_ADDRSTRLEN);
    if (s >= 0)
        close(s);
}

/* TCP and UDP on one port of all addresses. */
static void open_outside(int *tcp, int *udp, uint16_t *port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6};
    socklen_t len = sizeof(a);
    int off = 0;

    *tcp = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *udp = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(*tcp >= 0 && *udp >= 0);
    setsockopt(*tcp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    setsockopt(*udp, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    assert_int_equal(bind(*tcp, (const struct sockaddr *)(const void *)&a, sizeof(a)), 0);
    assert_int_equal(listen(*tcp, 8), 0);
    assert_int_equal(getsockname(*tcp, (struct sockaddr *)(void *)&a, &len), 0);
    assert_int_equal(bind(*udp, (const struct sockaddr *)(const void *)&a, sizeof(a)), 0);
    *port = ntohs(a.sin6_port);
}

/* --- DevTools, the little that is needed --- */

/* The value of the first `key":"` after `from`, or "". Good until the next call. */
static const char *value_of(const char *from, const char *key)
{
    static char value[512];
    char needle[64];
    const char *p;

    snprintf(needle, sizeof(needle), "\"%s\":\"", key);
    p = from ? strstr(from, needle) : NULL;
    snprintf(value, sizeof(value), "%.*s", p ? (int)strcspn(p + strlen(needle), "\"") : 0,
             p ? p + strlen(needle) : "");
    return value;
}

/* Says a command with an id and waits for its answer, which it returns (borrowed from x->heard). */
static const char *command(struct member *x, unsigned id, const char *session, const char *method,
                           const char *params)
{
    size_t room = strlen(params) + 512;
    char *text = malloc(room), needle[32];
    const char *p;

    assert_non_null(text);
    snprintf(text, room, "{\"id\":%u,%s%s%s\"method\":\"%s\",\"params\":%s}", id,
             *session ? "\"sessionId\":\"" : "", session, *session ? "\"," : "", method, params);
    member_say(x, text);
    free(text);
    snprintf(needle, sizeof(needle), "{\"id\":%u,", id);
    if (!member_hear(x, needle, SLOW_MS))
        fail_msg("no answer to %s", method);
    p = strstr(x->heard, needle);
    assert_true(member_hear(x, "\n", SLOW_MS));
    for (int i = 0; i < 1000 && !strchr(strstr(x->heard, needle), '\n'); i++)
        (void)member_hear(x, "never", 10);
    p = strstr(x->heard, needle);
    return p;
}

static void open_page(struct member *x, char session[64])
{
    char params[256];

    snprintf(params, sizeof(params), "{\"targetId\":\"%s\",\"flatten\":true}",
             value_of(command(x, 1, "", "Target.createTarget", "{\"url\":\"about:blank\"}"),
                      "targetId"));
    snprintf(session, 64, "%s",
             value_of(command(x, 2, "", "Target.attachToTarget", params), "sessionId"));
    assert_true(strlen(session) > 8);
    command(x, 3, session, "Page.enable", "{}");
    command(x, 4, session, "Page.navigate", "{\"url\":\"http://localhost/page\"}");
    assert_true(member_hear(x, "Page.loadEventFired", SLOW_MS));
}

static void run_script(struct member *x, const char *session, uint16_t port)
{
    char own[INET_ADDRSTRLEN], *expression = malloc(sizeof(script) + 128),
                               *params = malloc(sizeof(script) + 256);
    const char *result;

    own_address(own);
    assert_non_null(expression);
    assert_non_null(params);
    snprintf(expression, sizeof(script) + 128, script, own, port, port, port);
    snprintf(params, sizeof(script) + 256,
             "{\"awaitPromise\":true,\"returnByValue\":true,\"expression\":\"%s\"}", expression);
    result = value_of(command(x, 5, session, "Runtime.evaluate", params), "value");
    print_message("%s\n", result);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strstr(result, words[i]))
            fail_msg("does not work: %s", words[i]);
    free(expression);
    free(params);
}

static void check_renderers(struct member *x, unsigned at_least)
{
    struct reaper_renderers r;

    for (int i = 0; i < 100; i++) {
        if (reaper_check_renderers(x->child, &r) && r.total >= at_least)
            return;
        test_sleep_ms(20);
    }
    fail_msg("%u of %u renderers sandboxed: %s", r.sandboxed, r.total, err_text(&r.err));
}

static void crash_renderer(struct member *x, const char *session)
{
    command(x, 8, session, "Inspector.enable", "{}");
    member_say(x, "{\"id\":9,\"method\":\"Target.getTargets\",\"params\":{}}");
    char text[256];

    snprintf(text, sizeof(text),
             "{\"id\":10,\"sessionId\":\"%s\",\"method\":\"Page.crash\",\"params\":{}}", session);
    member_say(x, text);
    assert_true(member_hear(x, "Inspector.targetCrashed", SLOW_MS));
    command(x, 11, "", "Browser.getVersion", "{}"); /* the browser lives */
}

/* A file that a page makes and saves. */
static void download(struct member *x, const char *session)
{
    command(x, 20, "", "Browser.setDownloadBehavior",
            "{\"behavior\":\"allow\",\"downloadPath\":\"/tmp\",\"eventsEnabled\":true}");
    command(
        x, 21, session, "Runtime.evaluate",
        "{\"userGesture\":true,\"expression\":\"const a = document.createElement('a'); a.href = "
        "URL.createObjectURL(new Blob(['saved'])); a.download = 'saved.txt'; a.click()\"}");
    assert_true(member_hear(x, "\"state\":\"completed\"", SLOW_MS));
}

/* `report`: a pipe for the observer's lines, or NULL: no observer. */
static void work(const char *browser, int *report)
{
    char self[4096];
    const char *argv[] = {self,
                          "--observe",
                          browser,
                          MEMBER_BROWSER_ARGS,
                          "--proxy-server=http://127.0.0.1:3128",
                          "--proxy-bypass-list=<-loopback>",
                          "--enable-unsafe-swiftshader",
                          NULL};
    struct reaper_spec s = {.name = "browser",
                            .kind = REAPER_BROWSER,
                            .argv = report ? argv : argv + 2,
                            .sandbox = report ? REAPER_SANDBOX_PREFER : REAPER_SANDBOX_REQUIRE,
                            .netns = true,
                            .n_listeners = 1,
                            .stderr_fd = report ? report[1] : 0,
                            .without = report ? BIT(SECCOMP) : 0};
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int tcp, udp;
    uint16_t port;
    struct proxy p = {0};
    struct members m;
    struct member x;
    char session[64], text[REAPER_LAYERS_TEXT_MAX];

    assert_true(n > 0);
    self[n] = '\0';
    open_outside(&tcp, &udp, &port);
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, true);
    if (!member_wait_started(&x, SLOW_MS))
        fail_msg("%s", err_text(&x.exit.err));
    print_message("%s\n", reaper_layers_text(x.started.layers, text));
    assert_int_equal(
        loop_watch_open(m.loop, x.listeners[0], LOOP_READ, on_listener, &p, &p.watch, NULL),
        STATUS_OK);
    open_page(&x, session);
    run_script(&x, session, port);
    assert_true(strlen(value_of(command(&x, 6, session, "Page.captureScreenshot", "{}"), "data")) >
                400);
    assert_true(strlen(value_of(command(&x, 7, session, "Page.printToPDF", "{}"), "data")) > 400);
    download(&x, session);
    if (!report) /* the observer is one more process between */
        check_renderers(&x, 1);
    crash_renderer(&x, session);
    assert_true(p.requests >= 6);
    assert_int_equal(accept(tcp, NULL, NULL), -1); /* nothing came but through the proxy */
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(recv(udp, text, sizeof(text), 0), -1);
    loop_watch_close(&p.watch);
    reaper_child_stop(x.child, 5000);
    assert_true(member_wait_gone(&x, SLOW_MS));
    member_close(&x);
    members_close(&m);
    close(tcp);
    close(udp);
}

static void work_of(const char *name)
{
    char path[256];

    if (!member_browser(name))
        test_skip("%s is not installed", name);
    snprintf(path, sizeof(path), "%s", member_browser(name));
    work(path, NULL);
}

static void test_headless_shell(void **state)
{
    (void)state;
    work_of("chromium-headless-shell");
}

static void test_chromium(void **state)
{
    (void)state;
    work_of("chromium");
}

/* --- out of memory --- */

static void attach(struct member *x, char session[64])
{
    char params[256];

    snprintf(params, sizeof(params), "{\"targetId\":\"%s\",\"flatten\":true}",
             value_of(command(x, 1, "", "Target.createTarget", "{\"url\":\"about:blank\"}"),
                      "targetId"));
    snprintf(session, 64, "%s",
             value_of(command(x, 2, "", "Target.attachToTarget", params), "sessionId"));
    command(x, 3, session, "Inspector.enable", "{}");
}

/* Ends a renderer by `script` or by Page.crash; the browser lives on. Tells what the reaper says.
 */
static struct reaper_exit end_renderer(const char *method, const char *params)
{
    const char *argv[] = {member_browser("chromium-headless-shell"), MEMBER_BROWSER_ARGS, NULL};
    struct reaper_spec s = {
        .name = "browser", .kind = REAPER_BROWSER, .argv = argv, .memory_max_bytes = 400u << 20};
    char session[64], text[512];
    struct members m;
    struct member x;
    struct reaper_exit end;

    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, true);
    if (!member_wait_started(&x, SLOW_MS))
        fail_msg("%s", err_text(&x.exit.err));
    assert_true((x.started.layers & BIT(CGROUP)) != 0);
    attach(&x, session);
    snprintf(text, sizeof(text), "{\"id\":9,\"sessionId\":\"%s\",\"method\":\"%s\",\"params\":%s}",
             session, method, params);
    member_say(&x, text);
    assert_true(member_hear(&x, "Inspector.targetCrashed", SLOW_MS));
    command(&x, 10, "", "Browser.getVersion", "{}");
    reaper_child_stop(x.child, 5000);
    assert_true(member_wait_gone(&x, SLOW_MS));
    end = x.exit;
    member_close(&x);
    members_close(&m);
    return end;
}

static bool has_memory_limits(void)
{
    struct reaper_level level;
    struct members m;

    members_open(&m, NULL, NULL, 0);
    assert_int_equal(reaper_level(m.reaper, &level, NULL), STATUS_OK);
    members_close(&m);
    return (level.layers & BIT(CGROUP)) != 0;
}

static void test_out_of_memory_is_no_crash(void **state)
{
    struct reaper_exit x;

    (void)state;
    if (!member_browser("chromium-headless-shell"))
        test_skip("chromium-headless-shell is not installed");
    if (!has_memory_limits())
        test_skip("no cgroup limits here");
    x = end_renderer("Runtime.evaluate",
                     "{\"expression\":\"const a = []; for (let i = 0; i < 1500; i++) "
                     "a.push(new Uint8Array(1 << 20).fill(1)); a.length\"}");
    assert_true(x.oom);
    assert_int_equal(x.cause, REAPER_CAUSE_ASKED); /* the browser itself ended well */
    x = end_renderer("Page.crash", "{}");
    assert_false(x.oom);
    assert_int_equal(x.cause, REAPER_CAUSE_ASKED);
}

/* --- what the filter refuses --- */

enum { ANY = INT32_MIN };

static const struct {
    const char *call;
    int32_t arg; /* the first; ANY */
    const char *reason;
} explained[] = {
    {"clone3", ANY, "glibc goes on with clone, whose flags a filter can look at"},
    {"socket", AF_NETLINK,
     "the list of network interfaces: WebRTC finds none, and tells no address"},
    {"ptrace", PTRACE_ATTACH, "the full browser's crash handler, to dump a renderer that crashed"},
    {"landlock_create_ruleset", ANY, "asks which Landlock there is; the reaper's holds already"},
};

static bool is_explained(const char *call, int32_t arg)
{
    for (size_t i = 0; i < ARRAY_LEN(explained); i++)
        if (strcmp(explained[i].call, call) == 0 &&
            (explained[i].arg == ANY || explained[i].arg == arg))
            return true;
    return false;
}

static void check_denials(char *lines)
{
    unsigned unexplained = 0, total = 0;

    for (char *at = strstr(lines, "denied "); at; at = strstr(at + 1, "denied ")) {
        int nr, arg, error;
        unsigned n;
        char *call;

        if (sscanf(at, "denied %d %d %d %u", &nr, &arg, &error, &n) != 4)
            continue;
        call = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), nr);
        print_message("%s %s(%d, ...): %s, %u times\n",
                      is_explained(call ? call : "", arg) ? "explained:  " : "unexplained:",
                      call ? call : "?", arg, strerror(error), n);
        unexplained += !is_explained(call ? call : "", arg);
        total += n;
        free(call);
    }
    print_message("%u refusals, %u kinds without an explanation\n", total, unexplained);
    assert_int_equal(unexplained, 0);
}

static void observe(const char *name)
{
    int report[2];
    char path[256], *lines = calloc(1, REPORT_MAX);
    size_t len = 0;
    ssize_t n;

    if (!member_browser(name)) {
        free(lines);
        test_skip("%s is not installed", name);
    }
    assert_non_null(lines);
    snprintf(path, sizeof(path), "%s", member_browser(name));
    assert_int_equal(pipe2(report, O_CLOEXEC), 0);
    assert_true(fcntl(report[1], F_SETPIPE_SZ, REPORT_MAX) > 0); /* nobody reads until the end */
    work(path, report);
    close(report[1]);
    while (len < REPORT_MAX - 1 && (n = read(report[0], lines + len, REPORT_MAX - 1 - len)) > 0)
        len += (size_t)n;
    close(report[0]);
    assert_non_null(strstr(lines, "observed all"));
    check_denials(lines);
    free(lines);
}

static void test_refusals_to_headless_shell(void **state)
{
    (void)state;
    observe("chromium-headless-shell");
}

static void test_refusals_to_chromium(void **state)
{
    (void)state;
    observe("chromium");
}

/* Inside: argv is the browser's. */
static int be_the_observer(char **argv)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (filter_compile(FILTER_BROWSER, &b, NULL) != STATUS_OK)
        return 119;
    bpf_observe((const struct sock_filter *)(const void *)b.ptr, b.len / sizeof(struct sock_filter),
                argv, STDERR_FILENO);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headless_shell),
        cmocka_unit_test(test_chromium),
        cmocka_unit_test(test_out_of_memory_is_no_crash),
        cmocka_unit_test(test_refusals_to_headless_shell),
        cmocka_unit_test(test_refusals_to_chromium),
    };

    if (argc > 2 && strcmp(argv[1], "--observe") == 0)
        return be_the_observer(argv + 2);
    return cmocka_run_group_tests_name("browsers in all layers", tests, NULL, NULL);
}
