/* Rates of the audit log: receipts appended durably, in both modes, with a window of receipts under
 * way; then the log is verified. Beside them what bounds them, measured in the same run: SQLite
 * alone, inserting rows of the same size in the same groups; libsodium's signatures, made by one
 * thread and checked by all processors. Medians of ROUNDS, and the time of the processor that a
 * receipt costs: on the loop's thread, and on all others together. Arguments: receipts in
 * checkpoint mode (default 500,000) and signed each (default 50,000), directory. */
#include "core/base/file.h"
#include "core/record/audit.h"
#include "core/record/logdb.h"
#include "core/record/verify.h"
#include "tests/bench/measure.h"

#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WINDOW = 16384, ROUNDS = 3 };

struct run {
    struct loop *loop;
    struct audit *audit;
    uint64_t want, sent, done, failed;
    bool closed;
};

static void send_more(struct run *r);

static void on_appended(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                        const struct err *e)
{
    struct run *r = arg;

    (void)leaf;
    (void)seq;
    r->done++;
    if (s != STATUS_OK && r->failed++ == 0)
        (void)fprintf(stderr, "append: %s\n", err_text(e));
    send_more(r);
}

static void send_more(struct run *r)
{
    static const unsigned char parent[AUDIT_LEAF] = {1, 2, 3};
    char id[32], member[16];

    while (r->sent < r->want && r->sent - r->done < WINDOW) {
        struct receipt receipt = {
            .kind = "op",
            .id = id,
            .member = member,
            .op = "page.navigate",
            .target = "shop.example.org",
            .proxy = "px-7",
            .outcome = "ok",
            .fence = 1 + r->sent,
            .parent = parent,
            .payload = STR("{\"status\":200,\"url\":\"https://shop.example.org/item/1\"}"),
        };

        (void)snprintf(id, sizeof(id), "op-%012" PRIu64, r->sent);
        (void)snprintf(member, sizeof(member), "%" PRIu64, r->sent % 100);
        audit_append(r->audit, &receipt, on_appended, r);
        r->sent++;
    }
}

static void on_closed(void *arg)
{
    ((struct run *)arg)->closed = true;
}

/* --- the limits --- */

enum { LINE_BYTES = 420, PAYLOAD_BYTES = 52, SIGNATURES = 5000, THREADS_MAX = 64 };

static void sql(sqlite3 *db, const char *text)
{
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
        BUG("%s: %s", text, sqlite3_errmsg(db));
}

/* Rows a second of SQLite alone, in groups of LOGDB_GROUP_MAX, each on the disk. */
static double limit_sqlite(const char *dir, uint64_t n)
{
    cleanup_free char *path = file_join(dir, "bare.sqlite");
    static const char line[LINE_BYTES], payload[PAYLOAD_BYTES];
    struct err e = ERR_INIT;
    sqlite3_stmt *st = NULL;
    sqlite3 *db = NULL;
    double t;

    if (file_mkdirs(dir, 0700, &e) != STATUS_OK || sqlite3_open(path, &db) != SQLITE_OK)
        BUG("%s: cannot be opened", path);
    sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;"
            "CREATE TABLE r (seq INTEGER PRIMARY KEY, line BLOB NOT NULL, payload BLOB)");
    if (sqlite3_prepare_v2(db, "INSERT INTO r VALUES (?, ?, ?)", -1, &st, NULL) != SQLITE_OK)
        BUG("%s", sqlite3_errmsg(db));
    t = wall_s();
    for (uint64_t i = 0; i < n; i++) {
        if (i % LOGDB_GROUP_MAX == 0)
            sql(db, "BEGIN");
        (void)sqlite3_bind_int64(st, 1, (sqlite3_int64)i);
        (void)sqlite3_bind_blob(st, 2, line, sizeof(line), SQLITE_STATIC);
        (void)sqlite3_bind_blob(st, 3, payload, sizeof(payload), SQLITE_STATIC);
        if (sqlite3_step(st) != SQLITE_DONE)
            BUG("%s", sqlite3_errmsg(db));
        (void)sqlite3_reset(st);
        if ((i + 1) % LOGDB_GROUP_MAX == 0 || i + 1 == n)
            sql(db, "COMMIT");
    }
    t = wall_s() - t;
    (void)sqlite3_finalize(st);
    (void)sqlite3_close(db);
    return (double)n / t;
}

static struct {
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
    unsigned char text[LINE_BYTES], sig[crypto_sign_BYTES];
} sodium;

static double limit_sign(void)
{
    double t = wall_s();

    (void)crypto_sign_keypair(sodium.public_key, sodium.secret);
    for (unsigned i = 0; i < SIGNATURES; i++)
        (void)crypto_sign_detached(sodium.sig, NULL, sodium.text, sizeof(sodium.text),
                                   sodium.secret);
    return SIGNATURES / (wall_s() - t);
}

static void *check_signatures(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < SIGNATURES; i++) {
        if (crypto_sign_verify_detached(sodium.sig, sodium.text, sizeof(sodium.text),
                                        sodium.public_key) != 0)
            BUG("libsodium refuses its own signature");
    }
    return NULL;
}

static double limit_verify(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t thread[THREADS_MAX];
    double t = wall_s();

    n = n < 1 ? 1 : n > THREADS_MAX ? THREADS_MAX : n;
    for (long i = 0; i < n; i++) {
        if (pthread_create(&thread[i], NULL, check_signatures, NULL) != 0)
            BUG("no thread");
    }
    for (long i = 0; i < n; i++)
        (void)pthread_join(thread[i], NULL);
    return SIGNATURES * (double)n / (wall_s() - t);
}

/* --- measuring --- */

struct figures {
    double append, loop_us, other_us; /* receipts a second; processor a receipt */
    double verify_db, verify_copy;    /* receipts a second */
    double limit_append, limit_sign, limit_verify;
};

static double verify(const char *path, uint64_t want)
{
    const struct audit_verify_opts opts = {.path = path};
    struct audit_verdict v;
    struct err e = ERR_INIT;
    double t = wall_s();

    if (audit_verify(&opts, &v, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    t = wall_s() - t;
    if (v.exit_code != AUDIT_EXIT_OK || v.covered != want)
        BUG("%s: %s", path, v.reason);
    return (double)v.size / t;
}

static double thread_cpu_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void append(const char *dir, const char *sink, enum audit_sign sign, uint64_t n,
                   struct figures *f)
{
    struct run r = {.want = n};
    struct audit_opts opts = {.sign = sign, .sink = sink};
    struct err e = ERR_INIT;
    double t, all, mine;

    if (loop_create(&r.loop, NULL, &e) != STATUS_OK ||
        audit_open(r.loop, dir, &opts, &r.audit, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    t = wall_s();
    all = cpu_s();
    mine = thread_cpu_s();
    send_more(&r);
    while (r.done < r.want)
        loop_run_once(r.loop, 1000);
    f->append = (double)n / (wall_s() - t);
    f->loop_us = (thread_cpu_s() - mine) * 1e6 / (double)n;
    f->other_us = (cpu_s() - all) * 1e6 / (double)n - f->loop_us;
    if (r.failed > 0)
        BUG("%" PRIu64 " receipts failed", r.failed);
    audit_close(r.audit, on_closed, &r);
    while (!r.closed)
        loop_run_once(r.loop, 1000);
    loop_destroy(&r.loop);
}

static void one_round(const char *dir, enum audit_sign sign, uint64_t n, bool copy,
                      struct figures *f)
{
    cleanup_free char *sink = file_join(dir, "audit.ndjson");
    cleanup_free char *db = file_join(dir, "log.sqlite");
    struct err e = ERR_INIT;

    if (file_remove_tree(dir, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    append(dir, copy ? sink : NULL, sign, n, f);
    f->limit_append = limit_sqlite(dir, n);
    f->verify_db = verify(db, n);
    f->verify_copy = copy ? verify(sink, n) : 0;
    if (sign == AUDIT_SIGN_EACH) {
        f->limit_sign = limit_sign();
        f->limit_verify = limit_verify();
    }
}

static double middle(const struct figures *f, size_t offset)
{
    double v[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++)
        v[i] = *(const double *)(const void *)((const char *)&f[i] + offset);
    return median(v, ROUNDS);
}
#define MIDDLE(f, name) middle(f, offsetof(struct figures, name))

static void beside(const char *what, double rate, const char *limit, double of)
{
    (void)printf("  %-30s %10.0f /s", what, rate);
    if (of > 0)
        (void)printf("   %-32s %10.0f /s  %5.2f", limit, of, rate / of);
    (void)printf("\n");
}

static void measure(const char *name, const char *dir, enum audit_sign sign, uint64_t n, bool copy)
{
    struct figures f[ROUNDS] = {0};
    bool each = sign == AUDIT_SIGN_EACH;

    for (size_t i = 0; i < ROUNDS; i++)
        one_round(dir, sign, n, copy, &f[i]);
    (void)printf("%s, %" PRIu64
                 " receipts: processor of one %.2f us on the loop, %.2f us beside it\n",
                 name, n, MIDDLE(f, loop_us), MIDDLE(f, other_us));
    beside("append", MIDDLE(f, append), each ? "libsodium, one thread signs" : "SQLite alone",
           each ? MIDDLE(f, limit_sign) : MIDDLE(f, limit_append));
    beside("verify log.sqlite", MIDDLE(f, verify_db), "libsodium verifies, all threads",
           MIDDLE(f, limit_verify));
    if (copy)
        beside("verify the copy", MIDDLE(f, verify_copy), "libsodium verifies, all threads",
               MIDDLE(f, limit_verify));
}

int main(int argc, char **argv)
{
    uint64_t checkpoint = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000;
    uint64_t each = argc > 2 ? strtoull(argv[2], NULL, 10) : 50000;
    const char *dir = argc > 3 ? argv[3] : "build/bench-audit";
    struct err e = ERR_INIT;

    if (sodium_init() < 0)
        BUG("libsodium does not start");
    if (checkpoint > 0) {
        measure("checkpoint mode", dir, AUDIT_SIGN_CHECKPOINT, checkpoint, false);
        measure("checkpoint mode with a copy", dir, AUDIT_SIGN_CHECKPOINT, checkpoint, true);
    }
    if (each > 0)
        measure("signed each, with a copy", dir, AUDIT_SIGN_EACH, each, true);
    if (file_remove_tree(dir, &e) != STATUS_OK)
        (void)fprintf(stderr, "%s\n", err_text(&e));
    return 0;
}
