#include "tests/unit/record/audit_rig.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/fault.h"
#include "core/base/file.h"
#include "tests/support/testing.h"

int log_setup(void **state)
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

int log_teardown(void **state)
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

void on_answer(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
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

enum status try_open(struct fixture *f, enum audit_sign sign, const char *key)
{
    const struct audit_opts opts = {
        .sign = sign, .sink = f->sink, .key = key, .on_sink = on_sink, .arg = f};

    err_clear(&f->e);
    return audit_open(f->loop, f->state, &opts, &f->audit, &f->e);
}

void open_log(struct fixture *f, enum audit_sign sign)
{
    if (try_open(f, sign, NULL) != STATUS_OK)
        fail_msg("open: %s", err_text(&f->e));
}

void close_log(struct fixture *f)
{
    f->closed = false;
    audit_close(f->audit, on_closed, f);
    while (!f->closed)
        loop_run_once(f->loop, 1000);
    f->audit = NULL;
}

void await(struct fixture *f, size_t answers)
{
    uint64_t until = test_now_ms() + 20000;

    while (f->answers < answers && test_now_ms() < until)
        loop_run_once(f->loop, 100);
    assert_int_equal(f->answers, answers);
}

enum status append(struct fixture *f, const struct receipt *r)
{
    size_t n = f->answers;

    f->in_call = true;
    audit_append(f->audit, r, on_answer, f);
    f->in_call = false;
    await(f, n + 1);
    return f->status;
}

void append_many(struct fixture *f, size_t n)
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

void make_log(struct fixture *f, enum audit_sign sign, size_t n)
{
    open_log(f, sign);
    append_many(f, n);
    close_log(f);
}

struct audit_verdict verify_with(const char *path, const char *key, const char *anchor)
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

void assert_clean(struct fixture *f, uint64_t n)
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

void sql(const char *path, const char *text)
{
    sqlite3 *db;
    char *message = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", text, message);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

void copy_file(const char *from, const char *to)
{
    size_t n;
    char *text = test_read_file(from, &n);

    test_write_file(to, text, n);
    free(text);
}
