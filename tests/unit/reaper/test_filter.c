/* The filters, twice: run in a small interpreter over every call and the arguments that matter, and
 * applied for real in a child that tries what it must not. */
#include "reaper/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "tests/support/testing.h"

#define ALLOWED  SECCOMP_RET_ALLOW
#define ERRNO(e) (SECCOMP_RET_ERRNO | (uint32_t)(e))

static struct buf programs[FILTER_COUNT];

static int compile_all(void **state)
{
    (void)state;
    for (unsigned k = 0; k < FILTER_COUNT; k++) {
        struct err e = ERR_INIT;

        buf_init(&programs[k], BUF_MAX_LINE);
        if (filter_compile((enum filter_kind)k, &programs[k], &e) != STATUS_OK)
            return -1;
    }
    return 0;
}

static int free_all(void **state)
{
    (void)state;
    for (unsigned k = 0; k < FILTER_COUNT; k++)
        buf_deinit(&programs[k]);
    return 0;
}

/* The classic BPF that libseccomp generates: loads, jumps, and, return. */
static uint32_t run(enum filter_kind k, const struct seccomp_data *d)
{
    const struct sock_filter *p = (const struct sock_filter *)(const void *)programs[k].ptr;
    size_t n = programs[k].len / sizeof(*p);
    uint32_t a = 0;

    for (size_t pc = 0; pc < n; pc++) {
        const struct sock_filter *i = &p[pc];

        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)d + i->k, sizeof(a));
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            pc += a > i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            return i->k;
        default:
            fail_msg("instruction %zu: code %u", pc, i->code);
        }
    }
    fail_msg("ran out of the program");
    return 0;
}

static uint32_t ask_nr(enum filter_kind k, int nr, uint64_t a0, uint64_t a1)
{
    struct seccomp_data d = {.nr = nr, .arch = seccomp_arch_native(), .args = {a0, a1}};

    return run(k, &d);
}

static uint32_t ask(enum filter_kind k, const char *name, uint64_t a0, uint64_t a1)
{
    int nr = seccomp_syscall_resolve_name(name);

    assert_true(nr >= 0);
    return ask_nr(k, nr, a0, a1);
}

static void test_lists(void **state)
{
    size_t n;
    const char *const *names = filter_allowed(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);

        if (nr == __NR_SCMP_ERROR)
            fail_msg("no such call: %s", names[i]);
        if (nr >= 0 && ask_nr(FILTER_BROWSER, nr, 0, 0) != ALLOWED)
            fail_msg("not allowed: %s", names[i]);
    }
    names = filter_denied(&n);
    for (size_t i = 0; i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);

        if (nr >= 0 && ask_nr(FILTER_PROGRAM, nr, 0, 0) != ERRNO(EPERM))
            fail_msg("not denied: %s", names[i]);
        /* a browser is never allowed what other programs are not, but for its own sandbox */
        if (nr >= 0 && strcmp(names[i], "unshare") != 0 && strcmp(names[i], "chroot") != 0 &&
            ask_nr(FILTER_BROWSER, nr, 0, 0) == ALLOWED)
            fail_msg("a browser may %s", names[i]);
    }
}

static void test_arguments(void **state)
{
    const uint64_t sigchld = 17, thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
    const struct {
        enum filter_kind k;
        const char *name;
        uint64_t a0, a1;
        uint32_t expected;
    } rows[] = {
        {FILTER_BROWSER, "clone", sigchld, 0, ALLOWED},
        {FILTER_BROWSER, "clone", thread, 0, ALLOWED},
        {FILTER_BROWSER, "clone", CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | sigchld, 0,
         ALLOWED},
        {FILTER_BROWSER, "clone", CLONE_NEWNS | sigchld, 0, ERRNO(ENOSYS)},
        {FILTER_BROWSER, "clone", CLONE_NEWUSER | CLONE_NEWNS, 0, ERRNO(ENOSYS)},
        {FILTER_BROWSER, "clone3", 0, 0, ERRNO(ENOSYS)},
        {FILTER_BROWSER, "unshare", CLONE_NEWUSER, 0, ALLOWED},
        {FILTER_BROWSER, "unshare", CLONE_NEWUSER | CLONE_NEWNS, 0, ERRNO(ENOSYS)},
        {FILTER_BROWSER, "unshare", CLONE_NEWNS, 0, ERRNO(ENOSYS)},
        {FILTER_BROWSER, "chroot", 0, 0, ALLOWED},
        {FILTER_BROWSER, "socket", AF_INET, 0, ALLOWED},
        {FILTER_BROWSER, "socket", AF_NETLINK, 0, ERRNO(EAFNOSUPPORT)},
        {FILTER_BROWSER, "socket", AF_ALG, 0, ERRNO(EAFNOSUPPORT)},
        {FILTER_BROWSER, "io_uring_setup", 0, 0, ERRNO(ENOSYS)},
        {FILTER_BROWSER, "ptrace", 0, 0, ERRNO(EPERM)},
        {FILTER_BROWSER_NO_SANDBOX, "clone", thread, 0, ALLOWED},
        {FILTER_BROWSER_NO_SANDBOX, "clone", CLONE_NEWUSER, 0, ERRNO(ENOSYS)},
        {FILTER_BROWSER_NO_SANDBOX, "unshare", CLONE_NEWUSER, 0, ERRNO(EPERM)},
        {FILTER_BROWSER_NO_SANDBOX, "chroot", 0, 0, ERRNO(EPERM)},
        {FILTER_PROGRAM, "clone", sigchld, 0, ALLOWED},
        {FILTER_PROGRAM, "clone", CLONE_NEWUSER, 0, ERRNO(EPERM)},
        {FILTER_PROGRAM, "clone3", 0, 0, ERRNO(ENOSYS)},
        {FILTER_PROGRAM, "ioctl", 0, 0x5412, ERRNO(EPERM)},
        {FILTER_PROGRAM, "ioctl", 0, 0xffffffff00005412ull, ERRNO(EPERM)},
        {FILTER_PROGRAM, "ioctl", 0, 0x5413, ALLOWED},
        {FILTER_PROGRAM, "socket", AF_NETLINK, 0, ALLOWED},
        {FILTER_PROGRAM, "socket", AF_PACKET, 0, ERRNO(EAFNOSUPPORT)},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint32_t is = ask(rows[i].k, rows[i].name, rows[i].a0, rows[i].a1);

        if (is != rows[i].expected)
            fail_msg("row %zu (%s): %#x, expected %#x", i, rows[i].name, is, rows[i].expected);
    }
}

static void test_unknown_and_foreign(void **state)
{
    struct seccomp_data d = {.nr = 9999, .arch = seccomp_arch_native()};

    (void)state;
    assert_int_equal(run(FILTER_BROWSER, &d), ERRNO(ENOSYS));
    d.nr = 1;
    d.arch = d.arch == AUDIT_ARCH_I386 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_I386;
    for (unsigned k = 0; k < FILTER_COUNT; k++)
        assert_int_equal(run((enum filter_kind)k, &d) & SECCOMP_RET_ACTION_FULL,
                         SECCOMP_RET_KILL_THREAD);
}

/* For real: what the kernel answers. */
static int try_all(enum filter_kind k)
{
    static const struct {
        long nr;
        long a0;
        int browser, program;
    } rows[] = {
        {SYS_mount, 0, EPERM, EPERM},
        {SYS_umount2, 0, EPERM, EPERM},
        {SYS_pivot_root, 0, EPERM, EPERM},
        {SYS_setns, -1, EPERM, EPERM},
        {SYS_bpf, 99, EPERM, EPERM},
        {SYS_perf_event_open, 0, EPERM, EPERM},
        {SYS_ptrace, 0, EPERM, EPERM},
        {SYS_process_vm_readv, 1, EPERM, EPERM},
        {SYS_keyctl, 0, EPERM, EPERM},
        {SYS_userfaultfd, 1, EPERM, EPERM},
        {SYS_io_uring_setup, 0, ENOSYS, ENOSYS},
        {SYS_clone3, 0, ENOSYS, ENOSYS},
        {SYS_unshare, CLONE_NEWNS, ENOSYS, EPERM},
        {SYS_open_by_handle_at, -1, EPERM, EPERM},
        {SYS_init_module, 0, EPERM, EPERM},
        {SYS_kexec_load, 0, EPERM, EPERM},
        {SYS_mq_open, 0, ENOSYS, 0},
        {SYS_fanotify_init, 0, ENOSYS, EPERM},
    };
    struct sock_fprog prog = {.len =
                                  (unsigned short)(programs[k].len / sizeof(struct sock_filter))};

    prog.filter = (struct sock_filter *)(void *)programs[k].ptr;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
        return 100;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int expected = k == FILTER_PROGRAM ? rows[i].program : rows[i].browser;

        if (rows[i].nr == SYS_unshare && k == FILTER_BROWSER_NO_SANDBOX)
            expected = EPERM;

        errno = 0;
        if (expected != 0 &&
            (syscall(rows[i].nr, rows[i].a0, 0, 0, 0, 0, 0) != -1 || errno != expected))
            return (int)i + 1;
    }
    return 0;
}

static void test_in_the_kernel(void **state)
{
    (void)state;
    for (unsigned k = 0; k < FILTER_COUNT; k++) {
        pid_t p = fork();
        int status;

        if (p == 0)
            _exit(try_all((enum filter_kind)k));
        assert_int_equal(waitpid(p, &status, 0), p);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_unknown_and_foreign),
        cmocka_unit_test(test_in_the_kernel),
    };

    return cmocka_run_group_tests_name("filter", tests, compile_all, free_all);
}
