/* kill -9 of `fleet` at ten random moments of the demo: within 5 s no process of it is alive, no
 * member's directory or file is left, nothing is in TMPDIR, and the audit chain verifies.
 *
 * What is alive is counted in a cgroup that fleet knows nothing of (root), or among the descendants
 * of this process, which adopts all orphans. The moments are spread over the demo, one at random in
 * each part, so that start, browser launch, first tasks and full flight are all hit; the seed is
 * printed. The negative control runs the same count against a member without PID namespace whose
 * controller, spawner and init are killed at once: there it must see who stayed. */
#include "tests/support/members.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"

enum { ROUNDS = 10, GONE_MS = 5000, RUNNING_MIN = 8 };

#define BIT(l) REAPER_LAYER_BIT(REAPER_LAYER_##l)

/* When in each round, in milliseconds from its start. */
static const struct {
    unsigned from, to;
} moments[ROUNDS] = {
    {0, 150},     {150, 400},   {400, 800},   {800, 1400},  {1400, 2200},
    {2200, 3200}, {3200, 4500}, {4500, 6000}, {6000, 8000}, {8000, 12000},
};

static struct {
    struct ground *ground; /* NULL: descendants are counted */
    char *dir;             /* the demo's directory, log and TMPDIR are in it */
    unsigned chains;       /* verified */
} fx;

static char *inside(const char *name)
{
    static char paths[4][4096];
    static unsigned n;
    char *out = paths[n++ % ARRAY_LEN(paths)];

    snprintf(out, sizeof paths[0], "%s/%s", fx.dir, name);
    return out;
}

/* --- ground truth --- */

static size_t alive(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ; /* orphans that ended are ours now */
    return fx.ground != NULL ? ground_count(fx.ground) : test_count_descendants();
}

static bool nobody_is_alive(void *arg)
{
    (void)arg;
    return alive() == 0;
}

static size_t entries(const char *dir, const char *prefix)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    size_t n = 0;

    while (d != NULL && (entry = readdir(d)) != NULL)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
             strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
    if (d != NULL)
        closedir(d);
    return n;
}

static bool nothing_is_left(void *arg)
{
    (void)arg;
    return entries(inside("demo/.fleet/run"), "m-") == 0 && entries(inside("tmp"), "") == 0;
}

/* --- running fleet --- */

static pid_t start(const char *const *argv)
{
    pid_t p = fork();
    int fd;

    assert_true(p >= 0);
    if (p > 0)
        return p;
    if (fx.ground != NULL)
        ground_enter(fx.ground);
    setenv("TMPDIR", inside("tmp"), 1);
    fd = open(inside("log"), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* The chain as far as it was written: 0, or for the copy, whose last line may be torn, 3. */
static void check_chain(const char *name, bool may_be_torn)
{
    char *path = inside(name);
    const char *const argv[] = {test_program("fleet"), "audit", "verify", path, NULL};
    int status = 0;
    pid_t p;

    if (access(path, F_OK) != 0)
        return; /* it was too early for it */
    p = start(argv);
    assert_int_equal(waitpid(p, &status, 0), p);
    if (WIFEXITED(status) &&
        (WEXITSTATUS(status) == 0 || (may_be_torn && WEXITSTATUS(status) == 3))) {
        fx.chains++;
        return;
    }
    fail_msg("audit verify %s: status %x: %s", name, (unsigned)status,
             test_read_file(inside("log"), NULL));
}

/* How many processes there were when it was killed. */
static size_t kill_round(unsigned at_ms)
{
    const char *const argv[] = {test_program("fleet"), "demo", "--dir", inside("demo"), NULL};
    uint64_t since;
    size_t running;
    int status = 0;
    pid_t p = start(argv);

    test_sleep_ms(at_ms);
    if (waitpid(p, &status, WNOHANG) == p)
        fail_msg("it ended by itself after %u ms: %s", at_ms, test_read_file(inside("log"), NULL));
    running = alive();
    assert_int_equal(kill(p, SIGKILL), 0);
    since = test_now_ms();
    assert_int_equal(waitpid(p, &status, 0), p);
    assert_true(WIFSIGNALED(status));
    if (!test_wait_until(nobody_is_alive, NULL, GONE_MS))
        fail_msg("killed after %u ms: %zu of %zu processes are alive", at_ms, alive(), running);
    if (!test_wait_until(nothing_is_left, NULL, GONE_MS))
        fail_msg("killed after %u ms: %zu members and %zu files are left", at_ms,
                 entries(inside("demo/.fleet/run"), "m-"), entries(inside("tmp"), ""));
    print_message("killed after %u ms: %zu processes gone within %u ms\n", at_ms, running,
                  (unsigned)(test_now_ms() - since));
    check_chain("demo/.fleet/log.sqlite", false);
    check_chain("demo/audit.ndjson", true);
    return running;
}

static void test_killed_at_any_moment(void **state)
{
    unsigned seed = (unsigned)test_now_ms();
    size_t most = 0;

    (void)state;
    print_message("seed %u\n", seed);
    for (size_t i = 0; i < ROUNDS; i++) {
        unsigned span = moments[i].to - moments[i].from;
        size_t running = kill_round(moments[i].from + (unsigned)rand_r(&seed) % span);

        most = running > most ? running : most;
    }
    /* or nothing was there to be left behind, or to be verified */
    assert_true(most >= RUNNING_MIN);
    assert_true(fx.chains >= ROUNDS);
}

/* --- the negative control --- */

static const char stayer[] = "setsid sh -c 'kill -STOP $$' &\n"
                             "(setsid sh -c 'sleep 1000 & exit' &)\n"
                             "printf up >&4; while :; do sleep 1000; done\n";
static const char *const stayer_argv[] = {"/bin/sh", "-c", stayer, NULL};

static no_return void control(int tell)
{
    const struct reaper_spec s = {.name = "stayer",
                                  .kind = REAPER_AUTOMATION,
                                  .argv = stayer_argv,
                                  .sandbox = REAPER_SANDBOX_PREFER};
    struct members m;
    struct member x;
    pid_t pids[2];

    members_open(&m, inside("demo/.fleet"), NULL,
                 BIT(PIDNS) | BIT(MOUNTNS) | BIT(IPCNS) | BIT(NETNS) | BIT(CGROUP_KILL));
    member_launch(&m, &x, &s, true);
    if (!member_hear(&x, "up", 10000) || !member_wait_started(&x, 10000))
        _exit(1);
    pids[0] = reaper_pid(m.reaper);
    pids[1] = x.started.init_pid;
    if (write(tell, pids, sizeof pids) != sizeof pids)
        _exit(1);
    for (;;)
        loop_run_once(m.loop, 1000);
}

static void test_the_count_sees_who_stays(void **state)
{
    struct reaper_swept swept;
    pid_t pids[2], p;
    int t[2];

    (void)state;
    if (fx.ground == NULL)
        test_skip("killing all that is left needs a cgroup: root");
    assert_int_equal(pipe2(t, O_CLOEXEC), 0);
    p = fork();
    assert_true(p >= 0);
    if (p == 0) {
        ground_enter(fx.ground);
        setenv("TMPDIR", inside("tmp"), 1);
        control(t[1]);
    }
    close(t[1]);
    assert_int_equal(read(t[0], pids, sizeof pids), sizeof pids);
    close(t[0]);
    assert_true(pids[0] > 0 && pids[1] > 0);
    kill(pids[1], SIGSTOP); /* so that it does not see what comes */
    kill(pids[0], SIGKILL);
    kill(p, SIGKILL);
    kill(pids[1], SIGKILL);
    assert_int_equal(waitpid(p, NULL, 0), p);
    assert_false(test_wait_until(nobody_is_alive, NULL, 1000));
    assert_false(nothing_is_left(NULL));
    assert_int_equal(reaper_sweep(inside("demo/.fleet"), &swept, NULL), STATUS_OK);
    assert_true(swept.processes > 0);
    assert_true(test_wait_until(nobody_is_alive, NULL, GONE_MS));
}

/* --- set-up --- */

static int set_up(void **state)
{
    (void)state;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fx.dir = test_mkdir();
    assert_int_equal(mkdir(inside("tmp"), 0755), 0);
    fx.ground = geteuid() == 0 ? ground_create() : NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (fx.ground != NULL)
        ground_kill(fx.ground);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    ground_destroy(&fx.ground);
    test_rmdir(&fx.dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_any_moment),
        cmocka_unit_test(test_the_count_sees_who_stays),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
