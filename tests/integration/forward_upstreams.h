/* Upstreams that tests of the forwarder share: real ones as processes, and one that never answers.
 */
#ifndef TESTS_INTEGRATION_FORWARD_UPSTREAMS_H
#define TESTS_INTEGRATION_FORWARD_UPSTREAMS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/integration/forward_rig.h"

struct child {
    pid_t pid;
    uint16_t port;
    char *dir;
};

bool is_installed(const char *program);
/** Starts it and waits until it listens. The case fails when it does not. */
void child_start(struct child *c, const char *const *argv);
void child_stop(struct child *c);
/** With user and password: those of test_forward_upstream.c. */
void start_tinyproxy(struct child *c);
void start_microsocks(struct child *c);

/** serve_fn: takes what it gets and says nothing. */
void bad_silent(int fd, void *arg);

#endif
