/* What the tests of the loop share. */
#ifndef TESTS_UNIT_BASE_LOOP_RIG_H
#define TESTS_UNIT_BASE_LOOP_RIG_H

#include "core/base/loop.h"

extern char trace[256]; /* what happened since new_loop, a letter each */
void note(char c);

/** A timer that notes its letter. */
struct lettered {
    struct loop_timer timer;
    char letter;
    struct lettered *other;
};
void on_letter(struct loop_timer *t);
/** Reads a byte, and notes it. */
void on_byte(void *arg, int fd, int events);

/** `clock` NULL: the real one. */
struct loop *new_loop(const struct clock *clock);
struct loop_watch *watch(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg);
/** Non-blocking, connected. */
void socket_pair(int fds[2]);

#endif
