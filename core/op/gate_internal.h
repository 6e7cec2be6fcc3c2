/* What the gate's own files share: gate.c (in, out, and the end of a run), gate_stages.c (what a
 * call passes before it runs), gate_record.c (its receipt). */
#ifndef CORE_OP_GATE_INTERNAL_H
#define CORE_OP_GATE_INTERNAL_H

#include "core/guard/hook.h"
#include "core/guard/robots.h"
#include "core/op/gate.h"

/* Those who wait for a token of one target. */
struct line {
    struct gate *gate;
    char *target;
    struct list calls;
    struct loop_timer timer;
};

struct gate {
    struct gate_deps deps;
    struct map *lines; /* target -> struct line */
    struct list inside;
    size_t n_inside;
    size_t n_ahead; /* receipts on their way that nobody waits for */
    bool shut;
};

enum stage {
    STAGE_OPEN,
    STAGE_POLICY,
    STAGE_ROBOTS,
    STAGE_BREAKER,
    STAGE_OWN,
    STAGE_LIMIT,
    STAGE_PROXY,
    STAGE_COUNT
};
enum step { STEP_ON, STEP_WAIT, STEP_END };

struct pass {
    struct gate *gate;
    struct op_call *call;
    enum stage stage;
    bool stepping_posted;
    bool hook_known, hook_allow; /* the policy's program has answered */
    const char *hook_why;
    struct hook_wait *hook;
    bool robots_known;
    enum robots_answer robots_answer;
    const char *robots_why;
    struct robots_wait *robots;
    struct line *line; /* NULL: not waiting for a token */
    bool prepaid;      /* one was taken at dispatch */
    struct list line_link;
    struct loop_timer proxy_timer, own_timer;
    enum status cancel; /* why it is to end; OK: it is not */
    bool finished;      /* op_call_finish was called */
    bool deadline_told;
};

static inline struct pass *pass_of(struct op_call *call)
{
    return call->gate_state;
}

static inline uint64_t now_ms(const struct gate *g)
{
    return loop_now_ms(g->deps.loop);
}

/* gate_stages.c */

/** Asks the stages, from where the call stands. */
enum step gate_stages_walk(struct gate *g, struct op_call *call);
/** Takes a call that ends without running out of whatever it waits for. */
void gate_stages_leave(struct pass *p);
/** The target's breaker opened: those who wait for its tokens are to see it. */
void gate_stages_breaker_opened(struct gate *g, struct str target);
/** Frees a line nobody stands in. */
void gate_line_free(void *line);

/* gate_record.c */

/** Writes the receipt; when it is durable, or cannot be, the call is over. */
void gate_record(struct op_call *call);

/* gate.c */

/** What a call waited for has come: it is asked again, from the loop. A call that is recorded or
 * over is not woken. */
void gate_pass_wake(struct pass *p);
/** The receipt is durable, or could not be written: on_done. */
void gate_call_over(struct op_call *call);

#endif
