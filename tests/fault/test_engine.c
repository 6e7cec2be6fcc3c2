/* Whole engines under torment: fleet-core runs a campaign against a server of the test and is
 * killed, stopped and continued, cut off from power, given failing disks and a jumping clock, and
 * resumed, again and again. A reader follows results.ndjson as a client would and keeps every line
 * that it ever saw: what it was told.
 *
 * Judged from the log alone (logcheck.h shares no code with core/record) when the campaign has come
 * to its end: each task has one completion and one line in the results; every line that was ever
 * told is what the log holds; epochs of fences never went back; the chain holds after each blow.
 * The control takes one completion out of what the judge sees, and lets it see one twice.
 *
 * ROUNDS=n blows (20), SEED=n. */
#include "tests/fault/logcheck.h"
#include "tests/support/httpd.h"
#include "tests/support/testing.h"

#include "core/base/attr.h"
#include "core/base/json.h"
#include "core/base/rng.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TASKS = 40, BLOWS = 3, END_MS = 30000, LINE_MAX_BYTES = 8192 };

struct told {
    unsigned task;
    char receipt[80];
};

static struct {
    struct httpd *server;
    char *dir, real[PATH_MAX];
    struct rng rng;
    /* what the reader of the results saw */
    struct told told[TASKS * 8];
    size_t n_told;
    int results; /* descriptor of the file that is followed, -1 */
    char part[LINE_MAX_BYTES];
    size_t part_len;
    bool blind; /* the control: the judge misses one completion */
} w;

static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    (void)arg;
    a->type = "text/plain";
    a->status = strcmp(q->path, "/robots.txt") == 0 ? 404 : 200;
    a->body = "fine";
    a->delay_ms = 8;
}

/* --- the reader --- */

static void hear_line(const char *line, size_t n)
{
    struct json *j = json_parse(str_n(line, n), false, NULL);
    const char *task = json_str(json_get(j, "task"), "t-0"),
               *receipt = json_str(json_get(j, "receipt"), "");
    struct told *t = &w.told[w.n_told];

    if (!j) { /* a line that a resume repaired while we looked */
        return;
    }
    t->task = (unsigned)strtoul(task + 2, NULL, 10);
    (void)snprintf(t->receipt, sizeof(t->receipt), "%s", receipt);
    if (w.n_told + 1 < ARRAY_LEN(w.told))
        w.n_told++;
    json_destroy(&j);
}

/* Reads what is new. After a restart the file is read from its beginning: told twice is fine. */
static void follow(void)
{
    char block[4096];
    ssize_t n;

    if (w.results < 0)
        w.results = open("results.ndjson", O_RDONLY | O_CLOEXEC);
    while (w.results >= 0 && (n = read(w.results, block, sizeof(block))) > 0)
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] == '\n') {
                hear_line(w.part, w.part_len);
                w.part_len = 0;
            } else if (w.part_len < sizeof(w.part)) {
                w.part[w.part_len++] = block[i];
            }
        }
}

static void follow_anew(void)
{
    if (w.results >= 0)
        close(w.results);
    w.results = -1;
    w.part_len = 0;
}

/* --- the program --- */

enum blow {
    BLOW_NONE,
    BLOW_KILL,
    BLOW_STOP,
    BLOW_POWER,
    BLOW_TEAR,
    BLOW_DISK,
    BLOW_CLOCK,
    N_BLOWS
};
static const char *const blow_names[N_BLOWS] = {
    "none",           "kill -9",      "stop, then kill",         "power cut",
    "torn power cut", "failing disk", "jumping clock, then kill"};

static void put(const char *name, uint64_t v)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    setenv(name, text, 1);
}

/* The random numbers are drawn by the parent, so that SEED= gives the same again. */
static void prepare_blow(enum blow b, uint64_t at, uint64_t seed)
{
    static const int errnums[] = {ENOSPC, EIO, EDQUOT};

    if (b == BLOW_POWER || b == BLOW_TEAR || b == BLOW_DISK) {
        setenv("LD_PRELOAD", test_program("tests/fault/preload/powerloss.so"), 1);
        setenv("POWERLOSS_DIR", w.real, 1);
    }
    if (b == BLOW_POWER || b == BLOW_TEAR)
        put("POWERLOSS_AT", at);
    if (b == BLOW_TEAR)
        put("POWERLOSS_SEED", seed);
    if (b == BLOW_DISK) {
        put("POWERLOSS_FAIL_AT", at);
        put("POWERLOSS_FAIL_WITH", (uint64_t)errnums[seed % ARRAY_LEN(errnums)]);
    }
    if (b == BLOW_CLOCK) {
        setenv("LD_PRELOAD", test_program("tests/fault/preload/timejump.so"), 1);
        put("TIMEJUMP_SEED", seed);
    }
}

static pid_t start(const char *verb, const char *argument, enum blow b)
{
    const char *program = test_program("fleet-core");
    uint64_t at = 1 + rng_below(&w.rng, 500), seed = 1 + rng_below(&w.rng, 1u << 30);
    pid_t pid = fork();

    if (pid == 0) {
        int fd = open("err.txt", O_WRONLY | O_CREAT | O_APPEND, 0600);

        prepare_blow(b, at, seed);
        if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
            _exit(126);
        execl(program, program, verb, argument, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

/* Follows the results until the program ends; strikes it meanwhile. Its exit code, or -1 when it
 * was killed. */
static int watch(pid_t pid, enum blow b)
{
    uint64_t now = test_now_ms(), strike = now + 30 + rng_below(&w.rng, 350),
             give_up = now + END_MS;
    unsigned turn = 0;
    int status;

    follow_anew();
    while (waitpid(pid, &status, WNOHANG) == 0) {
        now = test_now_ms();
        follow();
        if (now > give_up) {
            (void)kill(pid, SIGKILL);
            fail_msg("%s: fleet-core did not end within %d ms", blow_names[b], END_MS);
        }
        if (now >= strike && b == BLOW_STOP && turn < 4) {
            (void)kill(pid, turn++ % 2 ? SIGCONT : SIGSTOP);
            strike = now + 30 + rng_below(&w.rng, 60);
        } else if (now >= strike && (b == BLOW_KILL || b == BLOW_CLOCK || b == BLOW_STOP)) {
            (void)kill(pid, SIGKILL);
        }
        test_sleep_ms(1);
    }
    follow();
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        fail_msg("%s: fleet-core died of signal %d\n%s", blow_names[b], WTERMSIG(status),
                 test_read_file("err.txt", NULL));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- the judge --- */

static size_t count_kind(const struct logcheck *c, const char *kind)
{
    char k[128];
    size_t n = 0;

    for (size_t i = 0; i < c->n; i++)
        n += logcheck_member(c->line[i], "kind", k, sizeof(k)) && strcmp(k, kind) == 0;
    return n;
}

/* Record with this leaf hash, or -1. */
static ptrdiff_t find_leaf(const struct logcheck *c, const char *receipt)
{
    char hex[2 * LOGCHECK_HASH + 1];

    for (size_t i = 0; i < c->n; i++) {
        logcheck_leaf_hex(c, i, hex);
        if (strcmp(hex, receipt) == 0)
            return (ptrdiff_t)i;
    }
    return -1;
}

static void must_not_go_back(const struct logcheck *c)
{
    uint64_t epoch = 0;

    for (size_t i = 0; i < c->n; i++) {
        uint64_t now = logcheck_number(c->line[i], "fence", 0) >> 32;

        if (now && now < epoch)
            fail_msg("record %zu: fence of epoch %llu after one of %llu", i,
                     (unsigned long long)now, (unsigned long long)epoch);
        epoch = now > epoch ? now : epoch;
    }
}

/* After each blow: the chain, and all that was told so far. True when a campaign was begun. */
static bool judge_blow(enum blow b)
{
    struct sqlite3 *db = logcheck_open(".fleet");
    bool begun = logcheck_query(db, "SELECT count(*) FROM audit_checkpoint", NULL, 0, 0) > 0;
    struct logcheck c = {.n = 0};

    logcheck_close(&db);
    if (begun && !logcheck_database(".fleet", &c))
        fail_msg("after %s: %s", blow_names[b], c.why);
    must_not_go_back(&c);
    for (size_t i = 0; i < w.n_told; i++)
        if (find_leaf(&c, w.told[i].receipt) < 0)
            fail_msg("after %s: t-%06u was told with receipt %s, which is not in the log",
                     blow_names[b], w.told[i].task, w.told[i].receipt);
    begun = count_kind(&c, "campaign.open") > 0;
    logcheck_free(&c);
    return begun;
}

/* The completions that the log has of each task. */
static bool completions_are(const struct logcheck *c, unsigned each, char why[200])
{
    for (unsigned t = 1; t <= TASKS; t++) {
        char id[32];
        size_t n;

        (void)snprintf(id, sizeof(id), "t-%06u", t);
        n = logcheck_count(c, "task", "task", id);
        if (w.blind && t == 7)
            n--;
        if (n != each) {
            (void)snprintf(why, 200, "%s was completed %zu times", id, n);
            return false;
        }
    }
    return true;
}

static void judge_end(void)
{
    unsigned line_of[TASKS + 1] = {0};
    char why[200] = "";
    struct logcheck c;

    if (!logcheck_database(".fleet", &c))
        fail_msg("at the end: %s", c.why);
    if (!completions_are(&c, 1, why))
        fail_msg("at the end: %s", why);
    w.blind = true;
    assert_false(completions_are(&c, 1, why)); /* the controls */
    w.blind = false;
    assert_false(completions_are(&c, 2, why));
    assert_int_equal(count_kind(&c, "campaign.open"), 1);
    assert_int_equal(count_kind(&c, "campaign.close"), 1);
    w.n_told = 0;
    follow_anew();
    follow();
    assert_int_equal(w.part_len, 0);
    for (size_t i = 0; i < w.n_told; i++) {
        ptrdiff_t at = find_leaf(&c, w.told[i].receipt);
        char name[32] = "", want[32];

        (void)snprintf(want, sizeof(want), "t-%06u", w.told[i].task);
        if (at < 0 || !c.payload[at] ||
            !logcheck_member(c.payload[at], "task", name, sizeof(name)) || strcmp(name, want) != 0)
            fail_msg("%s: its line names receipt %s, of \"%s\"", want, w.told[i].receipt, name);
        assert_true(w.told[i].task >= 1 && w.told[i].task <= TASKS);
        if (line_of[w.told[i].task]++)
            fail_msg("%s has two lines", want);
    }
    assert_int_equal(w.n_told, TASKS);
    logcheck_free(&c);
}

/* --- the campaign --- */

static void world_open(void)
{
    char text[1024], line[64];
    FILE *f;

    w.dir = test_mkdir();
    w.n_told = 0;
    w.results = -1;
    assert_non_null(realpath(w.dir, w.real));
    assert_int_equal(chdir(w.dir), 0);
    f = fopen("t.txt", "we");
    assert_non_null(f);
    for (unsigned i = 1; i <= TASKS; i++) {
        (void)snprintf(line, sizeof(line), "http://127.0.0.1:%u/%u\n", httpd_port(w.server), i);
        (void)fputs(line, f);
    }
    assert_int_equal(fclose(f), 0);
    (void)snprintf(text, sizeof(text),
                   "{\"targets\":\"t.txt\",\"members\":{\"count\":4},\"slots\":3,"
                   "\"limits\":{\"max_requests\":1000},"
                   "\"flow\":{\"steps\":[{\"type\":\"http.get\",\"url\":\"{{url}}\"}]}}");
    test_write_file("c.json", text, strlen(text));
}

static void world_close(void)
{
    follow_anew();
    assert_int_equal(chdir(".."), 0);
    test_rmdir(&w.dir);
}

/* One campaign, struck `blows` times, then let go to its end. */
static void torment(unsigned blows, unsigned *counts)
{
    bool begun = false;
    int code;

    world_open();
    for (unsigned i = 0; i < blows; i++) {
        enum blow b = (enum blow)(1 + rng_below(&w.rng, N_BLOWS - 1));

        code = watch(start(begun ? "resume" : "run", begun ? NULL : "c.json", b), b);
        counts[b]++;
        begun = judge_blow(b);
        if (code == 0 && begun)
            break; /* it was faster than the blow */
    }
    code = watch(start(begun ? "resume" : "run", begun ? NULL : "c.json", BLOW_NONE), BLOW_NONE);
    if (code != 0 && code != 4 && code != 5) /* a task that was lost three times ends dead */
        fail_msg("let go: exit code %d\n%s", code, test_read_file("err.txt", NULL));
    (void)judge_blow(BLOW_NONE);
    judge_end();
    world_close();
}

static void test_torment(void **state maybe_unused)
{
    const char *v = getenv("ROUNDS");
    unsigned rounds = v && *v ? (unsigned)strtoul(v, NULL, 10) : 20, counts[N_BLOWS] = {0};

    w.server = httpd_start(NULL, 0, answer, NULL);
    unsetenv("FLEET_STATE_DIR");
    for (unsigned done = 0; done < rounds; done += BLOWS)
        torment(BLOWS, counts);
    for (unsigned b = 1; b < N_BLOWS; b++)
        print_message("%u x %s\n", counts[b], blow_names[b]);
    httpd_stop(&w.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_torment)};
    const char *given = getenv("SEED");
    uint64_t seed = given && *given ? strtoull(given, NULL, 10) : test_now_ms();

    print_message("SEED=%llu\n", (unsigned long long)seed);
    rng_seed_u64(&w.rng, seed);
    return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
