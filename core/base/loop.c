/* One libuv loop with our own timers, watches, posts and deferred calls on top.
 *
 * A turn is one uv_run(UV_RUN_ONCE):
 *
 *     foreign uv timers -> prepare: [due timers, one round of deferred calls], choose the wait
 *         -> poll (watches, posts, signals, finished work) -> check: [due timers, one round of
 * deferred calls] -> closes
 *
 * Timers live in our heap, not in uv_timer_t, because those may be freed only after a close
 * callback; a timer of ours is out of everything the moment it is stopped. One uv_timer ("tick")
 * bounds the sleep. What a round of timers or deferred calls adds waits for the next round, and
 * descriptors are polled in between, so that nothing starves.
 *
 * The prepare handle is started first and libuv runs the latest first: ours is the last word before
 * the sleep, and what libraries that joined the loop defer from their own prepare handles is still
 * run. Our handles are unreferenced: whether the loop has something to wait for is decided in
 * is_alive, and prepare is referenced during a turn so that libuv makes the turn at all. */
#include "core/base/loop.h"
#include "core/base/loop_internal.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <uv.h>

struct call {
    loop_post_fn *fn;
    void *arg;
};
struct calls {
    struct call *v;
    size_t len, cap;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t tick;
    uv_async_t async;
    const struct clock *clock;
    uint64_t now_ms;
    bool has_now;    /* now_ms is this turn's; false while polling and between turns */
    bool in_turn;    /* uv_run is on the stack */
    bool until_idle; /* this turn is loop_run's */
    bool stopping, closing;
    uint64_t wait_max_ms;
    struct heap timers;
    uint64_t timer_seq;
    size_t holds;
    struct loop_watches watches;
    struct list signals;
    struct calls deferred, deferred_spare;
    pthread_mutex_t lock; /* guards `posted`; dropped while calls run */
    struct calls posted, posted_spare;
};

struct loop_sig {
    uv_signal_t handle;
    struct list link;
    struct loop *loop;
    loop_signal_fn *fn;
    void *arg;
    int signum;
};

/* --- queues of calls --- */

static void calls_add(struct calls *c, loop_post_fn *fn, void *arg)
{
    if (c->len == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        struct call *v = xcalloc(cap, sizeof(*v));

        if (c->len)
            memcpy(v, c->v, c->len * sizeof(*v));
        free(c->v);
        c->v = v;
        c->cap = cap;
    }
    c->v[c->len++] = (struct call){fn, arg};
}

/* Takes all of `c`, leaving the empty `spare` in its place, so that calls add to a list that is not
 * being walked. */
static struct calls calls_take(struct calls *c, struct calls *spare)
{
    struct calls taken = *c;

    *c = *spare;
    *spare = (struct calls){0};
    return taken;
}

static void calls_run(struct calls *c)
{
    for (size_t i = 0; i < c->len; i++)
        c->v[i].fn(c->v[i].arg);
    c->len = 0;
}

/* --- time --- */

static void refresh(struct loop *l)
{
    l->now_ms = clock_mono_ms(l->clock);
    l->has_now = true;
}

void loop_enter_callback(struct loop *l)
{
    if (!l->has_now)
        refresh(l);
}

uint64_t loop_now_ms(const struct loop *l)
{
    return l->has_now ? l->now_ms : clock_mono_ms(l->clock);
}

void loop_update_now(struct loop *l)
{
    if (l->in_turn)
        refresh(l);
}

uint64_t loop_wall_ms(const struct loop *l)
{
    return clock_wall_ms(l->clock);
}

const struct clock *loop_clock(const struct loop *l)
{
    return l->clock;
}

/* --- timers --- */

static bool timer_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct loop_timer *ta = container_of(a, const struct loop_timer, node);
    const struct loop_timer *tb = container_of(b, const struct loop_timer, node);

    if (ta->at_ms != tb->at_ms)
        return ta->at_ms < tb->at_ms;
    return ta->seq < tb->seq;
}

static struct loop_timer *timer_first(const struct loop *l)
{
    struct heap_node *n = heap_peek(&l->timers);

    return n ? container_of(n, struct loop_timer, node) : NULL;
}

void loop_timer_start(struct loop *l, struct loop_timer *t, uint64_t in_ms, loop_timer_fn *fn)
{
    uint64_t now = loop_now_ms(l);

    loop_timer_stop(t);
    t->at_ms = in_ms > UINT64_MAX - now ? UINT64_MAX : now + in_ms;
    t->seq = l->timer_seq++;
    t->fn = fn;
    t->loop = l;
    heap_push(&l->timers, &t->node);
}

void loop_timer_stop(struct loop_timer *t)
{
    if (loop_timer_is_active(t))
        heap_remove(&t->loop->timers, &t->node);
}

/* Timers started by these callbacks have a later seq and no earlier deadline: they wait for the
 * next round. */
static bool run_timers(struct loop *l)
{
    bool any = false;
    uint64_t now = l->now_ms;
    uint64_t seq_end = l->timer_seq;
    struct loop_timer *t;

    while ((t = timer_first(l)) != NULL && t->at_ms <= now && t->seq < seq_end) {
        heap_remove(&l->timers, &t->node);
        t->fn(t);
        any = true;
    }
    return any;
}

/* --- a turn --- */

static bool has_posts(struct loop *l)
{
    bool has;

    pthread_mutex_lock(&l->lock);
    has = l->posted.len > 0;
    pthread_mutex_unlock(&l->lock);
    return has;
}

/* Is there anything that could still call back? libuv counts active watches, running work, closing
 * handles, and the handles of libraries. */
static bool is_alive(struct loop *l)
{
    bool alive;

    if (l->timers.len > 0 || l->deferred.len > 0 || l->watches.active > 0 || l->holds > 0 ||
        has_posts(l))
        return true;
    uv_unref((uv_handle_t *)&l->prepare);
    alive = uv_loop_alive(&l->uv) != 0;
    if (l->in_turn)
        uv_ref((uv_handle_t *)&l->prepare);
    return alive;
}

/* True when anything was called. */
static bool settle(struct loop *l)
{
    struct calls round;
    bool any;

    refresh(l);
    any = run_timers(l);
    round = calls_take(&l->deferred, &l->deferred_spare);
    any = any || round.len > 0;
    calls_run(&round);
    l->deferred_spare = round;
    return any;
}

static uint64_t choose_wait(struct loop *l)
{
    const struct loop_timer *t = timer_first(l);
    uint64_t now = clock_mono_ms(l->clock);
    uint64_t wait_ms = l->wait_max_ms;

    if (l->stopping || l->deferred.len > 0 || (l->until_idle && !is_alive(l)))
        return 0;
    if (t && t->at_ms <= now)
        return 0;
    if (t && t->at_ms - now < wait_ms)
        wait_ms = t->at_ms - now;
    return wait_ms;
}

static void on_tick(uv_timer_t *h)
{
    (void)h; /* only bounds the sleep: due timers run in settle */
}

static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = container_of(h, struct loop, prepare);
    bool any = settle(l);
    uint64_t wait_ms = any && !l->until_idle ? 0 : choose_wait(l);

    uv_update_time(&l->uv);
    if (wait_ms == UINT64_MAX)
        uv_timer_stop(&l->tick);
    else
        uv_timer_start(&l->tick, on_tick, wait_ms, 0);
    loop_watches_flush(&l->watches);
    l->has_now = false;
}

static void on_check(uv_check_t *h)
{
    (void)settle(container_of(h, struct loop, check));
}

static void turn(struct loop *l, uint64_t wait_max_ms, bool until_idle)
{
    BUG_ON(l->in_turn); /* a callback must not run the loop it was called by */
    l->in_turn = true;
    l->wait_max_ms = wait_max_ms;
    l->until_idle = until_idle;
    uv_ref((uv_handle_t *)&l->prepare);
    (void)uv_run(&l->uv, UV_RUN_ONCE);
    uv_unref((uv_handle_t *)&l->prepare);
    l->in_turn = false;
    l->has_now = false;
}

void loop_run(struct loop *l)
{
    while (!l->stopping && is_alive(l))
        turn(l, UINT64_MAX, true);
    l->stopping = false;
}

void loop_run_once(struct loop *l, uint64_t timeout_ms)
{
    turn(l, timeout_ms, false);
    l->stopping = false;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

void *loop_uv(struct loop *l)
{
    return &l->uv;
}

bool loop_is_closing(const struct loop *l)
{
    return l->closing;
}

struct loop_watches *loop_watches(struct loop *l)
{
    return &l->watches;
}

/* --- signals --- */

static void on_signal(uv_signal_t *h, int signum)
{
    struct loop_sig *s = container_of(h, struct loop_sig, handle);

    loop_enter_callback(s->loop);
    s->fn(s->arg, signum);
}

static void on_signal_closed(uv_handle_t *h)
{
    free(container_of(h, struct loop_sig, handle));
}

static struct loop_sig *signal_find(struct loop *l, int signum)
{
    list_for_each (it, &l->signals) {
        struct loop_sig *s = list_entry(it, struct loop_sig, link);

        if (s->signum == signum)
            return s;
    }
    return NULL;
}

static void signal_close(struct loop_sig *s)
{
    list_remove(&s->link);
    uv_signal_stop(&s->handle);
    uv_close((uv_handle_t *)&s->handle, on_signal_closed);
}

static enum status signal_open(struct loop *l, int signum, loop_signal_fn *fn, void *arg,
                               struct err *e)
{
    struct loop_sig *s = xcalloc(1, sizeof(*s));
    int rc = uv_signal_init(&l->uv, &s->handle);

    if (rc < 0) {
        free(s);
        return err_set_errno(e, STATUS_IO, -rc, "handle signal %d", signum);
    }
    s->loop = l;
    s->signum = signum;
    s->fn = fn;
    s->arg = arg;
    list_push(&l->signals, &s->link);
    uv_unref((uv_handle_t *)&s->handle);
    rc = uv_signal_start(&s->handle, on_signal, signum);
    if (rc < 0) {
        signal_close(s);
        return err_set_errno(e, STATUS_INVALID, -rc, "handle signal %d", signum);
    }
    return STATUS_OK;
}

enum status loop_signal(struct loop *l, int signum, loop_signal_fn *fn, void *arg, struct err *e)
{
    struct loop_sig *s = signal_find(l, signum);

    if (!s)
        return fn ? signal_open(l, signum, fn, arg, e) : STATUS_OK;
    if (!fn) {
        signal_close(s);
        return STATUS_OK;
    }
    s->fn = fn;
    s->arg = arg;
    return STATUS_OK;
}

/* --- calls for later, and from other threads --- */

void loop_defer(struct loop *l, loop_post_fn *fn, void *arg)
{
    calls_add(&l->deferred, fn, arg);
}

void loop_post(struct loop *l, loop_post_fn *fn, void *arg)
{
    pthread_mutex_lock(&l->lock);
    calls_add(&l->posted, fn, arg);
    /* inside the lock: once the call can run, the loop may be destroyed, and the wake-up must not
     * come after that */
    (void)uv_async_send(&l->async);
    pthread_mutex_unlock(&l->lock);
}

static void on_async(uv_async_t *h)
{
    struct loop *l = container_of(h, struct loop, async);
    struct calls round;

    loop_enter_callback(l);
    pthread_mutex_lock(&l->lock);
    round = calls_take(&l->posted, &l->posted_spare);
    pthread_mutex_unlock(&l->lock);
    calls_run(&round);
    l->posted_spare = round;
}

void loop_hold(struct loop *l)
{
    l->holds++;
}

void loop_release(struct loop *l)
{
    BUG_ON(l->holds == 0);
    l->holds--;
}

/* --- life --- */

/* Started in this order, see the top; none keeps the loop alive by itself. */
static void start_handles(struct loop *l)
{
    uv_prepare_init(&l->uv, &l->prepare);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_check_start(&l->check, on_check);
    uv_unref((uv_handle_t *)&l->check);
    uv_timer_init(&l->uv, &l->tick);
    uv_unref((uv_handle_t *)&l->tick);
    uv_unref((uv_handle_t *)&l->async);
}

static void close_leftover(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL); /* a library's: its memory is the library's */
}

static void close_all(struct loop *l)
{
    int rc;

    uv_walk(&l->uv, close_leftover, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    rc = uv_loop_close(&l->uv);
    if (rc != 0)
        BUG("event loop still busy after closing everything: %s", uv_strerror(rc));
}

enum status loop_create(struct loop **out, const struct clock *clock, struct err *e)
{
    struct loop *l = xcalloc(1, sizeof(*l));
    int rc = uv_loop_init(&l->uv);
    enum status st;

    *out = NULL;
    if (rc < 0) {
        free(l);
        return err_set_errno(e, STATUS_ENVIRONMENT, -rc, "create event loop");
    }
    rc = uv_async_init(&l->uv, &l->async, on_async);
    if (rc < 0) {
        (void)uv_loop_close(&l->uv);
        free(l);
        return err_set_errno(e, STATUS_ENVIRONMENT, -rc, "create event loop's wake-up");
    }
    st = loop_watches_init(&l->watches, l, &l->uv, e);
    if (st != STATUS_OK) {
        close_all(l);
        free(l);
        return st;
    }
    l->clock = clock ? clock : clock_system();
    heap_init(&l->timers, timer_before);
    list_init(&l->signals);
    pthread_mutex_init(&l->lock, NULL);
    start_handles(l);
    *out = l;
    return STATUS_OK;
}

void loop_destroy(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    BUG_ON(l->in_turn);
    *lp = NULL;
    l->closing = true;
    while (heap_pop(&l->timers))
        ; /* so that their owners see them stopped */
    loop_watches_clear(&l->watches);
    while (!list_empty(&l->signals))
        signal_close(list_first(&l->signals, struct loop_sig, link));
    close_all(l);
    loop_watches_deinit(&l->watches);
    heap_deinit(&l->timers);
    pthread_mutex_lock(&l->lock); /* a post from another thread may just be leaving */
    pthread_mutex_unlock(&l->lock);
    pthread_mutex_destroy(&l->lock);
    free(l->deferred.v);
    free(l->deferred_spare.v);
    free(l->posted.v);
    free(l->posted_spare.v);
    free(l);
}
