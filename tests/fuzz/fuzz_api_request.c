/* Any bytes on a connection of the server: it ends, answers at most what it was asked, and the
 * loop does not turn for ever. What comes after a byte 0xff is sent once the rest was dealt with,
 * so that requests and frames come in parts. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "core/api/http_internal.h"

enum { TURNS_MAX = 2000, ARRIVES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
    struct loop *loop;
    struct server *server;
} f;

static void on_echo(struct exchange *x, void *arg)
{
    struct err e = ERR_INIT;
    struct json *j = exchange_json(x, &e);
    uint64_t n;

    (void)arg;
    if (exchange_query_u64(x, "n", 1, 9, 5, &n, &e) == STATUS_OK && (n < 1 || n > 9))
        abort();
    (void)exchange_token(x);
    json_destroy(&j);
    exchange_answer(x, 200, "text/plain", exchange_body(x));
}

static void on_message(void *arg, struct ws *w, struct str m, bool binary)
{
    (void)arg;
    if (!binary && !str_is_utf8(m))
        abort();
    (void)!ws_send_binary(w, m);
}

static void on_socket(struct exchange *x, void *arg)
{
    const struct ws_opts o = {.on_message = on_message, .message_max = 4096};

    (void)arg;
    (void)exchange_accept(x, &o);
}

static const struct route routes[] = {
    {.method = HTTP_POST, .pattern = "/e/{id}", .fn = on_echo},
    {.method = HTTP_GET, .pattern = "/e/{rest*}", .fn = on_echo},
    {.method = HTTP_GET, .pattern = "/w", .fn = on_socket, .upgrade = true},
    {.pattern = NULL},
};

static void set_up(void)
{
    const struct server_opts o = {
        .routes = routes, .body_max = 1000, .request_ms = 60000, .connections_max = 8};
    struct server_opts with_loop = o;

    if (loop_create(&f.loop, NULL, NULL) != STATUS_OK)
        abort();
    with_loop.loop = f.loop;
    if (server_open(&with_loop, &f.server, NULL) != STATUS_OK)
        abort();
}

/* Turns until nothing comes back any more. */
static void settle(int fd)
{
    char sink[4096];

    for (int quiet = 0, n = 0; quiet < 4 && n < TURNS_MAX; n++) {
        ssize_t got;

        loop_run_once(f.loop, 0);
        got = recv(fd, sink, sizeof(sink), MSG_DONTWAIT);
        if (got == 0)
            return;
        quiet = got > 0 ? 0 : quiet + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fds[2];

    if (!f.loop)
        set_up();
    if (size > 8192 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return 0;
    http_conn_open(f.server, fds[0]);
    for (int part = 0; size > 0 && part < ARRIVES_MAX; part++) {
        const uint8_t *cut = memchr(data, 0xff, size);
        size_t n = cut ? (size_t)(cut - data) : size;

        (void)!send(fds[1], data, n, MSG_NOSIGNAL);
        settle(fds[1]);
        n += cut != NULL;
        data += n;
        size -= n;
    }
    close(fds[1]);
    for (int i = 0; i < TURNS_MAX && server_connections(f.server) > 0; i++)
        loop_run_once(f.loop, i < 100 ? 0 : 1);
    if (server_connections(f.server) > 0)
        abort(); /* a client that has gone keeps nothing */
    return 0;
}
