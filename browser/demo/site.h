/* The demo's web sites: seven of them on seven loopback addresses and one port, so that a campaign
 * has several targets. Real HTTP by libwebsockets, pages from tests/site (embedded). Blocking: runs
 * in a process of its own (`fleet demo --serve-only`, or the demo's child), until SIGTERM or
 * SIGINT.
 *
 *   127.0.1.1  shop     a catalogue of 60 items, rendered by JavaScript from JSON
 *   127.0.1.2  news     articles of 60 KB with styles, a script and pictures
 *   127.0.1.3  club     a sign-up form over three steps; sets a cookie, shows a confirmation
 *   127.0.1.4  busy     answers some requests, then 429 with Retry-After until that time has passed
 *   127.0.1.5  guarded  shows a CAPTCHA-like page
 *   127.0.1.6  slow     begins to answer and never finishes
 *   127.0.1.7  stuck    a page that hangs in JavaScript
 */
#ifndef BROWSER_DEMO_SITE_H
#define BROWSER_DEMO_SITE_H

#include <stdint.h>

#include "core/base/err.h"

enum site_kind {
    SITE_SHOP,
    SITE_NEWS,
    SITE_CLUB,
    SITE_BUSY,
    SITE_GUARDED,
    SITE_SLOW,
    SITE_STUCK,
    SITE_COUNT
};

struct site_opts {
    uint16_t port;           /* the same on every address; 0: one that is free on all */
    uint16_t preferred_port; /* with port 0: tried first; 0: none */
    uint32_t busy_after;     /* requests to `busy` that are answered before it refuses; 0: 6 */
    uint32_t retry_after_s;  /* what its 429 says; 0: 2 */
    /** Called once, when all listen: the port. May be NULL. */
    void (*ready)(void *arg, uint16_t port);
    void *arg;
};

const char *site_name(enum site_kind k);    /* "shop" */
const char *site_address(enum site_kind k); /* "127.0.1.1" */

/** Serves until a signal. STATUS_OK then; BUSY: the port is in use (says where); ENVIRONMENT:
 * libwebsockets would not start. */
must_check enum status site_serve(const struct site_opts *o, struct err *e);

#endif
