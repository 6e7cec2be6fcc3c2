/* What a client of the gateway may call: a table of DevTools methods, everything else is refused.
 *
 *   pass    goes to the browser as it is
 *   mend    its parameters are checked, and what is missing or not the client's to choose is put in
 *   ignore  answered {} without effect: what would undo the identity, and clients send by habit
 *   own     the gateway answers it by itself (mux)
 *   refuse  an error that says why
 *
 * Pure; any thread. */
#ifndef BROWSER_GATEWAY_POLICY_H
#define BROWSER_GATEWAY_POLICY_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "fingerprints/identity.h"

enum rule_do { RULE_PASS, RULE_MEND, RULE_IGNORE, RULE_OWN, RULE_REFUSE };

enum rule_flags {
    RULE_BROWSER = 1, /* may be called on the browser's session */
    RULE_PAGE = 2,    /* ... on a page's, frame's or worker's */
    RULE_ACTS = 4,    /* changes something, or runs script: leaves a receipt */
    RULE_ALONE = 8,   /* only where the browser process is the member's alone */
};

/** Whose commands are looked at. */
struct policy_scope {
    const struct identity *identity;
    const struct json *metrics; /* the identity's own Emulation.setDeviceMetricsOverride */
    const char *context;        /* the default context's DevTools id */
    const char *uploads_dir;    /* files from here may be given to pages; NULL: none */
    const char *downloads_dir;  /* where downloads go, whatever the client says; NULL: denied */
    /** The lease has this file in uploads_dir; NULL: none. */
    bool (*has_upload)(void *arg, const char *name);
    /** A client wants its downloads by their guids in this directory; NULL: nobody listens. */
    void (*deliver_to)(void *arg, const char *dir);
    bool is_page;   /* the command is on a page's session: its context is given with it */
    bool alone;     /* isolation "process" */
    char patch[24]; /* the name of the identity's own script, which is not shown; "": none */
    bool (*has_context)(void *arg, const char *id);
    bool (*has_target)(void *arg, const char *id);
    void *arg;
};

struct rule {
    const char *method; /* "Page.navigate"; "DOM.": what else is in the domain */
    enum rule_do act;
    unsigned flags;
    /** RULE_MEND: changes `params` (an object), or refuses. */
    enum status (*mend)(const struct policy_scope *sc, struct json *params, struct err *e);
    const char *why; /* for refuse and ignore: the reason, as it ends a sentence */
};

/** The rule for a method; never NULL: what no row names is refused. */
const struct rule *policy_rule(struct str method);
/** All rows, for documentation and tests; NULL at the end. */
const struct rule *policy_row(size_t i);

/** True for what a client may ask a page to show: http, https, about:blank, about:srcdoc, data and
 * blob. Leading spaces and control characters are passed over as browsers do. */
bool policy_url_ok(const char *url);

/** True when all of the text is one JSON value (RFC 8259), nested at most POLICY_JSON_DEPTH deep.
 * For what is handed on unparsed. */
bool policy_json_ok(struct str text);
enum { POLICY_JSON_DEPTH = 1024 };

#endif
