/* An engine under random operations, killed at random moments, against a simple model: what it
 * acknowledged. Each life submits, cancels, pauses, scales and is killed; the last one is let run
 * to its end. What must hold then, read from the log alone:
 *
 *   a batch that was acknowledged is there, under its key, and over; a key is that of one batch
 *   each of its tasks has exactly one completion; what was told of it is what is there, receipt
 *   included, in whichever life it was told, and it was told once a life at most
 *   a batch whose end was told stays as it was told; a cancelled one does not come back to life
 *   epochs grow from life to life; the chain verifies; each batch has one opening and one closing
 *   receipt */
#include "tests/support/child.h"
#include "tests/support/engine_victim.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/map.h"
#include "core/base/rng.h"
#include "core/record/verify.h"
#include "tests/support/engines.h"

enum { LIVES = 10, LAST_BATCHES = 4, DEADLINE_MS = 20000 };

struct told_batch {
    char id[BATCH_ID_MAX], key[64], state[16]; /* state "": not over */
    unsigned total;
};

static struct {
    char *dir, *db;
    struct map *batches; /* id -> struct told_batch */
    struct map *keys;    /* key -> struct told_batch, borrowed */
    struct map *tasks;   /* "id index" -> "state leaf" */
    unsigned long epoch;
    unsigned n_tasks;
    struct rng rng;
} m;

/* --- what was told --- */

static void take_batch(const char *id, unsigned total, const char *key)
{
    struct told_batch *b = map_find(m.batches, str_from(id));

    if (!b) {
        b = calloc(1, sizeof(*b));
        assert_non_null(b);
        snprintf(b->id, sizeof(b->id), "%s", id);
        snprintf(b->key, sizeof(b->key), "%.63s", key);
        b->total = total;
        map_put(m.batches, str_from(id), b);
        if (map_put(m.keys, str_from(key), b))
            fail_msg("the key %s was told of two batches", key);
    }
    assert_string_equal(b->key, key);
    assert_int_equal(b->total, total);
}

static void take_task(const char *id, unsigned index, const char *state, const char *leaf)
{
    char key[64], value[128], *before;

    snprintf(key, sizeof(key), "%s %u", id, index);
    snprintf(value, sizeof(value), "%.15s %.64s", state, leaf);
    before = map_put(m.tasks, str_from(key), strdup(value));
    if (before)
        fail_msg("%s was told twice: %s, %s", key, before, value);
    m.n_tasks++;
}

static void take_end(const char *id, const char *state)
{
    struct told_batch *b = map_find(m.batches, str_from(id));

    if (!b)
        return; /* its acknowledgement was cut off with the life before */
    if (b->state[0])
        fail_msg("%s was over twice: %s, %s", id, b->state, state);
    snprintf(b->state, sizeof(b->state), "%.15s", state);
}

static void take_line(char *line)
{
    char id[BATCH_ID_MAX], a[72], b[72];
    unsigned long n;
    unsigned u;

    if (sscanf(line, "E %lu", &n) == 1) {
        assert_true(n > m.epoch);
        m.epoch = n;
    } else if (sscanf(line, "B %23s %u %63s", id, &u, a) == 3) {
        take_batch(id, u, a);
    } else if (sscanf(line, "T %23s %u %15s %64s", id, &u, a, b) == 4) {
        take_task(id, u, a, b);
    } else if (sscanf(line, "O %23s %15s", id, a) == 2) {
        take_end(id, a);
    } else if (line[0] != 'C') {
        fail_msg("the victim said: %s", line);
    }
}

/* A torn last line was not told. */
static void take_all(int fd)
{
    static char text[1 << 20];
    size_t len = 0;
    ssize_t n;
    char *line = text, *end;

    while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    for (; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        take_line(line);
    }
}

/* --- lives --- */

/* Killed after `ms`; 0: let run to its end, which must be well. */
static void live(unsigned life, unsigned ms)
{
    char prefix[16];
    struct victim_opts o = {.state_dir = m.dir, .seed = rng_u64(&m.rng), .key_prefix = prefix};
    pid_t pid;
    int fds[2], code;

    snprintf(prefix, sizeof(prefix), "k%u-", life);
    assert_int_equal(pipe(fds), 0);
    o.out = fds[1];
    o.batches = ms ? 0 : LAST_BATCHES;
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        _exit(engine_victim(&o));
    }
    close(fds[1]);
    if (ms) {
        test_sleep_ms(ms);
        kill(pid, SIGKILL);
    }
    take_all(fds[0]); /* until its end of the pipe is closed */
    close(fds[0]);
    code = child_wait(pid, DEADLINE_MS);
    if (!ms && code != 0)
        fail_msg("the last life ended with %d", code);
}

/* --- what is there --- */

static sqlite3 *db;

static int64_t query(const char *fmt, ...) printf_like(1, 2);
static int64_t query(const char *fmt, ...)
{
    sqlite3_stmt *st = NULL;
    char sql[512];
    int64_t v;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sql, sizeof(sql), fmt, ap);
    va_end(ap);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    v = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
    sqlite3_finalize(st);
    return v;
}

static void check_batches(void)
{
    struct told_batch *b;
    size_t it = 0;

    while ((b = map_next(m.batches, &it, NULL))) {
        unsigned n = (unsigned)strtoul(b->id + 2, NULL, 10);
        int64_t state = query("SELECT state FROM batch WHERE n = %u AND key = '%s'", n, b->key);

        if (state < BATCH_COMPLETED)
            fail_msg("%s (%s) was acknowledged; its state is %lld", b->id, b->key,
                     (long long)state);
        if (b->state[0])
            assert_string_equal(batch_state_name((enum batch_state)state), b->state);
    }
}

static void check_tasks(void)
{
    struct str key;
    char *value;
    size_t it = 0;

    while ((value = map_next(m.tasks, &it, &key))) {
        unsigned n = 0, index = 0, state = 0;
        char name[16], leaf[72];

        assert_int_equal(sscanf(key.ptr, "b-%u %u", &n, &index), 2);
        assert_int_equal(sscanf(value, "%15s %64s", name, leaf), 2);
        while (strcmp(task_state_name((enum task_state)state), name) != 0)
            assert_true(++state < TASK_STATE_COUNT);
        if (query("SELECT count(*) FROM task_done WHERE id = (%u << 32) + %u AND state = %u AND "
                  "lower(hex(leaf)) = '%s'",
                  n, index, state, leaf) != 1)
            fail_msg("%.*s was told as %s, and is not there so", STR_ARG(key), value);
    }
}

static void check_log(void)
{
    const struct audit_verify_opts opts = {.path = m.db};
    struct audit_verdict v = {0};
    struct err e = ERR_INIT;
    int64_t n;

    assert_int_equal(sqlite3_open_v2(m.db, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    n = query("SELECT count(*) FROM batch");
    assert_int_equal(query("SELECT count(*) FROM batch WHERE state < %d", BATCH_COMPLETED), 0);
    assert_int_equal(query("SELECT sum(total) FROM batch"),
                     query("SELECT count(*) FROM task_done"));
    assert_int_equal(query("SELECT count(*) FROM task_done GROUP BY id >> 32 HAVING count(*) <> "
                           "(SELECT total FROM batch WHERE n = id >> 32)"),
                     -1); /* no row */
    for (int i = 0; i < 2; i++)
        assert_int_equal(query("SELECT count(*) FROM audit_record WHERE CAST(line AS TEXT) LIKE "
                               "'%%\"kind\":\"campaign.%s\"%%'",
                               i ? "close" : "open"),
                         n);
    assert_int_equal(query("SELECT count(*) FROM audit_record WHERE CAST(line AS TEXT) LIKE "
                           "'%%\"kind\":\"task\"%%'"),
                     query("SELECT count(*) FROM task_done"));
    assert_int_equal(query("SELECT count(*) FROM task_log"), 0);
    assert_int_equal(query("SELECT count(*) FROM batch_file"), 0);
    check_batches();
    check_tasks();
    sqlite3_close(db);
    assert_int_equal(audit_verify(&opts, &v, &e), STATUS_OK);
    if (v.exit_code != 0)
        fail_msg("the chain: %s", v.reason);
}

static void test_killed_engines(void **state)
{
    const char *seed = getenv("SEED");
    uint64_t s = seed ? strtoull(seed, NULL, 10) : test_now_ms();

    (void)state;
    printf("# SEED=%llu\n", (unsigned long long)s);
    fflush(stdout);
    rng_seed_u64(&m.rng, s);
    m.dir = test_mkdir();
    m.db = file_join(m.dir, "log.sqlite");
    m.batches = map_create();
    m.keys = map_create();
    m.tasks = map_create();
    for (unsigned i = 0; i < LIVES; i++)
        live(i, 30 + (unsigned)rng_below(&m.rng, 300));
    live(LIVES, 0);
    assert_true(map_len(m.batches) >= LAST_BATCHES);
    assert_true(m.n_tasks > 0);
    check_log();
    printf("# %u lives: %zu batches and %u tasks were told\n", LIVES + 1, map_len(m.batches),
           m.n_tasks);
    map_destroy(&m.keys, NULL);
    map_destroy(&m.batches, free);
    map_destroy(&m.tasks, free);
    free(m.db);
    test_rmdir(&m.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed_engines)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
