/* A forwarder on a loop of its own thread, and servers that answer on threads: what test_forward
 * needs to be a browser, an upstream and a target at once, with plain blocking sockets. */
#ifndef TESTS_INTEGRATION_FORWARD_RIG_H
#define TESTS_INTEGRATION_FORWARD_RIG_H

#include <pthread.h>
#include <stdatomic.h>

#include "proxies/forward.h"

/* --- the forwarder --- */

enum { RESULTS_MAX = 64 };

struct rig {
    pthread_t thread;
    struct loop *loop;
    struct forward *f;
    uint16_t port;
    pthread_mutex_t lock; /* guards what follows */
    size_t n_results;
    struct {
        char id[PROXY_ID_MAX + 1];
        enum status status;
        uint64_t latency_ms;
        int code;
    } results[RESULTS_MAX];
    uint64_t bytes_in, bytes_out;
};

/** `opts` NULL: the defaults with allow_direct. The hooks for results are the rig's own. */
void rig_start(struct rig *r, const struct forward_opts *opts);
void rig_stop(struct rig *r);
/** `line` NULL: none. */
void rig_set_upstream(struct rig *r, const char *line);
void rig_cut_all(struct rig *r);
struct forward_stats rig_stats(struct rig *r);
/** The counts of `host`; all 0 when it is unknown. */
struct forward_host rig_host(struct rig *r, const char *host);
/** The last result; fails the test when there is none within 2 s. Forgets all results. */
enum status rig_take_result(struct rig *r, int *code);

/* --- servers --- */

typedef void serve_fn(int fd, void *arg);
struct server {
    pthread_t thread;
    int fd;
    uint16_t port;
    serve_fn *fn; /* a connection, on a thread of its own; `fd` is closed for it */
    void *arg;
    atomic_int accepted, open;
    atomic_bool stopping;
};
void server_start(struct server *s, serve_fn *fn, void *arg);
void server_stop(struct server *s);

/** Answers requests by their path: see the table in forward_rig.c. */
void serve_http(int fd, void *arg);
/** Sends back what it gets; "bye" after the end. */
void serve_echo(int fd, void *arg);

/* --- a client --- */

int client_open(uint16_t port);
void client_send(int fd, const char *text);
/** Reads until the end or `until` (may be NULL) was seen, at most 5 s; the text in `out`,
 * NUL-terminated. False: a reset or no end in time. */
bool client_read(int fd, const char *until, char *out, size_t size);
/** Opens a tunnel to 127.0.0.1:port through the rig; fails the test when it is refused. */
int client_tunnel(struct rig *r, uint16_t port);
/** One request on a connection of its own, all of the answer. */
void client_ask(struct rig *r, const char *request, char *out, size_t size);

#endif
