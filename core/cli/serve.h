/* `serve`: an engine that waits for batches, with its faces. The control API on a Unix socket is
 * always there; a program may bring further ones (struct cli_program, `faces`), such as the
 * DevTools gateway of `fleet`. */
#ifndef CORE_CLI_SERVE_H
#define CORE_CLI_SERVE_H

#include "core/base/err.h"

struct cli;
struct engine;

/** A further face of a serving engine. Static. Loop thread. */
struct serve_face {
    const char *name; /* "gateway" */
    /** The engine is made, not started. `listen` is what --listen says, NULL: not given. *out NULL:
     *  it is not wanted. What a person should know (an address, a token) it prints itself. */
    enum status (*open)(const struct cli *c, struct engine *e, const char *listen, void **out,
                        struct err *er);
    /** The engine drains: no new work. */
    void (*drain)(void *face);
    /** The engine is over: `closed` once, from the loop; then the engine is destroyed. */
    void (*close)(void *face, void (*closed)(void *arg), void *arg);
};

#endif
