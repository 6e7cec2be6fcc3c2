/* The life of a call:
 *
 *   new -> started -> finished by the backend -> answered, freed
 *              \-> its time is over: answered UNAVAILABLE -> finished: freed
 *
 * All calls have the same time, so their deadlines come in the order of their starts: one list, one
 * timer. */
#include "core/substrate/substrate_internal.h"

#include "core/record/eventlog.h"

bool substrate_is_name(const char *z)
{
    size_t n = 0;

    for (; z && z[n]; n++)
        if (z[n] <= ' ' || z[n] > '~' || n >= SUBSTRATE_NAME_MAX)
            return false;
    return n > 0;
}

enum status substrate_init(struct substrate *s, const struct substrate_ops *ops, struct loop *l,
                           const struct substrate_opts *o, struct err *e)
{
    if (!substrate_is_name(o->node))
        return err_set(e, STATUS_INVALID,
                       "substrate: node \"%.64s\" is no name: expected 1..%d printable characters "
                       "without spaces",
                       o->node ? o->node : "", SUBSTRATE_NAME_MAX);
    s->ops = ops;
    s->loop = l;
    s->node = xstrdup(o->node);
    s->timeout_ms = o->timeout_ms ? o->timeout_ms : SUBSTRATE_TIMEOUT_MS;
    s->policy_ms = o->policy_ms ? o->policy_ms : SUBSTRATE_POLICY_MS;
    s->hlc = o->hlc ? o->hlc : &s->own_hlc;
    buf_init(&s->scratch, EVENT_BODY_MAX);
    s->awaits = map_create();
    list_init(&s->waiting);
    list_init(&s->emissions);
    list_init(&s->undecided);
    list_init(&s->live);
    return STATUS_OK;
}

void substrate_deinit(struct substrate *s)
{
    if (!s->node)
        return;
    emit_deinit(s);
    loop_timer_stop(&s->deadline);
    loop_timer_stop(&s->policy_timer);
    buf_deinit(&s->scratch);
    map_destroy(&s->awaits, NULL);
    free(s->node);
}

/* --- calls --- */

enum status substrate_check_room(const struct substrate *s, struct err *e)
{
    if (s->closing)
        return err_set(e, STATUS_SHUTTING_DOWN, "the substrate is closing");
    if (s->n_calls + s->n_emissions >= SUBSTRATE_PENDING_MAX)
        return err_set(e, STATUS_BUSY, "%zu calls wait for the substrate, the limit is %d",
                       s->n_calls + s->n_emissions, (int)SUBSTRATE_PENDING_MAX);
    return STATUS_OK;
}

struct call *call_new(struct substrate *s, enum call_kind kind, call_answer_fn *answer, void *arg)
{
    struct call *c = xcalloc(1, s->ops->call_size);

    c->s = s;
    c->kind = kind;
    c->answer = answer;
    c->arg = arg;
    c->now_ms = loop_now_ms(s->loop);
    c->arena = arena_create(NULL, 0);
    list_init(&c->link);
    (void)substrate_check_room(s, &c->refused);
    return c;
}

const char *call_name(struct call *c, const char *what, const char *name, bool optional)
{
    if (optional && (!name || !name[0]))
        return NULL;
    if (substrate_is_name(name))
        return arena_strdup(c->arena, name);
    if (c->refused.status == STATUS_OK)
        err_set(&c->refused, STATUS_INVALID,
                "%s \"%.64s\" is no name: expected 1..%d printable ASCII characters without spaces",
                what, name ? name : "", SUBSTRATE_NAME_MAX);
    return NULL;
}

static void call_free(struct call *c)
{
    struct substrate *s = c->s;

    arena_destroy(&c->arena);
    free(c);
    s->n_calls--;
    substrate_try_close(s);
}

static void on_refused(void *arg)
{
    struct call *c = arg;

    c->answer(c, c->refused.status, &c->refused);
    call_free(c);
}

static void on_deadline(struct loop_timer *t);

static void arm(struct substrate *s)
{
    struct call *first = list_first(&s->waiting, struct call, link);
    uint64_t now = loop_now_ms(s->loop);

    if (first)
        loop_timer_start(s->loop, &s->deadline,
                         first->deadline_ms > now ? first->deadline_ms - now : 0, on_deadline);
    else
        loop_timer_stop(&s->deadline);
}

static void on_deadline(struct loop_timer *t)
{
    struct substrate *s = container_of(t, struct substrate, deadline);
    struct list over = LIST_INIT(over), *link;
    uint64_t now = loop_now_ms(s->loop);
    struct call *c;

    while ((c = list_first(&s->waiting, struct call, link)) && c->deadline_ms <= now) {
        list_remove(&c->link);
        list_push(&over, &c->link);
        c->answered = true;
    }
    arm(s);
    while ((link = list_pop(&over))) {
        struct err e = ERR_INIT;

        c = list_entry(link, struct call, link);
        s->late++;
        err_set(&e, STATUS_UNAVAILABLE, "%s did not answer within %llu ms", s->ops->name,
                (unsigned long long)s->timeout_ms);
        c->answer(c, STATUS_UNAVAILABLE, &e);
    }
}

void call_start(struct call *c)
{
    struct substrate *s = c->s;

    s->n_calls++;
    if (c->refused.status != STATUS_OK) {
        loop_defer(s->loop, on_refused, c);
        return;
    }
    c->deadline_ms = loop_now_ms(s->loop) + s->timeout_ms;
    list_push(&s->waiting, &c->link);
    if (!loop_timer_is_active(&s->deadline))
        arm(s);
    s->ops->start(c);
}

void call_finish(struct call *c, enum status s, const struct err *e)
{
    struct err none = ERR_INIT;

    if (s != STATUS_OK && !e) {
        err_set(&none, s, "%s", status_text(s));
        e = &none;
    }
    list_remove(&c->link);
    if (list_empty(&c->s->waiting))
        loop_timer_stop(&c->s->deadline); /* nothing to wait for keeps the loop running */
    if (!c->answered) {
        c->answered = true;
        c->answer(c, s, s == STATUS_OK ? NULL : e);
    }
    call_free(c);
}

void call_appended(struct call *c)
{
    const struct substrate_logged ev = {
        .seq = c->value, .at = c->at, .type = c->type, .subject = c->name2, .envelope = c->bytes};

    if (c->duplicate)
        return;
    if (c->value > c->s->last)
        c->s->last = c->value;
    await_event(c->s, &ev);
}

/* --- the end --- */

void substrate_try_close(struct substrate *s)
{
    if (!s->closing || s->backend_closing || s->n_calls > 0 || map_len(s->awaits) > 0 ||
        !list_empty(&s->emissions))
        return;
    s->backend_closing = true;
    s->ops->close(s);
}

static void on_closing(void *arg)
{
    struct substrate *s = arg;

    emit_close(s);
    await_close(s);
    s->n_calls--;
    substrate_try_close(s);
}

void substrate_close(struct substrate *s, void (*closed)(void *arg), void *arg)
{
    BUG_ON(s->closing);
    s->closing = true;
    s->closed = closed;
    s->closed_arg = arg;
    s->n_calls++; /* until what waits was told */
    loop_defer(s->loop, on_closing, s);
}

void substrate_closed(struct substrate *s)
{
    void (*closed)(void *) = s->closed;
    void *arg = s->closed_arg;

    substrate_deinit(s);
    free(s);
    if (closed)
        closed(arg);
}

uint64_t substrate_epoch(const struct substrate *s)
{
    return s->epoch;
}

size_t substrate_pending(const struct substrate *s)
{
    return s->n_calls;
}

uint64_t substrate_late(const struct substrate *s)
{
    return s->late;
}

uint64_t substrate_last(const struct substrate *s)
{
    return s->last;
}
