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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "tests/support/bpf.h"
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

static uint32_t run(enum filter_kind k, const struct seccomp_data *d)
{
    const struct sock_filter *p = (const struct sock_filter *)(const void *)programs[k].ptr;
    uint32_t action = 0;

    if (!bpf_run(p, programs[k].len / sizeof(*p), d, &action))
        fail_msg("the program holds what libseccomp is not known to generate");
    return action;
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
static int apply(enum filter_kind k)
{
    struct sock_fprog prog = {.len =
                                  (unsigned short)(programs[k].len / sizeof(struct sock_filter))};

    prog.filter = (struct sock_filter *)(void *)programs[k].ptr;
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
                   syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0
               ? -1
               : 0;
}

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

    if (apply(k) != 0)
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

/* Every call number that the filter refuses whatever its arguments are, tried for real: what is
 * refused does nothing, so all may be. The child tells how many there were, and of the first that
 * was not refused as it should be. */
enum { CALLS_MAX = 1024, UPROBE_FIRST = 335, UPROBE_LAST = 336 };

/* uretprobe and uprobe (x86-64): the kernel lets them past every filter, and answers with SIGILL
 * whoever is not a probe of its own. */
static bool is_past_filters(int nr)
{
#ifdef __x86_64__
    return nr >= UPROBE_FIRST && nr <= UPROBE_LAST;
#else
    return false;
#endif
}

static void probe_each(enum filter_kind k, int tell)
{
    int32_t report[2] = {0, -1};
    uint32_t expected[CALLS_MAX];

    for (int nr = 0; nr < CALLS_MAX; nr++)
        expected[nr] = ask_nr(k, nr, 0, 0);
    if (apply(k) != 0)
        _exit(1);
    for (int nr = 0; nr < CALLS_MAX && report[1] < 0; nr++) {
        if ((expected[nr] & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO || is_past_filters(nr))
            continue;
        errno = 0;
        if (syscall(nr, 0, 0, 0, 0, 0, 0) != -1 ||
            (uint32_t)errno != (expected[nr] & SECCOMP_RET_DATA))
            report[1] = nr;
        report[0]++;
    }
    _exit(write(tell, report, sizeof report) == sizeof report ? 0 : 1);
}

static void test_every_refusal_in_the_kernel(void **state)
{
    static const char *const names[] = {"browser", "browser without sandbox", "program"};

    (void)state;
    for (unsigned k = 0; k < FILTER_COUNT; k++) {
        int32_t report[2] = {0, 0};
        int pair[2], status;
        pid_t p;

        assert_int_equal(pipe(pair), 0);
        p = fork();
        if (p == 0)
            probe_each((enum filter_kind)k, pair[1]);
        close(pair[1]);
        assert_int_equal(read(pair[0], report, sizeof report), sizeof report);
        close(pair[0]);
        assert_int_equal(waitpid(p, &status, 0), p);
        if (report[1] >= 0)
            fail_msg("%s: call %d is not refused as it should be", names[k], report[1]);
        print_message("%s: %d calls refused by the kernel\n", names[k], report[0]);
        assert_true(report[0] > 50);
    }
}

/* What the kernel's own look at a filter finds (seccomp_is_const_allow, Linux 5.11): that a call is
 * allowed whatever its arguments. Such calls are answered from a bitmap, without the filter. */
static bool is_always_allowed(enum filter_kind k, int nr)
{
    const struct sock_filter *p = (const struct sock_filter *)(const void *)programs[k].ptr;
    size_t n = programs[k].len / sizeof(*p);
    uint32_t a = 0;

    for (size_t pc = 0; pc < n; pc++) {
        const struct sock_filter *f = &p[pc];
        bool yes = false;

        switch (f->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            if (f->k != offsetof(struct seccomp_data, nr) &&
                f->k != offsetof(struct seccomp_data, arch))
                return false;
            a = f->k == offsetof(struct seccomp_data, nr) ? (uint32_t)nr : seccomp_arch_native();
            continue;
        case BPF_RET | BPF_K:
            return f->k == ALLOWED;
        case BPF_JMP | BPF_JA:
            pc += f->k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            yes = a == f->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            yes = a >= f->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            yes = a > f->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            yes = (a & f->k) != 0;
            break;
        default:
            return false;
        }
        pc += yes ? f->jt : f->jf;
    }
    return false;
}

/* All that a page calls by the million costs nothing more for the filter. */
static void test_what_is_allowed_needs_no_run(void **state)
{
    size_t n;
    const char *const *names = filter_allowed(&n);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        int nr = seccomp_syscall_resolve_name(names[i]);

        if (nr >= 0 && !is_always_allowed(FILTER_BROWSER, nr))
            fail_msg("%s is not decided by its number alone", names[i]);
    }
    assert_false(is_always_allowed(FILTER_BROWSER, SYS_clone));
    assert_false(is_always_allowed(FILTER_BROWSER, SYS_socket));
    assert_false(is_always_allowed(FILTER_BROWSER, SYS_ptrace));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_allowed_needs_no_run),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_unknown_and_foreign),
        cmocka_unit_test(test_in_the_kernel),
        cmocka_unit_test(test_every_refusal_in_the_kernel),
    };

    return cmocka_run_group_tests_name("filter", tests, compile_all, free_all);
}
