/* The command line of a Chromium: switches in one place, each once. Lists (features, Blink
 * features, Blink settings) given from several sides are merged into one switch, because Chromium
 * takes only the last of each. Memory is the arena's. Pure. */
#ifndef BROWSER_CHROMIUM_ARGS_H
#define BROWSER_CHROMIUM_ARGS_H

#include "core/base/arena.h"
#include "core/conf/campaign.h"

enum { ARGS_MAX = 128 };

struct args {
    struct arena *arena;
    struct {
        struct str name;  /* "--proxy-server" */
        struct str value; /* ptr NULL: none */
    } v[ARGS_MAX];
    size_t n;
};

void args_init(struct args *a, struct arena *arena);
/** "--name" or "--name=value". A name that is there already: lists gain what is new, anything else
 * takes the later value. */
void args_add(struct args *a, const char *arg);
void args_addf(struct args *a, const char *fmt, ...) printf_like(2, 3);
/** The value, ptr NULL when the switch is absent or has none. */
struct str args_get(const struct args *a, const char *name);
/** argv: program, switches in order of their first mention, NULL. */
const char *const *args_list(const struct args *a, const char *program);

/** What every instance gets; the reasons stand in the table. */
void args_add_base(struct args *a, enum browser_kind kind);

/** A browser that was found. Strings are the arena's. */
struct browser_program {
    enum browser_kind kind; /* never BROWSER_AUTO */
    const char *path;       /* absolute */
};
/** Looks for `want` (BROWSER_AUTO: headless-shell, then chromium): FLEET_CHROMIUM or
 * FLEET_HEADLESS_SHELL, the distribution's places, PATH. ENVIRONMENT names the Debian package that
 * has it. */
must_check enum status browser_find(struct arena *arena, enum browser_kind want,
                                    struct browser_program *out, struct err *e);

#endif
