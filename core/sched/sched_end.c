/* How attempts and tasks end. */
#include "core/sched/sched_internal.h"

#include <stdio.h>

#include "core/base/log.h"

/* --- the end of tasks --- */

static void task_over(struct sched *s, struct task *t, enum task_state end, struct sched_result *r)
{
    task_move(t, end);
    r->task = t;
    r->now_ms = sched_now_ms(s);
    r->first_run_ms = t->first_run_ms;
    s->deps.on_done(s->deps.arg, r);
    json_destroy(&r->output);
    json_destroy(&r->artifacts);
}

/* Of one that waited. */
void sched_task_over(struct sched *s, struct task *t, enum task_state end, enum status why,
                     const char *sentence)
{
    struct sched_result r = {.status = why, .error_step = -1};
    struct err e = ERR_INIT;
    char name[24];

    s->deps.task_name(s->deps.arg, t, name);
    err_set(&e, why, "%s", sentence);
    r.err = &e;
    r.task_id = name;
    r.retryable = status_retryable(why);
    task_over(s, t, end, &r);
}

void sched_task_expired(struct sched *s, struct task *t)
{
    uint64_t waited = sched_now_ms(s) - t->submitted_ms;
    char sentence[128];

    snprintf(sentence, sizeof(sentence), "%s deadline: %llu ms after it was submitted",
             t->attempts == 0 ? "queued" : "total", (unsigned long long)waited);
    sched_task_over(s, t, TASK_FAILED, STATUS_TIMEOUT, sentence);
}

/* When the queue is to give it up: the total deadline, and until its first run the queued one. */
uint64_t sched_task_expiry(const struct sched *s, const struct task *t)
{
    const struct sched_deadlines *d = &s->deps.deadlines;
    uint64_t total = d->total_ms ? t->submitted_ms + d->total_ms : 0;
    uint64_t queued = d->queued_ms && t->attempts == 0 ? t->submitted_ms + d->queued_ms : 0;

    if (!total || !queued)
        return total ? total : queued;
    return queued < total ? queued : total;
}

/* --- the end of an attempt --- */

static void attempt_free(struct run_attempt *run)
{
    struct arena *arena = run->a.arena;

    json_destroy(&run->a.output);
    json_destroy(&run->a.artifacts);
    arena_destroy(&arena);
}

static bool retry_left(const struct sched *s, const struct task *t, uint64_t delay_ms)
{
    uint64_t total = s->deps.deadlines.total_ms;

    return t->attempts <= s->deps.retry.max &&
           (!total || sched_now_ms(s) + delay_ms < t->submitted_ms + total);
}

/* Back into the queue, to be run again `delay_ms` from now. */
static void task_again(struct sched *s, struct task *t, uint64_t delay_ms)
{
    task_move(t, TASK_DELAYED);
    t->not_before_ms = sched_now_ms(s) + delay_ms;
    t->expires_ms = sched_task_expiry(s, t);
    queue_add(s->queue, t, str_from(t->target), t->submitter);
}

/* The attempt is over and its task goes on. */
static void attempt_told(struct sched *s, struct task *t, const struct attempt *a, bool undone)
{
    if (s->deps.on_attempt_end)
        s->deps.on_attempt_end(s->deps.arg, t, a, undone);
}

/* What the attempt came to, for its task. */
static void attempt_settle(struct sched *s, struct run_attempt *run)
{
    struct task *t = run->task;
    struct attempt *a = &run->a;
    uint64_t delay =
        retry_delay_ms(&s->rng, s->deps.retry.base_ms, s->deps.retry.cap_ms, t->attempts);
    bool interrupted = run->why == STATUS_SHUTTING_DOWN && a->status != STATUS_OK;
    bool again = !t->cancel && (interrupted || retry_left(s, t, delay));
    enum task_state end = task_end_of(a->status, a->may_have_happened, again);
    struct sched_result r = {
        .status = a->status,
        .err = &a->err,
        .error_step = a->status == STATUS_OK ? -1 : a->error_step,
        .retryable = status_retryable(a->status),
        .member = a->member,
        .task_id = run->name,
        .run_ms = sched_now_ms(s) - run->started_ms,
        .fence = a->fence,
    };

    if (interrupted && end != TASK_UNKNOWN) {
        attempt_told(s, t, a, true);
        t->attempts--; /* nobody's fault: it is done later as if it had not been begun */
        task_again(s, t, 0);
        return;
    }
    if (end == TASK_BLOCKED && a->status == STATUS_BREAKER_OPEN && s->deps.hold_blocked) {
        attempt_told(s, t, a, true);
        t->attempts--;
        task_again(s, t, 0);
        return;
    }
    if (end == TASK_DELAYED) {
        attempt_told(s, t, a, false);
        if (s->deps.on_retry)
            s->deps.on_retry(s->deps.arg, t, a, delay);
        task_again(s, t, delay);
        return;
    }
    r.output = a->output;
    r.artifacts = a->artifacts;
    a->output = a->artifacts = NULL;
    task_over(s, t, end, &r);
}

static void place_free(struct place *p, enum slot_event ev)
{
    struct sched *s = p->sched;
    struct sched_target *t;

    loop_timer_stop(&p->timer);
    slot_event(&p->slot, ev);
    s->free_places[p->slot.index / 64] |= UINT64_C(1) << p->slot.index % 64;
    if (s->deps.target_concurrency) {
        t = map_find(s->targets, str_from(p->run->task->target));
        if (t)
            t->running -= t->running > 0;
        queue_target_changed(s->queue, str_from(p->run->task->target));
    }
    p->run = NULL;
}

/* The executor is done with it; the scheduler's half of struct attempt. */
void sched_attempt_done(struct attempt *a)
{
    struct run_attempt *run = a->sched;
    struct sched *s = run->sched;
    struct place *p = run->place;

    if (s->destroyed)
        return; /* too late for anybody; its memory stays */
    if (p) {
        place_free(p, p->slot.state == SLOT_DRAINING ? SLOT_ACKNOWLEDGED : SLOT_DONE);
        s->n_running--;
        sched_member_idle(s, a->member);
        if (run->why != STATUS_OK && a->status == STATUS_CANCELLED && !run->task->cancel)
            a->status = run->why;
        if (a->status != STATUS_OK && a->err.text[0] == '\0')
            err_set(&a->err, a->status, "%s", status_text(a->status));
        attempt_settle(s, run);
    } else {
        s->n_abandoned--;
        sched_member_idle(s, a->member);
        log_warn(NULL, "attempt.late", LOG_STR("task", run->name), LOG_U64("slot", a->slot));
    }
    attempt_free(run);
    sched_pump_soon(s);
}

static void on_give_up(struct loop_timer *t)
{
    struct sched *s = container_of(t, struct sched, give_up_timer);

    s->given_up = true;
    sched_pump_soon(s);
}

/* The executor did not let go in time: the slot is freed without it, and the member stays busy. */
static void attempt_abandon(struct place *p)
{
    struct run_attempt *run = p->run;
    struct sched *s = p->sched;
    struct attempt *a = &run->a;

    log_error(NULL, "attempt.stuck", LOG_STR("task", run->name), LOG_U64("slot", a->slot),
              LOG_U64("member", a->member->index));
    slot_event(&p->slot, SLOT_SILENT);
    place_free(p, SLOT_FREED);
    s->n_running--;
    s->n_abandoned++;
    run->place = NULL;
    a->status = run->why;
    a->error_step = -1;
    err_set(&a->err, run->why, "%s, and the executor did not let go of it within %d ms",
            status_text(run->why), SCHED_CANCEL_GRACE_MS);
    attempt_settle(s, run);
    run->task = NULL;
    loop_timer_start(s->deps.loop, &s->give_up_timer, SCHED_GIVE_UP_MS, on_give_up);
    sched_pump_soon(s);
}

static void on_grace(struct loop_timer *t)
{
    attempt_abandon(container_of(t, struct place, timer));
}

void sched_place_cancel(struct place *p, enum status why)
{
    struct sched *s = p->sched;

    if (p->slot.state != SLOT_BUSY)
        return;
    slot_event(&p->slot, SLOT_CANCEL);
    p->run->why = why;
    loop_timer_start(s->deps.loop, &p->timer, SCHED_CANCEL_GRACE_MS, on_grace);
    if (!p->run->waiting) /* otherwise sched_go ends it */
        s->deps.executor->cancel(s->deps.x, &p->run->a, why);
}

void sched_on_run_deadline(struct loop_timer *t)
{
    sched_place_cancel(container_of(t, struct place, timer), STATUS_TIMEOUT);
}
