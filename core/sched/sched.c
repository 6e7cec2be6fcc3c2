#include "core/sched/sched.h"

#include <stdio.h>

#include "core/base/log.h"
#include "core/base/rng.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"

enum {
    ATTEMPT_ARENA_MAX = 64 * 1024 * 1024,
    RUN_SLACK_MS = 100,  /* the executor's own deadline comes first: its sentence says more */
    HOLD_POLL_MS = 1000, /* breakers of tasks that wait for a reset are asked again this often */
};

/* An attempt with what the scheduler keeps of it. Lives in its own arena until done. */
struct run_attempt {
    struct attempt a; /* first */
    struct sched *sched;
    struct task *task;   /* NULL: given up, the task is over or elsewhere */
    struct place *place; /* NULL: given up */
    char name[24];
    uint64_t started_ms;
    enum status why; /* what it was told to end with; OK: it was not */
};

/* A slot with its occupant. */
struct place {
    struct slot slot;
    struct sched *sched;
    struct run_attempt *run; /* NULL: free */
    struct loop_timer timer; /* run deadline, then grace */
};

struct sched {
    struct sched_deps deps;
    struct queue *queue;
    struct place *places;
    struct list idle; /* members, the one that is idle longest first */
    size_t n_running, n_abandoned;
    struct task **cancelled; /* taken out of the queue, to be told at the next turn */
    size_t n_cancelled, cancelled_cap;
    struct rng rng;
    struct loop_timer wake, drain_timer, give_up_timer;
    bool pump_posted, draining, paused, idle_told, destroyed;
    bool given_up; /* attempts that were abandoned are not waited for any more */
};

static uint64_t now_ms(const struct sched *s)
{
    return loop_now_ms(s->deps.loop);
}

static void pump_soon(struct sched *s);

/* --- the queue's questions --- */

static void guard_open(void *arg, struct str target, struct queue_door *out)
{
    struct sched *s = arg;

    *out = (struct queue_door){
        .limit = limiter_target(s->deps.limiter, target),
        .breaker = breaker_target(s->deps.breaker, target),
    };
}

static uint64_t guard_take(void *arg, const struct queue_door *d, uint64_t now, uint64_t *then_ms)
{
    struct sched *s = arg;

    return limiter_target_take(s->deps.limiter, d->limit, now, then_ms);
}

static bool guard_allow(void *arg, const struct queue_door *d)
{
    (void)arg;
    return breaker_target_allow(d->breaker);
}

static bool guard_is_idle(void *arg, uint32_t member)
{
    struct sched *s = arg;

    return member < s->deps.n_members && !s->deps.members[member]->busy;
}

/* --- making --- */

struct sched *sched_create(const struct sched_deps *deps)
{
    struct sched *s = xcalloc(1, sizeof(*s));
    const struct queue_guards guards = {
        .open = guard_open,
        .take = guard_take,
        .allow = guard_allow,
        .is_idle = guard_is_idle,
        .arg = s,
    };

    s->deps = *deps;
    s->queue = queue_create(&guards);
    queue_hold_blocked(s->queue, deps->hold_blocked);
    s->places = xcalloc(deps->slots, sizeof(*s->places));
    for (uint32_t i = 0; i < deps->slots; i++) {
        s->places[i].slot.index = i;
        s->places[i].sched = s;
    }
    list_init(&s->idle);
    for (size_t i = 0; i < deps->n_members; i++)
        list_push(&s->idle, &deps->members[i]->idle_link);
    rng_seed_u64(&s->rng, deps->seed);
    return s;
}

void sched_destroy(struct sched **sp)
{
    struct sched *s = *sp;

    if (!s)
        return;
    BUG_ON(s->n_running > 0);
    loop_timer_stop(&s->wake);
    loop_timer_stop(&s->drain_timer);
    loop_timer_stop(&s->give_up_timer);
    list_remove(&s->idle); /* members may outlive it */
    queue_destroy(&s->queue);
    free(s->places);
    free(s->cancelled);
    s->places = NULL;
    *sp = NULL;
    s->destroyed = true;
    /* The turn that is on its way frees it; an attempt that may still come back keeps it. */
    if (!s->pump_posted && s->n_abandoned == 0)
        free(s);
}

/* --- members --- */

static void member_busy(struct member *m)
{
    m->busy = true;
    list_remove(&m->idle_link);
}

static void member_idle(struct sched *s, struct member *m)
{
    m->busy = false;
    m->last_used_ms = now_ms(s);
    list_push(&s->idle, &m->idle_link);
    queue_member_idle(s->queue, m->index);
}

static struct member *member_for(struct sched *s, const struct task *t)
{
    if (t->pin >= 0)
        return s->deps.members[t->pin];
    return list_first(&s->idle, struct member, idle_link);
}

/* --- the end of tasks --- */

static void task_over(struct sched *s, struct task *t, enum task_state end, struct sched_result *r)
{
    task_move(t, end);
    r->task = t;
    r->now_ms = now_ms(s);
    r->first_run_ms = t->first_run_ms;
    s->deps.on_done(s->deps.arg, r);
    json_destroy(&r->output);
    json_destroy(&r->artifacts);
}

/* Of one that waited. */
static void task_over_waiting(struct sched *s, struct task *t, enum task_state end, enum status why,
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

static void task_expired(struct sched *s, struct task *t)
{
    uint64_t waited = now_ms(s) - t->submitted_ms;
    char sentence[128];

    snprintf(sentence, sizeof(sentence), "%s deadline: %llu ms after it was submitted",
             t->attempts == 0 ? "queued" : "total", (unsigned long long)waited);
    task_over_waiting(s, t, TASK_FAILED, STATUS_TIMEOUT, sentence);
}

/* When the queue is to give it up: the total deadline, and until its first run the queued one. */
static uint64_t task_expiry(const struct sched *s, const struct task *t)
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
           (!total || now_ms(s) + delay_ms < t->submitted_ms + total);
}

/* Back into the queue, to be run again `delay_ms` from now. */
static void task_again(struct sched *s, struct task *t, uint64_t delay_ms)
{
    task_move(t, TASK_DELAYED);
    t->not_before_ms = now_ms(s) + delay_ms;
    t->expires_ms = task_expiry(s, t);
    queue_add(s->queue, t, str_from(t->target), t->submitter);
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
        .run_ms = now_ms(s) - run->started_ms,
    };

    if (interrupted && end != TASK_UNKNOWN) {
        t->attempts--; /* nobody's fault: it is done later as if it had not been begun */
        task_again(s, t, 0);
        return;
    }
    if (end == TASK_BLOCKED && a->status == STATUS_BREAKER_OPEN && s->deps.hold_blocked) {
        t->attempts--;
        task_again(s, t, 0);
        return;
    }
    if (end == TASK_DELAYED) {
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
    loop_timer_stop(&p->timer);
    slot_event(&p->slot, ev);
    p->run = NULL;
}

/* The executor is done with it; the scheduler's half of struct attempt. */
static void attempt_done(struct attempt *a)
{
    struct run_attempt *run = a->sched;
    struct sched *s = run->sched;
    struct place *p = run->place;

    if (s->destroyed)
        return; /* too late for anybody; its memory stays */
    if (p) {
        place_free(p, p->slot.state == SLOT_DRAINING ? SLOT_ACKNOWLEDGED : SLOT_DONE);
        s->n_running--;
        member_idle(s, a->member);
        if (run->why != STATUS_OK && a->status == STATUS_CANCELLED && !run->task->cancel)
            a->status = run->why;
        if (a->status != STATUS_OK && a->err.text[0] == '\0')
            err_set(&a->err, a->status, "%s", status_text(a->status));
        attempt_settle(s, run);
    } else {
        s->n_abandoned--;
        member_idle(s, a->member);
        log_warn(NULL, "attempt.late", LOG_STR("task", run->name), LOG_U64("slot", a->slot));
    }
    attempt_free(run);
    pump_soon(s);
}

static void on_give_up(struct loop_timer *t)
{
    struct sched *s = container_of(t, struct sched, give_up_timer);

    s->given_up = true;
    pump_soon(s);
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
    pump_soon(s);
}

static void on_grace(struct loop_timer *t)
{
    attempt_abandon(container_of(t, struct place, timer));
}

static void place_cancel(struct place *p, enum status why)
{
    struct sched *s = p->sched;

    if (p->slot.state != SLOT_BUSY)
        return;
    slot_event(&p->slot, SLOT_CANCEL);
    p->run->why = why;
    loop_timer_start(s->deps.loop, &p->timer, SCHED_CANCEL_GRACE_MS, on_grace);
    s->deps.executor->cancel(s->deps.x, &p->run->a, why);
}

static void on_run_deadline(struct loop_timer *t)
{
    place_cancel(container_of(t, struct place, timer), STATUS_TIMEOUT);
}

/* --- dispatch --- */

static void row_free(void *p)
{
    struct json *j = p;

    json_destroy(&j);
}

static uint64_t run_ms(const struct sched *s, const struct task *t)
{
    const struct sched_deadlines *d = &s->deps.deadlines;
    uint64_t run = d->run_ms ? d->run_ms : SCHED_RUN_MAX_MS, end;

    if (!d->total_ms)
        return run;
    end = t->submitted_ms + d->total_ms;
    if (end <= now_ms(s))
        return 1;
    return end - now_ms(s) < run ? end - now_ms(s) : run;
}

static struct run_attempt *attempt_create(struct sched *s, struct place *p, struct task *t,
                                          struct member *m)
{
    struct arena *arena = arena_create(NULL, ATTEMPT_ARENA_MAX);
    struct run_attempt *run = arena_new(arena, struct run_attempt);
    struct json *row = s->deps.row_json(s->deps.arg, t);

    arena_on_reset(arena, row_free, row);
    run->sched = s;
    run->task = t;
    run->place = p;
    run->started_ms = now_ms(s);
    s->deps.task_name(s->deps.arg, t, run->name);
    run->a = (struct attempt){
        .task_id = run->name,
        .number = t->attempts,
        .slot = p->slot.index,
        .member = m,
        .row = row,
        .input = t->input,
        .stage = t->stage,
        .task_index = t->index,
        .row_index = t->row,
        .deadline_ms = now_ms(s) + run_ms(s, t),
        .arena = arena,
        .credit = true,
        .artifacts_dir = s->deps.artifacts_dir,
        .error_step = -1,
        .done = attempt_done,
        .sched = run,
    };
    memcpy(run->a.parent, s->deps.parent, sizeof(run->a.parent));
    return run;
}

static void dispatch(struct sched *s, struct place *p, struct task *t)
{
    struct member *m = member_for(s, t);

    slot_event(&p->slot, SLOT_LEASE);
    task_move(t, TASK_LEASED);
    member_busy(m);
    m->pick_next = true;
    t->attempts++;
    if (t->first_run_ms == 0)
        t->first_run_ms = now_ms(s);
    p->run = attempt_create(s, p, t, m);
    s->n_running++;
    task_move(t, TASK_RUNNING);
    slot_event(&p->slot, SLOT_RUN);
    loop_timer_start(s->deps.loop, &p->timer, run_ms(s, t) + RUN_SLACK_MS, on_run_deadline);
    if (s->deps.on_start)
        s->deps.on_start(s->deps.arg, t, &p->run->a);
    s->deps.executor->run(s->deps.x, &p->run->a);
}

static struct place *free_place(struct sched *s)
{
    if (list_empty(&s->idle))
        return NULL;
    for (uint32_t i = 0; i < s->deps.slots; i++) {
        if (s->places[i].slot.state == SLOT_FREE)
            return &s->places[i];
    }
    return NULL;
}

static void tell_cancelled(struct sched *s)
{
    for (size_t i = 0; i < s->n_cancelled; i++)
        task_over_waiting(s, s->cancelled[i], TASK_CANCELLED, STATUS_CANCELLED,
                          "cancelled before it ran");
    s->n_cancelled = 0;
}

/* Hands out what can be handed out now. */
static void hand_out(struct sched *s)
{
    while (!s->paused) {
        struct place *p = free_place(s);
        struct task *t;

        switch (queue_next(s->queue, now_ms(s), p != NULL, &t)) {
        case QUEUE_RUN:
            dispatch(s, p, t);
            break;
        case QUEUE_EXPIRED:
            task_expired(s, t);
            break;
        case QUEUE_BLOCKED:
            task_over_waiting(s, t, TASK_BLOCKED, STATUS_BREAKER_OPEN,
                              "the target's circuit breaker is open");
            break;
        case QUEUE_NONE:
            return;
        }
    }
}

static void on_wake(struct loop_timer *t)
{
    pump_soon(container_of(t, struct sched, wake));
}

static void plan_wake(struct sched *s)
{
    uint64_t at = queue_next_ms(s->queue), now = now_ms(s), in;

    loop_timer_stop(&s->wake);
    if (queue_held(s->queue) > 0 && at > now + HOLD_POLL_MS)
        at = now + HOLD_POLL_MS;
    if (at == UINT64_MAX || (s->draining && s->n_running == 0))
        return;
    /* What is due and could not be handed out waits for a slot, not for time. */
    in = at > now ? at - now : 0;
    if (in > 0)
        loop_timer_start(s->deps.loop, &s->wake, in, on_wake);
}

static bool is_idle(const struct sched *s)
{
    return s->n_running == 0 && s->n_abandoned == 0 && (s->draining || queue_len(s->queue) == 0);
}

static void pump(void *arg)
{
    struct sched *s = arg;

    s->pump_posted = false;
    if (s->destroyed) {
        if (s->n_abandoned == 0)
            free(s);
        return;
    }
    tell_cancelled(s);
    if (queue_held(s->queue) > 0)
        queue_release(s->queue);
    if (!s->draining)
        hand_out(s);
    plan_wake(s);
    if (!is_idle(s) || s->pump_posted) {
        s->idle_told = false;
    } else if (!s->idle_told) {
        s->idle_told = true;
        s->deps.on_idle(s->deps.arg);
    }
}

static void pump_soon(struct sched *s)
{
    if (s->pump_posted)
        return;
    s->pump_posted = true;
    loop_defer(s->deps.loop, pump, s);
}

/* --- what others ask --- */

void sched_add(struct sched *s, struct task *t, const char *target, uint32_t submitter)
{
    BUG_ON(t->pin >= 0 && (size_t)t->pin >= s->deps.n_members);
    t->submitted_ms = now_ms(s);
    t->target = target;
    t->submitter = submitter;
    t->expires_ms = task_expiry(s, t);
    queue_add(s->queue, t, str_from(target), submitter);
    s->idle_told = false;
    pump_soon(s);
}

void sched_cancel(struct sched *s, struct task *t)
{
    t->cancel = true;
    if (t->lane) {
        queue_remove(s->queue, t);
        if (s->n_cancelled == s->cancelled_cap) {
            s->cancelled_cap = s->cancelled_cap ? s->cancelled_cap * 2 : 64;
            s->cancelled = xreallocarray(s->cancelled, s->cancelled_cap, sizeof(*s->cancelled));
        }
        s->cancelled[s->n_cancelled++] = t;
        pump_soon(s);
        return;
    }
    for (uint32_t i = 0; i < s->deps.slots; i++) {
        if (s->places[i].run && s->places[i].run->task == t)
            place_cancel(&s->places[i], STATUS_CANCELLED);
    }
}

static void cancel_running(struct sched *s)
{
    for (uint32_t i = 0; i < s->deps.slots; i++)
        place_cancel(&s->places[i], STATUS_SHUTTING_DOWN);
}

static void on_drain_deadline(struct loop_timer *t)
{
    cancel_running(container_of(t, struct sched, drain_timer));
}

void sched_drain(struct sched *s, uint64_t ms)
{
    s->draining = true;
    loop_timer_start(s->deps.loop, &s->drain_timer, ms, on_drain_deadline);
    pump_soon(s);
}

void sched_pause(struct sched *s, bool paused)
{
    s->paused = paused;
    pump_soon(s);
}

void sched_poke(struct sched *s)
{
    pump_soon(s);
}

void sched_target_changed(struct sched *s, struct str target)
{
    queue_target_changed(s->queue, target);
    pump_soon(s);
}

size_t sched_waiting(const struct sched *s)
{
    return queue_len(s->queue) + s->n_cancelled;
}

size_t sched_running(const struct sched *s)
{
    return s->n_running;
}

size_t sched_delayed(const struct sched *s)
{
    return queue_delayed(s->queue);
}

void sched_slot(const struct sched *s, uint32_t i, struct sched_slot_info *out)
{
    const struct place *p = &s->places[i];

    BUG_ON(i >= s->deps.slots);
    *out = (struct sched_slot_info){.state = p->slot.state, .generation = p->slot.generation};
    if (!p->run)
        return;
    out->task = p->run->task;
    out->member = p->run->a.member;
    out->age_ms = now_ms(s) - p->run->started_ms;
}
