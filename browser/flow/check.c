/* A flow in words, for people who want to know what it will do before it does. */
#include "browser/flow/flow_internal.h"

#include <inttypes.h>
#include <string.h>

enum { VALUE_SHOWN = 60, INDENT = 2 };

static void add_selectors(const struct json *sel, struct buf *out)
{
    const struct json *first = json_type(sel) == JSON_ARRAY ? json_first(sel) : sel;
    size_t n = json_type(sel) == JSON_ARRAY ? json_len(sel) : 1;
    const char *sep = " ";

    if (sel == NULL)
        return;
    for (const struct json *c = json_type(first) == JSON_ARRAY ? json_first(first) : first;
         c != NULL; c = json_type(first) == JSON_ARRAY ? json_next(c) : NULL, sep = " >> ")
        buf_addf(out, "%s%s", sep, json_str(c, ""));
    if (n > 1)
        buf_addf(out, " (or %zu more)", n - 1);
}

static void add_value(const struct json *params, const char *name, struct buf *out)
{
    const struct json *j = json_get(params, name);
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    if (j == NULL)
        return;
    json_print(j, 0, &text);
    buf_addf(out, ", %s %.*s%s", name, STR_ARG(str_head(buf_str(&text), VALUE_SHOWN)),
             text.len > VALUE_SHOWN ? "..." : "");
    buf_deinit(&text);
}

static void add_marks(const struct flow_step *s, struct buf *out)
{
    static const char *const shown[] = {"url",  "value", "key",   "expression", "text", "title",
                                        "name", "ms",    "count", "end",        "by_x", "by_y"};

    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        add_value(s->params, shown[i], out);
    if (s->into != NULL)
        buf_addf(out, ", into \"%s\"", s->into);
    if (s->target != NULL)
        buf_addf(out, ", in the page %s", s->target);
    if (json_get(s->params, "assertedEvents") != NULL)
        buf_adds(out, ", and waits for the navigation");
    if (s->timeout_ms > 0)
        buf_addf(out, ", at most %" PRIu64 " ms", s->timeout_ms);
    if (s->irreversible)
        buf_adds(out, ", irreversible");
    if (s->optional)
        buf_adds(out, ", optional");
    if (s->retries > 0)
        buf_addf(out, ", up to %u times more", s->retries);
}

static void add_steps(const struct flow_steps *steps, unsigned depth, struct buf *out)
{
    for (size_t i = 0; i < steps->n; i++) {
        const struct flow_step *s = &steps->v[i];
        const struct json *sel = json_get(s->find != NULL ? s->find : s->params, "selectors");

        if (s->implied)
            buf_addf(out, "%*s-  navigate (implied): the row's URL\n", (int)(depth * INDENT), "");
        if (s->implied)
            continue;
        buf_addf(out, "%*s%zu  %s: %s", (int)(depth * INDENT), "", depth == 0 ? s->index : i,
                 s->type->name, s->type->doc);
        add_selectors(sel, out);
        if (json_get(s->params, "to") != NULL)
            buf_adds(out, " to");
        add_selectors(json_get(s->params, "to"), out);
        add_marks(s, out);
        buf_addc(out, '\n');
        add_steps(&s->body, depth + 1, out);
        if (s->otherwise.n > 0) {
            buf_addf(out, "%*selse\n", (int)((depth + 1) * INDENT), "");
            add_steps(&s->otherwise, depth + 1, out);
        }
    }
}

void flow_explain(const struct flow *f, struct buf *out)
{
    buf_addf(out, "%s: %zu steps, timeout %" PRIu64 " ms\n",
             f->title[0] != '\0' ? f->title : "(no title)", f->n_steps,
             f->timeout_ms > 0 ? f->timeout_ms : 5000);
    add_steps(&f->steps, 0, out);
    for (size_t i = 0; i < f->n_warnings; i++)
        buf_addf(out, "warning: %s\n", f->warnings[i]);
}
