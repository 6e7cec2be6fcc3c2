#include "browser/page/extract.h"

enum { EXTRACT_MAX = 100000 };

const char *const extract_types[] = {"text", "raw",  "number", "integer", "boolean",
                                     "url",  "html", "json",   "date",    NULL};

static bool is_empty(const struct json *j)
{
    return json_type(j) == JSON_STRING && json_str(j, "x")[0] == '\0';
}

static bool selector_decode(struct json_decode *d, const struct json *j, void *field)
{
    if (is_empty(j))
        return true; /* the record itself */
    return selectors_decode(d, j, field);
}

static const struct json_field field_fields[] = {
    {.name = "selector",
     .kind = JK_FN,
     .fn = selector_decode,
     .offset = offsetof(struct extract_field, sel),
     .doc = "Within the record; default the record itself."},
    {.name = "selectors",
     .kind = JK_FN,
     .fn = selector_decode,
     .offset = offsetof(struct extract_field, sel),
     .doc = "Alternatives of `selector`."},
    {JF_COMMON(struct extract_field, attribute), .kind = JK_STR,
     .doc = "The attribute that holds the value."},
    {JF_COMMON(struct extract_field, property), .kind = JK_STR,
     .doc = "The property that holds the value."},
    {JF_COMMON(struct extract_field, type), .kind = JK_ENUM, .names = extract_types,
     .doc = "text (default), raw, number, integer, boolean, url, html, json or date."},
    {JF_COMMON(struct extract_field, required), .kind = JK_BOOL,
     .doc = "Waited for, and the step fails without it; default false: null."},
    {JF_COMMON(struct extract_field, many), .kind = JK_BOOL,
     .doc = "An array of all; default false: the first."},
    {.name = "default",
     .kind = JK_ANY,
     .offset = offsetof(struct extract_field, otherwise),
     .doc = "The value when there is none; default null."},
    {.name = "fields",
     .kind = JK_FN,
     .fn = extract_fields_decode,
     .offset = offsetof(struct extract_field, fields),
     .doc = "Object: a record within the record."},
};
static const struct json_schema field_schema = {
    .name = "field",
    .fields = field_fields,
    .n = ARRAY_LEN(field_fields),
    .size = sizeof(struct extract_field),
};

static bool one_field(struct json_decode *d, const struct json *j, struct extract_field *f)
{
    if (json_type(j) == JSON_STRING || json_type(j) == JSON_ARRAY)
        return selector_decode(d, j, &f->sel);
    if (json_type(j) != JSON_OBJECT)
        return json_fail(d, NULL, "found %s, expected a selector or an object",
                         json_type_name(json_type(j)));
    return json_decode(d, &field_schema, j, f);
}

bool extract_fields_decode(struct json_decode *d, const struct json *j, void *field)
{
    struct extract_fields *out = arena_new(d->arena, struct extract_fields);
    bool ok = true;

    if (json_type(j) != JSON_OBJECT || json_len(j) == 0)
        return json_fail(d, NULL, "expected an object with at least one field");
    out->v = arena_array(d->arena, struct extract_field, json_len(j));
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c)) {
        size_t m = json_enter(d, json_key(c), 0);

        out->v[out->n].name = arena_strdup(d->arena, json_key(c));
        ok = one_field(d, c, &out->v[out->n++]) && ok;
        json_leave(d, m);
    }
    *(const struct extract_fields **)field = out;
    return ok;
}

void extract_check(struct json_decode *d, const struct extract *x, bool has_selectors)
{
    if (x->each.n > 0 && has_selectors)
        json_fail(d, "/each", "expected either each or selectors, found both");
    else if (x->fields == NULL && !has_selectors && x->each.n == 0)
        json_fail(d, NULL, "expected selectors, each or fields: what to extract");
    else if (x->list && !has_selectors && x->each.n == 0)
        json_fail(d, "/list", "needs selectors: the elements that are the records");
}

static void add_str(struct buf *b, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_addf(b, ",\"%s\":", name);
    json_print_str(str_from(value), b);
}

static void add_fields(struct buf *b, const struct extract_fields *fields);

static void add_field(struct buf *b, const struct extract_field *f)
{
    buf_adds(b, "{\"name\":");
    json_print_str(str_from(f->name), b);
    buf_adds(b, ",\"sel\":");
    if (f->sel.n > 0)
        selectors_print(&f->sel, b);
    else
        buf_adds(b, "[[]]");
    buf_addf(b, ",\"type\":\"%s\",\"required\":%s,\"many\":%s", extract_types[f->type],
             f->required ? "true" : "false", f->many ? "true" : "false");
    add_str(b, "attribute", f->attribute);
    add_str(b, "property", f->property);
    if (f->otherwise != NULL) {
        buf_adds(b, ",\"default\":");
        json_print(f->otherwise, 0, b);
    }
    if (f->fields != NULL)
        add_fields(b, f->fields);
    buf_addc(b, '}');
}

static void add_fields(struct buf *b, const struct extract_fields *fields)
{
    buf_adds(b, ",\"fields\":[");
    for (size_t i = 0; fields != NULL && i < fields->n; i++) {
        if (i > 0)
            buf_addc(b, ',');
        add_field(b, &fields->v[i]);
    }
    buf_addc(b, ']');
}

void extract_spec(const struct extract *x, struct buf *b)
{
    buf_addf(b, "\"list\":%s,\"min\":%u,\"max\":%u,\"type\":\"%s\"",
             x->list || x->each.n > 0 ? "true" : "false", x->has_min ? x->min : 1,
             x->has_max ? x->max : EXTRACT_MAX, extract_types[x->type]);
    add_str(b, "attribute", x->attribute);
    add_str(b, "property", x->property);
    add_fields(b, x->fields);
}
