/* Batches that are taken at once, and the same followed record by record, come to the same verdict:
 * the same exit code, first bad record, sentence and counts, whatever was done to the log. The log
 * is long enough for several batches, with receipts opened and closed in between, and is damaged in
 * ways that a seeded generator picks. */
#include "tests/support/testing.h"

#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/record/audit.h"
#include "core/record/verify.h"

#include <sqlite3.h>
#include <stdio.h>

enum { CAMPAIGNS = 2, LINE_MAX_BYTES = 4096, LOG_MAX = 8 * 1024 * 1024 };

static struct {
    char *dir, *db, *copy;
    struct loop *loop;
    struct audit *audit;
    size_t answers;
    unsigned char leaf[AUDIT_LEAF];
    bool closed;
    struct buf text; /* the copy as it was written */
    struct rng rng;
} f;

static int set_up(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    memset(&f, 0, sizeof(f));
    f.dir = test_mkdir();
    f.db = file_join(f.dir, "log.sqlite");
    f.copy = file_join(f.dir, "audit.ndjson");
    buf_init(&f.text, LOG_MAX);
    rng_seed_u64(&f.rng, 7);
    assert_int_equal(loop_create(&f.loop, NULL, &e), STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loop_destroy(&f.loop);
    test_rmdir(&f.dir);
    free(f.db);
    free(f.copy);
    buf_deinit(&f.text);
    return 0;
}

/* --- a log --- */

static void on_answer(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                      const struct err *e)
{
    (void)arg;
    (void)seq;
    (void)e;
    assert_int_equal(s, STATUS_OK);
    f.answers++;
    memcpy(f.leaf, leaf, AUDIT_LEAF);
}

static void append(const char *kind, const unsigned char *parent, const unsigned char *closes,
                   const char *payload)
{
    const struct receipt r = {.kind = kind,
                              .parent = parent,
                              .closes = closes,
                              .payload = payload ? str_from(payload) : STR_NONE};

    audit_append(f.audit, &r, on_answer, NULL);
}

static void await(size_t answers)
{
    while (f.answers < answers)
        loop_run_once(f.loop, 1000);
}

static void on_closed(void *arg)
{
    (void)arg;
    f.closed = true;
}

/* `n` children of each of several campaigns. Written in two goes, so that there are checkpoints in
 * the middle of batches. */
static void make_log(enum audit_sign sign, size_t n)
{
    const struct audit_opts opts = {.sign = sign, .sink = f.copy};
    unsigned char open[AUDIT_LEAF];
    struct err e = ERR_INIT;
    size_t sent = 0;

    if (audit_open(f.loop, f.dir, &opts, &f.audit, &e) != STATUS_OK)
        fail_msg("open: %s", err_text(&e));
    for (int c = 0; c < CAMPAIGNS; c++) {
        append("campaign.open", NULL, NULL, NULL);
        await(++sent);
        memcpy(open, f.leaf, AUDIT_LEAF);
        for (size_t i = 0; i < n; i++, sent++) {
            append("op", i % 97 ? open : NULL, NULL, i % 3 ? "{\"n\":1}" : NULL);
            if (i == n / 2)
                await(sent + 1);
        }
        append("campaign.close", NULL, open, "{}");
        await(++sent);
    }
    audit_close(f.audit, on_closed, NULL);
    while (!f.closed)
        loop_run_once(f.loop, 1000);
    if (file_read(f.copy, &f.text, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
}

/* --- verdicts --- */

static int verdict(const char *path, bool by_record, struct buf *out)
{
    const struct audit_verify_opts opts = {.path = path, .threads = 2, .by_record = by_record};
    struct audit_verdict v;
    struct err e = ERR_INIT;

    if (audit_verify(&opts, &v, &e) != STATUS_OK)
        fail_msg("verify: %s", err_text(&e));
    audit_verdict_print(&v, true, out);
    return v.exit_code;
}

static int same_verdict(const char *path, const char *what)
{
    struct buf at_once = BUF_INIT(BUF_MAX_LINE), by_record = BUF_INIT(BUF_MAX_LINE);
    int code = verdict(path, false, &at_once);

    assert_int_equal(verdict(path, true, &by_record), code);
    if (!str_eq(buf_str(&at_once), buf_str(&by_record)))
        fail_msg("%s:\n%s%s", what, at_once.ptr, by_record.ptr);
    buf_deinit(&at_once);
    buf_deinit(&by_record);
    return code;
}

/* --- damage --- */

static size_t any(size_t below)
{
    return (size_t)rng_below(&f.rng, below);
}

/* Where the line at some byte begins, and its bytes with the newline. */
static struct str any_line(const struct buf *text)
{
    size_t at = any(text->len - 1), end = at;

    while (at > 0 && text->ptr[at - 1] != '\n')
        at--;
    while (text->ptr[end] != '\n')
        end++;
    return str_n(text->ptr + at, end + 1 - at);
}

static void flip(const struct buf *text, struct buf *out)
{
    buf_addstr(out, buf_str(text));
    out->ptr[any(out->len)] ^= (char)(1 << any(8));
}

static void drop(const struct buf *text, struct buf *out)
{
    struct str l = any_line(text);
    size_t at = (size_t)(l.ptr - text->ptr);

    buf_add(out, text->ptr, at);
    buf_add(out, l.ptr + l.len, text->len - at - l.len);
}

static void repeat(const struct buf *text, struct buf *out)
{
    struct str l = any_line(text);
    size_t at = (size_t)(l.ptr - text->ptr);

    buf_add(out, text->ptr, at + l.len);
    buf_add(out, l.ptr, text->len - at);
}

static void move(const struct buf *text, struct buf *out)
{
    struct str l = any_line(text), to = any_line(text);
    size_t from = (size_t)(l.ptr - text->ptr), at = (size_t)(to.ptr - text->ptr);

    if (at < from) {
        buf_add(out, text->ptr, at);
        buf_addstr(out, l);
        buf_add(out, text->ptr + at, from - at);
        buf_add(out, l.ptr + l.len, text->len - from - l.len);
    } else {
        drop(text, out);
    }
}

static void cut(const struct buf *text, struct buf *out)
{
    buf_add(out, text->ptr, any(text->len));
}

static void zero(const struct buf *text, struct buf *out)
{
    size_t at = any(text->len), n = any(LINE_MAX_BYTES);

    buf_addstr(out, buf_str(text));
    memset(out->ptr + at, 0, n < out->len - at ? n : out->len - at);
}

static void join(const struct buf *text, struct buf *out)
{
    struct str l = any_line(text);

    buf_addstr(out, buf_str(text));
    out->ptr[(size_t)(l.ptr - text->ptr) + l.len - 1] = ' ';
}

static const struct {
    const char *name;
    void (*fn)(const struct buf *text, struct buf *out);
} damages[] = {
    {"a bit", flip}, {"a line less", drop}, {"a line twice", repeat}, {"a line elsewhere", move},
    {"cut", cut},    {"zeros", zero},       {"lines joined", join},
};

static void damage_copy(size_t rounds)
{
    assert_int_equal(same_verdict(f.copy, "as it was"), AUDIT_EXIT_OK);
    for (size_t i = 0; i < rounds; i++) {
        struct buf out = BUF_INIT(LOG_MAX);
        const char *name = damages[i % ARRAY_LEN(damages)].name;

        damages[i % ARRAY_LEN(damages)].fn(&f.text, &out);
        test_write_file(f.copy, out.ptr ? out.ptr : "", out.len);
        (void)same_verdict(f.copy, name);
        buf_deinit(&out);
    }
}

/* --- cases --- */

static void test_copy(void **state)
{
    (void)state;
    make_log(AUDIT_SIGN_CHECKPOINT, 600);
    damage_copy(21);
}

static void test_copy_signed(void **state)
{
    (void)state;
    make_log(AUDIT_SIGN_EACH, 300);
    damage_copy(4);
}

static void test_database(void **state)
{
    static const char *const changes[] = {
        "UPDATE audit_record SET payload = X'7b7d20' WHERE seq = 1150",
        "UPDATE audit_record SET payload = NULL WHERE seq > 700", /* redaction: nothing is wrong */
        "UPDATE audit_checkpoint SET size = size - 1 WHERE size = (SELECT max(size) FROM "
        "audit_checkpoint)",
        "UPDATE audit_record SET line = replace(line, '\"op\"', '\"oq\"') WHERE seq = 1100",
        "UPDATE audit_record SET seq = 5000 WHERE seq = 1050",
        "DELETE FROM audit_record WHERE seq = 950",
        "DELETE FROM audit_checkpoint",
    };
    sqlite3 *db = NULL;

    (void)state;
    make_log(AUDIT_SIGN_CHECKPOINT, 600);
    assert_int_equal(same_verdict(f.db, "as it was"), AUDIT_EXIT_OK);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        assert_int_equal(sqlite3_open(f.db, &db), SQLITE_OK);
        if (sqlite3_exec(db, changes[i], NULL, NULL, NULL) != SQLITE_OK)
            fail_msg("%s: %s", changes[i], sqlite3_errmsg(db));
        (void)sqlite3_close(db);
        (void)same_verdict(f.db, changes[i]);
    }
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {CASE(test_copy), CASE(test_copy_signed),
                                       CASE(test_database)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
