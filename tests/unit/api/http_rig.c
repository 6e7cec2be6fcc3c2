#include "tests/unit/api/http_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/api/listener.h"
#include "tests/support/testing.h"

enum { DEADLINE_MS = 10000, IN_MAX = 200 * 1024 * 1024 };

void rig_up(struct rig *r, struct server_opts o, bool tcp)
{
    struct err e = ERR_INIT;

    *r = (struct rig){0};
    assert_int_equal(loop_create(&r->loop, NULL, &e), STATUS_OK);
    o.loop = r->loop;
    if (!tcp) {
        size_t size;

        r->dir = test_mkdir();
        size = strlen(r->dir) + 8;
        r->path = xcalloc(1, size);
        snprintf(r->path, size, "%s/s.sock", r->dir);
        o.unix_path = r->path;
    }
    if (server_open(&o, &r->server, &e) != STATUS_OK)
        fail_msg("server_open: %s", err_text(&e));
}

void rig_turn(struct rig *r, unsigned ms)
{
    loop_run_once(r->loop, ms);
}

void rig_until(struct rig *r, const bool *flag)
{
    uint64_t by = test_now_ms() + DEADLINE_MS;

    while (!*flag) {
        if (test_now_ms() > by)
            fail_msg("what was waited for did not come within %d ms", DEADLINE_MS);
        loop_run_once(r->loop, 20);
    }
}

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

void rig_down(struct rig *r)
{
    server_close(r->server, on_closed, &r->closed);
    rig_until(r, &r->closed);
    loop_destroy(&r->loop);
    free(r->path);
    test_rmdir(&r->dir);
}

/* --- clients --- */

static void connect_tcp(struct rig *r, struct client *c)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(server_port(r->server))};

    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
}

void client_open(struct rig *r, struct client *c)
{
    struct err e = ERR_INIT;

    *c = (struct client){.fd = -1};
    buf_init(&c->in, IN_MAX);
    if (!r->path)
        connect_tcp(r, c);
    else if (unix_connect(r->path, &c->fd, NULL, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
}

void client_close(struct client *c)
{
    close(c->fd);
    buf_deinit(&c->in);
}

static void client_read(struct client *c)
{
    char *room = buf_reserve(&c->in, 65536);
    ssize_t n;

    assert_non_null(room);
    n = read(c->fd, room, 65536);
    if (n > 0)
        buf_commit(&c->in, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        c->eof = true;
}

void client_send(struct rig *r, struct client *c, const void *p, size_t n)
{
    const char *at = p;
    uint64_t by = test_now_ms() + DEADLINE_MS;

    while (n > 0) {
        ssize_t sent = send(c->fd, at, n, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN)
            return; /* the server has closed: what it said is to be read */
        if (sent > 0) {
            at += sent;
            n -= (size_t)sent;
        }
        if (test_now_ms() > by)
            fail_msg("the server did not read within %d ms", DEADLINE_MS);
        loop_run_once(r->loop, 0);
    }
}

void client_sends(struct rig *r, struct client *c, const char *text)
{
    client_send(r, c, text, strlen(text));
}

void client_until_bytes(struct rig *r, struct client *c, size_t n)
{
    uint64_t by = test_now_ms() + DEADLINE_MS;

    while (c->in.len < n) {
        if (c->eof)
            fail_msg("the server closed after %zu bytes: %.2000s", c->in.len, buf_str(&c->in).ptr);
        if (test_now_ms() > by)
            fail_msg("%zu of %zu bytes within %d ms", c->in.len, n, DEADLINE_MS);
        loop_run_once(r->loop, 1);
        client_read(c);
    }
}

void client_until_eof(struct rig *r, struct client *c)
{
    uint64_t by = test_now_ms() + DEADLINE_MS;

    while (!c->eof) {
        if (test_now_ms() > by)
            fail_msg("the server did not close within %d ms", DEADLINE_MS);
        loop_run_once(r->loop, 5);
        client_read(c);
    }
}

static size_t head_len(struct rig *r, struct client *c)
{
    ptrdiff_t end;

    while ((end = str_find(buf_str(&c->in), STR("\r\n\r\n"))) < 0)
        client_until_bytes(r, c, c->in.len + 1);
    return (size_t)end + 4;
}

static uint64_t content_length(struct str head)
{
    uint64_t n = 0;

    while (head.ptr) {
        struct str value = str_cut(&head, '\n'), name = str_cut(&value, ':');

        if (str_eq_nocase(name, STR("content-length")))
            assert_true(str_to_u64(str_trim(value), UINT64_MAX, &n));
    }
    return n;
}

unsigned client_answer(struct rig *r, struct client *c, bool head, struct buf *body)
{
    size_t n = head_len(r, c);
    struct str all = str_n(c->in.ptr, n);
    uint64_t len, code;

    assert_true(str_starts(all, STR("HTTP/1.")) && all.len > 12);
    assert_true(str_to_u64(str_n(all.ptr + 9, 3), 999, &code));
    len = head || code == 204 ? 0 : content_length(all);
    client_until_bytes(r, c, n + len);
    if (body) {
        buf_reset(body);
        buf_add(body, c->in.ptr + n, len);
    }
    buf_consume(&c->in, n + len);
    return (unsigned)code;
}

unsigned rig_ask(struct rig *r, const char *request, struct buf *body)
{
    struct client c;
    unsigned code;

    client_open(r, &c);
    client_sends(r, &c, request);
    code = client_answer(r, &c, strncmp(request, "HEAD", 4) == 0, body);
    client_close(&c);
    return code;
}

/* --- WebSockets --- */

bool client_upgrade(struct rig *r, struct client *c, const char *path)
{
    char text[1024];
    size_t n;
    bool ok;

    snprintf(text, sizeof(text),
             "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
             path);
    client_sends(r, c, text);
    n = head_len(r, c);
    ok = str_find(str_n(c->in.ptr, n), STR(" 101 ")) > 0;
    if (ok)
        buf_consume(&c->in, n);
    return ok;
}

void client_frame(struct rig *r, struct client *c, unsigned opcode, bool fin, const void *p,
                  size_t n)
{
    static const unsigned char mask[4] = {0x11, 0x22, 0x33, 0x44};
    struct buf b = BUF_INIT(IN_MAX);
    unsigned char *room;

    buf_addc(&b, (char)(opcode | (fin ? 0x80u : 0u)));
    if (n < 126) {
        buf_addc(&b, (char)(0x80 | n));
    } else {
        buf_addc(&b, (char)(0x80 | (n < 65536 ? 126 : 127)));
        for (int i = n < 65536 ? 1 : 7; i >= 0; i--)
            buf_addc(&b, (char)((uint64_t)n >> (8 * i) & 0xff));
    }
    buf_add(&b, mask, 4);
    room = (unsigned char *)buf_reserve(&b, n + 1);
    assert_non_null(room);
    for (size_t i = 0; i < n; i++)
        room[i] = (unsigned char)(((const unsigned char *)p)[i] ^ mask[i % 4]);
    buf_commit(&b, n);
    client_send(r, c, b.ptr, b.len);
    buf_deinit(&b);
}

unsigned client_take_frame(struct rig *r, struct client *c, struct buf *out)
{
    const unsigned char *p;
    size_t head = 2;
    uint64_t len;
    unsigned op;

    client_until_bytes(r, c, 2);
    p = (const unsigned char *)c->in.ptr;
    op = p[0];
    len = p[1];
    assert_true(len < 128); /* a server does not mask */
    if (len >= 126) {
        head += len == 126 ? 2 : 8;
        client_until_bytes(r, c, head);
        p = (const unsigned char *)c->in.ptr;
        len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | p[i];
    }
    client_until_bytes(r, c, head + len);
    buf_reset(out);
    buf_add(out, c->in.ptr + head, len);
    buf_consume(&c->in, head + len);
    return op;
}
