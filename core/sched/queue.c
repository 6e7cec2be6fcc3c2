/* Invariants, checked in tests by queue_check:
 * - a target is in the eligible heap, the waiting heap or the held list exactly when it has a ready
 * lane;
 * - a lane is ready (in its target's heap) or parked (with its member) exactly when its heap has a
 * task;
 * - lanes live as long as a task refers to them, delayed ones included; targets as long as a lane
 * does. */
#include "core/sched/queue.h"

#include "core/base/map.h"

enum place { PLACE_NONE, PLACE_ELIGIBLE, PLACE_WAITING, PLACE_HELD };

struct target {
    struct str name;
    enum place place;
    struct heap_node node; /* eligible or waiting */
    struct list held;
    struct heap lanes; /* ready ones */
    size_t n_lanes;
    size_t n_tasks;
    int16_t priority; /* of its first ready lane */
    uint64_t at_ms;   /* when it has a token, while waiting */
    uint64_t tick;    /* when it was last served */
    uint64_t seq;
};

struct queue_lane {
    struct target *target;
    uint32_t submitter;
    int32_t pin;
    int16_t priority; /* of its first task: beside its tick, so that comparing touches no task */
    struct heap tasks;
    size_t n;              /* tasks that refer to it */
    struct heap_node node; /* among its target's ready lanes */
    struct list parked;    /* with its member; or in no list */
    struct list all;
    uint64_t tick, seq;
};

/* What finds a lane again: 16 bytes, without padding. */
struct lane_key {
    const struct target *target;
    uint32_t submitter;
    int32_t pin;
};

struct queue {
    struct queue_guards guards;
    struct map *targets, *lanes;
    struct heap eligible, waiting, delayed, expire;
    struct list held, all_lanes;
    struct list *parked; /* by member */
    size_t n_parked;
    size_t n_tasks;
    uint64_t tick, seq;
    bool hold;
};

/* --- orders --- */

static const struct task *top_task(const struct queue_lane *l)
{
    return container_of(heap_peek(&l->tasks), struct task, node);
}

static struct queue_lane *top_lane(const struct target *t)
{
    return container_of(heap_peek(&t->lanes), struct queue_lane, node);
}

static bool task_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct task *x = container_of(a, struct task, node);
    const struct task *y = container_of(b, struct task, node);

    return x->priority != y->priority ? x->priority > y->priority : x->seq < y->seq;
}

static bool lane_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct queue_lane *x = container_of(a, struct queue_lane, node);
    const struct queue_lane *y = container_of(b, struct queue_lane, node);

    if (x->priority != y->priority)
        return x->priority > y->priority;
    return x->tick != y->tick ? x->tick < y->tick : x->seq < y->seq;
}

static bool eligible_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct target *x = container_of(a, struct target, node);
    const struct target *y = container_of(b, struct target, node);

    if (x->priority != y->priority)
        return x->priority > y->priority;
    return x->tick != y->tick ? x->tick < y->tick : x->seq < y->seq;
}

static bool waiting_before(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct target, node)->at_ms <
           container_of(b, struct target, node)->at_ms;
}

static bool delayed_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct task *x = container_of(a, struct task, node);
    const struct task *y = container_of(b, struct task, node);

    return x->not_before_ms != y->not_before_ms ? x->not_before_ms < y->not_before_ms
                                                : x->seq < y->seq;
}

static bool expire_before(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, struct task, expire)->expires_ms <
           container_of(b, struct task, expire)->expires_ms;
}

/* --- making --- */

struct queue *queue_create(const struct queue_guards *guards)
{
    struct queue *q = xcalloc(1, sizeof(*q));

    q->guards = *guards;
    q->targets = map_create();
    q->lanes = map_create();
    heap_init(&q->eligible, eligible_before);
    heap_init(&q->waiting, waiting_before);
    heap_init(&q->delayed, delayed_before);
    heap_init(&q->expire, expire_before);
    list_init(&q->held);
    list_init(&q->all_lanes);
    return q;
}

static void lane_free(void *p)
{
    struct queue_lane *l = p;

    heap_deinit(&l->tasks);
    free(l);
}

static void target_free(void *p)
{
    struct target *t = p;

    heap_deinit(&t->lanes);
    free(t);
}

void queue_destroy(struct queue **qp)
{
    struct queue *q = *qp;

    if (!q)
        return;
    /* A heap touches its elements when it goes: outer ones first. */
    heap_deinit(&q->eligible);
    heap_deinit(&q->waiting);
    heap_deinit(&q->delayed);
    heap_deinit(&q->expire);
    map_destroy(&q->targets, target_free);
    map_destroy(&q->lanes, lane_free);
    free(q->parked);
    free(q);
    *qp = NULL;
}

/* --- where a target stands --- */

static void target_leave(struct queue *q, struct target *t)
{
    if (t->place == PLACE_ELIGIBLE)
        heap_remove(&q->eligible, &t->node);
    else if (t->place == PLACE_WAITING)
        heap_remove(&q->waiting, &t->node);
    else if (t->place == PLACE_HELD)
        list_remove(&t->held);
    t->place = PLACE_NONE;
}

static void target_enter(struct queue *q, struct target *t, enum place place)
{
    target_leave(q, t);
    t->place = place;
    if (place == PLACE_ELIGIBLE)
        heap_push(&q->eligible, &t->node);
    else if (place == PLACE_WAITING)
        heap_push(&q->waiting, &t->node);
    else if (place == PLACE_HELD)
        list_push(&q->held, &t->held);
}

/* Its ready lanes, or the first of them, changed. */
static void target_settle(struct queue *q, struct target *t)
{
    if (t->lanes.len == 0) {
        target_leave(q, t);
        return;
    }
    t->priority = top_lane(t)->priority;
    if (t->place == PLACE_NONE)
        target_enter(q, t, PLACE_ELIGIBLE);
    else if (t->place == PLACE_ELIGIBLE)
        heap_update(&q->eligible, &t->node);
}

static struct target *target_get(struct queue *q, struct str name)
{
    struct target *t = map_find(q->targets, name);
    char *copy;

    if (t)
        return t;
    t = xcalloc(1, sizeof(*t) + name.len + 1);
    copy = (char *)(t + 1);
    memcpy(copy, name.ptr, name.len);
    t->name = str_n(copy, name.len);
    t->tick = q->tick;
    t->seq = ++q->seq;
    list_init(&t->held);
    heap_init(&t->lanes, lane_before);
    map_put(q->targets, name, t);
    return t;
}

/* --- where a lane stands --- */

static bool lane_is_parked(const struct queue_lane *l)
{
    return !list_empty(&l->parked);
}

static struct str lane_key(struct lane_key *k, const struct queue_lane *l)
{
    *k = (struct lane_key){l->target, l->submitter, l->pin};
    return str_n((const char *)k, sizeof(*k));
}

static struct queue_lane *lane_get(struct queue *q, struct target *t, uint32_t submitter,
                                   int32_t pin)
{
    const struct queue_lane like = {.target = t, .submitter = submitter, .pin = pin};
    struct lane_key key;
    struct queue_lane *l = map_find(q->lanes, lane_key(&key, &like));

    if (l)
        return l;
    l = xcalloc(1, sizeof(*l));
    *l = like;
    heap_init(&l->tasks, task_before);
    list_init(&l->parked);
    list_push(&q->all_lanes, &l->all);
    l->tick = q->tick;
    l->seq = ++q->seq;
    t->n_lanes++;
    map_put(q->lanes, lane_key(&key, l), l);
    return l;
}

/* A task of it went. */
static void lane_unref(struct queue *q, struct queue_lane *l)
{
    struct target *t = l->target;
    struct lane_key key;

    t->n_tasks--;
    if (--l->n > 0)
        return;
    BUG_ON(heap_has(&l->node) || lane_is_parked(l));
    map_remove(q->lanes, lane_key(&key, l));
    list_remove(&l->all);
    lane_free(l);
    if (--t->n_lanes > 0)
        return;
    BUG_ON(t->place != PLACE_NONE);
    map_remove(q->targets, t->name);
    target_free(t);
}

/* Its tasks, or the first of them, changed. */
static void lane_settle(struct queue *q, struct queue_lane *l)
{
    if (l->tasks.len > 0)
        l->priority = top_task(l)->priority;
    if (l->tasks.len == 0) {
        heap_remove(&l->target->lanes, &l->node);
        list_remove(&l->parked);
    } else if (heap_has(&l->node)) {
        heap_update(&l->target->lanes, &l->node);
    } else if (!lane_is_parked(l)) {
        heap_push(&l->target->lanes, &l->node);
    }
    target_settle(q, l->target);
}

static void lane_park(struct queue *q, struct queue_lane *l)
{
    size_t member = (size_t)l->pin;

    if (member >= q->n_parked) {
        size_t n = member + 1 > q->n_parked * 2 ? member + 1 : q->n_parked * 2;
        struct list *moved = xcalloc(n, sizeof(*moved));

        for (size_t i = 0; i < n; i++) {
            list_init(&moved[i]);
            if (i < q->n_parked)
                list_splice(&moved[i], &q->parked[i]);
        }
        free(q->parked);
        q->parked = moved;
        q->n_parked = n;
    }
    heap_remove(&l->target->lanes, &l->node);
    list_push(&q->parked[member], &l->parked);
    target_settle(q, l->target);
}

void queue_member_idle(struct queue *q, uint32_t member)
{
    struct list *link;

    if (member >= q->n_parked)
        return;
    while ((link = list_pop(&q->parked[member]))) {
        struct queue_lane *l = list_entry(link, struct queue_lane, parked);

        heap_push(&l->target->lanes, &l->node);
        target_settle(q, l->target);
    }
}

/* --- tasks in and out --- */

void queue_add(struct queue *q, struct task *t, struct str target, uint32_t submitter)
{
    struct target *to = target_get(q, target);
    struct queue_lane *l = lane_get(q, to, submitter, t->pin);

    BUG_ON(t->lane || (t->state != TASK_PENDING && t->state != TASK_DELAYED));
    t->lane = l;
    t->seq = ++q->seq;
    l->n++;
    to->n_tasks++;
    q->n_tasks++;
    if (t->expires_ms)
        heap_push(&q->expire, &t->expire);
    if (t->state == TASK_DELAYED) {
        heap_push(&q->delayed, &t->node);
        return;
    }
    heap_push(&l->tasks, &t->node);
    lane_settle(q, l);
}

void queue_remove(struct queue *q, struct task *t)
{
    struct queue_lane *l = t->lane;

    BUG_ON(!l);
    heap_remove(&q->expire, &t->expire);
    if (t->state == TASK_DELAYED) {
        heap_remove(&q->delayed, &t->node);
    } else {
        heap_remove(&l->tasks, &t->node);
        lane_settle(q, l);
    }
    t->lane = NULL;
    q->n_tasks--;
    lane_unref(q, l);
}

struct task *queue_drop(struct queue *q)
{
    struct heap_node *n = heap_peek(&q->delayed);
    struct task *t;

    if (!n && list_empty(&q->all_lanes))
        return NULL;
    if (!n)
        n = heap_peek(&list_first(&q->all_lanes, struct queue_lane, all)->tasks);
    t = container_of(n, struct task, node);
    queue_remove(q, t);
    return t;
}

/* --- what is next --- */

static void wake_delayed(struct queue *q, uint64_t now_ms)
{
    struct heap_node *n;

    while ((n = heap_peek(&q->delayed))) {
        struct task *t = container_of(n, struct task, node);

        if (t->not_before_ms > now_ms)
            return;
        heap_pop(&q->delayed);
        task_move(t, TASK_PENDING);
        heap_push(&t->lane->tasks, &t->node);
        lane_settle(q, t->lane);
    }
}

static void wake_targets(struct queue *q, uint64_t now_ms)
{
    struct heap_node *n;

    while ((n = heap_peek(&q->waiting))) {
        struct target *t = container_of(n, struct target, node);

        if (t->at_ms > now_ms)
            return;
        target_enter(q, t, PLACE_ELIGIBLE);
    }
}

static struct task *expired(struct queue *q, uint64_t now_ms)
{
    struct heap_node *n = heap_peek(&q->expire);
    struct task *t = n ? container_of(n, struct task, expire) : NULL;

    if (!t || t->expires_ms > now_ms)
        return NULL;
    queue_remove(q, t);
    return t;
}

/* Takes the first task of the lane out: it was this target's and lane's turn. */
static struct task *serve(struct queue *q, struct queue_lane *l)
{
    struct task *t = container_of(heap_peek(&l->tasks), struct task, node);

    l->target->tick = l->tick = ++q->tick;
    queue_remove(q, t);
    return t;
}

/* One look at the first of the eligible targets. QUEUE_NONE: it made room for the next. */
static enum queue_verdict try_target(struct queue *q, struct target *t, uint64_t now_ms,
                                     struct task **out)
{
    struct queue_lane *l = container_of(heap_peek(&t->lanes), struct queue_lane, node);
    uint64_t wait;

    if (!q->guards.allow(q->guards.arg, t->name)) {
        if (q->hold) {
            target_enter(q, t, PLACE_HELD);
            return QUEUE_NONE;
        }
        *out = serve(q, l);
        return QUEUE_BLOCKED;
    }
    if (l->pin >= 0 && !q->guards.is_idle(q->guards.arg, (uint32_t)l->pin)) {
        lane_park(q, l);
        return QUEUE_NONE;
    }
    wait = q->guards.take(q->guards.arg, t->name, now_ms);
    if (wait > 0) {
        t->at_ms = now_ms + wait;
        target_enter(q, t, PLACE_WAITING);
        return QUEUE_NONE;
    }
    *out = serve(q, l);
    return QUEUE_RUN;
}

enum queue_verdict queue_next(struct queue *q, uint64_t now_ms, bool can_run, struct task **out)
{
    enum queue_verdict v = QUEUE_NONE;
    struct heap_node *n;

    wake_delayed(q, now_ms);
    *out = expired(q, now_ms);
    if (*out)
        return QUEUE_EXPIRED;
    if (!can_run)
        return QUEUE_NONE;
    wake_targets(q, now_ms);
    while (v == QUEUE_NONE && (n = heap_peek(&q->eligible)))
        v = try_target(q, container_of(n, struct target, node), now_ms, out);
    return v;
}

uint64_t queue_next_ms(const struct queue *q)
{
    const struct heap_node *n;
    uint64_t at = UINT64_MAX;

    if ((n = heap_peek(&q->waiting)))
        at = container_of(n, struct target, node)->at_ms;
    if ((n = heap_peek(&q->delayed)) && container_of(n, struct task, node)->not_before_ms < at)
        at = container_of(n, struct task, node)->not_before_ms;
    if ((n = heap_peek(&q->expire)) && container_of(n, struct task, expire)->expires_ms < at)
        at = container_of(n, struct task, expire)->expires_ms;
    return at;
}

/* --- breakers and limits --- */

void queue_hold_blocked(struct queue *q, bool hold)
{
    q->hold = hold;
    if (!hold)
        queue_release(q);
}

void queue_release(struct queue *q)
{
    while (!list_empty(&q->held))
        target_enter(q, list_first(&q->held, struct target, held), PLACE_ELIGIBLE);
}

void queue_target_changed(struct queue *q, struct str target)
{
    struct target *t = map_find(q->targets, target);

    if (t && t->place == PLACE_WAITING)
        target_enter(q, t, PLACE_ELIGIBLE);
}

/* --- counts --- */

size_t queue_len(const struct queue *q)
{
    return q->n_tasks;
}

size_t queue_delayed(const struct queue *q)
{
    return q->delayed.len;
}

size_t queue_held(const struct queue *q)
{
    size_t n = 0;

    list_for_each (it, &q->held)
        n += list_entry(it, struct target, held)->n_tasks;
    return n;
}

size_t queue_target_len(const struct queue *q, struct str target)
{
    const struct target *t = map_find(q->targets, target);

    return t ? t->n_tasks : 0;
}
