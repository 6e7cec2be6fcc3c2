/* One suite over both backends: memory and database. */
#include "tests/support/testing.h"

#include "core/base/file.h"
#include "core/record/audit.h"
#include "core/record/eventlog.h"
#include "core/record/logdb.h"

#include <stdio.h>

struct fixture {
    bool memory;
    char *dir;
    struct loop *loop;
    struct logdb *db;
    struct eventlog *log;
    size_t answers, reads;
    enum status status;
    uint64_t seq;
    bool duplicate, in_call;
    size_t closed;
    /* the last read */
    size_t n;
    uint64_t first, last;
    char bodies[4096];
};

static void open_log(struct fixture *f, size_t capacity)
{
    struct err e = ERR_INIT;

    if (f->memory) {
        eventlog_create_memory(f->loop, capacity ? capacity : 100000, &f->log);
        return;
    }
    if (logdb_open(f->loop, f->dir, &f->db, &e) != STATUS_OK ||
        eventlog_open(f->loop, f->db, capacity, &f->log, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
}

static void on_closed(void *arg)
{
    ((struct fixture *)arg)->closed++;
}

static void await(struct fixture *f, size_t *counter, size_t want)
{
    uint64_t until = test_now_ms() + 20000;

    while (*counter < want && test_now_ms() < until)
        loop_run_once(f->loop, 100);
    assert_int_equal(*counter, want);
}

static void close_log(struct fixture *f)
{
    f->closed = 0;
    eventlog_close(f->log, on_closed, f);
    assert_int_equal(f->closed, 0);
    await(f, &f->closed, 1);
    if (!f->memory) {
        logdb_close(f->db, on_closed, f);
        await(f, &f->closed, 2);
    }
}

static int setup(void **state, bool memory)
{
    struct fixture *f = xcalloc(1, sizeof(*f));

    f->memory = memory;
    f->dir = test_mkdir();
    assert_int_equal(loop_create(&f->loop, NULL, NULL), STATUS_OK);
    *state = f;
    return 0;
}
static int setup_memory(void **state)
{
    return setup(state, true);
}
static int setup_database(void **state)
{
    return setup(state, false);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_destroy(&f->loop);
    test_rmdir(&f->dir);
    free(f);
    return 0;
}

static void on_appended(void *arg, enum status s, uint64_t seq, bool duplicate,
                        const struct err *e maybe_unused)
{
    struct fixture *f = arg;

    assert_false(f->in_call);
    f->answers++;
    f->status = s;
    f->seq = seq;
    f->duplicate = duplicate;
}

static void on_read(void *arg, enum status s, const struct event *v, size_t n,
                    const struct err *e maybe_unused)
{
    struct fixture *f = arg;

    assert_false(f->in_call);
    assert_int_equal(s, STATUS_OK);
    f->reads++;
    f->n = n;
    f->first = n ? v[0].seq : 0;
    f->last = n ? v[n - 1].seq : 0;
    f->bodies[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t at = strlen(f->bodies);

        assert_true(i == 0 || v[i].seq > v[i - 1].seq);
        (void)snprintf(f->bodies + at, sizeof(f->bodies) - at, "%s:%s:%.*s ", v[i].type,
                       v[i].subject ? v[i].subject : "-", STR_ARG(v[i].body));
    }
}

static enum status append(struct fixture *f, const char *id, const char *type, const char *body)
{
    const struct event ev = {
        .id = id, .type = type, .subject = "s", .body = str_from(body), .at = {7, 1}};
    size_t n = f->answers;

    f->in_call = true;
    eventlog_append(f->log, &ev, on_appended, f);
    f->in_call = false;
    await(f, &f->answers, n + 1);
    return f->status;
}

static void read_log(struct fixture *f, uint64_t after, const char *type, size_t max)
{
    size_t n = f->reads;

    f->in_call = true;
    eventlog_read(f->log, after, type, max, on_read, f);
    f->in_call = false;
    await(f, &f->reads, n + 1);
}

static void test_append_and_read(void **state)
{
    struct fixture *f = *state;
    char big[EVENT_NAME_MAX + 1];

    open_log(f, 0);
    assert_int_equal(eventlog_last(f->log), 0);
    read_log(f, 0, NULL, 10);
    assert_int_equal(f->n, 0);
    assert_int_equal(append(f, NULL, "a", "1"), STATUS_OK);
    assert_int_equal(f->seq, 1);
    assert_int_equal(append(f, "id-1", "b", "2"), STATUS_OK);
    assert_int_equal(append(f, "id-1", "b", "3"), STATUS_OK);
    assert_true(f->duplicate);
    assert_int_equal(f->seq, 2);
    assert_int_equal(append(f, "id-2", "a", ""), STATUS_OK);
    assert_int_equal(f->seq, 3);
    assert_false(f->duplicate);
    assert_int_equal(append(f, NULL, "", "x"), STATUS_INVALID);
    memset(big, 'x', sizeof(big));
    big[EVENT_NAME_MAX] = '\0';
    assert_int_equal(append(f, big, "a", "x"), STATUS_TOO_LARGE);
    assert_int_equal(eventlog_last(f->log), 3);
    read_log(f, 0, NULL, 10);
    assert_string_equal(f->bodies, "a:s:1 b:s:2 a:s: ");
    read_log(f, 1, NULL, 1);
    assert_string_equal(f->bodies, "b:s:2 ");
    read_log(f, 1, "a", 10);
    assert_string_equal(f->bodies, "a:s: ");
    read_log(f, 3, NULL, 10);
    assert_int_equal(f->n, 0);
    read_log(f, UINT64_MAX, NULL, 10);
    assert_int_equal(f->n, 0);
    close_log(f);
    if (f->memory)
        return;
    open_log(f, 0); /* and it is all there again */
    assert_int_equal(eventlog_last(f->log), 3);
    assert_int_equal(append(f, "id-2", "a", ""), STATUS_OK);
    assert_true(f->duplicate);
    assert_int_equal(append(f, NULL, "c", "4"), STATUS_OK);
    assert_int_equal(f->seq, 4);
    close_log(f);
}

static void test_capacity(void **state)
{
    struct fixture *f = *state;
    char id[32];

    open_log(f, 10);
    for (int i = 1; i <= 35; i++) {
        (void)snprintf(id, sizeof(id), "id-%d", i);
        assert_int_equal(append(f, id, "a", "x"), STATUS_OK);
        assert_int_equal(f->seq, i);
    }
    read_log(f, 0, NULL, 100);
    assert_int_equal(f->n, 10);
    assert_int_equal(f->first, 26);
    assert_int_equal(f->last, 35);
    assert_int_equal(append(f, "id-30", "a", "x"), STATUS_OK);
    assert_true(f->duplicate);
    assert_int_equal(append(f, "id-3", "a", "x"), STATUS_OK); /* pruned: it is new again */
    assert_false(f->duplicate);
    assert_int_equal(f->seq, 36);
    close_log(f);
}

/* Closing with appends and reads under way: each is answered, then closed is called. */
static void test_close_under_way(void **state)
{
    struct fixture *f = *state;
    const struct event ev = {.type = "a", .body = STR("x")};

    open_log(f, 0);
    for (int i = 0; i < 3000; i++)
        eventlog_append(f->log, &ev, on_appended, f);
    for (int i = 0; i < 8; i++)
        eventlog_read(f->log, 0, NULL, 100, on_read, f);
    close_log(f);
    assert_int_equal(f->answers, 3000);
    assert_int_equal(f->reads, 8);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->seq, 3000);
}

/* Events and receipts in one database, by one writer. */
static void test_beside_the_audit_log(void **state)
{
    struct fixture *f = *state;
    const struct receipt r = {.kind = "op"};
    struct audit *a;
    struct err e = ERR_INIT;

    assert_int_equal(audit_open(f->loop, f->dir, NULL, &a, &e), STATUS_OK);
    assert_int_equal(eventlog_open(f->loop, audit_db(a), 5, &f->log, &e), STATUS_OK);
    for (int i = 0; i < 20; i++) {
        audit_append(a, &r, NULL, NULL);
        assert_int_equal(append(f, NULL, "a", "x"), STATUS_OK);
    }
    assert_int_equal(audit_size(a), 20);
    assert_int_equal(eventlog_last(f->log), 20);
    eventlog_close(f->log, on_closed, f);
    await(f, &f->closed, 1);
    audit_append(a, &r, NULL, NULL);
    audit_close(a, on_closed, f);
    await(f, &f->closed, 2);
}

#define MEMORY(t)                                                                                  \
    {                                                                                              \
        "memory: " #t, t, setup_memory, teardown, NULL                                             \
    }
#define DATABASE(t)                                                                                \
    {                                                                                              \
        "database: " #t, t, setup_database, teardown, NULL                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMORY(test_append_and_read),
        DATABASE(test_append_and_read),
        MEMORY(test_capacity),
        DATABASE(test_capacity),
        MEMORY(test_close_under_way),
        DATABASE(test_close_under_way),
        DATABASE(test_beside_the_audit_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
