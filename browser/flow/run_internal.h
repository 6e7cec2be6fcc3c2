/* A run, as run.c (its steps one by one), run_loop.c (steps within steps) and run_values.c
 * (variables, output) see it. */
#ifndef BROWSER_FLOW_RUN_INTERNAL_H
#define BROWSER_FLOW_RUN_INTERNAL_H

#include "browser/flow/flow_internal.h"
#include "browser/flow/vars.h"

enum { LEVELS_MAX = 66 }; /* JSON's depth bounds it */

enum phase {
    PHASE_STEP,    /* the step's own op */
    PHASE_FIND,    /* page.find before it */
    PHASE_CHECK,   /* a condition */
    PHASE_NEXT,    /* paginate: the click on "next" */
    PHASE_PICTURE, /* of the failure */
    PHASE_DOM,     /* the DOM at the failure */
    PHASE_KEEP,    /* what was recorded, at the end */
};

struct level {
    const struct flow_steps *steps;
    size_t at;
    const struct flow_step *owner; /* the loop it is the body of; NULL: top, or a branch */
    uint32_t round;                /* of the loop, from 1 */
};

struct flow_run {
    const struct flow *flow;
    struct page_session *session;
    void (*done)(void *arg);
    void *arg;
    struct level levels[LEVELS_MAX];
    size_t depth;
    const struct flow_step *step;
    uint64_t step_deadline_ms; /* for what is waited for before the op */
    uint32_t tries;
    enum phase phase;
    size_t n_kept; /* of what is kept at the end: done, or not wanted */
    struct op_call call;
    bool calling;
    struct json *params; /* of the call, expanded */
    struct json *found;  /* what page.find gave */
    struct arena *arena; /* the step's */
    struct loop_timer timer;
    enum status cancelled;
    uint64_t handoff_until_ms;  /* a person is waited for; 0: not */
    struct handoff *handoff;    /* in the live view; NULL: not */
    bool handoff_again;         /* the step did not do what it was to: it is begun again */
    bool happened;              /* an irreversible step was done */
    struct json *member, *task; /* for variables */
    struct json *output;        /* NULL while there is none */
    struct err err;
    bool failed;
};

/* --- run.c --- */

/** On with what comes next, in the loop's next turn. */
void run_next(struct flow_run *r);
/** Calls the op with these parameters, expanded; call_done goes on as `phase` says. */
void run_call_with(struct flow_run *r, const struct op *op, const struct json *params,
                   enum phase phase);
/** The step at hand is begun (again). */
void run_step_begin(struct flow_run *r);
/** The run ends, at r->step. */
void run_fail(struct flow_run *r, const struct err *e);

/* --- run_handoff.c --- */

/** A block page that is a person's to deal with: the campaign says so, and the page is there. */
bool run_wants_person(const struct flow_run *r, enum status s);
/** The page stays as it is until the block page is gone, then the run goes on; else it ends HANDOFF
 * after handoff_ms. Both the begin and the end are receipts. */
void run_hand_over(struct flow_run *r);

/* --- run_loop.c --- */

void run_push(struct flow_run *r, const struct flow_steps *steps, const struct flow_step *owner);
/** The level at hand is done. */
void run_pop(struct flow_run *r);
/** The level's steps once more. */
void run_again(struct flow_run *r, struct level *l);
void run_check_condition(struct flow_run *r, const struct flow_step *s);
void run_condition_known(struct flow_run *r, bool holds);
void run_loop_begin(struct flow_run *r, const struct flow_step *s);
/** A round of a loop is done. */
void run_round_over(struct flow_run *r, struct level *l);

/* --- run_values.c --- */

/** The variables as they are now; borrowed. */
struct vars run_scope(const struct flow_run *r);
/** The op's parameter of that name; NULL: none. */
const struct json_field *run_field_of(const struct op *op, const char *name);
/** The parameters as they are to be, in r->params. */
must_check enum status run_expand(struct flow_run *r, const struct op *op,
                                  const struct json *params, struct err *e);
/** {{member...}} and {{task...}}; the caller's. */
struct json *run_describe_member(const struct member *m);
struct json *run_describe_task(const struct attempt *a);
void run_take_extracted(struct flow_run *r, const struct json *data);
void run_take_set(struct flow_run *r, const struct json *values);

#endif
