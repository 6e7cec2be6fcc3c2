/* Members that become somebody else: on a schedule, after a reputation hit, or when asked, as the
 * campaign says (members.rotate), never while they have a task.
 *
 *   due before its next task:  dispatched -> TURNING (the attempt is held back) -> the attempt goes
 *   asked for:                 idle -> taken from the scheduler -> TURNING -> given back
 *                              busy -> the same when its task has ended
 *
 * TURNING: whom it becomes is made; the receipt "identity.rotated" and the row `rotated` are made
 * durable in one step; then the store has the new one in place of the old; then the member and the
 * executor forget the old one. Killed in between, the next process finds the row. */
#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/coord/engine_internal.h"
#include "core/coord/events.h"
#include "core/fleet/rotate.h"

#include <stdio.h>

struct turning {
    struct engine *engine;
    struct member *member;
    struct attempt *attempt; /* that waits for it; NULL: it was asked for */
    const struct task *task; /* of the attempt */
    const char *why;         /* static */
    engine_rotated_fn *done; /* NULL: nobody waits for the answer */
    void *arg;
    struct rotation rotation;
    struct store_rotated row;
    unsigned char leaf[AUDIT_LEAF];
    struct err err;
};

/* --- what earlier processes left --- */

struct rotated {
    uint64_t at_ms;
    char next[];
};

static void remember(void *arg, const char *id, const char *next, uint64_t at_ms)
{
    struct map *m = arg;
    size_t n = strlen(next) + 1;
    struct rotated *r = xcalloc(1, sizeof(*r) + n);

    r->at_ms = at_ms;
    memcpy(r->next, next, n);
    free(map_put(m, str_from(id), r));
}

enum status engine_load_rotated(struct engine *e, struct err *er)
{
    e->rotated = map_create();
    return store_read_rotated(logdb_path(e->logdb), remember, e->rotated, er);
}

const char *engine_next_of(void *arg, const char *id, uint64_t *since_ms)
{
    const struct engine *e = arg;
    const struct rotated *r = map_find(e->rotated, str_from(id));

    if (!r)
        return NULL;
    *since_ms = r->at_ms;
    return r->next;
}

/* --- the end of it --- */

static void tell(struct turning *t)
{
    struct engine *e = t->engine;
    char text[192];

    if (t->err.status != STATUS_OK) {
        err_prefix(&t->err, "member %u could not become another identity", t->member->index);
        engine_fail(e, t->err.status, &t->err);
        return;
    }
    e->tally.identities++;
    snprintf(text, sizeof(text), "%s is %s from now on: %s", t->row.id, t->row.next, t->why);
    log_info(NULL, "identity.rotated", LOG_U64("member", t->member->index),
             LOG_STR("from", t->row.id), LOG_STR("to", t->row.next), LOG_STR("why", t->why));
    events_rotated(e, t->member->index, t->row.id, t->row.next, t->why, t->leaf);
    ENGINE_TELL(e, on_event, "identity rotated", t->member, text);
}

static void release(struct turning *t)
{
    struct engine *e = t->engine;
    struct attempt *a = t->attempt;

    if (!a) {
        if (e->sched)
            sched_member_give(e->sched, t->member);
        return;
    }
    t->member->n_tasks++;
    if (t->err.status != STATUS_OK) {
        a->status = t->err.status;
        a->err = t->err;
    } else if (!engine_log_begin(e, t->task, a)) {
        return; /* it waits for its beginning to be durable, and goes then */
    }
    sched_go(a);
}

static void turned(struct turning *t)
{
    struct engine *e = t->engine;

    tell(t);
    release(t);
    if (t->done)
        t->done(t->arg, t->err.status, t->row.id, t->row.next, t->leaf, &t->err);
    rotation_drop(&t->rotation);
    free(t);
    engine_closed_one(e);
}

static void on_kept(void *arg, enum status s, const struct err *er)
{
    struct turning *t = arg;
    struct engine *e = t->engine;

    if (s == STATUS_OK) {
        if (e->executor && e->opts.kit->executor->renew)
            e->opts.kit->executor->renew(e->executor, t->member, t->rotation.identity);
        rotation_take(t->member, &t->rotation, t->row.at_ms);
    } else {
        t->err = *er;
        t->err.status = s;
    }
    turned(t);
}

static void on_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                       const struct err *er)
{
    struct turning *t = arg;

    (void)seq;
    if (s != STATUS_OK) {
        t->err = *er;
        t->err.status = s;
        turned(t);
        return;
    }
    memcpy(t->leaf, leaf, AUDIT_LEAF);
    remember(t->engine->rotated, t->row.id, t->row.next, t->row.at_ms);
    rotation_keep(&t->engine->members, t->member, &t->rotation, on_kept, t);
}

/* --- its beginning --- */

static void append(struct turning *t)
{
    struct json *j = json_new_object();
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct receipt receipt = {
        .kind = "identity.rotated",
        .member = t->row.id,
        .outcome = "ok",
        .with = &t->row.with,
    };

    json_add_str(j, "from", t->row.id);
    json_add_num(j, "member", t->member->index);
    json_add_num(j, "rotation", t->member->n_rotations + 1);
    json_add_str(j, "to", t->row.next);
    json_add_str(j, "why", t->why);
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        receipt.payload = buf_str(&payload);
    if (t->attempt)
        receipt.parent = t->attempt->parent;
    store_with_rotated(t->engine->store, &t->row);
    audit_append(t->engine->audit, &receipt, on_receipt, t);
    buf_deinit(&payload);
    json_destroy(&j);
}

static void on_not_made(void *arg)
{
    turned(arg);
}

/* The member is the caller's until `turned`. */
static void turn(struct turning *t)
{
    struct engine *e = t->engine;
    struct member *m = t->member;

    e->n_closing++;
    t->row.at_ms = loop_wall_ms(e->loop);
    snprintf(t->row.id, sizeof(t->row.id), "%s", m->identity->id);
    if (rotation_make(&e->members, m, &t->rotation, &t->err) != STATUS_OK) {
        loop_defer(e->loop, on_not_made, t);
        return;
    }
    snprintf(t->row.next, sizeof(t->row.next), "%s", t->rotation.identity->id);
    append(t);
}

/* deps.begin of the scheduler: before the attempt is the executor's. */
bool engine_rotate_begin(void *arg, const struct task *task, struct attempt *a)
{
    struct engine *e = arg;
    const char *why = rotation_due(&e->conf->members.rotate, a->member, loop_wall_ms(e->loop));
    struct turning *t;

    if (!why) {
        a->member->n_tasks++;
        return engine_log_begin(e, task, a);
    }
    t = xcalloc(1, sizeof(*t));
    *t = (struct turning){.engine = e, .member = a->member, .attempt = a, .task = task, .why = why};
    turn(t);
    return false;
}

/* --- asked for --- */

static void turn_asked(struct engine *e, struct member *m, engine_rotated_fn *done, void *arg)
{
    struct turning *t = xcalloc(1, sizeof(*t));

    *t = (struct turning){.engine = e, .member = m, .why = "asked", .done = done, .arg = arg};
    turn(t);
}

static void look(void *arg)
{
    struct engine *e = arg;

    e->look_posted = false;
    loop_release(e->loop);
    e->n_asked = 0;
    for (size_t i = 0; i < e->members.n; i++) {
        struct member *m = e->members.v[i];

        if (!m->rotate_asked)
            continue;
        if (e->sched && e->state < ENGINE_STOPPING && sched_member_take(e->sched, m))
            turn_asked(e, m, NULL, NULL);
        else
            e->n_asked++;
    }
}

void engine_rotate_look(struct engine *e)
{
    if (e->n_asked == 0 || e->look_posted)
        return;
    e->look_posted = true;
    loop_hold(e->loop);
    loop_defer(e->loop, look, e);
}

struct asking {
    struct engine *engine;
    engine_rotated_fn *done;
    void *arg;
    struct err err;
    char id[64];
};

static void on_asked(void *arg)
{
    struct asking a = *(struct asking *)arg;

    free(arg);
    loop_release(a.engine->loop);
    a.done(a.arg, a.err.status, a.id, NULL, NULL, &a.err);
}

void engine_rotate(struct engine *e, struct member *m, engine_rotated_fn *done, void *arg)
{
    struct asking *a;

    if (e->state < ENGINE_STOPPING && e->sched && sched_member_take(e->sched, m)) {
        turn_asked(e, m, done, arg);
        return;
    }
    a = xcalloc(1, sizeof(*a));
    *a = (struct asking){.engine = e, .done = done, .arg = arg};
    snprintf(a->id, sizeof(a->id), "%s", m->identity->id);
    if (e->state >= ENGINE_STOPPING)
        err_set(&a->err, STATUS_SHUTTING_DOWN, "the engine is %s", engine_state_name(e->state));
    else if (!m->rotate_asked)
        e->n_asked++;
    m->rotate_asked = m->rotate_asked || a->err.status == STATUS_OK;
    loop_hold(e->loop);
    loop_defer(e->loop, on_asked, a);
}
