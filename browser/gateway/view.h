/* What the clients of a lease may see: its browser contexts and what is open in them. Filled by the
 * lease from what the browser tells, asked by each client's mux. Loop thread only.
 *
 *   target:  known -> ready (attached by us, has the identity; may be paused) -> gone
 */
#ifndef BROWSER_GATEWAY_VIEW_H
#define BROWSER_GATEWAY_VIEW_H

#include "core/base/json.h"
#include "core/base/list.h"
#include "core/base/str.h"

enum { VIEW_ID_MAX = 48, VIEW_TYPE_MAX = 24, VIEW_CONTEXTS_MAX = 64, VIEW_GONE_MAX = 32 };

struct view_target {
    struct list link;
    char id[VIEW_ID_MAX];
    char tab[VIEW_ID_MAX]; /* of a page: the id of the tab around it, which is ours alone */
    char context[VIEW_ID_MAX];
    char type[VIEW_TYPE_MAX];
    char hold[VIEW_ID_MAX]; /* our session that keeps it paused; "" when it runs */
    char own[VIEW_ID_MAX];  /* our session on it, "" for what we are not attached to */
    char *lead;             /* where it is led when it runs; NULL: nowhere */
    struct json *info;      /* TargetInfo as the browser told it last */
    bool blank;             /* a client asked for it, on about:blank: the browser says so late */
    bool ready;
    bool running;        /* it was let go, and said so */
    unsigned waiters;    /* clients' sessions that wait to let it run */
    unsigned n_sessions; /* clients' sessions on it: TargetInfo's "attached" */
};

struct view {
    char lease[VIEW_ID_MAX]; /* the id of the browser target that clients are shown */
    char contexts[VIEW_CONTEXTS_MAX][VIEW_ID_MAX]; /* [0]: the default one */
    size_t n_contexts;
    struct list targets;                   /* in order of appearance */
    char gone[VIEW_GONE_MAX][VIEW_ID_MAX]; /* pages and tabs that were, the oldest overwritten */
    size_t n_gone;
};

void view_init(struct view *v, const char *lease);
void view_deinit(struct view *v);

bool view_has_context(const struct view *v, const char *id);
/** False: too many. */
must_check bool view_add_context(struct view *v, const char *id);
void view_drop_context(struct view *v, const char *id);

struct view_target *view_find(const struct view *v, const char *id);
/** A page by the id of its tab. */
struct view_target *view_find_tab(const struct view *v, const char *tab);
/** Takes a TargetInfo (copied): a new target, or news of one. NULL when its context is not the
 * lease's.
 */
struct view_target *view_update(struct view *v, const struct json *info);
/** It was asked for on about:blank: shown so from now on, while the browser names no address. As
 * the page is held, the browser would name it only when it runs, and Puppeteer waits for that. */
void view_mark_blank(struct view_target *t);
void view_remove(struct view *v, struct view_target *t);
/** A page, or its tab, that was here not long ago. */
bool view_was(const struct view *v, const char *id);
static inline bool view_is_page(const struct view_target *t)
{
    return strcmp(t->type, "page") == 0;
}

/** TargetInfo of a target, of a page's tab, and of the browser, as text onto `out`. */
void view_print(const struct view_target *t, struct buf *out);
void view_print_tab(const struct view_target *t, struct buf *out);
void view_print_browser(const struct view *v, struct buf *out);

/** A new id, as the browser makes them: 32 hexadecimal digits. */
void view_new_id(char out[VIEW_ID_MAX]);

#endif
