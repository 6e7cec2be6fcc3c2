/* A member's init. It is executed by the spawner with the descriptors of init.h and nothing else,
 * inside the member's namespaces, with the capabilities to set them up; gives the program its view,
 * ids, limits and filters; and then waits, without privileges, for the first of: the program's end
 * (reported, then exit), a signal to pass on, or the end of its socket (exit). As PID 1 of a
 * namespace its exit is the end of every process in it: the kernel sees to that. Where it is not
 * PID 1 it is the subreaper of the member and kills what it finds below itself. */
#include "reaper/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/killtree.h"
#include "reaper/landlock.h"
#include "reaper/mounts.h"
#include "reaper/net.h"
#include "reaper/privs.h"
#include "reaper/uids.h"

enum {
    FD_ABOVE = 128, /* where descriptors are parked while the targets 0..63 are filled */
    END_MAX_MS = 5000,
    AGAIN_MS = 20,
};

struct member {
    struct init_args args;
    struct wire_spec spec;
    struct report report;
    uid_t uid;
    gid_t gid;
    bool unique_uid;
    bool masked_proc;
    char tmp[512], home[544], profile[544];
    char *argv[WIRE_ARGS_MAX + 1];
    char *envp[WIRE_ENVS_MAX + 4];
    int listeners[WIRE_LISTENERS_MAX];
    int status_r, status_w; /* the program's failure before execve, as struct wire_failed */
    int signals;
    pid_t program;
};

static bool has(const struct member *m, enum reaper_layer l)
{
    return (m->args.layers & REAPER_LAYER_BIT(l)) != 0;
}

/* Tells the controller and ends the member. */
static _Noreturn void fail(struct member *m)
{
    (void)!wire_send(INIT_FD_SOCKET, &m->report.failed, sizeof(m->report.failed), NULL, 0);
    if (!has(m, REAPER_LAYER_PIDNS))
        (void)killtree_end(false, END_MAX_MS);
    _exit(1);
}

/* --- what it was told --- */

void init_args_encode(const struct init_args *a, char out[INIT_ARGS_MAX])
{
    snprintf(out, INIT_ARGS_MAX, "%u:%u:%u:%u:%u:%u:%u:%u:%u", a->id, a->layers, a->has_pidfd,
             a->is_root, a->owner_uid, a->owner_gid, a->calls, a->fail_at, a->fail_errno);
}

int init_args_decode(const char *text, struct init_args *out)
{
    uint32_t *const fields[] = {&out->id,      &out->layers,    &out->has_pidfd,
                                &out->is_root, &out->owner_uid, &out->owner_gid,
                                &out->calls,   &out->fail_at,   &out->fail_errno};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        char *end;
        unsigned long v = strtoul(text, &end, 10);

        if (end == text || v > UINT32_MAX || *end != (i + 1 < ARRAY_LEN(fields) ? ':' : '\0'))
            return -1;
        *fields[i] = (uint32_t)v;
        text = end + 1;
    }
    return 0;
}

static bool read_spec(struct member *m)
{
    const char *why;
    struct stat st;
    void *p;

    if (!TRY(&m->report, STEP_SPEC, NULL, fstat(INIT_FD_SPEC, &st)))
        return false;
    p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, INIT_FD_SPEC, 0);
    if (!TRY(&m->report, STEP_SPEC, NULL, p == MAP_FAILED ? -1 : 0))
        return false;
    if (!wire_decode(p, (size_t)st.st_size, &m->spec, &why))
        return report_fail(&m->report, STEP_SPEC, why, EBADMSG);
    return true;
}

/* --- locks --- */

/* The lock is this process's own: it ends with it whatever happens, and no child inherits it
 * (fcntl(2); flock would be shared). */
static bool take_lock(struct member *m)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};

    return TRY(&m->report, STEP_LOCK, m->spec.dir, fcntl(INIT_FD_LOCK, F_SETLK, &l));
}

/* The first uid nobody uses. */
static bool take_uid(struct member *m)
{
    const struct wire_numbers *n = &m->spec.n;
    char line[32];

    m->uid = getuid();
    m->gid = getgid();
    if (!m->args.is_root || n->uid_policy != 0 || !has(m, REAPER_LAYER_UID))
        return true;
    for (uint32_t i = 0; i < n->uid_count; i++) {
        uint32_t k = (n->uid_hint + i) % n->uid_count;

        if (!uids_take(INIT_FD_UIDS, n->uid_base + k)) {
            if (errno == EAGAIN || errno == EACCES)
                continue;
            return report_fail(&m->report, STEP_UID_TAKE, NULL, errno);
        }
        m->uid = n->uid_base + k;
        m->gid = (gid_t)m->uid;
        m->unique_uid = true;
        snprintf(line, sizeof(line), "uid %u\n", m->uid);
        return TRY(&m->report, STEP_LOCK, "uid", write(INIT_FD_LOCK, line, strlen(line)));
    }
    return report_fail(&m->report, STEP_UID_TAKE, "all are in use", EBUSY);
}

/* --- places --- */

/* "tmp PATH" of the lock file: without a mount namespace the spawner made a directory for us. */
static bool read_own_dir(struct member *m)
{
    char text[1024], *line, *end;
    ssize_t n = pread(INIT_FD_LOCK, text, sizeof(text) - 1, 0);

    if (n < 0)
        return report_fail(&m->report, STEP_DIR, NULL, errno);
    text[n] = '\0';
    line = strstr(text, "tmp /");
    end = line ? strchr(line, '\n') : NULL;
    if (!end || end - line >= 512)
        return report_fail(&m->report, STEP_DIR, m->spec.dir, ENOENT);
    *end = '\0';
    snprintf(m->tmp, sizeof(m->tmp), "%s", line + 4);
    return true;
}

/* The directory is ours; with a uid of its own it becomes the member's. */
static bool give(struct member *m, const char *dir)
{
    return !m->unique_uid || TRY(&m->report, STEP_OWNER, dir, chown(dir, m->uid, m->gid));
}

static bool make_own_dirs(struct member *m)
{
    const char *const dirs[] = {m->home, m->profile};

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
        if (!TRY(&m->report, STEP_DIR, dirs[i], mkdir(dirs[i], 0700)) || !give(m, dirs[i]))
            return false;
    return give(m, m->tmp);
}

static bool enter_places(struct member *m)
{
    struct mounts_who who = {.uid = m->uid,
                             .gid = m->gid,
                             .owner_uid = m->args.owner_uid,
                             .owner_gid = m->args.owner_gid,
                             .own_procfs = has(m, REAPER_LAYER_PIDNS)};
    bool mounted = has(m, REAPER_LAYER_MOUNTNS);

    if (mounted) {
        snprintf(m->tmp, sizeof(m->tmp), "/tmp");
        if (!mounts_enter(&m->report, &m->spec, &who, &m->masked_proc))
            return false;
    } else if (!read_own_dir(m)) {
        return false;
    }
    snprintf(m->home, sizeof(m->home), "%s/home", m->tmp);
    snprintf(m->profile, sizeof(m->profile), "%s/profile", m->tmp);
    return mounted || make_own_dirs(m);
}

/* --- arguments and environment --- */

/* `text` with @TMP@, @HOME@ and @PROFILE@ replaced; malloc'ed. */
static char *expand(const struct member *m, const char *text)
{
    const struct {
        const char *word, *value;
    } words[] = {{"@TMP@", m->tmp}, {"@HOME@", m->home}, {"@PROFILE@", m->profile}};
    char *out = NULL;
    size_t len;
    FILE *f;

    if (!strchr(text, '@'))
        return strdup(text);
    f = open_memstream(&out, &len);
    if (!f)
        return NULL;
    while (*text) {
        size_t i;

        for (i = 0; i < ARRAY_LEN(words); i++)
            if (strncmp(text, words[i].word, strlen(words[i].word)) == 0)
                break;
        if (i < ARRAY_LEN(words)) {
            fputs(words[i].value, f);
            text += strlen(words[i].word);
        } else {
            fputc(*text++, f);
        }
    }
    return fclose(f) == 0 ? out : NULL;
}

static bool has_env(const struct member *m, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < m->spec.n_envs; i++)
        if (strncmp(m->spec.envp[i], name, n) == 0 && m->spec.envp[i][n] == '=')
            return true;
    return false;
}

static bool fill_words(struct member *m)
{
    size_t n = 0;

    for (size_t i = 0; i < m->spec.n_args; i++)
        if (!(m->argv[i] = expand(m, m->spec.argv[i])))
            return report_fail(&m->report, STEP_SPEC, NULL, ENOMEM);
    for (size_t i = 0; i < m->spec.n_envs; i++)
        if (!(m->envp[n++] = expand(m, m->spec.envp[i])))
            return report_fail(&m->report, STEP_SPEC, NULL, ENOMEM);
    if (!has_env(m, "HOME"))
        m->envp[n++] = expand(m, "HOME=@HOME@");
    if (!has_env(m, "TMPDIR"))
        m->envp[n] = expand(m, "TMPDIR=@TMP@");
    return true;
}

/* --- the program --- */

/* Moves what the program gets to its numbers. All other descriptors are closed by execve. */
static bool arrange_fds(struct member *m, struct report *r)
{
    int parked[WIRE_FDS_MAX] = {0};
    const struct wire_spec *s = &m->spec;

    int status_w = -1;

    /* kept until there is another: what fails is told through it */
    if (!TRY(r, STEP_FDS, NULL, status_w = fcntl(m->status_w, F_DUPFD_CLOEXEC, FD_ABOVE)))
        return false;
    m->status_w = status_w;
    for (size_t i = 0; i < s->n_targets; i++)
        if (!TRY(r, STEP_FDS, NULL,
                 parked[i] = fcntl(INIT_FD_FIRST + (int)i, F_DUPFD_CLOEXEC, FD_ABOVE)))
            return false;
    if (!TRY(r, STEP_FDS, NULL, dup2(INIT_FD_STDERR, 1)) ||
        !TRY(r, STEP_FDS, NULL, dup2(INIT_FD_STDERR, 2)))
        return false;
    if (!TRY(r, STEP_FDS, NULL, syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */)) &&
        r->failed.sys_errno != ENOSYS && r->failed.sys_errno != EINVAL)
        return false;
    report_clear(r); /* before Linux 5.11: everything here is close-on-exec as it is */
    for (size_t i = 0; i < s->n_targets; i++)
        if (!TRY(r, STEP_FDS, NULL, dup2(parked[i], s->targets[i])))
            return false;
    return true;
}

/* PDEATHSIG is for the thread that forked, and is erased by a change of ids: armed after that, and
 * the parent looked at afterwards. */
static bool arm_death_signal(struct report *r, pid_t parent)
{
    return TRY(r, STEP_DEATHSIG, NULL, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) &&
           (getppid() == parent || report_fail(r, STEP_DEATHSIG, NULL, ESRCH));
}

static bool give_up_privileges(struct member *m, struct report *r)
{
    const struct wire_spec *s = &m->spec;

    return privs_limit(r, s) && (!has(m, REAPER_LAYER_NNP) || privs_drop_bounding(r)) &&
           privs_change_ids(r, m->uid, m->gid) &&
           (!has(m, REAPER_LAYER_NNP) || privs_drop_caps(r)) &&
           (!has(m, REAPER_LAYER_LANDLOCK) || landlock_enter(r, s, m->tmp));
}

static void reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_program(struct member *m, pid_t init)
{
    struct report *r = &m->report;
    const struct wire_spec *s = &m->spec;
    uint32_t execing = WIRE_EXECING;
    int sock = -1;
    bool ok;

    reset_signals();
    ok = TRY(r, STEP_SESSION, NULL, setsid()) &&
         TRY(r, STEP_FDS, NULL, sock = fcntl(INIT_FD_SOCKET, F_DUPFD_CLOEXEC, FD_ABOVE)) &&
         arrange_fds(m, r) && give_up_privileges(m, r) &&
         (has(m, REAPER_LAYER_PIDNS) || arm_death_signal(r, init)) &&
         (!s->cwd || TRY(r, STEP_CWD, s->cwd, chdir(s->cwd))) &&
         TRY(r, STEP_EXEC, s->program, wire_send(sock, &execing, sizeof(execing), NULL, 0)) &&
         (!has(m, REAPER_LAYER_SECCOMP) || !s->filter || privs_filter(r, s));
    if (ok) {
        execve(s->program, m->argv, m->envp);
        (void)report_fail(r, STEP_EXEC, s->program, errno);
    }
    (void)!write(m->status_w, &r->failed, sizeof(r->failed));
    _exit(127);
}

static bool start_program(struct member *m)
{
    struct report *r = &m->report;
    pid_t init = getpid();
    int p[2];

    if (!TRY(r, STEP_PIPE, NULL, pipe2(p, O_CLOEXEC)))
        return false;
    m->status_r = p[0];
    m->status_w = p[1];
    if (!TRY(r, STEP_FORK, NULL, m->program = fork()))
        return false;
    if (m->program == 0)
        run_program(m, has(m, REAPER_LAYER_PIDNS) ? 0 : init);
    close(steal_fd(&m->status_w));
    return true;
}

/* --- after the launch --- */

/* Init needs nothing any more but its socket, the controller's pidfd, its locks, and to be left
 * alone by the program: the same uid may otherwise trace it. */
static bool retire(struct member *m)
{
    struct report *r = &m->report;

    for (int fd = INIT_FD_STDERR; fd < INIT_FD_FIRST + (int)m->spec.n_targets; fd++)
        close(fd);
    close(INIT_FD_SPEC);
    if (dup2(0, 1) < 0 || dup2(0, 2) < 0)
        return report_fail(r, STEP_FDS, NULL, errno);
    return privs_drop_bounding(r) && privs_change_ids(r, m->uid, m->gid) && privs_drop_caps(r) &&
           TRY(r, STEP_NNP, NULL, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
}

static void tell_started(struct member *m)
{
    struct wire_started s = {.type = WIRE_STARTED,
                             .layers = m->args.layers,
                             .uid = m->uid,
                             .n_listeners = m->spec.n.n_listeners};

    (void)!wire_send(INIT_FD_SOCKET, &s, sizeof(s), m->listeners, m->spec.n.n_listeners);
    for (uint32_t i = 0; i < m->spec.n.n_listeners; i++)
        close(m->listeners[i]);
}

/* The status pipe: nothing and its end when execve went well, else what failed. */
static void read_status(struct member *m)
{
    ssize_t n = read(m->status_r, &m->report.failed, sizeof(m->report.failed));

    if (n < 0 && errno == EINTR)
        return;
    close(steal_fd(&m->status_r));
    if (n == (ssize_t)sizeof(m->report.failed))
        fail(m);
    tell_started(m);
}

static _Noreturn void end_member(struct member *m)
{
    if (!has(m, REAPER_LAYER_PIDNS))
        (void)killtree_end(m->unique_uid, END_MAX_MS);
    _exit(0);
}

/* False when the kernel did not say who has ended: the signal is read, so it must be asked again.
 */
static bool reap(struct member *m)
{
    struct signalfd_siginfo si;
    int status;
    pid_t p;

    while (read(m->signals, &si, sizeof(si)) > 0)
        ;
    while ((p = waitpid(-1, &status, WNOHANG)) > 0) {
        struct wire_exited x = {.type = WIRE_EXITED, .wstatus = status};

        if (p != m->program)
            continue;
        if (m->status_r >= 0)
            read_status(m); /* it may have failed, or started and ended already */
        (void)!wire_send(INIT_FD_SOCKET, &x, sizeof(x), NULL, 0);
        end_member(m);
    }
    return p == 0 || errno == ECHILD;
}

static void read_socket(struct member *m)
{
    int fds[WIRE_FDS_MAX + 4];
    union wire_any any;
    size_t n_fds;
    long n = wire_recv(INIT_FD_SOCKET, &any, fds, &n_fds, NULL);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        end_member(m);
    for (size_t i = 0; i < n_fds; i++)
        close(fds[i]);
    if (any.type == WIRE_SIGNAL)
        kill(m->program, any.signal.signum);
}

/* Waiting itself does not work. */
static _Noreturn void give_up(struct member *m, int errnum)
{
    if (m->status_r < 0)
        end_member(m);
    (void)report_fail(&m->report, STEP_SIGNALS, "poll", errnum);
    fail(m);
}

static _Noreturn void watch(struct member *m)
{
    bool again = false;

    for (;;) {
        struct pollfd p[] = {
            {.fd = INIT_FD_SOCKET, .events = POLLIN},
            {.fd = m->args.has_pidfd ? INIT_FD_CONTROLLER : -1, .events = POLLIN},
            {.fd = m->signals, .events = POLLIN},
            {.fd = m->status_r, .events = POLLIN},
        };

        if (poll(p, ARRAY_LEN(p), again ? AGAIN_MS : -1) < 0 && errno != EINTR)
            give_up(m, errno);
        if (p[1].revents != 0)
            end_member(m);
        if (p[0].revents != 0)
            read_socket(m);
        if (p[3].revents != 0)
            read_status(m);
        if (p[2].revents != 0 || again)
            again = !reap(m);
    }
}

static bool watch_signals(struct member *m)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    return TRY(&m->report, STEP_SIGNALS, NULL,
               m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
}

static bool prepare(struct member *m)
{
    struct report *r = &m->report;
    const struct wire_numbers *n = &m->spec.n;

    return read_spec(m) && take_lock(m) && take_uid(m) &&
           (has(m, REAPER_LAYER_PIDNS) ||
            TRY(r, STEP_SUBREAPER, NULL, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))) &&
           (!has(m, REAPER_LAYER_NETNS) ||
            (net_loopback_up(r) && net_listen(r, n->inside_port, n->n_listeners, m->listeners))) &&
           (!has(m, REAPER_LAYER_IPCNS) ||
            TRY(r, STEP_HOSTNAME, "member", sethostname("member", 6))) &&
           enter_places(m) && fill_words(m) && watch_signals(m);
}

_Noreturn void init_main(int argc, char **argv)
{
    static struct member m;
    sigset_t all;

    m.status_r = m.status_w = -1;
    report_init(&m.report, 0, NULL);
    if (argc < 3 || init_args_decode(argv[2], &m.args) < 0)
        _exit(2);
    m.report.failed.id = m.args.id;
    m.report.calls = m.args.calls;
    m.report.fail_at = m.args.fail_at;
    m.report.fail_errno = (int)m.args.fail_errno;
    sigfillset(&all);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "fleet-init", 0, 0, 0);
    (void)setsid();
    if (fcntl(INIT_FD_SOCKET, F_SETFL, O_NONBLOCK) < 0)
        _exit(2);
    for (int fd = 3; fd < INIT_FD_FIRST; fd++)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (!prepare(&m) || !start_program(&m) || !retire(&m))
        fail(&m);
    watch(&m);
}
