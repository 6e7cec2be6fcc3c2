/* Logs damaged in many ways, at random places: bits flipped, blocks zeroed, ends cut off, lines
 * taken out, swapped, doubled; in the NDJSON copy, its checkpoint, the database and its write-ahead
 * log. Verification must never crash and never call good what is not what was written; for the copy
 * it must name the record. Opening a damaged log must end with a status, not with a signal.
 *
 * What is true is told by a reader that shares no code with core/record (logcheck.h), and by where
 * the damage was done. ROUNDS=n (10), SEED=n as in test_crash. */
#include "tests/fault/logcheck.h"
#include "tests/fault/victim.h"
#include "tests/support/testing.h"

#include "core/base/attr.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/record/verify.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct rng rng;

static unsigned rounds(void)
{
    const char *v = getenv("ROUNDS");
    unsigned n = v && *v ? (unsigned)strtoul(v, NULL, 10) : 10;

    return n ? n : 1;
}

static size_t below(size_t n)
{
    return (size_t)rng_below(&rng, n);
}

/* --- a log to damage --- */

struct world {
    char *dir, *state, *sink, *pub, *checkpoint, *db, *wal;
    char *anchor;          /* a copy of the newest checkpoint, kept elsewhere */
    struct logcheck whole; /* what was written */
};

/* In a child: 0 or 3 as victim_main says, -1 when it died of a signal. With `kill_ms` it is killed
 * then, so that a write-ahead log is left. */
static int run_victim(const struct world *w, const char *sign, const char *steps, unsigned kill_ms)
{
    char *argv[] = {(char *)(uintptr_t) "victim", w->state, w->sink, (char *)(uintptr_t)sign,
                    (char *)(uintptr_t)steps,     NULL};
    int status, null;
    pid_t pid = fork();

    if (pid == 0) {
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null < 0 || dup2(null, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
            _exit(9);
        _exit(victim_main(5, argv));
    }
    assert_true(pid > 0);
    if (kill_ms) {
        test_sleep_ms(kill_ms);
        (void)kill(pid, SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void keep_anchor(const struct world *w)
{
    struct sqlite3 *db = logcheck_open(w->state);
    char note[2048];

    assert_true(logcheck_text(db, "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1",
                              note, sizeof(note)));
    test_write_file(w->anchor, note, strlen(note));
    logcheck_close(&db);
}

static void world_open(struct world *w, const char *sign, unsigned kill_ms)
{
    w->dir = test_mkdir();
    w->state = file_join(w->dir, "state");
    w->sink = file_join(w->dir, "audit.ndjson");
    w->pub = file_join(w->dir, "audit.pub");
    w->checkpoint = file_join(w->dir, "audit.checkpoint");
    w->db = file_join(w->state, "log.sqlite");
    w->wal = file_join(w->state, "log.sqlite-wal");
    assert_int_equal(run_victim(w, sign, "240", 0), 0);
    if (kill_ms)
        assert_int_equal(run_victim(w, sign, "0", kill_ms), -1);
    if (!logcheck_database(w->state, &w->whole))
        fail_msg("%s", w->whole.why);
    w->anchor = file_join(w->dir, "anchor");
    keep_anchor(w);
    assert_true(w->whole.n > 80);
}

static void world_close(struct world *w)
{
    logcheck_free(&w->whole);
    free(w->state);
    free(w->sink);
    free(w->pub);
    free(w->checkpoint);
    free(w->db);
    free(w->wal);
    free(w->anchor);
    test_rmdir(&w->dir);
}

static struct audit_verdict verify(const struct world *w, const char *path, bool anchored)
{
    const char *const anchors[] = {w->anchor};
    const char *const keys[] = {w->pub};
    const struct audit_verify_opts o = {.path = path,
                                        .keys = keys,
                                        .n_keys = 1,
                                        .anchors = anchors,
                                        .n_anchors = anchored ? 1 : 0,
                                        .threads = 1};
    struct audit_verdict v;
    struct err e = ERR_INIT;
    enum status s = audit_verify(&o, &v, &e);

    if (s != STATUS_OK) { /* cannot be read at all: told, and no verdict */
        assert_true(e.text[0] != '\0');
        memset(&v, 0, sizeof(v));
        v.exit_code = -1;
    }
    return v;
}

/* --- the copy --- */

/* A change of the copy's text; false when it cannot be done here. *at: the record from which on it
 * is no longer what was written. */
typedef bool damage_fn(struct buf *text, size_t *at);

static size_t line_of(const struct buf *text, size_t offset)
{
    size_t n = 0;

    for (size_t i = 0; i < offset; i++)
        n += text->ptr[i] == '\n';
    return n;
}

/* Offset of line `n`, or of the end. */
static size_t start_of(const struct buf *text, size_t n)
{
    size_t i = 0;

    for (; i < text->len && n > 0; i++)
        n -= text->ptr[i] == '\n';
    return i;
}

static bool flip_bit(struct buf *text, size_t *at)
{
    size_t i = below(text->len - 1); /* not the last newline: that is a torn line */

    *at = line_of(text, i);
    text->ptr[i] = (char)(text->ptr[i] ^ (1 << below(8)));
    return true;
}

static bool zero_block(struct buf *text, size_t *at)
{
    size_t i = below(text->len - 1), n = 1 + below(2000);

    *at = line_of(text, i);
    memset(text->ptr + i, 0, n < text->len - i ? n : text->len - i);
    return true;
}

static bool take_line_out(struct buf *text, size_t *at)
{
    size_t n = line_of(text, text->len), from, to;

    *at = below(n - 1); /* the last one is a cut */
    from = start_of(text, *at);
    to = start_of(text, *at + 1);
    memmove(text->ptr + from, text->ptr + to, text->len - to);
    buf_truncate(text, text->len - (to - from));
    return true;
}

static bool double_line(struct buf *text, size_t *at)
{
    size_t n = line_of(text, text->len), from, to;
    struct buf copy = BUF_INIT(BUF_MAX_FILE);

    *at = below(n);
    from = start_of(text, *at);
    to = start_of(text, *at + 1);
    buf_add(&copy, text->ptr, to);
    buf_add(&copy, text->ptr + from, text->len - from);
    buf_deinit(text);
    *text = copy;
    *at += 1; /* the first of the two is right */
    return true;
}

static bool swap_lines(struct buf *text, size_t *at)
{
    size_t n = line_of(text, text->len), a, b, c;
    struct buf copy = BUF_INIT(BUF_MAX_FILE);

    *at = below(n - 1);
    a = start_of(text, *at);
    b = start_of(text, *at + 1);
    c = start_of(text, *at + 2);
    buf_add(&copy, text->ptr, a);
    buf_add(&copy, text->ptr + b, c - b);
    buf_add(&copy, text->ptr + a, b - a);
    buf_add(&copy, text->ptr + c, text->len - c);
    buf_deinit(text);
    *text = copy;
    return true;
}

/* A number in a payload's place changed for another: still good JSON. */
static bool change_digit(struct buf *text, size_t *at)
{
    size_t i = below(text->len - 1);

    while (i < text->len && (text->ptr[i] < '1' || text->ptr[i] > '8'))
        i++;
    if (i == text->len)
        return false;
    *at = line_of(text, i);
    text->ptr[i]++;
    return true;
}

static const struct {
    const char *name;
    damage_fn *fn;
} damages[] = {
    {"a bit flipped", flip_bit},         {"a block zeroed", zero_block},
    {"a line taken out", take_line_out}, {"a line doubled", double_line},
    {"lines swapped", swap_lines},       {"a digit changed", change_digit},
};

static void read_into(const char *path, struct buf *out)
{
    struct err e = ERR_INIT;

    buf_init(out, BUF_MAX_FILE);
    if (file_read(path, out, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
}

/* With signatures the record itself. Without them a damaged "prev" speaks against the record before
 * it, and the last record is covered by the root alone, which speaks of all. */
static bool names(const struct world *w, const char *sign, size_t at, uint64_t bad)
{
    if (bad == at || strcmp(sign, "each") == 0)
        return bad == at;
    return bad + 1 == at || (at + 1 == w->whole.n && bad == 0);
}

static void damage_copy(const char *sign)
{
    struct buf whole, text;
    struct world w;

    world_open(&w, sign, 0);
    read_into(w.sink, &whole);
    assert_int_equal(verify(&w, w.sink, false).exit_code, AUDIT_EXIT_OK); /* the control */
    for (unsigned i = 0; i < rounds() * ARRAY_LEN(damages); i++) {
        struct audit_verdict v;
        size_t at;

        read_into(w.sink, &text);
        if (damages[i % ARRAY_LEN(damages)].fn(&text, &at)) {
            test_write_file(w.sink, text.ptr, text.len);
            v = verify(&w, w.sink, false);
            if (v.exit_code != AUDIT_EXIT_TAMPERED || !v.has_bad || !names(&w, sign, at, v.bad_seq))
                fail_msg("%s: %s at record %zu: exit %d at %llu: %s", sign,
                         damages[i % ARRAY_LEN(damages)].name, at, v.exit_code,
                         (unsigned long long)v.bad_seq, v.reason);
        }
        buf_deinit(&text);
        test_write_file(w.sink, whole.ptr, whole.len);
    }
    buf_deinit(&whole);
    world_close(&w);
}

static void test_copy_signed_each(void **state maybe_unused)
{
    damage_copy("each");
}

static void test_copy_signed_by_checkpoint(void **state maybe_unused)
{
    damage_copy("checkpoint");
}

/* Cut off anywhere: the checkpoint beside it tells that, and from which record on. Without it, a
 * cut within a line is seen, one between lines is not. */
static void test_copy_cut(void **state maybe_unused)
{
    struct buf whole, note;
    struct world w;

    world_open(&w, "each", 0);
    read_into(w.sink, &whole);
    read_into(w.checkpoint, &note);
    for (unsigned i = 0; i < rounds() * 2; i++) {
        size_t len = 1 + below(whole.len - 1);
        size_t lines = line_of(&whole, len) + (whole.ptr[len] == '\n'); /* all but the newline */
        bool torn = whole.ptr[len - 1] != '\n' && whole.ptr[len] != '\n';
        struct audit_verdict v;

        test_write_file(w.sink, whole.ptr, len);
        v = verify(&w, w.sink, false);
        if (v.exit_code != AUDIT_EXIT_TRUNCATED || v.size != lines || v.bad_seq != lines)
            fail_msg("cut after %zu records: exit %d, %llu records, missing from %llu: %s", lines,
                     v.exit_code, (unsigned long long)v.size, (unsigned long long)v.bad_seq,
                     v.reason);
        assert_int_equal(unlink(w.checkpoint), 0);
        v = verify(&w, w.sink, false);
        if (v.exit_code != (torn ? AUDIT_EXIT_TAIL : AUDIT_EXIT_OK) || v.size != lines)
            fail_msg("cut after %zu records, no checkpoint: exit %d, %llu records: %s", lines,
                     v.exit_code, (unsigned long long)v.size, v.reason);
        test_write_file(w.checkpoint, note.ptr, note.len);
    }
    buf_deinit(&whole);
    buf_deinit(&note);
    world_close(&w);
}

/* A checkpoint with a flipped bit is no witness: never "ok". */
static void test_checkpoint_flipped(void **state maybe_unused)
{
    struct buf note;
    struct world w;

    world_open(&w, "checkpoint", 0);
    read_into(w.checkpoint, &note);
    for (unsigned i = 0; i < rounds() * 4; i++) {
        size_t at = below(note.len);
        int bit = 1 << below(8), exit_code;

        note.ptr[at] = (char)(note.ptr[at] ^ bit);
        test_write_file(w.checkpoint, note.ptr, note.len);
        exit_code = verify(&w, w.sink, false).exit_code;
        if (exit_code == AUDIT_EXIT_OK)
            fail_msg("byte %zu of the checkpoint, bit %d: verified", at, bit);
        note.ptr[at] = (char)(note.ptr[at] ^ bit);
    }
    buf_deinit(&note);
    world_close(&w);
}

/* --- the database --- */

static bool is_whole(const struct world *w, const struct logcheck *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->line[i], w->whole.line[i]) != 0)
            return false;
    return true;
}

/* Damages `path` at random; whatever verification, with an anchor kept elsewhere, calls good must
 * be all that was written. Returns how often it was seen. */
static unsigned damage_database(struct world *w, const char *path, unsigned n)
{
    struct buf whole;
    unsigned seen = 0;

    read_into(path, &whole);
    for (unsigned i = 0; i < n; i++) {
        size_t at = below(whole.len), len = i % 3 == 1 ? 1 + below(600) : 1, keep = whole.len;
        struct audit_verdict v;
        struct logcheck c;
        struct buf text;

        read_into(path, &text);
        if (i % 3 == 0)
            text.ptr[at] = (char)(text.ptr[at] ^ (1 << below(8)));
        else if (i % 3 == 1)
            memset(text.ptr + at, 0, len < text.len - at ? len : text.len - at);
        else
            keep = at;
        test_write_file(path, text.ptr, keep);
        v = verify(w, w->db, true);
        seen += v.exit_code != AUDIT_EXIT_OK;
        if (v.exit_code == AUDIT_EXIT_OK || v.exit_code == AUDIT_EXIT_TAIL) {
            (void)logcheck_database(w->state, &c);
            if (c.n != w->whole.n || !is_whole(w, &c) || c.n != v.size)
                fail_msg("%s, byte %zu: verified %llu records, but %zu are there: %s", path, at,
                         (unsigned long long)v.size, c.n, c.why);
            logcheck_free(&c);
        }
        buf_deinit(&text);
        test_write_file(path, whole.ptr, whole.len);
    }
    buf_deinit(&whole);
    return seen;
}

static void test_database(void **state maybe_unused)
{
    unsigned seen;
    struct world w;

    world_open(&w, "each", 0);
    assert_int_equal(verify(&w, w.db, true).exit_code, AUDIT_EXIT_OK);
    seen = damage_database(&w, w.db, rounds() * 3);
    print_message("%u of %u seen; the others hit nothing of the log\n", seen, rounds() * 3);
    assert_true(seen > 0); /* the control: some do hit it; how many is chance */
    assert_int_equal(verify(&w, w.db, true).exit_code, AUDIT_EXIT_OK);
    world_close(&w);
}

static void test_write_ahead_log(void **state maybe_unused)
{
    unsigned seen;
    struct world w;

    world_open(&w, "each", 150);
    if (access(w.wal, F_OK) != 0)
        fail_msg("the killed victim left no write-ahead log");
    seen = damage_database(&w, w.wal, rounds());
    print_message("%u of %u seen\n", seen, rounds());
    if (seen == 0) { /* the control: so all of it is in the database by now, and nobody misses it */
        test_write_file(w.wal, "", 0);
        assert_int_equal(verify(&w, w.db, true).exit_code, AUDIT_EXIT_OK);
    }
    world_close(&w);
}

/* --- opened, damaged --- */

static void damage_file(const char *path)
{
    struct buf text;

    read_into(path, &text);
    if (text.len > 0) {
        size_t at = below(text.len), len = 1 + below(64);

        for (size_t i = at; i < text.len && i < at + len; i++)
            text.ptr[i] = (char)rng_below(&rng, 256);
        test_write_file(path, text.ptr, below(4) ? text.len : at);
    }
    buf_deinit(&text);
}

/* Whatever is damaged, the log opens and goes on, or is refused: no signal, no endless wait. */
static void test_opened(void **state maybe_unused)
{
    unsigned went_on = 0, n = (rounds() + 1) / 2;

    for (unsigned i = 0; i < n; i++) {
        struct world w;
        const char *paths[5];
        int exit_code;

        world_open(&w, i % 2 ? "each" : "checkpoint", 0);
        paths[0] = w.db;
        paths[1] = w.sink;
        paths[2] = w.checkpoint;
        paths[3] = w.pub;
        paths[4] = w.db;
        damage_file(paths[i % 5]);
        exit_code = run_victim(&w, "each", "30", 0);
        if (exit_code != 0 && exit_code != 3)
            fail_msg("round %u, %s damaged: exit %d", i, paths[i % 5], exit_code);
        went_on += exit_code == 0;
        world_close(&w);
    }
    print_message("%u of %u went on\n", went_on, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_signed_each), cmocka_unit_test(test_copy_signed_by_checkpoint),
        cmocka_unit_test(test_copy_cut),         cmocka_unit_test(test_checkpoint_flipped),
        cmocka_unit_test(test_database),         cmocka_unit_test(test_write_ahead_log),
        cmocka_unit_test(test_opened),
    };
    const char *given = getenv("SEED");
    uint64_t seed = given && *given ? strtoull(given, NULL, 10) : test_now_ms();

    print_message("SEED=%llu\n", (unsigned long long)seed);
    rng_seed_u64(&rng, seed);
    log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
