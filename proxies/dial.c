#include "proxies/dial.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

static void close_try(struct dial_try *t)
{
    int fd = steal_fd(&t->fd);

    loop_watch_close(&t->watch);
    if (fd < 0)
        return;
    close(fd);
    t->dial->open--;
}

static void settle(struct dial *d, enum dial_state s)
{
    d->state = s;
    loop_timer_stop(&d->timer);
    for (size_t i = 0; i < d->addrs.n; i++)
        close_try(&d->tries[i]);
}

/* That one is connected: it stays, the others go. */
static void win(struct dial_try *t)
{
    struct dial *d = t->dial;

    loop_watch_close(&t->watch);
    d->fd = steal_fd(&t->fd);
    d->open--;
    settle(d, DIAL_DONE);
}

/* 0, EINPROGRESS, or why not. */
static int connect_errno(int fd, const union net_addr *a)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    socklen_t len = sizeof(int);
    int err = 0;

    if (connect(fd, &a->sa, net_addr_len(a)) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    /* On loopback it has connected by now: a look saves a turn of the loop. */
    if (poll(&p, 1, 0) != 1)
        return EINPROGRESS;
    if (p.revents == POLLOUT) /* and no POLLERR or POLLHUP */
        return 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        return errno;
    return err;
}

static void on_watch(void *arg, int fd, int events);

/* True when it is under way or has won; false: d->error says why not. */
static bool start_try(struct dial *d, size_t i)
{
    struct dial_try *t = &d->tries[i];
    static const int on = 1;
    struct err e = ERR_INIT;
    int err;

    t->fd = socket(d->addrs.v[i].sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (t->fd < 0) {
        d->error = errno;
        return false;
    }
    d->open++;
    setsockopt(t->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    err = connect_errno(t->fd, &d->addrs.v[i]);
    if (err == 0) {
        win(t);
        return true;
    }
    if (err == EINPROGRESS &&
        loop_watch_open(d->loop, t->fd, LOOP_WRITE, on_watch, t, &t->watch, &e) == STATUS_OK)
        return true;
    d->error = err == EINPROGRESS ? e.sys_errno : err;
    close_try(t);
    return false;
}

static void on_timer(struct loop_timer *timer);

/* Starts the next that can be started. Fails when none is left and none is under way. */
static void try_next(struct dial *d)
{
    while (d->next < d->addrs.n) {
        if (!start_try(d, d->next++))
            continue;
        if (d->state == DIAL_WAIT && d->next < d->addrs.n)
            loop_timer_start(d->loop, &d->timer, DIAL_NEXT_MS, on_timer);
        return;
    }
    if (d->open == 0)
        settle(d, DIAL_FAILED);
}

static void go_on(struct dial *d)
{
    try_next(d);
    if (d->state != DIAL_WAIT)
        d->fn(d);
}

static void on_timer(struct loop_timer *timer)
{
    go_on(container_of(timer, struct dial, timer));
}

static void on_watch(void *arg, int fd, int events)
{
    struct dial_try *t = arg;
    struct dial *d = t->dial;
    socklen_t len = sizeof(int);
    int err = 0;

    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        err = errno;
    if (err == 0) {
        win(t);
        d->fn(d);
        return;
    }
    d->error = err;
    close_try(t);
    go_on(d);
}

enum dial_state dial_begin(struct dial *d, struct loop *l, const struct addrs *addrs, dial_fn *fn)
{
    BUG_ON(addrs->n == 0 || addrs->n > ADDRS_MAX);
    *d = (struct dial){.state = DIAL_WAIT, .fd = -1, .loop = l, .addrs = *addrs, .fn = fn};
    for (size_t i = 0; i < ADDRS_MAX; i++)
        d->tries[i] = (struct dial_try){.dial = d, .fd = -1};
    try_next(d);
    return d->state;
}

void dial_cancel(struct dial *d)
{
    if (d->loop && d->state == DIAL_WAIT)
        settle(d, DIAL_FAILED);
}
