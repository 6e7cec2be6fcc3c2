/* Typed decoding: one function a kind, one table that names them. A value that does not fit is
 * reported and left at its default, and decoding goes on, so that a person sees all that is wrong
 * at once. */
#include "core/base/json_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ERRORS_FIRST = 4 };

/* --- errors and paths --- */

void json_decode_init(struct json_decode *d, struct arena *a, void *ctx)
{
    *d = (struct json_decode){.arena = a, .ctx = ctx};
}

/* The next free error, or NULL when there are JSON_ERRORS_MAX or the arena is at its cap; the error
 * is then only counted. Room doubles at powers of two. */
static struct json_error *next_error(struct json_decode *d)
{
    size_t n = d->n_kept, room = n < ERRORS_FIRST ? ERRORS_FIRST : 2 * n;
    struct json_error *v;

    d->n_errors++;
    if (n == JSON_ERRORS_MAX)
        return NULL;
    if (n == 0 || (n >= ERRORS_FIRST && (n & (n - 1)) == 0)) {
        v = arena_try_alloc(d->arena, room * sizeof(*v));
        if (!v)
            return NULL;
        if (n > 0)
            memcpy(v, d->errors, n * sizeof(*v));
        d->errors = v;
    }
    d->n_kept++;
    return &d->errors[n];
}

bool json_fail(struct json_decode *d, const char *suffix, const char *fmt, ...)
{
    struct json_error *error = next_error(d);
    va_list ap;

    if (!error)
        return false;
    (void)snprintf(error->path, sizeof(error->path), "%.*s%.*s", (int)sizeof(error->path), d->path,
                   (int)sizeof(error->path), suffix ? suffix : "");
    va_start(ap, fmt);
    (void)vsnprintf(error->text, sizeof(error->text), fmt, ap);
    va_end(ap);
    return false;
}

static void path_add(struct json_decode *d, size_t *at, char c)
{
    if (*at < sizeof(d->path) - 1)
        d->path[(*at)++] = c;
}

/* RFC 6901 §3: ~ and / of a name are written ~0 and ~1. */
size_t json_enter(struct json_decode *d, const char *name, size_t i)
{
    size_t mark = strlen(d->path), at = mark;
    char number[24];

    if (!name) {
        (void)snprintf(number, sizeof(number), "%zu", i);
        name = number;
    }
    path_add(d, &at, '/');
    for (; *name; name++) {
        if (*name == '~' || *name == '/') {
            path_add(d, &at, '~');
            path_add(d, &at, (char)('0' + (*name == '/')));
        } else {
            path_add(d, &at, *name);
        }
    }
    d->path[at] = '\0';
    return mark;
}

void json_leave(struct json_decode *d, size_t mark)
{
    d->path[mark] = '\0';
}

/* --- kinds: `at` is the field; false when it was reported --- */

static bool misfit(struct json_decode *d, const struct json_field *f, const struct json *j)
{
    json_fail_field(d, f, j);
    return false;
}

static bool decode_value(struct json_decode *d, const struct json_field *f, const struct json *j,
                         void *at);

static bool decode_bool(struct json_decode *d, const struct json_field *f, const struct json *j,
                        void *at)
{
    if (json_type(j) != JSON_BOOL)
        return misfit(d, f, j);
    *(bool *)at = json_bool(j, false);
    return true;
}

static bool has_range(const struct json_field *f)
{
    return f->min != 0 || f->max != 0;
}

static int64_t range_max(const struct json_field *f)
{
    if (has_range(f))
        return f->max;
    return f->kind == JK_UINT ? UINT32_MAX : INT64_MAX;
}

static int64_t range_min(const struct json_field *f)
{
    return has_range(f) || f->kind == JK_UINT ? f->min : INT64_MIN;
}

/* INT64_MIN is no integer that json_int gives, so it stands for "none". */
static bool integer_in_range(const struct json_field *f, const struct json *j, int64_t *out)
{
    *out = json_int(j, INT64_MIN);
    return *out != INT64_MIN && *out >= range_min(f) && *out <= range_max(f);
}

static bool decode_int(struct json_decode *d, const struct json_field *f, const struct json *j,
                       void *at)
{
    int64_t v;

    if (!integer_in_range(f, j, &v))
        return misfit(d, f, j);
    *(int64_t *)at = v;
    return true;
}

static bool decode_uint(struct json_decode *d, const struct json_field *f, const struct json *j,
                        void *at)
{
    int64_t v;

    if (!integer_in_range(f, j, &v))
        return misfit(d, f, j);
    *(uint32_t *)at = (uint32_t)v;
    return true;
}

static bool decode_double(struct json_decode *d, const struct json_field *f, const struct json *j,
                          void *at)
{
    double v = json_num(j, 0);

    if (json_type(j) != JSON_NUMBER || (f->dmin < f->dmax && !(v >= f->dmin && v <= f->dmax)))
        return misfit(d, f, j);
    *(double *)at = v;
    return true;
}

static int name_index(const struct json_field *f, const char *s)
{
    for (int i = 0; f->names[i]; i++) {
        if (strcmp(f->names[i], s) == 0)
            return i;
    }
    return -1;
}

/* The arena may be at its cap: the text comes from input. */
static bool decode_str(struct json_decode *d, const struct json_field *f, const struct json *j,
                       void *at)
{
    const char *s = json_str(j, NULL);
    size_t n = s ? strlen(s) : 0;
    char *copy;

    if (!s || (f->max > 0 && ((int64_t)n < f->min || (int64_t)n > f->max)) ||
        (f->names && name_index(f, s) < 0))
        return misfit(d, f, j);
    copy = arena_try_alloc(d->arena, n + 1);
    if (!copy)
        return json_fail(d, NULL, "no memory for a string of %zu bytes", n);
    *(const char **)at = memcpy(copy, s, n + 1);
    return true;
}

static bool decode_enum(struct json_decode *d, const struct json_field *f, const struct json *j,
                        void *at)
{
    const char *s = json_str(j, NULL);
    int i = s ? name_index(f, s) : -1;

    if (i < 0)
        return misfit(d, f, j);
    *(int *)at = i;
    return true;
}

static bool decode_object(struct json_decode *d, const struct json_field *f, const struct json *j,
                          void *at)
{
    return json_decode(d, f->sub, j, at);
}

static void fill_defaults(const struct json_schema *s, void *obj)
{
    if (s->defaults)
        memcpy(obj, s->defaults, s->size);
}

static bool decode_object_ptr(struct json_decode *d, const struct json_field *f,
                              const struct json *j, void *at)
{
    void *obj = arena_try_alloc(d->arena, f->sub->size);

    if (!obj)
        return json_fail(d, NULL, "no memory for an object of %zu bytes", f->sub->size);
    fill_defaults(f->sub, obj);
    *(void **)at = obj;
    return json_decode(d, f->sub, j, obj);
}

/* Opens an array field: its elements, and how many; a value that is its own only element where the
 * field says so. False when it is no array, has too few or too many, or memory is at its cap. */
static bool array_open(struct json_decode *d, const struct json_field *f, const struct json *j,
                       size_t size, size_t *n, void **v)
{
    bool is_array = json_type(j) == JSON_ARRAY;

    *n = is_array ? json_len(j) : 1;
    if ((!is_array && !f->one_is_array) ||
        (f->max > 0 && ((int64_t)*n < f->min || (int64_t)*n > f->max)))
        return misfit(d, f, j);
    *v = *n > SIZE_MAX / size ? NULL : arena_try_alloc(d->arena, *n * size);
    if (*v)
        return true;
    json_fail(d, NULL, "no memory for %zu elements", *n);
    return false;
}

/* Decodes each element of `j` as the field `one`; returns how many were decoded without an error.
 */
static bool array_fill(struct json_decode *d, const struct json_field *one, const struct json *j,
                       size_t size, char *v)
{
    bool is_array = json_type(j) == JSON_ARRAY, ok = true;
    size_t i = 0;

    if (!is_array)
        return decode_value(d, one, j, v);
    for (const struct json *c = json_first(j); c; c = json_next(c), i++) {
        size_t mark = json_enter(d, NULL, i);

        ok = decode_value(d, one, c, v + i * size) && ok;
        json_leave(d, mark);
    }
    return ok;
}

static bool decode_strs(struct json_decode *d, const struct json_field *f, const struct json *j,
                        void *at)
{
    const struct json_field one = {.kind = JK_STR, .names = f->names};
    struct json_strs *out = at;
    size_t n;
    void *v;

    if (f->one_is_array && json_type(j) != JSON_ARRAY && json_type(j) != JSON_STRING)
        return misfit(d, f, j);
    if (!array_open(d, f, j, sizeof(*out->v), &n, &v) ||
        !array_fill(d, &one, j, sizeof(*out->v), v))
        return false; /* an element that failed is NULL: the default stays */
    *out = (struct json_strs){.v = v, .n = n};
    return true;
}

static bool decode_objects(struct json_decode *d, const struct json_field *f, const struct json *j,
                           void *at)
{
    const struct json_field one = {.kind = JK_OBJECT, .sub = f->sub};
    struct json_objects *out = at;
    size_t n;
    void *v;

    if (f->one_is_array && json_type(j) != JSON_ARRAY && json_type(j) != JSON_OBJECT)
        return misfit(d, f, j);
    if (!array_open(d, f, j, f->sub->size, &n, &v))
        return false;
    for (size_t i = 0; i < n; i++)
        fill_defaults(f->sub, (char *)v + i * f->sub->size);
    if (!array_fill(d, &one, j, f->sub->size, v))
        return false;
    *out = (struct json_objects){.v = v, .n = n};
    return true;
}

static bool decode_any(struct json_decode *d maybe_unused, const struct json_field *f maybe_unused,
                       const struct json *j, void *at)
{
    *(const struct json **)at = j;
    return true;
}

static bool decode_fn(struct json_decode *d, const struct json_field *f, const struct json *j,
                      void *at)
{
    return f->fn(d, j, at);
}

static bool decode_value(struct json_decode *d, const struct json_field *f, const struct json *j,
                         void *at)
{
    static bool (*const kinds[])(struct json_decode * d, const struct json_field *f,
                                 const struct json *j, void *at) = {
        [JK_BOOL] = decode_bool,     [JK_INT] = decode_int,
        [JK_UINT] = decode_uint,     [JK_DOUBLE] = decode_double,
        [JK_STR] = decode_str,       [JK_ENUM] = decode_enum,
        [JK_OBJECT] = decode_object, [JK_OBJECT_PTR] = decode_object_ptr,
        [JK_STRS] = decode_strs,     [JK_OBJECTS] = decode_objects,
        [JK_ANY] = decode_any,       [JK_FN] = decode_fn,
    };

    BUG_ON((unsigned)f->kind >= ARRAY_LEN(kinds));
    return kinds[f->kind](d, f, j, at);
}

/* --- objects --- */

static size_t field_index(const struct json_schema *s, const char *name)
{
    size_t i = 0;

    while (i < s->n && strcmp(s->fields[i].name, name) != 0)
        i++;
    return i;
}

static void decode_member(struct json_decode *d, const struct json_schema *s, size_t i,
                          const struct json *j, char *obj)
{
    const struct json_field *f;

    if (i == s->n) {
        if (!s->ignore_unknown)
            json_fail_unknown(d, s);
        return;
    }
    f = &s->fields[i];
    if (f->seen_offset)
        *(bool *)(void *)(obj + f->seen_offset) = true;
    (void)decode_value(d, f, j, obj + f->offset); /* a failure is counted in d */
}

/* Of members that are there twice (a lenient parse lets them be) the first counts, as for json_get.
 */
bool json_decode(struct json_decode *d, const struct json_schema *schema, const struct json *j,
                 void *obj)
{
    size_t errors_before = d->n_errors;
    bool seen[JSON_FIELDS_MAX + 1] = {false};

    BUG_ON(schema->n > JSON_FIELDS_MAX);
    if (json_type(j) != JSON_OBJECT)
        return misfit(d, &(struct json_field){.kind = JK_OBJECT}, j);
    for (const struct json *c = json_first(j); c; c = json_next(c)) {
        size_t i = field_index(schema, json_key(c)), mark;

        if (i < schema->n && seen[i])
            continue;
        seen[i] = true;
        mark = json_enter(d, json_key(c), 0);
        decode_member(d, schema, i, c, obj);
        json_leave(d, mark);
    }
    for (size_t i = 0; i < schema->n; i++) {
        if (schema->fields[i].required && !seen[i])
            json_fail_missing(d, &schema->fields[i]);
    }
    if (schema->check && d->n_errors == errors_before)
        schema->check(d, obj);
    return d->n_errors == errors_before;
}

/* --- the end --- */

static void add_error(const struct json_error *error, struct buf *out)
{
    if (error->path[0])
        buf_addf(out, "%s: ", error->path);
    buf_adds(out, error->text);
}

void json_decode_report(const struct json_decode *d, const char *name, struct buf *out)
{
    for (size_t i = 0; i < d->n_kept; i++) {
        buf_addf(out, "%s: ", name);
        add_error(&d->errors[i], out);
        buf_addc(out, '\n');
    }
    if (d->n_errors > d->n_kept)
        buf_addf(out, "%s: and %zu errors more\n", name, d->n_errors - d->n_kept);
}

enum status json_decode_status(const struct json_decode *d, const char *name, struct err *e)
{
    struct buf text = BUF_INIT((size_t)ERR_TEXT_MAX * 4);

    if (d->n_errors == 0)
        return STATUS_OK;
    buf_addf(&text, "%s: ", name);
    if (d->n_errors > 1)
        buf_addf(&text, "%zu errors: ", d->n_errors);
    for (size_t i = 0; i < d->n_kept; i++) {
        if (i > 0)
            buf_adds(&text, "; ");
        add_error(&d->errors[i], &text);
    }
    err_set(e, STATUS_INVALID, "%s", text.ptr);
    buf_deinit(&text);
    return STATUS_INVALID;
}
