/* Schedules. A row for each in the table; on the loop's side a timer, in one heap by the monotonic
 * clock (after_ms) or another by the wall (at_wall_ms), which may jump and is looked at each
 * second.
 *
 *   stored --due--> FIRING --emitted, or denied--> row deleted, gone
 *                      \--log unavailable--> stored, due again in a second
 *
 * While a call that replaces or ends a schedule is on its way the timer is held: it does not become
 * due. A crash between the emit and the deletion emits again with the same event id, which the log
 * knows. */
#include "core/substrate/local_internal.h"

#include <inttypes.h>

enum { WALL_CHECK_MS = 1000, RETRY_MS = 1000 };

struct timer {
    struct heap_node node;
    uint64_t due_ms; /* monotonic, or wall when by_wall */
    uint64_t number; /* tells this schedule from an earlier one of the same id */
    unsigned holds;
    bool exists, by_wall, firing;
    struct substrate_event ev;
    struct arena *arena; /* of the event's texts */
    char *id;
};

/* --- rows --- */

enum status run_schedule(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    enum status s = local_take_fences(l, 1, &c->value, e);

    if (s != STATUS_OK)
        return s;
    return local_exec(l, db, e, SQL_TIMER_PUT, "ziiiizzb", c->id, (int64_t)c->value,
                      (int64_t)c->at_wall_ms, (int64_t)c->due_wall_ms, (int64_t)c->ms, c->type,
                      c->name2, c->bytes);
}

enum status run_unschedule(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    enum status s = local_exec(l, db, e, SQL_TIMER_DELETE_ID, "z", c->id);

    if (s == STATUS_OK && sqlite3_changes(db) == 0)
        return err_set(e, STATUS_NOT_FOUND, "schedule %s: none waits", c->id);
    return s;
}

enum status run_fired(struct local *l, sqlite3 *db, struct call *c, struct err *e)
{
    return local_exec(l, db, e, SQL_TIMER_DELETE, "zi", c->id, (int64_t)c->fence);
}

/* --- timers --- */

static bool before(const struct heap_node *a, const struct heap_node *b)
{
    return container_of(a, const struct timer, node)->due_ms <
           container_of(b, const struct timer, node)->due_ms;
}

static struct heap *heap_of(struct local *l, const struct timer *t)
{
    return t->by_wall ? &l->by_wall : &l->by_mono;
}

static struct timer *find(struct local *l, const char *id)
{
    return map_find(l->timers, str_from(id));
}

static struct timer *find_or_make(struct local *l, const char *id)
{
    struct timer *t = find(l, id);

    if (t)
        return t;
    t = xcalloc(1, sizeof(*t));
    t->id = xstrdup(id);
    t->arena = arena_create(NULL, 0);
    (void)map_put(l->timers, str_from(id), t);
    return t;
}

static void free_timer(void *value)
{
    struct timer *t = value;

    arena_destroy(&t->arena);
    free(t->id);
    free(t);
}

static void on_due(struct loop_timer *due);

static void arm(struct local *l)
{
    struct heap_node *mono = heap_peek(&l->by_mono), *wall = heap_peek(&l->by_wall);
    uint64_t in_ms = WALL_CHECK_MS, now;

    if ((!mono && !wall) || l->base.closing) {
        loop_timer_stop(&l->due);
        return;
    }
    if (wall) {
        uint64_t due = container_of(wall, struct timer, node)->due_ms;

        now = loop_wall_ms(l->base.loop);
        in_ms = due <= now ? 0 : due - now < WALL_CHECK_MS ? due - now : WALL_CHECK_MS;
    }
    if (mono) {
        uint64_t due = container_of(mono, struct timer, node)->due_ms;

        now = loop_now_ms(l->base.loop);
        due = due > now ? due - now : 0;
        in_ms = wall && in_ms < due ? in_ms : due;
    }
    loop_timer_start(l->base.loop, &l->due, in_ms, on_due);
}

/* Into its heap when it may become due; forgotten when nothing speaks of it. */
static void settle(struct local *l, struct timer *t)
{
    if (heap_has(&t->node))
        heap_remove(heap_of(l, t), &t->node);
    if (t->holds == 0 && !t->exists && !t->firing) {
        (void)map_remove(l->timers, str_from(t->id));
        free_timer(t);
    } else if (t->holds == 0 && t->exists && !t->firing) {
        heap_push(heap_of(l, t), &t->node);
    }
    arm(l);
}

static void set(struct local *l, struct timer *t, const struct substrate_event *ev, uint64_t number,
                bool by_wall, uint64_t due_ms)
{
    if (heap_has(&t->node))
        heap_remove(heap_of(l, t), &t->node);
    arena_reset(t->arena);
    t->number = number;
    t->by_wall = by_wall;
    t->due_ms = due_ms;
    t->exists = true;
    t->firing = false;
    t->ev.type = arena_strdup(t->arena, ev->type);
    t->ev.subject = ev->subject ? arena_strdup(t->arena, ev->subject) : NULL;
    t->ev.id = arena_printf(t->arena, "schedule:%s:%" PRIu64, t->id, number);
    t->ev.data = arena_str(t->arena, ev->data);
}

/* --- due --- */

struct firing {
    struct local *l;
    uint64_t number;
    char *id;
};

static void answer_fired(struct call *c maybe_unused, enum status s maybe_unused,
                         const struct err *e maybe_unused)
{
}

static void delete_row(struct local *l, const struct firing *f)
{
    struct call *c = call_new(&l->base, CALL_FIRED, answer_fired, NULL);

    c->refused.status = STATUS_OK; /* also while closing */
    c->id = arena_strdup(c->arena, f->id);
    c->fence = f->number;
    call_start(c);
}

static void on_emitted(void *arg, enum status s, uint64_t seq maybe_unused,
                       bool duplicate maybe_unused, const struct err *e maybe_unused)
{
    struct firing *f = arg;
    struct local *l = f->l;
    struct timer *t = find(l, f->id);
    bool again = status_retryable(s) || s == STATUS_NO_SPACE || s == STATUS_IO;

    if (!again)
        delete_row(l, f);
    if (t && t->firing && t->number == f->number) {
        t->firing = false;
        t->exists = again;
        if (again && t->by_wall)
            t->due_ms = loop_wall_ms(l->base.loop) + RETRY_MS;
        else if (again)
            t->due_ms = loop_now_ms(l->base.loop) + RETRY_MS;
        settle(l, t);
    }
    free(f->id);
    free(f);
}

static void fire(struct local *l, struct timer *t)
{
    struct firing *f = xcalloc(1, sizeof(*f));

    f->l = l;
    f->number = t->number;
    f->id = xstrdup(t->id);
    t->firing = true;
    substrate_emit(&l->base, &t->ev, on_emitted, f);
}

static void fire_due(struct local *l, struct heap *h, uint64_t now)
{
    struct heap_node *n;

    while ((n = heap_peek(h)) && container_of(n, struct timer, node)->due_ms <= now) {
        (void)heap_pop(h);
        fire(l, container_of(n, struct timer, node));
    }
}

static void on_due(struct loop_timer *due)
{
    struct local *l = container_of(due, struct local, due);

    if (l->base.closing)
        return;
    fire_due(l, &l->by_mono, loop_now_ms(l->base.loop));
    fire_due(l, &l->by_wall, loop_wall_ms(l->base.loop));
    arm(l);
}

/* --- calls on their way --- */

bool timers_hold(struct local *l, struct call *c)
{
    struct timer *t = find(l, c->id);
    struct err *e = &c->refused;

    if (c->kind == CALL_UNSCHEDULE && t && t->firing && t->holds == 0)
        return err_set(e, STATUS_NOT_FOUND, "schedule %s: its event is being emitted", c->id),
               false;
    if (c->kind == CALL_SCHEDULE && !t && map_len(l->timers) >= SUBSTRATE_TIMERS_MAX)
        return err_set(e, STATUS_BUSY, "%d schedules wait already", SUBSTRATE_TIMERS_MAX), false;
    t = find_or_make(l, c->id);
    t->holds++;
    settle(l, t);
    return true;
}

void timers_release(struct local *l, struct call *c, enum status s)
{
    const struct substrate_event ev = {.type = c->type, .subject = c->name2, .data = c->bytes};
    struct timer *t = find(l, c->id);

    BUG_ON(!t || t->holds == 0);
    t->holds--;
    if (s == STATUS_OK && c->kind == CALL_SCHEDULE)
        set(l, t, &ev, c->value, c->at_wall_ms > 0,
            c->at_wall_ms > 0 ? c->at_wall_ms : c->now_ms + c->ms);
    else if (s == STATUS_OK)
        t->exists = false;
    settle(l, t);
}

/* --- life --- */

void timers_init(struct local *l)
{
    l->timers = map_create();
    heap_init(&l->by_mono, before);
    heap_init(&l->by_wall, before);
}

void timers_deinit(struct local *l)
{
    loop_timer_stop(&l->due);
    heap_deinit(&l->by_mono);
    heap_deinit(&l->by_wall);
    if (l->timers)
        map_destroy(&l->timers, free_timer);
}

/* What is left of after_ms by the wall clock, but not more than was asked for. */
static uint64_t left_of(uint64_t due_wall_ms, uint64_t after_ms, uint64_t wall_ms)
{
    uint64_t left = due_wall_ms > wall_ms ? due_wall_ms - wall_ms : 0;

    return left < after_ms ? left : after_ms;
}

enum status timers_load(struct local *l, sqlite3 *db, struct err *e)
{
    uint64_t wall = loop_wall_ms(l->base.loop), now = loop_now_ms(l->base.loop);
    sqlite3_stmt *row;
    enum status s = local_row(l, db, e, &row, SQL_TIMER_GET, "");

    while (s == STATUS_OK && row) {
        const char *id = (const char *)sqlite3_column_text(row, 0);
        const char *type = (const char *)sqlite3_column_text(row, 5);
        const char *data = sqlite3_column_blob(row, 7);
        const struct substrate_event ev = {
            .type = type ? type : "",
            .subject = (const char *)sqlite3_column_text(row, 6),
            .data = str_n(data ? data : "", (size_t)sqlite3_column_bytes(row, 7))};
        uint64_t at = local_u64(row, 2);
        struct timer *t = find_or_make(l, id ? id : "");

        set(l, t, &ev, local_u64(row, 1), at > 0,
            at > 0 ? at : now + left_of(local_u64(row, 3), local_u64(row, 4), wall));
        settle(l, t);
        s = local_next(db, &row, e);
    }
    return s;
}
