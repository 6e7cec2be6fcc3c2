/* What a person is told of a value that does not fit: what was found, what was expected, and what
 * was perhaps meant. Lists that are too long end early; a suggestion always fits. */
#include "core/base/json_internal.h"

#include <string.h>

enum {
    EXPECTED_MAX = 384, /* bytes of what was expected */
    FOUND_MAX = 48,     /* bytes of a string that is shown as found */
};

static void add_names(struct buf *out, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_adds(out, i + 1 == n ? " or " : ", ");
        buf_adds(out, names[i]);
    }
}

static size_t names_len(const char *const *names)
{
    size_t n = 0;

    while (names[n])
        n++;
    return n;
}

static void add_range(struct buf *out, const char *lead, int64_t min, int64_t max)
{
    if (max == INT64_MAX)
        buf_addf(out, " of at least %lld", (long long)min);
    else if (min == INT64_MIN)
        buf_addf(out, " of at most %lld", (long long)max);
    else
        buf_addf(out, "%s%lld..%lld", lead, (long long)min, (long long)max);
}

static bool has_range(const struct json_field *f)
{
    return f->min != 0 || f->max != 0;
}

static void add_integer(struct buf *out, const struct json_field *f)
{
    buf_adds(out, "an integer");
    if (has_range(f))
        add_range(out, " ", f->min, f->max);
    else if (f->kind == JK_UINT)
        add_range(out, " ", 0, UINT32_MAX);
}

static void add_string(struct buf *out, const struct json_field *f)
{
    if (f->names) {
        buf_adds(out, "one of ");
        add_names(out, f->names, names_len(f->names));
        return;
    }
    buf_adds(out, "a string");
    if (f->max > 0) {
        add_range(out, " of ", f->min, f->max);
        buf_adds(out, " bytes");
    }
}

static void add_array(struct buf *out, const struct json_field *f, const char *of, const char *one)
{
    buf_addf(out, "%san array of %s", f->one_is_array ? one : "", of);
    if (f->max > 0) {
        add_range(out, " of ", f->min, f->max);
        buf_adds(out, " elements");
    }
}

static void add_expected(struct buf *out, const struct json_field *f)
{
    static const char *const plain[] = {
        [JK_BOOL] = "true or false",   [JK_DOUBLE] = "a number", [JK_OBJECT] = "an object",
        [JK_OBJECT_PTR] = "an object", [JK_ANY] = "a value",     [JK_FN] = "a value",
    };

    switch (f->kind) {
    case JK_INT:
    case JK_UINT:
        add_integer(out, f);
        break;
    case JK_STR:
    case JK_ENUM:
        add_string(out, f);
        break;
    case JK_STRS:
        add_array(out, f, "strings", "a string or ");
        break;
    case JK_OBJECTS:
        add_array(out, f, "objects", "an object or ");
        break;
    default:
        buf_adds(out, plain[f->kind]);
        if (f->kind == JK_DOUBLE && f->dmin < f->dmax)
            buf_addf(out, " %g..%g", f->dmin, f->dmax);
    }
}

static void add_found(struct buf *out, const struct json *j)
{
    struct str s = str_from(json_str(j, ""));
    size_t n = s.len;

    switch (json_type(j)) {
    case JSON_ARRAY:
        buf_addf(out, "an array of %zu", json_len(j));
        break;
    case JSON_OBJECT:
        buf_adds(out, "an object");
        break;
    case JSON_STRING:
        if (n > FOUND_MAX) {
            n = FOUND_MAX;
            while (((unsigned char)s.ptr[n] & 0xc0) == 0x80)
                n--;
        }
        json_print_str(str_n(s.ptr, n), out);
        if (n < s.len)
            buf_addf(out, "... (%zu bytes)", s.len);
        break;
    default:
        json_print(j, 0, out);
    }
}

/* "found ..., expected ..."; the name nearest to a string that is none of the field's is suggested.
 */
void json_fail_field(struct json_decode *d, const struct json_field *f, const struct json *j)
{
    struct buf text = BUF_INIT(EXPECTED_MAX);
    const char *near = NULL;

    buf_adds(&text, "found ");
    add_found(&text, j);
    if (f->names && json_type(j) == JSON_STRING)
        near = str_suggest(str_from(json_str(j, "")), f->names, names_len(f->names));
    buf_adds(&text, ", expected ");
    add_expected(&text, f);
    json_fail(d, NULL, near ? "%s (did you mean \"%s\"?)" : "%s", text.ptr, near);
    buf_deinit(&text);
}

void json_fail_unknown(struct json_decode *d, const struct json_schema *s)
{
    const char *names[JSON_FIELDS_MAX], *near;
    const char *slash = strrchr(d->path, '/');
    struct buf text = BUF_INIT(EXPECTED_MAX);

    for (size_t i = 0; i < s->n; i++)
        names[i] = s->fields[i].name;
    near = str_suggest(str_from(slash ? slash + 1 : ""), names, s->n);
    if (near) {
        buf_addf(&text, "unknown member, did you mean \"%s\"?", near);
    } else {
        buf_addf(&text, "unknown member, %s has ", s->name);
        add_names(&text, names, s->n);
    }
    json_fail(d, NULL, "%s", text.ptr);
    buf_deinit(&text);
}

void json_fail_missing(struct json_decode *d, const struct json_field *f)
{
    struct buf text = BUF_INIT(EXPECTED_MAX);
    size_t mark = json_enter(d, f->name, 0);

    add_expected(&text, f);
    json_fail(d, NULL, "missing, expected %s", text.ptr);
    json_leave(d, mark);
    buf_deinit(&text);
}
