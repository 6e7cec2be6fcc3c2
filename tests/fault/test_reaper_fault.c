/* Every system call that the launcher checks is made to fail in turn: spawner, clone, init, the
 * mounts, the program before its execve. Each failure must be told by its step and errno, and
 * nothing may be left: no process (a pipe that all of the member hold must end), no lock file, no
 * directory, no cgroup. A few calls can be done without; those launches go well. */
#include "tests/support/members.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/attr.h"

#ifdef FLEET_FAULTS

enum { SLOW_MS = 20000, CALLS_MAX = 400, IN_A_ROW = 8 };

#define BIT(l) REAPER_LAYER_BIT(REAPER_LAYER_##l)

static size_t count_entries(const char *dir, const char *prefix)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    size_t n = 0;

    while (d && (e = readdir(d)) != NULL)
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0 && e->d_name[0] != '.' ? 1u : 0u;
    if (d)
        closedir(d);
    return n;
}

/* A launcher that a failure ended is started again: all that there were. Other fleets of the
 * machine have cgroups too. */
static pid_t spawners[16];
static size_t n_spawners;

static void note_spawner(pid_t pid)
{
    if (pid <= 0 || (n_spawners > 0 && spawners[n_spawners - 1] == pid))
        return;
    assert_true(n_spawners < ARRAY_LEN(spawners));
    spawners[n_spawners++] = pid;
}

/* Looked for where the hierarchies have our own place; none there is fine. */
static size_t count_cgroups(void)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                        "/sys/fs/cgroup/pids", "/sys/fs/cgroup/memory",
                                        "/sys/fs/cgroup/cpu"};
    char prefix[48];
    size_t n = 0;

    for (size_t k = 0; k < n_spawners; k++) {
        snprintf(prefix, sizeof(prefix), "fleet-m-%d-", (int)spawners[k]);
        for (size_t i = 0; i < ARRAY_LEN(roots); i++)
            n += count_entries(roots[i], prefix);
    }
    return n;
}

static void assert_nothing_left(struct members *m, const char *after)
{
    char run[PATH_MAX];
    const char *tmp = getenv("TMPDIR");

    snprintf(run, sizeof(run), "%s/run", m->state_dir);
    if (count_entries(run, "") != 0 || count_entries(tmp ? tmp : "/tmp", "fleet-m-") != 0 ||
        count_cgroups() != 0)
        fail_msg("something is left after: %s", after);
}

static void fail_each(const char *what, uint32_t without, enum reaper_view view, bool netns)
{
    const char *const argv[] = {"/bin/true", NULL};
    char *dir = test_mkdir();
    struct reaper_bind bind = {.path = dir, .at = "/tmp/out", .writable = true};
    const char *const hide[] = {"/opt", NULL};
    struct reaper_spec s = {.name = "faulty",
                            .kind = REAPER_AUTOMATION,
                            .argv = argv,
                            .sandbox = REAPER_SANDBOX_PREFER,
                            .view = view,
                            .netns = netns,
                            .n_listeners = netns ? 1 : 0,
                            .binds = &bind,
                            .n_binds = 1,
                            .hide = hide,
                            .oom_score_adj = 100,
                            .pids_max = 64};
    unsigned failed = 0, well = 0;
    struct members m;
    unsigned n;

    members_open(&m, NULL, NULL, without);
    for (n = 1; n < CALLS_MAX && well < IN_A_ROW; n++) {
        char spec[32];
        struct member x;

        snprintf(spec, sizeof(spec), "%u:%d", n,
                 EBADMSG); /* an errno that nothing here gives by itself */
        setenv("FLEET_REAPER_FAIL", spec, 1);
        member_launch(&m, &x, &s, true);
        assert_true(member_wait_gone(&x, SLOW_MS));
        if (x.exit.cause == REAPER_CAUSE_FAILED) {
            const char *text = err_text(&x.exit.err);

            if (strncmp(text, "launch faulty: ", 15) != 0 || !strstr(text, strerror(EBADMSG)))
                fail_msg("call %u: %s", n, text);
            if (getenv("VERBOSE"))
                print_message("%u: %s\n", n, text);
            failed++;
            well = 0;
        } else {
            if (x.exit.cause != REAPER_CAUSE_EXITED || x.exit.code != 0)
                fail_msg("call %u: %s, %s", n, reaper_cause_name(x.exit.cause),
                         err_text(&x.exit.err));
            well++;
        }
        assert_false(member_hear(&x, "never", 0));
        note_spawner(reaper_pid(m.reaper));
        assert_nothing_left(&m, err_text(&x.exit.err));
        member_close(&x);
    }
    unsetenv("FLEET_REAPER_FAIL");
    print_message("%s: %u calls made to fail, each told\n", what, failed);
    assert_true(failed > 10 && n < CALLS_MAX);
    members_close(&m);
    test_rmdir(&dir);
}

static void test_minimal_view(void **state)
{
    (void)state;
    fail_each("minimal view, network namespace", 0, REAPER_VIEW_MINIMAL, true);
}

static void test_host_view(void **state)
{
    (void)state;
    fail_each("view of the host", 0, REAPER_VIEW_HOST, false);
}

static void test_without_namespaces(void **state)
{
    (void)state;
    fail_each("no namespaces", BIT(PIDNS) | BIT(MOUNTNS) | BIT(NETNS) | BIT(IPCNS),
              REAPER_VIEW_MINIMAL, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimal_view),
        cmocka_unit_test(test_host_view),
        cmocka_unit_test(test_without_namespaces),
    };

    return cmocka_run_group_tests_name("reaper faults", tests, NULL, NULL);
}

#else

static void test_not_built(void **state)
{
    (void)state;
    test_skip("built without FLEET_FAULTS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_not_built)};

    return cmocka_run_group_tests_name("reaper faults", tests, NULL, NULL);
}

#endif
