#include "proxies/forward_internal.h"

enum { SIDE_CALM = 16 * 1024 }; /* a splice of less ends the haste */

/* Both directions have ended and nothing waits. */
static void end_if_over(struct conn *c)
{
    if (c->down.eof && c->up.eof && !side_is_waiting(&c->down) && !side_is_waiting(&c->up))
        conn_kill(c, false);
}

/* Bytes that came from the browser before the tunnel stood. */
static bool send_early(struct conn *c)
{
    bool ok = true;

    if (c->in.len) {
        conn_count(c, 0, c->in.len);
        ok = side_send(&c->up, c->in.ptr, c->in.len);
    }
    buf_deinit(&c->in);
    c->scanned = 0;
    return ok;
}

void tunnel_start(struct conn *c)
{
    c->state = CONN_TUNNEL;
    c->f->stats.tunnels++;
    exchange_destroy(&c->x);
    if (!send_early(c)) {
        conn_kill(c, true);
        return;
    }
    tunnel_from_up(c); /* a server that speaks first may have spoken */
}

/* One read and what becomes of it, as wire_read. */
static ssize_t copy_once(struct conn *c, struct side *src, struct side *dst)
{
    struct forward_run *f = c->f;
    ssize_t n = wire_read(&src->wire, f->scratch, SCRATCH_SIZE);

    src->full = n == SCRATCH_SIZE ? src->full + 1 : 0;
    if (n > 0 && !side_send(dst, f->scratch, (size_t)n))
        return WIRE_ERROR;
    return n;
}

/* A stream that fills every read goes through a pipe of the kernel instead of through our memory,
 * until it calms down. */
static ssize_t move_once(struct conn *c, struct side *src, struct side *dst)
{
    ssize_t n = SIDE_NO_SPLICE;

    if (src->full >= SIDE_FULL_READS && !src->wire.tls && !dst->wire.tls)
        n = side_splice(src, dst);
    else
        side_drop_pipe(dst);
    if (n == SIDE_NO_SPLICE)
        return copy_once(c, src, dst);
    if (n > 0 && n < SIDE_CALM)
        src->full = 0;
    return n;
}

static void pump(struct conn *c, struct side *src, struct side *dst)
{
    bool in = src == &c->up;

    for (int i = 0; i < PUMP_ROUNDS || wire_has_pending(&src->wire); i++) {
        ssize_t n;

        if (src->eof || side_is_waiting(dst))
            break;
        n = move_once(c, src, dst);
        if (n == WIRE_AGAIN)
            break;
        if (n == WIRE_EOF) {
            src->eof = true;
            side_end(dst);
            break;
        }
        if (n < 0) {
            conn_kill(c, true);
            return;
        }
        conn_count(c, in ? (size_t)n : 0, in ? 0 : (size_t)n);
        if (c->state == CONN_DEAD)
            return;
        if (n < SCRATCH_SIZE && !src->wire.tls)
            break; /* that was all there was; the watch tells when there is more */
    }
    end_if_over(c);
}

void tunnel_from_down(struct conn *c)
{
    pump(c, &c->down, &c->up);
}

void tunnel_from_up(struct conn *c)
{
    pump(c, &c->up, &c->down);
}
