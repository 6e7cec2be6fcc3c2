/* The policy's program, played by the test at the far end of the socket. */
#include "core/guard/hook.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/support/testing.h"

struct world {
    struct clock_fake clock;
    struct loop *loop;
    struct policy_hook *hook;
    int far;
    bool in_call;
    unsigned answers;
    bool allow;
    char why[200];
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    int fd[2];

    clock_fake_init(&w->clock, 1000000);
    assert_int_equal(loop_create(&w->loop, &w->clock.clock, NULL), STATUS_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
    assert_int_equal(policy_hook_create(w->loop, fd[0], 100, &w->hook, NULL), STATUS_OK);
    w->far = fd[1];
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    policy_hook_destroy(&w->hook);
    if (w->far >= 0)
        close(w->far);
    loop_destroy(&w->loop);
    free(w);
    return 0;
}

static void on_answer(void *arg, bool allow, const char *why)
{
    struct world *w = arg;

    assert_false(w->in_call);
    w->answers++;
    w->allow = allow;
    snprintf(w->why, sizeof w->why, "%s", why);
}

static struct hook_wait *ask(struct world *w, const char *target)
{
    const struct hook_question q = {STR("http.get"), str_from(target),
                                    STR("https://a.example/\"q\""), "i-1"};
    struct hook_wait *x;

    w->in_call = true;
    x = policy_hook_ask(w->hook, &q, on_answer, w);
    w->in_call = false;
    return x;
}

static void turn(struct world *w)
{
    for (int i = 0; i < 4; i++)
        loop_run_once(w->loop, 2);
}

static void say(struct world *w, const char *text)
{
    assert_int_equal(send(w->far, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turn(w);
}

static void expect_heard(struct world *w, const char *want)
{
    char text[4096];
    ssize_t n;

    turn(w);
    n = recv(w->far, text, sizeof text - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    text[n] = '\0';
    assert_string_equal(text, want);
}

static void test_question_and_answer(void **state)
{
    struct world *w = *state;

    (void)ask(w, "a.example");
    (void)ask(w, "");
    expect_heard(w, "{\"id\":1,\"member\":\"i-1\",\"op\":\"http.get\",\"target\":\"a.example\","
                    "\"url\":\"https://a.example/\\\"q\\\"\"}\n"
                    "{\"id\":2,\"member\":\"i-1\",\"op\":\"http.get\","
                    "\"url\":\"https://a.example/\\\"q\\\"\"}\n");
    say(w, "{\"id\":2,\"allow\":false,\"why\":\"not on Sundays\"}\n{\"id\":1,");
    assert_int_equal(w->answers, 1);
    assert_false(w->allow);
    assert_string_equal(w->why, "not on Sundays");
    say(w, "\"allow\":true}\n");
    assert_int_equal(w->answers, 2);
    assert_true(w->allow);
    assert_string_equal(w->why, "");
    say(w,
        "{\"id\":1,\"allow\":false}\n{\"id\":99,\"allow\":false}\n"); /* nobody waits for these */
    assert_int_equal(w->answers, 2);
}

static void test_deadline(void **state)
{
    struct world *w = *state;

    (void)ask(w, "a.example");
    clock_fake_advance_ms(&w->clock, 60);
    (void)ask(w, "a.example");
    clock_fake_advance_ms(&w->clock, 40);
    turn(w);
    assert_int_equal(w->answers, 1);
    assert_false(w->allow);
    assert_non_null(strstr(w->why, "within 100 ms"));
    say(w, "{\"id\":1,\"allow\":true}\n{\"id\":2,\"allow\":true}\n"); /* the first is too late */
    assert_int_equal(w->answers, 2);
    assert_true(w->allow);
}

static void expect_dead(struct world *w, unsigned answers, const char *why)
{
    turn(w);
    assert_int_equal(w->answers, answers);
    assert_false(w->allow);
    assert_non_null(strstr(w->why, why));
    (void)ask(w, "a.example"); /* from now on, too */
    turn(w);
    assert_int_equal(w->answers, answers + 1);
    assert_false(w->allow);
    assert_non_null(strstr(w->why, why));
}

static void test_ended(void **state)
{
    struct world *w = *state;

    (void)ask(w, "a.example");
    (void)ask(w, "b.example");
    turn(w);
    close(w->far);
    w->far = -1;
    expect_dead(w, 2, "has ended");
}

static void test_no_answer(void **state)
{
    static const char *const bad[] = {"yes\n",
                                      "{}\n",
                                      "{\"id\":1}\n",
                                      "{\"allow\":true}\n",
                                      "{\"id\":\"1\",\"allow\":true}\n",
                                      "{\"id\":1,\"allow\":\"true\"}\n",
                                      "\n"};

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct world *w;

        if (i > 0) { /* each needs a program of its own */
            tear_down(state);
            set_up(state);
        }
        w = *state;
        (void)ask(w, "a.example");
        say(w, bad[i]);
        expect_dead(w, 1, "no answer");
    }
}

static void test_line_without_end(void **state)
{
    struct world *w = *state;
    char big[HOOK_LINE_MAX + 1];

    memset(big, 'x', sizeof big);
    big[HOOK_LINE_MAX] = '\0';
    (void)ask(w, "a.example");
    say(w, big);
    expect_dead(w, 1, "without an end");
}

static void test_cancel(void **state)
{
    struct world *w = *state;
    struct hook_wait *x = ask(w, "a.example"), *y = ask(w, "a.example"), *none = NULL;

    policy_hook_cancel(&x);
    assert_null(x);
    policy_hook_cancel(&none);
    say(w, "{\"id\":1,\"allow\":true}\n");
    assert_int_equal(w->answers, 0);
    policy_hook_cancel(&y);
    clock_fake_advance_ms(&w->clock, 1000);
    turn(w);
    assert_int_equal(w->answers, 0);
}

static void test_too_many(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < HOOK_PENDING_MAX; i++)
        (void)ask(w, "a.example");
    turn(w);
    assert_int_equal(w->answers, 0);
    (void)ask(w, "a.example");
    turn(w);
    assert_int_equal(w->answers, 1);
    assert_non_null(strstr(w->why, "too many"));
}

#define CASE(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_question_and_answer),
        CASE(test_deadline),
        CASE(test_ended),
        CASE(test_no_answer),
        CASE(test_line_without_end),
        CASE(test_cancel),
        CASE(test_too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
