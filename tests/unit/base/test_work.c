#include "tests/support/testing.h"

#include "core/base/work.h"

#include <pthread.h>
#include <stdatomic.h>

struct job {
    struct loop *loop;
    pthread_t ran_on;
    atomic_int runs;
    int dones;
};

static void on_run(void *arg)
{
    struct job *j = arg;

    j->ran_on = pthread_self();
    test_sleep_ms(5);
    atomic_fetch_add(&j->runs, 1);
}

static void on_done(void *arg)
{
    struct job *j = arg;

    assert_int_equal(atomic_load(&j->runs), 1);
    assert_false(pthread_equal(j->ran_on, pthread_self()));
    j->dones++;
}

static void test_runs_and_answers(void **state maybe_unused)
{
    struct job jobs[10] = {0};
    struct loop *l = NULL;

    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        work_submit(l, on_run, on_done, &jobs[i]);
    assert_int_equal(jobs[0].dones, 0);
    loop_run(l); /* work under way keeps it running */
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        assert_int_equal(jobs[i].dones, 1);
    loop_destroy(&l);
}

static void on_done_again(void *arg)
{
    struct job *j = arg;

    j->dones++;
    if (j->dones < 3) {
        atomic_store(&j->runs, 0);
        work_submit(j->loop, on_run, on_done_again, j);
    }
}

static void test_submit_from_done(void **state maybe_unused)
{
    struct job j = {0};

    assert_int_equal(loop_create(&j.loop, NULL, NULL), STATUS_OK);
    work_submit(j.loop, on_run, on_done_again, &j);
    loop_run(j.loop);
    assert_int_equal(j.dones, 3);
    loop_destroy(&j.loop);
}

static void test_destroy_waits(void **state maybe_unused)
{
    struct job j = {0};
    struct loop *l = NULL;

    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    work_submit(l, on_run, on_done, &j);
    loop_destroy(&l);
    assert_int_equal(atomic_load(&j.runs), 1);
    assert_int_equal(j.dones, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_and_answers),
        cmocka_unit_test(test_submit_from_done),
        cmocka_unit_test(test_destroy_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
