/* A mux without a browser: what it says to the client and asks of the browser is kept as text, and
 * nothing happens until the test answers. */
#ifndef TESTS_SUPPORT_GATEWAY_HOST_H
#define TESTS_SUPPORT_GATEWAY_HOST_H

#include "browser/gateway/mux.h"

enum { HOST_ASKED_MAX = 64 };

struct gateway_host {
    struct view view;
    struct policy_scope scope;
    struct identity identity;
    struct json *metrics;
    struct mux *mux;
    struct buf client; /* messages to the client, a line each */
    struct buf asked;  /* of the browser: "session method params", a line each */
    struct buf told;   /* other wishes: "run T1", "open", "release", "acted Page.navigate OK" */
    struct mux_call *calls[HOST_ASKED_MAX]; /* not answered yet */
    size_t n_calls;
};

/** A lease with one context "C1", and nothing open. `page` as mux_create. */
void gateway_host_open(struct gateway_host *h, const char *page);
/** Answers what is open with CLOSED. */
void gateway_host_close(struct gateway_host *h);
/** Answers the oldest call; `result` is JSON. False: there is none. */
bool gateway_host_answer(struct gateway_host *h, const char *result);
/** A page that the browser tells of: attached by us, paused. */
struct view_target *gateway_host_page(struct gateway_host *h, const char *id);

#endif
