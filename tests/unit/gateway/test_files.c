/* Files of a lease over HTTP and by the browser's events: a lease made by hand, a process that has
 * a profile's directory, and a DevTools connection that only writes down what it is told. */
#include "browser/gateway/files.c"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Names that pages have for their own downloads. */
#define download_begins     page_download_begins
#define download_progresses page_download_progresses
#include "browser/page/page_internal.h"
#undef download_begins
#undef download_progresses

#include "tests/support/testing.h"

extern char **environ;

struct wire {
    struct transport base;
    struct buf sent;
};

static enum status wire_send(struct transport *t, struct str batch, struct err *e)
{
    (void)e;
    buf_addstr(&((struct wire *)t)->sent, batch);
    return STATUS_OK;
}

static void wire_destroy(struct transport *t)
{
    (void)t;
}

static const struct transport_ops wire_ops = {"written", wire_send, wire_destroy};

static struct {
    struct loop *loop;
    struct server *server;
    struct wire wire;
    struct gateway gateway;
    struct lease *lease;
    struct member member;
    struct identity identity;
    struct targets targets;
    struct context context;
    char *dir; /* the profile */
    pid_t browser;
} t;

static const struct route routes[] = {
    {HTTP_PUT, "/v1/leases/{id}/files/{name}", files_put, false, NULL},
    {HTTP_GET, "/v1/leases/{id}/files/{name}", files_get, false, NULL},
    {HTTP_GET, "/v1/leases/{id}/files", files_list, false, NULL},
    {HTTP_GET, NULL, NULL, false, NULL},
};

static pid_t pid_of(void *home)
{
    (void)home;
    return t.browser;
}

/* A process that is known by its profile, as Chromium is. */
static void start_browser(void)
{
    char option[4096], found[ROOM_PATH_MAX];
    char *const argv[] = {option, (char *)(uintptr_t) "60", NULL};

    t.dir = test_mkdir();
    snprintf(option, sizeof option, "--user-data-dir=%s", t.dir);
    assert_int_equal(posix_spawn(&t.browser, "/bin/sleep", NULL, NULL, argv, environ), 0);
    for (int i = 0; i < 10000 && room_profile(t.browser, found, NULL) != STATUS_OK; i++)
        usleep(1000); /* its arguments are there a moment after it is */
}

static void make_lease(void)
{
    struct lease *l = t.lease = xcalloc(1, sizeof *l);

    snprintf(l->id, sizeof l->id, "%s", "0123456789abcdef0123456789abcdef");
    l->gateway = &t.gateway;
    l->state = LEASE_CONNECTED;
    l->arena = arena_create(NULL, 0);
    l->member = &t.member;
    t.member.identity = &t.identity;
    snprintf(t.identity.id, sizeof t.identity.id, "i-1");
    list_init(&l->contexts);
    t.targets.conn = cdp_conn_create(t.loop, &t.wire.base, NULL, NULL);
    t.targets.opts.pid = pid_of;
    t.context.targets = &t.targets;
    snprintf(t.context.id, sizeof t.context.id, "C1");
    l->own.ctx = &t.context;
    l->own.begun = true;
    map_put(t.gateway.leases, str_from(l->id), l);
    files_init(l);
    files_open(l);
}

static void turn(unsigned ms)
{
    uint64_t end = test_now_ms() + ms;

    do
        loop_run_once(t.loop, 1);
    while (test_now_ms() < end);
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static int setup(void **state)
{
    struct server_opts o = {.routes = routes, .arg = &t.gateway, .body_max = 1024 * 1024};
    struct err e = ERR_INIT;

    (void)state;
    memset(&t, 0, sizeof t);
    t.wire.base.ops = &wire_ops;
    buf_init(&t.wire.sent, 1024 * 1024);
    assert_int_equal(loop_create(&t.loop, NULL, &e), STATUS_OK);
    o.loop = t.loop;
    if (server_open(&o, &t.server, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    t.gateway.deps.loop = t.loop;
    t.gateway.leases = map_create();
    start_browser();
    make_lease();
    return 0;
}

static int teardown(void **state)
{
    bool closed = false;

    (void)state;
    files_deinit(t.lease);
    assert_int_equal(t.lease->files.n, 0);
    assert_int_equal(t.lease->files.bytes, 0);
    cdp_conn_destroy(&t.targets.conn);
    server_close(t.server, on_closed, &closed);
    for (int i = 0; i < 1000 && !closed; i++)
        turn(1);
    assert_true(closed);
    arena_destroy(&t.lease->arena);
    free(t.lease);
    map_destroy(&t.gateway.leases, NULL);
    loop_destroy(&t.loop);
    kill(t.browser, SIGKILL);
    assert_int_equal(waitpid(t.browser, NULL, 0), t.browser);
    test_rmdir(&t.dir);
    buf_deinit(&t.wire.sent);
    return 0;
}

/* --- helpers --- */

static int connect_to_server(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(server_port(t.server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* One request on a connection that ends with its answer. Returns the code; the body goes to `out`.
 */
static unsigned ask(const char *method, const char *name, const char *body, struct buf *out)
{
    struct buf all = BUF_INIT(1024 * 1024);
    char request[2048], part[4096];
    int fd = connect_to_server();
    unsigned code = 0;
    ssize_t n = -1;
    const char *end;

    snprintf(request, sizeof request,
             "%s /v1/leases/%s/files%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             method, t.lease->id, name, strlen(body), body);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    for (int i = 0; i < 5000 && n != 0; i++) {
        turn(1);
        n = recv(fd, part, sizeof part, 0);
        assert_true(n >= 0 || errno == EAGAIN);
        if (n > 0)
            buf_add(&all, part, (size_t)n);
    }
    close(fd);
    assert_int_equal(n, 0);
    assert_int_equal(sscanf(all.ptr, "HTTP/1.1 %u", &code), 1);
    end = strstr(all.ptr, "\r\n\r\n");
    assert_non_null(end);
    buf_reset(out);
    buf_adds(out, end + 4);
    buf_deinit(&all);
    return code;
}

static void must(int code, const char *method, const char *name, const char *body, struct buf *out)
{
    unsigned found = ask(method, name, body, out);

    if (found != (unsigned)code)
        fail_msg("%s %s: %u, expected %d: %s", method, name, found, code, out->ptr);
}

static void hear(const char *method, const char *params)
{
    files_heard(t.lease, NULL, str_from(method), str_from(params));
}

static void begins(const char *guid, const char *name)
{
    char params[512];

    snprintf(params, sizeof params, "{\"guid\":\"%s\",\"suggestedFilename\":\"%s\",\"url\":\"\"}",
             guid, name);
    hear("Browser.downloadWillBegin", params);
}

static void progresses(const char *guid, const char *state, const char *bytes)
{
    char params[512];

    snprintf(params, sizeof params, "{\"guid\":\"%s\",\"state\":\"%s\",\"receivedBytes\":%s}", guid,
             state, bytes);
    hear("Browser.downloadProgress", params);
}

/* What the browser wrote under `file` in the lease's directory. */
static void write_inside(const char *dir, const char *file, const char *text)
{
    char path[ROOM_PATH_MAX + 64];

    (void)mkdir(dir, 0755);
    snprintf(path, sizeof path, "%s/%s", dir, file);
    test_write_file(path, text, strlen(text));
}

static bool was_told(const char *what)
{
    turn(5);
    return t.wire.sent.len > 0 &&
           memmem(t.wire.sent.ptr, t.wire.sent.len, what, strlen(what)) != NULL;
}

/* --- names --- */

static void test_names(void **state)
{
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"notes of May.txt", "notes of May.txt"},
        {"", "file"},
        {".", "_"},
        {"..", "_."},
        {".hidden", "_hidden"},
        {"../../etc/passwd", "_._.._etc_passwd"},
        {"a/b\\c", "a_b_c"},
        {"tab\tline\nend\x7f", "tab_line_end_"},
        {"\xc3\xa4rger \xe2\x98\x82.txt", "\xc3\xa4rger \xe2\x98\x82.txt"},
        {"\xff\xfe.bin", "__.bin"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[FILE_NAME_MAX + 1];

        clean_name(cases[i].from, out);
        assert_string_equal(out, cases[i].to);
    }
}

/* A long one is cut, and not within a character. */
static void test_long_names(void **state)
{
    (void)state;
    for (size_t before = FILE_NAME_MAX - 3; before <= FILE_NAME_MAX; before++) {
        char from[FILE_NAME_MAX * 2] = "", out[FILE_NAME_MAX + 1];

        memset(from, 'a', before);
        snprintf(from + before, sizeof from - before, "\xe2\x98\x82%s", "rest of it");
        clean_name(from, out);
        assert_true(strlen(out) <= FILE_NAME_MAX);
        assert_true(str_is_utf8(str_from(out)));
        assert_int_equal(strncmp(out, from, strlen(out)), 0);
    }
}

static void test_guids(void **state)
{
    (void)state;
    assert_true(is_guid("0f8fad5b-d9cb-469f-a165-70867728950e"));
    assert_false(is_guid(""));
    assert_false(is_guid("../up"));
    assert_false(is_guid("0f8f/ad5b"));
    assert_false(is_guid("0000000000000000000000000000000000000000000000000000"));
}

/* --- over HTTP --- */

static void test_put_and_get(void **state)
{
    struct buf b = BUF_INIT(1024 * 1024);
    char path[ROOM_PATH_MAX + 32];

    (void)state;
    must(201, "PUT", "/a%20b.txt", "hello", &b);
    snprintf(path, sizeof path, "%s/fleet-up-0123456789abcdef/a b.txt", t.dir);
    assert_non_null(strstr(b.ptr, path));
    assert_non_null(strstr(b.ptr, "\"bytes\":5"));
    assert_true(t.lease->scope.has_upload(t.lease, "a b.txt"));
    assert_false(t.lease->scope.has_upload(t.lease, "a b.tx"));
    must(200, "GET", "/a%20b.txt", "", &b);
    assert_string_equal(b.ptr, "hello");
    must(201, "PUT", "/a%20b.txt", "anew!!", &b);
    assert_int_equal(t.lease->files.n, 1);
    assert_int_equal(t.lease->files.bytes, 6);
    must(200, "GET", "", "", &b);
    assert_non_null(strstr(b.ptr, "{\"name\":\"a b.txt\",\"kind\":\"upload\",\"guid\":null,"
                                  "\"bytes\":6,\"done\":true}"));
    must(404, "GET", "/none", "", &b);
    assert_int_equal(t.lease->n_making, 0);
    buf_deinit(&b);
}

static void test_bounds(void **state)
{
    struct buf b = BUF_INIT(1024 * 1024);
    struct lease_file *f;

    (void)state;
    f = file_add(t.lease, true, "large");
    file_resize(t.lease, f, GATEWAY_FILES_MAX);
    must(status_http(STATUS_TOO_LARGE), "PUT", "/more", "x", &b);
    assert_int_equal(t.lease->files.n, 1);
    must(201, "PUT", "/large", "small now", &b); /* in its place */
    assert_int_equal(t.lease->files.bytes, 9);
    for (unsigned i = 1; i < FILES_MAX; i++)
        file_add(t.lease, true, "many");
    must(status_http(STATUS_TOO_LARGE), "PUT", "/one-more", "x", &b);
    assert_non_null(strstr(b.ptr, "256 files already"));
    must(201, "PUT", "/large", "again", &b);
    buf_deinit(&b);
}

/* What could not be written is no file of the lease. */
static void test_a_browser_that_went(void **state)
{
    struct buf b = BUF_INIT(1024 * 1024);

    (void)state;
    kill(t.browser, SIGKILL);
    while (waitpid(t.browser, NULL, 0) != t.browser)
        ;
    must(status_http(STATUS_ENVIRONMENT), "PUT", "/a.txt", "hello", &b);
    assert_int_equal(t.lease->files.n, 0);
    assert_false(t.lease->scope.has_upload(t.lease, "a.txt"));
    t.lease->lost = true;
    must(status_http(STATUS_UNAVAILABLE), "PUT", "/a.txt", "hello", &b);
    assert_non_null(strstr(b.ptr, "its browser ended"));
    buf_deinit(&b);
    test_rmdir(&t.dir);
    start_browser();
}

/* --- downloads --- */

static void test_a_download(void **state)
{
    static const char guid[] = "11111111-2222-3333-4444-555555555555";
    struct buf b = BUF_INIT(1024 * 1024);

    (void)state;
    begins(guid, "../re\\\\port.csv");
    must(status_http(STATUS_BUSY), "GET", "/11111111-2222-3333-4444-555555555555", "", &b);
    assert_non_null(strstr(b.ptr, "it is not finished"));
    progresses(guid, "inProgress", "3");
    assert_int_equal(t.lease->files.bytes, 3);
    write_inside(t.lease->scope.downloads_dir, guid, "a,b\n");
    progresses(guid, "completed", "4");
    progresses(guid, "inProgress", "99"); /* late: it is done */
    assert_int_equal(t.lease->files.bytes, 4);
    must(200, "GET", "/11111111-2222-3333-4444-555555555555", "", &b);
    assert_string_equal(b.ptr, "a,b\n");
    must(200, "GET", "/_._re_port.csv", "", &b);
    assert_string_equal(b.ptr, "a,b\n");
    buf_deinit(&b);
}

static void test_two_of_one_name(void **state)
{
    struct buf b = BUF_INIT(1024 * 1024);

    (void)state;
    begins("aa-1", "x.txt");
    begins("aa-2", "x.txt");
    begins("aa-2", "told twice");
    assert_int_equal(t.lease->files.n, 2);
    write_inside(t.lease->scope.downloads_dir, "aa-1", "first");
    write_inside(t.lease->scope.downloads_dir, "aa-2", "second");
    progresses("aa-1", "completed", "5");
    progresses("aa-2", "completed", "6");
    must(200, "GET", "/x.txt", "", &b);
    assert_string_equal(b.ptr, "second");
    must(200, "GET", "/aa-1", "", &b);
    assert_string_equal(b.ptr, "first");
    buf_deinit(&b);
}

/* Page.setDownloadBehavior tells of nothing: the file has its name, and is there. A link is not
 * followed out of the directory. */
static void test_what_nobody_told_of(void **state)
{
    struct buf b = BUF_INIT(1024 * 1024);
    char path[ROOM_PATH_MAX + 32];

    (void)state;
    write_inside(t.lease->scope.downloads_dir, "silent.txt", "here");
    must(200, "GET", "/silent.txt", "", &b);
    assert_string_equal(b.ptr, "here");
    snprintf(path, sizeof path, "%s/link", t.lease->scope.downloads_dir);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_true(ask("GET", "/link", "", &b) >= 400);
    assert_true(ask("GET", "/..%2f..%2fx", "", &b) >= 400);
    buf_deinit(&b);
}

static void test_cancelled_and_too_large(void **state)
{
    (void)state;
    begins("bb-1", "a");
    progresses("bb-1", "canceled", "10");
    assert_int_equal(t.lease->files.n, 0);
    begins("bb-2", "b");
    progresses("bb-2", "inProgress", "104857601");
    assert_true(was_told("\"method\":\"Browser.cancelDownload\""));
    assert_true(was_told("{\"browserContextId\":\"C1\",\"guid\":\"bb-2\"}"));
    progresses("bb-2", "canceled", "104857601");
    assert_int_equal(t.lease->files.bytes, 0);
    for (unsigned i = 0; i < FILES_MAX; i++)
        file_add(t.lease, true, "many");
    begins("bb-3", "c");
    assert_int_equal(t.lease->files.n, FILES_MAX);
    assert_true(was_told("\"guid\":\"bb-3\""));
}

/* Events are foreign bytes. */
static void test_events_that_are_none(void **state)
{
    static const char *const params[] = {"",
                                         "{",
                                         "[]",
                                         "{}",
                                         "{\"guid\":5}",
                                         "{\"guid\":\"../x\",\"suggestedFilename\":\"x\"}",
                                         "{\"guid\":\"\",\"state\":\"completed\"}",
                                         "{\"guid\":\"cc-9\",\"state\":\"completed\"}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        hear("Browser.downloadProgress", params[i]);
        if (i + 1 < ARRAY_LEN(params))
            hear("Browser.downloadWillBegin", params[i]);
    }
    assert_int_equal(t.lease->files.n, 0);
    begins("cc-1", "x");
    progresses("cc-1", "inProgress", "-5");
    progresses("cc-1", "inProgress", "1e300");
    assert_int_equal(t.lease->files.bytes, 0);
    hear("Page.frameNavigated", "{}");
}

/* --- the end --- */

static void test_closing_clears(void **state)
{
    struct buf b = BUF_INIT(1024 * 1024);
    struct stat st;

    (void)state;
    must(201, "PUT", "/a.txt", "hello", &b);
    assert_int_equal(stat(t.lease->scope.uploads_dir, &st), 0);
    files_close(t.lease);
    assert_true(
        was_told("{\"browserContextId\":\"C1\",\"behavior\":\"deny\",\"eventsEnabled\":true}"));
    for (int i = 0; i < 500 && t.lease->n_making > 0; i++)
        turn(10);
    assert_int_equal(t.lease->n_making, 0);
    assert_int_equal(stat(t.lease->scope.uploads_dir, &st), -1);
    buf_deinit(&b);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_names),
        CASE(test_long_names),
        CASE(test_guids),
        CASE(test_put_and_get),
        CASE(test_bounds),
        CASE(test_a_browser_that_went),
        CASE(test_a_download),
        CASE(test_two_of_one_name),
        CASE(test_what_nobody_told_of),
        CASE(test_cancelled_and_too_large),
        CASE(test_events_that_are_none),
        CASE(test_closing_clears),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
