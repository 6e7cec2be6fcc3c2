#include "tests/integration/reaper_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- as somebody else --- */

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

void as_open(struct as *a, bool nobody)
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

void as_open_counted(struct as *a, bool nobody)
{
    if (geteuid() != 0)
        test_skip("counting needs a cgroup: root");
    as_open(a, nobody);
    a->ground = ground_create();
    if (a->ground == NULL) {
        as_close(a);
        test_skip("no cgroup to count in");
    }
}

void as_close(struct as *a)
{
    char run[PATH_MAX + 8];

    snprintf(run, sizeof(run), "%s/run", a->state);
    if (rmdir(run) < 0 && errno != ENOENT)
        fail_msg("files are left in %s", run);
    assert_int_equal(rmdir(a->state), 0);
    close((int)strtol(a->program + strlen("/proc/self/fd/"), NULL, 10));
    ground_destroy(&a->ground);
}

pid_t as_fork(const struct as *a, void (*fn)(const struct as *, void *), void *arg)
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

void as_run(bool nobody, void (*fn)(const struct as *, void *), void *arg)
{
    struct as a;
    int status;
    pid_t p;

    if (nobody && geteuid() != 0)
        test_skip("not root: the test runs unprivileged anyway");
    as_open(&a, nobody);
    p = as_fork(&a, fn, arg);
    assert_int_equal(waitpid(p, &status, 0), p);
    as_close(&a);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- members --- */

const char version_call[] = "{\"id\":1,\"method\":\"Browser.getVersion\"}";
const char page_call[] = "{\"id\":2,\"method\":\"Target.createTarget\",\"params\":{"
                         "\"url\":\"data:text/html,<title>x</title><h1>y</h1>\"}}";

struct reaper_spec browser_spec(const char *path, const char *argv[16])
{
    const char *const args[] = {path, MEMBER_BROWSER_ARGS, NULL};

    memcpy(argv, args, sizeof(args));
    return (struct reaper_spec){
        .name = "browser", .kind = REAPER_BROWSER, .argv = argv, .sandbox = REAPER_SANDBOX_REQUIRE};
}

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

struct reaper_spec stayer_spec(void)
{
    return (struct reaper_spec){.name = "stayer", .kind = REAPER_AUTOMATION, .argv = stayer_argv};
}
