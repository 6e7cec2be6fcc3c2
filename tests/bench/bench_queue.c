/* The queue in process, on a simulated clock: tasks of ten priorities over a thousand targets with
 * the default limit, added and then handed out as tokens come. The same tasks go through a flat
 * binary heap without limits, which is the least that any scheduler with priorities does: the ratio
 * is what limits, fairness and deadlines cost. Prints the cost of a task from 10^3 to 10^6 tasks,
 * medians of ROUNDS, in time of this process's processor as the machine may be busy. Argument: the
 * largest number of tasks (default 1,000,000). */
#include "core/base/heap.h"
#include "core/base/rng.h"
#include "core/guard/breaker.h"
#include "core/guard/limit.h"
#include "core/sched/queue.h"
#include "tests/bench/measure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TARGETS = 1000, PRIORITIES = 10, SUBMITTERS = 1, ROUNDS = 3, QUEUED_MS = 86400000 };

static char names[TARGETS][32];

static struct {
    struct limiter *limiter;
    struct breaker *breaker;
} guard;

static void open_door(void *arg, struct str target, struct queue_door *out)
{
    (void)arg;
    out->limit = limiter_target(guard.limiter, target);
    out->breaker = breaker_target(guard.breaker, target);
}

static uint64_t take(void *arg, const struct queue_door *d, uint64_t now_ms, uint64_t *then_ms)
{
    (void)arg;
    return limiter_target_take(guard.limiter, d->limit, now_ms, then_ms);
}

static bool allow(void *arg, const struct queue_door *d)
{
    (void)arg;
    return breaker_target_allow(d->breaker);
}

static bool is_idle(void *arg, uint32_t member)
{
    (void)arg;
    (void)member;
    return true;
}

struct cost {
    double add_ns, next_ns, flat_ns, bytes;
};

static struct task *make_tasks(size_t n, bool deadlines)
{
    struct task *t = xcalloc(n, sizeof(*t));
    struct rng r;

    rng_seed_u64(&r, 1);
    for (size_t i = 0; i < n; i++) {
        t[i].index = (uint32_t)i;
        t[i].row = (uint32_t)rng_below(&r, TARGETS);
        t[i].pin = -1;
        t[i].priority = (int16_t)rng_below(&r, PRIORITIES);
        t[i].expires_ms = deadlines ? QUEUED_MS + i / 1000 : 0;
    }
    return t;
}

/* Hands all out, the clock jumping to whatever is due next. */
static size_t hand_out(struct queue *q)
{
    uint64_t now_ms = 1;
    size_t n = 0;
    struct task *t;

    while (queue_len(q) > 0) {
        if (queue_next(q, now_ms, true, &t) == QUEUE_RUN)
            n++;
        else
            now_ms = queue_next_ms(q);
    }
    return n;
}

static void run_queue(size_t n, bool deadlines, struct cost *out)
{
    static const struct queue_guards guards = {
        .open = open_door,
        .take = take,
        .allow = allow,
        .is_idle = is_idle,
    };
    static const struct limit_rate rate = {LIMIT_DEFAULT_MAX_REQUESTS, LIMIT_DEFAULT_WINDOW_MS};
    static const struct breaker_conf conf = {0.1, 60000, 20};
    uint64_t before = resident_bytes();
    struct task *tasks = make_tasks(n, deadlines);
    struct queue *q = queue_create(&guards);
    struct err e = ERR_INIT;
    double t;

    if (breaker_open_store(&conf, NULL, &guard.breaker, &e) != STATUS_OK)
        BUG("%s", err_text(&e));
    guard.limiter = limiter_create(rate);
    t = cpu_s();
    for (size_t i = 0; i < n; i++)
        queue_add(q, &tasks[i], str_from(names[tasks[i].row]), (uint32_t)(i % SUBMITTERS));
    out->add_ns = (cpu_s() - t) * 1e9 / (double)n;
    out->bytes = (double)(resident_bytes() - before) / (double)n;
    t = cpu_s();
    if (hand_out(q) != n)
        BUG("the queue kept tasks back");
    out->next_ns = (cpu_s() - t) * 1e9 / (double)n;
    queue_destroy(&q);
    limiter_destroy(&guard.limiter);
    breaker_close_store(&guard.breaker);
    free(tasks);
}

/* --- the peer: one heap --- */

struct flat {
    struct heap_node node;
    int16_t priority;
    uint64_t seq;
};

static bool flat_before(const struct heap_node *a, const struct heap_node *b)
{
    const struct flat *x = container_of(a, struct flat, node);
    const struct flat *y = container_of(b, struct flat, node);

    return x->priority != y->priority ? x->priority > y->priority : x->seq < y->seq;
}

static void run_flat(size_t n, struct cost *out)
{
    struct flat *v = xcalloc(n, sizeof(*v));
    struct heap h;
    struct rng r;
    double t;

    rng_seed_u64(&r, 1);
    heap_init(&h, flat_before);
    for (size_t i = 0; i < n; i++)
        v[i] = (struct flat){.priority = (int16_t)rng_below(&r, PRIORITIES), .seq = i};
    t = cpu_s();
    for (size_t i = 0; i < n; i++)
        heap_push(&h, &v[i].node);
    while (heap_pop(&h))
        ;
    out->flat_ns = (cpu_s() - t) * 1e9 / (double)n;
    heap_deinit(&h);
    free(v);
}

static void measure(size_t n, bool deadlines)
{
    double add[ROUNDS], next[ROUNDS], flat[ROUNDS], both[ROUNDS];
    struct cost c = {0};

    for (size_t i = 0; i < ROUNDS; i++) {
        run_queue(n, deadlines, &c);
        run_flat(n, &c);
        add[i] = c.add_ns;
        next[i] = c.next_ns;
        both[i] = c.add_ns + c.next_ns;
        flat[i] = c.flat_ns;
    }
    (void)printf("%9zu %-4s %8.0f %10.0f %12.2f %12.0f %10.2f %10.0f\n", n,
                 deadlines ? "yes" : "no", median(add, ROUNDS), median(next, ROUNDS),
                 1e3 / median(both, ROUNDS), median(flat, ROUNDS),
                 median(both, ROUNDS) / median(flat, ROUNDS), c.bytes);
}

int main(int argc, char **argv)
{
    size_t max = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 1000000;

    for (size_t i = 0; i < TARGETS; i++)
        (void)snprintf(names[i], sizeof(names[i]), "shop-%03zu.example.org", i);
    (void)printf("%9s %-4s %8s %10s %12s %12s %10s %10s\n", "tasks", "due", "add ns", "hand out ns",
                 "M tasks/s", "flat heap ns", "ratio", "bytes/task");
    for (size_t n = 1000; n <= max; n *= 10)
        measure(n, false);
    measure(max, true);
    return 0;
}
