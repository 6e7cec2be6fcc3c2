/* Invariants:
 * - a target is in the eligible heap, the waiting heap or the held list exactly when it has a ready
 * lane;
 * - a lane is ready (in its target's heap) or parked (with its member) exactly when it has a line;
 * - a line has a task; the lines of a lane stand in order of priority, the highest last;
 * - lanes live as long as a task refers to them, delayed ones included; targets as long as a lane
 * does.
 *
 * All orders are 64-bit numbers that stand in the heaps' own arrays, so that a decision touches the
 * memory of what it decides on and not of its neighbours. */
#include "core/sched/queue.h"

#include "core/base/keyheap.h"
#include "core/base/map.h"

enum place { PLACE_NONE, PLACE_ELIGIBLE, PLACE_WAITING, PLACE_HELD };

struct target {
    struct str name;
    struct queue_door door;
    enum place place;
    struct keyheap_node node; /* eligible or waiting */
    struct list held;
    struct keyheap lanes;    /* ready ones */
    struct queue_lane *last; /* a lane of it, the one that was looked for last; or NULL */
    struct known *known;     /* the place that may speak of it; or NULL */
    size_t n_lanes;
    size_t n_tasks;
    uint64_t at_ms; /* when it has a token; 0: ask */
    uint64_t turn;  /* when it was last served */
};

/* Tasks of one priority, first come first. */
struct line {
    struct task *first, *last;
    int16_t priority;
};

struct queue_lane {
    struct target *target;
    uint32_t submitter;
    int32_t pin;
    struct line *lines; /* the highest priority last */
    uint32_t n_lines, lines_cap;
    struct keyheap_node node; /* among its target's ready lanes */
    size_t n;                 /* tasks that refer to it */
    uint64_t turn;            /* when it was last served */
    struct list parked;       /* with its member; or in no list */
    struct list all;
};

/* What finds a lane again: 16 bytes, without padding. */
struct lane_key {
    const struct target *target;
    uint32_t submitter;
    int32_t pin;
};

/* The target that a name at this address was last. A task's submitter has one text for a target, so
 * that most need no look into the map; which name it is is compared all the same. */
struct known {
    uintptr_t name;
    struct target *target; /* NULL: none */
};
enum { KNOWN = 2048 };

struct queue {
    struct queue_guards guards;
    struct map *targets, *lanes;
    struct known known[KNOWN];
    struct keyheap eligible, waiting, delayed, expire;
    struct list held, all_lanes;
    struct list *parked; /* by member */
    size_t n_parked;
    size_t n_tasks;
    uint64_t turn;
    bool hold;
};

/* --- orders --- */

/* The higher priority first, then who was not served for longest: 11 bits and 53. */
static uint64_t turn_key(int16_t priority, uint64_t turn)
{
    return (uint64_t)(TASK_PRIORITY_MAX - priority) << 53 | turn;
}
_Static_assert(2 * TASK_PRIORITY_MAX < 1 << 11, "a priority is 11 bits of a key");

static int16_t lane_priority(const struct queue_lane *l)
{
    return l->lines[l->n_lines - 1].priority;
}

static struct queue_lane *top_lane(const struct target *t)
{
    return container_of(keyheap_peek(&t->lanes), struct queue_lane, node);
}

static struct task *first_task(const struct queue_lane *l)
{
    return l->lines[l->n_lines - 1].first;
}

/* --- making --- */

struct queue *queue_create(const struct queue_guards *guards)
{
    struct queue *q = xcalloc(1, sizeof(*q));

    q->guards = *guards;
    q->targets = map_create();
    q->lanes = map_create();
    list_init(&q->held);
    list_init(&q->all_lanes);
    return q;
}

static void lane_free(void *p)
{
    struct queue_lane *l = p;

    free(l->lines);
    free(l);
}

static void target_free(void *p)
{
    struct target *t = p;

    keyheap_deinit(&t->lanes);
    free(t);
}

void queue_destroy(struct queue **qp)
{
    struct queue *q = *qp;

    if (!q)
        return;
    /* A heap touches its elements when it goes: outer ones first. */
    keyheap_deinit(&q->eligible);
    keyheap_deinit(&q->waiting);
    keyheap_deinit(&q->delayed);
    keyheap_deinit(&q->expire);
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
        keyheap_remove(&q->eligible, &t->node);
    else if (t->place == PLACE_WAITING)
        keyheap_remove(&q->waiting, &t->node);
    else if (t->place == PLACE_HELD)
        list_remove(&t->held);
    t->place = PLACE_NONE;
}

static uint64_t target_key(const struct target *t)
{
    return turn_key(lane_priority(top_lane(t)), t->turn);
}

static void target_enter(struct queue *q, struct target *t, enum place place)
{
    target_leave(q, t);
    t->place = place;
    if (place == PLACE_ELIGIBLE)
        keyheap_push(&q->eligible, &t->node, target_key(t));
    else if (place == PLACE_WAITING)
        keyheap_push(&q->waiting, &t->node, t->at_ms);
    else if (place == PLACE_HELD)
        list_push(&q->held, &t->held);
}

/* Its ready lanes, or the first of them, changed. */
static void target_settle(struct queue *q, struct target *t)
{
    if (t->lanes.len == 0)
        target_leave(q, t);
    else if (t->place == PLACE_NONE)
        target_enter(q, t, t->at_ms ? PLACE_WAITING : PLACE_ELIGIBLE);
    else if (t->place == PLACE_ELIGIBLE)
        keyheap_update(&q->eligible, &t->node, target_key(t));
}

static struct known *known_at(struct queue *q, struct str name)
{
    return &q->known[((uintptr_t)name.ptr * UINT64_C(0x9e3779b97f4a7c15)) >> 53];
}
_Static_assert(KNOWN == 1 << (64 - 53), "a place for each hash");

static struct target *target_make(struct queue *q, struct str name)
{
    struct target *t;
    char *copy;

    t = xcalloc(1, sizeof(*t) + name.len + 1);
    copy = (char *)(t + 1);
    memcpy(copy, name.ptr, name.len);
    t->name = str_n(copy, name.len);
    t->turn = ++q->turn;
    list_init(&t->held);
    q->guards.open(q->guards.arg, t->name, &t->door);
    map_put(q->targets, name, t);
    return t;
}

static struct target *target_get(struct queue *q, struct str name)
{
    struct known *k = known_at(q, name);
    struct target *t = k->target;

    if (t && k->name == (uintptr_t)name.ptr && str_eq(t->name, name))
        return t;
    t = map_find(q->targets, name);
    if (!t)
        t = target_make(q, name);
    *k = (struct known){(uintptr_t)name.ptr, t};
    if (t->known && t->known != k)
        t->known->target = NULL; /* one place each, so that it can be found when the target goes */
    t->known = k;
    return t;
}

/* --- lines of tasks --- */

/* Where a line of this priority stands, or would. */
static uint32_t line_place(const struct queue_lane *l, int16_t priority)
{
    uint32_t lo = 0, hi = l->n_lines;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;

        if (l->lines[mid].priority < priority)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct line *line_get(struct queue_lane *l, int16_t priority)
{
    uint32_t i = line_place(l, priority);

    if (i < l->n_lines && l->lines[i].priority == priority)
        return &l->lines[i];
    if (l->n_lines == l->lines_cap) {
        l->lines_cap = l->lines_cap ? 2 * l->lines_cap : 1;
        l->lines = xreallocarray(l->lines, l->lines_cap, sizeof(*l->lines));
    }
    memmove(&l->lines[i + 1], &l->lines[i], (l->n_lines - i) * sizeof(*l->lines));
    l->lines[i] = (struct line){.priority = priority};
    l->n_lines++;
    return &l->lines[i];
}

static void line_push(struct queue_lane *l, struct task *t)
{
    struct line *line = line_get(l, t->priority);

    t->line.next = NULL;
    t->line.prev = line->last;
    if (line->last)
        line->last->line.next = t;
    else
        line->first = t;
    line->last = t;
}

static void line_remove(struct queue_lane *l, struct task *t)
{
    uint32_t i = line_place(l, t->priority);
    struct line *line = &l->lines[i];

    BUG_ON(i == l->n_lines || line->priority != t->priority);
    if (line->first == t) { /* the next one's memory is left alone until its turn comes */
        line->first = t->line.next;
    } else {
        t->line.prev->line.next = t->line.next;
        if (line->last == t)
            line->last = t->line.prev;
        else
            t->line.next->line.prev = t->line.prev;
    }
    if (line->first)
        return;
    l->n_lines--;
    memmove(line, line + 1, (l->n_lines - i) * sizeof(*line));
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

static struct queue_lane *lane_find(struct queue *q, struct target *t, uint32_t submitter,
                                    int32_t pin)
{
    const struct queue_lane like = {.target = t, .submitter = submitter, .pin = pin};
    struct queue_lane *l = t->last;
    struct lane_key key;

    if (!l || l->submitter != submitter || l->pin != pin)
        l = map_find(q->lanes, lane_key(&key, &like));
    return l;
}

static struct queue_lane *lane_get(struct queue *q, struct target *t, uint32_t submitter,
                                   int32_t pin)
{
    struct queue_lane *l = lane_find(q, t, submitter, pin);
    struct lane_key key;

    t->last = l;
    if (l)
        return l;
    l = xcalloc(1, sizeof(*l));
    *l = (struct queue_lane){.target = t, .submitter = submitter, .pin = pin, .turn = ++q->turn};
    list_init(&l->parked);
    list_push(&q->all_lanes, &l->all);
    t->n_lanes++;
    t->last = l;
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
    BUG_ON(keyheap_has(&l->node) || lane_is_parked(l));
    map_remove(q->lanes, lane_key(&key, l));
    list_remove(&l->all);
    if (t->last == l)
        t->last = NULL;
    lane_free(l);
    if (--t->n_lanes > 0)
        return;
    BUG_ON(t->place != PLACE_NONE);
    map_remove(q->targets, t->name);
    if (t->known && t->known->target == t)
        t->known->target = NULL;
    target_free(t);
}

static void lane_enter(struct queue_lane *l)
{
    keyheap_push(&l->target->lanes, &l->node, turn_key(lane_priority(l), l->turn));
}

/* Its tasks, or the first of them, changed. */
static void lane_settle(struct queue *q, struct queue_lane *l)
{
    if (l->n_lines == 0) {
        keyheap_remove(&l->target->lanes, &l->node);
        list_remove(&l->parked);
    } else if (keyheap_has(&l->node)) {
        keyheap_update(&l->target->lanes, &l->node, turn_key(lane_priority(l), l->turn));
    } else if (!lane_is_parked(l)) {
        lane_enter(l);
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
    keyheap_remove(&l->target->lanes, &l->node);
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

        lane_enter(l);
        target_settle(q, l->target);
    }
}

/* --- tasks in and out --- */

void queue_add(struct queue *q, struct task *t, struct str target, uint32_t submitter)
{
    struct target *to = target_get(q, target);
    struct queue_lane *l = lane_get(q, to, submitter, t->pin);
    bool is_first;

    BUG_ON(t->lane || (t->state != TASK_PENDING && t->state != TASK_DELAYED));
    t->lane = l;
    l->n++;
    to->n_tasks++;
    q->n_tasks++;
    if (t->expires_ms)
        keyheap_push(&q->expire, &t->expire, t->expires_ms);
    if (t->state == TASK_DELAYED) {
        keyheap_push(&q->delayed, &t->delayed, t->not_before_ms);
        return;
    }
    is_first = l->n_lines == 0 || t->priority > lane_priority(l);
    line_push(l, t);
    if (is_first)
        lane_settle(q, l);
}

void queue_remove(struct queue *q, struct task *t)
{
    struct queue_lane *l = t->lane;

    BUG_ON(!l);
    keyheap_remove(&q->expire, &t->expire);
    if (t->state == TASK_DELAYED) {
        keyheap_remove(&q->delayed, &t->delayed);
    } else {
        line_remove(l, t);
        lane_settle(q, l);
    }
    t->lane = NULL;
    q->n_tasks--;
    lane_unref(q, l);
}

struct task *queue_drop(struct queue *q)
{
    struct keyheap_node *n = keyheap_peek(&q->delayed);
    struct task *t;

    if (!n && list_empty(&q->all_lanes))
        return NULL;
    t = n ? container_of(n, struct task, delayed)
          : first_task(list_first(&q->all_lanes, struct queue_lane, all));
    queue_remove(q, t);
    return t;
}

/* --- what is next --- */

static void wake_delayed(struct queue *q, uint64_t now_ms)
{
    while (q->delayed.len > 0 && keyheap_least(&q->delayed) <= now_ms) {
        struct task *t = container_of(keyheap_peek(&q->delayed), struct task, delayed);

        keyheap_remove(&q->delayed, &t->delayed);
        task_move(t, TASK_PENDING);
        line_push(t->lane, t);
        lane_settle(q, t->lane);
    }
}

static void wake_targets(struct queue *q, uint64_t now_ms)
{
    while (q->waiting.len > 0 && keyheap_least(&q->waiting) <= now_ms) {
        struct target *t = container_of(keyheap_peek(&q->waiting), struct target, node);

        t->at_ms = 0;
        target_enter(q, t, PLACE_ELIGIBLE);
    }
}

static struct task *expired(struct queue *q, uint64_t now_ms)
{
    struct task *t;

    if (q->expire.len == 0 || keyheap_least(&q->expire) > now_ms)
        return NULL;
    t = container_of(keyheap_peek(&q->expire), struct task, expire);
    queue_remove(q, t);
    return t;
}

/* Takes the first task of the lane out: it was this target's and lane's turn. */
static struct task *serve(struct queue *q, struct queue_lane *l)
{
    struct task *t = first_task(l);

    l->target->turn = l->turn = ++q->turn;
    queue_remove(q, t);
    return t;
}

/* A task is met once, when its turn comes, and is then in nobody's cache. */
static void fetch(const struct task *t)
{
    __builtin_prefetch(t, 1);
    __builtin_prefetch(&t->pin, 1);
}

/* What is likely to be next, while the caller is busy with this one. */
static void fetch_next(const struct queue *q)
{
    const struct keyheap_node *n = keyheap_peek(&q->eligible);

    if (n)
        fetch(first_task(top_lane(container_of(n, struct target, node))));
}

/* One look at the first of the eligible targets. QUEUE_NONE: it made room for the next. */
static enum queue_verdict try_target(struct queue *q, struct target *t, uint64_t now_ms,
                                     struct task **out)
{
    struct queue_lane *l = top_lane(t);
    uint64_t wait, then_ms = 0;

    fetch(first_task(l));
    if (!q->guards.allow(q->guards.arg, &t->door)) {
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
    wait = q->guards.take(q->guards.arg, &t->door, now_ms, &then_ms);
    if (wait > 0) {
        t->at_ms = now_ms + wait;
        target_enter(q, t, PLACE_WAITING);
        return QUEUE_NONE;
    }
    /* out of the heap first, so that it is settled once, where it goes next */
    target_leave(q, t);
    t->at_ms = then_ms > 0 ? now_ms + then_ms : 0;
    *out = serve(q, l);
    return QUEUE_RUN;
}

enum queue_verdict queue_next(struct queue *q, uint64_t now_ms, bool can_run, struct task **out)
{
    enum queue_verdict v = QUEUE_NONE;

    wake_delayed(q, now_ms);
    *out = expired(q, now_ms);
    if (*out)
        return QUEUE_EXPIRED;
    if (!can_run)
        return QUEUE_NONE;
    wake_targets(q, now_ms);
    while (v == QUEUE_NONE && q->eligible.len > 0)
        v = try_target(q, container_of(keyheap_peek(&q->eligible), struct target, node), now_ms,
                       out);
    fetch_next(q);
    return v;
}

uint64_t queue_next_ms(const struct queue *q)
{
    uint64_t at = keyheap_least(&q->waiting);

    at = keyheap_least(&q->delayed) < at ? keyheap_least(&q->delayed) : at;
    return keyheap_least(&q->expire) < at ? keyheap_least(&q->expire) : at;
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

    if (!t)
        return;
    t->at_ms = 0;
    if (t->place == PLACE_WAITING)
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
