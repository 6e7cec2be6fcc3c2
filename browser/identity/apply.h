/* How an identity is put on a browser: commands for every realm of a member, and switches for a
 * process of its own. The commands' texts are built once a member; a new target gets them in one
 * write, none awaited, and then runs.
 *
 * In the dense tier (contexts of one browser) members differ in languages, so that Accept-Language
 * cannot be a switch: it goes with Emulation.setUserAgentOverride, which puts the header at a place
 * where Chromium itself does not have it. That is what the dense tier cannot keep; a process of its
 * own gets --accept-lang and no override of it. Loop thread only. */
#ifndef BROWSER_IDENTITY_APPLY_H
#define BROWSER_IDENTITY_APPLY_H

#include "browser/cdp/conn.h"
#include "browser/chromium/args.h"
#include "fingerprints/identity.h"

enum realm_kind {
    REALM_PAGE,   /* main session of a tab or popup */
    REALM_FRAME,  /* frame in a process of its own */
    REALM_WORKER, /* dedicated, shared and service workers */
    REALM_COUNT,
};

struct applied {
    struct arena *arena;
    struct {
        struct {
            const char *method;
            struct str params;
        } v[12];
        size_t n;
    } realms[REALM_COUNT];
    struct str metrics; /* params of Emulation.setDeviceMetricsOverride with the identity's own
                           screen and viewport */
};

/** Builds the texts in `arena`. `own_process`: the switches of identity_add_args hold for the
 * browser. */
void identity_prepare(struct arena *arena, const struct identity *id, bool own_process,
                      struct applied *out);
/** Gives all commands of the realm to the session. */
void identity_apply(const struct applied *a, enum realm_kind realm, struct cdp_session *s);

/** Switches and environment ("TZ=...", one, NULL when none; the args' arena) of a browser that is
 * this identity's alone. */
const char *identity_add_args(const struct identity *id, struct args *args);

#endif
