/* Attempts: that they began, are about to do what cannot be done twice, and ended. All of a turn of
 * the loop go to the store in one row a batch, so that an attempt costs twelve bytes there.
 *
 * An attempt begins without waiting for its entry: what is lost by a crash within those few
 * milliseconds is a count. But where the process before this one crashed, a task of ours may be the
 * reason; then every attempt waits until its beginning is durable, so that a task that kills the
 * engine at once is found out (TASK_LOST_MAX). What is about to be done is always waited for. */
#include "core/coord/engine_internal.h"

enum { ROW_MAX = 16 * 1024 * 1024 };

struct log_row {
    struct store_log l; /* first */
    struct engine *engine;
    struct waiting {
        struct attempt *attempt;
        void (*go)(void *arg, enum status s, const struct err *e); /* NULL: it begins */
        void *arg;
    } * waiting;
    size_t n, cap;
};

static void row_free(struct log_row *r)
{
    buf_deinit(&r->l.entries);
    free(r->waiting);
    free(r);
}

static void begin_failed(struct attempt *a, enum status s, const struct err *er)
{
    a->status = s;
    a->err = *er;
    err_prefix(&a->err, "its beginning could not be noted");
}

static void on_row(struct store_log *l, enum status s, const struct err *er)
{
    struct log_row *r = container_of(l, struct log_row, l);
    struct engine *e = r->engine;

    e->n_logging--;
    if (s != STATUS_OK)
        engine_fail(e, s, er);
    for (size_t i = 0; i < r->n; i++) {
        struct waiting *w = &r->waiting[i];

        if (w->go) {
            w->go(w->arg, s, er);
            continue;
        }
        if (s != STATUS_OK)
            begin_failed(w->attempt, s, er);
        sched_go(w->attempt);
    }
    row_free(r);
    engine_check_end(e);
}

void engine_log_flush(struct engine *e)
{
    while (!list_empty(&e->dirty)) {
        struct batch *b = list_first(&e->dirty, struct batch, dirty);
        struct log_row *r = b->log;

        list_remove(&b->dirty);
        b->log = NULL;
        r->l.id = (uint64_t)b->n << 32 | b->log_rows++;
        r->l.done = on_row;
        e->n_logging++;
        store_log_submit(e->store, &r->l);
    }
}

static void on_turn(void *arg)
{
    struct engine *e = arg;

    e->flush_posted = false;
    loop_release(e->loop);
    engine_log_flush(e);
}

static struct log_row *row_of(struct batch *b)
{
    struct engine *e = b->engine;

    if (!b->log) {
        b->log = xcalloc(1, sizeof(*b->log));
        b->log->engine = e;
        buf_init(&b->log->l.entries, ROW_MAX);
        list_push(&e->dirty, &b->dirty);
    }
    if (!e->flush_posted) {
        e->flush_posted = true;
        loop_hold(e->loop);
        loop_defer(e->loop, on_turn, e);
    }
    return b->log;
}

void engine_log_drop(struct batch *b)
{
    if (!b->log)
        return;
    BUG_ON(b->log->n > 0);
    list_remove(&b->dirty);
    row_free(b->log);
    b->log = NULL;
}

void engine_log(struct batch *b, const struct task *t, uint16_t attempt, enum store_step step)
{
    const struct store_entry entry = {t->index, t->stage, attempt, step};

    store_entry_add(&row_of(b)->l.entries, &entry);
}

static void wait_for_row(struct batch *b, const struct waiting *w)
{
    struct log_row *r = row_of(b);

    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 8;
        r->waiting = xreallocarray(r->waiting, r->cap, sizeof(*r->waiting));
    }
    r->waiting[r->n++] = *w;
}

bool engine_log_begin(void *arg, const struct task *t, struct attempt *a)
{
    struct engine *e = arg;
    const struct waiting w = {.attempt = a};

    if (!e->waits_for_begin)
        return true;
    wait_for_row(t->owner, &w);
    return false;
}

void engine_log_confirm(struct attempt *a,
                        void (*go)(void *arg, enum status s, const struct err *e), void *arg)
{
    const struct waiting w = {.attempt = a, .go = go, .arg = arg};
    struct batch *b = a->owner;
    const struct task *t = &b->tasks[a->task_index];

    engine_log(b, t, t->attempts, STORE_CONFIRMED);
    wait_for_row(b, &w);
}
