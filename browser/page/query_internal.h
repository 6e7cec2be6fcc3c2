/* A query, as query.c (rounds, the page's script, the sentence) and query_aria.c (the accessibility
 * tree) see it. */
#ifndef BROWSER_PAGE_QUERY_INTERNAL_H
#define BROWSER_PAGE_QUERY_INTERNAL_H

#include "browser/page/page_internal.h"
#include "browser/page/query.h"

/* The object group of handles that come from the accessibility tree. */
#define ARIA_GROUP "fleet-aria"

enum {
    ARIA_NODES_MAX = 100,   /* nodes taken of one look */
    ANSWER_GRACE_MS = 1000, /* the page's clock and ours need not agree */
    DOCUMENT_PAUSE_MS = 20,
};

/* What the accessibility tree gave for one alternative. */
struct found {
    size_t alt, next; /* index of the part after the aria/ part */
    char **handles;
    size_t n;
};

struct query {
    struct page *page; /* referenced */
    struct loop *loop;
    const struct query_spec *spec;
    query_fn *fn;
    void *arg;
    struct arena *arena;
    struct loop_timer timer;
    struct frame_ref frame;
    uint32_t document;
    uint64_t call; /* page's id of what is under way */
    uint64_t deadline_ms;
    unsigned rounds;
    enum status cancelled;
    bool install; /* send the script along */
    /* the aria lookups of this round */
    struct found *found;
    size_t n_found, alt, n_roots, root, part;
    int64_t *nodes;
    size_t n_nodes, node, unanswered;
    uint64_t calls[ARIA_NODES_MAX];
    bool grouped;    /* handles were made that nobody needs afterwards */
    struct err last; /* what the last round said */
};

/* --- query.c --- */

/** The end: fn is called, and the query is gone. */
void query_over(struct query *q, enum status s, const struct json *answer, const struct err *e);
void query_again_in(struct query *q, uint64_t ms);
/** A call of the page did not work out. Documents that went away are not the end. True: it is over
 * for this round. */
bool query_call_failed(struct query *q, enum status s, const struct err *e);
/** The function to call in the page: short once the script is installed. In the arena. */
struct str query_call_source(struct arena *a, bool install, bool main_world);
/** ,"got":[...] of what the tree gave; with `only` that of one alternative. */
void query_add_found(struct query *q, struct buf *b, bool only, size_t alt);
/** Asks the page's script. */
void query_call_page(struct query *q, struct frame *f);

/* --- query_aria.c --- */

/** The next part of an alternative to look up in the tree; after the last one query_call_page. */
void query_aria_next(struct query *q);

#endif
