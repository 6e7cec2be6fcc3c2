/* Every system call of a launch made to fail in turn, by the kernel (reap_inject.h): those that the
 * launcher looks at and those that it does not, of the spawner, of init, and of the program until
 * its execve (every eighth, or with FLEET_ROUNDS all). Each time the launch either goes well, the
 * call being one that can be done without, or is told to have failed, with the errno; and nothing
 * is left. test_reaper_fault.c does the same with the launcher's own checks, and more kinds of
 * members. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "tests/fault/reap_inject.h"
#include "tests/support/members.h"

enum { SLOW_MS = 20000, CALLS_MAX = 1500, IN_A_ROW = 4, FAILURE = EBADMSG };

struct tally {
    unsigned told, well, died, silent;
    unsigned lost;  /* it ran already, and its init gave up */
    unsigned early; /* init ended before it could say anything: its C library did not start */
};

static size_t count_entries(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    size_t n = 0;

    while (d && (e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void judge(struct tally *t, unsigned n, const char *call, const struct member *x)
{
    const char *text = err_text(&x->exit.err);
    bool verbose = getenv("VERBOSE") != NULL;

    if (x->exit.cause == REAPER_CAUSE_EXITED && x->exit.code == 0) {
        t->well++;
    } else if (x->exit.cause == REAPER_CAUSE_FAILED && strstr(text, strerror(FAILURE))) {
        t->told++;
    } else if (x->exit.cause == REAPER_CAUSE_FAILED && strstr(text, "fleet-reaper died")) {
        t->died++;
    } else if (x->exit.cause == REAPER_CAUSE_FAILED && strstr(text, "told nothing")) {
        t->early++;
    } else if (x->exit.cause == REAPER_CAUSE_LOST && x->is_started) {
        t->lost++;
    } else {
        t->silent++;
        verbose = true;
    }
    if (verbose)
        print_message("%4u %-16s %s: %s\n", n, call, reaper_cause_name(x->exit.cause), text);
}

/* False when there is no such call any more. */
static bool one(struct tally *t, const char *base, unsigned n)
{
    const char *const argv[] = {"/bin/true", NULL};
    const struct reaper_spec s = {.name = "inject",
                                  .kind = REAPER_AUTOMATION,
                                  .argv = argv,
                                  .netns = true,
                                  .n_listeners = 1,
                                  .pids_max = 64,
                                  .oom_score_adj = 100};
    char dir[4100], self[4096], run[4200];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    struct reaper_swept swept;
    struct members m;
    struct member x;
    const char *call;

    assert_true(len > 0);
    self[len] = '\0';
    snprintf(dir, sizeof dir, "%s/%u", base, n);
    assert_int_equal(mkdir(dir, 0755), 0);
    inject_prepare(dir, n, FAILURE, test_program("fleet-reaper"));
    setenv("TMPDIR", dir, 1);
    members_open(&m, dir, self, 0);
    member_launch(&m, &x, &s, true);
    if (!member_wait_gone(&x, SLOW_MS))
        fail_msg("call %u (%s): the member does not end", n, inject_failed(dir));
    if (member_hear(&x, "never", 0)) /* the end of the pipe: nobody holds it */
        fail_msg("call %u (%s): somebody holds the member's pipe", n, inject_failed(dir));
    member_close(&x);
    members_close(&m);
    call = inject_failed(dir);
    if (call[0] != '\0')
        judge(t, n, call, &x);
    assert_int_equal(reaper_sweep(dir, &swept, NULL), STATUS_OK);
    snprintf(run, sizeof run, "%s/run", dir);
    rmdir(run);
    if (count_entries(dir) != 0)
        fail_msg("call %u (%s): something is left in %s", n, call, dir);
    assert_int_equal(rmdir(dir), 0);
    return call[0] != '\0';
}

static void test_each_call(void **state)
{
    struct tally t = {0};
    /* all of them take a minute */
    unsigned stride = getenv("FLEET_ROUNDS") ? 1 : 8, first = (unsigned)time(NULL) % stride;
    const char *before = getenv("TMPDIR");
    char *kept = before ? strdup(before) : NULL, *base = test_mkdir();
    unsigned n, beyond = 0;

    (void)state;
    if (geteuid() != 0)
        test_skip(
            "not root: a filter with a listener needs no_new_privs, which changes the launch");
    for (n = 1 + first; n < CALLS_MAX && beyond < IN_A_ROW; n += stride)
        beyond = one(&t, base, n) ? 0 : beyond + 1;
    print_message("%u calls made to fail: %u told with the errno, %u done without, %u ended "
                  "fleet-reaper, %u ended init before it could speak, %u later; %u not told\n",
                  t.told + t.well + t.died + t.silent + t.lost + t.early, t.told, t.well, t.died,
                  t.early, t.lost, t.silent);
    if (kept)
        setenv("TMPDIR", kept, 1);
    else
        unsetenv("TMPDIR");
    free(kept);
    test_rmdir(&base);
    assert_true(n < CALLS_MAX);
    assert_true(t.told > 15); /* of every eighth, which ones is chance */
    assert_int_equal(t.silent, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call),
    };

    if (argc > 1 && strcmp(argv[1], "--spawner") == 0)
        inject_main(argv);
    return cmocka_run_group_tests_name("system calls of a launch", tests, NULL, NULL);
}
