/* Awaits: first what the log has, then what comes.
 *
 *   SCANNING --nothing up to the newest--> LIVE --event--> answered
 *        \--match--> answered                  either --deadline, cancel--> answered
 *
 * What comes is told on this thread (await_event), so between the last page of a scan and LIVE
 * nothing is missed. */
#include "core/substrate/substrate_internal.h"

enum { PAGE = 256 };

struct await {
    struct substrate *s;
    struct list link; /* in s->live, or in nothing */
    struct loop_timer timer;
    uint64_t id, after;
    uint64_t seen; /* newest event when the page was asked for */
    char *type, *subject;
    bool scanning;  /* a page is under way */
    bool over;      /* the deadline came meanwhile: the page's answer is still heard */
    bool cancelled; /* its answer is on the way */
    substrate_events_fn *fn;
    void *arg;
};

static void free_await(struct await *w)
{
    loop_timer_stop(&w->timer);
    list_remove(&w->link);
    free(w->type);
    free(w->subject);
    free(w);
}

static void finish(struct await *w, enum status st, const struct substrate_logged *ev,
                   const struct err *e)
{
    struct substrate *s = w->s;
    substrate_events_fn *fn = w->fn;
    void *arg = w->arg;

    (void)map_remove_u64(s->awaits, w->id);
    free_await(w);
    fn(arg, st, ev, ev ? 1 : 0, e);
    substrate_try_close(s);
}

static void finish_with(struct await *w, enum status st, const char *what)
{
    struct err e = ERR_INIT;

    err_set(&e, st, "await %s%s%s: %s", w->type ? w->type : "any event", w->subject ? " of " : "",
            w->subject ? w->subject : "", what);
    finish(w, st, NULL, &e);
}

static bool matches(const struct await *w, const struct substrate_logged *ev)
{
    if (w->cancelled || ev->seq <= w->after || (w->type && strcmp(w->type, ev->type) != 0))
        return false;
    return !w->subject || (ev->subject && strcmp(w->subject, ev->subject) == 0);
}

/* --- the log --- */

/* Reads answer with the await's id: it may be gone by then. */
struct page {
    struct substrate *s;
    uint64_t id;
};

static void scan(struct await *w);

static void on_page(void *arg, enum status st, const struct substrate_logged *v, size_t n,
                    const struct err *e)
{
    struct page *p = arg;
    struct await *w = map_find_u64(p->s->awaits, p->id);

    free(p);
    if (!w || w->cancelled)
        return;
    w->scanning = false;
    if (st != STATUS_OK) {
        finish(w, st, NULL, e);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (matches(w, &v[i])) {
            finish(w, STATUS_OK, &v[i], NULL);
            return;
        }
    w->after = n > 0 ? v[n - 1].seq : w->seen;
    if (w->over)
        finish_with(w, STATUS_TIMEOUT, "none came in time");
    else
        scan(w);
}

static void scan(struct await *w)
{
    struct page *p;

    if (w->after >= w->s->last) {
        list_push(&w->s->live, &w->link);
        return;
    }
    p = xcalloc(1, sizeof(*p));
    p->s = w->s;
    p->id = w->id;
    w->seen = w->s->last;
    w->scanning = true;
    substrate_read(w->s, w->after, w->type, PAGE, on_page, p);
}

/* --- what comes --- */

void await_event(struct substrate *s, const struct substrate_logged *ev)
{
    struct list hits = LIST_INIT(hits), *link;

    list_for_each_safe (it, &s->live) {
        if (matches(list_entry(it, struct await, link), ev)) {
            list_remove(it);
            list_push(&hits, it);
        }
    }
    while ((link = list_pop(&hits)))
        finish(list_entry(link, struct await, link), STATUS_OK, ev, NULL);
}

/* --- begin and end --- */

static void on_timeout(struct loop_timer *t)
{
    struct await *w = container_of(t, struct await, timer);

    if (w->scanning)
        w->over = true;
    else
        finish_with(w, STATUS_TIMEOUT, "none came in time");
}

static void on_cancelled(struct loop_timer *t)
{
    struct await *w = container_of(t, struct await, timer);

    finish_with(w, w->s->closing ? STATUS_SHUTTING_DOWN : STATUS_CANCELLED,
                w->s->closing ? "the substrate is closing" : "cancelled");
}

static void answer_refused(struct call *c, enum status s, const struct err *e)
{
    c->fn.events(c->arg, s, NULL, 0, e);
}

static void check(struct call *c, const struct substrate_match *m, uint64_t timeout_ms)
{
    if (c->refused.status != STATUS_OK)
        return;
    (void)call_name(c, "subject", m->subject, true);
    if (m->type && m->type[0] && !envelope_is_type(m->type))
        err_set(&c->refused, STATUS_INVALID, "await: \"%.64s\" is no type of events", m->type);
    else if (timeout_ms > SUBSTRATE_WAIT_MAX_MS)
        err_set(&c->refused, STATUS_INVALID, "await: %llu ms, the longest is %d",
                (unsigned long long)timeout_ms, SUBSTRATE_WAIT_MAX_MS);
    else if (map_len(c->s->awaits) >= SUBSTRATE_AWAITS_MAX)
        err_set(&c->refused, STATUS_BUSY, "%d awaits wait already", SUBSTRATE_AWAITS_MAX);
}

struct substrate_await_id substrate_await(struct substrate *s, const struct substrate_match *m,
                                          uint64_t timeout_ms, substrate_events_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_READ, answer_refused, arg);
    struct await *w;

    check(c, m, timeout_ms);
    if (c->refused.status != STATUS_OK) {
        c->fn.events = done;
        call_start(c);
        return (struct substrate_await_id){0};
    }
    arena_destroy(&c->arena);
    free(c);
    w = xcalloc(1, sizeof(*w));
    w->s = s;
    w->id = ++s->next_await;
    w->after = m->after == SUBSTRATE_NOW ? s->last : m->after;
    w->type = m->type && m->type[0] ? xstrdup(m->type) : NULL;
    w->subject = m->subject && m->subject[0] ? xstrdup(m->subject) : NULL;
    w->fn = done;
    w->arg = arg;
    list_init(&w->link);
    (void)map_put_u64(s->awaits, w->id, w);
    loop_timer_start(s->loop, &w->timer, timeout_ms, on_timeout);
    scan(w);
    return (struct substrate_await_id){w->id};
}

void substrate_await_cancel(struct substrate *s, struct substrate_await_id id)
{
    struct await *w = map_find_u64(s->awaits, id.v);

    if (!w || w->cancelled)
        return;
    list_remove(&w->link);
    w->cancelled = true;
    loop_timer_start(s->loop, &w->timer, 0, on_cancelled);
}

void await_close(struct substrate *s)
{
    struct await *w;
    size_t it = 0;

    while ((w = map_next(s->awaits, &it, NULL)))
        substrate_await_cancel(s, (struct substrate_await_id){w->id});
}
