/* One member as the controller sees it: its ladder, what its init says over the death pipe, and its
 * end.
 *
 * The end is known from two places: fleet-reaper's WIRE_GONE, after it has cleared away, and,
 * should fleet-reaper itself be dead, the pidfd of init: it becomes readable only after the kernel
 * has ended the whole PID namespace. What the member's socket says (what failed, started, exited)
 * is read to its end before on_exit, so that nothing said is lost. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "core/base/log.h"
#include "reaper/reaper_internal.h"
#include "reaper/spec.h"
#include "reaper/sweep.h"

static const char *const cause_names[] = {
    [REAPER_CAUSE_EXITED] = "exited", [REAPER_CAUSE_ASKED] = "asked", [REAPER_CAUSE_TERM] = "term",
    [REAPER_CAUSE_KILL] = "kill",     [REAPER_CAUSE_OOM] = "oom",     [REAPER_CAUSE_LOST] = "lost",
    [REAPER_CAUSE_FAILED] = "failed",
};
_Static_assert(ARRAY_LEN(cause_names) == REAPER_CAUSE_COUNT, "a name for each cause");

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

/* Without a word: before it could (its C library did not start), or it was killed. */
static void init_ended_early(struct reaper_child *c)
{
    int w = c->init_wstatus;

    if (c->failed.status != STATUS_OK || c->oom > 0)
        return;
    err_set(&c->failed, STATUS_ENVIRONMENT, "launch %s: %s: it ended by %s %d and told nothing",
            c->name, step_text(STEP_EXEC_INIT), WIFSIGNALED(w) ? "signal" : "exit code",
            WIFSIGNALED(w) ? WTERMSIG(w) : WEXITSTATUS(w));
}

static void drain_socket(struct reaper_child *c);

/* All is gone and all was said: the one place that calls on_exit. */
void child_finish(struct reaper_child *c)
{
    struct reaper *r = c->reaper;
    struct reaper_exit x = {.code = -1};

    drain_socket(c);
    x.oom = c->oom > 0;
    if (!c->started && !c->exited && c->state == LADDER_STARTING)
        init_ended_early(c);
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
    reaper_member_gone(r);
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

void child_kill_init(struct reaper_child *c)
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
        child_kill_init(c);
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

void child_failed(struct reaper_child *c, const struct wire_failed *f)
{
    bool has_detail = f->detail[0] != '\0';

    if (c->failed.status != STATUS_OK)
        return;
    if (f->step == STEP_LAYER) {
        uint32_t have = c->reaper->has_hello ? c->reaper->hello.layers & c->wanted : 0;

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
        child_failed(c, &m->failed);
        break;
    case WIRE_EXECING:
        c->pid = pid;
        break;
    case WIRE_STARTED:
        if (c->init_pid == 0) /* who says so is its init: fleet-reaper's word may be read after */
            c->init_pid = pid;
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
    int fds[REAPER_FDS_ROOM], pid = 0;
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
        child_finish(c);
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

/* --- for the registry --- */

struct reaper_child *child_create(struct reaper *r, const struct reaper_spec *s,
                                  const struct reaper_callbacks *cb, int *sock)
{
    struct reaper_child *c = xcalloc(1, sizeof(*c));

    c->reaper = r;
    c->cb = *cb;
    c->kind = s->kind;
    c->id = r->next_id++;
    c->pidfd = -1;
    c->sock = steal_fd(sock);
    snprintf(c->name, sizeof(c->name), "%s", s->name);
    spec_layers(s, r->without, &c->wanted, &c->required);
    list_push(&r->children, &c->link);
    loop_timer_start(r->loop, &c->timer, ladder_deadline_ms(LADDER_STARTING), on_deadline);
    return c;
}

enum status child_watch(struct reaper_child *c, struct err *e)
{
    enum status st =
        loop_watch_open(c->reaper->loop, c->sock, LOOP_READ, on_socket, c, &c->sock_watch, e);

    if (st != STATUS_OK)
        free_child(c);
    return st;
}

void child_launched(struct reaper_child *c, pid_t init_pid, int pidfd)
{
    struct err e = ERR_INIT;

    c->init_pid = init_pid;
    c->pidfd = pidfd;
    if (pidfd >= 0 && loop_watch_open(c->reaper->loop, pidfd, LOOP_READ, on_pidfd, c, &c->pid_watch,
                                      &e) != STATUS_OK)
        log_warn(NULL, "reaper.pidfd", LOG_STR("name", c->name), LOG_ERR(&e));
}

void child_gone(struct reaper_child *c, const struct wire_gone *g)
{
    c->gone_is_known = true;
    c->init_wstatus = g->wstatus;
    c->oom = g->oom;
    child_finish(c);
}

bool child_is_over(const struct reaper_child *c)
{
    return c->init_pid == 0 || c->init_ended || (c->pidfd < 0 && !c->sock_watch);
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

pid_t reaper_child_pid(const struct reaper_child *c)
{
    return c->started ? c->pid : 0;
}
