/* What the demo promises, and whether it was really seen: told by the run as it went, by its
 * results and receipts afterwards. The list is what `fleet demo` prints and what its exit code
 * says. */
#ifndef BROWSER_DEMO_PROMISE_H
#define BROWSER_DEMO_PROMISE_H

#include "core/coord/run.h"

enum { PROMISES_MAX = 16, PROMISE_TEXT_MAX = 200 };

struct promise {
    const char *name; /* "catalogue" */
    bool kept;
    char text[PROMISE_TEXT_MAX]; /* what was seen, in a line */
};

struct promises {
    struct promise v[PROMISES_MAX];
    size_t n;

    /* private: what the run told */
    unsigned breakers, slowed, rotated, killed;
    char killed_text[PROMISE_TEXT_MAX], rotated_text[PROMISE_TEXT_MAX];
    uint64_t slowed_ms; /* the longest that `busy` was left alone */
    struct loop *loop;
};

/** To be put among the run's watches. */
struct run_watch promises_watch(struct promises *p, struct loop *loop);
/** After the run: reads `dir`/results.ndjson and the pictures it names, the receipts in
 * `dir`/audit.ndjson, and fills the list. IO, NOT_FOUND, INVALID: what could not be read; the list
 * is then not complete. */
must_check enum status promises_check(struct promises *p, const char *dir, struct err *e);
/** Adds one. */
void promises_add(struct promises *p, const char *name, bool kept, const char *fmt, ...)
    printf_like(4, 5);
bool promises_all_kept(const struct promises *p);
/** Prints the list to standard output, in colour on a terminal. */
void promises_print(const struct promises *p);

#endif
