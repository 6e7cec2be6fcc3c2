/* A client of the control API, for the verbs of the command line: one request at a time, blocking,
 * with a deadline. */
#ifndef CORE_API_CLIENT_H
#define CORE_API_CLIENT_H

#include "core/base/buf.h"
#include "core/base/json.h"

enum { CLIENT_REPLY_MAX = BUF_MAX_FILE, CLIENT_TIMEOUT_MS = 30000 };

struct client_request {
    const char *socket; /* path */
    const char *method; /* "GET" */
    const char *path;   /* with its query, encoded */
    const char *key;    /* Idempotency-Key; NULL: none */
    struct str body;
    unsigned timeout_ms; /* for all of it; 0: CLIENT_TIMEOUT_MS */
};

struct client_reply {
    unsigned code;       /* HTTP's */
    struct buf body;     /* NUL-terminated */
    struct buf head;     /* raw: status line and headers */
    struct json *errors; /* of a refusal: its lines, an array; NULL: none */
};

/** OK: 2xx. A refusal comes as the status that the engine named with its sentence. ENVIRONMENT: no
 *  engine listens there, and the sentence says how to start one; TIMEOUT, PROTOCOL, CLOSED. The
 *  reply is to be given back in any case. */
must_check enum status client_call(const struct client_request *q, struct client_reply *out,
                                   struct err *e);
void client_reply_deinit(struct client_reply *r);
/** Value of a header (name in any case) into out; false when absent or too long. */
must_check bool client_header(const struct client_reply *r, const char *name, char *out,
                              size_t size);
/** The body as JSON; the caller owns it. PROTOCOL when it is none. */
must_check struct json *client_json(const struct client_reply *r, struct err *e);
/** An engine answers there. */
must_check bool client_is_there(const char *socket);

#endif
