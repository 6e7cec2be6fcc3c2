/* Groups so large that the builder's thread makes the lines: with what it has to leave to the
 * writer in their midst (a receipt opened by an earlier process, a rotation, a receipt that is
 * refused), and with a group that fails while it is being built. */
#include "tests/support/testing.h"

#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/record/audit.h"
#include "core/record/verify.h"

#include <stdio.h>

enum { MANY = 300, FLOOD = 600 /* four of them: more than LOGDB_AHEAD_MIN */ };

static struct {
    char *dir, *db, *copy;
    size_t many; /* receipts of append_many */
    struct loop *loop;
    struct audit *audit;
    size_t answers, refused;
    uint64_t next_seq;
    bool closed, disordered;
    unsigned char leaf[AUDIT_LEAF];
} f;

static int set_up(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    memset(&f, 0, sizeof(f));
    f.dir = test_mkdir();
    f.db = file_join(f.dir, "log.sqlite");
    f.copy = file_join(f.dir, "audit.ndjson");
    f.many = MANY;
    assert_int_equal(loop_create(&f.loop, NULL, &e), STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fault_set("");
    loop_destroy(&f.loop);
    test_rmdir(&f.dir);
    free(f.db);
    free(f.copy);
    return 0;
}

static void open_log(enum audit_sign sign)
{
    const struct audit_opts opts = {.sign = sign, .sink = f.copy};
    struct err e = ERR_INIT;

    if (audit_open(f.loop, f.dir, &opts, &f.audit, &e) != STATUS_OK)
        fail_msg("open: %s", err_text(&e));
}

static void on_closed(void *arg)
{
    (void)arg;
    f.closed = true;
}

static void close_log(void)
{
    f.closed = false;
    audit_close(f.audit, on_closed, NULL);
    while (!f.closed)
        loop_run_once(f.loop, 1000);
}

static void on_answer(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                      const struct err *e)
{
    (void)arg;
    (void)e;
    f.answers++;
    if (s != STATUS_OK) {
        f.refused++;
        return;
    }
    f.disordered |= seq != f.next_seq;
    f.next_seq = seq + 1;
    memcpy(f.leaf, leaf, AUDIT_LEAF);
}

static void await(size_t answers)
{
    uint64_t until = test_now_ms() + 10000;

    while (f.answers < answers && test_now_ms() < until)
        loop_run_once(f.loop, 100);
    assert_int_equal(f.answers, answers);
}

static void append(const char *kind, const unsigned char *parent, const unsigned char *closes)
{
    const struct receipt r = {
        .kind = kind, .parent = parent, .closes = closes, .payload = STR("{}")};

    audit_append(f.audit, &r, on_answer, NULL);
}

static void append_many(const unsigned char *parent)
{
    for (size_t i = 0; i < f.many; i++)
        append("op", parent, NULL);
}

static struct audit_verdict verify_one(const char *path)
{
    const struct audit_verify_opts opts = {.path = path, .threads = 2};
    struct audit_verdict v;
    struct err e = ERR_INIT;

    if (audit_verify(&opts, &v, &e) != STATUS_OK)
        fail_msg("verify: %s", err_text(&e));
    if (v.exit_code != AUDIT_EXIT_OK)
        fail_msg("exit %d: %s", v.exit_code, v.reason);
    return v;
}

/* The log, and its copy. */
static struct audit_verdict verify(void)
{
    struct audit_verdict v = verify_one(f.db);

    assert_int_equal(verify_one(f.copy).size, v.size);
    return v;
}

/* What is appended without a pause comes in few groups, most of them large. */
static void mixed_group(enum audit_sign sign)
{
    static const unsigned char unknown[AUDIT_LEAF] = {9};
    unsigned char old[AUDIT_LEAF], younger[AUDIT_LEAF];
    struct audit_verdict v;

    open_log(sign);
    append("old.open", NULL, NULL);
    await(1);
    memcpy(old, f.leaf, AUDIT_LEAF);
    append_many(old);
    await(1 + f.many);
    close_log();

    open_log(sign);
    append("younger.open", old, NULL);
    await(2 + f.many);
    memcpy(younger, f.leaf, AUDIT_LEAF);
    append_many(younger);
    append("younger.close", old, younger); /* the builder's */
    append_many(old);
    append("old.close", NULL, old);         /* the writer's: it reads the log */
    append("strange.close", NULL, unknown); /* and refuses this one */
    append_many(NULL);
    audit_rotate(f.audit, on_answer, NULL);
    audit_rotate(f.audit, on_answer, NULL); /* may come too soon: then it is refused */
    append_many(NULL);
    await(7 + 5 * f.many);
    close_log();
    assert_false(f.disordered);
    v = verify();
    assert_true(f.refused == 1 || f.refused == 2);
    assert_int_equal(v.size, f.answers - f.refused);
    assert_int_equal(v.forests, 2);
    assert_int_equal(v.rotations, 3 - f.refused);
}

static void test_mixed_group(void **state)
{
    (void)state;
    mixed_group(AUDIT_SIGN_CHECKPOINT);
}

static void test_mixed_group_signed_each(void **state)
{
    (void)state;
    mixed_group(AUDIT_SIGN_EACH);
}

/* So many that lines are made while the group before is committed: also around what the writer has
 * to build itself. */
static void test_flood(void **state)
{
    (void)state;
    f.many = FLOOD;
    mixed_group(AUDIT_SIGN_EACH);
}

/* Rows of another module that the database refuses, in the midst of a group. */
static enum status refuse(struct audit_with *w, struct sqlite3 *db, const unsigned char *leaf,
                          uint64_t seq, struct err *e)
{
    (void)w;
    (void)db;
    (void)leaf;
    (void)seq;
    (void)err_set(e, STATUS_IO, "refused by the test");
    e->peer_code = 1;
    return STATUS_IO;
}

static void test_group_that_fails(void **state)
{
    struct audit_with with = {.run = refuse};
    const struct receipt bad = {.kind = "op", .with = &with};
    size_t durable;

    (void)state;
    open_log(AUDIT_SIGN_EACH);
    append_many(NULL);
    audit_append(f.audit, &bad, on_answer, NULL);
    for (size_t i = 0; i < 10; i++)
        append_many(NULL);
    await(1 + 11 * MANY);
    durable = f.answers - f.refused;
    assert_true(durable <= MANY);
    close_log();
    open_log(AUDIT_SIGN_EACH);
    append_many(NULL);
    await(1 + 12 * MANY);
    close_log();
    assert_int_equal(verify().size, durable + MANY);
}

/* A commit fails while lines of the next group are made already: nothing of either is in the log,
 * nor in its copy, and all that comes after is refused. */
static void test_commit_that_fails(void **state)
{
    size_t durable;

    (void)state;
    f.many = FLOOD;
    fault_set("logdb.commit");
    open_log(AUDIT_SIGN_EACH);
    for (size_t i = 0; i < 4; i++)
        append_many(NULL);
    await(4 * f.many);
    durable = f.answers - f.refused;
    assert_true(f.refused > 0 && !f.disordered);
    close_log();
    fault_set("");
    open_log(AUDIT_SIGN_EACH);
    append_many(NULL);
    await(5 * f.many);
    close_log();
    assert_int_equal(verify().size, durable + f.many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mixed_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mixed_group_signed_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_flood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_group_that_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commit_that_fails, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
