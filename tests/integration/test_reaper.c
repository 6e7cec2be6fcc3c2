/* Real members: browsers with their own sandbox on, how members end, and what they see. A pipe
 * whose write end every process of the member holds tells that none is left, by its end. */
#include "tests/integration/reaper_rig.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/check.h"
#include "tests/support/child.h"

/* --- browsers --- */

static bool renderers_are_sandboxed(struct member *x)
{
    struct reaper_renderers r;

    for (int i = 0; i < 100; i++) {
        if (reaper_check_renderers(x->child, &r) && r.total > 0)
            return true;
        test_sleep_ms(20);
    }
    print_message("%u of %u renderers: %s\n", r.sandboxed, r.total, err_text(&r.err));
    return false;
}

static void browser_answers(const struct as *a, void *arg)
{
    const char *argv[16];
    struct reaper_spec s = browser_spec(arg, argv);
    struct members m;
    struct member x;
    char text[REAPER_LAYERS_TEXT_MAX];

    members_open(&m, a->state, a->program, 0);
    member_launch(&m, &x, &s, true);
    if (!member_wait_started(&x, SLOW_MS))
        print_message("%s\n", err_text(&x.exit.err));
    CHECK(x.is_started);
    print_message("pid %d uid %u: %s\n", (int)x.started.pid, x.started.uid,
                  reaper_layers_text(x.started.layers, text));
    CHECK((x.started.layers & REAPER_LAYERS_REQUIRED) == REAPER_LAYERS_REQUIRED);
    CHECK(x.started.uid != 0 && (a->nobody ? x.started.uid == NOBODY : x.started.uid != geteuid()));
    member_say(&x, version_call);
    CHECK(member_hear(&x, "protocolVersion", SLOW_MS));
    member_say(&x, page_call);
    CHECK(member_hear(&x, "targetId", SLOW_MS));
    CHECK(renderers_are_sandboxed(&x));
    reaper_child_stop(x.child, 5000);
    CHECK(member_wait_gone(&x, SLOW_MS));
    CHECK(x.was_asked);
    CHECK(x.exit.cause == REAPER_CAUSE_ASKED);
    member_close(&x);
    members_close(&m);
}

static void browser_case(const char *name, bool nobody)
{
    char path[256];

    if (!member_browser(name))
        test_skip("%s is not installed", name);
    snprintf(path, sizeof(path), "%s", member_browser(name));
    as_run(nobody, browser_answers, path);
}

static void test_headless_shell_as_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        test_skip("not root");
    browser_case(HEADLESS, false);
}

static void test_headless_shell_unprivileged(void **state)
{
    (void)state;
    browser_case(HEADLESS, true);
}

static void test_chromium_as_root(void **state)
{
    (void)state;
    if (geteuid() != 0)
        test_skip("not root");
    browser_case("chromium", false);
}

static void test_chromium_unprivileged(void **state)
{
    (void)state;
    browser_case("chromium", true);
}

/* --- endings --- */

static void test_ladder_kills_what_is_deaf(void **state)
{
    struct reaper_spec s = stayer_spec();
    struct members m;
    struct member x;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, true);
    assert_true(member_hear(&x, "up", SLOW_MS));
    reaper_child_stop(x.child, 100); /* asked in vain, TERM in vain */
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_true(x.was_asked);
    assert_int_equal(x.exit.cause, REAPER_CAUSE_KILL);
    assert_false(member_hear(&x, "never", 0)); /* the end of the pipe: nobody holds it */
    member_close(&x);
    members_close(&m);
}

static void launch_and_wait(struct members *m, struct member *x, const char *script)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct reaper_spec s = {.name = "script", .kind = REAPER_AUTOMATION, .argv = argv};

    member_launch(m, x, &s, true);
    assert_true(member_wait_gone(x, SLOW_MS));
}

static void test_tells_how_it_ended(void **state)
{
    static const struct {
        const char *script;
        int code, signal;
    } rows[] = {
        {"exit 0", 0, 0}, {"exit 7", 7, 0}, {"exit 255", 255, 0}, {"kill -SEGV $$", -1, SIGSEGV}};
    struct members m;
    struct member x;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        launch_and_wait(&m, &x, rows[i].script);
        assert_int_equal(x.exit.cause, REAPER_CAUSE_EXITED);
        assert_int_equal(x.exit.code, rows[i].code);
        assert_int_equal(x.exit.signal, rows[i].signal);
        member_close(&x);
    }
    members_close(&m);
}

static void test_says_what_it_could_not_execute(void **state)
{
    char *dir = test_mkdir();
    char path[PATH_MAX];
    const char *argv[] = {path, NULL};
    struct reaper_spec s = {.name = "broken", .kind = REAPER_PROXY, .argv = argv};
    struct reaper_child *c;
    struct members m;
    struct member x;
    struct err e = ERR_INIT;

    (void)state;
    snprintf(path, sizeof(path), "%s/broken", dir);
    test_write_file(path, "\177ELF nonsense", 13);
    assert_int_equal(chmod(path, 0755), 0);
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, false);
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_false(x.is_started);
    assert_int_equal(x.exit.cause, REAPER_CAUSE_FAILED);
    assert_non_null(strstr(err_text(&x.exit.err), "launch broken: execute "));
    assert_non_null(strstr(err_text(&x.exit.err), "Exec format error"));
    member_close(&x);
    snprintf(path, sizeof(path), "%s/absent", dir);
    assert_int_equal(reaper_launch(m.reaper, &s, &(struct reaper_callbacks){0}, &c, &e),
                     STATUS_NOT_FOUND);
    members_close(&m);
    test_rmdir(&dir);
}

static void test_spawner_killed(void **state)
{
    struct reaper_spec s = stayer_spec();
    struct members m;
    struct member x, y;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, true);
    assert_true(member_hear(&x, "up", SLOW_MS));
    assert_true(member_wait_started(&x, SLOW_MS));
    kill(reaper_pid(m.reaper), SIGKILL);
    for (int i = 0; i < 100 && reaper_pid(m.reaper) > 0; i++)
        loop_run_once(m.loop, 20);
    assert_int_equal(reaper_pid(m.reaper), -1);
    assert_false(x.is_gone); /* it is ours as before */
    reaper_child_kill(x.child);
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_false(member_hear(&x, "never", 0));
    member_close(&x);
    launch_and_wait(&m, &y, "exit 3"); /* and the next launch starts another */
    assert_int_equal(y.exit.code, 3);
    member_close(&y);
    members_close(&m);
}

/* The controller was busy, and finds all that was said of a launch at once: that the member has
 * started may then be read before fleet-reaper's word of its launch, and tells its init all the
 * same. (An init_pid of 0 is everybody in our own process group to who signals it.) */
static void test_init_is_told_when_heard_late(void **state)
{
    struct reaper_spec s = stayer_spec();
    struct members m;
    struct member x;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, true);
    test_sleep_ms(300);
    assert_true(member_wait_started(&x, SLOW_MS));
    assert_true(x.started.init_pid > 0);
    assert_int_equal(kill(x.started.init_pid, SIGKILL), 0);
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_int_equal(x.exit.cause, REAPER_CAUSE_LOST);
    member_close(&x);
    members_close(&m);
}

static void test_init_killed(void **state)
{
    struct reaper_spec s = stayer_spec();
    struct members m;
    struct member x;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, true);
    assert_true(member_hear(&x, "up", SLOW_MS));
    assert_true(member_wait_started(&x, SLOW_MS));
    kill(x.started.init_pid, SIGKILL);
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_int_equal(x.exit.cause, REAPER_CAUSE_LOST);
    assert_false(member_hear(&x, "never", 0));
    member_close(&x);
    members_close(&m);
}

static void test_fork_bomb(void **state)
{
    static const char bomb[] =
        "i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i+1)); done; printf up >&4; wait";
    const char *const argv[] = {"/bin/sh", "-c", bomb, NULL};
    struct reaper_spec s = {.name = "bomb", .kind = REAPER_AUTOMATION, .argv = argv};
    struct members m;
    struct member x;
    uint64_t since;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, true);
    assert_true(member_hear(&x, "up", SLOW_MS));
    since = test_now_ms();
    reaper_child_kill(x.child);
    assert_true(member_wait_gone(&x, SLOW_MS));
    print_message("400 processes gone in %u ms\n", (unsigned)(test_now_ms() - since));
    assert_false(member_hear(&x, "never", 0));
    member_close(&x);
    members_close(&m);
}

static void test_out_of_memory_is_told(void **state)
{
    static const char eater[] =
        "exec 3<&- ; head -c 400000000 /dev/zero | tail -c 300000000 | wc -c; "
        "a=$(head -c 200000000 /dev/zero | tr '\\0' x); exit 0";
    const char *const argv[] = {"/bin/sh", "-c", eater, NULL};
    struct reaper_spec s = {.name = "eater",
                            .kind = REAPER_AUTOMATION,
                            .argv = argv,
                            .memory_max_bytes = 64 * 1024 * 1024};
    struct reaper_level level;
    struct members m;
    struct member x;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    assert_int_equal(reaper_level(m.reaper, &level, NULL), STATUS_OK);
    if ((level.layers & BIT(CGROUP)) == 0) {
        members_close(&m);
        test_skip("no cgroup limits here");
    }
    member_launch(&m, &x, &s, true);
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_true(x.exit.oom);
    member_close(&x);
    members_close(&m);
}

/* --- what a member sees --- */

static void test_network_is_the_listener_alone(void **state)
{
    uint16_t port;
    int outside = test_listen(&port);
    char script[1024];
    const char *const argv[] = {"/bin/bash", "-c", script, NULL};
    struct reaper_spec s = {
        .name = "netns", .kind = REAPER_AUTOMATION, .argv = argv, .netns = true, .n_listeners = 2};
    struct pollfd p;
    struct members m;
    struct member x;
    char heard[8] = "";
    int fd;

    (void)state;
    snprintf(
        script, sizeof(script),
        "for t in 127.0.0.1/%u 192.0.2.1/80; do (echo > /dev/tcp/$t) 2>/dev/null && exit 9; done; "
        "(echo > /dev/udp/192.0.2.1/53) 2>/dev/null && exit 8; "
        "printf in > /dev/tcp/127.0.0.1/3129 || exit 7; exit 0",
        port);
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, false);
    assert_true(member_wait_started(&x, SLOW_MS));
    assert_int_equal(x.started.n_listeners, 2);
    p = (struct pollfd){.fd = x.listeners[1], .events = POLLIN};
    assert_int_equal(poll(&p, 1, SLOW_MS), 1);
    fd = accept(x.listeners[1], NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, heard, sizeof(heard)), 2);
    assert_string_equal(heard, "in");
    close(fd);
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_int_equal(x.exit.code, 0);
    member_close(&x);
    members_close(&m);
    close(outside);
}

static void test_view(void **state)
{
    /* what it must not be able to do, one exit code for each */
    static const char script[] =
        "touch /usr/x /etc/x /x 2>/dev/null && exit 2\n"
        "[ -e /root ] && exit 3\n"
        "touch /tmp/a $HOME/b $TMPDIR/c /dev/shm/d || exit 4\n"
        "[ $(ls /proc | grep -c '^[0-9]') -gt 8 ] && exit 5\n"
        "grep -q '^CapEff:.0*$' /proc/self/status || exit 6\n"
        "grep -q '^CapBnd:.0*$' /proc/self/status || [ $(id -u) -lt 64000 ] || exit 7\n"
        "grep -q '^NoNewPrivs:.1' /proc/self/status || exit 8\n"
        "grep -q '^Seccomp_filters:.1' /proc/self/status || exit 9\n"
        "[ $(id -u) != 0 ] || exit 10\n"
        "mount -t tmpfs x /tmp 2>/dev/null && exit 11\n"
        "unshare -U true 2>/dev/null && exit 12\n"
        "kill -9 1 2>/dev/null; [ -d /proc/1 ] || exit 13\n"
        "cat /proc/1/environ >/dev/null 2>&1 && exit 14\n"
        "ls /proc/self/fd | grep -qvE '^[0-5]$' && exit 15\n"
        "exit 0\n";
    struct members m;
    struct member x;

    (void)state;
    members_open(&m, NULL, NULL, 0);
    launch_and_wait(&m, &x, script);
    assert_int_equal(x.exit.code, 0);
    member_close(&x);
    members_close(&m);
}

static void test_writable_bind_belongs_to_us(void **state)
{
    char *dir = test_mkdir();
    char script[PATH_MAX], path[PATH_MAX];
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    struct reaper_bind b = {.path = dir, .at = "/out", .writable = true};
    struct reaper_spec s = {
        .name = "writer", .kind = REAPER_AUTOMATION, .argv = argv, .binds = &b, .n_binds = 1};
    struct members m;
    struct member x;
    struct stat st;

    (void)state;
    snprintf(script, sizeof(script), "echo hello > /out/file");
    members_open(&m, NULL, NULL, 0);
    member_launch(&m, &x, &s, false);
    assert_true(member_wait_gone(&x, SLOW_MS));
    assert_int_equal(x.exit.code, 0);
    snprintf(path, sizeof(path), "%s/file", dir);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 6);
    assert_int_equal(unlink(path), 0);
    member_close(&x);
    members_close(&m);
    test_rmdir(&dir);
}

/* A limit for the namespace we are in and all below: writable by who made it. */
static void set_max_user_namespaces(unsigned n)
{
    char line[64];
    int fd;

    snprintf(line, sizeof(line), "%d %d 1", NOBODY, NOBODY);
    fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    CHECK(fd >= 0 && write(fd, line, strlen(line)) > 0);
    close(fd);
    fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);
    snprintf(line, sizeof(line), "%u", n);
    CHECK(fd >= 0 && write(fd, line, strlen(line)) > 0);
    close(fd);
}

/* Where user namespaces are used up, for an unprivileged user: required is refused with what to do,
 * preferred runs with less. The capabilities that the test's own namespace gave are gone with the
 * launcher's execve: its uid is not 0. */
static void launch_without_userns(const struct as *a, void *arg)
{
    const char *const argv[] = {"/bin/true", NULL};
    struct reaper_spec s = {.name = "strict", .kind = REAPER_BROWSER, .argv = argv};
    struct members m;
    struct member x;

    (void)arg;
    CHECK(unshare(CLONE_NEWUSER) == 0);
    set_max_user_namespaces(0);
    members_open(&m, a->state, a->program, 0);
    s.sandbox = REAPER_SANDBOX_REQUIRE;
    member_launch(&m, &x, &s, false);
    CHECK(member_wait_gone(&x, SLOW_MS));
    print_message("%s\n", err_text(&x.exit.err));
    CHECK(x.exit.cause == REAPER_CAUSE_FAILED);
    CHECK(strstr(err_text(&x.exit.err), "pid-namespace"));
    CHECK(strstr(err_text(&x.exit.err), "user namespaces"));
    member_close(&x);
    s.sandbox = REAPER_SANDBOX_PREFER;
    member_launch(&m, &x, &s, false);
    CHECK(member_wait_gone(&x, SLOW_MS));
    print_message("%s\n", err_text(&x.exit.err));
    CHECK(x.exit.cause == REAPER_CAUSE_EXITED && x.exit.code == 0);
    CHECK((x.started.layers & BIT(PIDNS)) == 0);
    member_close(&x);
    members_close(&m);
}

static void test_require_refuses(void **state)
{
    (void)state;
    as_run(true, launch_without_userns, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headless_shell_as_root),
        cmocka_unit_test(test_headless_shell_unprivileged),
        cmocka_unit_test(test_chromium_as_root),
        cmocka_unit_test(test_chromium_unprivileged),
        cmocka_unit_test(test_ladder_kills_what_is_deaf),
        cmocka_unit_test(test_tells_how_it_ended),
        cmocka_unit_test(test_says_what_it_could_not_execute),
        cmocka_unit_test(test_spawner_killed),
        cmocka_unit_test(test_init_is_told_when_heard_late),
        cmocka_unit_test(test_init_killed),
        cmocka_unit_test(test_fork_bomb),
        cmocka_unit_test(test_out_of_memory_is_told),
        cmocka_unit_test(test_network_is_the_listener_alone),
        cmocka_unit_test(test_view),
        cmocka_unit_test(test_writable_bind_belongs_to_us),
        cmocka_unit_test(test_require_refuses),
    };

    return cmocka_run_group_tests_name("reaper", tests, NULL, NULL);
}
