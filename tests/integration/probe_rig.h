/* The probe's visits: a server on loopback that serves tests/site/probe from two sites (127.0.0.1
 * and localhost) and keeps what every realm posts and every request's headers, and a pool of real
 * browsers whose members visit it directly, without a proxy between. */
#ifndef TESTS_INTEGRATION_PROBE_RIG_H
#define TESTS_INTEGRATION_PROBE_RIG_H

#include "browser/pool.h"
#include "core/base/json.h"
#include "tests/support/httpd.h"

enum { PROBE_REQUESTS_MAX = 160, PROBE_MEMBERS_MAX = 8 };

struct probe_request {
    char key[64];       /* kind: "doc-top", "script-shared", "img", "post-worker", "preflight" */
    char names[600];    /* of its headers, in order, as they were written, comma-separated */
    char headers[2400]; /* whole */
};

/** What one visit left. probe_visit_free gives it back. */
struct probe_visit {
    struct json *realms; /* name -> object of values */
    struct probe_request *requests;
    size_t n_requests;
};
void probe_visit_free(struct probe_visit *v);
/** A realm's value, NULL when the realm or the value is missing. */
const char *probe_value(const struct probe_visit *v, const char *realm, const char *name);

struct probe_rig;

/** A browser of `kind` for `n` identities. The case is skipped when there is no such browser. */
struct probe_rig *probe_open(enum browser_kind kind, enum isolation isolation,
                             const struct identity *const *ids, size_t n);
/** A browser that shows itself as it is, for references. */
extern const struct identity probe_nobody;
void probe_close(struct probe_rig **rig);

/** The member visits the probe once, with or without pop-ups; until all realms have posted or a
 * deadline of some seconds is over. */
void probe_visit(struct probe_rig *rig, size_t member, bool popups, struct probe_visit *out);
/** Realms that a visit is made of, NULL-terminated; the last few only with pop-ups. */
extern const char *const probe_realms[];
extern const char *const probe_popup_realms[];

/** The member opens http://127.0.0.1:port/<path> and waits until the server has a post named
 * `until` (NULL: not at all). The text of the post, "" when none came; lives until the next call.
 */
const char *probe_open_page(struct probe_rig *rig, size_t member, const char *path,
                            const char *until);

/** The same, and the page stays open until it is closed: pages of several members at once. A member
 * has one page at a time. NULL is closed already. */
struct probe_page *probe_page_open(struct probe_rig *rig, size_t member, const char *path,
                                   const char *until);
void probe_page_close(struct probe_page **page);
/** The text of the post that the last page waited for, as probe_open_page. */
const char *probe_said(const struct probe_rig *rig);

/** Asked before the probe's own pages; false: not one of its. Any thread. */
typedef bool probe_answer_fn(void *arg, const struct httpd_request *q, struct httpd_reply *a);
void probe_serve(struct probe_rig *rig, probe_answer_fn *fn, void *arg);

#endif
