/* A process that a test starts and waits for: a built program with its output in files, or what
 * the test forked itself. */
#ifndef TESTS_SUPPORT_CHILD_H
#define TESTS_SUPPORT_CHILD_H

#include <stdbool.h>
#include <sys/types.h>
#include <unistd.h>

#include "tests/support/testing.h"

/** In a child cmocka's assertions would jump into the parent's test: this ends the child. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            print_message("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/** Starts a built program (test_program) with the words of `words`, parted by spaces, as its
 *  arguments. Its standard output goes to the file `out`, its standard error to `err`, each emptied
 *  first; the same name twice: both into one. */
pid_t child_program(const char *name, const char *words, const char *out, const char *err);

/** Whether it has ended; then *code_out is its exit code, or minus the signal, and it is not asked
 *  for again. Does not wait. */
bool child_has_ended(pid_t pid, int *code_out);

/** Waits for its end: the exit code, or minus the signal. After `ms` it is killed and the running
 *  case fails. */
int child_wait(pid_t pid, unsigned ms);

/** As child_wait, but that it is killed after `ms` (SIGKILL) is meant. */
int child_kill_after(pid_t pid, unsigned ms);

#endif
