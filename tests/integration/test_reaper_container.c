/* The levels that containers offer, emulated on this machine: unprivileged, no capabilities, a
 * filter that refuses what the container engines' default profile refuses to a container without
 * capabilities, with and without the rules that Chromium's own sandbox needs, a /proc with parts
 * masked, 64 MB of /dev/shm, a root file system that cannot be written.
 *
 * What must hold: where the rules are there, `require` works and members end with their controller;
 * where they are not, `require` says what is missing, and the browser runs only without its own
 * sandbox, which the caller must have asked for by name. */
#include "tests/support/members.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "tests/support/child.h"

enum { USER = 65534, SLOW_MS = 30000 };

#define BIT(l)   REAPER_LAYER_BIT(REAPER_LAYER_##l)
#define HEADLESS "chromium-headless-shell"

struct container {
    bool shipped;    /* the profile in reaper/container/ itself */
    bool rules;      /* clone of user, PID and network namespaces, unshare(NEWUSER), chroot */
    bool namespaces; /* no filter at all: user namespaces of every kind */
    bool masked_proc;
    bool read_only;
    bool root;  /* as root, with the capabilities an engine leaves */
    bool first; /* it is PID 1, as an entry point without an init is: nobody else reaps */
    char program[64], state[PATH_MAX];
};

/* What is refused to a container without CAP_SYS_ADMIN, CAP_SYS_CHROOT and the like. */
static const char *const refused[] = {"mount",
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
                                      "bpf",
                                      "perf_event_open",
                                      "keyctl",
                                      "add_key",
                                      "request_key",
                                      "userfaultfd",
                                      "kexec_load",
                                      "init_module",
                                      "finit_module",
                                      "delete_module",
                                      "reboot",
                                      "swapon",
                                      "swapoff",
                                      "acct",
                                      "settimeofday",
                                      "clock_settime",
                                      "sethostname",
                                      "setdomainname",
                                      "syslog",
                                      "quotactl",
                                      "open_by_handle_at",
                                      "fanotify_init",
                                      "iopl",
                                      "ioperm",
                                      "lookup_dcookie",
                                      "mbind",
                                      "set_mempolicy",
                                      "move_pages",
                                      "migrate_pages",
                                      "kcmp",
                                      "vhangup",
                                      "personality",
                                      "uselib",
                                      "ustat"};

enum { NS_MASK = 0x7e020080, NS_MASK_RULES = 0x0e020080 };

/* libseccomp has no "any of these bits": one rule for each. */
static void refuse_clone(scmp_filter_ctx ctx, uint32_t mask)
{
    for (unsigned i = 0; i < 32; i++)
        if ((mask & (1u << i)) != 0)
            CHECK(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                   SCMP_A0(SCMP_CMP_MASKED_EQ, 1u << i, 1u << i)) == 0);
}

static void load_filter(bool rules)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

    CHECK(ctx);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        int nr = seccomp_syscall_resolve_name(refused[i]);

        CHECK(nr == __NR_SCMP_ERROR || seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0) == 0);
    }
    refuse_clone(ctx, rules ? NS_MASK_RULES : NS_MASK);
    CHECK(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0);
    if (rules) {
        CHECK(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 1,
                               SCMP_A0(SCMP_CMP_NE, CLONE_NEWUSER, 0)) == 0);
    } else {
        CHECK(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(unshare), 0) == 0);
        CHECK(seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(chroot), 0) == 0);
    }
    CHECK(seccomp_load(ctx) == 0);
    seccomp_release(ctx);
}

static void allow(scmp_filter_ctx ctx, const char *name)
{
    int nr = seccomp_syscall_resolve_name(name);
    int rc = nr == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);

    CHECK(rc == 0 || rc == -EDOM);
}

/* Our own profile: its first list of names as it stands in the file; the rules with arguments are
 * few and are written again here. */
static void load_shipped(void)
{
    char *text = test_read_file(test_source("reaper/container/seccomp.json"), NULL);
    char *list = strstr(text, "\"names\": ["), *end = list ? strchr(list, ']') : NULL;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    unsigned n = 0;

    CHECK(ctx && end && strstr(text, "\"defaultErrnoRet\": 38"));
    CHECK(strstr(text, "\"value\": 235012224")); /* clone: NS_MASK_RULES */
    CHECK(strstr(text, "\"value\": 268435456")); /* unshare: CLONE_NEWUSER */
    *end = '\0';
    list = strchr(list, '[');
    for (char *q = strchr(list, '"'); q; q = strchr(q, '"')) {
        char *close_quote = strchr(q + 1, '"');

        *close_quote = '\0';
        allow(ctx, q + 1);
        n++;
        q = close_quote + 1;
    }
    CHECK(n > 200);
    allow(ctx, "chroot");
    CHECK(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, NS_MASK_RULES, 0)) == 0);
    CHECK(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(unshare), 1,
                           SCMP_A0(SCMP_CMP_EQ, CLONE_NEWUSER, 0)) == 0);
    CHECK(seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_LE, 16, 0)) ==
          0);
    CHECK(seccomp_load(ctx) == 0);
    seccomp_release(ctx);
    free(text);
}

static void mask_proc(void)
{
    static const char *const files[] = {"/proc/kcore", "/proc/keys", "/proc/timer_list"};

    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        if (access(files[i], F_OK) == 0)
            CHECK(mount("/dev/null", files[i], NULL, MS_BIND, NULL) == 0);
    CHECK(mount("/proc/sys", "/proc/sys", NULL, MS_BIND, NULL) == 0);
    CHECK(mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
}

/* Becomes PID 1 of a namespace; whoever forked this one waits for it. */
static void become_first(void)
{
    pid_t p;
    int status;

    CHECK(unshare(CLONE_NEWPID) == 0);
    p = fork();
    CHECK(p >= 0);
    if (p == 0)
        return;
    CHECK(waitpid(p, &status, 0) == p);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

/* Processes that ended and that nobody waited for. */
static unsigned count_zombies(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc");
    struct dirent *e;

    CHECK(d);
    while ((e = readdir(d)) != NULL) {
        char path[300], line[512];
        const char *state;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || !(f = fopen(path, "re")))
            continue;
        state = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
        n += state && strncmp(state, ") Z", 3) == 0;
        fclose(f);
    }
    closedir(d);
    return n;
}

static void enter(const struct container *c)
{
    CHECK(unshare(CLONE_NEWNS) == 0);
    CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    if (c->first)
        CHECK(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0);
    CHECK(mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m") == 0);
    CHECK(mount(c->state, c->state, NULL, MS_BIND, NULL) == 0);
    if (c->masked_proc)
        mask_proc();
    if (c->read_only)
        CHECK(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0);
    setenv("TMPDIR", c->state, 1);
    setenv("HOME", c->state, 1);
    if (!c->root) {
        CHECK(setgroups(0, NULL) == 0 && setresgid(USER, USER, USER) == 0 &&
              setresuid(USER, USER, USER) == 0);
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    } else { /* what an engine leaves: not SYS_ADMIN, SYS_CHROOT stays */
        prctl(PR_CAPBSET_DROP, 21 /* CAP_SYS_ADMIN */, 0, 0, 0);
    }
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    if (c->shipped)
        load_shipped();
    else if (!c->namespaces)
        load_filter(c->rules);
}

static void run_in(struct container *c, void (*fn)(const struct container *))
{
    char dir[] = "/tmp/fleet-test-XXXXXX", run[64];
    int built = open(test_program("fleet-reaper"), O_RDONLY | O_CLOEXEC);
    int fd = fcntl(built, F_DUPFD_CLOEXEC, 100), status;
    pid_t p;

    if (geteuid() != 0)
        test_skip("not root: no container can be emulated");
    if (!member_browser(HEADLESS))
        test_skip(HEADLESS " is not installed");
    assert_true(fd >= 0);
    close(built);
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0777), 0);
    snprintf(c->state, sizeof(c->state), "%s", dir);
    snprintf(c->program, sizeof(c->program), "/proc/self/fd/%d", fd);
    p = fork();
    if (p == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1);
        if (c->first)
            become_first();
        enter(c);
        fn(c);
        CHECK(!c->first || count_zombies() == 0);
        _exit(0);
    }
    assert_int_equal(waitpid(p, &status, 0), p);
    close(fd);
    snprintf(run, sizeof(run), "%s/run", dir);
    rmdir(run);
    assert_int_equal(rmdir(dir), 0); /* nothing was left in TMPDIR, HOME or the state directory */
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void launch_browser(const struct container *c, struct members *m, struct member *x,
                           enum reaper_sandbox sandbox)
{
    const char *argv[] = {member_browser(HEADLESS), MEMBER_BROWSER_ARGS,
                          sandbox == REAPER_SANDBOX_OFF ? "--no-sandbox" : "--mute-audio", NULL};
    struct reaper_spec s = {
        .name = "browser", .kind = REAPER_BROWSER, .argv = argv, .sandbox = sandbox};

    s.netns = sandbox == REAPER_SANDBOX_REQUIRE; /* as instances have it */
    s.n_listeners = s.netns ? 1 : 0;

    members_open(m, c->state, c->program, 0);
    member_launch(m, x, &s, true);
    (void)member_wait_started(x, SLOW_MS);
}

static void browse(struct member *x)
{
    member_say(
        x,
        "{\"id\":1,\"method\":\"Target.createTarget\",\"params\":{\"url\":\"data:text/html,x\"}}");
    CHECK(member_hear(x, "targetId", SLOW_MS));
}

static void finish(struct members *m, struct member *x)
{
    reaper_child_stop(x->child, 5000);
    CHECK(member_wait_gone(x, SLOW_MS));
    member_close(x);
    members_close(m);
}

static void require_works(const struct container *c)
{
    struct reaper_renderers r = {0};
    struct reaper_level level;
    struct members m;
    struct member x;
    char text[REAPER_LAYERS_TEXT_MAX];

    launch_browser(c, &m, &x, REAPER_SANDBOX_REQUIRE);
    if (!x.is_started)
        print_message("%s\n", err_text(&x.exit.err));
    CHECK(x.is_started);
    CHECK(reaper_level(m.reaper, &level, NULL) == STATUS_OK);
    CHECK(level.guarantee == REAPER_GUARANTEE_KERNEL);
    print_message("%s\n", reaper_layers_text(x.started.layers, text));
    browse(&x);
    for (int i = 0; i < 100 && (!reaper_check_renderers(x.child, &r) || r.total == 0); i++)
        test_sleep_ms(20);
    CHECK(r.total > 0 && r.sandboxed == r.total);
    finish(&m, &x);
}

static void test_with_the_rules(void **state)
{
    struct container c = {.rules = true};

    (void)state;
    run_in(&c, require_works);
}

static void test_with_the_rules_masked_and_read_only(void **state)
{
    struct container c = {.rules = true, .masked_proc = true, .read_only = true};

    (void)state;
    run_in(&c, require_works);
}

static void test_with_the_shipped_profile(void **state)
{
    struct container c = {.shipped = true, .masked_proc = true, .read_only = true, .first = true};

    (void)state;
    run_in(&c, require_works);
}

static void test_namespaces_with_masked_proc(void **state)
{
    struct container c = {.namespaces = true, .masked_proc = true, .read_only = true};

    (void)state;
    run_in(&c, require_works);
}

static void default_profile(const struct container *c)
{
    struct members m;
    struct member x;
    char text[REAPER_LAYERS_TEXT_MAX];

    launch_browser(c, &m, &x, REAPER_SANDBOX_REQUIRE);
    CHECK(member_wait_gone(&x, SLOW_MS));
    print_message("%s\n", err_text(&x.exit.err));
    CHECK(x.exit.cause == REAPER_CAUSE_FAILED);
    CHECK(strstr(err_text(&x.exit.err), "chromium-sandbox"));
    CHECK(strstr(err_text(&x.exit.err), "in a container use the seccomp profile"));
    member_close(&x);
    members_close(&m);
    launch_browser(c, &m, &x, REAPER_SANDBOX_OFF);
    CHECK(x.is_started);
    print_message("%s\n", reaper_layers_text(x.started.layers, text));
    CHECK((x.started.layers & BIT(SECCOMP)) != 0);
    browse(&x);
    finish(&m, &x);
}

static void test_default_profile(void **state)
{
    struct container c = {.read_only = true, .masked_proc = true, .first = true};

    (void)state;
    run_in(&c, default_profile);
}

/* Root inside, as images often are: a uid of its own for the member is had, namespaces are not. */
static void test_default_profile_as_root(void **state)
{
    struct container c = {.root = true};

    (void)state;
    run_in(&c, default_profile);
}

/* Root whose namespaces come from user namespaces has no uid to give its members: told, and had by
 * not being root. */
static void root_has_no_uid_to_give(const struct container *c)
{
    struct members m;
    struct member x;

    launch_browser(c, &m, &x, REAPER_SANDBOX_REQUIRE);
    CHECK(member_wait_gone(&x, SLOW_MS));
    print_message("%s\n", err_text(&x.exit.err));
    CHECK(strstr(err_text(&x.exit.err), "member-uid"));
    CHECK(strstr(err_text(&x.exit.err), "do not run as root"));
    member_close(&x);
    members_close(&m);
    launch_browser(c, &m, &x, REAPER_SANDBOX_PREFER);
    CHECK(x.is_started);
    CHECK((x.started.layers & BIT(PIDNS)) != 0 && (x.started.layers & BIT(CHROMIUM)) != 0);
    browse(&x);
    finish(&m, &x);
}

static void test_rules_as_root(void **state)
{
    struct container c = {.root = true, .rules = true};

    (void)state;
    run_in(&c, root_has_no_uid_to_give);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_with_the_rules),
        cmocka_unit_test(test_with_the_rules_masked_and_read_only),
        cmocka_unit_test(test_with_the_shipped_profile),
        cmocka_unit_test(test_namespaces_with_masked_proc),
        cmocka_unit_test(test_default_profile),
        cmocka_unit_test(test_default_profile_as_root),
        cmocka_unit_test(test_rules_as_root),
    };

    return cmocka_run_group_tests_name("containers", tests, NULL, NULL);
}
