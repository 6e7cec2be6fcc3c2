/* The pipe: framing whatever the pieces, back-pressure, and how it ends. */
#include "browser/cdp/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "tests/support/testing.h"

static struct loop *loop;
static struct transport *pipe_t;
static struct pipe_ends ends;
static struct buf got;
static unsigned n_got, closed;
static enum status closed_why;
static bool destroy_on_message;

static void on_message(void *arg, struct str m)
{
    (void)arg;
    n_got++;
    buf_addstr(&got, m);
    buf_addc(&got, '|');
    if (destroy_on_message)
        transport_destroy(&pipe_t);
}

static void on_close(void *arg, enum status why, const struct err *e)
{
    (void)arg;
    (void)e;
    closed++;
    closed_why = why;
}

static int setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    n_got = closed = 0;
    destroy_on_message = false;
    buf_init(&got, BUF_MAX_MESSAGE);
    assert_int_equal(loop_create(&loop, NULL, NULL), STATUS_OK);
    assert_int_equal(pipe_make(&ends, NULL), STATUS_OK);
    assert_int_equal(pipe_open(loop, ends.read_fd, ends.write_fd, &pipe_t, NULL), STATUS_OK);
    transport_listen(pipe_t,
                     &(struct transport_events){.on_message = on_message, .on_close = on_close});
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    transport_destroy(&pipe_t);
    for (int i = 0; i < 2; i++)
        if (ends.theirs[i] >= 0)
            close(ends.theirs[i]);
    loop_run_once(loop, 0);
    loop_destroy(&loop);
    buf_deinit(&got);
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        loop_run_once(loop, 1);
}

static void put(const char *bytes, size_t n)
{
    assert_int_equal(write(ends.theirs[1], bytes, n), (ssize_t)n);
}

static void test_messages_in_pieces(void **state)
{
    (void)state;
    put("{\"a\":1}\0{\"b\"", 12);
    turn();
    assert_string_equal(got.ptr, "{\"a\":1}|");
    put(":2}\0\0{}\0", 8);
    turn();
    assert_string_equal(got.ptr, "{\"a\":1}|{\"b\":2}||{}|");
    assert_int_equal(n_got, 4);
}

/* Chromium writes the NUL by itself: what is whole without it does not wait. */
static void test_whole_without_its_nul(void **state)
{
    (void)state;
    put("{\"a\":\"}\\\"\",\"b\":{}", 17);
    turn();
    assert_int_equal(n_got, 0); /* its last brace is the inner one's */
    put("}", 1);
    turn();
    assert_string_equal(got.ptr, "{\"a\":\"}\\\"\",\"b\":{}}|");
    put("\0", 1);
    turn();
    assert_int_equal(n_got, 1);
    put("{}", 2);
    turn();
    put("\0{\"c\":[{}]}\0{\"d\"", 16);
    turn();
    put(":3}", 3);
    turn();
    assert_string_equal(got.ptr, "{\"a\":\"}\\\"\",\"b\":{}}|{}|{\"c\":[{}]}|{\"d\":3}|");
    put(" \0\0", 3); /* what is between belongs to nothing */
    turn();
    assert_int_equal(n_got, 5);
}

static void test_destroyed_before_the_nul(void **state)
{
    (void)state;
    destroy_on_message = true;
    put("{}", 2);
    turn();
    assert_int_equal(n_got, 1);
    assert_null(pipe_t);
}

static void test_large_message(void **state)
{
    size_t size = 3 * 1024 * 1024, sent = 0;
    char *big = xcalloc(1, size);

    (void)state;
    memset(big, 'x', size - 1);
    assert_int_equal(fcntl(ends.theirs[1], F_SETFL, O_NONBLOCK), 0);
    while (sent < size) {
        ssize_t n = write(ends.theirs[1], big + sent, size - sent);

        if (n > 0)
            sent += (size_t)n;
        loop_run_once(loop, 1);
    }
    turn();
    assert_int_equal(n_got, 1);
    assert_int_equal(got.len, size);
    free(big);
}

static void test_writes_wait_for_the_reader(void **state)
{
    size_t size = 1024 * 1024, taken = 0;
    char *big = xcalloc(1, size);

    (void)state;
    memset(big, 'y', size - 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(transport_send(pipe_t, str_n(big, size), NULL), STATUS_OK);
    assert_int_equal(fcntl(ends.theirs[0], F_SETFL, O_NONBLOCK), 0);
    while (taken < 3 * size) {
        char piece[65536];
        ssize_t n = read(ends.theirs[0], piece, sizeof piece);

        if (n > 0)
            taken += (size_t)n;
        else
            assert_int_equal(errno, EAGAIN);
        loop_run_once(loop, 1);
    }
    assert_int_equal(taken, 3 * size);
    free(big);
}

static void test_queue_is_bounded(void **state)
{
    size_t size = 40u * 1024 * 1024;
    char *big = xcalloc(1, size);
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(transport_send(pipe_t, str_n(big, size), NULL), STATUS_OK);
    assert_int_equal(transport_send(pipe_t, str_n(big, size), &e), STATUS_TOO_LARGE);
    free(big);
}

static void test_peer_goes(void **state)
{
    (void)state;
    put("{}\0{\"unfinished", 14);
    close(ends.theirs[1]);
    ends.theirs[1] = -1;
    turn();
    assert_int_equal(n_got, 1);
    assert_int_equal(closed, 1);
    assert_int_equal(closed_why, STATUS_CLOSED);
    assert_int_equal(transport_send(pipe_t, STR("{}"), NULL), STATUS_CLOSED);
}

static void test_destroyed_in_a_message(void **state)
{
    (void)state;
    destroy_on_message = true;
    put("{}\0{}\0", 6);
    turn();
    assert_int_equal(n_got, 1);
    assert_null(pipe_t);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_messages_in_pieces),
        CASE(test_whole_without_its_nul),
        CASE(test_destroyed_before_the_nul),
        CASE(test_large_message),
        CASE(test_writes_wait_for_the_reader),
        CASE(test_queue_is_bounded),
        CASE(test_peer_goes),
        CASE(test_destroyed_in_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
