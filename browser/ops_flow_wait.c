/* Ops that wait for something to hold on the page, and those that say whether it does. */
#include "browser/ops_flow_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    CHECK_LOOK_MS = 250,
    POLL_MS = 100, /* of expressions and URLs */
    POLL_FIRST_ROUNDS = 10,
    TITLE_GRACE_MS = 1000,
};

/* --- page.wait_for_element --- */

struct wait_args {
    struct common common;
    const char *compare;
    double count;
    bool has_count, visible, has_visible;
    const struct json *attributes, *properties;
};

static const char *const operators[] = {">=", "==", "<=", NULL};

static bool attributes_decode(struct json_decode *d, const struct json *j, void *field)
{
    if (json_type(j) != JSON_OBJECT)
        return json_fail(d, NULL, "found %s, expected an object of strings",
                         json_type_name(json_type(j)));
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c))
        if (json_type(c) != JSON_STRING)
            return json_fail(d, NULL, "\"%s\": found %s, expected a string", json_key(c),
                             json_type_name(json_type(c)));
    *(const struct json **)field = j;
    return true;
}

bool ops_flow_object(struct json_decode *d, const struct json *j, void *field)
{
    if (json_type(j) != JSON_OBJECT)
        return json_fail(d, NULL, "found %s, expected an object", json_type_name(json_type(j)));
    *(const struct json **)field = j;
    return true;
}

/* How many, and what they are like: also of page.assert. */
#define COUNT_FIELDS(T)                                                                            \
    {.name = "operator",                                                                           \
     .offset = offsetof(struct T, compare),                                                        \
     .kind = JK_STR,                                                                               \
     .names = operators,                                                                           \
     .doc = ">= (default), == or <=."},                                                            \
        {JF_COMMON(struct T, count),                                                               \
         .kind = JK_DOUBLE,                                                                        \
         .seen_offset = offsetof(struct T, has_count),                                             \
         .dmin = 0,                                                                                \
         .dmax = 1e9,                                                                              \
         .doc = "How many elements, default 1."},                                                  \
        {JF_COMMON(struct T, visible), .kind = JK_BOOL,                                            \
         .seen_offset = offsetof(struct T, has_visible),                                           \
         .doc = "false: waits until the rest does not hold; default true."},                       \
        {.name = "attributes",                                                                     \
         .kind = JK_FN,                                                                            \
         .fn = attributes_decode,                                                                  \
         .offset = offsetof(struct T, attributes),                                                 \
         .doc = "Object: attributes that every element must have, with their values."},            \
    {                                                                                              \
        .name = "properties", .kind = JK_FN, .fn = ops_flow_object,                                \
        .offset = offsetof(struct T, properties),                                                  \
        .doc = "Object: properties that every element must have; objects match in part."           \
    }

static const struct json_field wait_fields[] = {
    COMMON_SELECTORS(wait_args, true), COMMON_FRAME(wait_args), COMMON_TIMEOUT(wait_args),
    COMMON_EVENTS(wait_args),          COUNT_FIELDS(wait_args),
};
const struct json_schema ops_flow_wait_schema =
    SCHEMA(wait_fields, wait_args, "page.wait_for_element");

static void add_json(struct buf *b, const char *name, const struct json *j)
{
    if (j == NULL)
        return;
    buf_addf(b, ",\"%s\":", name);
    json_print(j, 0, b);
}

static void count_spec(struct buf *b, const struct wait_args *a)
{
    buf_addf(b, "\"operator\":\"%s\",\"count\":%.0f,\"visible\":%s",
             a->compare != NULL ? a->compare : ">=", a->has_count ? a->count : 1,
             !a->has_visible || a->visible ? "true" : "false");
    add_json(b, "attributes", a->attributes);
    add_json(b, "properties", a->properties);
}

static void counted(struct doing *d, const struct json *answer)
{
    struct err ok = ERR_INIT;

    d->result = json_add_num(json_new_object(), "count", json_num(json_get(answer, "n"), 0));
    doing_acted(d, STATUS_OK, &ok);
}

void ops_flow_wait_run(struct op_call *call)
{
    const struct wait_args *a = call->args;
    struct doing *d = doing_begin(call, &a->common);
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    count_spec(&b, a);
    d->spec.main_world = a->properties != NULL; /* its script may have made them */
    doing_watch(d);
    doing_query(d, "count", b.ptr, counted);
    buf_deinit(&b);
}

/* --- page.assert, page.check, page.wait_for_expression: things that are to hold, looked at again
 * and again --- */

struct holds_args {
    struct common common;
    const char *compare;
    double count;
    bool has_count, visible, has_visible;
    const struct json *attributes, *properties;
    const char *expression, *text, *url, *title, *message;
};

static void holds_check(struct json_decode *d, void *obj)
{
    const struct holds_args *a = obj;

    if (a->expression == NULL && a->common.sel.n == 0 && a->url == NULL && a->title == NULL)
        json_fail(d, NULL, "expected one of expression, selectors, url and title");
    else if (a->common.sel.n == 0 && (a->text != NULL || a->has_count))
        json_fail(d, NULL, "text and count need selectors");
}

static const struct json_field assert_fields[] = {
    COMMON_SELECTORS(holds_args, false),
    COMMON_FRAME(holds_args),
    COMMON_TIMEOUT(holds_args),
    COMMON_EVENTS(holds_args),
    COUNT_FIELDS(holds_args),
    {JF_COMMON(struct holds_args, expression), .kind = JK_STR, .min = 1, .max = 1 << 20,
     .doc = "JavaScript expression that is to be truthy; promises are awaited."},
    {JF_COMMON(struct holds_args, text), .kind = JK_STR,
     .doc = "Text that one of the visible elements contains."},
    {JF_COMMON(struct holds_args, url), .kind = JK_STR,
     .doc = "The page's URL; * stands for any characters."},
    {JF_COMMON(struct holds_args, title), .kind = JK_STR,
     .doc = "The page's title; * stands for any characters."},
    {JF_COMMON(struct holds_args, message), .kind = JK_STR,
     .doc = "What to say when it does not hold."},
};
const struct json_schema ops_flow_assert_schema = {
    .name = "page.assert",
    .fields = assert_fields,
    .n = ARRAY_LEN(assert_fields),
    .size = sizeof(struct holds_args),
    .check = holds_check,
};

static const struct json_field expression_fields[] = {
    COMMON_FRAME(holds_args),
    COMMON_TIMEOUT(holds_args),
    COMMON_EVENTS(holds_args),
    {JF_COMMON(struct holds_args, expression), .kind = JK_STR, .required = true, .min = 1,
     .max = 1 << 20,
     .doc = "JavaScript expression that is to become truthy; promises are awaited."},
};
const struct json_schema ops_flow_expression_schema =
    SCHEMA(expression_fields, holds_args, "page.wait_for_expression");

enum claim { CLAIM_URL, CLAIM_TITLE, CLAIM_EXPRESSION, CLAIM_COUNT };

/* Bits of enum claim still to look at; the op's own. */
struct holds {
    unsigned todo;
};

static void holds_next(struct doing *d);

static bool is_op(const struct doing *d, const char *name)
{
    return strcmp(d->call->op->name, name) == 0;
}

/* It does not hold, and the time is over. */
static void holds_failed(struct doing *d, const struct err *why)
{
    const struct holds_args *a = d->call->args;
    struct err e = *why;

    if (is_op(d, "page.check") &&
        (e.status == STATUS_ELEMENT_NOT_FOUND || e.status == STATUS_ASSERTION_FAILED ||
         e.status == STATUS_SCRIPT_FAILED)) {
        doing_end(d, STATUS_OK, NULL, json_add_bool(json_new_object(), "holds", false));
        return;
    }
    if (is_op(d, "page.assert") &&
        (e.status == STATUS_ELEMENT_NOT_FOUND || e.status == STATUS_SCRIPT_FAILED))
        e.status = STATUS_ASSERTION_FAILED;
    if (a->message != NULL)
        err_prefix(&e, "%s", a->message);
    doing_end(d, e.status, &e, NULL);
}

static void holds_query_over(void *arg, enum status s, const struct json *answer,
                             struct frame_ref frame, const struct err *e)
{
    struct doing *d = arg;

    (void)answer;
    d->query = NULL;
    d->frame = frame;
    if (s != STATUS_OK)
        holds_failed(d, e);
    else
        holds_next(d);
}

static void look_count(struct doing *d)
{
    const struct holds_args *a = d->call->args;
    struct wait_args w = {.compare = a->compare,
                          .count = a->count,
                          .has_count = a->has_count,
                          .visible = a->visible,
                          .has_visible = a->has_visible,
                          .attributes = a->attributes,
                          .properties = a->properties};
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    count_spec(&b, &w);
    buf_adds(&b, ",\"shown\":true");
    if (a->text != NULL) {
        buf_addf(&b, ",\"any\":%s,\"text\":", a->has_count ? "false" : "true");
        json_print_str(str_from(a->text), &b);
    }
    d->spec = (struct query_spec){
        .frame = a->common.frame,
        .sel = &a->common.sel,
        .door = "count",
        .more = arena_strdup(d->call->arena, b.ptr),
        .main_world = a->properties != NULL,
        .deadline_ms = d->deadline_ms,
        .wanted_ms = d->deadline_ms - d->begun_ms,
    };
    buf_deinit(&b);
    d->query = query_start(d->page, d->loop, &d->spec, holds_query_over, d);
}

static void look_again(struct loop_timer *t)
{
    struct doing *d = container_of(t, struct doing, timer);

    if (d->cancelled != STATUS_OK) {
        err_set(&d->last, d->cancelled, "%s", status_text(d->cancelled));
        holds_failed(d, &d->last);
        return;
    }
    holds_next(d);
}

/* The claim at hand does not hold (d->last says how): later perhaps. */
static void not_yet(struct doing *d, unsigned claim)
{
    struct holds *h = d->own;

    h->todo |= 1u << claim;
    if (doing_left_ms(d) == 0 || d->cancelled != STATUS_OK) {
        holds_failed(d, &d->last);
        return;
    }
    doing_again(d, d->round++ < POLL_FIRST_ROUNDS ? POLL_FIRST_MS : POLL_MS, look_again);
}

static bool is_syntax_error(const struct err *e)
{
    return e != NULL && strncmp(e->text, "SyntaxError", 11) == 0;
}

static void expression_known(void *arg, enum status s, const struct json *value, const char *handle,
                             const struct err *e)
{
    struct doing *d = arg;
    const struct holds_args *a = d->call->args;
    bool waiting = is_op(d, "page.wait_for_expression");

    (void)handle;
    d->page_id = 0;
    if (s == STATUS_OK && json_bool(value, false)) {
        holds_next(d);
        return;
    }
    if (s == STATUS_OK)
        err_set(&d->last, waiting ? STATUS_TIMEOUT : STATUS_ASSERTION_FAILED,
                "after %" PRIu64 " ms the expression is not true: %.*s",
                d->deadline_ms - d->begun_ms, STR_ARG(str_head(str_from(a->expression), 200)));
    else if (s == STATUS_TIMEOUT)
        err_set(&d->last, s, "after %" PRIu64 " ms the expression has no value yet: %.*s",
                d->deadline_ms - d->begun_ms, STR_ARG(str_head(str_from(a->expression), 200)));
    else if (s == STATUS_SCRIPT_FAILED)
        err_set(&d->last, s, "the expression threw %.*s: %.*s",
                STR_ARG(str_head(str_from(e->text), 300)),
                STR_ARG(str_head(str_from(a->expression), 120)));
    else
        d->last = *e;
    d->last.status = d->last.status == STATUS_OK ? s : d->last.status;
    if (s == STATUS_OK || (s == STATUS_CLOSED && page_state(d->page) != PAGE_GONE) ||
        (s == STATUS_SCRIPT_FAILED && !is_syntax_error(e)))
        not_yet(d, CLAIM_EXPRESSION);
    else
        holds_failed(d, &d->last);
}

static void look_expression(struct doing *d)
{
    if (doing_frame(d) == NULL && page_state(d->page) != PAGE_GONE) {
        err_set(&d->last, STATUS_ELEMENT_NOT_FOUND,
                "the page has no such frame after %" PRIu64 " ms", d->deadline_ms - d->begun_ms);
        not_yet(d, CLAIM_EXPRESSION);
        return;
    }
    doing_evaluate(d, expression_known);
}

static void look_url(struct doing *d)
{
    const struct holds_args *a = d->call->args;
    const char *url = page_url(d->page);

    if (str_glob_nocase(str_from(a->url), str_from(url))) {
        holds_next(d);
        return;
    }
    err_set(&d->last, STATUS_ASSERTION_FAILED,
            "after %" PRIu64 " ms the URL is %.*s, expected %.*s", d->deadline_ms - d->begun_ms,
            STR_ARG(str_head(str_from(url), 200)), STR_ARG(str_head(str_from(a->url), 200)));
    not_yet(d, CLAIM_URL);
}

static void title_known(void *arg, enum status s, const struct json *value, const char *handle,
                        const struct err *e)
{
    struct doing *d = arg;
    const struct holds_args *a = d->call->args;
    const char *title = json_str(value, "");

    (void)handle;
    d->page_id = 0;
    if (s == STATUS_OK && str_glob_nocase(str_from(a->title), str_from(title))) {
        holds_next(d);
        return;
    }
    if (s == STATUS_OK)
        err_set(&d->last, STATUS_ASSERTION_FAILED,
                "after %" PRIu64 " ms the title is \"%.*s\", expected \"%.*s\"",
                d->deadline_ms - d->begun_ms, STR_ARG(str_head(str_from(title), 200)),
                STR_ARG(str_head(str_from(a->title), 200)));
    else
        d->last = *e;
    if (s == STATUS_OK || s == STATUS_CLOSED)
        not_yet(d, CLAIM_TITLE);
    else
        holds_failed(d, &d->last);
}

static void look_title(struct doing *d)
{
    const struct page_eval ev = {
        .source = STR("document.title"),
        .deadline_ms = loop_now_ms(d->loop) + doing_left_ms(d) + TITLE_GRACE_MS,
    };

    d->page_id = page_evaluate(d->page, NULL, &ev, title_known, d);
}

/* One claim after the other; the op is done when none is left. */
static void holds_next(struct doing *d)
{
    static void (*const look[])(struct doing * d) = {look_url, look_title, look_expression,
                                                     look_count};
    struct holds *h = d->own;
    struct err ok = ERR_INIT;

    for (unsigned i = 0; i < ARRAY_LEN(look); i++) {
        if ((h->todo & (1u << i)) == 0)
            continue;
        h->todo &= ~(1u << i);
        look[i](d);
        return;
    }
    d->last.status = STATUS_OK;
    if (is_op(d, "page.check"))
        d->result = json_add_bool(json_new_object(), "holds", true);
    doing_acted(d, STATUS_OK, &ok);
}

static void holds_start(struct loop_timer *t)
{
    look_again(t);
}

void ops_flow_holds_run(struct op_call *call)
{
    const struct holds_args *a = call->args;
    struct doing *d = doing_begin(call, &a->common);
    struct holds *h = arena_new(call->arena, struct holds);

    h->todo = (a->url != NULL ? 1u << CLAIM_URL : 0) | (a->title != NULL ? 1u << CLAIM_TITLE : 0) |
              (a->expression != NULL ? 1u << CLAIM_EXPRESSION : 0) |
              (a->common.sel.n > 0 ? 1u << CLAIM_COUNT : 0);
    if (is_op(d, "page.check") && !a->common.has_timeout)
        d->deadline_ms = d->begun_ms + CHECK_LOOK_MS; /* as it is now: time for one look */
    if (a->expression != NULL)
        d->source = expression_source(call->arena, a->expression, true);
    d->own = h;
    doing_watch(d);
    doing_again(d, 0, holds_start);
}
