/* The loop's timers: their order, what may be done to one from another's callback, and the time
 * that they see. */
#include "tests/support/testing.h"

#include "core/base/loop.h"
#include "tests/unit/base/loop_rig.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static void test_timers_order(void **state maybe_unused)
{
    struct clock_fake clock;
    struct lettered t[5] = {0};
    struct loop *l;

    clock_fake_init(&clock, 0);
    l = new_loop(&clock.clock);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        t[i].letter = (char)('a' + i);
    loop_timer_start(l, &t[0].timer, 30, on_letter);
    loop_timer_start(l, &t[1].timer, 20, on_letter);
    loop_timer_start(l, &t[2].timer, 30, on_letter);
    loop_timer_start(l, &t[3].timer, 10, on_letter);
    loop_timer_start(l, &t[4].timer, 20, on_letter);
    loop_timer_start(l, &t[3].timer, 30, on_letter); /* again: goes behind c */
    loop_run_once(l, 0);
    assert_string_equal(trace, "");
    clock_fake_advance_ms(&clock, 20);
    loop_run_once(l, 0);
    assert_string_equal(trace, "be");
    assert_false(loop_timer_is_active(&t[1].timer));
    loop_timer_stop(&t[2].timer);
    loop_timer_stop(&t[2].timer);
    assert_false(loop_timer_is_active(&t[2].timer));
    clock_fake_advance_ms(&clock, 100);
    loop_run_once(l, 0);
    assert_string_equal(trace, "bead");
    loop_destroy(&l);
}

static void on_stop_other(struct loop_timer *t)
{
    struct lettered *me = container_of(t, struct lettered, timer);

    note(me->letter);
    loop_timer_stop(&me->other->timer);
    memset(me->other, 0xff, sizeof(*me->other)); /* the memory may go */
}

static void test_timer_stopped_when_due(void **state maybe_unused)
{
    struct clock_fake clock;
    struct lettered a = {.letter = 'a'}, b = {.letter = 'b'};
    struct loop *l;

    clock_fake_init(&clock, 0);
    l = new_loop(&clock.clock);
    a.other = &b;
    loop_timer_start(l, &a.timer, 5, on_stop_other);
    loop_timer_start(l, &b.timer, 5, on_letter);
    clock_fake_advance_ms(&clock, 5);
    loop_run_once(l, 0);
    assert_string_equal(trace, "a");
    loop_run(l); /* nothing is left */
    loop_destroy(&l);
}

static void on_again(struct loop_timer *t)
{
    struct lettered *me = container_of(t, struct lettered, timer);

    note(me->letter);
    if (strlen(trace) < 10)
        loop_timer_start(t->loop, t, 0, on_again);
}

static void test_zero_timer_starves_nobody(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct lettered t = {.letter = 't'};
    struct loop_watch *w;
    int fds[2];

    socket_pair(fds);
    w = watch(l, fds[0], LOOP_READ, on_byte, NULL);
    assert_int_equal(write(fds[1], "w", 1), 1);
    loop_timer_start(l, &t.timer, 0, on_again);
    assert_string_equal(trace, ""); /* never from inside the call */
    while (strlen(trace) < 10)
        loop_run_once(l, 100);
    assert_in_range(strchr(trace, 'w') - trace, 1, 3);
    loop_watch_close(&w);
    loop_timer_stop(&t.timer);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(&l);
}

static void test_real_time(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct lettered a = {.letter = 'a'}, b = {.letter = 'b'}, never = {.letter = 'n'};
    uint64_t start = test_now_ms(), took;

    loop_timer_start(l, &b.timer, 40, on_letter);
    loop_timer_start(l, &a.timer, 20, on_letter);
    loop_run(l);
    took = test_now_ms() - start;
    assert_string_equal(trace, "ab");
    assert_in_range(took, 39, 1000);

    loop_timer_start(l, &never.timer, UINT64_MAX, on_letter);
    start = test_now_ms();
    loop_run_once(l, 20);
    assert_in_range(test_now_ms() - start, 19, 1000);
    loop_timer_stop(&never.timer);
    loop_destroy(&l);
}

static void on_deadline_after_sleep(void *arg, int fd, int events)
{
    struct lettered *t = arg;

    on_byte(NULL, fd, events);
    loop_timer_start(t->timer.loop, &t->timer, 20, on_letter);
    assert_true(t->timer.at_ms >= test_now_ms() + 10); /* "now" is after the sleep */
}

static void *write_after_50_ms(void *arg)
{
    test_sleep_ms(50);
    assert_int_equal(write(*(int *)arg, "w", 1), 1);
    return NULL;
}

static void test_now_is_read_after_the_sleep(void **state maybe_unused)
{
    struct loop *l = new_loop(NULL);
    struct lettered t = {.letter = 't', .timer.loop = l};
    struct loop_watch *w;
    pthread_t thread;
    int fds[2];

    socket_pair(fds);
    w = watch(l, fds[0], LOOP_READ, on_deadline_after_sleep, &t);
    assert_int_equal(pthread_create(&thread, NULL, write_after_50_ms, &fds[1]), 0);
    while (!strchr(trace, 't'))
        loop_run_once(l, 1000);
    assert_string_equal(trace, "wt");
    pthread_join(thread, NULL);
    loop_watch_close(&w);
    close(fds[0]);
    close(fds[1]);
    loop_destroy(&l);
}

static void test_now_outside_of_turns(void **state maybe_unused)
{
    struct clock_fake clock;
    struct lettered t = {.letter = 't'};
    struct loop *l;
    uint64_t now;

    clock_fake_init(&clock, 77);
    l = new_loop(&clock.clock);
    now = loop_now_ms(l);
    clock_fake_advance_ms(&clock, 100);
    assert_int_equal(loop_now_ms(l), now + 100);
    assert_int_equal(loop_wall_ms(l), 177);
    assert_ptr_equal(loop_clock(l), &clock.clock);
    loop_timer_start(l, &t.timer, 50, on_letter);
    loop_run_once(l, 0);
    assert_string_equal(trace, "");
    clock_fake_advance_ms(&clock, 50);
    loop_run_once(l, 0);
    assert_string_equal(trace, "t");
    loop_destroy(&l);
}

static void on_nothing(struct loop_timer *t)
{
    (void)t;
}

/* Thousands of timers started, stopped and moved, against a plain list. */
static void test_timers_model(void **state maybe_unused)
{
    enum { N = 300 };
    struct clock_fake clock;
    static struct lettered t[N];
    uint64_t at[N], seed = 1;
    struct loop *l;

    clock_fake_init(&clock, 0);
    l = new_loop(&clock.clock);
    memset(t, 0, sizeof(t));
    memset(at, 0, sizeof(at));
    for (int step = 0; step < 20000; step++) {
        size_t i;
        uint64_t in_ms;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        i = (size_t)(seed >> 33) % N;
        in_ms = (seed >> 20) % 50;
        if (seed >> 62 == 0) {
            loop_timer_stop(&t[i].timer);
            at[i] = 0;
        } else {
            loop_timer_start(l, &t[i].timer, in_ms, on_nothing);
            at[i] = loop_now_ms(l) + in_ms;
        }
        if (step % 50 == 0) {
            clock_fake_advance_ms(&clock, 7);
            loop_run_once(l, 0);
            for (size_t k = 0; k < N; k++) {
                bool due = at[k] && at[k] <= loop_now_ms(l);

                assert_int_equal(loop_timer_is_active(&t[k].timer), at[k] && !due);
                if (due)
                    at[k] = 0;
            }
        }
    }
    loop_destroy(&l);
    for (size_t k = 0; k < N; k++)
        assert_false(loop_timer_is_active(&t[k].timer)); /* destroy stops them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers_order),
        cmocka_unit_test(test_timer_stopped_when_due),
        cmocka_unit_test(test_zero_timer_starves_nobody),
        cmocka_unit_test(test_real_time),
        cmocka_unit_test(test_now_is_read_after_the_sleep),
        cmocka_unit_test(test_now_outside_of_turns),
        cmocka_unit_test(test_timers_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
