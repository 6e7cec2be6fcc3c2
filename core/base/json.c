/* The tree is cJSON's; the grammar, the writer and the order of members are our own. A `struct
 * json` is a cJSON under another name and is never defined. */
#include "core/base/json_internal.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include <cjson/cJSON.h>

static const cJSON *node(const struct json *j)
{
    return (const cJSON *)(const void *)j;
}

static cJSON *node_mut(struct json *j)
{
    return (cJSON *)(void *)j;
}

static const struct json *wrap(const cJSON *c)
{
    return (const struct json *)(const void *)c;
}

static struct json *wrap_mut(cJSON *c)
{
    return (struct json *)(void *)c;
}

static struct json *made(cJSON *c)
{
    if (!c)
        BUG("out of memory: no JSON node");
    return wrap_mut(c);
}

/* --- members in the order of their names --- */

struct member {
    const cJSON *c;
    size_t i; /* place in the object */
};

static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    int order = strcmp(x->c->string, y->c->string);

    return order ? order : (x->i > y->i) - (x->i < y->i);
}

/* Sorted by name, equal ones in the order of the object; the caller frees. */
static struct member *sorted_members(const cJSON *object, size_t n)
{
    struct member *v = xcalloc(n, sizeof(*v));
    size_t i = 0;

    for (const cJSON *c = object->child; c; c = c->next, i++)
        v[i] = (struct member){c, i};
    qsort(v, n, sizeof(*v), by_name);
    return v;
}

/* --- parsing --- */

static const cJSON *twice_in(const cJSON *object)
{
    size_t n = json_len(wrap(object));
    cleanup_free struct member *v = NULL;

    if (n < 2)
        return NULL;
    v = sorted_members(object, n);
    for (size_t i = 1; i < n; i++) {
        if (strcmp(v[i - 1].c->string, v[i].c->string) == 0)
            return v[i].c;
    }
    return NULL;
}

/* A member whose name its object has before it, or NULL. */
static const cJSON *find_twice(const cJSON *j)
{
    const cJSON *found = cJSON_IsObject(j) ? twice_in(j) : NULL;

    for (const cJSON *c = j->child; c && !found; c = c->next)
        found = find_twice(c);
    return found;
}

/* Counts names in the order of the text up to and with that of `member`; true when it came to it.
 */
static bool count_names(const cJSON *j, const cJSON *member, size_t *n)
{
    for (const cJSON *c = j->child; c; c = c->next) {
        if (c->string)
            (*n)++;
        if (c == member || count_names(c, member, n))
            return true;
    }
    return false;
}

/* Names are compared as parsed, "\u0061" being "a"; the place is then found again in the text. */
static bool is_unique(const cJSON *root, struct str text, struct err *e)
{
    const cJSON *member = find_twice(root);
    size_t n = 0;

    if (!member)
        return true;
    BUG_ON(!count_names(root, member, &n));
    (void)json_check_twice(text, n, e);
    return false;
}

struct json *json_parse(struct str s, bool strict, struct err *e)
{
    cleanup_free char *mended = NULL;
    cJSON *root;

    if (!s.ptr)
        s = STR("");
    if (str_starts(s, STR("\xef\xbb\xbf")))
        s = str_skip(s, 3);
    if (json_check(s, strict, &mended, e) != STATUS_OK)
        return NULL;
    root = cJSON_ParseWithLength(mended ? mended : s.ptr, s.len);
    if (!root) {
        err_set(e, STATUS_NO_MEMORY, "no memory for %zu bytes of JSON", s.len);
        return NULL;
    }
    if (strict && !is_unique(root, s, e)) {
        cJSON_Delete(root);
        return NULL;
    }
    return wrap_mut(root);
}

void json_destroy(struct json **j)
{
    cJSON_Delete(node_mut(*j));
    *j = NULL;
}

/* A value on its own has no name. */
static struct json *nameless(struct json *j)
{
    cJSON *c = node_mut(j);

    if (c && c->string) {
        if (!(c->type & cJSON_StringIsConst))
            cJSON_free(c->string);
        c->type &= ~cJSON_StringIsConst;
        c->string = NULL;
    }
    return j;
}

struct json *json_dup(const struct json *j)
{
    return j ? nameless(made(cJSON_Duplicate(node(j), true))) : json_new_null();
}

/* --- reading --- */

enum json_type json_type(const struct json *j)
{
    switch (j ? node(j)->type & 0xff : cJSON_NULL) {
    case cJSON_False:
    case cJSON_True:
        return JSON_BOOL;
    case cJSON_Number:
        return JSON_NUMBER;
    case cJSON_String:
        return JSON_STRING;
    case cJSON_Array:
        return JSON_ARRAY;
    case cJSON_Object:
        return JSON_OBJECT;
    default:
        return JSON_NULL;
    }
}

const char *json_type_name(enum json_type t)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOL] = "boolean", [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_ARRAY] = "array",  [JSON_OBJECT] = "object",
    };

    BUG_ON((unsigned)t >= ARRAY_LEN(names));
    return names[t];
}

static bool array_eq(const cJSON *a, const cJSON *b)
{
    const cJSON *y = b->child;

    for (const cJSON *x = a->child; x; x = x->next, y = y->next) {
        if (!y || !json_eq(wrap(x), wrap(y)))
            return false;
    }
    return !y;
}

static bool object_eq(const cJSON *a, const cJSON *b)
{
    size_t n = json_len(wrap(a));
    cleanup_free struct member *x = NULL, *y = NULL;

    if (json_len(wrap(b)) != n)
        return false;
    x = sorted_members(a, n);
    y = sorted_members(b, n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(x[i].c->string, y[i].c->string) != 0 || !json_eq(wrap(x[i].c), wrap(y[i].c)))
            return false;
    }
    return true;
}

bool json_eq(const struct json *a, const struct json *b)
{
    enum json_type t = json_type(a);

    if (t != json_type(b))
        return false;
    switch (t) {
    case JSON_BOOL:
        return json_bool(a, false) == json_bool(b, false);
    case JSON_NUMBER:
        return json_num(a, 0) == json_num(b, 0);
    case JSON_STRING:
        return strcmp(json_str(a, ""), json_str(b, "")) == 0;
    case JSON_ARRAY:
        return array_eq(node(a), node(b));
    case JSON_OBJECT:
        return object_eq(node(a), node(b));
    default:
        return true;
    }
}

const struct json *json_get(const struct json *j, const char *name)
{
    if (json_type(j) != JSON_OBJECT)
        return NULL;
    for (const cJSON *c = node(j)->child; c; c = c->next) {
        if (strcmp(c->string, name) == 0)
            return wrap(c);
    }
    return NULL;
}

const struct json *json_at(const struct json *j, ...)
{
    const char *name;
    va_list ap;

    va_start(ap, j);
    while (j && (name = va_arg(ap, const char *)))
        j = json_get(j, name);
    va_end(ap);
    return j;
}

const struct json *json_first(const struct json *j)
{
    enum json_type t = json_type(j);

    return t == JSON_ARRAY || t == JSON_OBJECT ? wrap(node(j)->child) : NULL;
}

const struct json *json_next(const struct json *child)
{
    return wrap(node(child)->next);
}

const char *json_key(const struct json *child)
{
    return node(child)->string;
}

size_t json_len(const struct json *j)
{
    size_t n = 0;

    for (const struct json *c = json_first(j); c; c = json_next(c))
        n++;
    return n;
}

const char *json_str(const struct json *j, const char *otherwise)
{
    return json_type(j) == JSON_STRING ? node(j)->valuestring : otherwise;
}

double json_num(const struct json *j, double otherwise)
{
    return json_type(j) == JSON_NUMBER ? node(j)->valuedouble : otherwise;
}

int64_t json_int(const struct json *j, int64_t otherwise)
{
    const double exact = 9007199254740992.0; /* 2^53 */
    double v = json_num(j, NAN);

    if (!(v >= -exact && v <= exact) || v != trunc(v))
        return otherwise;
    return (int64_t)v;
}

bool json_bool(const struct json *j, bool otherwise)
{
    return json_type(j) == JSON_BOOL ? (node(j)->type & 0xff) == cJSON_True : otherwise;
}

/* --- building --- */

struct json *json_new_object(void)
{
    return made(cJSON_CreateObject());
}

struct json *json_new_array(void)
{
    return made(cJSON_CreateArray());
}

/* What no tree can hold becomes U+FFFD: bytes that are no UTF-8, and a NUL. */
static void add_clean(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.len;) {
        size_t n = str_utf8_len(s.ptr + i, s.len - i);

        if (n == 0 || s.ptr[i] == '\0') {
            buf_adds(out, "\xef\xbf\xbd");
            i++;
        } else {
            buf_add(out, s.ptr + i, n);
            i += n;
        }
    }
}

struct json *json_new_str(struct str s)
{
    struct buf clean = BUF_INIT(SIZE_MAX / 2);
    cJSON *c = node_mut(json_new_null());

    c->type = cJSON_String;
    if (str_is_utf8(s) && !(s.len && memchr(s.ptr, '\0', s.len)))
        buf_addstr(&clean, s);
    else
        add_clean(s, &clean);
    if (buf_status(&clean) != STATUS_OK)
        BUG("out of memory: no JSON string of %zu bytes", s.len);
    c->valuestring = buf_take(&clean, NULL); /* malloc'ed, as cJSON's own */
    return wrap_mut(c);
}

struct json *json_new_num(double v)
{
    return isfinite(v) ? made(cJSON_CreateNumber(v)) : json_new_null();
}

struct json *json_new_bool(bool v)
{
    return made(cJSON_CreateBool(v));
}

struct json *json_new_null(void)
{
    return made(cJSON_CreateNull());
}

struct json *json_add(struct json *obj, const char *name, struct json *v)
{
    BUG_ON(json_type(obj) != JSON_OBJECT || !v || v == obj);
    if (json_get(obj, name))
        cJSON_ReplaceItemInObjectCaseSensitive(node_mut(obj), name, node_mut(v));
    else
        cJSON_AddItemToObject(node_mut(obj), name, node_mut(v));
    if (!node(v)->string)
        BUG("out of memory: no name of a JSON member");
    return obj;
}

struct json *json_add_str(struct json *obj, const char *name, const char *z)
{
    return json_add(obj, name, z ? json_new_str(str_from(z)) : json_new_null());
}

struct json *json_add_num(struct json *obj, const char *name, double v)
{
    return json_add(obj, name, json_new_num(v));
}

struct json *json_add_bool(struct json *obj, const char *name, bool v)
{
    return json_add(obj, name, json_new_bool(v));
}

struct json *json_push(struct json *arr, struct json *v)
{
    BUG_ON(json_type(arr) != JSON_ARRAY || !v || v == arr);
    BUG_ON(!cJSON_AddItemToArray(node_mut(arr), node_mut(v)));
    return arr;
}

struct json *json_take(struct json *obj, const char *name)
{
    if (json_type(obj) != JSON_OBJECT)
        return NULL;
    return nameless(wrap_mut(cJSON_DetachItemFromObjectCaseSensitive(node_mut(obj), name)));
}
