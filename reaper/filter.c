/* Two lists. The browser's is what Chromium 156 was measured to use over a workload of every kind
 * of page, plus the siblings that other C libraries and machines use instead; what is not on it
 * answers ENOSYS, so that a C library falls back to what it knew before (a new call answered with
 * EPERM breaks programs: opencontainers/runc#2151). In headless mode the browser, GPU and network
 * processes have no filter of their own: this is the only one they get.
 *
 * Programs (automations, proxies) may be anything, so theirs is what must not be done: EPERM for
 * what changes the machine, looks into other processes, or is known for its holes. libseccomp skips
 * names it does not know on a machine; a filter is for the native architecture alone, and calls of
 * another (x32, i386) kill the process. */
#include "reaper/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/attr.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static const char *const allowed[] = {
    /* measured */
    "access", "arch_prctl", "brk", "capget", "capset", "chdir", "chmod", "clock_gettime",
    "clock_nanosleep", "close", "connect", "creat", "dup", "dup2", "epoll_create", "epoll_create1",
    "epoll_ctl", "epoll_wait", "eventfd2", "execve", "exit", "exit_group", "fadvise64", "fchmod",
    "fcntl", "fdatasync", "flock", "fstat", "fstatfs", "ftruncate", "futex", "getcwd", "getdents64",
    "geteuid", "getegid", "getgid", "getpeername", "getpid", "getpriority", "getrandom",
    "getresgid", "getresuid", "getrusage", "getsockname", "getsockopt", "gettid", "getuid",
    "inotify_add_watch", "inotify_init", "inotify_rm_watch", "ioctl", "kill", "listen", "lseek",
    "madvise", "memfd_create", "mkdir", "mmap", "mprotect", "mremap", "munmap", "newfstatat",
    "openat", "pipe2", "pkey_alloc", "pkey_mprotect", "poll", "ppoll", "prctl", "pread64",
    "prlimit64", "pwrite64", "read", "readlink", "recvfrom", "recvmsg", "rename", "restart_syscall",
    "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
    "rt_tgsigqueueinfo", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_getscheduler", "sched_setaffinity", "sched_setattr", "sched_yield", "seccomp",
    "sendmmsg", "sendmsg", "sendto", "set_robust_list", "set_tid_address", "setgroups",
    "setpriority", "setresgid", "setresuid", "setsid", "setsockopt", "shutdown", "sigaltstack",
    "socketpair", "statfs", "statx", "symlink", "sysinfo", "tgkill", "uname", "unlink", "unlinkat",
    "wait4", "waitid", "write", "bind",
    /* siblings, for other C libraries and machines */
    "fsync", "fallocate", "rmdir", "link", "linkat", "symlinkat", "renameat", "renameat2",
    "mkdirat", "readlinkat", "faccessat", "faccessat2", "openat2", "open", "stat", "lstat",
    "fstatat64", "fchmodat", "fchdir", "truncate", "readv", "writev", "preadv", "pwritev",
    "preadv2", "pwritev2", "sendfile", "copy_file_range", "membarrier", "nanosleep",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "epoll_pwait", "epoll_pwait2",
    "eventfd", "pipe", "dup3", "accept", "accept4", "recvmmsg", "pkey_free", "close_range", "umask",
    "getppid", "getpgid", "getpgrp", "getsid", "setpgid", "utimensat", "utime", "utimes",
    "sched_get_priority_max", "sched_get_priority_min", "getgroups", "gettimeofday", "time",
    "times", "clock_getres", "getrlimit", "setrlimit", "inotify_init1", "select", "pselect6",
    "sync_file_range", "rt_sigpending", "rt_sigsuspend", "rt_sigqueueinfo", "tkill", "vfork",
    "fork", "msync", "mincore", "mlock", "munlock", "getcpu", "alarm", "setitimer", "getitimer",
    "readahead", "sync", "syncfs", "getdents", "execveat", "setuid", "setgid", "pause",
    "set_thread_area", "get_thread_area", "signalfd4"};

/* Known, and refused: an answer of EPERM says so, where ENOSYS would be taken for an old kernel. */
static const char *const refused_by_browser[] = {"ptrace",
                                                 "mount",
                                                 "umount2",
                                                 "pivot_root",
                                                 "setns",
                                                 "bpf",
                                                 "perf_event_open",
                                                 "keyctl",
                                                 "add_key",
                                                 "request_key",
                                                 "process_vm_readv",
                                                 "process_vm_writev",
                                                 "kexec_load",
                                                 "init_module",
                                                 "finit_module",
                                                 "delete_module",
                                                 "open_by_handle_at",
                                                 "name_to_handle_at",
                                                 "userfaultfd",
                                                 "reboot",
                                                 "swapon",
                                                 "swapoff",
                                                 "mknod",
                                                 "mknodat",
                                                 "setfsuid",
                                                 "setfsgid",
                                                 "setreuid",
                                                 "setregid",
                                                 "chown",
                                                 "lchown",
                                                 "fchown",
                                                 "fchownat",
                                                 "syslog",
                                                 "acct",
                                                 "quotactl",
                                                 "settimeofday",
                                                 "clock_settime",
                                                 "sethostname",
                                                 "setdomainname",
                                                 "iopl",
                                                 "ioperm",
                                                 "personality",
                                                 "kcmp",
                                                 "move_mount",
                                                 "open_tree",
                                                 "fsopen",
                                                 "fsmount",
                                                 "fsconfig",
                                                 "fspick",
                                                 "mount_setattr"};

static const char *const denied[] = {"mount",
                                     "umount2",
                                     "pivot_root",
                                     "mount_setattr",
                                     "move_mount",
                                     "open_tree",
                                     "fsopen",
                                     "fsconfig",
                                     "fsmount",
                                     "fspick",
                                     "setns",
                                     "swapon",
                                     "swapoff",
                                     "quotactl",
                                     "quotactl_fd",
                                     "acct",
                                     "reboot",
                                     "kexec_load",
                                     "kexec_file_load",
                                     "init_module",
                                     "finit_module",
                                     "delete_module",
                                     "create_module",
                                     "query_module",
                                     "get_kernel_syms",
                                     "nfsservctl",
                                     "iopl",
                                     "ioperm",
                                     "vhangup",
                                     "syslog",
                                     "_sysctl",
                                     "sysfs",
                                     "uselib",
                                     "ustat",
                                     "lookup_dcookie",
                                     "settimeofday",
                                     "clock_settime",
                                     "clock_adjtime",
                                     "adjtimex",
                                     "stime",
                                     "sethostname",
                                     "setdomainname",
                                     "bpf",
                                     "perf_event_open",
                                     "userfaultfd",
                                     "ptrace",
                                     "process_vm_readv",
                                     "process_vm_writev",
                                     "process_madvise",
                                     "process_mrelease",
                                     "kcmp",
                                     "pidfd_getfd",
                                     "keyctl",
                                     "add_key",
                                     "request_key",
                                     "open_by_handle_at",
                                     "name_to_handle_at",
                                     "fanotify_init",
                                     "fanotify_mark",
                                     "migrate_pages",
                                     "move_pages",
                                     "remap_file_pages",
                                     "modify_ldt",
                                     "mknod",
                                     "mknodat",
                                     "vmsplice",
                                     "memfd_secret",
                                     "unshare",
                                     "chroot"};

/* ENOSYS: programs have an older way for each. */
static const char *const unknown_to_programs[] = {"clone3", "io_uring_setup", "io_uring_enter",
                                                  "io_uring_register"};

#define NAMESPACE_FLAGS_BROWSER                                                                    \
    (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWTIME)
#define NAMESPACE_FLAGS_ALL (NAMESPACE_FLAGS_BROWSER | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
static const int denied_families[] = {AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_CAN,
                                      AF_RDS,    AF_TIPC,  AF_IB,  AF_NFC,       AF_KEY};
static const unsigned long terminal_ioctls[] = {0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */};

const char *const *filter_allowed(size_t *n)
{
    *n = ARRAY_LEN(allowed);
    return allowed;
}

const char *const *filter_denied(size_t *n)
{
    *n = ARRAY_LEN(denied);
    return denied;
}

/* Adds a rule; a call this machine does not have is fine. The first failure is kept. */
static void rule(scmp_filter_ctx ctx, uint32_t action, const char *name,
                 const struct scmp_arg_cmp *arg, int *rc)
{
    int nr = seccomp_syscall_resolve_name(name);

    if (nr == __NR_SCMP_ERROR || *rc != 0)
        return;
    *rc = seccomp_rule_add_array(ctx, action, nr, arg ? 1 : 0, arg);
    if (*rc == -EDOM) /* not of this architecture */
        *rc = 0;
}

static void rules(scmp_filter_ctx ctx, uint32_t action, const char *const *names, size_t n, int *rc)
{
    for (size_t i = 0; i < n; i++)
        rule(ctx, action, names[i], NULL, rc);
}

static void browser_rules(scmp_filter_ctx ctx, bool own_sandbox, int *rc)
{
    const struct scmp_arg_cmp user_only = SCMP_A0(SCMP_CMP_EQ, CLONE_NEWUSER, 0);
    const uint64_t flags = own_sandbox ? NAMESPACE_FLAGS_BROWSER : NAMESPACE_FLAGS_ALL;
    const struct scmp_arg_cmp no_namespaces = SCMP_A0(SCMP_CMP_MASKED_EQ, flags, 0);
    const struct scmp_arg_cmp other_family = SCMP_A0(SCMP_CMP_GT, AF_INET6, 0);

    rules(ctx, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed), rc);
    rules(ctx, SCMP_ACT_ERRNO(EPERM), refused_by_browser, ARRAY_LEN(refused_by_browser), rc);
    rule(ctx, SCMP_ACT_ALLOW, "clone", &no_namespaces, rc);
    if (own_sandbox) {
        rule(ctx, SCMP_ACT_ALLOW, "unshare", &user_only, rc);
        rule(ctx, SCMP_ACT_ALLOW, "chroot", NULL, rc);
    } else {
        rule(ctx, SCMP_ACT_ERRNO(EPERM), "unshare", NULL, rc);
        rule(ctx, SCMP_ACT_ERRNO(EPERM), "chroot", NULL, rc);
    }
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        const struct scmp_arg_cmp family = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0);

        rule(ctx, SCMP_ACT_ALLOW, "socket", &family, rc);
    }
    rule(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", &other_family, rc); /* netlink and on */
}

static void program_rules(scmp_filter_ctx ctx, int *rc)
{
    static const unsigned long flags[] = {CLONE_NEWNS,     CLONE_NEWUTS,  CLONE_NEWIPC,
                                          CLONE_NEWCGROUP, CLONE_NEWUSER, CLONE_NEWPID,
                                          CLONE_NEWNET};

    rules(ctx, SCMP_ACT_ERRNO(EPERM), denied, ARRAY_LEN(denied), rc);
    rules(ctx, SCMP_ACT_ERRNO(ENOSYS), unknown_to_programs, ARRAY_LEN(unknown_to_programs), rc);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) { /* libseccomp has no "any of these bits" */
        const struct scmp_arg_cmp bit = SCMP_A0(SCMP_CMP_MASKED_EQ, flags[i], flags[i]);

        rule(ctx, SCMP_ACT_ERRNO(EPERM), "clone", &bit, rc);
    }
    for (size_t i = 0; i < ARRAY_LEN(denied_families); i++) {
        const struct scmp_arg_cmp family =
            SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)denied_families[i], 0);

        rule(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", &family, rc);
    }
    for (size_t i = 0; i < ARRAY_LEN(terminal_ioctls); i++) {
        const struct scmp_arg_cmp request =
            SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, terminal_ioctls[i]);

        rule(ctx, SCMP_ACT_ERRNO(EPERM), "ioctl", &request, rc);
    }
}

/* libseccomp writes to a descriptor; a memfd gives the bytes back. */
static int export_bytes(scmp_filter_ctx ctx, struct buf *out)
{
    cleanup_fd int fd = memfd_create("filter", MFD_CLOEXEC);
    struct stat st;
    char *room;
    int rc;

    if (fd < 0)
        return -errno;
    rc = seccomp_export_bpf(ctx, fd);
    if (rc != 0)
        return rc;
    if (fstat(fd, &st) < 0)
        return -errno;
    room = buf_reserve(out, (size_t)st.st_size);
    if (!room || pread(fd, room, (size_t)st.st_size, 0) != st.st_size)
        return -ENOMEM;
    buf_commit(out, (size_t)st.st_size);
    return 0;
}

enum status filter_compile(enum filter_kind k, struct buf *out, struct err *e)
{
    uint32_t rest = k == FILTER_PROGRAM ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(ENOSYS);
    scmp_filter_ctx ctx = seccomp_init(rest);
    int rc = 0;

    if (!ctx)
        return err_set(e, STATUS_UNSUPPORTED,
                       "libseccomp does not know this machine's architecture");
    /* a search tree: 156 instructions, but 8 deep instead of a walk through all of them at each
     * call */
    (void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (k == FILTER_PROGRAM)
        program_rules(ctx, &rc);
    else
        browser_rules(ctx, k == FILTER_BROWSER, &rc);
    if (rc == 0)
        rc = export_bytes(ctx, out);
    seccomp_release(ctx);
    return rc == 0 ? STATUS_OK
                   : err_set_errno(e, STATUS_UNSUPPORTED, -rc, "compile the seccomp filter");
}
