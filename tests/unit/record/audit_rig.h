/* An audit log in a directory of its own, for the tests of it as its users see it: opened, appended
 * to, closed, verified. All functions fail the running case. */
#ifndef TESTS_UNIT_RECORD_AUDIT_RIG_H
#define TESTS_UNIT_RECORD_AUDIT_RIG_H

#include "core/record/audit.h"
#include "core/record/verify.h"

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

int log_setup(void **state); /* *state is a struct fixture */
int log_teardown(void **state);
#define LOG_CASE(t) cmocka_unit_test_setup_teardown(t, log_setup, log_teardown)

/** Opens the log with its copy beside it; `key` NULL: the state directory's own. */
enum status try_open(struct fixture *f, enum audit_sign sign, const char *key);
void open_log(struct fixture *f, enum audit_sign sign);
void close_log(struct fixture *f);

/** An audit_done_fn; its argument is the fixture. */
void on_answer(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
               const struct err *e);
/** Until so many were answered. */
void await(struct fixture *f, size_t answers);
/** Appends and waits: the status; leaf and seq in the fixture. */
enum status append(struct fixture *f, const struct receipt *r);
/** n records "op.0", "op.1" and so on, with a payload. */
void append_many(struct fixture *f, size_t n);
/** A log of n records, closed. */
void make_log(struct fixture *f, enum audit_sign sign, size_t n);

struct audit_verdict verify_with(const char *path, const char *key, const char *anchor);
#define assert_verdict(v, code)                                                                    \
    do {                                                                                           \
        if ((v).exit_code != (code))                                                               \
            fail_msg("exit %d, expected %d: %s", (v).exit_code, code, (v).reason);                 \
    } while (0)

/** Database and copy verify, with all of n records covered. */
void assert_clean(struct fixture *f, uint64_t n);

/** What somebody else does to a database. */
void sql(const char *path, const char *text);
void copy_file(const char *from, const char *to);

#endif
