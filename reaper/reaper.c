/* The registry: fleet-reaper, what it says, and the members it was asked for. A member's own life
 * is in child.c, a launch in launch.c. */
#include "reaper/reaper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "reaper/reaper_internal.h"
#include "reaper/start.h"
#include "reaper/sweep.h"

enum {
    UID_BASE = 64000,
    UID_COUNT = 1000,
    HELLO_TIMEOUT_MS = 2000,
    STOP_TIMEOUT_MS = 5000,
};

/* --- what fleet-reaper says --- */

static struct reaper_child *find_child(struct reaper *r, uint32_t id)
{
    list_for_each (it, &r->children) {
        struct reaper_child *c = list_entry(it, struct reaper_child, link);

        if (c->id == id)
            return c;
    }
    return NULL;
}

static void on_control_message(struct reaper *r, const union wire_any *m, int *fds, size_t n_fds)
{
    struct reaper_child *c;

    switch (m->type) {
    case WIRE_HELLO:
        r->hello = m->hello;
        r->has_hello = true;
        return;
    case WIRE_LAUNCHED:
        c = find_child(r, m->launched.id);
        if (c && n_fds == 1)
            child_launched(c, m->launched.pid, steal_fd(&fds[0]));
        else if (c)
            child_launched(c, m->launched.pid, -1);
        break;
    case WIRE_FAILED: /* nothing was started */
        c = find_child(r, m->failed.id);
        if (c) {
            child_failed(c, &m->failed);
            child_finish(c);
        }
        break;
    case WIRE_GONE:
        c = find_child(r, m->gone.id);
        if (c)
            child_gone(c, &m->gone);
        break;
    default:
        log_warn(NULL, "reaper.protocol", LOG_U64("type", m->type));
    }
    for (size_t i = 0; i < n_fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static struct reaper_child *find_finished(struct reaper *r)
{
    list_for_each (it, &r->children) {
        struct reaper_child *c = list_entry(it, struct reaper_child, link);

        if (child_is_over(c))
            return c;
    }
    return NULL;
}

/* fleet-reaper is dead. Members go on: their sockets are held here. Those that were never launched
 * never will be. */
static void on_spawner_gone(struct reaper *r)
{
    struct reaper_child *c;

    loop_watch_close(&r->watch);
    close(steal_fd(&r->sock));
    kill(r->pid, SIGKILL); /* it may have closed its end and hang; ours until waited for */
    waitpid(r->pid, NULL, 0);
    r->pid = -1;
    if (!r->stopping)
        log_error(NULL, "reaper.lost", LOG_STR("program", r->program));
    while ((c = find_finished(r)) != NULL) {
        if (c->init_pid == 0)
            err_set(&c->failed, STATUS_UNAVAILABLE, "launch %s: fleet-reaper died", c->name);
        child_finish(c);
    }
    reaper_member_gone(r);
}

static void on_control(void *arg, int fd, int events)
{
    struct reaper *r = arg;
    union wire_any m;
    int fds[REAPER_FDS_ROOM];
    size_t n_fds;
    long n;

    (void)fd;
    (void)events;
    n = wire_recv(r->sock, &m, fds, &n_fds, NULL);
    if (n > 0)
        on_control_message(r, &m, fds, n_fds);
    else if (n == 0 || (errno != EAGAIN && errno != EPROTO))
        on_spawner_gone(r);
}

/* --- start and stop --- */

enum status reaper_start_spawner(struct reaper *r, struct err *e)
{
    enum status st = start_spawner(r->program, r->uid_base, &r->sock, &r->pid, e);

    if (st != STATUS_OK)
        return st;
    r->has_hello = false;
    st = loop_watch_open(r->loop, r->sock, LOOP_READ, on_control, r, &r->watch, e);
    if (st != STATUS_OK) {
        close(steal_fd(&r->sock));
        waitpid(r->pid, NULL, 0);
        r->pid = -1;
    }
    return st;
}

static void destroy(struct reaper *r)
{
    for (size_t i = 0; i < FILTER_COUNT; i++)
        buf_deinit(&r->filters[i]);
    free(r->program);
    free(r->run_dir);
    free(r->state_dir);
    free(r);
}

static enum status check_opts(const struct reaper_opts *o, struct err *e)
{
    if (o->uid_count > 4096)
        return err_set(e, STATUS_INVALID, "uid_count: 1..4096 expected, found %u", o->uid_count);
    if (o->uid_base != 0 && (o->uid_base < 1000 || o->uid_base > UINT32_MAX - 8192))
        return err_set(e, STATUS_INVALID, "uid_base: 1000 or more expected, found %u", o->uid_base);
    return STATUS_OK;
}

enum status reaper_start(struct loop *l, const struct reaper_opts *opts, struct reaper **out,
                         struct err *e)
{
    static const struct reaper_opts defaults;
    const struct reaper_opts *o = opts ? opts : &defaults;
    struct reaper *r;
    enum status st = check_opts(o, e);

    *out = NULL;
    if (st != STATUS_OK)
        return st;
    r = xcalloc(1, sizeof(*r));
    r->loop = l;
    r->sock = r->pid = -1;
    r->uid_base = o->uid_base ? o->uid_base : UID_BASE;
    r->uid_count = o->uid_count ? o->uid_count : UID_COUNT;
    r->without = o->without;
    list_init(&r->children);
    for (size_t i = 0; i < FILTER_COUNT; i++)
        buf_init(&r->filters[i], BUF_MAX_LINE);
    r->state_dir = o->state_dir ? xstrdup(o->state_dir) : NULL;
    r->run_dir = sweep_run_dir(o->state_dir);
    st = start_find(o->program, &r->program, e);
    if (st == STATUS_OK)
        st = file_mkdirs(r->run_dir, 0700, e);
    if (st == STATUS_OK)
        st = reaper_start_spawner(r, e);
    if (st != STATUS_OK) {
        destroy(r);
        return st;
    }
    if (o->subreaper)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    *out = r;
    return STATUS_OK;
}

static void on_stopped(void *arg)
{
    struct reaper *r = arg;
    void (*done)(void *) = r->on_stopped;
    void *done_arg = r->stop_arg;

    loop_timer_stop(&r->stop_timer);
    destroy(r);
    if (done)
        done(done_arg);
}

/* fleet-reaper's socket ends, so it ends, and on_control sees it go; then this is called again. */
void reaper_member_gone(struct reaper *r)
{
    if (!r->stopping || r->stopped || !list_empty(&r->children))
        return;
    if (r->sock >= 0) {
        shutdown(r->sock, SHUT_WR);
        return;
    }
    r->stopped = true;
    loop_defer(r->loop, on_stopped, r);
}

static void on_stop_timeout(struct loop_timer *t)
{
    struct reaper *r = container_of(t, struct reaper, stop_timer);

    log_error(NULL, "reaper.stop_timeout", LOG_U64("members", reaper_child_count(r)));
    list_for_each (it, &r->children)
        child_kill_init(list_entry(it, struct reaper_child, link));
    if (r->sock >= 0)
        on_spawner_gone(r);
    while (!list_empty(&r->children))
        child_finish(list_entry(r->children.next, struct reaper_child, link));
}

void reaper_stop(struct reaper *r, void (*done)(void *arg), void *arg)
{
    r->on_stopped = done;
    r->stop_arg = arg;
    r->stopping = true;
    loop_timer_start(r->loop, &r->stop_timer, STOP_TIMEOUT_MS, on_stop_timeout);
    list_for_each (it, &r->children)
        reaper_child_kill(list_entry(it, struct reaper_child, link));
    reaper_member_gone(r);
}

enum status reaper_level(struct reaper *r, struct reaper_level *out, struct err *e)
{
    struct pollfd p = {.fd = r->sock, .events = POLLIN};
    union wire_any m;
    int fds[REAPER_FDS_ROOM], errnos[REAPER_LAYER_COUNT];
    size_t n_fds;

    /* the first message of all is the hello, so that nothing else is read here */
    if (!r->has_hello && (r->sock < 0 || poll(&p, 1, HELLO_TIMEOUT_MS) != 1 ||
                          wire_recv(r->sock, &m, fds, &n_fds, NULL) <= 0 || m.type != WIRE_HELLO))
        return err_set(e, STATUS_UNAVAILABLE, "%s does not answer", r->program);
    if (!r->has_hello) {
        r->hello = m.hello;
        r->has_hello = true;
    }
    for (size_t i = 0; i < REAPER_LAYER_COUNT; i++)
        errnos[i] = r->hello.errnos[i];
    reaper_level_fill(out, r->hello.layers & ~r->without, (r->hello.flags & WIRE_FLAG_ROOT) != 0,
                      (r->hello.flags & WIRE_FLAG_USERNS) != 0, errnos);
    return STATUS_OK;
}

pid_t reaper_pid(const struct reaper *r)
{
    return r->pid;
}

size_t reaper_child_count(const struct reaper *r)
{
    size_t n = 0;

    list_for_each (it, &r->children)
        n++;
    return n;
}
