/* The canonical form parses strictly, is the same value, and is its own canonical form; the order
 * of members in the input does not show in it. */
#include "core/base/jcs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The value with the members of every object the other way round. */
static struct json *reversed(const struct json *j)
{
    struct json *out, **v;
    size_t n = json_len(j), i = 0;

    if (json_type(j) != JSON_OBJECT && json_type(j) != JSON_ARRAY)
        return json_dup(j);
    if (json_type(j) == JSON_ARRAY) {
        out = json_new_array();
        for (const struct json *c = json_first(j); c; c = json_next(c))
            json_push(out, reversed(c));
        return out;
    }
    out = json_new_object();
    v = xcalloc(n, sizeof(*v));
    for (const struct json *c = json_first(j); c; c = json_next(c))
        v[i++] = reversed(c);
    for (i = n; i-- > 0;) {
        const struct json *c = json_first(j);

        for (size_t k = 0; k < i; k++)
            c = json_next(c);
        json_add(out, json_key(c), v[i]);
    }
    free(v);
    return out;
}

static void check_canonical(const struct json *j, struct str canonical)
{
    struct buf again = BUF_INIT(BUF_MAX_MESSAGE);

    BUG_ON(jcs_write(j, &again, NULL) != STATUS_OK);
    BUG_ON(!str_eq(canonical, buf_str(&again)));
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json *j = json_parse(str_n((const char *)data, size), true, NULL), *other;
    struct buf canonical = BUF_INIT(BUF_MAX_MESSAGE);
    struct err e = ERR_INIT;

    if (!j)
        return 0;
    if (jcs_write(j, &canonical, &e) != STATUS_OK)
        BUG("no canonical form: %s", e.text);
    other = json_parse(buf_str(&canonical), true, &e);
    if (!other)
        BUG("the canonical form does not parse: %s: %s", e.text, canonical.ptr);
    BUG_ON(!json_eq(j, other));
    check_canonical(other, buf_str(&canonical));
    json_destroy(&other);
    other = reversed(j);
    check_canonical(other, buf_str(&canonical));
    json_destroy(&other);
    json_destroy(&j);
    buf_deinit(&canonical);
    return 0;
}
