/* Steps within steps: branches and loops, as levels of a run's stack. */
#include "browser/flow/run_internal.h"

#include <inttypes.h>

void run_push(struct flow_run *r, const struct flow_steps *steps, const struct flow_step *owner)
{
    BUG_ON(r->depth == LEVELS_MAX);
    r->levels[r->depth++] = (struct level){.steps = steps, .owner = owner, .round = 1};
}

void run_check_condition(struct flow_run *r, const struct flow_step *s)
{
    r->step = s;
    run_call_with(r, step_op_find("page.check"), s->condition, PHASE_CHECK);
}

void run_pop(struct flow_run *r)
{
    r->depth--;
    run_next(r);
}

void run_again(struct flow_run *r, struct level *l)
{
    l->round++;
    l->at = 0;
    run_next(r);
}

static void too_many_rounds(struct flow_run *r, const struct flow_step *s)
{
    struct err e = ERR_INIT;

    r->step = s;
    err_set(&e, STATUS_ASSERTION_FAILED,
            "%" PRIu32 " rounds, and the end is not reached: max is %" PRIu32, s->max, s->max);
    run_fail(r, &e);
}

/* A round of a loop is done. */
void run_round_over(struct flow_run *r, struct level *l)
{
    const struct flow_step *s = l->owner;

    r->step = s;
    if (s->type->kind == STEP_PAGINATE) {
        if (l->round >= s->max)
            run_pop(r);
        else
            run_call_with(r, s->op, s->params, PHASE_NEXT);
    } else if (s->condition != NULL && l->round < s->max) {
        run_check_condition(r, s);
    } else if (s->condition != NULL) {
        too_many_rounds(r, s);
    } else if (l->round < s->max) {
        run_again(r, l);
    } else {
        run_pop(r);
    }
}

void run_condition_known(struct flow_run *r, bool holds)
{
    const struct flow_step *s = r->step;
    struct level *l = &r->levels[r->depth - 1];
    bool inside = l->owner == s;

    if (s->type->kind == STEP_IF) {
        if (holds && s->body.n > 0)
            run_push(r, &s->body, NULL);
        else if (!holds && s->otherwise.n > 0)
            run_push(r, &s->otherwise, NULL);
        run_next(r);
    } else if (holds == s->until) {
        if (inside)
            run_pop(r);
        else
            run_next(r);
    } else if (inside) {
        run_again(r, l);
    } else {
        run_push(r, &s->body, s);
        run_next(r);
    }
}

void run_loop_begin(struct flow_run *r, const struct flow_step *s)
{
    if (s->condition != NULL && !s->until) {
        run_check_condition(r, s);
        return;
    }
    if (s->max > 0)
        run_push(r, &s->body, s);
    run_next(r);
}
