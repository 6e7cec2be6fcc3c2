/* The loop: when it runs on and ends, deferred calls, watches of descriptors, signals, and what
 * other threads post. Its timers: test_loop_timers.c. */
#include "tests/support/testing.h"

#include "core/base/loop.h"
#include "tests/unit/base/loop_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* --- liveness --- */

static void on_stop(struct loop_timer *t)
{
    note('s');
    loop_stop(t->loop);
}

static void test_run_and_stop(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct lettered stop = {0}, later = {.letter = 'l'};

    loop_run(l); /* empty: returns */
    loop_timer_start(l, &stop.timer, 1, on_stop);
    loop_timer_start(l, &later.timer, 10000, on_letter);
    loop_run(l);
    assert_string_equal(trace, "s");
    loop_stop(l); /* before: returns at once, and only once */
    loop_run(l);
    loop_timer_start(l, &stop.timer, 1, on_stop);
    loop_run(l);
    assert_string_equal(trace, "ss");
    loop_destroy(&l);
    assert_null(l);
    loop_destroy(&l);
}

static void on_note(void *arg)
{
    note(*(char *)arg);
}

static void test_queued_post_is_run(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    char letter = 'p';

    loop_post(l, on_note, &letter);
    assert_string_equal(trace, "");
    loop_run(l);
    assert_string_equal(trace, "p");
    loop_post(l, on_note, &letter); /* destroyed with a post waiting: it is not run */
    loop_destroy(&l);
    assert_string_equal(trace, "p");
}

static void test_run_once_without_anything(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    uint64_t start = test_now_ms();

    loop_run_once(l, 0);
    assert_true(test_now_ms() - start < 1000);
    start = test_now_ms();
    loop_run_once(l, 20);
    assert_in_range(test_now_ms() - start, 19, 1000);
    loop_destroy(&l);
}

/* --- deferred calls --- */

struct chain {
    struct loop *loop;
    int left;
};

static void on_chain(void *arg)
{
    struct chain *c = arg;

    note('d');
    if (--c->left > 0)
        loop_defer(c->loop, on_chain, c);
}

static void test_defer_rounds(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct chain chain = {l, 6};
    char x = 'x', y = 'y';
    struct loop_watch *w;
    int fds[2];

    socket_pair(fds);
    w = watch(l, fds[0], LOOP_READ, on_byte, NULL);
    assert_int_equal(write(fds[1], "w", 1), 1);
    loop_defer(l, on_note, &x);
    loop_defer(l, on_chain, &chain);
    loop_defer(l, on_note, &y);
    assert_string_equal(trace, "");
    while (chain.left > 0)
        loop_run_once(l, 10000); /* and does not wait while calls are deferred */
    assert_memory_equal(trace, "xdy", 3);
    assert_in_range(strchr(trace, 'w') - trace, 3, 4); /* between the rounds */
    loop_watch_close(&w);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(&l);
}

static void on_read_and_defer(void *arg, int fd, int events)
{
    static char d = 'd';

    on_byte(NULL, fd, events);
    loop_defer(arg, on_note, &d);
}

static void test_defer_runs_in_the_same_turn(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct loop_watch *w;
    int fds[2];

    socket_pair(fds);
    w = watch(l, fds[0], LOOP_READ, on_read_and_defer, l);
    assert_int_equal(write(fds[1], "w", 1), 1);
    loop_run_once(l, 1000);
    assert_string_equal(trace, "wd");
    loop_watch_close(&w);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(&l);
}

static void on_foreign_timer(uv_timer_t *h)
{
    static char d = 'd';

    loop_defer(h->data, on_note, &d);
}

/* A library on the same uv loop defers from its timer, right before the sleep. */
static void test_foreign_handle(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct lettered later = {.letter = 'l'};
    uint64_t start = test_now_ms();
    uv_timer_t t;

    uv_timer_init(loop_uv(l), &t);
    t.data = l;
    uv_timer_start(&t, on_foreign_timer, 10, 0);
    loop_run(l); /* a library's handle keeps the loop running */
    assert_string_equal(trace, "d");
    uv_timer_start(&t, on_foreign_timer, 0, 0);
    loop_timer_start(l, &later.timer, 5000, on_letter);
    while (strcmp(trace, "dd") != 0)
        loop_run_once(l, 5000);
    assert_true(test_now_ms() - start < 2000);
    loop_destroy(&l); /* closes it */
}

/* --- watches --- */

static void on_events(void *arg, int fd, int events)
{
    (void)fd;
    *(int *)arg = events;
    note('e');
}

static void test_watch_events(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct loop_watch *w;
    int fds[2], events = 0;

    socket_pair(fds);
    w = watch(l, fds[0], 0, on_events, &events);
    assert_int_equal(loop_watch_events(w), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_run_once(l, 0);
    assert_string_equal(trace, ""); /* paused */
    loop_run(l);                    /* and no reason to run */
    loop_watch_set(w, LOOP_READ);
    loop_run_once(l, 1000);
    assert_int_equal(events, LOOP_READ);
    loop_watch_set(w, LOOP_READ | LOOP_WRITE);
    assert_int_equal(loop_watch_events(w), LOOP_READ | LOOP_WRITE);
    loop_run_once(l, 1000);
    assert_int_equal(events, LOOP_READ | LOOP_WRITE);
    loop_watch_set(w, LOOP_WRITE);
    loop_run_once(l, 1000);
    assert_int_equal(events, LOOP_WRITE);
    close(fds[1]); /* a hang-up */
    loop_watch_set(w, LOOP_READ);
    loop_run_once(l, 1000);
    assert_true(events & LOOP_READ);
    loop_watch_close(&w);
    assert_null(w);
    loop_watch_close(&w);
    close(fds[0]);
    loop_destroy(&l);
}

/* The write end of a pipe without a reader: EPOLLERR, which ends a poll of libuv. The watch goes
 * on. */
static void test_watch_error(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct loop_watch *w;
    int fds[2], events = 0;
    char big[4096] = {0};

    assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(fds[1], big, sizeof(big)) > 0)
        ;
    w = watch(l, fds[1], LOOP_WRITE, on_events, &events);
    loop_run_once(l, 0);
    assert_string_equal(trace, "");
    close(fds[0]);
    loop_run_once(l, 1000);
    loop_run_once(l, 1000);
    assert_string_equal(trace, "ee");
    assert_int_equal(events, LOOP_READ | LOOP_WRITE);
    loop_watch_close(&w);
    close(fds[1]);
    loop_destroy(&l);
}

struct pair {
    struct loop *loop;
    struct loop_watch *w[2];
    int fd[2];
    int calls;
};

/* Whichever comes first closes both and their descriptors; the other's event is fetched already. */
static void on_close_both(void *arg, int fd, int events)
{
    struct pair *p = arg;

    (void)fd;
    (void)events;
    p->calls++;
    for (int i = 0; i < 2; i++) {
        loop_watch_close(&p->w[i]);
        close(p->fd[i]);
    }
}

static void test_watch_closed_with_events_pending(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct pair p = {.loop = l};
    int a[2], b[2];

    socket_pair(a);
    socket_pair(b);
    p.fd[0] = a[0];
    p.fd[1] = b[0];
    p.w[0] = watch(l, a[0], LOOP_READ, on_close_both, &p);
    p.w[1] = watch(l, b[0], LOOP_READ, on_close_both, &p);
    assert_int_equal(write(a[1], "x", 1), 1);
    assert_int_equal(write(b[1], "x", 1), 1);
    loop_run(l);
    assert_int_equal(p.calls, 1);
    close(a[1]);
    close(b[1]);
    loop_destroy(&l);
}

/* Close the watch, close the descriptor, and watch another that got its number: in one turn. */
static void test_watch_reused_number(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct loop_watch *w;
    int old_pair[2], new_pair[2], none = 0;

    socket_pair(old_pair);
    w = watch(l, old_pair[0], LOOP_READ, on_events, &none);
    loop_run_once(l, 0);
    loop_watch_close(&w);
    close(old_pair[0]);
    socket_pair(new_pair);
    assert_int_equal(new_pair[0], old_pair[0]);
    w = watch(l, new_pair[0], LOOP_READ, on_byte, NULL);
    assert_int_equal(write(new_pair[1], "n", 1), 1);
    loop_run_once(l, 1000);
    assert_string_equal(trace, "n");
    loop_watch_close(&w);
    close(old_pair[1]);
    close(new_pair[0]);
    close(new_pair[1]);
    loop_destroy(&l);
}

static void test_watch_refusals(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct err e = ERR_INIT;
    struct loop_watch *w, *second;
    char name[] = "loop-XXXXXX";
    int fds[2], file = mkstemp(name), events;

    assert_true(file >= 0);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(loop_watch_open(l, file, LOOP_READ, on_events, &events, &w, &e),
                     STATUS_INVALID);
    assert_non_null(strstr(e.text, "expected a socket or pipe"));
    close(file);
    assert_int_equal(loop_watch_open(l, file, LOOP_READ, on_events, &events, &w, &e),
                     STATUS_INVALID);
    assert_null(w);
    socket_pair(fds);
    w = watch(l, fds[0], LOOP_READ, on_events, &events);
    assert_int_equal(loop_watch_open(l, fds[0], 0, on_events, &events, &second, &e), STATUS_EXISTS);
    loop_watch_close(&w);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(&l);
}

/* --- signals --- */

static void on_signal_note(void *arg, int signum)
{
    note(signum == SIGUSR1 ? '1' : '2');
    if (arg)
        note(*(char *)arg);
}

static void test_signals(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct err e = ERR_INIT;
    struct sigaction now;
    char x = 'x';

    assert_int_equal(loop_signal(l, SIGUSR1, on_signal_note, NULL, &e), STATUS_OK);
    assert_int_equal(loop_signal(l, SIGUSR2, on_signal_note, NULL, &e), STATUS_OK);
    loop_run(l); /* handlers alone are no reason to run */
    raise(SIGUSR1);
    loop_run_once(l, 1000);
    assert_string_equal(trace, "1");
    assert_int_equal(loop_signal(l, SIGUSR1, on_signal_note, &x, &e), STATUS_OK);
    raise(SIGUSR1);
    loop_run_once(l, 1000);
    assert_string_equal(trace, "11x");
    assert_int_equal(loop_signal(l, SIGUSR1, NULL, NULL, &e), STATUS_OK);
    assert_int_equal(loop_signal(l, SIGUSR1, NULL, NULL, &e), STATUS_OK);
    assert_int_equal(sigaction(SIGUSR1, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
    assert_int_equal(loop_signal(l, SIGKILL, on_signal_note, NULL, &e), STATUS_INVALID);
    assert_int_equal(loop_signal(l, 4711, on_signal_note, NULL, &e), STATUS_INVALID);
    loop_destroy(&l);
    assert_int_equal(sigaction(SIGUSR2, NULL, &now), 0);
    assert_true(now.sa_handler == SIG_DFL);
}

/* --- other threads --- */

enum { THREADS = 4, POSTS = 5000 };

struct poster {
    struct loop *loop;
    pthread_t thread;
    unsigned long next; /* on the loop's thread */
};
struct posted {
    struct poster *from;
    unsigned long n;
};
static size_t n_posted;

static void on_posted(void *arg)
{
    struct posted *p = arg;

    if (p->n != p->from->next++) /* in the order of each thread */
        fail_msg("post %lu came as %lu", p->n, p->from->next - 1);
    free(p);
    if (++n_posted == (size_t)THREADS * POSTS)
        note('a');
}

static void on_thread_done(void *arg)
{
    loop_release(arg);
}

static void *post_all(void *arg)
{
    struct poster *me = arg;

    for (unsigned long i = 0; i < POSTS; i++) {
        struct posted *p = xcalloc(1, sizeof(*p));

        *p = (struct posted){me, i};
        loop_post(me->loop, on_posted, p);
    }
    loop_post(me->loop, on_thread_done, me->loop);
    return NULL;
}

static void test_posts_from_threads(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct poster posters[THREADS] = {0};

    n_posted = 0;
    for (int i = 0; i < THREADS; i++) {
        posters[i].loop = l;
        loop_hold(l);
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_all, &posters[i]), 0);
    }
    loop_run(l); /* until the last hold is released */
    assert_int_equal(n_posted, THREADS * POSTS);
    assert_string_equal(trace, "a");
    for (int i = 0; i < THREADS; i++)
        pthread_join(posters[i].thread, NULL);
    loop_destroy(&l);
}

static void *post_late(void *arg)
{
    static char late = 'p';

    test_sleep_ms(20);
    loop_post(arg, on_note, &late);
    return NULL;
}

/* A post wakes a loop that sleeps with nothing else to wait for. */
static void test_post_wakes(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    uint64_t start = test_now_ms();
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, post_late, l), 0);
    while (!trace[0])
        loop_run_once(l, 10000);
    assert_true(test_now_ms() - start < 5000);
    pthread_join(thread, NULL);
    loop_destroy(&l);
}

static void on_post_again(void *arg)
{
    struct chain *c = arg;

    note('p');
    if (--c->left > 0)
        loop_post(c->loop, on_post_again, c);
}

static void test_post_from_a_post(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct chain c = {l, 5};

    loop_post(l, on_post_again, &c);
    loop_run(l);
    assert_string_equal(trace, "ppppp");
    loop_destroy(&l);
}

static void test_leaves_no_descriptors(void **state maybe_unused)
{
    size_t before;
    struct loop *l;

    l = new_loop(NULL);
    loop_destroy(&l);
    before = test_count_fds(); /* libuv keeps its signal pipe */
    for (int i = 0; i < 3; i++) {
        l = new_loop(NULL);
        loop_run_once(l, 0);
        loop_destroy(&l);
    }
    assert_int_equal(test_count_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_and_stop),
        cmocka_unit_test(test_queued_post_is_run),
        cmocka_unit_test(test_run_once_without_anything),
        cmocka_unit_test(test_defer_rounds),
        cmocka_unit_test(test_defer_runs_in_the_same_turn),
        cmocka_unit_test(test_foreign_handle),
        cmocka_unit_test(test_watch_events),
        cmocka_unit_test(test_watch_error),
        cmocka_unit_test(test_watch_closed_with_events_pending),
        cmocka_unit_test(test_watch_reused_number),
        cmocka_unit_test(test_watch_refusals),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_posts_from_threads),
        cmocka_unit_test(test_post_wakes),
        cmocka_unit_test(test_post_from_a_post),
        cmocka_unit_test(test_leaves_no_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
