#include "proxies/side.h"

#include <errno.h>
#include <fcntl.h>

#include "proxies/vault.h"

enum { PIPE_SIZE = 512 * 1024, SPLICE_MAX = 1024 * 1024 };

void side_init(struct side *s)
{
    *s = (struct side){.wire = WIRE_INIT, .pipe = {-1, -1}};
    buf_init(&s->out, SIDE_OUT_MAX);
}

static void drop_out(struct side *s)
{
    if (s->out.ptr)
        vault_wipe(s->out.ptr, s->out.len); /* a head may hold credentials */
    buf_deinit(&s->out);
    s->out_at = 0;
}

static void shut(struct side *s)
{
    if (!s->shut)
        wire_shutdown(&s->wire);
    s->shut = true;
}

bool side_send(struct side *s, const void *p, size_t n)
{
    const char *b = p;
    ssize_t put = 0;

    if (s->shut || s->ending)
        return false;
    if (!side_is_waiting(s)) {
        put = wire_write(&s->wire, b, n);
        if (put == WIRE_AGAIN)
            put = 0;
        if (put < 0)
            return false;
    }
    if ((size_t)put < n)
        buf_add(&s->out, b + put, n - (size_t)put);
    return buf_status(&s->out) == STATUS_OK;
}

/* Writes what is in the pipe. False when the wire is broken. */
static bool flush_pipe(struct side *s)
{
    while (s->piped) {
        ssize_t n =
            splice(s->pipe[0], NULL, s->wire.fd, NULL, s->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

        if (n > 0)
            s->piped -= (size_t)n;
        else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        else if (n == 0 || errno != EINTR)
            return false;
    }
    return true;
}

static bool open_pipe(struct side *s)
{
    if (s->pipe[0] >= 0)
        return true;
    if (pipe2(s->pipe, O_NONBLOCK | O_CLOEXEC) != 0) {
        s->pipe[0] = s->pipe[1] = -1;
        return false;
    }
    (void)fcntl(s->pipe[1], F_SETPIPE_SZ, PIPE_SIZE); /* a smaller one is only slower */
    return true;
}

void side_drop_pipe(struct side *s)
{
    if (s->pipe[0] < 0 || s->piped)
        return;
    close(s->pipe[0]);
    close(s->pipe[1]);
    s->pipe[0] = s->pipe[1] = -1;
}

ssize_t side_splice(struct side *src, struct side *dst)
{
    ssize_t n;

    if (!open_pipe(dst))
        return SIDE_NO_SPLICE;
    do
        n = splice(src->wire.fd, NULL, dst->pipe[1], NULL, SPLICE_MAX,
                   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return WIRE_AGAIN;
    if (n < 0 && (errno == EINVAL || errno == ENOSYS || errno == EPERM))
        return SIDE_NO_SPLICE;
    if (n <= 0)
        return n == 0 ? WIRE_EOF : WIRE_ERROR;
    dst->piped += (size_t)n;
    return flush_pipe(dst) ? n : WIRE_ERROR;
}

bool side_flush(struct side *s)
{
    while (s->out_at < s->out.len) {
        ssize_t put = wire_write(&s->wire, s->out.ptr + s->out_at, s->out.len - s->out_at);

        if (put == WIRE_AGAIN)
            return true;
        if (put < 0)
            return false;
        s->out_at += (size_t)put;
    }
    if (s->out.len)
        drop_out(s);
    if (!flush_pipe(s))
        return false;
    if (s->piped)
        return true;
    if (s->ending)
        shut(s);
    return true;
}

void side_end(struct side *s)
{
    s->ending = true;
    if (!side_is_waiting(s))
        shut(s);
}

bool side_watch(struct side *s, struct loop *l, int events, loop_watch_fn *fn, void *arg)
{
    int real = events;

    if ((events & LOOP_READ) && s->wire.read_wants_write)
        real |= LOOP_WRITE;
    if ((events & LOOP_WRITE) && s->wire.write_wants_read)
        real = (real & ~LOOP_WRITE) | LOOP_READ;
    if (s->watch) {
        loop_watch_set(s->watch, real);
        return true;
    }
    if (!side_is_open(s))
        return true;
    return loop_watch_open(l, s->wire.fd, real, fn, arg, &s->watch, NULL) == STATUS_OK;
}

void side_close(struct side *s, bool reset)
{
    loop_watch_close(&s->watch);
    wire_close(&s->wire, reset);
    drop_out(s);
    s->piped = 0;
    side_drop_pipe(s);
    side_init(s);
}
