/* From the tree of a flow file to its steps. Each step is checked twice over: by its own members
 * here, and the rest by the schema of its op (decode_params.c). */
#include "browser/flow/decode_internal.h"

#include "browser/doing.h"
#include "browser/flow/vars.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    STEPS_MAX = 10000,
    WARNINGS_MAX = 100,
    RETRIES_MAX = 20,
    ROUNDS_MAX = 100000,
    ROUNDS_DEFAULT = 1000,
    TYPES_ROOM = 80,
};

static void forget_json(void *arg)
{
    struct json *j = arg;

    json_destroy(&j);
}

const struct json *decode_keep(struct decoding *dec, struct json *j)
{
    arena_on_reset(dec->arena, forget_json, j);
    return j;
}

void decode_warn(struct decoding *dec, const char *fmt, ...)
{
    struct flow *f = dec->flow;
    char text[256];
    va_list ap;

    if (f->n_warnings >= WARNINGS_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (f->warnings == NULL)
        f->warnings = arena_array(dec->arena, const char *, WARNINGS_MAX);
    f->warnings[f->n_warnings++] =
        arena_printf(dec->arena, "%s: %s", dec->d->path + dec->root, text);
}

/* --- values of the step's own members --- */

static bool get_bool(struct decoding *dec, const struct json *j, const char *name)
{
    const struct json *m = json_get(j, name);
    size_t mark;

    if (m == NULL || json_type(m) == JSON_NULL || json_type(m) == JSON_BOOL)
        return json_bool(m, false);
    mark = json_enter(dec->d, name, 0);
    json_fail(dec->d, NULL, "found %s, expected true or false", json_type_name(json_type(m)));
    json_leave(dec->d, mark);
    return false;
}

static uint64_t get_int(struct decoding *dec, const struct json *j, const char *name, int64_t min,
                        int64_t max, uint64_t otherwise)
{
    const struct json *m = json_get(j, name);
    int64_t v = json_int(m, -1);
    size_t mark;

    if (m == NULL || json_type(m) == JSON_NULL)
        return otherwise;
    if (v >= min && v <= max)
        return (uint64_t)v;
    mark = json_enter(dec->d, name, 0);
    if (json_type(m) == JSON_NUMBER)
        json_fail(dec->d, NULL, "found %g, expected an integer %lld..%lld", json_num(m, 0),
                  (long long)min, (long long)max);
    else
        json_fail(dec->d, NULL, "found %s, expected an integer %lld..%lld",
                  json_type_name(json_type(m)), (long long)min, (long long)max);
    json_leave(dec->d, mark);
    return otherwise;
}

static const char *get_str(struct decoding *dec, const struct json *j, const char *name)
{
    const struct json *m = json_get(j, name);
    size_t mark;

    if (m == NULL || json_type(m) == JSON_NULL)
        return NULL;
    if (json_type(m) == JSON_STRING)
        return arena_strdup(dec->arena, json_str(m, ""));
    mark = json_enter(dec->d, name, 0);
    json_fail(dec->d, NULL, "found %s, expected a string", json_type_name(json_type(m)));
    json_leave(dec->d, mark);
    return NULL;
}

static void decode_accept(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct json *list = json_get(j, "accept_status");
    size_t m = json_enter(dec->d, "accept_status", 0);

    s->accept_4xx = get_bool(dec, j, "accept_4xx") || s->type->led;
    for (const struct json *c = json_type(list) == JSON_ARRAY ? json_first(list) : NULL; c != NULL;
         c = json_next(c))
        if (json_int(c, 0) < 400 || json_int(c, 0) > 499 || json_int(c, 0) == 403 ||
            json_int(c, 0) == 429)
            json_fail(
                dec->d, NULL,
                "expected HTTP statuses 400..499 but 403 and 429, which are the target's refusals");
    if (list != NULL && json_type(list) != JSON_ARRAY)
        json_fail(dec->d, NULL, "found %s, expected an array of HTTP statuses",
                  json_type_name(json_type(list)));
    if (json_type(list) == JSON_ARRAY) {
        s->accept_status = decode_keep(dec, json_dup(list));
        s->accept_4xx = true;
    }
    json_leave(dec->d, m);
}

/* --- where a step takes place: checked for every type, passed to those that ask --- */

static bool asks_for(const struct op *op, const char *name)
{
    const struct json_field *f = op_field(op, name);

    return f != NULL && f->kind == JK_FN;
}

static void decode_place(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    struct common place = {0}; /* nobody reads it: what the op asks for it decodes by itself */
    const struct json *frame = json_get(j, "frame"), *events = json_get(j, "assertedEvents");
    size_t m;

    m = json_enter(dec->d, "frame", 0);
    if (frame != NULL && json_type(frame) != JSON_NULL && !asks_for(s->op, "frame"))
        (void)common_frame(dec->d, frame, &place.frame);
    json_leave(dec->d, m);
    m = json_enter(dec->d, "assertedEvents", 0);
    if (events != NULL && json_type(events) != JSON_NULL && !asks_for(s->op, "assertedEvents"))
        (void)common_events(dec->d, events, &place.navigates);
    json_leave(dec->d, m);
    s->target = get_str(dec, j, "target");
    if (s->target != NULL && strcmp(s->target, "main") == 0)
        s->target = NULL;
}

/* --- steps --- */

static void decode_steps(struct decoding *dec, const struct json *j, const char *name, bool top,
                         struct flow_steps *out);

/* What page.check is to look at: an expression by itself, or an object. */
static void decode_condition(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct op *check = step_op_find("page.check");
    struct json *params = json_new_object();

    if (json_type(j) == JSON_STRING) {
        json_add(params, "expression", json_dup(j));
    } else if (json_type(j) == JSON_OBJECT) {
        json_destroy(&params);
        params = json_dup(j);
    } else {
        json_fail(dec->d, NULL, "found %s, expected an expression or an object of conditions",
                  json_type_name(json_type(j)));
    }
    decode_strings(dec->d, params);
    decode_params(dec, check, params);
    s->condition = decode_keep(dec, params);
}

static void decode_if(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct op *check = step_op_find("page.check");
    struct json *params = json_new_object();

    for (const struct json *c = json_first(j); c != NULL; c = json_next(c))
        if (strcmp(json_key(c), "message") != 0 && op_field(check, json_key(c)) != NULL)
            json_add(params, json_key(c), json_dup(c));
    decode_params(dec, check, params);
    s->condition = decode_keep(dec, params);
    decode_steps(dec, json_get(j, "steps"), "steps", false, &s->body);
    if (json_get(j, "else") != NULL)
        decode_steps(dec, json_get(j, "else"), "else", false, &s->otherwise);
}

static void decode_repeat(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct json *w = json_get(j, "while"), *u = json_get(j, "until");
    size_t m;

    s->has_times = json_get(j, "times") != NULL;
    s->max = (uint32_t)get_int(dec, j, "max", 1, ROUNDS_MAX, ROUNDS_DEFAULT);
    if (s->has_times)
        s->max = (uint32_t)get_int(dec, j, "times", 0, ROUNDS_MAX, 1);
    if ((w != NULL) + (u != NULL) + s->has_times != 1)
        json_fail(dec->d, NULL, "expected one of times, while and until");
    if (w != NULL || u != NULL) {
        s->until = u != NULL;
        m = json_enter(dec->d, u != NULL ? "until" : "while", 0);
        decode_condition(dec, u != NULL ? u : w, s);
        json_leave(dec->d, m);
    }
    decode_steps(dec, json_get(j, "steps"), "steps", false, &s->body);
}

static void decode_paginate(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct json *next = json_get(j, "next");
    struct json *params = json_new_object();
    struct selectors sel;
    size_t m = json_enter(dec->d, "next", 0);

    if (next == NULL)
        json_fail(dec->d, NULL, "missing, expected the selectors of what leads to the next page");
    else
        (void)selectors_decode(dec->d, next, &sel);
    json_leave(dec->d, m);
    if (next != NULL)
        json_add(params, "selectors", json_dup(next));
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c))
        if (strcmp(json_key(c), "frame") == 0 || strcmp(json_key(c), "timeout") == 0)
            json_add(params, json_key(c), json_dup(c));
    json_add_bool(params, "await_change", true);
    s->params = decode_keep(dec, params);
    s->max = (uint32_t)get_int(dec, j, "max", 1, ROUNDS_MAX, ROUNDS_DEFAULT);
    decode_steps(dec, json_get(j, "steps"), "steps", false, &s->body);
}

/* A picture of an element takes two ops: finding it, and the picture. */
static void decode_element(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct json *sel =
        json_get(j, "selectors") != NULL ? json_get(j, "selectors") : json_get(j, "selector");
    const struct op *find = step_op_find("page.find");
    struct json *params;

    if (sel == NULL)
        return;
    params = json_add(json_new_object(), "selectors", json_dup(sel));
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c))
        if (op_field(find, json_key(c)) != NULL && json_get(params, json_key(c)) == NULL)
            json_add(params, json_key(c), json_dup(c));
    decode_params(dec, find, params);
    s->find = decode_keep(dec, params);
}

static bool is_browser_page(const char *url)
{
    return strncmp(url, "chrome:", 7) == 0 || strncmp(url, "about:", 6) == 0 || url[0] == '\0';
}

static void decode_navigate(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const char *url = json_str(json_get(j, "url"), NULL);
    struct str text = str_from(url != NULL ? url : "");
    ptrdiff_t colon = str_chr(text, ':');

    decode_accept(dec, j, s);
    if (url == NULL)
        return;
    if (is_browser_page(url)) {
        decode_warn(dec, "navigate to \"%s\" is left out: only targets are visited", url);
        s->type = step_type_find("customStep");
        return;
    }
    if (colon > 0 && memchr(url, '{', (size_t)colon) == NULL &&
        memchr(url, '/', (size_t)colon) == NULL && !str_starts_nocase(text, STR("http:")) &&
        !str_starts_nocase(text, STR("https:")))
        json_fail(dec->d, "/url", "found \"%.*s\", expected an http or https URL",
                  STR_ARG(str_head(str_from(url), 100)));
}

static void decode_extract(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct json *list = json_get(j, "list");

    s->into = get_str(dec, j, "into");
    if (s->into == NULL && (json_get(j, "each") != NULL || json_bool(list, false)))
        s->into = "items";
    if (s->into == NULL && json_get(j, "fields") == NULL)
        json_fail(dec->d, "/into", "missing, expected the name of the value");
}

static void decode_into(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    s->into = get_str(dec, j, "into");
}

/* The browser is to keep bodies from the flow's beginning on. */
static void decode_body(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    decode_into(dec, j, s);
    dec->flow->wants_bodies = true;
}

static void decode_set(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    s->to_output = get_bool(dec, j, "output");
}

static const struct {
    const char *type;
    void (*fn)(struct decoding *dec, const struct json *j, struct flow_step *s);
} specials[] = {
    {"navigate", decode_navigate},
    {"extract", decode_extract},
    {"set", decode_set},
    {"console", decode_into},
    {"har", decode_into},
    {"screencast", decode_into},
    {"responseBody", decode_body},
    {"exportState", decode_into},
    {"screenshot", decode_element},
    {"if", decode_if},
    {"repeat", decode_repeat},
    {"paginate", decode_paginate},
};

static void decode_known(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct step_type *t = s->type;
    const struct op *op = t->op != NULL ? step_op_find(t->op) : NULL;

    for (const struct json *c = json_first(j); c != NULL; c = json_next(c)) {
        size_t m;

        decode_member_name(dec, t, op, json_key(c));
        if (strcmp(json_key(c), "steps") == 0 || strcmp(json_key(c), "else") == 0)
            continue; /* their strings are checked with them */
        m = json_enter(dec->d, json_key(c), 0);
        decode_strings(dec->d, c);
        json_leave(dec->d, m);
    }
    s->op = op;
    s->timeout_ms = get_int(dec, j, "timeout", 1, STEP_TIMEOUT_MAX_MS, 0);
    s->irreversible = get_bool(dec, j, "irreversible");
    s->optional = get_bool(dec, j, "optional");
    s->retries = (uint32_t)get_int(dec, j, "retries", 0, RETRIES_MAX, 0);
    s->retry_delay_ms = get_int(dec, j, "retry_delay_ms", 0, 60000, 500);
    s->accept_4xx = t->led;
    decode_place(dec, j, s);
    if (s->irreversible && s->retries > 0)
        json_fail(dec->d, "/retries", "an irreversible step is not repeated");
    for (size_t i = 0; i < ARRAY_LEN(specials); i++)
        if (strcmp(specials[i].type, t->name) == 0)
            specials[i].fn(dec, j, s);
    if (t->kind != STEP_OP)
        return;
    if (s->type == t) {
        struct json *params = decode_op_params(t, op, j);

        json_destroy(&(struct json *){json_take(params, "timeout")});
        if (s->timeout_ms > 0 && op_field(op, "timeout") != NULL)
            json_add_num(params, "timeout", (double)s->timeout_ms);
        json_destroy(&(struct json *){json_take(params, "frame")});
        if (op_field(op, "frame") != NULL && op_field(op, "frame")->kind == JK_FN &&
            json_get(j, "frame") != NULL)
            json_add(params, "frame", json_dup(json_get(j, "frame")));
        s->params = decode_keep(dec, params);
        decode_params(dec, op, params);
    }
}

static void unknown_type(struct decoding *dec, const char *name)
{
    const char *names[TYPES_ROOM], *near;
    size_t n = 0;

    for (; n < n_step_types && n < TYPES_ROOM; n++)
        names[n] = step_types[n].name;
    near = str_suggest(str_from(name), names, n);
    if (near != NULL)
        json_fail(dec->d, "/type", "unknown type of step \"%.*s\", did you mean \"%s\"?",
                  STR_ARG(str_head(str_from(name), 60)), near);
    else
        json_fail(dec->d, "/type",
                  "unknown type of step \"%.60s\"; README.md of browser/flow lists them", name);
}

static void decode_step(struct decoding *dec, const struct json *j, struct flow_step *s)
{
    const struct json *type = json_get(j, "type");

    s->path = arena_strdup(dec->arena, dec->d->path + dec->root);
    s->index = dec->index;
    s->type = step_type_find("customStep");
    if (json_type(j) != JSON_OBJECT)
        json_fail(dec->d, NULL, "found %s, expected a step: an object",
                  json_type_name(json_type(j)));
    else if (type == NULL)
        json_fail(dec->d, NULL, "/type: missing, expected the type of the step");
    else if (json_type(type) != JSON_STRING)
        json_fail(dec->d, "/type", "found %s, expected a string", json_type_name(json_type(type)));
    else if (step_type_find(json_str(type, "")) == NULL)
        unknown_type(dec, json_str(type, ""));
    else {
        s->type = step_type_find(json_str(type, ""));
        decode_known(dec, j, s);
    }
}

static void decode_steps(struct decoding *dec, const struct json *j, const char *name, bool top,
                         struct flow_steps *out)
{
    size_t mark = json_enter(dec->d, name, 0), n = json_len(j), i = 0;

    if (j == NULL)
        json_fail(dec->d, NULL, "missing, expected an array of steps");
    else if (json_type(j) != JSON_ARRAY)
        json_fail(dec->d, NULL, "found %s, expected an array of steps",
                  json_type_name(json_type(j)));
    else if (n == 0 && !top)
        json_fail(dec->d, NULL, "found no steps, expected at least one");
    else if ((dec->n_steps += n) > STEPS_MAX)
        json_fail(dec->d, NULL, "found more than %d steps", STEPS_MAX);
    else {
        out->v = arena_array(dec->arena, struct flow_step,
                             n + 1); /* room for the way to the row's URL */
        for (const struct json *c = json_first(j); c != NULL; c = json_next(c), i++) {
            size_t m = json_enter(dec->d, NULL, i);

            dec->index = top ? i : dec->index;
            decode_step(dec, c, &out->v[out->n++]);
            json_leave(dec->d, m);
        }
    }
    json_leave(dec->d, mark);
}

/* --- the whole --- */

/* A flow that looks at a page before it has gone anywhere is taken to the row's URL. */
static void imply_navigate(struct decoding *dec)
{
    struct flow_steps *steps = &dec->flow->steps;
    size_t i = 0;

    if (steps->n == 0)
        decode_warn(dec, "there are no steps: the page is taken to the row's URL, and that is all");
    while (i < steps->n && (steps->v[i].type->no_page || steps->v[i].type->kind == STEP_NOTHING) &&
           json_get(steps->v[i].params, "expression") == NULL)
        i++;
    if ((i == steps->n && steps->n > 0) ||
        (i < steps->n && strcmp(steps->v[i].type->name, "navigate") == 0))
        return;
    memmove(&steps->v[i + 1], &steps->v[i], (steps->n - i) * sizeof(*steps->v));
    steps->v[i] = (struct flow_step){
        .type = step_type_find("navigate"),
        .op = step_op_find("page.navigate"),
        .params = decode_keep(dec, json_add_str(json_new_object(), "url", "{{row.url}}")),
        .path = steps->n > 0 ? steps->v[i + 1].path : "/steps",
        .index = i,
        .implied = true,
    };
    steps->n++;
}

static void check_flow_members(struct decoding *dec, const struct json *j)
{
    static const char *const names[] = {"title", "timeout", "selectorAttribute", "steps",
                                        "comment"};

    for (const struct json *c = json_first(j); c != NULL; c = json_next(c)) {
        const char *near = str_suggest(str_from(json_key(c)), names, ARRAY_LEN(names));
        bool known = near != NULL && strcmp(near, json_key(c)) == 0;
        size_t m;

        if (known)
            continue;
        if (near == NULL) {
            decode_warn(dec, "a flow knows no member \"%s\", which is left out", json_key(c));
            continue;
        }
        m = json_enter(dec->d, json_key(c), 0);
        json_fail(dec->d, NULL, "unknown member, did you mean \"%s\"?", near);
        json_leave(dec->d, m);
    }
}

struct flow *flow_decode(struct arena *a, const struct json *j, struct json_decode *d)
{
    struct decoding dec = {
        .flow = arena_new(a, struct flow), .arena = a, .d = d, .root = strlen(d->path)};
    size_t errors = d->n_errors;

    if (json_type(j) != JSON_OBJECT) {
        json_fail(d, NULL, "found %s, expected a flow: an object with steps",
                  json_type_name(json_type(j)));
        return NULL;
    }
    check_flow_members(&dec, j);
    dec.flow->title = get_str(&dec, j, "title");
    dec.flow->title = dec.flow->title != NULL ? dec.flow->title : "";
    dec.flow->timeout_ms = get_int(&dec, j, "timeout", 1, STEP_TIMEOUT_MAX_MS, 0);
    decode_steps(&dec, json_get(j, "steps"), "steps", true, &dec.flow->steps);
    dec.flow->n_steps = dec.flow->steps.n;
    if (d->n_errors != errors)
        return NULL;
    imply_navigate(&dec);
    return dec.flow;
}

const char *flow_title(const struct flow *f)
{
    return f->title;
}

size_t flow_len(const struct flow *f)
{
    return f->n_steps;
}

struct json_strs flow_warnings(const struct flow *f)
{
    return (struct json_strs){f->warnings, f->n_warnings};
}
