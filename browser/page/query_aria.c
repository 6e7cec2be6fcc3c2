/* aria/: by the accessibility tree.
 *
 * For each alternative with such a part: the roots it is searched in (the document, or what the
 * parts before it found), the nodes of that name and role below each, and handles of these in the
 * world the script runs in. */
#include "browser/page/query_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    ARIA_ANSWER_MS = 1500
}; /* a document that is not laid out does not answer: nothing is in it */

static struct frame *query_frame(struct query *q)
{
    struct frame *f = page_frame_find(q->page, q->frame);

    return f != NULL && frame_document(f) == q->document ? f : NULL;
}

static void gone_again(struct query *q)
{
    q->call = 0;
    q->last.status = STATUS_OK;
    query_again_in(q, DOCUMENT_PAUSE_MS);
}

static struct found *found_of(struct query *q, size_t alt)
{
    for (size_t i = 0; i < q->n_found; i++)
        if (q->found[i].alt == alt)
            return &q->found[i];
    return NULL;
}

/* Where the chain of the alternative has its next aria/ part; its length when none. */
static size_t next_aria(struct query *q, size_t alt)
{
    const struct chain *c = &q->spec->sel->alts[alt];
    struct found *f = found_of(q, alt);
    size_t i = f != NULL ? f->next : 0;

    while (i < c->n && strncmp(c->parts[i], "aria/", 5) != 0)
        i++;
    return i;
}

/* What the part at hand gave takes the place of what parts before it did. */
static void keep_found(struct query *q)
{
    struct found *old = found_of(q, q->alt);

    if (old != NULL)
        *old = q->found[q->n_found];
    else
        q->n_found++;
}

static void on_resolved(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct query *q = arg;
    const char *handle = json_str(json_at(result, "object", "objectId", NULL), NULL);
    struct found *f = &q->found[q->n_found];

    (void)e;
    if (s == STATUS_OK && handle != NULL)
        f->handles[f->n++] = arena_strdup(q->arena, handle);
    if (--q->unanswered > 0)
        return;
    q->call = 0;
    if (q->cancelled != STATUS_OK) {
        struct err mine = ERR_INIT;

        query_over(q, q->cancelled, NULL, &mine);
        return;
    }
    if (query_frame(q) == NULL) {
        gone_again(q);
        return;
    }
    keep_found(q);
    query_aria_next(q);
}

static void resolve_nodes(struct query *q)
{
    struct frame *f = query_frame(q);
    struct found *into = &q->found[q->n_found];
    char world[64] = "";

    if (f == NULL) {
        gone_again(q);
        return;
    }
    *into = (struct found){.alt = q->alt, .next = q->part + 1};
    into->handles = arena_array(q->arena, char *, q->n_nodes + 1);
    if (q->n_nodes == 0) {
        keep_found(q);
        query_aria_next(q);
        return;
    }
    if (!q->spec->main_world)
        (void)snprintf(world, sizeof(world), ",\"executionContextId\":%" PRId64,
                       f->isolated_context);
    q->unanswered = q->n_nodes;
    q->grouped = true;
    for (size_t i = 0; i < q->n_nodes; i++) {
        struct buf b = BUF_INIT(BUF_MAX_LINE);

        buf_addf(&b, "{\"backendNodeId\":%" PRId64 ",\"objectGroup\":\"" ARIA_GROUP "\"%s}",
                 q->nodes[i], world);
        q->calls[i] = page_call(q->page, f, "DOM.resolveNode", buf_str(&b),
                                q->deadline_ms + ANSWER_GRACE_MS, on_resolved, q);
        buf_deinit(&b);
    }
}

/* Text has a name of its own in the tree, but is no element. */
static bool is_element_role(const struct json *node)
{
    const char *role = json_str(json_at(node, "role", "value", NULL), "");

    return strcmp(role, "StaticText") != 0 && strcmp(role, "InlineTextBox") != 0;
}

static void ask_root(struct query *q);

static void on_tree(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct query *q = arg;

    q->call = 0;
    if (s != STATUS_OK && (s != STATUS_TIMEOUT || q->cancelled != STATUS_OK)) {
        query_call_failed(q, s, e);
        return;
    }
    for (const struct json *n = json_first(json_get(result, "nodes")); n != NULL;
         n = json_next(n)) {
        int64_t id = json_int(json_get(n, "backendDOMNodeId"), 0);

        if (id > 0 && is_element_role(n) && q->n_nodes < ARIA_NODES_MAX)
            q->nodes[q->n_nodes++] = id;
    }
    if (++q->root < q->n_roots && q->n_nodes < ARIA_NODES_MAX)
        ask_root(q);
    else
        resolve_nodes(q);
}

static void on_root(void *arg, enum status s, const struct json *value, const char *handle,
                    const struct err *e)
{
    struct query *q = arg;
    const struct chain *c = &q->spec->sel->alts[q->alt];
    struct frame *f = query_frame(q);
    struct buf b = BUF_INIT((size_t)BUF_MAX_LINE * 4);
    struct aria aria;

    (void)value;
    q->call = 0;
    if (s != STATUS_OK) {
        query_call_failed(q, s, e);
        return;
    }
    if (f == NULL || handle == NULL || !aria_parse(q->arena, c->parts[q->part], &aria)) {
        gone_again(q);
        return;
    }
    buf_adds(&b, "{\"objectId\":");
    json_print_str(str_from(handle), &b);
    if (aria.name[0] != '\0') {
        buf_adds(&b, ",\"accessibleName\":");
        json_print_str(str_from(aria.name), &b);
    }
    if (aria.role[0] != '\0') {
        buf_adds(&b, ",\"role\":");
        json_print_str(str_from(aria.role), &b);
    }
    buf_addc(&b, '}');
    q->call = page_call(q->page, f, "Accessibility.queryAXTree", buf_str(&b),
                        loop_now_ms(q->loop) + ARIA_ANSWER_MS, on_tree, q);
    page_release(q->page, f, handle);
    buf_deinit(&b);
}

static void ask_root(struct query *q)
{
    struct frame *f = query_frame(q);
    struct page_eval ev = {.by_handle = true, .deadline_ms = q->deadline_ms + ANSWER_GRACE_MS};
    char source[96];

    if (f == NULL) {
        gone_again(q);
        return;
    }
    if (q->part == 0 &&
        frame_parent(f) != NULL) /* a frame out of sight is not laid out: it would not answer */
        (void)snprintf(source, sizeof(source),
                       "(document.documentElement?.scrollIntoViewIfNeeded(),document)");
    else if (q->part == 0)
        (void)snprintf(source, sizeof(source), "document");
    else
        (void)snprintf(source, sizeof(source), "globalThis.fleet.root(%zu)", q->root);
    ev.source = str_from(source);
    q->call = page_evaluate(q->page, f, &ev, on_root, q);
}

static void on_roots(void *arg, enum status s, const struct json *value, const char *handle,
                     const struct err *e)
{
    struct query *q = arg;

    (void)handle;
    q->call = 0;
    if (s == STATUS_SCRIPT_FAILED) { /* a part before it is no valid selector: the call says so */
        q->alt++;
        query_aria_next(q);
        return;
    }
    if (s != STATUS_OK) {
        query_call_failed(q, s, e);
        return;
    }
    q->n_roots = (size_t)json_int(json_get(value, "n"), 0);
    q->root = 0;
    if (q->n_roots > 0)
        ask_root(q);
    else
        resolve_nodes(q);
}

/* The parts before the aria/ part are found by the script. */
static void find_roots(struct query *q, struct frame *f)
{
    struct found *have = found_of(q, q->alt);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct page_eval ev = {
        .function = true,
        .source = query_call_source(q->arena, true, false),
        .handles = have != NULL ? (const char *const *)have->handles : NULL,
        .n_handles = have != NULL ? have->n : 0,
        .deadline_ms = q->deadline_ms + ANSWER_GRACE_MS,
    };

    buf_addf(&b, "[{\"do\":\"ariaRoots\",\"k\":%zu,\"sel\":", q->alt);
    selectors_print(q->spec->sel, &b);
    query_add_found(q, &b, true, q->alt);
    buf_adds(&b, "}]");
    ev.args = buf_str(&b);
    q->call = page_evaluate(q->page, f, &ev, on_roots, q);
    buf_deinit(&b);
}

/* The next part of an alternative to look up in the tree; after the last one the call itself. */
void query_aria_next(struct query *q)
{
    struct frame *f = query_frame(q);

    if (f == NULL) {
        gone_again(q);
        return;
    }
    for (; q->alt < q->spec->sel->n; q->alt++) {
        q->part = next_aria(q, q->alt);
        if (q->part < q->spec->sel->alts[q->alt].n)
            break;
    }
    if (q->alt == q->spec->sel->n) {
        query_call_page(q, f);
        return;
    }
    q->n_nodes = 0;
    q->root = 0;
    q->n_roots = 1;
    if (q->part == 0)
        ask_root(q);
    else
        find_roots(q, f);
}
