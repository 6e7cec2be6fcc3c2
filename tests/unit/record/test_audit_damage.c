/* Audit logs damaged in every way we could think of, and verified: lines moved, bytes flipped, the
 * database changed, against anchors, checkpoints and keys of others. */
#include "tests/support/testing.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/record/audit.h"
#include "core/record/keyfile.h"
#include "core/record/record.h"
#include "tests/unit/record/audit_rig.h"

#include <stdio.h>
#include <unistd.h>

/* --- lines --- */

struct lines {
    char *text;
    char *line[64];
    size_t n;
};

static struct lines split(const char *path)
{
    struct lines l = {.text = test_read_file(path, NULL)};
    char *p = l.text, *nl;

    while ((nl = strchr(p, '\n'))) {
        *nl = '\0';
        l.line[l.n++] = p;
        p = nl + 1;
    }
    return l;
}

static void join(const struct lines *l, const char *path, const char *tail)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    for (size_t i = 0; i < l->n; i++)
        if (l->line[i]) {
            buf_adds(&b, l->line[i]);
            buf_addc(&b, '\n');
        }
    buf_adds(&b, tail);
    test_write_file(path, buf_str(&b).ptr, b.len);
    buf_deinit(&b);
}

static void swap(struct lines *l)
{
    char *t = l->line[5];

    l->line[5] = l->line[6];
    l->line[6] = t;
}
static void drop_5(struct lines *l)
{
    l->line[5] = NULL;
}
static void drop_first(struct lines *l)
{
    l->line[0] = NULL;
}
static void drop_last(struct lines *l)
{
    l->n--;
}
static void drop_all(struct lines *l)
{
    l->n = 0;
}
static void twice_5(struct lines *l)
{
    l->line[6] = l->line[5];
}
static void empty_line(struct lines *l)
{
    static char empty[] = "";

    l->line[5] = empty;
}
static void nothing(struct lines *l maybe_unused)
{
}

static void test_lines_moved(void **state)
{
    struct fixture *f = *state;
    char *moved = file_join(f->dir, "moved.ndjson");
    static const struct {
        void (*damage)(struct lines *l);
        const char *tail;
        int each, checkpoint; /* exit codes; without the checkpoint beside it */
        int beside;           /* with it, in either mode */
        uint64_t bad;
    } rows[] = {
        {nothing, "", 0, 3, 0, 0},      {swap, "", 1, 1, 1, 5},
        {drop_5, "", 1, 1, 1, 5},       {drop_first, "", 1, 1, 1, 0},
        {drop_last, "", 0, 3, 2, 9}, /* only an anchor or checkpoint can tell */
        {drop_all, "", 0, 0, 2, 0},     {twice_5, "", 1, 1, 1, 6},
        {empty_line, "", 1, 1, 1, 5},   {nothing, "junk\n", 1, 1, 1, 10},
        {nothing, "junk", 1, 1, 1, 10}, {nothing, "{\"fence\":1", 3, 3, 3, 0},
        {nothing, "\n", 1, 1, 1, 10},   {nothing, "{}\n", 1, 1, 1, 10},
    };

    for (int mode = 0; mode < 2; mode++) {
        char *key = file_join(f->dir, "moved.pub"), *beside = file_join(f->dir, "moved.checkpoint");

        assert_int_equal(file_remove_tree(f->state, &f->e), STATUS_OK);
        make_log(f, mode ? AUDIT_SIGN_CHECKPOINT : AUDIT_SIGN_EACH, 10);
        copy_file(f->pub, key);
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            struct lines l = split(f->sink);
            struct audit_verdict v;

            rows[i].damage(&l);
            join(&l, moved, rows[i].tail);
            (void)unlink(beside);
            v = verify_with(moved, NULL, NULL);
            if (v.exit_code != (mode ? rows[i].checkpoint : rows[i].each))
                fail_msg("mode %d row %zu: exit %d: %s", mode, i, v.exit_code, v.reason);
            if (v.exit_code == 1 && v.bad_seq != rows[i].bad)
                fail_msg("mode %d row %zu: bad %d: %s", mode, i, (int)v.bad_seq, v.reason);
            copy_file(f->checkpoint, beside);
            v = verify_with(moved, NULL, NULL);
            if (v.exit_code != rows[i].beside)
                fail_msg("mode %d row %zu: exit %d: %s", mode, i, v.exit_code, v.reason);
            if (v.exit_code != 0 && v.exit_code != 3 && v.bad_seq != rows[i].bad)
                fail_msg("mode %d row %zu: bad %d: %s", mode, i, (int)v.bad_seq, v.reason);
            free(l.text);
        }
        free(key);
        free(beside);
    }
    free(moved);
}

/* The bytes of the copy are flipped in turn: never 0, and in a log that is signed each the record
 * named is the one that was changed. */
static void flip_bytes(struct fixture *f, enum audit_sign sign, size_t records)
{
    char *moved = file_join(f->dir, "moved.ndjson"), *key = file_join(f->dir, "moved.pub");
    char *beside = file_join(f->dir, "moved.checkpoint");
    uint64_t seq = 0;
    size_t n;
    char *text;

    make_log(f, sign, records);
    copy_file(f->pub, key);
    copy_file(f->checkpoint, beside);
    text = test_read_file(f->sink, &n);
    for (size_t i = 0; i < n; i++) {
        struct audit_verdict v;
        char was = text[i];

        if (i % 4 != 0 && strchr("0123456789abcdef", was)) /* of the many digits some do */
            continue;

        text[i] = (char)(was ^ (1 << (i % 7)));
        test_write_file(moved, text, n);
        v = verify_with(moved, NULL, NULL);
        text[i] = was;
        if (i + 1 == n) /* the last newline: a torn line, or bytes behind a record */
            assert_true(v.exit_code == 1 || v.exit_code == 2 || v.exit_code == 3);
        else if (v.exit_code != 1)
            fail_msg("byte %zu (%c) of record %d: exit %d: %s", i, was, (int)seq, v.exit_code,
                     v.reason);
        else if (was != '\n' && sign == AUDIT_SIGN_EACH && v.bad_seq != seq)
            fail_msg("byte %zu (%c): bad %d, expected %d: %s", i, was, (int)v.bad_seq, (int)seq,
                     v.reason);
        if (was == '\n')
            seq++;
    }
    free(text);
    free(moved);
    free(key);
    free(beside);
}

static void test_bytes_flipped_each(void **state)
{
    flip_bytes(*state, AUDIT_SIGN_EACH, 3);
}

static void test_bytes_flipped_checkpoint(void **state)
{
    flip_bytes(*state, AUDIT_SIGN_CHECKPOINT, 4);
}

static void test_database_damaged(void **state)
{
    struct fixture *f = *state;
    char *save = file_join(f->dir, "save");
    static const struct {
        const char *sql;
        int want;
        uint64_t bad;
    } rows[] = {
        {"SELECT 1", 0, 0},
        {"DELETE FROM audit_record WHERE seq = 4", 1, 4},
        {"DELETE FROM audit_record WHERE seq = 9", 2, 9},
        {"DELETE FROM audit_record WHERE seq >= 5", 2, 5},
        {"DELETE FROM audit_record WHERE seq >= 9; DELETE FROM audit_checkpoint", 3, 0},
        {"DELETE FROM audit_checkpoint", 3, 0},
        {"UPDATE audit_record SET line = CAST(replace(line, 'op.4', 'op.3') AS BLOB) WHERE seq = 4",
         1, 4},
        {"UPDATE audit_record SET line = NULL WHERE 0; UPDATE audit_record SET line = x'' WHERE "
         "seq = 4",
         1, 4},
        {"UPDATE audit_record SET payload = '{\"a\":2}' WHERE seq = 4", 1, 4},
        {"UPDATE audit_record SET payload = NULL WHERE seq = 4", 0, 0}, /* redacted */
        {"UPDATE audit_record SET payload = zeroblob(2000000) WHERE seq = 4", 1, 4},
        {"UPDATE audit_record SET seq = 100 WHERE seq = 9", 1, 9},
        {"UPDATE audit_checkpoint SET note = substr(note, 1, 40) || 'zzzz' || substr(note, 45)", 1,
         0},
        {"UPDATE audit_checkpoint SET note = "
         "substr(note, 1, length(note) - 12) || 'zzzz' || substr(note, length(note) - 7)",
         1, 0},
        {"UPDATE audit_checkpoint SET size = size - 1", 1, 0},
        {"INSERT INTO audit_record SELECT 10, line, payload FROM audit_record WHERE seq = 9", 1,
         10},
    };

    make_log(f, AUDIT_SIGN_CHECKPOINT, 10);
    copy_file(f->db, save);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct audit_verdict v;

        copy_file(save, f->db);
        sql(f->db, rows[i].sql);
        v = verify_with(f->db, NULL, NULL);
        if (v.exit_code != rows[i].want || (rows[i].bad && v.bad_seq != rows[i].bad))
            fail_msg("%s: exit %d, bad %d: %s", rows[i].sql, v.exit_code, (int)v.bad_seq, v.reason);
    }
    free(save);
}

static void test_anchors_and_keys(void **state)
{
    struct fixture *f = *state;
    char *anchor = file_join(f->dir, "anchor"), *other = file_join(f->dir, "other.pub");
    char *save = file_join(f->dir, "save"), *lone = file_join(f->dir, "lone.ndjson");
    unsigned char pub[SIGN_PUBLIC];
    struct buf pem = BUF_INIT(1024);
    struct sign_key *k = sign_key_generate();
    struct audit_verify_opts o = {.path = f->db};
    struct audit_verdict v;

    sign_key_public(k, pub);
    public_key_pem(pub, &pem);
    sign_key_destroy(&k);
    test_write_file(other, pem.ptr, pem.len);
    buf_deinit(&pem);

    make_log(f, AUDIT_SIGN_EACH, 5);
    copy_file(f->db, save);
    open_log(f, AUDIT_SIGN_EACH);
    append_many(f, 5);
    test_write_file(anchor, audit_checkpoint(f->audit).ptr, audit_checkpoint(f->audit).len);
    close_log(f);
    v = verify_with(f->db, NULL, anchor);
    assert_verdict(v, 0);
    assert_int_equal(v.anchors, 1);
    make_log(f, AUDIT_SIGN_EACH, 2);
    assert_verdict(verify_with(f->db, NULL, anchor), 0);
    assert_verdict(verify_with(f->sink, NULL, anchor), 0);

    /* rolled back; and rolled back and gone on, by somebody with the key */
    copy_file(save, f->db);
    v = verify_with(f->db, NULL, anchor);
    assert_verdict(v, 2);
    assert_int_equal(v.bad_seq, 5);
    assert_verdict(verify_with(f->db, NULL, NULL), 0);
    assert_int_equal(unlink(f->sink), 0);
    assert_int_equal(unlink(f->checkpoint), 0);
    make_log(f, AUDIT_SIGN_EACH, 20);
    assert_verdict(verify_with(f->db, NULL, NULL), 0);
    assert_verdict(verify_with(f->db, NULL, anchor), 2);

    /* keys: another, none */
    assert_verdict(verify_with(f->db, other, NULL), 4);
    assert_verdict(verify_with(f->sink, other, NULL), 4);
    copy_file(f->sink, lone);
    v = verify_with(lone, NULL, NULL);
    assert_verdict(v, 4);
    assert_int_equal(v.size, 25);
    assert_verdict(verify_with(lone, f->pub, NULL), 0);

    /* things that are no anchor, no key, no log */
    o.anchors = (const char *const[]){f->sink};
    o.n_anchors = 1;
    assert_int_not_equal(audit_verify(&o, &v, &f->e), STATUS_OK);
    o.n_anchors = 0;
    o.keys = (const char *const[]){f->sink};
    o.n_keys = 1;
    assert_int_equal(audit_verify(&o, &v, &f->e), STATUS_INVALID);
    o.n_keys = 0;
    o.path = "/nonexistent";
    assert_int_equal(audit_verify(&o, &v, &f->e), STATUS_NOT_FOUND);
    o.path = f->dir;
    assert_int_equal(audit_verify(&o, &v, &f->e), STATUS_INVALID);
    free(anchor);
    free(other);
    free(save);
    free(lone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_CASE(test_lines_moved),
        LOG_CASE(test_bytes_flipped_each),
        LOG_CASE(test_bytes_flipped_checkpoint),
        LOG_CASE(test_database_damaged),
        LOG_CASE(test_anchors_and_keys),
    };

    log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
