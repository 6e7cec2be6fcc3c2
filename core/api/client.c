#include "core/api/client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/api/listener.h"
#include "core/base/clock.h"
#include "core/base/file.h"

enum { PART = 64 * 1024 };

struct call {
    const struct client_request *q;
    int fd;
    uint64_t by_ms;
    struct buf in;
};

/* --- bytes --- */

static uint64_t now_ms(void)
{
    return clock_mono_ms(clock_system());
}

static enum status wait_for(const struct call *c, short events, struct err *e)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    uint64_t now = now_ms();
    int n = now >= c->by_ms ? 0 : poll(&p, 1, (int)(c->by_ms - now));

    if (n > 0 || (n < 0 && errno == EINTR))
        return STATUS_OK;
    if (n < 0)
        return err_set_errno(e, STATUS_IO, errno, "poll");
    return err_set(e, STATUS_TIMEOUT, "%s: the engine did not answer in time", c->q->socket);
}

/* What the engine does not want to read any more does not matter: its answer tells. */
static enum status send_all(const struct call *c, struct str s, struct err *e)
{
    while (s.len > 0) {
        ssize_t n = send(c->fd, s.ptr, s.len, MSG_NOSIGNAL);
        enum status st;

        if (n >= 0) {
            s = str_skip(s, (size_t)n);
            continue;
        }
        if (errno == EPIPE || errno == ECONNRESET)
            return STATUS_OK;
        if (errno != EAGAIN && errno != EINTR)
            return err_set_errno(e, STATUS_IO, errno, "%s", c->q->socket);
        st = wait_for(c, POLLOUT, e);
        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* Until the engine closes, which it does after each answer. */
static enum status read_all(struct call *c, struct err *e)
{
    for (;;) {
        char *room = buf_reserve(&c->in, PART);
        ssize_t n;
        enum status st;

        if (!room)
            return err_set(e, STATUS_TOO_LARGE, "%s: an answer of more than %d bytes", c->q->socket,
                           (int)CLIENT_REPLY_MAX);
        n = read(c->fd, room, PART);
        if (n > 0) {
            buf_commit(&c->in, (size_t)n);
            continue;
        }
        if (n == 0 || errno == ECONNRESET)
            return STATUS_OK;
        if (errno != EAGAIN && errno != EINTR)
            return err_set_errno(e, STATUS_IO, errno, "%s", c->q->socket);
        st = wait_for(c, POLLIN, e);
        if (st != STATUS_OK)
            return st;
    }
}

/* --- the answer --- */

bool client_header(const struct client_reply *r, const char *name, char *out, size_t size)
{
    struct str rest = buf_str(&r->head);

    while (rest.ptr) {
        struct str value = str_cut(&rest, '\n'), have = str_cut(&value, ':');

        if (!value.ptr || !str_eq_nocase(have, str_from(name)))
            continue;
        value = str_trim(value);
        if (value.len >= size)
            return false;
        memcpy(out, value.ptr, value.len);
        out[value.len] = '\0';
        return true;
    }
    return false;
}

static enum status split(struct call *c, struct client_reply *out, struct err *e)
{
    struct str all = buf_str(&c->in);
    ptrdiff_t end = str_find(all, STR("\r\n\r\n"));
    uint64_t code, length;
    char text[32];

    if (end < 0)
        return err_set(e, all.len == 0 ? STATUS_CLOSED : STATUS_PROTOCOL,
                       "%s: the engine closed the connection without an answer", c->q->socket);
    buf_add(&out->head, all.ptr, (size_t)end + 2);
    buf_addstr(&out->body, str_skip(all, (size_t)end + 4));
    if (!str_starts(all, STR("HTTP/1.")) || all.len < 13 ||
        !str_to_u64(str_n(all.ptr + 9, 3), 999, &code))
        return err_set(e, STATUS_PROTOCOL, "%s: no answer of an engine", c->q->socket);
    out->code = (unsigned)code;
    if (client_header(out, "content-length", text, sizeof(text)) &&
        (!str_to_u64(str_from(text), UINT64_MAX, &length) || length != out->body.len))
        return err_set(e, STATUS_CLOSED, "%s: %zu of %s bytes of the answer came", c->q->socket,
                       out->body.len, text);
    return STATUS_OK;
}

/* {"error":{"code","message"}} as the error it was. */
static enum status refusal(const struct client_request *q, struct client_reply *r, struct err *e)
{
    struct json *j = json_parse(buf_str(&r->body), false, NULL);
    const struct json *error = json_get(j, "error");
    const char *code = json_str(json_get(error, "code"), NULL);
    const char *message = json_str(json_get(error, "message"), NULL);
    enum status s;

    if (code && message && status_find(code, &s) && s != STATUS_OK) {
        s = err_set(e, s, "%s", message);
        if (json_get(error, "errors"))
            r->errors = json_dup(json_get(error, "errors"));
    } else {
        s = err_set(e, STATUS_PROTOCOL, "%s: %s %s was answered %u", q->socket, q->method, q->path,
                    r->code);
    }
    json_destroy(&j);
    return s;
}

struct json *client_json(const struct client_reply *r, struct err *e)
{
    struct json *j = json_parse(buf_str(&r->body), false, e);

    if (!j && e)
        e->status = STATUS_PROTOCOL;
    return j;
}

void client_reply_deinit(struct client_reply *r)
{
    buf_deinit(&r->body);
    buf_deinit(&r->head);
    json_destroy(&r->errors);
}

/* --- the call --- */

static enum status connect_to(const char *socket, int *fd, struct err *e)
{
    struct err why = ERR_INIT;
    enum status s = unix_connect(socket, fd, NULL, &why);

    if (s == STATUS_OK)
        return file_nonblock(*fd, e);
    if (s == STATUS_NOT_FOUND || s == STATUS_UNAVAILABLE)
        return err_set(e, STATUS_ENVIRONMENT,
                       "no engine runs here (looked for %s): start one with \"fleet serve\"",
                       socket);
    if (e)
        *e = why;
    return s;
}

bool client_is_there(const char *socket)
{
    int fd;

    if (unix_connect(socket, &fd, NULL, NULL) != STATUS_OK)
        return false;
    close(fd);
    return true;
}

static enum status exchange_bytes(struct call *c, struct err *e)
{
    const struct client_request *q = c->q;
    struct buf head = BUF_INIT(BUF_MAX_LINE);
    enum status s;

    buf_addf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", q->method,
             q->path);
    if (q->key)
        buf_addf(&head, "Idempotency-Key: %s\r\n", q->key);
    if (q->body.len > 0)
        buf_adds(&head, "Content-Type: application/json\r\n");
    if (q->body.len > 0 || strcmp(q->method, "GET") != 0)
        buf_addf(&head, "Content-Length: %zu\r\n", q->body.len);
    buf_adds(&head, "\r\n");
    s = buf_status(&head);
    if (s == STATUS_OK)
        s = send_all(c, buf_str(&head), e);
    else
        s = err_set(e, STATUS_TOO_LARGE, "%s: a request's head of more than %d bytes", q->socket,
                    (int)BUF_MAX_LINE);
    if (s == STATUS_OK)
        s = send_all(c, q->body, e);
    buf_deinit(&head);
    return s == STATUS_OK ? read_all(c, e) : s;
}

enum status client_call(const struct client_request *q, struct client_reply *out, struct err *e)
{
    struct call c = {
        .q = q,
        .fd = -1,
        .by_ms = now_ms() + (q->timeout_ms ? q->timeout_ms : CLIENT_TIMEOUT_MS),
    };
    enum status s = connect_to(q->socket, &c.fd, e);

    *out = (struct client_reply){0};
    buf_init(&out->body, CLIENT_REPLY_MAX);
    buf_init(&out->head, BUF_MAX_LINE);
    buf_init(&c.in, CLIENT_REPLY_MAX);
    if (s == STATUS_OK)
        s = exchange_bytes(&c, e);
    if (s == STATUS_OK)
        s = split(&c, out, e);
    if (s == STATUS_OK && (out->code < 200 || out->code > 299))
        s = refusal(q, out, e);
    if (c.fd >= 0)
        close(c.fd);
    buf_deinit(&c.in);
    return s;
}
