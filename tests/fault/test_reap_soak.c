/* kill -9 of controller, fleet-reaper, browser and renderer at random moments, from before the
 * first clone on. A round is a controller of its own (a child of this test) with a real browser in
 * every layer; at its moment the victim is killed, a little later the controller as well. What must
 * hold: the reaper's end is no end for its members, the browser's end is told and clears itself
 * away, and once the controller is gone nothing is left: no process, mount, cgroup, directory or
 * socket (reap_left.h), after the next start's sweep where fleet-reaper itself was killed.
 *
 * Without the layers something must stay, or the counting proves nothing: that is the last test.
 *
 * FLEET_ROUNDS: rounds in all (80; `make soak` asks for 1,000). Times from the kill of the
 * controller until the last process is gone are printed, not judged. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "tests/fault/reap_left.h"

enum {
    ROUNDS = 80,
    ROUNDS_FULL = 8, /* of the full browser, a tenth of the rounds */
    GONE_MS = 15000, /* a file that was being made counts as left after 10 s */
    STAYS_MS = 1000, /* what is there after it, without the layers, stays */
    FIND_MS = 5000,
    ROUNDS_MAX = 20000,
};

#define BIT(l) REAPER_LAYER_BIT(REAPER_LAYER_##l)
#define ALONE  (BIT(PIDNS) | BIT(MOUNTNS) | BIT(IPCNS) | BIT(NETNS) | BIT(CGROUP_KILL))

enum victim { CONTROLLER, SPAWNER, BROWSER, RENDERER, VICTIMS };
static const char *const victim_names[VICTIMS] = {"controller", "reaper", "browser", "renderer"};

struct rig {
    struct ground *ground;
    const char *browser; /* path */
    char dir[64];        /* state directory and TMPDIR */
    uint32_t without;
    bool sweeps;
    time_t since;
    unsigned seed;
    unsigned *times_us;
    size_t n_times;
    unsigned missed; /* victims that were not there in time: the controller was killed alone */
};

static unsigned next_random(struct rig *r, unsigned below)
{
    r->seed = r->seed * 1103515245u + 12345u;
    return (r->seed >> 12) % below;
}

/* --- the controller --- */

static _Noreturn void control(const struct rig *r)
{
    const char *argv[] = {r->browser, MEMBER_BROWSER_ARGS, "--proxy-server=http://127.128.0.0:3128",
                          NULL};
    bool off = (r->without & BIT(PIDNS)) != 0;
    const struct reaper_spec s = {.name = "soak",
                                  .kind = REAPER_BROWSER,
                                  .argv = argv,
                                  .sandbox = REAPER_SANDBOX_PREFER,
                                  .netns = !off,
                                  .n_listeners = off ? 0 : 1,
                                  .memory_max_bytes = 2ull << 30,
                                  .pids_max = 1024};
    struct members m;
    struct member x;

    ground_enter(r->ground);
    setenv("TMPDIR", r->dir, 1);
    setenv("CMOCKA_TEST_ABORT", "1", 1); /* a failure must not jump into the parent's tests */
    members_open(&m, r->dir, NULL, r->without);
    member_launch(&m, &x, &s, true);
    member_say(&x, "{\"id\":1,\"method\":\"Target.createTarget\",\"params\":{\"url\":"
                   "\"data:text/html,<title>x</title>\"}}");
    for (;;)
        loop_run_once(m.loop, 1000);
}

static pid_t start_controller(const struct rig *r)
{
    pid_t p = fork();

    assert_true(p >= 0);
    if (p == 0)
        control(r);
    return p;
}

/* --- victims --- */

static pid_t find_victim(const struct rig *r, enum victim v)
{
    switch (v) {
    case SPAWNER:
        return left_find(r->ground, "--spawner", NULL);
    case BROWSER:
        return left_find(r->ground, "--remote-debugging-pipe", "--type=");
    default:
        return left_find(r->ground, "--type=renderer", NULL);
    }
}

/* Kills it as soon as it is there. */
static bool kill_victim(const struct rig *r, enum victim v)
{
    uint64_t until = test_now_ms() + FIND_MS;
    pid_t p = 0;

    while ((p = find_victim(r, v)) == 0 && test_now_ms() < until)
        test_sleep_ms(1);
    return p != 0 && kill(p, SIGKILL) == 0;
}

/* The browser is dead: all of its member must go while the controller lives. */
static bool member_is_gone(void *arg)
{
    const struct rig *r = arg;

    return left_find(r->ground, "--type=", NULL) == 0 &&
           left_find(r->ground, "--init", NULL) == 0 &&
           left_find(r->ground, "--remote-debugging-pipe", NULL) == 0;
}

/* --- a round --- */

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void reap_all(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* Kills the controller and waits for the last process. */
static void end_controller(struct rig *r, pid_t controller)
{
    uint64_t since = now_us(), until = test_now_ms() + (r->without ? STAYS_MS : GONE_MS);

    kill(controller, SIGKILL);
    while (ground_count(r->ground) > 0 && test_now_ms() < until)
        usleep(200);
    if (r->times_us && r->n_times < ROUNDS_MAX)
        r->times_us[r->n_times++] = (unsigned)(now_us() - since);
    reap_all();
}

static bool nothing_is_left(void *arg)
{
    const struct rig *r = arg;
    struct reaper_swept swept;
    struct left l;

    reap_all();
    if (r->sweeps)
        assert_int_equal(reaper_sweep(r->dir, &swept, NULL), STATUS_OK);
    l = left_of(r->ground, r->dir, r->since);
    return left_is_nothing(&l);
}

static void round_of(struct rig *r, enum victim v, unsigned span_ms)
{
    pid_t controller = start_controller(r);
    unsigned at_ms = next_random(r, span_ms);
    struct left l;

    test_sleep_ms(at_ms);
    if (v != CONTROLLER && !kill_victim(r, v))
        r->missed++;
    if (v == BROWSER && !test_wait_until(member_is_gone, r, GONE_MS))
        fail_msg("the browser was killed after %u ms; its member stays", at_ms);
    test_sleep_ms(next_random(r, 20));
    end_controller(r, controller);
    r->sweeps = v == SPAWNER; /* nobody was there to clear away: the next start does */
    if (test_wait_until(nothing_is_left, r, GONE_MS))
        return;
    l = left_of(r->ground, r->dir, r->since);
    fail_msg("%s killed after %u ms: left are %s", victim_names[v], at_ms, left_text(&l));
}

/* --- many --- */

static int by_value(const void *a, const void *b)
{
    const unsigned *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void print_times(struct rig *r, const char *name, unsigned rounds)
{
    qsort(r->times_us, r->n_times, sizeof *r->times_us, by_value);
    print_message("%s: %u rounds, nothing left; reap p50 %.1f ms, p99 %.1f ms, max %.1f ms "
                  "(%u victims were never there)\n",
                  name, rounds, r->times_us[r->n_times / 2] / 1000.0,
                  r->times_us[r->n_times * 99 / 100] / 1000.0, r->times_us[r->n_times - 1] / 1000.0,
                  r->missed);
}

static unsigned rounds_wanted(void)
{
    const char *text = getenv("FLEET_ROUNDS");
    unsigned long n = text ? strtoul(text, NULL, 10) : ROUNDS;

    return n < VICTIMS ? VICTIMS : n > ROUNDS_MAX ? ROUNDS_MAX : (unsigned)n;
}

static void open_rig(struct rig *r, const char *name)
{
    if (geteuid() != 0)
        test_skip("counting needs a cgroup: root");
    memset(r, 0, sizeof *r);
    r->browser = member_browser(name);
    if (!r->browser)
        test_skip("%s is not installed", name);
    r->ground = ground_create();
    if (!r->ground)
        test_skip("no cgroup to count in");
    snprintf(r->dir, sizeof r->dir, "/tmp/fleet-soak-XXXXXX");
    assert_non_null(mkdtemp(r->dir));
    assert_int_equal(chmod(r->dir, 0711), 0); /* members have a uid of their own */
    r->seed = (unsigned)now_us();
    r->since = time(NULL);
    print_message("seed %u\n", r->seed);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
    r->times_us = calloc(ROUNDS_MAX, sizeof *r->times_us);
    assert_non_null(r->times_us);
}

static void close_rig(struct rig *r)
{
    char run[96];

    ground_kill(r->ground);
    reap_all();
    ground_destroy(&r->ground);
    snprintf(run, sizeof run, "%s/run", r->dir);
    rmdir(run);
    assert_int_equal(rmdir(r->dir), 0);
    free(r->times_us);
}

static void soak(const char *name, unsigned rounds, unsigned span_ms)
{
    struct rig r;

    open_rig(&r, name);
    for (unsigned i = 0; i < rounds; i++)
        round_of(&r, (enum victim)(i % VICTIMS), span_ms);
    print_times(&r, name, rounds);
    close_rig(&r);
}

static void test_headless_shell(void **state)
{
    (void)state;
    soak("chromium-headless-shell", rounds_wanted(), 160);
}

static void test_chromium(void **state)
{
    (void)state;
    soak("chromium", rounds_wanted() / ROUNDS * ROUNDS_FULL + ROUNDS_FULL, 600);
}

static void stop_it(pid_t pid, void *arg)
{
    (void)arg;
    if (left_is_called(pid, "--type=", NULL) || left_is_called(pid, "--init", NULL))
        kill(pid, SIGSTOP);
}

/* All who could act are killed at once, and the browser's processes are stopped, so that they see
 * nothing of it: 0 are left with the layers, and some without. */
static struct left all_at_once(struct rig *r)
{
    pid_t controller = start_controller(r), family[4] = {0};
    uint64_t until = test_now_ms() + FIND_MS;
    struct left l;

    while ((family[0] = find_victim(r, RENDERER)) == 0 && test_now_ms() < until)
        test_sleep_ms(2);
    assert_true(family[0] != 0);
    family[1] = find_victim(r, SPAWNER);
    family[2] = left_find(r->ground, "--init", NULL);
    family[3] = find_victim(r, BROWSER);
    ground_each(r->ground, stop_it, NULL);
    for (int i = 1; i < 4; i++)
        if (family[i] > 0)
            kill(family[i], SIGKILL);
    end_controller(r, controller);
    l = left_of(r->ground, r->dir, r->since);
    return l;
}

static void test_all_at_once(void **state)
{
    struct reaper_swept swept;
    struct rig r;
    struct left l;

    (void)state;
    open_rig(&r, "chromium-headless-shell");
    for (unsigned i = 0; i < 4; i++) {
        l = all_at_once(&r);
        if (l.processes > 0)
            fail_msg("left are %s", left_text(&l));
        assert_int_equal(reaper_sweep(r.dir, &swept, NULL), STATUS_OK);
        assert_true(test_wait_until(nothing_is_left, &r, GONE_MS));
    }
    close_rig(&r);
}

static void test_without_the_layers_something_stays(void **state)
{
    struct reaper_swept swept;
    struct rig r;
    struct left l;

    (void)state;
    open_rig(&r, "chromium-headless-shell");
    free(steal_ptr(&r.times_us));
    r.without = ALONE;
    l = all_at_once(&r);
    print_message("without the layers: %s\n", left_text(&l));
    assert_true(l.processes > 0);
    assert_true(l.entries > 0);
    assert_int_equal(reaper_sweep(r.dir, &swept, NULL), STATUS_OK);
    print_message("the next start: %u members, %u processes, %u directories, %u cgroups\n",
                  swept.members, swept.processes, swept.dirs, swept.cgroups);
    assert_true(test_wait_until(nothing_is_left, &r, GONE_MS)); /* by what the lock file says */
    close_rig(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headless_shell),
        cmocka_unit_test(test_chromium),
        cmocka_unit_test(test_all_at_once),
        cmocka_unit_test(test_without_the_layers_something_stays),
    };

    return cmocka_run_group_tests_name("reaper soak", tests, NULL, NULL);
}
