/* What signals do to a verb that runs an engine: which exit code they leave, when what runs is
 * cancelled, and that the third one ends the process whatever its loop does. */
#include "tests/support/testing.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/loop.h"
#include "core/cli/stop.h"
#include "tests/support/child.h"

enum { SOON_MS = 5000 };

static struct {
    unsigned n;
    char why[16];
} drained;

static void on_drain(void *arg, const char *why)
{
    (void)arg;
    drained.n++;
    snprintf(drained.why, sizeof drained.why, "%s", why);
}

static struct loop *watched(struct stop *s)
{
    struct loop *l = NULL;
    struct err e = ERR_INIT;

    memset(&drained, 0, sizeof drained);
    assert_int_equal(loop_create(&l, NULL, &e), STATUS_OK);
    assert_int_equal(stop_watch(s, l, on_drain, NULL, &e), STATUS_OK);
    return l;
}

static void send_one(struct loop *l, int signum)
{
    unsigned n = drained.n;
    uint64_t end = test_now_ms() + SOON_MS;

    assert_int_equal(raise(signum), 0);
    while (drained.n == n && test_now_ms() < end)
        loop_run_once(l, 100);
    assert_int_equal(drained.n, n + 1);
}

static void test_first_and_second(void **state)
{
    struct stop s = {0};
    struct loop *l = watched(&s);

    (void)state;
    send_one(l, SIGHUP);
    assert_string_equal(drained.why, "SIGHUP");
    assert_int_equal(s.signal, SIGTERM);
    assert_false(loop_timer_is_active(&s.hard));
    send_one(l, SIGINT);
    assert_string_equal(drained.why, "SIGINT");
    assert_int_equal(s.signal, SIGTERM); /* the first one tells */
    assert_true(loop_timer_is_active(&s.hard));
    stop_unwatch(&s);
    assert_false(loop_timer_is_active(&s.hard));
    loop_destroy(&l);
}

static void test_third_leaves(void **state)
{
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        struct stop s = {0};
        struct loop *l = watched(&s);

        for (;;) {
            (void)raise(SIGINT);
            loop_run_once(l, 100);
        }
    }
    assert_int_equal(child_wait(pid, SOON_MS), EXIT_SIGINT);
}

static void test_exit_codes(void **state)
{
    struct stop never = {0};

    (void)state;
    assert_int_equal(stop_exit_code(SIGINT), 130);
    assert_int_equal(stop_exit_code(SIGTERM), 143);
    assert_int_equal(stop_exit_code(SIGHUP), 143);
    stop_unwatch(&never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_and_second),
        cmocka_unit_test(test_third_leaves),
        cmocka_unit_test(test_exit_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
