/* The audit log as its users see it: appended, opened again, copied, rotated, damaged in every way
 * we could think of, and verified. */
#include "tests/support/testing.h"

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/record/audit.h"
#include "core/record/keyfile.h"
#include "core/record/logdb.h"
#include "core/record/record.h"
#include "core/record/verify.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char *dir, *state, *sink, *db, *pub, *checkpoint;
    struct loop *loop;
    struct audit *audit;
    struct err e;
    /* the last append's fate */
    size_t answers;
    enum status status;
    unsigned char leaf[AUDIT_LEAF];
    uint64_t seq;
    struct err answer;
    size_t sink_told;
    enum status sink_status;
    bool closed, in_call, order_broken;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));

    f->dir = test_mkdir();
    f->state = file_join(f->dir, "state");
    f->sink = file_join(f->dir, "audit.ndjson");
    f->pub = file_join(f->dir, "audit.pub");
    f->checkpoint = file_join(f->dir, "audit.checkpoint");
    f->db = file_join(f->state, "log.sqlite");
    assert_int_equal(loop_create(&f->loop, NULL, &f->e), STATUS_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    fault_set("");
    loop_destroy(&f->loop);
    test_rmdir(&f->dir);
    free(f->state);
    free(f->sink);
    free(f->db);
    free(f->pub);
    free(f->checkpoint);
    free(f);
    return 0;
}

static void on_answer(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                      const struct err *e)
{
    struct fixture *f = arg;

    assert_false(f->in_call);
    f->answers++;
    f->status = s;
    if (s == STATUS_OK && leaf) {
        f->order_broken |= f->answers > 1 && seq < f->seq;
        memcpy(f->leaf, leaf, AUDIT_LEAF);
    }
    f->seq = seq;
    f->answer = e ? *e : (struct err)ERR_INIT;
}

static void on_sink(void *arg, const struct err *e)
{
    struct fixture *f = arg;

    f->sink_told++;
    f->sink_status = e ? e->status : STATUS_OK;
}

static void on_closed(void *arg)
{
    ((struct fixture *)arg)->closed = true;
}

static enum status try_open(struct fixture *f, enum audit_sign sign, const char *key)
{
    const struct audit_opts opts = {
        .sign = sign, .sink = f->sink, .key = key, .on_sink = on_sink, .arg = f};

    err_clear(&f->e);
    return audit_open(f->loop, f->state, &opts, &f->audit, &f->e);
}

static void open_log(struct fixture *f, enum audit_sign sign)
{
    if (try_open(f, sign, NULL) != STATUS_OK)
        fail_msg("open: %s", err_text(&f->e));
}

static void close_log(struct fixture *f)
{
    f->closed = false;
    audit_close(f->audit, on_closed, f);
    while (!f->closed)
        loop_run_once(f->loop, 1000);
    f->audit = NULL;
}

static void await(struct fixture *f, size_t answers)
{
    uint64_t until = test_now_ms() + 20000;

    while (f->answers < answers && test_now_ms() < until)
        loop_run_once(f->loop, 100);
    assert_int_equal(f->answers, answers);
}

/* Appends and waits: the status; leaf and seq in the fixture. */
static enum status append(struct fixture *f, const struct receipt *r)
{
    size_t n = f->answers;

    f->in_call = true;
    audit_append(f->audit, r, on_answer, f);
    f->in_call = false;
    await(f, n + 1);
    return f->status;
}

static void append_many(struct fixture *f, size_t n)
{
    size_t before = f->answers;
    char op[32];

    for (size_t i = 0; i < n; i++) {
        struct receipt r = {.kind = "op",
                            .op = op,
                            .target = "h\xc3\xb6st.example",
                            .outcome = "ok",
                            .payload = STR("{\"a\":1}")};

        (void)snprintf(op, sizeof(op), "op.%zu", i);
        audit_append(f->audit, &r, on_answer, f);
    }
    await(f, before + n);
    assert_int_equal(f->status, STATUS_OK);
}

/* A log of n records, closed. */
static void make_log(struct fixture *f, enum audit_sign sign, size_t n)
{
    open_log(f, sign);
    append_many(f, n);
    close_log(f);
}

static struct audit_verdict verify_with(const char *path, const char *key, const char *anchor)
{
    struct audit_verify_opts o = {.path = path, .threads = 2};
    struct audit_verdict v;
    struct err e = ERR_INIT;

    o.keys = &key;
    o.n_keys = key ? 1 : 0;
    o.anchors = &anchor;
    o.n_anchors = anchor ? 1 : 0;
    if (audit_verify(&o, &v, &e) != STATUS_OK)
        fail_msg("verify %s: %s", path, err_text(&e));
    return v;
}

#define assert_verdict(v, code)                                                                    \
    do {                                                                                           \
        if ((v).exit_code != (code))                                                               \
            fail_msg("exit %d, expected %d: %s", (v).exit_code, code, (v).reason);                 \
    } while (0)

static void assert_clean(struct fixture *f, uint64_t n)
{
    struct audit_verdict a = verify_with(f->db, NULL, NULL), b = verify_with(f->sink, NULL, NULL);

    assert_verdict(a, 0);
    assert_verdict(b, 0);
    assert_int_equal(a.size, n);
    assert_int_equal(a.covered, n);
    assert_int_equal(b.size, n);
    assert_int_equal(b.covered, n);
    assert_true(merkle_eq(&a.root, &b.root));
}

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

static void sql(const char *path, const char *text)
{
    sqlite3 *db;
    char *message = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void copy_file(const char *from, const char *to)
{
    size_t n;
    char *text = test_read_file(from, &n);

    test_write_file(to, text, n);
    free(text);
}

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

/* --- damage: the table --- */

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

#define CASE(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_append_and_reopen),
        CASE(test_refusals),
        CASE(test_second_process),
        CASE(test_close_receipts),
        CASE(test_rotation),
        CASE(test_key_from_environment),
        CASE(test_copy_is_rebuilt),
        CASE(test_copy_of_another_log),
        CASE(test_copy_cannot_be_written),
        CASE(test_commit_fails),
        CASE(test_open_checks),
        CASE(test_lines_moved),
        CASE(test_bytes_flipped_each),
        CASE(test_bytes_flipped_checkpoint),
        CASE(test_database_damaged),
        CASE(test_anchors_and_keys),
        CASE(test_proofs),
        CASE(test_many),
        CASE(test_lazy),
    };

    log_set(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
