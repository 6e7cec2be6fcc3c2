/* An identity as switches and environment of a browser process: what scripts, headers, workers and
 * frames then have natively, from the first byte on. Pure. */
#ifndef BROWSER_IDENTITY_SWITCHES_H
#define BROWSER_IDENTITY_SWITCHES_H

#include "browser/chromium/args.h"
#include "fingerprints/identity.h"

/** Switches and environment ("TZ=...", one, NULL when none; the args' arena) of a browser that is
 * this identity's alone. */
const char *identity_add_args(const struct identity *id, struct args *args);

/** Of a browser that several identities share: what all of them have in common (user agent, pointer
 * and touch, screen, zone). `ids` may be empty. */
const char *identity_add_shared_args(const struct identity *const *ids, size_t n,
                                     struct args *args);

#endif
