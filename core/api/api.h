/* The control API: an engine (core/coord/engine.h) over HTTP and JSON, on a Unix socket that only
 * its owner may open. The contract is API.md; its table of routes is the one below, and a test
 * holds both together. Nothing here decides: handlers decode, call the engine, and encode.
 *
 * Loop thread only. */
#ifndef CORE_API_API_H
#define CORE_API_API_H

#include "core/api/http.h"
#include "core/coord/engine.h"

struct api;

enum { API_BODY_MAX = 16 * 1024 * 1024 };

struct api_opts {
    struct engine *engine; /* outlives the API */
    const char *socket;    /* path of the Unix socket */
    /** POST /v1/drain was asked for. */
    void (*on_drain)(void *arg);
    void *arg;
};

/** Listens. As server_open. */
must_check enum status api_open(const struct api_opts *o, struct api **out, struct err *e);
/** No new connections, and the socket's file is gone; answers that are under way go on. */
void api_stop(struct api *a);
/** Closes; `closed` once, from the loop. Before the engine is destroyed, and after it is over: what
 *  it was asked for it has answered then. */
void api_close(struct api *a, void (*closed)(void *arg), void *arg);

/** The routes, ended by a row with pattern NULL. Static. */
const struct route *api_routes(void);

/** Path of the socket of an engine on `state_dir`. malloc'ed. */
char *api_socket_path(const char *state_dir) must_check;

#endif
