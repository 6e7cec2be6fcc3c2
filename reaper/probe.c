#include "reaper/probe.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/landlock.h"
#include "reaper/mounts.h"
#include "reaper/privs.h"

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)

/* Tried in this order; the first that is granted is taken. Network namespaces can be used up or
 * switched off on their own; the profile that containers get for Chromium's own sandbox allows
 * user, PID and network namespaces and no others. */
static const unsigned long tries[] = {
    NAMESPACES | CLONE_NEWNET,
    NAMESPACES,
    NAMESPACES | CLONE_NEWNET | CLONE_NEWUSER,
    NAMESPACES | CLONE_NEWUSER,
    CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUSER,
    CLONE_NEWPID | CLONE_NEWUSER,
    0,
};

struct found {
    int clone, mounts, ids, userns; /* errno or 0 */
    bool masked_proc;
};

struct who {
    unsigned uid, gid, test_uid;
};

unsigned probe_inside_id(unsigned outside)
{
    return outside != 0 ? outside : 1000;
}

static _Noreturn void try_inside(int out, unsigned long flags, const struct who *w)
{
    struct found f = {0};
    struct report r;

    report_init(&r, 0, NULL);
    if ((flags & CLONE_NEWUSER) != 0 &&
        !privs_map_ids(&r, probe_inside_id(w->uid), probe_inside_id(w->gid), w->uid, w->gid))
        f.clone = r.failed.sys_errno;
    if (f.clone == 0 && (flags & CLONE_NEWNS) != 0)
        f.mounts = mounts_probe(&f.masked_proc);
    if (f.clone == 0 && (flags & CLONE_NEWUSER) == 0 && w->uid == 0 &&
        !privs_change_ids(&r, w->test_uid, w->test_uid))
        f.ids = r.failed.sys_errno;
    if (f.clone == 0)
        f.userns = privs_probe_userns();
    (void)!write(out, &f, sizeof(f));
    _exit(0);
}

static struct found try_flags(unsigned long flags, const struct who *w)
{
    struct found f = {.clone = EAGAIN};
    int p[2], status;
    long pid;

    if (pipe(p) < 0) {
        f.clone = errno;
        return f;
    }
    pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid == 0)
        try_inside(p[1], flags, w);
    if (pid < 0)
        f.clone = errno;
    close(p[1]);
    if (pid > 0) {
        ssize_t n = read(p[0], &f, sizeof(f));

        if (n != (ssize_t)sizeof(f)) /* killed: a seccomp filter of a container may do that */
            f = (struct found){.clone = EPERM};
        while (waitpid((pid_t)pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close(p[0]);
    return f;
}

static void note(struct probe *p, enum reaper_layer l, int errnum)
{
    p->errnos[l] = errnum;
    if (errnum == 0)
        p->layers |= REAPER_LAYER_BIT(l);
}

static int probe_seccomp(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;

    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ? errno : 0;
}

static void probe_namespaces(struct probe *p, const struct who *w)
{
    struct found f = {.clone = EPERM};
    int first = 0;

    for (size_t i = 0; i < ARRAY_LEN(tries) && f.clone != 0; i++) {
        f = try_flags(tries[i], w);
        if (f.clone == 0)
            p->clone_flags = tries[i];
        else if (first == 0)
            first = f.clone;
    }
    p->userns = (p->clone_flags & CLONE_NEWUSER) != 0;
    p->is_root = w->uid == 0 && !p->userns && f.ids == 0;
    p->masked_proc = f.masked_proc;
    note(p, REAPER_LAYER_PIDNS, (p->clone_flags & CLONE_NEWPID) != 0 ? 0 : first);
    note(p, REAPER_LAYER_IPCNS, (p->clone_flags & CLONE_NEWIPC) != 0 ? 0 : first);
    note(p, REAPER_LAYER_NETNS, (p->clone_flags & CLONE_NEWNET) != 0 ? 0 : first);
    note(p, REAPER_LAYER_MOUNTNS, (p->clone_flags & CLONE_NEWNS) != 0 ? f.mounts : first);
    note(p, REAPER_LAYER_CHROMIUM, f.userns);
    note(p, REAPER_LAYER_UID, w->uid != 0 || p->is_root ? 0 : f.ids != 0 ? f.ids : EPERM);
}

void probe_run(struct probe *p, unsigned test_uid)
{
    struct who w = {.uid = geteuid(), .gid = getegid(), .test_uid = test_uid};

    memset(p, 0, sizeof(*p));
    probe_namespaces(p, &w);
    note(p, REAPER_LAYER_NNP, 0);
    note(p, REAPER_LAYER_RLIMITS, 0);
    note(p, REAPER_LAYER_SECCOMP, probe_seccomp());
    note(p, REAPER_LAYER_LANDLOCK, landlock_abi() > 0 ? 0 : ENOSYS);
    cgroup_find(&p->cgroups);
    note(p, REAPER_LAYER_CGROUP, p->cgroups.limits_errno);
    note(p, REAPER_LAYER_CGROUP_KILL, p->cgroups.kill_errno);
}
