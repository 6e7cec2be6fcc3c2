/* What the contract suite of the substrate runs on: a table of implementations, and calls that wait
 * for their answer. Time is the test's own. */
#ifndef TESTS_CONTRACT_SUBSTRATE_RIG_H
#define TESTS_CONTRACT_SUBSTRATE_RIG_H

#include "tests/support/testing.h"

#include "core/base/clock.h"
#include "core/substrate/substrate.h"

enum {
    RIG_WAIT_MS = 10000,
    RIG_TIMEOUT_MS = 400,
    RIG_POLICY_MS = 200,
    RIG_TEXT = 8192,
    RIG_IMPLEMENTATIONS_MAX = 4
};

struct rig;
struct implementation {
    const char *name;
    bool durable; /* what was acknowledged is there after a restart */
    void (*open)(struct rig *r, const struct substrate_opts *o);
    void (*close)(struct rig *r);
    void (*stall)(struct rig *r, bool on); /* the backend does not answer */
};
extern const struct implementation implementations[];
extern const size_t n_implementations;

struct rig {
    const struct implementation *impl;
    char *dir;
    struct clock_fake clock;
    struct loop *loop;
    struct logdb *db;
    struct sqlite3 *foreign; /* holds the write lock while stalled */
    struct substrate *s;
    bool closed;
    bool in_call; /* answers must not come now */
    /* the last answer */
    size_t answers;
    enum status status;
    char error[600];
    uint64_t value, wait_ms;
    int64_t total;
    bool duplicate, has_lease, has_config;
    struct substrate_lease lease;
    char holder[SUBSTRATE_NAME_MAX + 1];
    struct substrate_config config;
    size_t n;
    uint64_t first, last;
    char text[RIG_TEXT]; /* what was read, joined */
    char envelope[RIG_TEXT];
};

/** Sets up for implementations[i]; cmocka fixture: *state is the index at first. */
int rig_setup(void **state);
int rig_teardown(void **state);
/** Opens with `event_limit`; wall and monotonic time go on from where they are. */
void rig_open(struct rig *r, uint64_t event_limit);
void rig_close(struct rig *r);
/** Closes and opens again, with time between. For cases named test_restart...: they run only where
 * what was acknowledged is durable. */
void rig_restart(struct rig *r, uint64_t down_ms);
/** Both clocks move, and what is due by then runs. */
void rig_pass(struct rig *r, uint64_t ms);
/** Until the n-th answer since the beginning; fails after RIG_WAIT_MS of real time. */
void rig_wait(struct rig *r, size_t answers);
/** A few turns of the loop, and what the backend has to say meanwhile. */
void rig_settle(struct rig *r);

/* Each waits for its answer and returns its status; the rest is in the rig. */
enum status rig_emit(struct rig *r, const char *type, const char *subject, const char *id,
                     const char *data);
enum status rig_merge(struct rig *r, const char *envelope);
enum status rig_read(struct rig *r, uint64_t after, const char *type, size_t max);
enum status rig_schedule(struct rig *r, const char *id, const char *type, uint64_t at_wall_ms,
                         uint64_t after_ms);
enum status rig_unschedule(struct rig *r, const char *id);
enum status rig_count(struct rig *r, const char *name, int64_t delta);
enum status rig_fences(struct rig *r, uint32_t n);
enum status rig_acquire(struct rig *r, const char *name, const char *holder, uint64_t ttl_ms);
enum status rig_renew(struct rig *r, const char *name, uint64_t fence, uint64_t ttl_ms);
enum status rig_release(struct rig *r, const char *name, uint64_t fence);
enum status rig_check(struct rig *r, const char *name, uint64_t fence);
enum status rig_stream(struct rig *r, const char *name, const char *type, uint64_t items,
                       uint64_t bytes);
enum status rig_put(struct rig *r, const char *name, const char *id, const char *text);
enum status rig_stream_read(struct rig *r, const char *name, uint64_t after, size_t max);
enum status rig_cursor(struct rig *r, const char *name, const char *reader);
enum status rig_ack(struct rig *r, const char *name, const char *reader, uint64_t seq);
enum status rig_drop(struct rig *r, const char *name, const char *reader);
enum status rig_set(struct rig *r, const char *name, const char *blob, uint64_t expected);
enum status rig_get(struct rig *r, const char *name);
enum status rig_blob(struct rig *r, const unsigned char *sha256);

/* The answers, for calls that a test makes by itself with the rig as argument. */
substrate_done_fn rig_on_done;
substrate_emitted_fn rig_on_emitted;
substrate_events_fn rig_on_events;
substrate_count_fn rig_on_count;
substrate_lease_fn rig_on_lease;
substrate_put_fn rig_on_put;

/** Fills `out` (room for n * RIG_IMPLEMENTATIONS_MAX) with each case for each implementation, and
 * returns how many they are. `out` must be static. */
size_t rig_cases(const struct CMUnitTest *cases, size_t n, struct CMUnitTest *out);

#define RIG_OK(call)                                                                               \
    do {                                                                                           \
        enum status rig_status_ = (call);                                                          \
        if (rig_status_ != STATUS_OK)                                                              \
            fail_msg("%s: %s: %s", #call, status_name(rig_status_), r->error);                     \
    } while (0)

#endif
