/* How an identity is put on a browser: commands for every realm of a member, a script for what no
 * command can set (browser/assets/identity.js), and switches for a process (switches.h). The
 * commands' texts are built once a member; a new target gets them in one write, none awaited, and
 * then runs. What each tier cannot keep stands in README.md. Loop thread only. */
#ifndef BROWSER_IDENTITY_APPLY_H
#define BROWSER_IDENTITY_APPLY_H

#include "browser/cdp/conn.h"
#include "browser/identity/switches.h"
#include "fingerprints/identity.h"

enum realm_kind {
    REALM_PAGE,   /* main session of a tab or popup */
    REALM_PLACED, /* of a tab made with its URL: its initial empty document stays without a script,
                     which would cost a realm that nobody sees */
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
    struct str metrics;     /* params of Emulation.setDeviceMetricsOverride with the identity's own
                               screen and viewport; empty: switches did it, and none is sent */
    struct str worker_head; /* params of Runtime.evaluate up to the site's name; empty: no script */
    struct str worker_tail; /* and after it */
};

/** Builds the texts in `arena`. `own_process`: the switches of identity_add_args hold for the
 * browser. */
void identity_prepare(struct arena *arena, const struct identity *id, bool own_process,
                      struct applied *out);
/** Gives all commands of the realm to the session. `page_url`, of workers: of the top-level
 * document that one belongs to, whose host its noise goes with, as that of the page's frames does;
 * of shared and service workers their own. NULL for documents, which know it. */
void identity_apply(const struct applied *a, enum realm_kind realm, struct cdp_session *s,
                    const char *page_url);

#endif
