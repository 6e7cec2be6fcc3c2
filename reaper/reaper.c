/* The controller's side: a registry of members, each with its ladder, its socket to init, and a
 * pidfd.
 *
 * A member's end is known from two places: fleet-reaper's WIRE_GONE, after it has cleared away,
 * and, should fleet-reaper itself be dead, the pidfd of init: it becomes readable only after the
 * kernel has ended the whole PID namespace. What the member's socket says (what failed, started,
 * exited) is read to its end before on_exit, so that nothing said is lost. */
#include "reaper/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "reaper/filter.h"
#include "reaper/ladder.h"
#include "reaper/spec.h"
#include "reaper/start.h"
#include "reaper/sweep.h"
#include "reaper/wire.h"

enum {
    UID_BASE = 64000,
    UID_COUNT = 1000,
    HELLO_TIMEOUT_MS = 2000,
    STOP_TIMEOUT_MS = 5000,
    FDS_ROOM = WIRE_FDS_MAX + 4,
};

struct reaper {
    struct loop *loop;
    char *program, *run_dir, *state_dir;
    uint32_t uid_base, uid_count, without;
    int sock; /* control; -1: fleet-reaper is gone */
    pid_t pid;
    struct loop_watch *watch;
    bool has_hello;
    struct wire_hello hello;
    struct list children;
    uint32_t next_id;
    uint32_t warned; /* layers whose absence was logged */
    struct buf filters[FILTER_COUNT];
    void (*on_stopped)(void *arg);
    void *stop_arg;
    struct loop_timer stop_timer;
    bool stopping;
};

struct reaper_child {
    struct list link;
    struct reaper *reaper;
    struct reaper_callbacks cb;
    char name[REAPER_NAME_MAX + 1];
    enum reaper_kind kind;
    uint32_t id, wanted, required;
    enum ladder_state state;
    enum ladder_state ended_in; /* where the ladder was when the program ended */
    struct loop_timer timer, ask_timer;
    uint64_t grace_ms;
    int sock, pidfd;
    struct loop_watch *sock_watch, *pid_watch;
    pid_t init_pid, pid;
    uint32_t layers;
    bool started, exited, gone_is_known, init_ended;
    int wstatus; /* of the program, once exited */
    int init_wstatus;
    unsigned oom;
    struct err failed;
};

static const char *const kind_names[] = {
    [REAPER_BROWSER] = "browser",
    [REAPER_AUTOMATION] = "automation",
    [REAPER_PROXY] = "proxy",
    [REAPER_SITE] = "site",
};
_Static_assert(ARRAY_LEN(kind_names) == REAPER_KIND_COUNT, "a name for each kind");

static const char *const cause_names[] = {
    [REAPER_CAUSE_EXITED] = "exited", [REAPER_CAUSE_ASKED] = "asked", [REAPER_CAUSE_TERM] = "term",
    [REAPER_CAUSE_KILL] = "kill",     [REAPER_CAUSE_OOM] = "oom",     [REAPER_CAUSE_LOST] = "lost",
    [REAPER_CAUSE_FAILED] = "failed",
};
_Static_assert(ARRAY_LEN(cause_names) == REAPER_CAUSE_COUNT, "a name for each cause");

const char *reaper_kind_name(enum reaper_kind k)
{
    BUG_ON((unsigned)k >= REAPER_KIND_COUNT);
    return kind_names[k];
}

const char *reaper_cause_name(enum reaper_cause c)
{
    BUG_ON((unsigned)c >= REAPER_CAUSE_COUNT);
    return cause_names[c];
}

/* --- the end of a member --- */

static void describe_exit(const struct reaper_child *c, struct reaper_exit *x)
{
    if (c->exited && WIFEXITED(c->wstatus)) {
        x->code = WEXITSTATUS(c->wstatus);
        err_set(&x->err, STATUS_OK, "exit code %d", x->code);
    } else if (c->exited && WIFSIGNALED(c->wstatus)) {
        x->signal = WTERMSIG(c->wstatus);
        err_set(&x->err, STATUS_OK, "ended by signal %d (%s)", x->signal,
                sigdescr_np(x->signal) ? sigdescr_np(x->signal) : "unknown");
    } else {
        x->signal = SIGKILL;
        err_set(&x->err, STATUS_OK, "killed");
    }
}

static enum reaper_cause cause_of(const struct reaper_child *c, const struct reaper_exit *x)
{
    static const enum reaper_cause by_state[LADDER_STATES] = {
        [LADDER_STARTING] = REAPER_CAUSE_EXITED, [LADDER_RUNNING] = REAPER_CAUSE_EXITED,
        [LADDER_ASKED] = REAPER_CAUSE_ASKED,     [LADDER_TERMED] = REAPER_CAUSE_TERM,
        [LADDER_KILLED] = REAPER_CAUSE_KILL,     [LADDER_ENDING] = REAPER_CAUSE_EXITED,
        [LADDER_GONE] = REAPER_CAUSE_EXITED,
    };

    if (c->failed.status != STATUS_OK)
        return REAPER_CAUSE_FAILED;
    if (c->exited) {
        if (x->oom && x->signal == SIGKILL && c->ended_in != LADDER_KILLED)
            return REAPER_CAUSE_OOM;
        return by_state[c->ended_in];
    }
    if (c->state == LADDER_KILLED)
        return REAPER_CAUSE_KILL;
    return x->oom ? REAPER_CAUSE_OOM : REAPER_CAUSE_LOST;
}

static void free_child(struct reaper_child *c)
{
    loop_timer_stop(&c->timer);
    loop_timer_stop(&c->ask_timer);
    loop_watch_close(&c->sock_watch);
    loop_watch_close(&c->pid_watch);
    if (c->sock >= 0)
        close(c->sock);
    if (c->pidfd >= 0)
        close(c->pidfd);
    list_remove(&c->link);
    free(c);
}

static void end_spawner(struct reaper *r);

static void drain_socket(struct reaper_child *c);

/* All is gone and all was said: the one place that calls on_exit. */
static void finish(struct reaper_child *c)
{
    struct reaper *r = c->reaper;
    struct reaper_exit x = {.code = -1};

    drain_socket(c);
    x.oom = c->oom > 0;
    describe_exit(c, &x);
    x.cause = cause_of(c, &x);
    if (x.cause == REAPER_CAUSE_FAILED)
        x.err = c->failed;
    c->state = LADDER_GONE;
    if (r->sock < 0) { /* fleet-reaper is dead and cleared nothing away */
        struct reaper_swept swept;

        (void)!reaper_sweep(r->state_dir, &swept, NULL);
    }
    log_debug(NULL, "reaper.gone", LOG_STR("name", c->name),
              LOG_STR("cause", reaper_cause_name(x.cause)), LOG_STR("how", err_text(&x.err)));
    loop_timer_stop(&c->timer);
    if (c->cb.on_exit)
        c->cb.on_exit(c, &x, c->cb.arg);
    free_child(c);
    if (r->stopping && list_empty(&r->children))
        end_spawner(r);
}

/* --- the ladder --- */

static void on_deadline(struct loop_timer *t);

static void close_death_pipe(struct reaper_child *c)
{
    /* Ours is the only other end: init reads the end of it. The kernel then ends a PID namespace
     * with init; should init be stopped or starved, the signal below does it, which cannot be
     * blocked from inside. */
    shutdown(c->sock, SHUT_RDWR);
    if (c->pidfd >= 0 && (c->layers & REAPER_LAYER_BIT(REAPER_LAYER_PIDNS)) != 0)
        syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

static void kill_init(struct reaper_child *c)
{
    if (c->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
    else if (c->init_pid > 0)
        kill(c->init_pid, SIGKILL);
}

static void send_signal(struct reaper_child *c, int signum)
{
    struct wire_signal s = {.type = WIRE_SIGNAL, .signum = signum};

    if (wire_send(c->sock, &s, sizeof(s), NULL, 0) < 0)
        log_debug(NULL, "reaper.signal", LOG_STR("name", c->name), LOG_I64("errno", errno));
}

static void on_ask_time(struct loop_timer *t)
{
    struct reaper_child *c = container_of(t, struct reaper_child, ask_timer);

    if (c->state == LADDER_ASKED)
        c->cb.on_ask(c, c->cb.arg);
}

static void act(struct reaper_child *c, enum ladder_action a)
{
    switch (a) {
    case LADDER_DO_NOTHING:
        break;
    case LADDER_DO_ASK: /* never from inside the call that asked for it */
        loop_timer_start(c->reaper->loop, &c->ask_timer, 0, on_ask_time);
        break;
    case LADDER_DO_TERM:
        send_signal(c, SIGTERM);
        break;
    case LADDER_DO_KILL:
        close_death_pipe(c);
        break;
    case LADDER_DO_KILL_INIT:
        log_warn(NULL, "reaper.init_killed", LOG_STR("name", c->name), LOG_I64("pid", c->init_pid));
        kill_init(c);
        break;
    }
}

static void move(struct reaper_child *c, enum ladder_event ev)
{
    struct ladder_move m = ladder_next(c->state, ev);
    enum ladder_state from = c->state;
    uint64_t ms;

    c->state = m.to;
    if (from != m.to)
        log_debug(NULL, "reaper.state", LOG_STR("name", c->name),
                  LOG_STR("from", ladder_state_name(from)), LOG_STR("to", ladder_state_name(m.to)));
    act(c, m.action);
    if (from == m.to && ev != LADDER_ON_DEADLINE)
        return;
    ms = m.to == LADDER_ASKED ? c->grace_ms : ladder_deadline_ms(m.to);
    loop_timer_stop(&c->timer);
    if (ms > 0)
        loop_timer_start(c->reaper->loop, &c->timer, ms, on_deadline);
}

static void on_deadline(struct loop_timer *t)
{
    struct reaper_child *c = container_of(t, struct reaper_child, timer);

    move(c, LADDER_ON_DEADLINE);
}

/* --- what init says --- */

static void on_failed(struct reaper_child *c, const struct wire_failed *f)
{
    bool has_detail = f->detail[0] != '\0';

    if (c->failed.status != STATUS_OK)
        return;
    if (f->step == STEP_LAYER) {
        uint32_t have = c->reaper->has_hello ? c->reaper->hello.layers : 0;

        (void)!reaper_level_check(have, c->required, &c->failed);
        err_prefix(&c->failed, "launch %s", c->name);
        return;
    }
    err_set_errno(&c->failed, STATUS_ENVIRONMENT, f->sys_errno, "launch %s: %s%s%.*s", c->name,
                  step_text(f->step), has_detail ? " " : "", WIRE_DETAIL_MAX - 1, f->detail);
}

/* Once for each layer: the campaign's level stands in the receipts, this is for the person at the
 * terminal. */
static void warn_missing(struct reaper *r, const struct reaper_child *c, uint32_t layers)
{
    uint32_t missing = c->wanted & ~layers & ~r->warned & REAPER_LAYERS_REQUIRED;
    char text[REAPER_LAYERS_TEXT_MAX];

    if (missing == 0)
        return;
    r->warned |= missing;
    log_warn(NULL, "reaper.degraded", LOG_STR("missing", reaper_layers_text(missing, text)),
             LOG_STR("see", "fleet doctor"));
}

static void on_started(struct reaper_child *c, const struct wire_started *s, const int *fds,
                       size_t n_fds)
{
    struct reaper_started st = {.pid = c->pid,
                                .init_pid = c->init_pid,
                                .uid = s->uid,
                                .layers = s->layers,
                                .listeners = fds,
                                .n_listeners = n_fds};

    c->layers = s->layers;
    c->started = true;
    warn_missing(c->reaper, c, s->layers);
    log_debug(NULL, "reaper.started", LOG_STR("name", c->name), LOG_I64("pid", c->pid),
              LOG_U64("uid", s->uid), LOG_U64("layers", s->layers));
    if (c->state == LADDER_STARTING)
        move(c, LADDER_ON_STARTED);
    if (c->cb.on_started) {
        c->cb.on_started(c, &st, c->cb.arg);
        return;
    }
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
}

static void on_exited(struct reaper_child *c, const struct wire_exited *x)
{
    if (c->exited)
        return;
    c->exited = true;
    c->wstatus = x->wstatus;
    c->ended_in = c->state;
    move(c, LADDER_ON_EXITED);
}

static void on_message(struct reaper_child *c, const union wire_any *m, const int *fds,
                       size_t n_fds, int pid)
{
    bool fds_taken = false;

    switch (m->type) {
    case WIRE_FAILED:
        on_failed(c, &m->failed);
        break;
    case WIRE_EXECING:
        c->pid = pid;
        break;
    case WIRE_STARTED:
        if (!c->started) {
            on_started(c, &m->started, fds, n_fds);
            fds_taken = true;
        }
        break;
    case WIRE_EXITED:
        on_exited(c, &m->exited);
        break;
    default:
        log_warn(NULL, "reaper.protocol", LOG_STR("name", c->name), LOG_U64("type", m->type));
    }
    for (size_t i = 0; i < n_fds && !fds_taken; i++)
        close(fds[i]);
}

/* One message; false when there is none (any more). Callbacks may end the child's ladder, but never
 * free it: only finish does. */
static bool read_message(struct reaper_child *c)
{
    union wire_any m;
    int fds[FDS_ROOM], pid = 0;
    size_t n_fds;
    long n = wire_recv(c->sock, &m, fds, &n_fds, &pid);

    if (n > 0) {
        on_message(c, &m, fds, n_fds, pid);
        return true;
    }
    if (n == 0 || errno != EAGAIN)
        loop_watch_close(&c->sock_watch);
    return false;
}

static void drain_socket(struct reaper_child *c)
{
    while (read_message(c))
        ;
}

/* Gone is gone only when fleet-reaper says so, or it is dead and the pidfd (or, on old kernels, the
 * socket) has ended. */
static void finish_if_gone(struct reaper_child *c)
{
    bool alone = c->reaper->sock < 0;

    if (c->gone_is_known || (alone && (c->init_ended || (c->pidfd < 0 && !c->sock_watch))))
        finish(c);
}

static void on_socket(void *arg, int fd, int events)
{
    struct reaper_child *c = arg;

    (void)fd;
    (void)events;
    drain_socket(c);
    finish_if_gone(c);
}

static void on_pidfd(void *arg, int fd, int events)
{
    struct reaper_child *c = arg;
    siginfo_t si = {0};

    (void)fd;
    (void)events;
    c->init_ended = true;
    loop_watch_close(&c->pid_watch);
    /* ours to reap only when fleet-reaper died and we are the subreaper */
    if (c->reaper->sock < 0 &&
        waitid((idtype_t)P_PIDFD, (id_t)c->pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_pid > 0)
        c->init_wstatus = si.si_status;
    finish_if_gone(c);
}

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

static void on_launched(struct reaper_child *c, const struct wire_launched *m, int pidfd)
{
    struct err e = ERR_INIT;

    c->init_pid = m->pid;
    c->pidfd = pidfd;
    if (pidfd >= 0 && loop_watch_open(c->reaper->loop, pidfd, LOOP_READ, on_pidfd, c, &c->pid_watch,
                                      &e) != STATUS_OK)
        log_warn(NULL, "reaper.pidfd", LOG_STR("name", c->name), LOG_ERR(&e));
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
            on_launched(c, &m->launched, steal_fd(&fds[0]));
        else if (c)
            on_launched(c, &m->launched, -1);
        break;
    case WIRE_FAILED: /* nothing was started */
        c = find_child(r, m->failed.id);
        if (c) {
            on_failed(c, &m->failed);
            finish(c);
        }
        break;
    case WIRE_GONE:
        c = find_child(r, m->gone.id);
        if (c) {
            c->gone_is_known = true;
            c->init_wstatus = m->gone.wstatus;
            c->oom = m->gone.oom;
            finish(c);
        }
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

        if (c->init_pid == 0 || c->init_ended || (c->pidfd < 0 && !c->sock_watch))
            return c;
    }
    return NULL;
}

static void on_stopped(void *arg);

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
        finish(c);
    }
    if (r->stopping && list_empty(&r->children))
        loop_defer(r->loop, on_stopped, r);
}

static void on_control(void *arg, int fd, int events)
{
    struct reaper *r = arg;
    union wire_any m;
    int fds[FDS_ROOM];
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

static enum status start(struct reaper *r, struct err *e)
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
        st = start(r, e);
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

/* Its socket's end is its end; on_control sees it go. */
static void end_spawner(struct reaper *r)
{
    if (r->sock >= 0)
        shutdown(r->sock, SHUT_WR);
}

static void on_stop_timeout(struct loop_timer *t)
{
    struct reaper *r = container_of(t, struct reaper, stop_timer);

    log_error(NULL, "reaper.stop_timeout", LOG_U64("members", reaper_child_count(r)));
    list_for_each (it, &r->children)
        kill_init(list_entry(it, struct reaper_child, link));
    if (r->sock >= 0)
        on_spawner_gone(r);
    while (!list_empty(&r->children))
        finish(list_entry(r->children.next, struct reaper_child, link));
    loop_defer(r->loop, on_stopped, r);
}

void reaper_stop(struct reaper *r, void (*done)(void *arg), void *arg)
{
    r->on_stopped = done;
    r->stop_arg = arg;
    r->stopping = true;
    loop_timer_start(r->loop, &r->stop_timer, STOP_TIMEOUT_MS, on_stop_timeout);
    list_for_each (it, &r->children)
        reaper_child_kill(list_entry(it, struct reaper_child, link));
    if (!list_empty(&r->children))
        return;
    if (r->sock >= 0)
        end_spawner(r);
    else
        loop_defer(r->loop, on_stopped, r);
}

enum status reaper_level(struct reaper *r, struct reaper_level *out, struct err *e)
{
    struct pollfd p = {.fd = r->sock, .events = POLLIN};
    union wire_any m;
    int fds[FDS_ROOM], errnos[REAPER_LAYER_COUNT];
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

/* --- launch --- */

static enum filter_kind filter_of(const struct reaper_spec *s)
{
    if (s->kind != REAPER_BROWSER)
        return FILTER_PROGRAM;
    return s->sandbox == REAPER_SANDBOX_OFF ? FILTER_BROWSER_NO_SANDBOX : FILTER_BROWSER;
}

/* Compiled at its first use, once for all members. */
static enum status get_filter(struct reaper *r, const struct reaper_spec *s, struct str *out,
                              struct err *e)
{
    enum filter_kind k = filter_of(s);
    struct buf *b = &r->filters[k];

    *out = STR_NONE;
    if (((r->without | s->without) & REAPER_LAYER_BIT(REAPER_LAYER_SECCOMP)) != 0)
        return STATUS_OK;
    if (b->len == 0) {
        enum status st = filter_compile(k, b, e);

        if (st != STATUS_OK)
            return st;
    }
    *out = buf_str(b);
    return STATUS_OK;
}

/* FLEET_REAPER_FAIL="n:errno" (builds with FLEET_FAULTS): the n-th checked call of each launch
 * fails. */
static void read_fault(struct spec_extra *x)
{
#ifdef FLEET_FAULTS
    const char *v = getenv("FLEET_REAPER_FAIL");

    if (v && sscanf(v, "%u:%u", &x->fail_at, &x->fail_errno) != 2)
        x->fail_at = 0;
#else
    (void)x;
#endif
}

static enum status encode(struct reaper *r, const struct reaper_spec *s, int *memfd, struct err *e)
{
    struct spec_extra x = {.run_dir = r->run_dir,
                           .without = r->without,
                           .uid_base = r->uid_base,
                           .uid_count = r->uid_count,
                           .uid_hint = r->next_id};
    struct buf b = BUF_INIT(REAPER_SPEC_MAX);
    enum status st = get_filter(r, s, &x.filter, e);

    read_fault(&x);
    if (st == STATUS_OK)
        st = spec_encode(s, &x, &b, e);
    if (st == STATUS_OK) {
        *memfd = memfd_create("fleet-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (*memfd < 0)
            st = err_set_errno(e, STATUS_ENVIRONMENT, errno, "launch %s: memfd_create", s->name);
    }
    if (st == STATUS_OK)
        st = file_write_all(*memfd, b.ptr, b.len, "the specification", e);
    if (st == STATUS_OK)
        (void)fcntl(*memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    buf_deinit(&b);
    return st;
}

/* Our end tells who sends: so the kernel translates the program's pid from its namespace to ours.
 */
static enum status make_death_pipe(const struct reaper_spec *s, int *ours, int *theirs,
                                   struct err *e)
{
    int pair[2], on = 1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "launch %s: socketpair", s->name);
    *ours = pair[0];
    *theirs = pair[1];
    if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "launch %s: SO_PASSCRED", s->name);
    return STATUS_OK;
}

static enum status send_launch(struct reaper *r, const struct reaper_spec *s, uint32_t id,
                               int theirs, int memfd, struct err *e)
{
    struct wire_launch m = {
        .type = WIRE_LAUNCH, .id = id, .has_stderr = s->stderr_fd > 0, .n_fds = (uint32_t)s->n_fds};
    int fds[FDS_ROOM];
    size_t n = 0;

    fds[n++] = theirs;
    fds[n++] = memfd;
    if (s->stderr_fd > 0)
        fds[n++] = s->stderr_fd;
    for (size_t i = 0; i < s->n_fds; i++)
        fds[n++] = s->fds[i].fd;
    if (wire_send(r->sock, &m, sizeof(m), fds, n) == 0)
        return STATUS_OK;
    if (errno == EBADF)
        return err_set(e, STATUS_INVALID, "launch %s: fds: a descriptor is not open", s->name);
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
        return err_set_errno(e, STATUS_BUSY, errno, "launch %s: too many launches at once",
                             s->name);
    return err_set_errno(e, STATUS_UNAVAILABLE, errno, "launch %s: fleet-reaper", s->name);
}

static struct reaper_child *register_child(struct reaper *r, const struct reaper_spec *s,
                                           const struct reaper_callbacks *cb, int *ours)
{
    struct reaper_child *c = xcalloc(1, sizeof(*c));

    c->reaper = r;
    c->cb = *cb;
    c->kind = s->kind;
    c->id = r->next_id++;
    c->pidfd = -1;
    c->sock = steal_fd(ours);
    snprintf(c->name, sizeof(c->name), "%s", s->name);
    spec_layers(s, r->without, &c->wanted, &c->required);
    list_push(&r->children, &c->link);
    loop_timer_start(r->loop, &c->timer, ladder_deadline_ms(LADDER_STARTING), on_deadline);
    return c;
}

enum status reaper_launch(struct reaper *r, const struct reaper_spec *spec,
                          const struct reaper_callbacks *cb, struct reaper_child **out,
                          struct err *e)
{
    cleanup_fd int ours = -1;
    cleanup_fd int theirs = -1;
    cleanup_fd int memfd = -1;
    struct reaper_child *c;
    enum status st;

    *out = NULL;
    if (r->stopping)
        return err_set(e, STATUS_SHUTTING_DOWN, "launch %s: the reaper is being stopped",
                       spec->name ? spec->name : "");
    st = spec_check(spec, e);
    if (st != STATUS_OK)
        return err_prefix(e, "launch %s", spec->name ? spec->name : "");
    if (r->sock < 0 && start(r, e) != STATUS_OK) {
        err_prefix(e, "launch %s", spec->name);
        if (e)
            e->status = STATUS_UNAVAILABLE;
        return STATUS_UNAVAILABLE;
    }
    st = encode(r, spec, &memfd, e);
    if (st == STATUS_OK)
        st = make_death_pipe(spec, &ours, &theirs, e);
    if (st == STATUS_OK)
        st = send_launch(r, spec, r->next_id, theirs, memfd, e);
    if (st != STATUS_OK)
        return st;
    c = register_child(r, spec, cb, &ours);
    st = loop_watch_open(r->loop, c->sock, LOOP_READ, on_socket, c, &c->sock_watch, e);
    if (st != STATUS_OK) { /* its death pipe closes: it ends by itself */
        free_child(c);
        return st;
    }
    *out = c;
    return STATUS_OK;
}

/* --- a child's calls --- */

void reaper_child_stop(struct reaper_child *c, uint64_t grace_ms)
{
    if (!c->cb.on_ask || grace_ms == 0) {
        move(c, LADDER_ON_TERM);
        return;
    }
    if (c->state == LADDER_ASKED && grace_ms < c->grace_ms)
        loop_timer_start(c->reaper->loop, &c->timer, grace_ms, on_deadline);
    if (c->state <= LADDER_RUNNING || grace_ms < c->grace_ms)
        c->grace_ms = grace_ms;
    move(c, LADDER_ON_STOP);
}

void reaper_child_kill(struct reaper_child *c)
{
    move(c, LADDER_ON_KILL);
}

void reaper_child_signal(struct reaper_child *c, int signum)
{
    if (c->started && !c->exited)
        send_signal(c, signum);
}

const char *reaper_child_name(const struct reaper_child *c)
{
    return c->name;
}

enum reaper_kind reaper_child_kind(const struct reaper_child *c)
{
    return c->kind;
}

pid_t reaper_child_pid(const struct reaper_child *c)
{
    return c->started ? c->pid : 0;
}

uint32_t reaper_child_layers(const struct reaper_child *c)
{
    return c->layers;
}
