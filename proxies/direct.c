#include "proxies/direct.h"

#include <sys/socket.h>

#include "proxies/forward_internal.h"

bool direct_applies(const struct forward *f)
{
    return !f->upstream && f->opts->allow_direct;
}

/* --- accounts --- */

enum status direct_ask(struct forward *of, const char *host, uint16_t port, struct host_count **out,
                       struct err *e)
{
    struct forward_run *f = forward_run_of(of);
    struct host_count *h = *out = forward_count_host(f, host);
    enum status s;

    f->stats.requests++;
    h->n.requests++;
    s = forward_ask_host(f, host, port);
    if (s == STATUS_OK)
        return s;
    f->stats.denied++;
    h->n.denied++;
    return err_set(e, s, "%s: %s", status_name(s), FORWARD_DENIED_TEXT);
}

void direct_count(struct forward *of, struct host_count *h, const struct direct_use *u)
{
    struct forward_run *f = forward_run_of(of);

    f->stats.bytes_in += u->in;
    f->stats.bytes_out += u->out;
    f->stats.reused += u->reused;
    f->stats.failed += u->failed;
    h->n.bytes_in += u->in;
    h->n.bytes_out += u->out;
    h->n.failed += u->failed;
}

/* --- connections --- */

enum direct_state direct_state(const struct direct *d)
{
    if (d->fd >= 0)
        return DIRECT_READY;
    return d->way && link_state(d->way) == LINK_WAIT ? DIRECT_WAIT : DIRECT_FAILED;
}

static void stands(struct direct *d)
{
    struct buf early = BUF_INIT(1); /* nobody shook hands: nothing came */
    struct wire w;

    link_take(d->way, &w, &early);
    buf_deinit(&early);
    link_destroy(&d->way);
    d->fd = w.fd;
    d->f->stats.connections++;
    if (d->cut)
        shutdown(d->fd, SHUT_RDWR);
}

static void failed(struct direct *d)
{
    bool denied = link_is_denied(d->way);

    d->f->stats.denied += denied;
    d->f->stats.failed += !denied;
    d->host->n.denied += denied;
    d->host->n.failed += !denied;
}

static void settle(struct direct *d)
{
    switch (link_state(d->way)) {
    case LINK_READY:
        stands(d);
        break;
    case LINK_FAILED:
        failed(d);
        break;
    case LINK_WAIT:
        break;
    }
}

static void on_link(struct link *k, void *arg)
{
    struct direct *d = arg;

    (void)k;
    settle(d);
    d->fn(d, d->arg);
}

struct direct *direct_open(struct forward *of, const struct direct_to *to, direct_fn *fn, void *arg)
{
    struct forward_run *f = forward_run_of(of);
    uint64_t most = f->opts.connect_ms, timeout_ms = to->timeout_ms;
    struct link_opts o = {
        .shared = &f->shared,
        .host = to->host,
        .port = to->port,
        .tunnel = true,
        .timeout_ms = timeout_ms > 0 && timeout_ms < most ? timeout_ms : most,
        .allow = f->opts.allow,
        .allow_arg = f->opts.arg,
    };
    struct direct *d = xcalloc(1, sizeof(*d));
    enum link_state s;

    d->f = f;
    d->host = to->accounts;
    d->fd = -1;
    d->fn = fn;
    d->arg = arg;
    list_push(&f->direct, &d->link);
    d->way = link_create(&o, on_link, d, &s);
    settle(d);
    return d;
}

int direct_fd(const struct direct *d)
{
    BUG_ON(d->fd < 0);
    return d->fd;
}

enum status direct_error(const struct direct *d, struct err *e)
{
    const struct err *why = link_error(d->way);

    return err_set(e, why->status, "%s: %s", status_name(why->status), err_text(why));
}

void direct_close(struct direct **dp)
{
    struct direct *d = steal_ptr(dp);

    if (!d)
        return;
    link_destroy(&d->way);
    if (d->f)
        list_remove(&d->link);
    if (d->fd >= 0)
        close(d->fd);
    free(d);
}

void direct_cut(struct direct *d)
{
    d->cut = true;
    if (d->fd >= 0)
        shutdown(d->fd, SHUT_RDWR);
}

void direct_orphan(struct direct *d)
{
    BUG_ON(direct_state(d) == DIRECT_WAIT);
    direct_cut(d);
    list_remove(&d->link);
    d->f = NULL;
}
