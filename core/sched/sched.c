#include "core/sched/sched_internal.h"

#include <stdio.h>

#include "core/guard/breaker.h"
#include "core/guard/limit.h"

enum {
    ATTEMPT_ARENA_MAX = 64 * 1024 * 1024,
    CONCURRENCY_POLL_MS = 1000, /* a full target is asked again this often, and when a task ends */
    RUN_SLACK_MS = 100,  /* the executor's own deadline comes first: its sentence says more */
    HOLD_POLL_MS = 1000, /* breakers of tasks that wait for a reset are asked again this often */
};

/* --- the queue's questions --- */

static void guard_open(void *arg, struct str target, struct queue_door *out)
{
    struct sched *s = arg;
    struct sched_target *t = map_find(s->targets, target);

    if (!t) {
        t = xcalloc(1, sizeof(*t));
        t->limit = limiter_target(s->deps.limiter, target);
        t->breaker = breaker_target(s->deps.breaker, target);
        map_put(s->targets, target, t);
    }
    *out = (struct queue_door){.limit = t, .breaker = t->breaker};
}

static uint64_t guard_take(void *arg, const struct queue_door *d, uint64_t now, uint64_t *then_ms)
{
    struct sched *s = arg;
    struct sched_target *t = d->limit;

    if (s->deps.target_concurrency && t->running >= s->deps.target_concurrency)
        return CONCURRENCY_POLL_MS;
    return limiter_target_take(s->deps.limiter, t->limit, now, then_ms);
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
    s->targets = map_create();
    s->deps.slots = 0;
    sched_scale(s, deps->slots);
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
    for (uint32_t i = 0; i < s->n_places; i++)
        free(s->places[i]);
    free(s->places);
    free(s->cancelled);
    map_destroy(&s->targets, free);
    s->places = NULL;
    s->n_places = 0;
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

void sched_member_idle(struct sched *s, struct member *m)
{
    m->busy = false;
    m->last_used_ms = sched_now_ms(s);
    list_push(&s->idle, &m->idle_link);
    queue_member_idle(s->queue, m->index);
}

bool sched_member_take(struct sched *s, struct member *m)
{
    (void)s;
    if (m->busy)
        return false;
    member_busy(m);
    return true;
}

void sched_member_give(struct sched *s, struct member *m)
{
    sched_member_idle(s, m);
    sched_pump_soon(s);
}

static struct member *member_for(struct sched *s, const struct task *t)
{
    if (t->pin >= 0)
        return s->deps.members[t->pin];
    return list_first(&s->idle, struct member, idle_link);
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
    if (end <= sched_now_ms(s))
        return 1;
    return end - sched_now_ms(s) < run ? end - sched_now_ms(s) : run;
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
    run->started_ms = sched_now_ms(s);
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
        .deadline_ms = sched_now_ms(s) + run_ms(s, t),
        .arena = arena,
        .credit = true,
        .artifacts_dir = s->deps.artifacts_dir,
        .error_step = -1,
        .done = sched_attempt_done,
        .sched = run,
    };
    if (s->deps.parent)
        memcpy(run->a.parent, s->deps.parent, sizeof(run->a.parent));
    return run;
}

static void count_target(struct sched *s, const struct task *t)
{
    struct sched_target *target;

    if (!s->deps.target_concurrency)
        return;
    target = map_find(s->targets, str_from(t->target));
    if (target)
        target->running++;
}

static void dispatch(struct sched *s, struct place *p, struct task *t)
{
    struct member *m = member_for(s, t);

    slot_event(&p->slot, SLOT_LEASE);
    s->free_places[p->slot.index / 64] &= ~(UINT64_C(1) << p->slot.index % 64);
    task_move(t, TASK_LEASED);
    member_busy(m);
    m->pick_next = true;
    t->attempts++;
    if (t->first_run_ms == 0)
        t->first_run_ms = sched_now_ms(s);
    p->run = attempt_create(s, p, t, m);
    s->n_running++;
    if (s->n_running > s->n_peak)
        s->n_peak = s->n_running;
    count_target(s, t);
    task_move(t, TASK_RUNNING);
    slot_event(&p->slot, SLOT_RUN);
    loop_timer_start(s->deps.loop, &p->timer, run_ms(s, t) + RUN_SLACK_MS, sched_on_run_deadline);
    if (s->deps.on_start)
        s->deps.on_start(s->deps.arg, t, &p->run->a);
    p->run->waiting = s->deps.begin && !s->deps.begin(s->deps.arg, t, &p->run->a);
    if (!p->run->waiting)
        s->deps.executor->run(s->deps.x, &p->run->a);
}

void sched_go(struct attempt *a)
{
    struct run_attempt *run = a->sched;
    struct sched *s = run->sched;

    BUG_ON(!run->waiting);
    run->waiting = false;
    if (s->destroyed)
        return;
    if (run->why == STATUS_OK && a->status == STATUS_OK) {
        s->deps.executor->run(s->deps.x, a);
        return;
    }
    if (a->status == STATUS_OK)
        a->status = STATUS_CANCELLED;
    sched_attempt_done(a);
}

static struct place *free_place(struct sched *s)
{
    if (list_empty(&s->idle))
        return NULL;
    for (uint32_t i = 0; i * 64 < s->deps.slots; i++) {
        uint64_t word = s->free_places[i];
        uint32_t at = word ? i * 64 + (uint32_t)__builtin_ctzll(word) : UINT32_MAX;

        if (word)
            return at < s->deps.slots ? s->places[at] : NULL;
    }
    return NULL;
}

/* While nothing holds them back: each has its receipt, and there may be very many. */
static void tell_cancelled(struct sched *s)
{
    while (s->n_cancelled > s->told_cancelled && !s->paused)
        sched_task_over(s, s->cancelled[s->told_cancelled++], TASK_CANCELLED, STATUS_CANCELLED,
                        "cancelled before it ran");
    if (s->told_cancelled == s->n_cancelled)
        s->told_cancelled = s->n_cancelled = 0;
}

/* A slot for the next task, NULL: it has to wait for one, or for what else it needs. */
static struct place *next_place(struct sched *s)
{
    struct place *p = queue_len(s->queue) > 0 ? free_place(s) : NULL;

    return p != NULL && s->deps.may_begin != NULL && !s->deps.may_begin(s->deps.arg) ? NULL : p;
}

/* Hands out what can be handed out now. */
static void hand_out(struct sched *s)
{
    while (!s->paused) {
        struct place *p = next_place(s);
        struct task *t;

        switch (queue_next(s->queue, sched_now_ms(s), p != NULL, &t)) {
        case QUEUE_RUN:
            dispatch(s, p, t);
            break;
        case QUEUE_EXPIRED:
            sched_task_expired(s, t);
            break;
        case QUEUE_BLOCKED:
            sched_task_over(s, t, TASK_BLOCKED, STATUS_BREAKER_OPEN,
                            "the target's circuit breaker is open");
            break;
        case QUEUE_NONE:
            return;
        }
    }
}

static void on_wake(struct loop_timer *t)
{
    sched_pump_soon(container_of(t, struct sched, wake));
}

static void plan_wake(struct sched *s)
{
    uint64_t at = queue_next_ms(s->queue), now = sched_now_ms(s), in;

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
    return s->n_running == 0 && s->n_abandoned == 0 &&
           (s->draining || (queue_len(s->queue) == 0 && s->n_cancelled == 0));
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

void sched_pump_soon(struct sched *s)
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
    t->submitted_ms = sched_now_ms(s);
    t->target = target;
    t->submitter = submitter;
    t->expires_ms = sched_task_expiry(s, t);
    queue_add(s->queue, t, str_from(target), submitter);
    s->idle_told = false;
    sched_pump_soon(s);
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
        sched_pump_soon(s);
        return;
    }
    for (uint32_t i = 0; i < s->n_places; i++) {
        if (s->places[i]->run && s->places[i]->run->task == t)
            sched_place_cancel(s->places[i], STATUS_CANCELLED);
    }
}

static void cancel_running(struct sched *s)
{
    for (uint32_t i = 0; i < s->n_places; i++)
        sched_place_cancel(s->places[i], STATUS_SHUTTING_DOWN);
}

static void on_drain_deadline(struct loop_timer *t)
{
    cancel_running(container_of(t, struct sched, drain_timer));
}

void sched_drain(struct sched *s, uint64_t ms)
{
    s->draining = true;
    loop_timer_start(s->deps.loop, &s->drain_timer, ms, on_drain_deadline);
    sched_pump_soon(s);
}

void sched_pause(struct sched *s, bool paused)
{
    s->paused = paused;
    sched_pump_soon(s);
}

void sched_poke(struct sched *s)
{
    sched_pump_soon(s);
}

void sched_target_changed(struct sched *s, struct str target)
{
    queue_target_changed(s->queue, target);
    sched_pump_soon(s);
}

/* --- at run time --- */

void sched_scale(struct sched *s, uint32_t slots)
{
    BUG_ON(slots > SCHED_SLOTS_MAX);
    if (slots > s->n_places) {
        s->places = xreallocarray(s->places, slots, sizeof(struct place *));
        for (uint32_t i = s->n_places; i < slots; i++) {
            s->places[i] = xcalloc(1, sizeof(**s->places));
            s->places[i]->slot.index = i;
            s->places[i]->sched = s;
            s->free_places[i / 64] |= UINT64_C(1) << i % 64;
        }
        s->n_places = slots;
    }
    s->deps.slots = slots;
    sched_pump_soon(s);
}

void sched_set(struct sched *s, const struct sched_deadlines *deadlines,
               const struct sched_retry *retry)
{
    s->deps.deadlines = *deadlines;
    s->deps.retry = *retry;
}

void sched_set_concurrency(struct sched *s, uint32_t of_target)
{
    struct sched_target *t;
    size_t it = 0;

    s->deps.target_concurrency = of_target;
    while ((t = map_next(s->targets, &it, NULL)))
        t->running = 0;
    for (uint32_t i = 0; i < s->n_places; i++) {
        if (s->places[i]->run)
            count_target(s, s->places[i]->run->task);
    }
    sched_pump_soon(s);
}

/* --- what can be asked --- */

size_t sched_waiting(const struct sched *s)
{
    return queue_len(s->queue) + s->n_cancelled - s->told_cancelled;
}

size_t sched_running(const struct sched *s)
{
    return s->n_running;
}

size_t sched_peak(struct sched *s)
{
    size_t peak = s->n_peak;

    s->n_peak = s->n_running;
    return peak;
}

size_t sched_delayed(const struct sched *s)
{
    return queue_delayed(s->queue);
}

size_t sched_abandoned(const struct sched *s)
{
    return s->n_abandoned;
}

uint32_t sched_slots(const struct sched *s)
{
    uint32_t n = s->n_places;

    while (n > s->deps.slots && !s->places[n - 1]->run)
        n--;
    return n;
}

void sched_slot(const struct sched *s, uint32_t i, struct sched_slot_info *out)
{
    const struct place *p;

    BUG_ON(i >= s->n_places);
    p = s->places[i];
    *out = (struct sched_slot_info){.state = p->slot.state, .generation = p->slot.generation};
    if (!p->run)
        return;
    out->task = p->run->task;
    out->attempt = &p->run->a;
    out->member = p->run->a.member;
    out->age_ms = sched_now_ms(s) - p->run->started_ms;
}
