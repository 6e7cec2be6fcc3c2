/* Whoever is killed, nothing is left: controllers, fleet-reaper, inits and browsers, one, several
 * or at random moments, with members that do all they can to stay. What is alive is counted in a
 * cgroup that the reaper knows nothing of. */
#include "tests/integration/reaper_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/rng.h"
#include "tests/support/child.h"

/* --- members that want to stay --- */

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

/* Once somebody has swept. */
static void assert_nothing_left_behind(struct as *a)
{
    struct reaper_swept swept;

    assert_int_equal(reaper_sweep(a->state, &swept, NULL), STATUS_OK);
    assert_true(test_wait_until(run_is_empty, a, GONE_MS));
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
    p = as_fork(a, control, &mine);
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

    as_open_counted(&a, nobody);
    for (unsigned i = 0; i < rounds; i++) {
        assert_int_equal(kill_round(&a, &c, victims, GONE_MS, &took), 0);
        worst = took > worst ? took : worst;
    }
    /* a spawner that lives clears away; after a killed one the next start does */
    if ((victims & KILL_SPAWNER) != 0)
        assert_int_equal(reaper_sweep(a.state, &swept, NULL), STATUS_OK);
    assert_true(test_wait_until(run_is_empty, &a, GONE_MS));
    print_message("%u rounds, nothing left; slowest %u ms\n", rounds, worst);
    as_close(&a);
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
    as_open_counted(&a, false);
    assert_true(kill_round(&a, &c, KILL_CONTROLLER | KILL_SPAWNER | KILL_INIT, 500, &took) > 0);
    assert_int_equal(reaper_sweep(a.state, &swept, NULL), STATUS_OK);
    assert_int_equal(swept.members, 1);
    assert_true(swept.processes > 0);
    assert_int_equal(swept.dirs, 1);
    assert_true(test_wait_until(nobody_left, a.ground, GONE_MS));
    ground_kill(a.ground);
    as_close(&a);
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
    unsigned worst = 0;
    struct rng rng;
    struct as a;

    k.browser = member_browser(name);
    if (!k.browser)
        test_skip("%s is not installed", name);
    as_open_counted(&a, nobody);
    rng_seed_u64(&rng, test_now_ms());
    for (unsigned i = 0; i < rounds; i++) {
        uint64_t since;
        int status;
        pid_t p = as_fork(&a, control_browser, &k);

        test_sleep_ms((unsigned)rng_below(&rng, max_ms));
        kill(p, SIGKILL);
        since = test_now_ms();
        assert_int_equal(waitpid(p, &status, 0), p);
        assert_true(test_wait_until(nobody_left, a.ground, GONE_MS));
        worst = test_now_ms() - since > worst ? (unsigned)(test_now_ms() - since) : worst;
    }
    assert_nothing_left_behind(&a);
    print_message("%u rounds of %s, nothing left; slowest %u ms\n", rounds, name, worst);
    as_close(&a);
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
    p = as_fork(a, control_family, &f);
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
    struct rng rng;
    struct as a;

    (void)state;
    if (!browser)
        test_skip(HEADLESS " is not installed");
    as_open_counted(&a, false);
    rng_seed_u64(&rng, test_now_ms());
    for (unsigned i = 0; i < 4 * VICTIMS; i++) {

        family_round(&a, browser, (enum victim)(i % VICTIMS), (unsigned)rng_below(&rng, 150));
    }
    assert_nothing_left_behind(&a);
    as_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
    };

    return cmocka_run_group_tests_name("reaper kill", tests, NULL, NULL);
}
