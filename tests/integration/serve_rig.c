#include "tests/integration/serve_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "core/api/client.h"
#include "core/api/listener.h"
#include "tests/support/child.h"
#include "tests/support/testing.h"

enum { DEADLINE_MS = 15000 };
#define SOCKET ".fleet/run/control.sock"

struct serve_rig rig;

static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    (void)arg;
    a->status = strcmp(q->path, "/robots.txt") == 0 ? 404
                : strncmp(q->path, "/500", 4) == 0  ? 500
                                                    : 200;
    a->body = "<title>page</title>";
    a->delay_ms = a->status == 200 ? rig.delay_ms : 0;
}

int rig_up(void **state)
{
    static const char config[] =
        "{\"name\":\"engine\",\"members\":{\"count\":4},\"slots\":4,\"limits\":{\"max_requests\":"
        "1000,\"robots\":false},\"policy\":{\"private_networks\":true},\"retry\":{\"max\":1,"
        "\"base_ms\":10,\"cap_ms\":20}}";

    (void)state;
    rig = (struct serve_rig){.dir = test_mkdir()};
    rig.server = httpd_start(NULL, 0, answer, NULL);
    assert_int_equal(chdir(rig.dir), 0);
    unsetenv("FLEET_STATE_DIR");
    test_write_file("engine.json", config, strlen(config));
    return 0;
}

int rig_down(void **state)
{
    (void)state;
    if (rig.pid) { /* the case failed */
        kill(rig.pid, SIGKILL);
        waitpid(rig.pid, NULL, 0);
    }
    httpd_stop(&rig.server);
    assert_int_equal(chdir(".."), 0);
    test_rmdir(&rig.dir);
    return 0;
}

/* --- processes --- */

static void take(const char *path, char *out, size_t size)
{
    char *text = test_read_file(path, NULL);

    snprintf(out, size, "%s", text);
    free(text);
}

int run(const char *words)
{
    int code = child_wait(child_program("fleet-core", words, "out.txt", "err.txt"), DEADLINE_MS);

    take("out.txt", rig.out, sizeof(rig.out));
    take("err.txt", rig.err, sizeof(rig.err));
    return code;
}

bool out_has(const char *text)
{
    return strstr(rig.out, text) != NULL;
}

bool err_has(const char *text)
{
    return strstr(rig.err, text) != NULL;
}

size_t count_lines(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static bool has_started(void *arg)
{
    (void)arg;
    take("serve.out", rig.out, sizeof(rig.out));
    return strchr(rig.out, '\n') != NULL;
}

void serve_start(const char *options)
{
    char words[512];

    snprintf(words, sizeof(words), "serve --json --config engine.json %s", options ? options : "");
    (void)unlink("serve.out");
    rig.pid = child_program("fleet-core", words, "serve.out", "serve.err");
    /* the file is made by the child */
    while (access("serve.out", F_OK) != 0)
        test_sleep_ms(5);
    if (!test_wait_until(has_started, NULL, DEADLINE_MS)) {
        take("serve.err", rig.err, sizeof(rig.err));
        fail_msg("serve did not start: %s", rig.err);
    }
}

int serve_wait(void)
{
    pid_t pid = rig.pid;

    rig.pid = 0;
    return child_wait(pid, DEADLINE_MS);
}

void serve_kill(void)
{
    kill(rig.pid, SIGKILL);
    assert_int_equal(serve_wait(), -SIGKILL);
}

void serve_end(int signum, int code)
{
    int got;

    kill(rig.pid, signum);
    got = serve_wait();
    take("serve.err", rig.err, sizeof(rig.err));
    if (got != code)
        fail_msg("serve ended with %d, expected %d: %s", got, code, rig.err);
}

/* --- requests --- */

static char *ask_key(const char *method, const char *path, struct str body, const char *key,
                     unsigned code)
{
    const struct client_request q = {
        .socket = SOCKET, .method = method, .path = path, .key = key, .body = body};
    struct client_reply r;
    struct err e = ERR_INIT;
    enum status s = client_call(&q, &r, &e);
    char *text;

    if (r.code != code)
        fail_msg("%s %s: %u %s, expected %u: %s %s", method, path, r.code, status_name(s), code,
                 err_text(&e), buf_str(&r.body).ptr);
    text = xstrdup(buf_str(&r.body).ptr);
    client_reply_deinit(&r);
    return text;
}

char *ask_text(const char *method, const char *path, const char *body, unsigned code)
{
    return ask_key(method, path, str_from(body), NULL, code);
}

static struct json *parse(char *text)
{
    struct json *j = json_parse(str_from(text), true, NULL);

    assert_non_null(j);
    free(text);
    return j;
}

struct json *ask(const char *method, const char *path, const char *body, unsigned code)
{
    return parse(ask_text(method, path, body, code));
}

struct json *submit_rows(unsigned n, const char *path, const char *key, unsigned code)
{
    struct buf body = BUF_INIT(1u << 20);
    char *text;

    buf_adds(&body, "{\"name\":\"rows\",\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":"
                    "\"{{url}}\",\"name\":\"r\"}]},\"targets\":[");
    for (unsigned i = 0; i < n; i++)
        buf_addf(&body, "%s\"http://127.0.0.1:%u%s/%u\"", i ? "," : "", httpd_port(rig.server),
                 path, i);
    buf_adds(&body, "]}");
    text = ask_key("POST", "/v1/batches", buf_str(&body), key, code);
    buf_deinit(&body);
    return parse(text);
}

const char *text_of(const struct json *j, const char *name)
{
    return json_str(json_get(j, name), "");
}

struct looking {
    const char *batch, *state;
    unsigned finished;
    char seen[64];
};

static bool is_there(void *arg)
{
    struct looking *l = arg;
    char path[64];
    struct json *j;
    bool yes;

    snprintf(path, sizeof(path), "/v1/batches/%s", l->batch);
    j = ask("GET", path, "", 200);
    snprintf(l->seen, sizeof(l->seen), "%s, %.0f done", text_of(j, "state"),
             json_num(json_get(j, "finished"), 0));
    yes = l->state ? strcmp(text_of(j, "state"), l->state) == 0
                   : json_num(json_get(j, "finished"), 0) >= l->finished;
    json_destroy(&j);
    return yes;
}

void wait_over(const char *batch, const char *state)
{
    struct looking l = {.batch = batch, .state = state};

    if (!test_wait_until(is_there, &l, DEADLINE_MS))
        fail_msg("%s: %s, expected %s within %d ms", batch, l.seen, state, DEADLINE_MS);
}

void wait_finished(const char *batch, unsigned n)
{
    struct looking l = {.batch = batch, .finished = n};

    if (!test_wait_until(is_there, &l, DEADLINE_MS))
        fail_msg("%s: %s, expected %u done within %d ms", batch, l.seen, n, DEADLINE_MS);
}

void too_large(size_t n)
{
    char *body = xcalloc(1, n), *text;

    memset(body, ' ', n);
    text = ask_key("POST", "/v1/batches", str_n(body, n), NULL, 413);
    assert_non_null(strstr(text, "TOO_LARGE"));
    free(text);
    free(body);
}

/* --- raw --- */

int raw_open(void)
{
    struct err e = ERR_INIT;
    int fd;

    if (unix_connect(SOCKET, &fd, NULL, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    return fd;
}

void raw_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

char *raw_rest(int fd)
{
    struct buf b = BUF_INIT(1u << 20);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    ssize_t n = 1;

    while (n > 0) {
        char *room = buf_reserve(&b, 65536);

        assert_non_null(room);
        if (poll(&p, 1, DEADLINE_MS) != 1)
            fail_msg("no answer within %d ms", DEADLINE_MS);
        n = read(fd, room, 65536);
        if (n > 0)
            buf_commit(&b, (size_t)n);
    }
    close(fd);
    buf_addc(&b, '\0');
    return buf_take(&b, NULL);
}

unsigned raw_code(int fd)
{
    char *text = raw_rest(dup(fd));
    uint64_t code = 0;

    assert_true(strlen(text) > 12 && str_to_u64(str_n(text + 9, 3), 999, &code));
    free(text);
    return (unsigned)code;
}
