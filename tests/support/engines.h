/* For tests of engines: one with an executor that does nothing, as its rows say. */
#ifndef TESTS_SUPPORT_ENGINES_H
#define TESTS_SUPPORT_ENGINES_H

#include "core/coord/engine.h"
#include "tests/support/testing.h"

/** An executor without ops. A row's "do" says what comes of an attempt, and when: "" or absent: it
 * succeeds at the next turn, with {"n": attempt number} as its output; "fail": it fails for good;
 * "again": it fails for now, but succeeds at its second attempt; "slow": it succeeds after 20 ms;
 * "hang": it ends when it is cancelled; "once": it confirms first, as what cannot be repeated. */
extern const struct executor_ops noop_executor;
extern const struct run_kit noop_kit;
/** For measuring: one that does nothing at all. Each attempt succeeds at the loop's next turn,
 * without an output. */
extern const struct run_kit bare_kit;
/** Attempts that noop_executor began, in this process. */
extern unsigned noop_runs;
/** Its attempts have work for the processors as long as they run; false at first. */
extern bool noop_works;

struct engine_rig {
    struct loop *loop;
    struct arena *arena;
    struct campaign_conf conf;
    struct campaign_files files;
    struct engine *engine;
    bool is_ready, is_over, has_trouble;
    struct err trouble;
};

/** An engine on `state_dir`, not started, with results and artefacts there. `more`: members of the
 * campaign's object, such as "\"slots\":4,"; "" for none. Without receipts' signatures and
 * robots.txt. */
void engine_rig_open(struct engine_rig *r, const char *state_dir, const char *more);
/** Starts it and waits until it is ready. */
void engine_rig_start(struct engine_rig *r);
/** Turns the loop until `done(arg)`; fails the test after 10 s. */
void engine_rig_wait(struct engine_rig *r, bool (*done)(void *arg), void *arg, const char *what);
/** Submits and waits for the answer; NULL with *e when it was refused. */
struct batch *engine_rig_submit(struct engine_rig *r, const char *json, struct err *e);
/** Until the batch is over. */
void engine_rig_finish(struct engine_rig *r, const char *batch_id);
/** Drains it, waits for its end, frees all. */
void engine_rig_close(struct engine_rig *r);

#endif
