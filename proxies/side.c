#include "proxies/side.h"

#include "proxies/vault.h"

void side_init(struct side *s)
{
    *s = (struct side){.wire = WIRE_INIT};
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
    side_init(s);
}
