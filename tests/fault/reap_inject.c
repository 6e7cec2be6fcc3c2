#include "tests/fault/reap_inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"

enum { CONTROL_FD = 3, PIDS_MAX = 64, TICK_MS = 10 };

struct injector {
    int listener, error;
    unsigned at, n;
    char program[4096];
    pid_t spawner;
    bool execed, armed;
    pid_t members[PIDS_MAX]; /* have executed the member's program: theirs are not counted */
    size_t n_members;
};

/* --- files beside the TMPDIR --- */

static void path_beside(char out[4200], const char *tmpdir, const char *what)
{
    snprintf(out, 4200, "%s.%s", tmpdir, what);
}

static FILE *beside(const char *tmpdir, const char *what, const char *mode)
{
    char path[4200];

    path_beside(path, tmpdir, what);
    return fopen(path, mode);
}

void inject_prepare(const char *tmpdir, unsigned at, int error, const char *program)
{
    FILE *f = beside(tmpdir, "inject", "we");

    if (!f || fprintf(f, "%u %d %s", at, error, program) < 0 || fclose(f) != 0)
        _exit(119);
}

const char *inject_failed(const char *tmpdir)
{
    static char name[64];
    FILE *f = beside(tmpdir, "failed", "re");
    char path[4200];

    name[0] = '\0';
    if (f && !fgets(name, sizeof name, f))
        name[0] = '\0';
    if (f)
        fclose(f);
    path_beside(path, tmpdir, "failed");
    unlink(path);
    path_beside(path, tmpdir, "inject");
    unlink(path);
    return name;
}

static void read_orders(struct injector *j)
{
    FILE *f = beside(getenv("TMPDIR"), "inject", "re");

    if (!f || fscanf(f, "%u %d %4095s", &j->at, &j->error, j->program) != 3)
        _exit(118);
    fclose(f);
}

/* --- the injector --- */

/* Of no use to make fail: the process goes on with nothing to tell it, or is over. */
static bool is_spared(int nr)
{
    return nr == SYS_close || nr == SYS_exit || nr == SYS_exit_group || nr == SYS_munmap ||
           nr == SYS_rt_sigreturn || nr == SYS_restart_syscall;
}

static bool is_member(const struct injector *j, pid_t pid)
{
    for (size_t i = 0; i < j->n_members; i++)
        if (j->members[i] == pid)
            return true;
    return false;
}

static void tell(int nr)
{
    char *name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), nr);
    FILE *f = beside(getenv("TMPDIR"), "failed", "we");

    if (f) {
        fprintf(f, "%s", name ? name : "?");
        fclose(f);
    }
    free(name);
}

/* 0: goes on; else the errno that it fails with. */
static int decide(struct injector *j, const struct seccomp_notif *q)
{
    pid_t pid = (pid_t)q->pid;
    int nr = q->data.nr;

    if (!j->execed && pid == j->spawner && nr != SYS_execve) {
        j->execed = true; /* it has its own descriptors now */
        close(CONTROL_FD);
    }
    if (pid == j->spawner && nr == SYS_recvmsg)
        j->armed = true;
    if (!j->armed || is_spared(nr) || is_member(j, pid))
        return 0;
    if (nr == SYS_execve && pid != j->spawner && j->n_members < PIDS_MAX)
        j->members[j->n_members++] = pid;
    if (++j->n != j->at)
        return 0;
    tell(nr);
    return j->error;
}

static void answer(struct injector *j)
{
    struct seccomp_notif q = {0};
    struct seccomp_notif_resp r = {0};

    if (ioctl(j->listener, SECCOMP_IOCTL_NOTIF_RECV, &q) != 0)
        return;
    r.id = q.id;
    r.error = -decide(j, &q);
    r.flags = r.error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
    (void)ioctl(j->listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

/* Shares descriptors with its parent until the execve, so that the listener is there as well. */
static _Noreturn void run_asked(const char *program, char **argv, volatile int *listener)
{
    struct sock_filter ask = {.code = BPF_RET | BPF_K, .k = SECCOMP_RET_USER_NOTIF};
    struct sock_fprog prog = {.len = 1, .filter = &ask};

    *listener =
        (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
    execv(program, argv);
    _exit(120);
}

_Noreturn void inject_main(char **argv)
{
    volatile int *listener =
        mmap(NULL, sizeof *listener, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct injector j = {0};
    struct pollfd wait;
    int status = 0;

    read_orders(&j);
    *listener = -1;
    j.spawner = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
    if (j.spawner == 0)
        run_asked(j.program, argv, listener);
    while (*listener < 0)
        sched_yield();
    j.listener = *listener;
    wait = (struct pollfd){.fd = j.listener, .events = POLLIN};
    while (waitpid(j.spawner, &status, WNOHANG) == 0)
        if (poll(&wait, 1, TICK_MS) == 1 && (wait.revents & POLLIN) != 0)
            answer(&j);
    /* inits may be about to end: nobody would answer them, so that their calls fail (ENOSYS) */
    while (poll(&wait, 1, TICK_MS) == 1 && (wait.revents & POLLIN) != 0)
        answer(&j);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 121);
}
