/* What SIGINT, SIGTERM and SIGHUP do to a verb that runs an engine: the first one drains; the
 * second one cancels what runs, and the process leaves STOP_HARD_MS later if that has not ended;
 * the third one leaves at once. What runs in sandboxes ends with the process. Loop thread only. */
#ifndef CORE_CLI_STOP_H
#define CORE_CLI_STOP_H

#include "core/base/loop.h"

enum { STOP_HARD_MS = 8000 };

struct stop {
    struct loop *loop;
    struct loop_timer hard;
    int signal; /* that the exit code tells of: SIGINT or SIGTERM; 0: none came */
    unsigned n;
    void (*drain)(void *arg, const char *why);
    void *arg;
};

/** `drain` is called for each signal, `why` being its name ("SIGINT"); again means that what runs
 * is cancelled. *s stays in its place until stop_unwatch. */
must_check enum status stop_watch(struct stop *s, struct loop *loop,
                                  void (*drain)(void *arg, const char *why), void *arg,
                                  struct err *e);
/** Signals end the process again as they would without us. Takes one that was never watched. */
void stop_unwatch(struct stop *s);
/** What a process ends with that `signum` stopped: EXIT_SIGINT, or EXIT_SIGTERM. */
int stop_exit_code(int signum);

#endif
