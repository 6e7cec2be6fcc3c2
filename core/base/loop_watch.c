/* Watched descriptors of a loop: an epoll set of their own, which is one descriptor in libuv's.
 *
 * uv_poll would ask the kernel five times for a connection that is opened, told to write, told to
 * read and closed, and twice for each change of mind. Here a descriptor is added once and removed
 * once; what is waited for in between is written down, and the kernel is told before the loop
 * sleeps, if it still matters:
 *
 *     asked for          kernel's mask lacks it: told before the sleep
 *     no longer: write   told before the sleep (a socket can nearly always be written to)
 *     no longer: read    told when data comes that nobody wants; often it is wanted again by then
 *
 * Level-triggered; a paused descriptor has the mask EPOLLET alone, so that a hang-up that nobody
 * waits for wakes the loop once and not for ever. */
#include "core/base/loop_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

struct loop_watch {
    struct list link;
    struct list changed; /* in loop_watches.changed, or alone */
    struct loop_watches *set;
    loop_watch_fn *fn;
    void *arg;
    int fd;
    int events; /* waited for */
    int armed;  /* what the kernel knows */
};

enum { LOOP_BOTH = LOOP_READ | LOOP_WRITE };

static uint32_t kernel_mask(int events)
{
    uint32_t mask = events == 0 ? (uint32_t)EPOLLET : 0;

    mask |= (events & LOOP_READ) != 0 ? (uint32_t)EPOLLIN : 0;
    mask |= (events & LOOP_WRITE) != 0 ? (uint32_t)EPOLLOUT : 0;
    return mask;
}

static int tell(struct loop_watch *w, int op)
{
    struct epoll_event ev = {.events = kernel_mask(w->events), .data.ptr = w};

    w->armed = w->events;
    return epoll_ctl(w->set->epoll, op, w->fd, &ev) == 0 ? 0 : errno;
}

static void note_change(struct loop_watch *w)
{
    if (list_empty(&w->changed))
        list_push(&w->set->changed, &w->changed);
}

void loop_watches_flush(struct loop_watches *s)
{
    struct loop_watch *w;
    int errnum;

    while ((w = list_first(&s->changed, struct loop_watch, changed)) != NULL) {
        list_remove(&w->changed);
        if (w->armed != w->events && (errnum = tell(w, EPOLL_CTL_MOD)) != 0)
            BUG("descriptor %d was closed while it was watched (errno %d)", w->fd, errnum);
    }
}

static void deliver(struct loop_watch *w, uint32_t got)
{
    int events = 0;

    if (w->events == 0) { /* paused since */
        note_change(w);
        return;
    }
    events |= (got & EPOLLIN) != 0 ? LOOP_READ : 0;
    events |= (got & EPOLLOUT) != 0 ? LOOP_WRITE : 0;
    events &= w->events;
    if ((got & EPOLLHUP) != 0)
        events = w->events;
    if ((got & EPOLLERR) != 0)
        events = LOOP_BOTH;
    if (events == 0)
        note_change(w);
    else
        w->fn(w->arg, w->fd, events);
}

static void on_ready(uv_poll_t *h, int status, int events)
{
    struct loop_watches *s = container_of(h, struct loop_watches, poll);
    int n = epoll_wait(s->epoll, s->batch, LOOP_BATCH, 0);

    (void)status;
    (void)events;
    loop_enter_callback(s->loop);
    s->batch_n = n > 0 ? n : 0;
    for (int i = 0; i < s->batch_n; i++) {
        struct loop_watch *w = s->batch[i].data.ptr;

        s->batch[i].data.ptr = NULL;
        if (w != NULL) /* else closed by a callback of this batch */
            deliver(w, s->batch[i].events);
    }
    s->batch_n = 0;
}

static enum status watch_error(int fd, int errnum, struct err *e)
{
    if (errnum == EPERM)
        return err_set(e, STATUS_INVALID,
                       "watch descriptor %d: expected a socket or pipe, not a file", fd);
    if (errnum == EEXIST)
        return err_set(e, STATUS_EXISTS, "watch descriptor %d: is watched already", fd);
    return err_set_errno(e, errnum == EBADF ? STATUS_INVALID : STATUS_IO, errnum,
                         "watch descriptor %d", fd);
}

static int make_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return errno;
    if ((flags & O_NONBLOCK) == 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return errno;
    return 0;
}

enum status loop_watch_open(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg,
                            struct loop_watch **out, struct err *e)
{
    struct loop_watches *s = loop_watches(l);
    struct loop_watch *w = xcalloc(1, sizeof(*w));
    int errnum;

    BUG_ON((events & ~LOOP_BOTH) != 0);
    *out = NULL;
    *w = (struct loop_watch){.set = s, .fn = fn, .arg = arg, .fd = fd, .events = events};
    errnum = tell(w, EPOLL_CTL_ADD);
    if (errnum == 0 && (errnum = make_nonblocking(fd)) != 0)
        (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
    if (errnum != 0) {
        free(w);
        return watch_error(fd, errnum, e);
    }
    list_push(&s->all, &w->link);
    list_init(&w->changed);
    s->active += events != 0;
    *out = w;
    return STATUS_OK;
}

void loop_watch_set(struct loop_watch *w, int events)
{
    BUG_ON((events & ~LOOP_BOTH) != 0);
    w->set->active += events != 0;
    w->set->active -= w->events != 0;
    w->events = events;
    if ((events & ~w->armed) != 0 || (w->armed & ~events & LOOP_WRITE) != 0)
        note_change(w);
}

int loop_watch_events(const struct loop_watch *w)
{
    return w->events;
}

void loop_watch_close(struct loop_watch **wp)
{
    struct loop_watch *w = *wp;

    if (!w)
        return;
    *wp = NULL;
    /* out of epoll and of the events already fetched: the number may be reused now */
    (void)epoll_ctl(w->set->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    for (int i = 0; i < w->set->batch_n; i++)
        if (w->set->batch[i].data.ptr == w)
            w->set->batch[i].data.ptr = NULL;
    w->set->active -= w->events != 0;
    list_remove(&w->link);
    list_remove(&w->changed);
    free(w);
}

/* --- life --- */

enum status loop_watches_init(struct loop_watches *s, struct loop *l, uv_loop_t *uv, struct err *e)
{
    int rc;

    *s = (struct loop_watches){.loop = l, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    list_init(&s->all);
    list_init(&s->changed);
    if (s->epoll < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "create event loop's epoll set");
    rc = uv_poll_init(uv, &s->poll, s->epoll);
    if (rc == 0)
        rc = uv_poll_start(&s->poll, UV_READABLE, on_ready);
    if (rc < 0) {
        close(s->epoll);
        return err_set_errno(e, STATUS_ENVIRONMENT, -rc, "watch event loop's epoll set");
    }
    uv_unref((uv_handle_t *)&s->poll);
    return STATUS_OK;
}

void loop_watches_clear(struct loop_watches *s)
{
    struct loop_watch *w;

    while ((w = list_first(&s->all, struct loop_watch, link)) != NULL) {
#ifdef FLEET_FAULTS /* the builds for development */
        BUG("loop destroyed while descriptor %d is watched", w->fd);
#endif
        loop_watch_close(&w);
    }
    uv_close((uv_handle_t *)&s->poll, NULL);
}

void loop_watches_deinit(struct loop_watches *s)
{
    close(s->epoll);
    s->epoll = -1;
}
