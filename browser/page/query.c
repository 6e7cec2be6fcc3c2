#include "browser/page/query_internal.h"

#include "core/base/embed.h"

#include <inttypes.h>

enum {
    FRAME_POLL_MS = 30, /* a frame that is not there yet is asked for again */
    ARIA_FIRST_MS = 60, /* first wait inside the page between two looks at the accessibility tree */
    ARIA_SLICE_MS = 250, /* later ones */
};

static void query_round(struct query *q);

/* --- the script --- */

/* An expression: without the semicolon that a file of script ends with. */
static struct str as_expression(struct str s)
{
    s = str_trim(s);
    return str_ends(s, STR(";")) ? str_n(s.ptr, s.len - 1) : s;
}

static struct str script_text(void)
{
    for (size_t i = 0; i < embed_assets_len; i++)
        if (strcmp(embed_assets[i].path, "browser/assets/flow.js") == 0)
            return as_expression(str_n((const char *)embed_assets[i].data, embed_assets[i].len));
    BUG("browser/assets/flow.js is not embedded");
}

/* Short once it is installed; a document that lacks it answers 0 and gets it with the next call. */
struct str query_call_source(struct arena *a, bool install, bool main_world)
{
    struct str script = script_text();
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct str s;

    if (main_world)
        buf_adds(&b, "function(s,...h){return(");
    else if (install)
        buf_adds(&b, "function(s,...h){const f=globalThis.fleet||(globalThis.fleet=");
    else
        return STR("function(s,...h){const f=globalThis.fleet;return f?f.run(s,...h):0}");
    buf_addstr(&b, script);
    buf_adds(&b, main_world ? ").run(s,...h)}" : ");return f.run(s,...h)}");
    s = arena_str(a, buf_str(&b));
    buf_deinit(&b);
    return s;
}

/* --- the end --- */

static void release_group(struct query *q)
{
    struct frame *f = page_frame_find(q->page, q->frame);

    if (q->grouped && f != NULL)
        cdp_tell(f->session, "Runtime.releaseObjectGroup",
                 STR("{\"objectGroup\":\"" ARIA_GROUP "\"}"));
}

void query_over(struct query *q, enum status s, const struct json *answer, const struct err *e)
{
    struct err mine = *e;

    if (q->cancelled != STATUS_OK && s != STATUS_OK) {
        s = q->cancelled;
        err_set(&mine, s, "%s", status_text(s));
    }
    mine.status = s;
    loop_timer_stop(&q->timer);
    release_group(q);
    q->fn(q->arg, s, answer, q->frame, &mine);
    page_unref(q->page);
    arena_destroy(&q->arena);
    free(q);
}

static uint64_t left_ms(const struct query *q)
{
    uint64_t now = loop_now_ms(q->loop);

    return q->deadline_ms > now ? q->deadline_ms - now : 0;
}

static bool is_over(struct query *q)
{
    struct err e = ERR_INIT;

    if (q->cancelled != STATUS_OK) {
        query_over(q, q->cancelled, NULL, &e);
        return true;
    }
    if (left_ms(q) > 0)
        return false;
    if (q->last.status == STATUS_OK)
        err_set(&q->last, STATUS_ELEMENT_NOT_FOUND,
                "the page had no document to look in for %" PRIu64 " ms", q->spec->wanted_ms);
    e = q->last;
    query_over(q, e.status, NULL, &e);
    return true;
}

static void on_timer(struct loop_timer *t)
{
    struct query *q = container_of(t, struct query, timer);

    if (!is_over(q))
        query_round(q);
}

void query_again_in(struct query *q, uint64_t ms)
{
    uint64_t left = left_ms(q);

    loop_timer_start(q->loop, &q->timer, ms < left ? ms : left, on_timer);
}

/* A call of the page did not work out. Documents that went away are not the end. True: it is over.
 */
bool query_call_failed(struct query *q, enum status s, const struct err *e)
{
    q->call = 0;
    if (q->cancelled != STATUS_OK || (s != STATUS_CLOSED && s != STATUS_PROTOCOL) ||
        page_state(q->page) == PAGE_GONE) {
        query_over(q, s, NULL, e);
        return true;
    }
    q->last.status = STATUS_OK;
    query_again_in(q, DOCUMENT_PAUSE_MS);
    return true;
}

/* --- the sentence --- */

static void show_chain(const struct chain *c, struct buf *out)
{
    for (size_t i = 0; i < c->n; i++)
        buf_addf(out, "%s\"%s\"", i > 0 ? " >> " : "", c->parts[i]);
}

void selectors_show(const struct selectors *s, struct buf *out)
{
    for (size_t i = 0; i < s->n; i++) {
        if (i > 0)
            buf_adds(out, ", ");
        show_chain(&s->alts[i], out);
    }
}

void selectors_print(const struct selectors *s, struct buf *out)
{
    buf_addc(out, '[');
    for (size_t i = 0; i < s->n; i++) {
        buf_adds(out, i > 0 ? ",[" : "[");
        for (size_t k = 0; k < s->alts[i].n; k++) {
            if (k > 0)
                buf_addc(out, ',');
            json_print_str(str_from(s->alts[i].parts[k]), out);
        }
        buf_addc(out, ']');
    }
    buf_addc(out, ']');
}

static void show_reason(const struct query *q, const struct json *w, struct buf *b)
{
    int64_t k = json_int(json_get(w, "k"), -1), n = json_int(json_get(w, "n"), 0);
    const char *why = json_str(json_get(w, "why"), "");

    if (k >= 0 && q->spec->sel != NULL && (size_t)k < q->spec->sel->n) {
        show_chain(&q->spec->sel->alts[k], b);
        buf_adds(b, ": ");
    }
    if (json_bool(json_get(w, "bad"), false))
        buf_addf(b, "no valid selector (%s)", why);
    else if (n > 1)
        buf_addf(b, "%" PRId64 " elements, %s", n, why);
    else if (n == 1)
        buf_addf(b, "found but %s", why);
    else
        buf_adds(b, strcmp(why, "none") == 0 ? "no such element" : why);
}

/* Of the script's answer that something is missing: by alternative, or as one sentence. */
static void explain(struct query *q, const struct json *answer)
{
    const struct json *why = json_get(answer, "why"), *faults = json_get(answer, "faults");
    bool final = json_bool(json_get(answer, "final"), false);
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    const char *sep = "";

    if (json_type(why) == JSON_STRING)
        buf_adds(&b, json_str(why, ""));
    for (const struct json *w = json_type(why) == JSON_ARRAY ? json_first(why) : NULL; w != NULL;
         w = json_next(w), sep = "; ") {
        buf_adds(&b, sep);
        show_reason(q, w, &b);
    }
    for (const struct json *f = json_first(faults); f != NULL; f = json_next(f), sep = "; ")
        buf_addf(&b, "%sfield %s: %s", sep, json_str(json_get(f, "field"), ""),
                 json_str(json_get(f, "why"), ""));
    if (final)
        err_set(&q->last, STATUS_INVALID, "%s", b.ptr != NULL ? b.ptr : "no valid selector");
    else
        err_set(&q->last, STATUS_ELEMENT_NOT_FOUND, "after %" PRIu64 " ms: %s", q->spec->wanted_ms,
                b.ptr != NULL ? b.ptr : "nothing found");
    buf_deinit(&b);
}

/* --- the call --- */

static void answered(void *arg, enum status s, const struct json *value, const char *handle,
                     const struct err *e)
{
    struct query *q = arg;

    (void)handle;
    q->call = 0;
    if (s != STATUS_OK) {
        query_call_failed(q, s, e);
        return;
    }
    if (json_type(value) == JSON_NUMBER) {
        q->install = true;
        if (!is_over(q))
            query_round(q);
        return;
    }
    if (json_bool(json_get(value, "ok"), false)) {
        query_over(q, STATUS_OK, value, e);
        return;
    }
    explain(q, value);
    if (json_bool(json_get(value, "final"), false)) {
        struct err mine = q->last;

        query_over(q, STATUS_INVALID, NULL, &mine);
    } else if (!is_over(q)) {
        query_round(q);
    }
}

static bool has_aria(const struct query *q)
{
    const struct selectors *s = q->spec->sel;

    for (size_t i = 0; s != NULL && i < s->n; i++)
        for (size_t k = 0; k < s->alts[i].n; k++)
            if (strncmp(s->alts[i].parts[k], "aria/", 5) == 0)
                return true;
    return false;
}

/* With aria/ parts the page waits a little only, then the tree is looked at again. */
static uint64_t slice_ms(const struct query *q)
{
    uint64_t left = left_ms(q), slice = q->rounds > 1 ? ARIA_SLICE_MS : ARIA_FIRST_MS;

    return has_aria(q) && slice < left ? slice : left;
}

void query_add_found(struct query *q, struct buf *b, bool only, size_t alt)
{
    const char *comma = "";

    buf_adds(b, ",\"got\":[");
    for (size_t i = 0; i < q->n_found; i++) {
        if (only && q->found[i].alt != alt)
            continue;
        buf_addf(b, "%s[%zu,%zu,%zu]", comma, q->found[i].alt, q->found[i].next, q->found[i].n);
        comma = ",";
    }
    buf_addc(b, ']');
}

static size_t count_handles(const struct query *q)
{
    size_t n = 0;

    for (size_t i = 0; i < q->n_found; i++)
        n += q->found[i].n;
    return n;
}

static void spec_text(struct query *q, struct buf *b, const char *door, uint64_t ms)
{
    buf_addf(b, "[{\"do\":\"%s\",\"ms\":%" PRIu64, door, ms);
    buf_adds(b, ",\"sel\":");
    if (q->spec->sel != NULL)
        selectors_print(q->spec->sel, b);
    else
        buf_adds(b, "[]");
    if (q->n_found > 0)
        query_add_found(q, b, false, 0);
    if (q->spec->more != NULL)
        buf_addf(b, ",%s", q->spec->more);
    buf_adds(b, "}]");
}

void query_call_page(struct query *q, struct frame *f)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    uint64_t ms = slice_ms(q);
    size_t n = count_handles(q), at = 0;
    const char **handles = arena_array(q->arena, const char *, n + 1);
    struct page_eval ev = {
        .world = q->spec->main_world ? PAGE_WORLD_MAIN : PAGE_WORLD_ISOLATED,
        .function = true,
        .source = query_call_source(q->arena, q->install || f->isolated_context == 0,
                                    q->spec->main_world),
        .handles = handles,
        .n_handles = n,
        .deadline_ms = loop_now_ms(q->loop) + ms + ANSWER_GRACE_MS,
    };

    for (size_t i = 0; i < q->n_found; i++)
        for (size_t k = 0; k < q->found[i].n; k++)
            handles[at++] = q->found[i].handles[k];
    spec_text(q, &b, q->spec->door, ms);
    ev.args = buf_str(&b);
    q->install = false;
    q->call = page_evaluate(q->page, f, &ev, answered, q);
    buf_deinit(&b);
}

/* --- a round --- */

static void query_round(struct query *q)
{
    const struct frame_path *fp = &q->spec->frame;
    struct frame *f =
        fp->url != NULL ? page_frame_by_url(q->page, str_from(fp->url)) : page_main_frame(q->page);

    for (size_t i = 0; f != NULL && i < fp->n; i++)
        f = frame_child(f, fp->path[i]);
    if (f == NULL && page_state(q->page) != PAGE_NEW && page_state(q->page) != PAGE_GONE) {
        err_set(&q->last, STATUS_ELEMENT_NOT_FOUND,
                "the page has no such frame after %" PRIu64 " ms", q->spec->wanted_ms);
        query_again_in(q, FRAME_POLL_MS);
        return;
    }
    q->rounds++;
    if (f == NULL) { /* no page yet: nothing is on it; or it closed itself */
        if (page_state(q->page) == PAGE_GONE)
            q->last = *page_gone_err(q->page);
        else
            err_set(&q->last, STATUS_ELEMENT_NOT_FOUND,
                    "no page is open: a flow begins with navigate");
        q->deadline_ms = 0;
        query_again_in(q, 0);
        return;
    }
    q->frame = frame_ref(f);
    q->document = frame_document(f);
    q->n_found = 0;
    q->alt = 0;
    if (has_aria(q))
        query_aria_next(q);
    else
        query_call_page(q, f);
}

struct query *query_start(struct page *p, struct loop *l, const struct query_spec *spec,
                          query_fn *fn, void *arg)
{
    struct query *q = xcalloc(1, sizeof *q);
    size_t n = spec->sel != NULL ? spec->sel->n : 0;

    q->page = p;
    page_ref(p);
    q->loop = l;
    q->spec = spec;
    q->fn = fn;
    q->arg = arg;
    q->deadline_ms = spec->deadline_ms;
    q->arena = arena_create(NULL, 0);
    q->found = arena_array(q->arena, struct found, n + 1);
    q->nodes = arena_array(q->arena, int64_t, ARIA_NODES_MAX);
    loop_timer_start(l, &q->timer, 0, on_timer);
    return q;
}

void query_cancel(struct query *q, enum status why)
{
    q->cancelled = why;
    for (size_t i = 0; q->unanswered > 0 && i < q->n_nodes; i++)
        page_cancel(q->page, q->calls[i], why);
    if (q->call != 0)
        page_cancel(q->page, q->call, why);
    else if (loop_timer_is_active(&q->timer))
        loop_timer_start(q->loop, &q->timer, 0, on_timer);
}

uint64_t query_element(struct page *p, struct frame_ref frame, uint64_t deadline_ms,
                       page_eval_fn *fn, void *arg)
{
    const struct page_eval ev = {
        .source = STR("globalThis.fleet&&globalThis.fleet.element()"),
        .by_handle = true,
        .deadline_ms = deadline_ms,
    };

    return page_evaluate(p, page_frame_find(p, frame), &ev, fn, arg);
}
