/* The audit log as its users see it: appended to, opened again, copied, rotated, proved; and opened
 * when its parts do not fit together. */
#include "tests/support/testing.h"

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/record/keyfile.h"
#include "core/record/logdb.h"
#include "core/record/record.h"
#include "tests/unit/record/audit_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- appending --- */

static void test_append_and_reopen(void **state)
{
    struct fixture *f = *state;
    static const enum audit_sign modes[] = {AUDIT_SIGN_EACH, AUDIT_SIGN_CHECKPOINT};
    char id[32];
    uint64_t n = 0;

    open_log(f, modes[0]);
    assert_int_equal(audit_size(f->audit), 0);
    assert_int_equal(audit_checkpoint(f->audit).len, 0);
    (void)snprintf(id, sizeof(id), "%s", audit_log_id(f->audit));
    close_log(f);
    assert_clean(f, 0);
    for (size_t round = 0; round < 6; round++) {
        open_log(f, modes[round % 2]);
        assert_string_equal(audit_log_id(f->audit), id);
        assert_int_equal(audit_size(f->audit), n);
        append_many(f, 1 + round * 7);
        n += 1 + round * 7;
        assert_false(f->order_broken);
        assert_int_equal(audit_size(f->audit), n);
        assert_int_equal(f->seq, n - 1);
        close_log(f);
        assert_clean(f, n);
    }
    /* the modes were mixed: all are covered all the same */
    assert_int_equal(verify_with(f->sink, f->pub, NULL).signatures, 1 + 15 + 29);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    char big[5000];
    struct receipt r = {.kind = "op", .op = big};
    struct receipt none = {.op = "x"}, fence = {.kind = "op", .fence = RECORD_INT_MAX + 1};
    struct receipt good = {.kind = "op"};

    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    open_log(f, AUDIT_SIGN_EACH);
    assert_int_equal(append(f, &r), STATUS_TOO_LARGE);
    assert_int_equal(append(f, &none), STATUS_INVALID);
    assert_int_equal(append(f, &fence), STATUS_INVALID);
    assert_int_equal(append(f, &good), STATUS_OK);
    assert_int_equal(f->seq, 0);
    audit_flush(f->audit, on_answer, f);
    await(f, 5);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->seq, 1);
    close_log(f);
    assert_clean(f, 1);
}

static void test_second_process(void **state)
{
    struct fixture *f = *state;
    int status;
    pid_t pid;

    open_log(f, AUDIT_SIGN_EACH);
    pid = fork();
    if (pid == 0) {
        struct loop *l;
        struct audit *a;
        struct err e = ERR_INIT;
        char want[32];

        (void)snprintf(want, sizeof(want), "%d", (int)getppid());
        if (loop_create(&l, NULL, &e) != STATUS_OK)
            _exit(1);
        if (audit_open(l, f->state, NULL, &a, &e) != STATUS_BUSY)
            _exit(2);
        _exit(strstr(e.text, want) ? 0 : 3);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close_log(f);
}

/* A campaign with a stage in it: closes count and nest; also when the process was another one at
 * the opening. */
static void close_receipts(struct fixture *f, bool reopen)
{
    unsigned char campaign[AUDIT_LEAF], stage[AUDIT_LEAF];
    struct receipt r = {.kind = "campaign.open", .id = reopen ? "c2" : "c1"};
    uint64_t base;

    assert_int_equal(append(f, &r), STATUS_OK);
    base = f->seq;
    memcpy(campaign, f->leaf, AUDIT_LEAF);
    r = (struct receipt){.kind = "stage.open", .parent = campaign};
    assert_int_equal(append(f, &r), STATUS_OK);
    memcpy(stage, f->leaf, AUDIT_LEAF);
    for (int i = 0; i < 5; i++) {
        r = (struct receipt){.kind = "op", .parent = i % 2 ? campaign : stage};
        assert_int_equal(append(f, &r), STATUS_OK);
    }
    if (reopen) {
        close_log(f);
        open_log(f, AUDIT_SIGN_EACH);
    }
    r = (struct receipt){.kind = "stage.close", .parent = campaign, .closes = stage};
    assert_int_equal(append(f, &r), STATUS_OK);
    r = (struct receipt){.kind = "campaign.close", .closes = campaign};
    assert_int_equal(append(f, &r), STATUS_OK);
    assert_int_equal(f->seq, base + 8);
    assert_int_equal(append(f, &r), STATUS_INVALID); /* closed already */
    assert_non_null(strstr(f->answer.text, "closed"));
    r.closes = (const unsigned char *)"no such receipt no such receipt!";
    assert_int_equal(append(f, &r), STATUS_INVALID);
}

static void assert_children(const char *path, uint64_t seq, uint64_t children)
{
    char *text = test_read_file(path, NULL), *line = text;
    struct record_fault fault;
    struct record r;

    for (uint64_t i = 0; i < seq; i++)
        line = strchr(line, '\n') + 1;
    assert_true(record_decode(str_n(line, (size_t)(strchr(line, '\n') - line)), &r, &fault));
    assert_true(r.has_children && r.has_forest && r.has_of);
    assert_int_equal(r.children, children);
    free(text);
}

static void test_close_receipts(void **state)
{
    struct fixture *f = *state;
    const char *export_path;
    struct audit_verify_opts o = {.campaign = true};
    struct audit_verdict v;
    uint64_t n;
    int fd;

    open_log(f, AUDIT_SIGN_EACH);
    close_receipts(f, false);
    close_receipts(f, true);
    close_log(f);
    assert_clean(f, 18);
    assert_int_equal(verify_with(f->db, NULL, NULL).forests, 4);
    assert_children(f->sink, 7, 3); /* the stage's */
    assert_children(f->sink, 8, 4); /* two ops, the stage's open and close */
    assert_children(f->sink, 17, 4);

    export_path = f->checkpoint; /* any name in the directory */
    fd = open(export_path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(audit_export(f->sink, "c2", fd, &n, &f->e), STATUS_OK);
    assert_int_equal(n, 9);
    assert_int_equal(audit_export(f->sink, "c3", fd, &n, &f->e), STATUS_NOT_FOUND);
    close(fd);
    o.path = export_path;
    o.keys = (const char *const[]){f->pub};
    o.n_keys = 1;
    assert_int_equal(audit_verify(&o, &v, &f->e), STATUS_OK);
    assert_verdict(v, 0);
    assert_int_equal(v.forests, 2);
    assert_int_equal(v.size, 9);
}

/* More records than a group, a batch and a block of checkpoints hold; read from a directory that
 * cannot be written. */
static void test_many(void **state)
{
    struct fixture *f = *state;
    struct audit_verdict v;

    make_log(f, AUDIT_SIGN_CHECKPOINT, 5000);
    assert_clean(f, 5000);
    v = verify_with(f->db, NULL, NULL);
    assert_true(v.checkpoints >= 1 && v.checkpoints <= 6); /* one for each 1,024, thinned out */
    assert_int_equal(v.payloads, 5000);
}

/* Receipts that nobody waits for are written all the same: by themselves after a while, at once
 * with one that is waited for, and when the log is closed; in the order of the appends. */
static void test_lazy(void **state)
{
    struct fixture *f = *state;
    const struct receipt lazy = {.kind = "op", .op = "lazy", .lazy = true}, r = {.kind = "op"};

    open_log(f, AUDIT_SIGN_EACH);
    assert_int_equal(append(f, &lazy), STATUS_OK);
    for (int i = 0; i < 3; i++)
        audit_append(f->audit, &lazy, on_answer, f);
    audit_append(f->audit, &r, on_answer, f);
    await(f, 5);
    for (int i = 0; i < 2 * LOGDB_LAZY_MAX + 1; i++)
        audit_append(f->audit, &lazy, on_answer, f);
    await(f, 2 * LOGDB_LAZY_MAX + 6);
    for (int i = 0; i < 3; i++)
        audit_append(f->audit, &lazy, NULL, NULL);
    close_log(f);
    assert_false(f->order_broken);
    assert_clean(f, 2 * LOGDB_LAZY_MAX + 9);
}

/* --- keys --- */

static void test_rotation(void **state)
{
    struct fixture *f = *state;
    unsigned char first[SIGN_PUBLIC], second[SIGN_PUBLIC];
    char *old = file_join(f->dir, "first.pub");
    char *key = file_join(f->state, "keys/audit.key"),
         *next = file_join(f->state, "keys/audit.key.new");
    struct sign_key *k;
    char *pem, *end;

    open_log(f, AUDIT_SIGN_EACH);
    audit_public_key(f->audit, first);
    append_many(f, 3);
    pem = test_read_file(f->pub, NULL);
    test_write_file(old, pem, strlen(pem));
    free(pem);
    audit_rotate(f->audit, on_answer, f);
    await(f, 4);
    append_many(f, 3);
    audit_public_key(f->audit, second);
    assert_memory_not_equal(first, second, SIGN_PUBLIC);
    close_log(f);
    assert_clean(f, 7);
    assert_int_equal(verify_with(f->db, NULL, NULL).rotations, 1);
    /* the first key alone leads to the second; the second alone vouches for all before it */
    assert_verdict(verify_with(f->sink, old, NULL), 0);
    pem = test_read_file(f->pub, NULL);
    end = strstr(pem, "-----END PUBLIC KEY-----\n") + strlen("-----END PUBLIC KEY-----\n");
    test_write_file(old, end, strlen(end));
    assert_verdict(verify_with(f->sink, old, NULL), 0);
    assert_int_equal(verify_with(f->sink, old, NULL).covered, 7);
    free(pem);

    open_log(f, AUDIT_SIGN_CHECKPOINT); /* a rotation is signed in this mode, too */
    audit_rotate(f->audit, on_answer, f);
    await(f, 8);
    append_many(f, 2);
    close_log(f);
    assert_clean(f, 10);

    /* ended between the commit and the renaming of the key file */
    assert_int_equal(rename(key, next), 0);
    k = sign_key_generate();
    assert_int_equal(sign_key_save(k, key, &f->e), STATUS_OK);
    open_log(f, AUDIT_SIGN_EACH);
    append_many(f, 1);
    close_log(f);
    assert_int_equal(access(next, F_OK), -1);
    assert_clean(f, 11);

    /* another key is refused, and so is none */
    assert_int_equal(sign_key_save(k, key, &f->e), STATUS_OK);
    sign_key_destroy(&k);
    assert_int_equal(try_open(f, AUDIT_SIGN_EACH, NULL), STATUS_AUDIT_INVALID);
    assert_int_equal(unlink(key), 0);
    assert_int_equal(try_open(f, AUDIT_SIGN_EACH, NULL), STATUS_AUDIT_INVALID);
    assert_non_null(strstr(f->e.text, "gone"));
    assert_int_equal(access(key, F_OK), -1);
    free(old);
    free(key);
    free(next);
}

static void test_key_from_environment(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(unsetenv("TEST_AUDIT_KEY"), 0);
    assert_int_equal(try_open(f, AUDIT_SIGN_EACH, "env:TEST_AUDIT_KEY"), STATUS_NOT_FOUND);
    assert_int_equal(setenv("TEST_AUDIT_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", 1),
                     0);
    assert_int_equal(try_open(f, AUDIT_SIGN_EACH, "env:TEST_AUDIT_KEY"), STATUS_OK);
    append_many(f, 2);
    audit_rotate(f->audit, on_answer, f);
    await(f, 3);
    assert_int_equal(f->status, STATUS_UNSUPPORTED);
    close_log(f);
    assert_clean(f, 2);
}

/* --- the copy --- */

static void test_copy_is_rebuilt(void **state)
{
    struct fixture *f = *state;
    char *whole, *again;
    size_t n, cut;
    static const char torn[] = "{\"hlc\":[17";

    make_log(f, AUDIT_SIGN_EACH, 20);
    whole = test_read_file(f->sink, &n);
    for (int round = 0; round < 4; round++) {
        cut = round == 0 ? 0 : round == 1 ? 5 : n / 2;
        if (round == 3)
            assert_int_equal(unlink(f->sink), 0);
        else
            test_write_file(f->sink, whole, cut);
        open_log(f, AUDIT_SIGN_EACH);
        close_log(f);
        again = test_read_file(f->sink, NULL);
        assert_string_equal(again, whole);
        free(again);
    }
    /* whole lines and a torn one of a record that never was committed */
    again = xcalloc(1, n + sizeof(torn));
    memcpy(again, whole, n);
    memcpy(again + n, torn, sizeof(torn) - 1);
    test_write_file(f->sink, again, n + sizeof(torn) - 1);
    free(again);
    make_log(f, AUDIT_SIGN_EACH, 1);
    assert_clean(f, 21);
    free(whole);
}

static void test_copy_of_another_log(void **state)
{
    struct fixture *f = *state;
    char id[32], name[64], *moved, *old;

    make_log(f, AUDIT_SIGN_EACH, 3);
    open_log(f, AUDIT_SIGN_EACH);
    (void)snprintf(id, sizeof(id), "%s", audit_log_id(f->audit));
    close_log(f);
    old = test_read_file(f->sink, NULL);
    assert_int_equal(file_remove_tree(f->state, &f->e), STATUS_OK);
    make_log(f, AUDIT_SIGN_EACH, 2);
    assert_clean(f, 2);
    (void)snprintf(name, sizeof(name), "audit-%s.ndjson", id);
    moved = file_join(f->dir, name);
    assert_verdict(verify_with(moved, NULL, NULL), 0); /* its key and checkpoint moved with it */
    assert_int_equal(verify_with(moved, NULL, NULL).size, 3);
    free(moved);
    free(old);

    /* a file of somebody else's is not touched */
    assert_int_equal(file_remove_tree(f->state, &f->e), STATUS_OK);
    test_write_file(f->sink, "url\nhttps://example.org\n", 24);
    assert_int_equal(try_open(f, AUDIT_SIGN_EACH, NULL), STATUS_INVALID);
    old = test_read_file(f->sink, NULL);
    assert_string_equal(old, "url\nhttps://example.org\n");
    free(old);
}

static void test_copy_cannot_be_written(void **state)
{
    struct fixture *f = *state;

    make_log(f, AUDIT_SIGN_EACH, 5);
    fault_set("audit.sink:0:28"); /* ENOSPC, every time */
    open_log(f, AUDIT_SIGN_EACH);
    append_many(f, 5);
    audit_flush(f->audit, on_answer, f);
    await(f, 11);
    assert_int_equal(f->status, STATUS_NO_SPACE);
    assert_int_equal(f->sink_told, 1);
    assert_int_equal(f->sink_status, STATUS_NO_SPACE);
    append_many(f, 5);
    assert_int_equal(f->sink_told, 1); /* said once */
    assert_verdict(verify_with(f->db, NULL, NULL), 0);
    assert_verdict(verify_with(f->sink, NULL, NULL), 0);
    assert_int_equal(verify_with(f->sink, NULL, NULL).size, 5);
    close_log(f);

    fault_set("audit.sink:1:28"); /* while it is opened; then there is room again */
    open_log(f, AUDIT_SIGN_EACH);
    assert_int_equal(verify_with(f->sink, NULL, NULL).size, 5);
    append_many(f, 1);
    audit_flush(f->audit, on_answer, f); /* tries at once */
    await(f, 18);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->sink_status, STATUS_OK);
    close_log(f);
    fault_set("");
    assert_clean(f, 16);
}

static void test_commit_fails(void **state)
{
    struct fixture *f = *state;
    const struct receipt r = {.kind = "op"};

    make_log(f, AUDIT_SIGN_EACH, 5);
    fault_set("logdb.commit:1:28");
    open_log(f, AUDIT_SIGN_EACH);
    assert_int_equal(append(f, &r), STATUS_NO_SPACE);
    assert_int_equal(append(f, &r), STATUS_NO_SPACE); /* and so it stays */
    audit_flush(f->audit, on_answer, f);
    await(f, 8);
    assert_int_not_equal(f->status, STATUS_OK);
    close_log(f);
    fault_set("");
    assert_clean(f, 5);
    make_log(f, AUDIT_SIGN_EACH, 5);
    assert_clean(f, 10);
}

/* --- opening what does not fit together --- */

static void test_open_checks(void **state)
{
    struct fixture *f = *state;
    char *save = file_join(f->dir, "save");
    static const struct {
        const char *sql;
        enum status want;
    } rows[] = {
        {"DELETE FROM audit_record WHERE seq = 7", STATUS_AUDIT_INVALID},
        {"DELETE FROM audit_record WHERE seq = 6", STATUS_AUDIT_INVALID},
        {"DELETE FROM audit_record", STATUS_AUDIT_INVALID},
        {"DELETE FROM audit_checkpoint", STATUS_AUDIT_INVALID},
        {"UPDATE audit_checkpoint SET range = zeroblob(32)", STATUS_AUDIT_INVALID},
        {"UPDATE audit_checkpoint SET size = 9", STATUS_AUDIT_INVALID},
        {"UPDATE audit_checkpoint SET note = 'x'", STATUS_AUDIT_INVALID},
        {"UPDATE audit_record SET line = 'x' WHERE seq = 7", STATUS_AUDIT_INVALID},
        {"UPDATE audit_record SET line = replace(line, 'op.0', 'op.8') WHERE seq = 7",
         STATUS_AUDIT_INVALID},
        {"UPDATE audit_record SET line = replace(line, 'op.6', 'op.5') WHERE seq = 6",
         STATUS_AUDIT_INVALID},
        {"UPDATE audit_key SET public = zeroblob(32)", STATUS_AUDIT_INVALID},
        {"UPDATE audit_log SET id = 'x'", STATUS_CORRUPT},
        {"UPDATE schema_version SET version = 99 WHERE module = 'audit'", STATUS_UNSUPPORTED},
    };

    make_log(f, AUDIT_SIGN_CHECKPOINT, 7);
    make_log(f, AUDIT_SIGN_CHECKPOINT, 1);
    sql(f->db, "UPDATE audit_record SET line = CAST(line AS BLOB)");
    copy_file(f->db, save);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        copy_file(save, f->db);
        sql(f->db, rows[i].sql);
        if (try_open(f, AUDIT_SIGN_EACH, NULL) != rows[i].want)
            fail_msg("%s: %s %s", rows[i].sql, status_name(f->e.status), err_text(&f->e));
        assert_true(strlen(f->e.text) > 20);
    }
    /* a database that was rolled back: the copy knows more */
    copy_file(save, f->db);
    make_log(f, AUDIT_SIGN_CHECKPOINT, 3);
    copy_file(save, f->db);
    assert_int_equal(try_open(f, AUDIT_SIGN_EACH, NULL), STATUS_AUDIT_INVALID);
    assert_non_null(strstr(f->e.text, "rolled back"));
    test_write_file(f->db, "this is no database, that much is certain", 41);
    assert_int_equal(try_open(f, AUDIT_SIGN_EACH, NULL), STATUS_CORRUPT);
    free(save);
}

/* --- proofs --- */

static void test_proofs(void **state)
{
    struct fixture *f = *state;
    unsigned char keys[1][SIGN_PUBLIC];
    struct buf proof = BUF_INIT(BUF_MAX_LINE), line = BUF_INIT(BUF_MAX_LINE);
    struct audit_consistency c;
    const char *const paths[] = {f->db, f->sink};
    uint64_t index;

    open_log(f, AUDIT_SIGN_EACH);
    audit_public_key(f->audit, keys[0]);
    append_many(f, 13);
    close_log(f);
    for (uint64_t i = 0; i < 26; i++) {
        buf_reset(&proof);
        buf_reset(&line);
        assert_int_equal(audit_prove(paths[i % 2], i / 2, &proof, &line, &f->e), STATUS_OK);
        if (!audit_check_proof(buf_str(&proof), buf_str(&line), keys, 1, &index, &f->e))
            fail_msg("%s", err_text(&f->e));
        assert_int_equal(index, i / 2);
        line.ptr[9] ^= 1;
        assert_false(audit_check_proof(buf_str(&proof), buf_str(&line), keys, 1, &index, &f->e));
        line.ptr[9] ^= 1;
        keys[0][3] ^= 1;
        assert_false(audit_check_proof(buf_str(&proof), buf_str(&line), keys, 1, &index, &f->e));
        keys[0][3] ^= 1;
    }
    assert_int_equal(audit_prove(f->db, 13, &proof, NULL, &f->e), STATUS_NOT_FOUND);
    assert_int_equal(audit_consistency(f->db, 5, 13, &c, &f->e), STATUS_OK);
    assert_true(merkle_check_consistency(&c.proof, 5, &c.from_root, 13, &c.to_root));
    assert_int_equal(audit_consistency(f->db, 5, 14, &c, &f->e), STATUS_NOT_FOUND);
    assert_int_equal(audit_consistency(f->db, 6, 5, &c, &f->e), STATUS_INVALID);
    buf_deinit(&proof);
    buf_deinit(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_CASE(test_append_and_reopen),
        LOG_CASE(test_refusals),
        LOG_CASE(test_second_process),
        LOG_CASE(test_close_receipts),
        LOG_CASE(test_many),
        LOG_CASE(test_lazy),
        LOG_CASE(test_rotation),
        LOG_CASE(test_key_from_environment),
        LOG_CASE(test_copy_is_rebuilt),
        LOG_CASE(test_copy_of_another_log),
        LOG_CASE(test_copy_cannot_be_written),
        LOG_CASE(test_commit_fails),
        LOG_CASE(test_open_checks),
        LOG_CASE(test_proofs),
    };

    log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
