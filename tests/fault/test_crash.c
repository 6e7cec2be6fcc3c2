/* What was acknowledged is there, whatever happens to the process or the machine.
 *
 * A victim (victim.h) makes promises as fast as it can and tells each acknowledgement through a
 * pipe that outlives it. It is killed at random moments, stopped and continued, cut off from power
 * by a shim that takes back what was not synced (preload/powerloss.c), given full and failing
 * disks, and a wall clock that jumps (preload/timejump.c). After each round a reader that shares no
 * code with core/record (logcheck.h) looks at the log alone: all that was told is there, exactly
 * once; fences only grew; the chain, its signatures and its checkpoint hold. Then the next victim
 * goes on from there.
 *
 * The controls show that the reader can fail: a disk that lies about syncing, a log that was rolled
 * back, an acknowledgement that was never made.
 *
 * ROUNDS=n: how many rounds of kills and cuts (20; nightly 200). The seed is printed. */
#include "tests/fault/logcheck.h"
#include "tests/fault/victim.h"
#include "tests/support/testing.h"

#include "core/base/attr.h"
#include "core/base/file.h"
#include "core/base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRESH_EVERY = 8, START_MS = 10000 };

/* What the victims of one state directory were told, over their lives. */
struct told {
    char **line;
    size_t n;
    size_t opened; /* victims that got as far as opening */
    char refused[64];
    int exit_code; /* of the last one; -1: killed */
};

struct world {
    char *dir, *state, *sink;
    bool no_sink;
    struct told told;
};

static struct rng rng;

static unsigned rounds(void)
{
    const char *v = getenv("ROUNDS");
    unsigned n = v && *v ? (unsigned)strtoul(v, NULL, 10) : 20;

    return n ? n : 1;
}

static void world_open(struct world *w)
{
    w->no_sink = false;
    w->dir = test_mkdir();
    w->state = file_join(w->dir, "state");
    w->sink = file_join(w->dir, "audit.ndjson");
    w->told = (struct told){.n = 0};
}

static void world_close(struct world *w)
{
    for (size_t i = 0; i < w->told.n; i++)
        free(w->told.line[i]);
    free(w->told.line);
    free(w->state);
    free(w->sink);
    test_rmdir(&w->dir);
}

/* --- victims --- */

static void hear(struct told *t, const char *line)
{
    if (line[0] == 'O')
        t->opened++;
    if (line[0] == 'X')
        (void)snprintf(t->refused, sizeof(t->refused), "%s", line + 2);
    if ((t->n & (t->n - 1)) == 0)
        t->line = xreallocarray(t->line, t->n ? 2 * t->n : 1, sizeof(char *));
    t->line[t->n++] = xstrdup(line);
}

/* argv and environment of a victim; does not return. */
static void become_victim(const struct world *w, int out, const char *sign, const char *steps,
                          const char *const *env)
{
    char self[4096];
    char *argv[] = {self,
                    (char *)(uintptr_t) "victim",
                    w->state,
                    w->no_sink ? (char *)(uintptr_t) "-" : w->sink,
                    (char *)(uintptr_t)sign,
                    (char *)(uintptr_t)steps,
                    NULL};
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int quiet = getenv("VERBOSE") ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (n <= 0)
        _exit(9);
    self[n] = '\0';
    for (; env && *env; env += 2)
        setenv(env[0], env[1], 1);
    if (dup2(out, STDOUT_FILENO) < 0 || (quiet >= 0 && dup2(quiet, STDERR_FILENO) < 0))
        _exit(9);
    execv(self, argv);
    _exit(9);
}

static pid_t start_victim(const struct world *w, const char *sign, const char *steps,
                          const char *const *env, int *from)
{
    int fd[2];
    pid_t pid;

    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    pid = fork();
    if (pid == 0)
        become_victim(w, fd[1], sign, steps, env);
    assert_true(pid > 0);
    close(fd[1]);
    *from = fd[0];
    return pid;
}

/* Hears the victim out; when `ms` have passed since it opened does `act` to it, again and again
 * while that asks for more time by returning it. */
static void hear_out(struct told *t, int from, pid_t pid, unsigned ms,
                     unsigned (*act)(pid_t pid, unsigned turn))
{
    FILE *f = fdopen(from, "re");
    struct pollfd p = {.fd = from, .events = POLLIN};
    char line[512];
    size_t len = 0, opened = t->opened;
    uint64_t at = 0, give_up = test_now_ms() + START_MS * 3;
    unsigned turn = 0;

    assert_non_null(f);
    for (;;) {
        char block[4096];
        ssize_t n;

        if (act && !at && t->opened > opened)
            at = test_now_ms() + ms;
        if (act && at && test_now_ms() >= at) {
            unsigned more = act(pid, turn++);

            at = more ? test_now_ms() + more : UINT64_MAX;
        }
        if (test_now_ms() > give_up) {
            (void)kill(pid, SIGKILL);
            fail_msg("the victim did not end within %d s", START_MS * 3 / 1000);
        }
        if (poll(&p, 1, 1) <= 0)
            continue;
        n = read(from, block, sizeof(block));
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] != '\n' && len < sizeof(line) - 1) {
                line[len++] = block[i];
                continue;
            }
            line[len] = '\0';
            len = 0;
            hear(t, line);
        }
    }
    (void)fclose(f);
}

static void run_victim(struct world *w, const char *sign, const char *steps, const char *const *env,
                       unsigned ms, unsigned (*act)(pid_t pid, unsigned turn))
{
    int from, status;
    pid_t pid;

    w->told.refused[0] = '\0';
    pid = start_victim(w, sign, steps, env, &from);
    hear_out(&w->told, from, pid, ms, act);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        fail_msg("the victim died of signal %d", WTERMSIG(status));
    w->told.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static unsigned act_kill(pid_t pid, unsigned turn maybe_unused)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    return 0;
}

static unsigned act_stop_and_kill(pid_t pid, unsigned turn)
{
    if (turn == 4)
        return act_kill(pid, turn);
    assert_int_equal(kill(pid, turn % 2 ? SIGCONT : SIGSTOP), 0);
    return 10 + (unsigned)rng_below(&rng, 40);
}

/* --- the judge --- */

struct judge {
    char why[512];
    uint64_t fence, count, entry;
};

static bool object(struct judge *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool object(struct judge *j, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(j->why, sizeof(j->why), fmt, ap);
    va_end(ap);
    return false;
}

static bool judge_receipt(struct judge *j, const struct logcheck *c, const char *line)
{
    char hex[2 * LOGCHECK_HASH + 1], leaf[80];
    unsigned long long seq;

    if (sscanf(line, "R %llu %70s", &seq, leaf) != 2 || seq >= c->n)
        return object(j, "acknowledged receipt is not there: %s (%zu are)", line, c->n);
    logcheck_leaf_hex(c, (size_t)seq, hex);
    return strcmp(hex, leaf) == 0 || object(j, "acknowledged receipt is another now: %s", line);
}

static bool judge_event(struct judge *j, struct sqlite3 *db, const char *line)
{
    unsigned long long seq;
    char subject[80];

    if (sscanf(line, "E %llu %79s", &seq, subject) != 2 ||
        logcheck_query(db, "SELECT count(*) FROM event WHERE seq = ?2 AND subject = ?1", subject,
                       seq, 0) != 1)
        return object(j, "acknowledged event is not there: %s", line);
    return true;
}

/* It waits, or it was emitted, once. */
static bool judge_schedule(struct judge *j, struct sqlite3 *db, const char *line)
{
    int64_t waits =
        logcheck_query(db, "SELECT count(*) FROM sub_timer WHERE id = ?1", line + 2, 0, 0);
    int64_t rang =
        logcheck_query(db, "SELECT count(*) FROM rang WHERE subject = ?1", line + 2, 0, 0);

    if (waits + rang == 0)
        return object(j, "acknowledged schedule is not there: %s", line);
    return rang <= 1 || object(j, "schedule was emitted %d times: %s", (int)rang, line);
}

static bool judge_line(struct judge *j, const struct logcheck *c, struct sqlite3 *db,
                       const char *line)
{
    uint64_t v = strtoull(line + 2, NULL, 10);

    switch (line[0]) {
    case 'R':
        return judge_receipt(j, c, line);
    case 'E':
        return judge_event(j, db, line);
    case 'S':
        return judge_schedule(j, db, line);
    case 'C':
        j->count = v > j->count ? v : j->count;
        return true;
    case 'P':
        j->entry = v > j->entry ? v : j->entry;
        return true;
    case 'F':
    case 'L':
        if (v <= j->fence)
            return object(j, "fence %s was given out after %llu", line,
                          (unsigned long long)j->fence);
        j->fence = line[0] == 'F' ? v + 2 : v;
        return true;
    default:
        return true;
    }
}

static bool judge_sums(struct judge *j, struct sqlite3 *db)
{
    int64_t n = logcheck_query(db, "SELECT value FROM sub_counter WHERE name = 'n'", NULL, 0, 0);
    int64_t last = logcheck_query(db, "SELECT last FROM sub_stream WHERE name = 'out'", NULL, 0, 0);
    int64_t rows = logcheck_query(db, "SELECT count(*) FROM sub_entry", NULL, 0, 0);
    int64_t epoch =
        logcheck_query(db, "SELECT value FROM sub_meta WHERE key = 'epoch'", NULL, 0, 0);
    int64_t twice = logcheck_query(
        db, "SELECT count(*) - count(DISTINCT subject) FROM event WHERE type = 'task.succeeded'",
        NULL, 0, 0);

    if ((uint64_t)n < j->count)
        return object(j, "counter is %lld, %llu was told", (long long)n,
                      (unsigned long long)j->count);
    if ((uint64_t)last < j->entry || rows != last)
        return object(j, "stream has %lld entries up to %lld, %llu was told", (long long)rows,
                      (long long)last, (unsigned long long)j->entry);
    if ((uint64_t)epoch < j->fence >> 32)
        return object(j, "epoch is %lld, a fence of %llu was given out", (long long)epoch,
                      (unsigned long long)(j->fence >> 32));
    return twice == 0 || object(j, "%lld events are there twice", (long long)twice);
}

/* True when the log holds all that was told. */
static bool judge(const struct world *w, struct judge *j)
{
    struct sqlite3 *db = logcheck_open(w->state);
    struct logcheck c;
    bool ok;

    *j = (struct judge){.why = ""};
    if (!db || logcheck_query(db, "SELECT count(*) FROM audit_checkpoint", NULL, 0, 0) == 0) {
        /* cut before anything was there: fine as long as nothing was told */
        c = (struct logcheck){.n = 0};
        ok = true;
    } else {
        ok = logcheck_database(w->state, &c) || object(j, "%s", c.why);
    }
    (void)logcheck_query(db,
                         "CREATE TEMP TABLE rang AS SELECT subject FROM event WHERE type = "
                         "'alarm.rang'",
                         NULL, 0, 0);
    (void)logcheck_query(db, "CREATE INDEX temp.rang_subject ON rang(subject)", NULL, 0, 0);
    for (size_t i = 0; ok && i < w->told.n; i++)
        ok = judge_line(j, &c, db, w->told.line[i]);
    ok = ok && (w->told.opened == 0 || judge_sums(j, db));
    logcheck_free(&c);
    logcheck_close(&db);
    return ok;
}

static void must_hold(const struct world *w, const char *what, unsigned round)
{
    struct judge j;

    if (!judge(w, &j))
        fail_msg("%s, round %u: %s", what, round, j.why);
}

/* Opens it once more: what a crash left must be good to go on with, and the copy becomes whole. */
static void must_go_on(struct world *w, const char *what, unsigned round)
{
    char *pub = file_join(w->state, "audit.pub");
    struct logcheck c, copy;

    run_victim(w, "each", "24", NULL, 0, NULL);
    if (w->told.exit_code != 0)
        fail_msg("%s, round %u: does not open again: %s", what, round, w->told.refused);
    must_hold(w, what, round);
    if (!logcheck_database(w->state, &c) || !logcheck_ndjson(w->sink, pub, &copy))
        fail_msg("%s, round %u: %s%s", what, round, c.why, copy.why);
    if (copy.n != c.n || copy.torn)
        fail_msg("%s, round %u: the copy has %zu records, the log %zu", what, round, copy.n, c.n);
    logcheck_free(&c);
    logcheck_free(&copy);
    free(pub);
}

/* --- killed --- */

static void test_killed(void **state maybe_unused)
{
    struct world w;
    unsigned n = rounds();
    size_t told = 0;

    for (unsigned i = 0; i < n; i++) {
        if (i % FRESH_EVERY == 0)
            world_open(&w);
        run_victim(&w, i % 3 ? "checkpoint" : "each", "0", NULL,
                   (unsigned)rng_below(&rng, i % 5 ? 15 : 60),
                   i % 4 == 3 ? act_stop_and_kill : act_kill);
        must_hold(&w, "killed", i);
        if (i % 4 == 1)
            must_go_on(&w, "killed", i);
        if (i % FRESH_EVERY == FRESH_EVERY - 1 || i + 1 == n) {
            told += w.told.n;
            must_go_on(&w, "killed", i);
            world_close(&w);
        }
    }
    print_message("%u kills, %zu acknowledgements, all kept\n", n, told);
    assert_true(told > n);
}

/* --- cut off from power --- */

static const char *shim(const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "tests/fault/preload/%s.so", name);
    return test_program(path);
}

struct cut {
    char at[24], seed[24];
    const char *env[13];
};

static void plan_cut(struct cut *c, const struct world *w, uint64_t at, uint64_t seed, bool lie)
{
    size_t n = 0;

    (void)snprintf(c->at, sizeof(c->at), "%llu", (unsigned long long)at);
    (void)snprintf(c->seed, sizeof(c->seed), "%llu", (unsigned long long)seed);
    c->env[n++] = "LD_PRELOAD";
    c->env[n++] = shim("powerloss");
    c->env[n++] = "POWERLOSS_DIR";
    c->env[n++] = w->dir;
    c->env[n++] = "POWERLOSS_AT";
    c->env[n++] = c->at;
    c->env[n++] = "POWERLOSS_SEED";
    c->env[n++] = c->seed;
    if (lie) {
        c->env[n++] = "POWERLOSS_LIE";
        c->env[n++] = "1";
    }
    c->env[n] = NULL;
}

static void test_power_cut(void **state maybe_unused)
{
    struct world w;
    struct cut c;
    unsigned n = rounds();
    size_t told = 0;

    for (unsigned i = 0; i < n; i++) {
        if (i % FRESH_EVERY == 0)
            world_open(&w);
        plan_cut(&c, &w, 1 + rng_below(&rng, i % 3 ? 700 : 60),
                 i % 2 ? 1 + rng_below(&rng, 1u << 30) : 0, false);
        run_victim(&w, i % 3 ? "checkpoint" : "each", "0", c.env, 0, NULL);
        if (w.told.exit_code != -1)
            fail_msg("power cut %u (at %s): the victim ended by itself: %d %s", i, c.at,
                     w.told.exit_code, w.told.refused);
        must_hold(&w, "power cut", i);
        if (i % FRESH_EVERY == FRESH_EVERY - 1 || i + 1 == n) {
            must_go_on(&w, "power cut", i);
            told += w.told.n;
            world_close(&w);
        }
    }
    print_message("%u power cuts, %zu acknowledgements, all kept\n", n, told);
    assert_true(told > n);
}

/* In its first moments, in a directory of its own that nothing else syncs: the names of
 * directories, key and database must be as durable as what they hold. */
static void test_power_cut_at_the_start(void **state maybe_unused)
{
    unsigned n = rounds();

    for (unsigned i = 0; i < n; i++) {
        struct world w;
        struct cut c;

        world_open(&w);
        w.no_sink = true;
        plan_cut(&c, &w, 1 + rng_below(&rng, 160), i % 2 ? 1 + rng_below(&rng, 1u << 30) : 0,
                 false);
        run_victim(&w, "each", "0", c.env, 0, NULL);
        must_hold(&w, "power cut at the start", i);
        run_victim(&w, "each", "24", NULL, 0, NULL);
        if (w.told.exit_code != 0)
            fail_msg("power cut at the start, round %u (at %s): does not open again: %s", i, c.at,
                     w.told.refused);
        must_hold(&w, "power cut at the start, opened again", i);
        world_close(&w);
    }
}

/* The control: a disk that says "synced" and is not. */
static void test_lying_disk(void **state maybe_unused)
{
    struct world w;
    struct judge j;
    struct cut c;

    world_open(&w);
    run_victim(&w, "checkpoint", "200", NULL, 0, NULL);
    must_hold(&w, "lying disk", 0);
    plan_cut(&c, &w, 300, 0, true);
    run_victim(&w, "checkpoint", "0", c.env, 0, NULL);
    assert_int_equal(w.told.exit_code, -1);
    assert_false(judge(&w, &j));
    print_message("noticed: %s\n", j.why);
    world_close(&w);
}

/* --- rolled back, and lied about --- */

static void copy_into(const char *from, const char *to)
{
    static const char *const names[] = {"log.sqlite", "log.sqlite-wal"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *a = file_join(from, names[i]), *b = file_join(to, names[i]);
        size_t n;

        (void)unlink(b);
        if (access(a, F_OK) == 0) {
            char *data = test_read_file(a, &n);

            test_write_file(b, data, n);
            free(data);
        }
        free(a);
        free(b);
    }
}

static void test_rolled_back(void **state maybe_unused)
{
    char *old = test_mkdir();
    struct world w;
    struct judge j;

    world_open(&w);
    run_victim(&w, "checkpoint", "100", NULL, 0, NULL);
    copy_into(w.state, old);
    run_victim(&w, "checkpoint", "100", NULL, 0, NULL);
    must_hold(&w, "rolled back", 0);
    copy_into(old, w.state);
    assert_false(judge(&w, &j));
    print_message("noticed: %s\n", j.why);
    run_victim(&w, "checkpoint", "100", NULL, 0, NULL); /* Fleet itself: its copy is ahead */
    assert_string_equal(w.told.refused, "AUDIT_INVALID");
    world_close(&w);
    test_rmdir(&old);
}

static void test_control_of_the_judge(void **state maybe_unused)
{
    static const char *const lies[] = {"R 5 0000",  "R 1000000 00", "E 3 e-1-1",    "S s-1-1",
                                       "C 1000000", "P 1000000",    "F 4294967297", "L 1"};
    struct world w;
    struct judge j;

    world_open(&w);
    run_victim(&w, "each", "100", NULL, 0, NULL);
    must_hold(&w, "control", 0);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        hear(&w.told, lies[i]);
        if (judge(&w, &j))
            fail_msg("the judge believes \"%s\"", lies[i]);
        free(w.told.line[--w.told.n]);
    }
    must_hold(&w, "control", 1);
    world_close(&w);
}

/* --- disks that fail --- */

/* From some operation on every write fails: the call that does not fit is refused with the reason,
 * what was told before is kept, and with room again it goes on. */
static void test_failing_disk(void **state maybe_unused)
{
    static const struct {
        int errnum;
        const char *status;
    } table[] = {{ENOSPC, "NO_SPACE"}, {EDQUOT, "NO_SPACE"}, {EIO, "IO"}, {EROFS, "PERMISSION"}};
    struct world w;

    world_open(&w);
    run_victim(&w, "each", "50", NULL, 0, NULL);
    for (unsigned i = 0; i < 12; i++) {
        char at[24], with[24];
        const char *const env[] = {"LD_PRELOAD",
                                   shim("powerloss"),
                                   "POWERLOSS_DIR",
                                   w.dir,
                                   "POWERLOSS_FAIL_AT",
                                   at,
                                   "POWERLOSS_FAIL_WITH",
                                   with,
                                   NULL};

        (void)snprintf(at, sizeof(at), "%u", 20 + (unsigned)rng_below(&rng, 400));
        (void)snprintf(with, sizeof(with), "%d", table[i % 4].errnum);
        run_victim(&w, i % 2 ? "each" : "checkpoint", "0", env, 0, NULL);
        if (w.told.exit_code != 3 || strcmp(w.told.refused, table[i % 4].status) != 0)
            fail_msg("errno %s from operation %s on: exit %d, %s, expected %s", with, at,
                     w.told.exit_code, w.told.refused, table[i % 4].status);
        must_hold(&w, "failing disk", i);
    }
    must_go_on(&w, "failing disk", 12);
    world_close(&w);
}

static void test_read_only_directory(void **state maybe_unused)
{
    struct world w;

    world_open(&w);
    if (mount("tmpfs", w.dir, "tmpfs", 0, "size=16m") != 0) {
        int errnum = errno;

        world_close(&w);
        test_skip("a file system of its own cannot be mounted: errno %d", errnum);
    }
    run_victim(&w, "each", "50", NULL, 0, NULL);
    assert_int_equal(w.told.exit_code, 0);
    assert_int_equal(mount("tmpfs", w.dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=16m"), 0);
    run_victim(&w, "each", "50", NULL, 0, NULL);
    assert_int_equal(w.told.exit_code, 3);
    assert_string_equal(w.told.refused, "PERMISSION");
    must_hold(&w, "read-only", 0);
    assert_int_equal(mount("tmpfs", w.dir, "tmpfs", MS_REMOUNT, "size=16m"), 0);
    must_go_on(&w, "read-only", 1);
    assert_int_equal(umount(w.dir), 0);
    world_close(&w);
}

/* --- a clock that jumps --- */

static void test_clock_jumps(void **state maybe_unused)
{
    struct world w;
    char seed[24];
    const char *const env[] = {"LD_PRELOAD", shim("timejump"), "TIMEJUMP_SEED", seed, NULL};

    world_open(&w);
    for (unsigned i = 0; i < 4; i++) {
        (void)snprintf(seed, sizeof(seed), "%llu",
                       1 + (unsigned long long)rng_below(&rng, 1 << 30));
        run_victim(&w, i % 2 ? "each" : "checkpoint", i % 2 ? "0" : "2000", env,
                   60 + (unsigned)rng_below(&rng, 100), i % 2 ? act_kill : NULL);
        assert_int_equal(w.told.exit_code, i % 2 ? -1 : 0);
        must_hold(&w, "clock jumps", i); /* times of the records only grow, too */
    }
    must_go_on(&w, "clock jumps", 4);
    world_close(&w);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_power_cut),
        cmocka_unit_test(test_power_cut_at_the_start),
        cmocka_unit_test(test_lying_disk),
        cmocka_unit_test(test_rolled_back),
        cmocka_unit_test(test_control_of_the_judge),
        cmocka_unit_test(test_failing_disk),
        cmocka_unit_test(test_read_only_directory),
        cmocka_unit_test(test_clock_jumps),
    };
    const char *given = getenv("SEED");
    uint64_t seed = given && *given ? strtoull(given, NULL, 10) : test_now_ms();

    if (argc > 1 && strcmp(argv[1], "victim") == 0)
        return victim_main(argc - 1, argv + 1);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    rng_seed_u64(&rng, seed);
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
