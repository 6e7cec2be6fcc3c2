#include "tests/unit/base/loop_rig.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/testing.h"

char trace[256];

void note(char c)
{
    size_t n = strlen(trace);

    assert_true(n + 1 < sizeof(trace));
    trace[n] = c;
    trace[n + 1] = '\0';
}

struct loop *new_loop(const struct clock *clock)
{
    struct loop *l = NULL;
    struct err e = ERR_INIT;

    trace[0] = '\0';
    if (loop_create(&l, clock, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    return l;
}

struct loop_watch *watch(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg)
{
    struct loop_watch *w = NULL;
    struct err e = ERR_INIT;

    if (loop_watch_open(l, fd, events, fn, arg, &w, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    return w;
}

void socket_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
}

void on_letter(struct loop_timer *t)
{
    note(container_of(t, struct lettered, timer)->letter);
}

void on_byte(void *arg, int fd, int events)
{
    char c;

    (void)arg;
    assert_int_equal(events, LOOP_READ);
    assert_int_equal(read(fd, &c, 1), 1);
    note(c);
}

/* A timer that restarts itself with 0 ms must let descriptors have their turn. */
