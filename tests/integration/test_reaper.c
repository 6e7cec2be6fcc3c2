/* Real members: browsers with their own sandbox on, and programs that do all they can to stay
 * behind. What is alive is counted in a cgroup that the reaper knows nothing of, or by a pipe whose
 * write end every process of the member holds: its end means that none is left. */
#include "tests/support/members.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/check.h"

enum {
    NOBODY = 65534,
    SLOW_MS = 20000,
    GONE_MS = 3000,
};

#define BIT(l)   REAPER_LAYER_BIT(REAPER_LAYER_##l)
#define HEADLESS "chromium-headless-shell"

static const char *const version_call = "{\"id\":1,\"method\":\"Browser.getVersion\"}";
static const char *const page_call = "{\"id\":2,\"method\":\"Target.createTarget\",\"params\":{"
                                     "\"url\":\"data:text/html,<title>x</title><h1>y</h1>\"}}";

/* --- running a piece of a test as somebody else --- */

/* Runs `fn` in a child, as nobody when asked, and fails with it. The launcher is executed by its
 * descriptor: nobody may not reach the directory it was built in. */
struct as {
    bool nobody;
    char program[64], state[PATH_MAX];
    struct ground *ground;
};

static void become(const struct as *a)
{
    if (a->ground)
        ground_enter(a->ground);
    setenv("TMPDIR", a->state, 1); /* which must be empty in the end */
    if (!a->nobody)
        return;
    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        _exit(98);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void open_as(struct as *a, bool nobody)
{
    int built = open(test_program("fleet-reaper"), O_RDONLY | O_CLOEXEC);
    int fd =
        fcntl(built, F_DUPFD_CLOEXEC, 100); /* the control socket becomes 3 before the execve */
    char dir[] = "/tmp/fleet-test-XXXXXX";

    assert_true(fd >= 0);
    close(built);
    memset(a, 0, sizeof(*a));
    a->nobody = nobody;
    snprintf(a->program, sizeof(a->program), "/proc/self/fd/%d", fd);
    assert_non_null(mkdtemp(dir));
    snprintf(a->state, sizeof(a->state), "%s", dir);
    assert_int_equal(chmod(dir, 0777), 0);
}

static void close_as(struct as *a)
{
    char run[PATH_MAX + 8];

    snprintf(run, sizeof(run), "%s/run", a->state);
    if (rmdir(run) < 0 && errno != ENOENT)
        fail_msg("files are left in %s", run);
    assert_int_equal(rmdir(a->state), 0);
    close((int)strtol(a->program + strlen("/proc/self/fd/"), NULL, 10));
    ground_destroy(&a->ground);
}

static pid_t fork_as(const struct as *a, void (*fn)(const struct as *, void *), void *arg)
{
    pid_t p = fork();

    assert_true(p >= 0);
    if (p == 0) {
        setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failure must not jump into the parent's tests */
        become(a);
        fn(a, arg);
        _exit(0);
    }
    return p;
}

static void run_as(bool nobody, void (*fn)(const struct as *, void *), void *arg)
{
    struct as a;
    int status;
    pid_t p;

    if (nobody && geteuid() != 0)
        test_skip("not root: the test runs unprivileged anyway");
    open_as(&a, nobody);
    p = fork_as(&a, fn, arg);
    assert_int_equal(waitpid(p, &status, 0), p);
    close_as(&a);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* In such a child cmocka's assertions would jump into the parent's test: these end the child. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            print_message("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* --- browsers --- */

static struct reaper_spec browser_spec(const char *path, const char *argv[16])
{
    const char *const args[] = {path, MEMBER_BROWSER_ARGS, NULL};

    memcpy(argv, args, sizeof(args));
    return (struct reaper_spec){
        .name = "browser", .kind = REAPER_BROWSER, .argv = argv, .sandbox = REAPER_SANDBOX_REQUIRE};
}

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
    run_as(nobody, browser_answers, path);
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

/* --- members that want to stay --- */

/* Descriptor 4 is the pipe that everything holds. Written for dash: `exec` keeps a process from
 * holding more than its own. */
static const char stayer[] =
    "i=0; while [ $i -lt 3 ]; do sleep 1000 & i=$((i+1)); done\n" /* plain children */
    "(setsid sh -c 'sleep 1000 & exit' &)\n"                      /* a daemon, twice forked */
    "env -i PATH=/usr/bin:/bin setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1000; done' "
    "&\n"                              /* deaf, wiped environment */
    "setsid sh -c 'kill -STOP $$' &\n" /* stopped */
    "sh -c 'hop() { sh -c \"$0 x\" & }; while :; do sh -c : & wait $!; done' &\n" /* ever new pids
                                                                                   */
    "trap '' TERM\n"
    "printf up >&4; while :; do sleep 1000; done\n";

static const char *const stayer_argv[] = {"/bin/sh", "-c", stayer, NULL};

static struct reaper_spec stayer_spec(void)
{
    return (struct reaper_spec){.name = "stayer", .kind = REAPER_AUTOMATION, .argv = stayer_argv};
}

struct controller {
    uint32_t without;
    int tell; /* pids of fleet-reaper and init, once the member is up */
    unsigned members;
};

/* A controller: starts stayers, says that they are up, and goes on until it is killed. */
static void control(const struct as *a, void *arg)
{
    const struct controller *c = arg;
    struct reaper_spec s = stayer_spec();
    struct members m;
    struct member x[4];
    pid_t pids[2];

    s.sandbox = REAPER_SANDBOX_PREFER;
    members_open(&m, a->state, a->program, c->without);
    for (unsigned i = 0; i < c->members; i++) {
        member_launch(&m, &x[i], &s, true);
        CHECK(member_hear(&x[i], "up", SLOW_MS));
        CHECK(member_wait_started(&x[i], SLOW_MS));
    }
    pids[0] = reaper_pid(m.reaper);
    pids[1] = x[0].started.init_pid;
    CHECK(write(c->tell, pids, sizeof(pids)) == sizeof(pids));
    for (;;)
        loop_run_once(m.loop, 1000);
}

static bool nobody_left(void *arg)
{
    return ground_count(arg) == 0;
}

static bool run_is_empty(void *arg)
{
    const struct as *a = arg;
    char run[PATH_MAX + 8];

    snprintf(run, sizeof(run), "%s/run", a->state);
    return rmdir(run) == 0 || errno == ENOENT;
}

/* One round: members up, then `victims` get SIGKILL at once. Returns how many processes are alive
 * after `wait_ms`. */
enum { KILL_CONTROLLER = 1, KILL_SPAWNER = 2, KILL_INIT = 4 };

static size_t kill_round(struct as *a, const struct controller *c, unsigned victims,
                         unsigned wait_ms, unsigned *took_ms)
{
    struct controller mine = *c;
    uint64_t since;
    pid_t pids[2], p;
    int t[2], status;

    assert_int_equal(pipe2(t, O_CLOEXEC), 0);
    mine.tell = t[1];
    p = fork_as(a, control, &mine);
    close(t[1]);
    assert_int_equal(read(t[0], pids, sizeof(pids)), sizeof(pids));
    close(t[0]);
    assert_true(pids[0] > 0 && pids[1] > 0); /* 0 would be ourselves and all of our group */
    assert_true(ground_count(a->ground) >= 8);
    if (victims & KILL_INIT)
        kill(pids[1], SIGSTOP); /* so that it does not see what comes */
    if (victims & KILL_SPAWNER)
        kill(pids[0], SIGKILL);
    if (victims & KILL_CONTROLLER)
        kill(p, SIGKILL);
    if (victims & KILL_INIT)
        kill(pids[1], SIGKILL);
    since = test_now_ms();
    assert_int_equal(waitpid(p, &status, 0), p);
    (void)test_wait_until(nobody_left, a->ground, wait_ms);
    *took_ms = (unsigned)(test_now_ms() - since);
    return ground_count(a->ground);
}

static void killed_controller(bool nobody, unsigned victims, uint32_t without, unsigned rounds)
{
    struct controller c = {.without = without, .members = 1};
    struct reaper_swept swept;
    unsigned worst = 0, took;
    struct as a;

    if (geteuid() != 0)
        test_skip("counting needs a cgroup: root");
    open_as(&a, nobody);
    a.ground = ground_create();
    if (!a.ground)
        test_skip("no cgroup to count in");
    for (unsigned i = 0; i < rounds; i++) {
        assert_int_equal(kill_round(&a, &c, victims, GONE_MS, &took), 0);
        worst = took > worst ? took : worst;
    }
    /* a spawner that lives clears away; after a killed one the next start does */
    if ((victims & KILL_SPAWNER) != 0)
        assert_int_equal(reaper_sweep(a.state, &swept, NULL), STATUS_OK);
    assert_true(test_wait_until(run_is_empty, &a, GONE_MS));
    print_message("%u rounds, nothing left; slowest %u ms\n", rounds, worst);
    close_as(&a);
}

static void test_killed_controller_as_root(void **state)
{
    (void)state;
    killed_controller(false, KILL_CONTROLLER, 0, 6);
}

static void test_killed_controller_unprivileged(void **state)
{
    (void)state;
    killed_controller(true, KILL_CONTROLLER, 0, 6);
}

static void test_killed_controller_and_spawner(void **state)
{
    (void)state;
    killed_controller(false, KILL_CONTROLLER | KILL_SPAWNER, 0, 4);
    killed_controller(true, KILL_CONTROLLER | KILL_SPAWNER, 0, 4);
}

static void test_killed_all_at_once(void **state)
{
    (void)state;
    killed_controller(false, KILL_CONTROLLER | KILL_SPAWNER | KILL_INIT, 0, 4);
}

/* Without a PID namespace: the fallbacks, each by itself. */
#define NO_NAMESPACES (BIT(PIDNS) | BIT(MOUNTNS) | BIT(IPCNS) | BIT(NETNS))

static void test_fallback_cgroup(void **state)
{
    (void)state;
    killed_controller(false, KILL_CONTROLLER, NO_NAMESPACES | BIT(UID), 3);
}

static void test_fallback_uid(void **state)
{
    (void)state;
    killed_controller(false, KILL_CONTROLLER, NO_NAMESPACES | BIT(CGROUP_KILL), 3);
}

static void test_fallback_subreaper(void **state)
{
    (void)state;
    killed_controller(true, KILL_CONTROLLER, NO_NAMESPACES | BIT(CGROUP_KILL), 3);
    killed_controller(true, KILL_CONTROLLER | KILL_SPAWNER, NO_NAMESPACES | BIT(CGROUP_KILL), 3);
}

/* The negative control: with the layer off and all who could act killed, there must be survivors,
 * or the tests above prove nothing. The sweep of the next start then ends them, by what the lock
 * file says. */
static void test_without_the_layer_something_stays(void **state)
{
    struct controller c = {.without = NO_NAMESPACES | BIT(CGROUP_KILL), .members = 1};
    struct reaper_swept swept;
    unsigned took;
    struct as a;

    (void)state;
    if (geteuid() != 0)
        test_skip("counting needs a cgroup: root");
    open_as(&a, false);
    a.ground = ground_create();
    if (!a.ground)
        test_skip("no cgroup to count in");
    assert_true(kill_round(&a, &c, KILL_CONTROLLER | KILL_SPAWNER | KILL_INIT, 500, &took) > 0);
    assert_int_equal(reaper_sweep(a.state, &swept, NULL), STATUS_OK);
    assert_int_equal(swept.members, 1);
    assert_true(swept.processes > 0);
    assert_int_equal(swept.dirs, 1);
    assert_true(test_wait_until(nobody_left, a.ground, GONE_MS));
    ground_kill(a.ground);
    close_as(&a);
}

/* Real browsers, the controller killed at random moments from before the first clone on. */
struct random_kill {
    const char *browser;
};

static void control_browser(const struct as *a, void *arg)
{
    const struct random_kill *k = arg;
    const char *argv[16];
    struct reaper_spec s = browser_spec(k->browser, argv);
    struct members m;
    struct member x;

    members_open(&m, a->state, a->program, 0);
    member_launch(&m, &x, &s, true);
    member_say(&x, version_call);
    for (;;)
        loop_run_once(m.loop, 1000);
}

static void random_kills(bool nobody, const char *name, unsigned rounds, unsigned max_ms)
{
    struct random_kill k;
    unsigned worst = 0, seed = (unsigned)test_now_ms();
    struct reaper_swept swept;
    struct as a;

    if (geteuid() != 0)
        test_skip("counting needs a cgroup: root");
    k.browser = member_browser(name);
    if (!k.browser)
        test_skip("%s is not installed", name);
    open_as(&a, nobody);
    a.ground = ground_create();
    if (!a.ground)
        test_skip("no cgroup to count in");
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t since;
        int status;
        pid_t p = fork_as(&a, control_browser, &k);

        seed = seed * 1103515245u + 12345u;
        test_sleep_ms((seed >> 16) % max_ms);
        kill(p, SIGKILL);
        since = test_now_ms();
        assert_int_equal(waitpid(p, &status, 0), p);
        assert_true(test_wait_until(nobody_left, a.ground, GONE_MS));
        worst = test_now_ms() - since > worst ? (unsigned)(test_now_ms() - since) : worst;
    }
    assert_int_equal(reaper_sweep(a.state, &swept, NULL), STATUS_OK);
    assert_true(test_wait_until(run_is_empty, &a, GONE_MS));
    print_message("%u rounds of %s, nothing left; slowest %u ms\n", rounds, name, worst);
    close_as(&a);
}

static void test_random_kills_as_root(void **state)
{
    (void)state;
    random_kills(false, HEADLESS, 12, 150);
}

static void test_random_kills_unprivileged(void **state)
{
    (void)state;
    random_kills(true, HEADLESS, 8, 150);
}

static void test_random_kills_chromium(void **state)
{
    (void)state;
    random_kills(false, "chromium", 4, 600);
}

/* Somebody of the family is killed at a random moment, then the controller: nothing is left of any.
 */
enum victim { VICTIM_SPAWNER, VICTIM_INIT, VICTIM_BROWSER, VICTIM_RENDERER, VICTIMS };

struct family {
    const char *browser;
    int tell; /* pids of fleet-reaper, init, browser */
};

static void control_family(const struct as *a, void *arg)
{
    const struct family *f = arg;
    const char *argv[16];
    struct reaper_spec s = browser_spec(f->browser, argv);
    pid_t pids[VICTIM_RENDERER];
    struct members m;
    struct member x;

    members_open(&m, a->state, a->program, 0);
    member_launch(&m, &x, &s, true);
    CHECK(member_wait_started(&x, SLOW_MS));
    member_say(&x, page_call);
    pids[VICTIM_SPAWNER] = reaper_pid(m.reaper);
    pids[VICTIM_INIT] = x.started.init_pid;
    pids[VICTIM_BROWSER] = x.started.pid;
    CHECK(write(f->tell, pids, sizeof(pids)) == sizeof(pids));
    for (;;)
        loop_run_once(m.loop, 1000);
}

/* A child process of the browser, whichever is found first: renderers, zygotes, the GPU process. */
static void kill_some_child(pid_t browser)
{
    char path[64];
    int child = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)browser, (int)browser);
    f = fopen(path, "re");
    if (!f)
        return;
    while (fscanf(f, "%d", &child) == 1)
        ;
    fclose(f);
    if (child > 0)
        kill(child, SIGKILL);
}

static void family_round(struct as *a, const char *browser, enum victim v, unsigned after_ms)
{
    struct family f = {.browser = browser};
    pid_t pids[VICTIM_RENDERER], p;
    int t[2], status;

    assert_int_equal(pipe2(t, O_CLOEXEC), 0);
    f.tell = t[1];
    p = fork_as(a, control_family, &f);
    close(t[1]);
    assert_int_equal(read(t[0], pids, sizeof(pids)), sizeof(pids));
    close(t[0]);
    for (size_t i = 0; i < VICTIM_RENDERER; i++)
        assert_true(pids[i] > 0);
    test_sleep_ms(after_ms);
    if (v == VICTIM_RENDERER)
        kill_some_child(pids[VICTIM_BROWSER]);
    else
        kill(pids[v], SIGKILL);
    test_sleep_ms(after_ms % 20);
    kill(p, SIGKILL);
    assert_int_equal(waitpid(p, &status, 0), p);
    assert_true(test_wait_until(nobody_left, a->ground, GONE_MS));
}

static void test_anybody_killed(void **state)
{
    const char *browser = member_browser(HEADLESS);
    unsigned seed = (unsigned)test_now_ms();
    struct reaper_swept swept;
    struct as a;

    (void)state;
    if (geteuid() != 0)
        test_skip("counting needs a cgroup: root");
    if (!browser)
        test_skip(HEADLESS " is not installed");
    open_as(&a, false);
    a.ground = ground_create();
    if (!a.ground)
        test_skip("no cgroup to count in");
    for (unsigned i = 0; i < 4 * VICTIMS; i++) {
        seed = seed * 1103515245u + 12345u;
        family_round(&a, browser, (enum victim)(i % VICTIMS), (seed >> 16) % 150);
    }
    assert_int_equal(reaper_sweep(a.state, &swept, NULL), STATUS_OK);
    assert_true(test_wait_until(run_is_empty, &a, GONE_MS));
    close_as(&a);
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
    run_as(true, launch_without_userns, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headless_shell_as_root),
        cmocka_unit_test(test_headless_shell_unprivileged),
        cmocka_unit_test(test_chromium_as_root),
        cmocka_unit_test(test_chromium_unprivileged),
        cmocka_unit_test(test_killed_controller_as_root),
        cmocka_unit_test(test_killed_controller_unprivileged),
        cmocka_unit_test(test_killed_controller_and_spawner),
        cmocka_unit_test(test_killed_all_at_once),
        cmocka_unit_test(test_fallback_cgroup),
        cmocka_unit_test(test_fallback_uid),
        cmocka_unit_test(test_fallback_subreaper),
        cmocka_unit_test(test_without_the_layer_something_stays),
        cmocka_unit_test(test_random_kills_as_root),
        cmocka_unit_test(test_random_kills_unprivileged),
        cmocka_unit_test(test_random_kills_chromium),
        cmocka_unit_test(test_anybody_killed),
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
