#include "browser/ops_flow_internal.h"

#include "browser/page/extract.h"

#include <stdio.h>

enum {
    REST_MOST_MS = 3000, /* content that changes after a click */
    REST_QUIET_MS = 200,
};

/* --- page.click, page.double_click, page.hover --- */

struct click_args {
    struct common common;
    double offsetX, offsetY;
    bool has_x, has_y;
    int button, deviceType;
    double duration;
    bool await_change;
};

static const char *const button_names[] = {"primary", "auxiliary", "secondary",
                                           "back",    "forward",   NULL};
static const char *const device_names[] = {"mouse", "pen", "touch", NULL};

static const struct json_field click_fields[] = {
    COMMON_SELECTORS(click_args, true),
    COMMON_FRAME(click_args),
    COMMON_TIMEOUT(click_args),
    COMMON_EVENTS(click_args),
    {JF_COMMON(struct click_args, offsetX), .kind = JK_DOUBLE,
     .seen_offset = offsetof(struct click_args, has_x),
     .doc = "CSS pixels from the left of the element's box; default its middle."},
    {JF_COMMON(struct click_args, offsetY), .kind = JK_DOUBLE,
     .seen_offset = offsetof(struct click_args, has_y),
     .doc = "CSS pixels from the top of the element's box; default its middle."},
    {JF_COMMON(struct click_args, button), .kind = JK_ENUM, .names = button_names,
     .doc = "primary (default), auxiliary, secondary, back or forward."},
    {JF_COMMON(struct click_args, deviceType), .kind = JK_ENUM, .names = device_names,
     .doc = "mouse (default), pen or touch."},
    {JF_COMMON(struct click_args, duration), .kind = JK_DOUBLE, .dmin = 0, .dmax = 60000,
     .doc = "Milliseconds between press and release, default 0."},
    {JF_COMMON(struct click_args, await_change), .kind = JK_BOOL,
     .doc = "Wait until the page's content has changed and come to rest, at most 3000 ms, unless "
            "the click "
            "navigated; default false."},
};
static const struct json_schema click_schema = SCHEMA(click_fields, click_args, "page.click");

static const struct json_field hover_fields[] = {
    COMMON_SELECTORS(click_args, true),
    COMMON_FRAME(click_args),
    COMMON_TIMEOUT(click_args),
    COMMON_EVENTS(click_args),
};
static const struct json_schema hover_schema = SCHEMA(hover_fields, click_args, "page.hover");

static void click_rested(struct doing *d, const struct json *answer)
{
    (void)answer;
    doing_end(d, STATUS_OK, NULL, d->result);
}

/* Without a navigation: a list that is drawn anew, say. */
static void click_settled(struct doing *d)
{
    char more[64];

    (void)snprintf(more, sizeof(more), "\"most\":%d,\"quiet\":%d", REST_MOST_MS, REST_QUIET_MS);
    d->deadline_ms = loop_now_ms(d->loop) + REST_MOST_MS;
    doing_query(d, "rested", more, click_rested);
}

static void click_found(struct doing *d, const struct json *answer)
{
    static const enum mouse_button buttons[] = {MOUSE_LEFT, MOUSE_MIDDLE, MOUSE_RIGHT, MOUSE_BACK,
                                                MOUSE_FORWARD};
    const struct click_args *a = d->call->args;
    const char *op = d->call->op->name;

    doing_click(d, answer,
                (struct input_click){
                    .count = strcmp(op, "page.hover") == 0   ? 0
                             : strcmp(op, "page.click") == 0 ? 1
                                                             : 2,
                    .button = buttons[a->button],
                    .pointer = (enum pointer)a->deviceType,
                    .hold_ms = (uint64_t)a->duration,
                });
}

static void click_run(struct op_call *call)
{
    const struct click_args *a = call->args;
    bool hover = strcmp(call->op->name, "page.hover") == 0;
    struct doing *d = doing_begin(call, &a->common);
    char more[160], at[96] = "";

    if (a->has_x || a->has_y)
        (void)snprintf(at, sizeof(at), ",\"ox\":%.6f,\"oy\":%.6f", a->offsetX, a->offsetY);
    (void)snprintf(more, sizeof(more), "\"need\":\"%s\"%s%s", hover ? "hover" : "click", at,
                   a->await_change ? ",\"watch\":true" : "");
    d->settled = a->await_change ? click_settled : NULL;
    doing_query(d, "find", more, click_found);
}

/* --- page.change --- */

struct change_args {
    struct common common;
    const char *value;
};

static const struct json_field change_fields[] = {
    COMMON_SELECTORS(change_args, true),
    COMMON_FRAME(change_args),
    COMMON_TIMEOUT(change_args),
    COMMON_EVENTS(change_args),
    {JF_COMMON(struct change_args, value), .kind = JK_STR, .required = true,
     .doc = "What the field is to hold: typed where people type, chosen by value or label in "
            "lists; \"true\" or "
            "\"false\" for boxes to tick."},
};
static const struct json_schema change_schema = SCHEMA(change_fields, change_args, "page.change");

/* Text that was inserted in one go has no key events: the field is told that it changed. */
static void change_told(struct doing *d, const struct json *answer)
{
    struct err ok = ERR_INIT;

    (void)answer;
    doing_acted(d, STATUS_OK, &ok);
}

static void change_typed(void *arg, enum status s, const struct err *e)
{
    struct doing *d = arg;
    const struct change_args *a = d->call->args;

    if (s == STATUS_OK && strlen(a->value) >= INPUT_TYPED_MAX) {
        d->input = NULL;
        doing_query(d, "changed", NULL, change_told);
        return;
    }
    doing_acted(d, s, e);
}

static void change_click(struct doing *d, const struct json *answer)
{
    doing_click(d, answer, (struct input_click){.count = 1});
}

static void change_found(struct doing *d, const struct json *answer)
{
    const char *fault = json_str(json_get(answer, "fault"), NULL);
    const char *text = json_str(json_get(answer, "type"), NULL);
    struct err e = ERR_INIT;

    if (fault != NULL) {
        err_set(&e, STATUS_ELEMENT_NOT_FOUND, "%s: %s",
                json_str(json_get(answer, "what"), "the element"), fault);
        doing_end(d, e.status, &e, NULL);
        return;
    }
    if (json_bool(json_get(answer, "click"), false)) {
        doing_query(d, "held", "\"need\":\"click\"", change_click);
        return;
    }
    d->result = json_add_str(json_new_object(), "element", json_str(json_get(answer, "what"), ""));
    if (text == NULL) {
        doing_acted(d, STATUS_OK, &e);
        return;
    }
    d->input = input_type(d->page, d->loop, &d->session->keys, str_from(text),
                          json_bool(json_get(answer, "erase"), false), d->call->deadline_ms,
                          change_typed, d);
}

static void change_run(struct op_call *call)
{
    const struct change_args *a = call->args;
    struct doing *d = doing_begin(call, &a->common);
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_adds(&b, "\"need\":\"fill\",\"act\":\"fill\",\"value\":");
    json_print_str(str_from(a->value), &b);
    doing_watch(d); /* the script sets some fields by itself */
    doing_query(d, "find", b.ptr, change_found);
    buf_deinit(&b);
}

/* --- page.key_down, page.key_up --- */

struct key_args {
    struct common common;
    const char *key;
};

static bool key_decode(struct json_decode *d, const struct json *j, void *field)
{
    const char *name = json_str(j, NULL), *near;

    if (name == NULL)
        return json_fail(d, NULL, "found %s, expected the name of a key: a string",
                         json_type_name(json_type(j)));
    near = key_suggest(name);
    if (!key_is_known(name) && strstr(name, "{{") == NULL)
        return json_fail(d, NULL, "found \"%s\", which is no key%s%s%s", name,
                         near != NULL ? ", did you mean \"" : "", near != NULL ? near : "",
                         near != NULL ? "\"?" : "");
    *(const char **)field = arena_strdup(d->arena, name);
    return true;
}

static const struct json_field key_fields[] = {
    {.name = "key",
     .kind = JK_FN,
     .fn = key_decode,
     .offset = offsetof(struct key_args, key),
     .required = true,
     .doc = "What the key types (\"a\", \"Enter\") or where it is (\"KeyA\", \"ShiftLeft\")."},
    COMMON_FRAME(key_args),
    COMMON_TIMEOUT(key_args),
    COMMON_EVENTS(key_args),
};
static const struct json_schema key_schema = SCHEMA(key_fields, key_args, "page.key_down");

static void key_run(struct op_call *call)
{
    const struct key_args *a = call->args;
    struct doing *d = doing_begin(call, &a->common);

    doing_watch(d);
    d->input =
        input_key(d->page, d->loop, &d->session->keys, a->key,
                  strcmp(call->op->name, "page.key_down") == 0, call->deadline_ms, doing_acted, d);
}

/* --- page.scroll --- */

struct scroll_args {
    struct common common;
    double x, y;
};

static const struct json_field scroll_fields[] = {
    COMMON_SELECTORS(scroll_args, false),
    COMMON_FRAME(scroll_args),
    COMMON_TIMEOUT(scroll_args),
    COMMON_EVENTS(scroll_args),
    {JF_COMMON(struct scroll_args, x), .kind = JK_DOUBLE,
     .doc = "CSS pixels from the left, default 0."},
    {JF_COMMON(struct scroll_args, y), .kind = JK_DOUBLE,
     .doc = "CSS pixels from the top, default 0."},
};
static const struct json_schema scroll_schema = SCHEMA(scroll_fields, scroll_args, "page.scroll");

static void scrolled(struct doing *d, const struct json *answer)
{
    struct err ok = ERR_INIT;

    (void)answer;
    doing_acted(d, STATUS_OK, &ok);
}

static void scroll_run(struct op_call *call)
{
    const struct scroll_args *a = call->args;
    struct doing *d = doing_begin(call, &a->common);
    char more[160];

    (void)snprintf(more, sizeof(more),
                   "\"need\":\"scroll\",\"act\":\"scroll\",\"x\":%.3f,\"y\":%.3f", a->x, a->y);
    doing_watch(d);
    doing_query(d, a->common.sel.n > 0 ? "find" : "scrollWindow", more, scrolled);
}

/* --- page.extract --- */

struct extract_args {
    struct common common;
    struct extract extract;
};

static const struct json_field extract_fields[] = {
    COMMON_SELECTORS(extract_args, false),
    COMMON_FRAME(extract_args),
    COMMON_TIMEOUT(extract_args),
    EXTRACT_FIELDS(struct extract_args, extract),
};
static void extract_args_check(struct json_decode *d, void *obj)
{
    const struct extract_args *a = obj;

    extract_check(d, &a->extract, a->common.sel.n > 0);
}
static const struct json_schema extract_schema = {
    .name = "page.extract",
    .fields = extract_fields,
    .n = ARRAY_LEN(extract_fields),
    .size = sizeof(struct extract_args),
    .check = extract_args_check,
};

static void extracted(struct doing *d, const struct json *answer)
{
    struct json *result = json_new_object();

    json_add(result, "data", json_dup(json_get(answer, "data")));
    doing_end(d, STATUS_OK, NULL, result);
}

static void extract_run(struct op_call *call)
{
    struct extract_args *a = call->args;
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct doing *d;

    if (a->extract.each.n > 0)
        a->common.sel = a->extract.each;
    d = doing_begin(call, &a->common);
    extract_spec(&a->extract, &b);
    doing_query(d, "extract", b.ptr, extracted);
    buf_deinit(&b);
}

/* --- page.find: for ops that want a handle --- */

static const struct json_field find_fields[] = {
    COMMON_SELECTORS(click_args, true),
    COMMON_FRAME(click_args),
    COMMON_TIMEOUT(click_args),
};
static const struct json_schema find_schema = SCHEMA(find_fields, click_args, "page.find");

static void find_handle(void *arg, enum status s, const struct json *value, const char *handle,
                        const struct err *e)
{
    struct doing *d = arg;
    struct json *result;

    (void)value;
    d->page_id = 0;
    if (s != STATUS_OK || handle == NULL) {
        doing_end(d, s != STATUS_OK ? s : STATUS_CLOSED, e, NULL);
        return;
    }
    result = json_add_str(json_new_object(), "node", handle);
    json_add_num(result, "frame", (double)d->frame.v);
    doing_end(d, STATUS_OK, NULL, result);
}

static void find_found(struct doing *d, const struct json *answer)
{
    (void)answer;
    d->page_id = query_element(d->page, d->frame, d->call->deadline_ms, find_handle, d);
}

static void find_run(struct op_call *call)
{
    const struct click_args *a = call->args;

    doing_query(doing_begin(call, &a->common), "find", "\"need\":\"box\"", find_found);
}

/* --- page.set --- */

struct set_args {
    struct common common;
    const char *name;
    const struct json *value, *values;
    const char *expression;
};

static void set_check(struct json_decode *d, void *obj)
{
    const struct set_args *a = obj;

    if (a->name == NULL && a->values == NULL)
        json_fail(d, NULL, "expected name with value or expression, or values");
    else if (a->name != NULL && (a->value == NULL) == (a->expression == NULL))
        json_fail(d, NULL, "expected either value or expression for the name \"%s\"", a->name);
    else if (a->name == NULL && (a->value != NULL || a->expression != NULL))
        json_fail(d, "/name", "missing, expected the name of a variable");
}

static const struct json_field set_fields[] = {
    COMMON_FRAME(set_args),
    COMMON_TIMEOUT(set_args),
    {JF_COMMON(struct set_args, name), .kind = JK_STR, .min = 1, .max = 100,
     .doc = "The variable."},
    {JF_COMMON(struct set_args, value), .kind = JK_ANY, .doc = "Its value."},
    {JF_COMMON(struct set_args, expression), .kind = JK_STR, .min = 1, .max = 1 << 20,
     .doc = "JavaScript expression whose value it gets; promises are awaited."},
    {.name = "values",
     .kind = JK_FN,
     .fn = ops_flow_object,
     .offset = offsetof(struct set_args, values),
     .doc = "Object: several variables at once."},
};
static const struct json_schema set_schema = {
    .name = "page.set",
    .fields = set_fields,
    .n = ARRAY_LEN(set_fields),
    .size = sizeof(struct set_args),
    .check = set_check,
};

static void set_again(struct loop_timer *t);

static void set_known(void *arg, enum status s, const struct json *value, const char *handle,
                      const struct err *e)
{
    struct doing *d = arg;
    const struct set_args *a = d->call->args;
    struct json *values;
    struct err mine = *e;

    (void)handle;
    d->page_id = 0;
    if (s == STATUS_CLOSED && page_state(d->page) != PAGE_GONE && doing_left_ms(d) > 0) {
        doing_again(d, POLL_FIRST_MS, set_again);
        return;
    }
    if (s != STATUS_OK) {
        err_prefix(&mine, "%.*s", STR_ARG(str_head(str_from(a->expression), 120)));
        doing_end(d, s, &mine, NULL);
        return;
    }
    values = json_new_object();
    json_add(values, a->name, json_dup(value));
    doing_end(d, STATUS_OK, NULL, json_add(json_new_object(), "values", values));
}

static void set_again(struct loop_timer *t)
{
    struct doing *d = container_of(t, struct doing, timer);
    bool missing = doing_frame(d) == NULL && page_state(d->page) != PAGE_GONE;
    struct err e = ERR_INIT;

    if (doing_is_cancelled(d))
        return;
    if (missing && doing_left_ms(d) > 0) {
        doing_again(d, POLL_FIRST_MS, set_again);
        return;
    }
    if (missing) {
        err_set(&e, STATUS_ELEMENT_NOT_FOUND, "the page has no such frame");
        doing_end(d, e.status, &e, NULL);
        return;
    }
    doing_evaluate(d, set_known);
}

static void set_run(struct op_call *call)
{
    const struct set_args *a = call->args;
    struct json *values;
    struct doing *d;

    if (a->expression != NULL) {
        d = doing_begin(call, &a->common);
        d->source = expression_source(call->arena, a->expression, false);
        doing_again(d, 0, set_again);
        return;
    }
    values = a->values != NULL ? json_dup(a->values) : json_new_object();
    if (a->name != NULL)
        json_add(values, a->name, json_dup(a->value));
    op_call_finish(call, STATUS_OK, NULL, json_add(json_new_object(), "values", values));
}

/* --- page.sleep --- */

struct sleep_args {
    struct common common;
    double ms;
};

static const struct json_field sleep_fields[] = {
    {JF_COMMON(struct sleep_args, ms), .kind = JK_DOUBLE, .required = true, .dmin = 0,
     .dmax = 60000, .doc = "Milliseconds, 0..60000."},
};
static const struct json_schema sleep_schema = SCHEMA(sleep_fields, sleep_args, "page.sleep");

static void slept(struct loop_timer *t)
{
    struct doing *d = container_of(t, struct doing, timer);

    if (!doing_is_cancelled(d))
        doing_end(d, STATUS_OK, NULL, NULL);
}

static void sleep_run(struct op_call *call)
{
    const struct sleep_args *a = call->args;

    struct doing *d = doing_begin(call, &a->common);

    session_sleeps(d->session);
    doing_again(d, (uint64_t)a->ms, slept);
}

/* --- the rows --- */

const struct op ops_flow[] = {
    {"page.assert",
     "Fails unless something holds on the page within the time: an expression, elements, the URL, "
     "the title.",
     &ops_flow_assert_schema, 0, ops_flow_holds_run},
    {"page.change", "Gives a field a value, as a person would.", &change_schema, 0, change_run},
    {"page.check", "Says whether something holds on the page; the time to wait is 0 unless given.",
     &ops_flow_assert_schema, 0, ops_flow_holds_run},
    {"page.click", "Clicks an element.", &click_schema, 0, click_run},
    {"page.double_click", "Clicks an element twice.", &click_schema, 0, click_run},
    {"page.drag", "Drags an element to another one, or by a distance.", &ops_flow_drag_schema, 0,
     ops_flow_drag_run},
    {"page.extract", "Takes typed values out of the page.", &extract_schema, OP_HOLDS_RESULT,
     extract_run},
    {"page.find", "Finds a visible element and gives a handle of it.", &find_schema, 0, find_run},
    {"page.hover", "Moves the pointer over an element.", &hover_schema, 0, click_run},
    {"page.key_down", "Presses a key, which stays down.", &key_schema, 0, key_run},
    {"page.key_up", "Releases a key.", &key_schema, 0, key_run},
    {"page.scroll", "Scrolls an element, or the window.", &scroll_schema, 0, scroll_run},
    {"page.set", "Gives variables their values.", &set_schema, 0, set_run},
    {"page.sleep", "Waits.", &sleep_schema, 0, sleep_run},
    {"page.wait_for_element",
     "Waits for a number of elements with certain attributes and properties.",
     &ops_flow_wait_schema, 0, ops_flow_wait_run},
    {"page.wait_for_expression", "Waits until an expression is truthy.",
     &ops_flow_expression_schema, 0, ops_flow_holds_run},
};
const size_t n_ops_flow = ARRAY_LEN(ops_flow);
