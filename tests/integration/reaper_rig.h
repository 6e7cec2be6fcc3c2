/* What the tests of the reaper share: a piece of a test that runs as somebody else and is counted,
 * and the members that they launch. */
#ifndef TESTS_INTEGRATION_REAPER_RIG_H
#define TESTS_INTEGRATION_REAPER_RIG_H

#include <limits.h>
#include <sys/types.h>

#include "tests/support/members.h"

enum { NOBODY = 65534, SLOW_MS = 20000, GONE_MS = 3000 };

#define BIT(l)   REAPER_LAYER_BIT(REAPER_LAYER_##l)
#define HEADLESS "chromium-headless-shell"

/* --- as somebody else --- */

/** Who runs it. The launcher is executed by its descriptor: nobody may not reach the directory it
 *  was built in. */
struct as {
    bool nobody;
    char program[64], state[PATH_MAX];
    struct ground *ground; /* where it is counted; NULL: nowhere */
};

/** With a state directory of its own; as_close sees that nothing is left in it. */
void as_open(struct as *a, bool nobody);
/** The same with a ground to count in. Skips the case where there can be none. */
void as_open_counted(struct as *a, bool nobody);
void as_close(struct as *a);
/** Runs `fn` in a child, which is the caller's to wait for. */
pid_t as_fork(const struct as *a, void (*fn)(const struct as *, void *), void *arg);
/** Runs `fn` in a child, and fails with it. */
void as_run(bool nobody, void (*fn)(const struct as *, void *), void *arg);

/* --- members --- */

extern const char version_call[], page_call[]; /* to a browser's pipe */

/** A browser with all of its sandbox; `argv` is the caller's room for its arguments. */
struct reaper_spec browser_spec(const char *path, const char *argv[16]);
/** A member that does all it can to stay. It says "up" on descriptor 4. */
struct reaper_spec stayer_spec(void);

#endif
