/* One thread, one poll loop. It holds no death pipe: the socket of a member goes from the request
 * straight to its init. It lives as long as the controller (its socket, and the controller's pidfd)
 * and as any init does, to remove their lock files, cgroups and directories. A member's init is a
 * direct child; anything else that becomes one (it is a subreaper) was left by an init that was
 * killed where there is no PID namespace, and is killed. */
#include "reaper/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/init.h"
#include "reaper/killtree.h"
#include "reaper/privs.h"
#include "reaper/probe.h"
#include "reaper/uids.h"

enum {
    FD_ABOVE = 256,    /* where descriptors are parked while init's block is filled */
    END_MAX_MS = 5000, /* for inits to end after the controller did, before they are killed */
    ORPHANS_MAX_MS = 2000,
    AGAIN_MS = 20,
    REMOVE_TRIES = 20, /* of a cgroup whose last process is just going, 1 ms apart */
};

struct member {
    struct member *next;
    uint32_t id, layers;
    pid_t pid;
    int lock; /* holds byte 1: "being launched or cleared away by a spawner" */
    struct cgroup cgroup;
    char lock_path[PATH_MAX], tmp_path[PATH_MAX]; /* tmp_path "": none */
};

struct spawner {
    struct probe probe;
    struct member *members;
    int self;       /* our own program, for execveat */
    int controller; /* its pidfd, or -1 */
    int uids;       /* -1: not root */
    int null;
    int signals;
    bool ending;
};

/* One request: what came with it, until the clone. */
struct request {
    struct wire_launch msg;
    int fds[WIRE_FDS_MAX + 4];
    size_t n_fds;
    struct wire_spec *spec;
    void *map;
    size_t map_len;
    struct report report;
};

static bool has(uint32_t layers, enum reaper_layer l)
{
    return (layers & REAPER_LAYER_BIT(l)) != 0;
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* --- clearing away --- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    return type == FTW_DP || type == FTW_D ? rmdir(path) : unlink(path);
}

static void clear_away(struct member *m)
{
    for (int i = 0; i < REMOVE_TRIES && !cgroup_remove(&m->cgroup); i++)
        pause_ms(1);
    if (m->tmp_path[0] != '\0')
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
        nftw(m->tmp_path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    if (m->lock_path[0] != '\0')
        unlink(m->lock_path);
    if (m->lock >= 0)
        close(steal_fd(&m->lock));
}

static struct member *find_member(struct spawner *s, pid_t pid)
{
    for (struct member *m = s->members; m; m = m->next)
        if (m->pid == pid)
            return m;
    return NULL;
}

static void drop_member(struct spawner *s, struct member *m)
{
    for (struct member **p = &s->members; *p; p = &(*p)->next)
        if (*p == m) {
            *p = m->next;
            break;
        }
    free(m);
}

struct orphans {
    struct spawner *s;
    size_t n;
};

static void kill_orphan(pid_t child, void *arg)
{
    struct orphans *o = arg;

    if (find_member(o->s, child))
        return;
    kill(child, SIGSTOP);
    (void)killtree_kill(child);
    kill(child, SIGKILL);
    o->n++;
}

/* A member that was given a uid of its own: the kernel kills all of that uid in one go, also what
 * hops from pid to pid. Its init is dead, so somebody else may have the uid by now: not theirs. */
static void kill_uid(const struct spawner *s, struct member *m)
{
    char text[512], *line;
    unsigned long uid;
    ssize_t n = pread(m->lock, text, sizeof(text) - 1, 0);
    pid_t p;

    text[n > 0 ? n : 0] = '\0';
    line = strstr(text, "uid ");
    uid = line ? strtoul(line + 4, NULL, 10) : 0;
    if (uid == 0 || s->uids < 0 || !uids_take(s->uids, (uid_t)uid))
        return;
    p = fork();
    if (p == 0) {
        if (setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) == 0)
            kill(-1, SIGKILL);
        _exit(0);
    }
    if (p > 0)
        waitpid(p, NULL, 0);
    uids_give(s->uids, (uid_t)uid);
}

static void end_orphans(struct spawner *s, struct member *m)
{
    for (int i = 0; i < ORPHANS_MAX_MS; i++) {
        struct orphans o = {.s = s};

        cgroup_kill(&m->cgroup);
        if (s->probe.is_root)
            kill_uid(s, m);
        killtree_children(getpid(), kill_orphan, &o);
        if (o.n == 0)
            return;
        /* the dead ones are reaped without touching the inits, whose ends are news */
        for (siginfo_t si = {0}; waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                                 si.si_pid > 0 && !find_member(s, si.si_pid);
             si.si_pid = 0)
            waitpid(si.si_pid, NULL, 0);
        pause_ms(1);
    }
}

static void on_member_end(struct spawner *s, struct member *m, int wstatus)
{
    struct wire_gone g = {.type = WIRE_GONE, .id = m->id, .wstatus = wstatus};

    m->pid = -1;
    if (!has(m->layers, REAPER_LAYER_PIDNS))
        end_orphans(s, m);
    g.oom = cgroup_oom_kills(&m->cgroup);
    clear_away(m);
    if (!s->ending)
        wire_say(SPAWNER_FD, &g, sizeof(g), NULL, 0);
    drop_member(s, m);
}

/* False when the kernel did not say who has ended: the signal is read, so it must be asked again.
 */
static bool reap(struct spawner *s)
{
    struct signalfd_siginfo si;
    int status;
    pid_t p;

    while (read(s->signals, &si, sizeof(si)) > 0)
        ;
    while ((p = waitpid(-1, &status, WNOHANG)) > 0) {
        struct member *m = find_member(s, p);

        if (m)
            on_member_end(s, m, status);
    }
    return p == 0 || errno == ECHILD;
}

/* --- a launch --- */

static bool open_request(struct request *q, const char **why)
{
    struct stat st;
    size_t before = 2 + (q->msg.has_stderr ? 1u : 0u);

    *why = "descriptors";
    if (q->n_fds < before || q->n_fds - before != q->msg.n_fds)
        return false;
    *why = "size";
    if (fstat(q->fds[1], &st) < 0 || st.st_size <= 0 || st.st_size > WIRE_SPEC_MAX)
        return false;
    q->map_len = (size_t)st.st_size;
    q->map = mmap(NULL, q->map_len, PROT_READ, MAP_PRIVATE, q->fds[1], 0);
    if (q->map == MAP_FAILED) {
        q->map = NULL;
        return false;
    }
    return wire_decode(q->map, q->map_len, q->spec, why) && q->spec->n_targets == q->msg.n_fds;
}

static void close_request(struct request *q)
{
    for (size_t i = 0; i < q->n_fds; i++)
        close(q->fds[i]);
    if (q->map)
        munmap(q->map, q->map_len);
}

/* The layers this member gets, and whether they are enough. */
static bool choose_layers(struct spawner *s, struct request *q, uint32_t *out)
{
    const struct wire_numbers *n = &q->spec->n;
    uint32_t layers = s->probe.layers & n->wanted;
    uint32_t missing = n->required & ~layers;

    if (!n->netns)
        layers &= ~REAPER_LAYER_BIT(REAPER_LAYER_NETNS);
    if (n->memory_max_bytes == 0 && n->pids_max == 0 && n->cpu_max_percent == 0)
        layers &= ~REAPER_LAYER_BIT(REAPER_LAYER_CGROUP);
    if (has(layers, REAPER_LAYER_PIDNS)) /* not needed, so not made */
        layers &= ~REAPER_LAYER_BIT(REAPER_LAYER_CGROUP_KILL);
    if (n->uid_policy != 0 && geteuid() == 0)
        layers &= ~REAPER_LAYER_BIT(REAPER_LAYER_UID);
    *out = layers;
    for (unsigned l = 0; l < REAPER_LAYER_COUNT; l++)
        if ((missing & (1u << l)) != 0)
            return report_fail(&q->report, STEP_LAYER, NULL,
                               s->probe.errnos[l] != 0 ? s->probe.errnos[l] : EPERM);
    return true;
}

/* The file gets its name when it is locked already, so that no sweep takes it for a dead member's.
 */
static bool make_lock_file(struct request *q, struct member *m, char name[64])
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1};
    char path[PATH_MAX];
    struct report *r = &q->report;
    uint32_t random;

    if (!TRY(r, STEP_ENTROPY, NULL, getrandom(&random, sizeof(random), 0)))
        return false;
    snprintf(name, 64, "m-%d-%u-%08x", (int)getpid(), m->id, random);
    if (snprintf(path, PATH_MAX, "%s/%s", q->spec->dir, name) >= PATH_MAX ||
        snprintf(m->lock_path, PATH_MAX, "%s/new-%s", q->spec->dir, name) >= PATH_MAX)
        return report_fail(r, STEP_LOCK, q->spec->dir, ENAMETOOLONG);
    if (!TRY(r, STEP_LOCK, m->lock_path,
             m->lock =
                 open(m->lock_path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600))) {
        m->lock_path[0] = '\0';
        return false;
    }
    if (!TRY(r, STEP_LOCK, m->lock_path, fcntl(m->lock, F_SETLK, &l)) ||
        !TRY(r, STEP_LOCK, m->lock_path, rename(m->lock_path, path)))
        return false;
    snprintf(m->lock_path, PATH_MAX, "%s", path);
    return true;
}

static bool wants_group(const struct member *m)
{
    return has(m->layers, REAPER_LAYER_CGROUP) || has(m->layers, REAPER_LAYER_CGROUP_KILL);
}

/* What the next start has to know to clear away after this member, should we not live to do it:
 * written before any of it is made. */
static bool write_notes(const struct spawner *s, struct request *q, struct member *m,
                        const char *group)
{
    const struct cgroup_base *b = &s->probe.cgroups;
    const char *const bases[] = {b->v1[CGROUP_MEMORY], b->v1[CGROUP_PIDS], b->v1[CGROUP_CPU],
                                 b->v2};
    char text[PATH_MAX * 2];
    int n = snprintf(text, sizeof(text), "name %s\n", q->spec->name);

    if (!has(m->layers, REAPER_LAYER_PIDNS))
        n += snprintf(text + n, sizeof(text) - (size_t)n, "orphans\n");
    if (m->tmp_path[0] != '\0')
        n += snprintf(text + n, sizeof(text) - (size_t)n, "tmp %s\n", m->tmp_path);
    for (size_t i = 0; wants_group(m) && i < ARRAY_LEN(bases); i++)
        if (bases[i][0] != '\0' && (size_t)n < sizeof(text) - CGROUP_PATH_MAX - 96)
            n += snprintf(text + n, sizeof(text) - (size_t)n, "cgroup %s/%s\n", bases[i], group);
    return TRY(&q->report, STEP_LOCK, m->lock_path, write(m->lock, text, (size_t)n));
}

static const char *tmp_base(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    const char *tmp = getenv("TMPDIR");

    return tmp && *tmp == '/' && access(tmp, W_OK) == 0 ? tmp : "/tmp";
}

static bool make_tmp(struct request *q, struct member *m)
{
    if (m->tmp_path[0] == '\0' || TRY(&q->report, STEP_DIR, m->tmp_path, mkdir(m->tmp_path, 0700)))
        return true;
    m->tmp_path[0] = '\0';
    return false;
}

static bool make_places(struct spawner *s, struct request *q, struct member *m)
{
    unsigned uses = (has(m->layers, REAPER_LAYER_CGROUP) ? CGROUP_FOR_LIMITS : 0u) |
                    (has(m->layers, REAPER_LAYER_CGROUP_KILL) ? CGROUP_FOR_KILL : 0u);
    char name[64], group[80];

    if (!make_lock_file(q, m, name))
        return false;
    if (!has(m->layers, REAPER_LAYER_MOUNTNS))
        snprintf(m->tmp_path, PATH_MAX, "%s/fleet-%s", tmp_base(), name);
    snprintf(group, sizeof(group), "fleet-%s", name);
    return write_notes(s, q, m, group) && make_tmp(q, m) &&
           (uses == 0 ||
            cgroup_create(&q->report, &s->probe.cgroups, group, &q->spec->n, uses, &m->cgroup));
}

/* --- between clone and exec --- */

/* Puts init's descriptors where init.h says. Everything is parked above first, so that nothing is
 * overwritten. */
static bool arrange_fds(struct spawner *s, struct request *q, struct member *m, int *self,
                        int *socket)
{
    const size_t before = 2 + (q->msg.has_stderr ? 1u : 0u);
    int from[INIT_FD_FIRST + WIRE_FDS_MAX];
    struct report *r = &q->report;
    size_t n = (size_t)INIT_FD_FIRST + q->msg.n_fds;

    for (size_t i = 0; i < n; i++)
        from[i] = i < 3 ? (int)i : s->null;
    from[0] = s->null;
    from[INIT_FD_SOCKET] = q->fds[0];
    from[INIT_FD_SPEC] = q->fds[1];
    if (s->controller >= 0)
        from[INIT_FD_CONTROLLER] = s->controller;
    from[INIT_FD_LOCK] = m->lock;
    if (s->uids >= 0)
        from[INIT_FD_UIDS] = s->uids;
    if (q->msg.has_stderr)
        from[INIT_FD_STDERR] = q->fds[2];
    for (size_t i = 0; i < q->msg.n_fds; i++)
        from[INIT_FD_FIRST + i] = q->fds[before + i];
    for (size_t i = 0; i < n; i++)
        if (!TRY(r, STEP_FDS, NULL, from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, FD_ABOVE)))
            return false;
    *socket = from[INIT_FD_SOCKET];
    if (!TRY(r, STEP_FDS, NULL, *self = fcntl(s->self, F_DUPFD_CLOEXEC, FD_ABOVE)))
        return false;
    if (syscall(SYS_close_range, 0u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */) < 0 && errno != ENOSYS &&
        errno != EINVAL)
        return report_fail(r, STEP_FDS, NULL, errno);
    for (size_t i = 0; i < n; i++)
        if (!TRY(r, STEP_FDS, NULL, dup2(from[i], (int)i)))
            return false;
    return true;
}

static unsigned long clone_flags(const struct spawner *s, uint32_t layers)
{
    static const struct {
        enum reaper_layer layer;
        unsigned long flags;
    } rows[] = {
        {REAPER_LAYER_PIDNS, CLONE_NEWPID},
        {REAPER_LAYER_MOUNTNS, CLONE_NEWNS},
        {REAPER_LAYER_NETNS, CLONE_NEWNET},
        {REAPER_LAYER_IPCNS, CLONE_NEWIPC | CLONE_NEWUTS},
    };
    unsigned long f = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (has(layers, rows[i].layer))
            f |= rows[i].flags;
    return f != 0 && s->probe.userns ? f | CLONE_NEWUSER : f;
}

/* in_v2: it was cloned into its v2 cgroup. */
static _Noreturn void become_init(struct spawner *s, struct request *q, struct member *m,
                                  uint32_t uid, uint32_t gid, bool in_v2)
{
    struct report *r = &q->report;
    struct init_args a = {.id = m->id,
                          .layers = m->layers,
                          .has_pidfd = s->controller >= 0,
                          .is_root = s->probe.is_root,
                          .owner_uid = uid,
                          .owner_gid = gid};
    char name[] = "fleet-reaper", mode[] = "--init", text[INIT_ARGS_MAX];
    char *argv[] = {name, mode, text, NULL}, *envp[] = {NULL};
    bool in_userns = (clone_flags(s, m->layers) & CLONE_NEWUSER) != 0;
    int self = -1, socket = q->fds[0];

    if (in_userns) {
        a.owner_uid = probe_inside_id(uid);
        a.owner_gid = probe_inside_id(gid);
    }
    if (cgroup_enter(r, &m->cgroup, in_v2) &&
        (!in_userns ||
         (privs_map_ids(r, a.owner_uid, a.owner_gid, uid, gid) && privs_keep_caps(r))) &&
        arrange_fds(s, q, m, &self, &socket)) {
        a.calls = r->calls;
        a.fail_at = r->fail_at;
        a.fail_errno = (uint32_t)r->fail_errno;
        init_args_encode(&a, text);
        syscall(SYS_execveat, self, "", argv, envp, AT_EMPTY_PATH);
        (void)report_fail(r, STEP_EXEC_INIT, NULL, errno);
    }
    (void)!wire_send(socket, &r->failed, sizeof(r->failed), NULL, 0);
    _exit(1);
}

/* Like clone(2), but into the member's v2 cgroup: -1 where that cannot be had (before Linux 5.7,
 * and where a container's profile does not know clone3). */
static long clone_into_cgroup(unsigned long flags, const struct cgroup *c, int *pidfd)
{
    struct clone_args a = {.flags = flags | CLONE_PIDFD | CLONE_INTO_CGROUP,
                           .pidfd = (uint64_t)(uintptr_t)pidfd,
                           .exit_signal = SIGCHLD,
                           .cgroup = (uint64_t)(unsigned)c->v2};

    return c->has_v2 ? syscall(SYS_clone3, &a, sizeof(a)) : -1;
}

static bool clone_init(struct spawner *s, struct request *q, struct member *m, int *pidfd)
{
    unsigned long flags = clone_flags(s, m->layers);
    uint32_t uid = geteuid(), gid = getegid();
    bool in_v2 = true;
    long pid;

    *pidfd = -1;
    if (report_is_fault(&q->report, STEP_CLONE, NULL))
        return false;
    pid = clone_into_cgroup(flags, &m->cgroup, pidfd);
    if (pid < 0) {
        in_v2 = false;
        pid = syscall(SYS_clone, flags | SIGCHLD | CLONE_PIDFD, NULL, pidfd, NULL, 0);
    }
    if (pid < 0 && errno == EINVAL) /* before Linux 5.2 */
        pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid == 0)
        become_init(s, q, m, uid, gid, in_v2);
    if (pid < 0)
        return report_fail(&q->report, STEP_CLONE, NULL, errno);
    m->pid = (pid_t)pid;
    return true;
}

static void launch(struct spawner *s, struct request *q)
{
    struct wire_launched ok = {.type = WIRE_LAUNCHED, .id = q->msg.id};
    struct member *m = calloc(1, sizeof(*m));
    const char *why = "";
    int pidfd = -1;

    report_init(&q->report, q->msg.id, NULL);
    if (!m || !open_request(q, &why)) {
        (void)report_fail(&q->report, STEP_REQUEST, why, m ? EBADMSG : ENOMEM);
        goto fail;
    }
    m->id = q->msg.id;
    m->lock = -1;
    q->report.fail_at = q->spec->n.fail_at;
    q->report.fail_errno = (int)q->spec->n.fail_errno;
    if (!choose_layers(s, q, &m->layers) || !make_places(s, q, m) || !clone_init(s, q, m, &pidfd)) {
        cgroup_close(&m->cgroup);
        clear_away(m);
        goto fail;
    }
    cgroup_close(&m->cgroup);
    m->next = s->members;
    s->members = m;
    ok.pid = m->pid;
    wire_say(SPAWNER_FD, &ok, sizeof(ok), &pidfd, pidfd >= 0 ? 1 : 0);
    if (pidfd >= 0)
        close(pidfd);
    return;
fail:
    wire_say(SPAWNER_FD, &q->report.failed, sizeof(q->report.failed), NULL, 0);
    free(m);
}

/* --- the loop --- */

static void read_control(struct spawner *s)
{
    static struct wire_spec spec; /* large; one launch at a time */
    static struct request q;
    union wire_any any;
    long n;

    memset(&q, 0, sizeof(q));
    q.spec = &spec;
    n = wire_recv(SPAWNER_FD, &any, q.fds, &q.n_fds, NULL);
    if (n < 0 && (errno == EAGAIN || errno == EPROTO))
        return;
    if (n <= 0) {
        s->ending = true;
        return;
    }
    if (any.type == WIRE_LAUNCH) {
        q.msg = any.launch;
        launch(s, &q);
    }
    close_request(&q);
}

static void say_hello(const struct spawner *s)
{
    struct wire_hello h = {.type = WIRE_HELLO, .version = WIRE_VERSION, .layers = s->probe.layers};

    h.flags = (s->probe.is_root ? (uint32_t)WIRE_FLAG_ROOT : 0u) |
              (s->probe.userns ? (uint32_t)WIRE_FLAG_USERNS : 0u) |
              (s->probe.masked_proc ? (uint32_t)WIRE_FLAG_MASKED_PROC : 0u);
    memcpy(h.errnos, s->probe.errnos, sizeof(h.errnos));
    wire_say(SPAWNER_FD, &h, sizeof(h), NULL, 0);
}

/* The controller has gone: every init sees it by itself, and is only waited for. */
static void end_all(struct spawner *s)
{
    for (int ms = 0; s->members && ms < 2 * END_MAX_MS; ms++) {
        if (ms == END_MAX_MS)
            for (struct member *m = s->members; m; m = m->next)
                kill(m->pid, SIGKILL);
        (void)reap(s);
        if (s->members)
            pause_ms(1);
    }
}

static bool start(struct spawner *s, unsigned uid_base)
{
    sigset_t set;

    sigfillset(&set);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    sigprocmask(SIG_SETMASK, &set, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    (void)setsid();
    (void)!chdir("/");
    syscall(SYS_close_range, (unsigned)SPAWNER_FD + 1, ~0u, 0u);
    fcntl(SPAWNER_FD, F_SETFD, FD_CLOEXEC);
    fcntl(SPAWNER_FD, F_SETFL, O_NONBLOCK);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    s->controller = (int)syscall(SYS_pidfd_open, getppid(), 0);
    s->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    s->self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (s->null < 0 || s->self < 0 || s->signals < 0 || dup2(s->null, 0) < 0)
        return false;
    probe_run(&s->probe, uid_base);
    s->uids = s->probe.is_root ? uids_open() : -1;
    return true;
}

int spawner_main(int argc, char **argv)
{
    static struct spawner s;
    bool again = false;

    if (!start(&s, argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 64000u)) {
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
        fprintf(stderr, "fleet-reaper: cannot start: %s\n", strerror(errno));
        return 1;
    }
    say_hello(&s);
    while (!s.ending) {
        struct pollfd p[] = {
            {.fd = SPAWNER_FD, .events = POLLIN},
            {.fd = s.controller, .events = POLLIN},
            {.fd = s.signals, .events = POLLIN},
        };

        if (poll(p, ARRAY_LEN(p), again ? AGAIN_MS : -1) < 0 && errno != EINTR)
            break;
        if (p[2].revents != 0 || again)
            again = !reap(&s);
        if (p[0].revents != 0)
            read_control(&s);
        if (p[1].revents != 0)
            break;
    }
    s.ending = true;
    end_all(&s);
    return 0;
}
