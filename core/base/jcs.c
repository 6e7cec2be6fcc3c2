/* Strings and numbers are json's own writer, whose escapes and shortest numbers are those of RFC
 * 8785 already; what is left is the order of members. */
#include "core/base/jcs.h"

#include <sodium.h>
#include <string.h>

enum { TEXT_USUAL = 1000, FEW = 16 };

/* What UTF-16 code units sort like: surrogates (characters from U+10000, whose UTF-8 begins with F0
 * or more) come before U+E000..U+FFFF (EE and EF); all others sort as their UTF-8 bytes do. */
static int rank(unsigned char first)
{
    return first < 0xee ? 0 : first < 0xf0 ? 2 : 1;
}

/* Names are valid UTF-8 or were made so by the parser; where bytes first differ, either both are
 * first bytes of characters, or both follow the same first bytes and then order as they are. */
static int compare_utf16(const char *a, const char *b)
{
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;

    while (*x && *x == *y) {
        x++;
        y++;
    }
    if (rank(*x) != rank(*y))
        return rank(*x) - rank(*y);
    return *x - *y;
}

static int by_name(const void *a, const void *b)
{
    const struct json *const *x = a, *const *y = b;

    return compare_utf16(json_key(*x), json_key(*y));
}

static enum status write_value(const struct json *j, unsigned depth, struct buf *out,
                               struct err *e);

static enum status write_object(const struct json *j, unsigned depth, struct buf *out,
                                struct err *e)
{
    size_t n = json_len(j), i = 0;
    const struct json *few[FEW], **v = few;
    cleanup_free const struct json **many = NULL;
    enum status s = STATUS_OK;

    if (n > FEW)
        v = many = xcalloc(n, sizeof(*v));
    for (const struct json *c = json_first(j); c; c = json_next(c))
        v[i++] = c;
    qsort(v, n, sizeof(*v), by_name);
    buf_addc(out, '{');
    for (i = 0; i < n && s == STATUS_OK; i++) {
        if (i > 0 && strcmp(json_key(v[i - 1]), json_key(v[i])) == 0)
            return err_set(e, STATUS_INVALID, "member \"%s\" is there twice", json_key(v[i]));
        if (i > 0)
            buf_addc(out, ',');
        jcs_add_str(out, str_from(json_key(v[i])));
        buf_addc(out, ':');
        s = write_value(v[i], depth + 1, out, e);
    }
    buf_addc(out, '}');
    return s;
}

static enum status write_array(const struct json *j, unsigned depth, struct buf *out, struct err *e)
{
    enum status s = STATUS_OK;

    buf_addc(out, '[');
    for (const struct json *c = json_first(j); c && s == STATUS_OK; c = json_next(c)) {
        if (c != json_first(j))
            buf_addc(out, ',');
        s = write_value(c, depth + 1, out, e);
    }
    buf_addc(out, ']');
    return s;
}

static enum status write_value(const struct json *j, unsigned depth, struct buf *out, struct err *e)
{
    enum json_type t = json_type(j);

    if (t != JSON_OBJECT && t != JSON_ARRAY) {
        json_print(j, 0, out);
        return STATUS_OK;
    }
    if (depth == JSON_MAX_DEPTH)
        return err_set(e, STATUS_TOO_LARGE, "nested deeper than %d", (int)JSON_MAX_DEPTH);
    return t == JSON_OBJECT ? write_object(j, depth, out, e) : write_array(j, depth, out, e);
}

enum status jcs_write(const struct json *j, struct buf *out, struct err *e)
{
    size_t start = out->len;
    enum status s = write_value(j, 0, out, e);

    if (s == STATUS_OK && buf_status(out) != STATUS_OK)
        s = err_set(e, buf_status(out), "canonical form of JSON: more than %zu bytes", out->max);
    if (s != STATUS_OK)
        buf_truncate(out, start);
    return s;
}

void jcs_add_str(struct buf *out, struct str s)
{
    json_print_str(s, out);
}

enum status jcs_sha256(const struct json *j, unsigned char out[32], struct err *e)
{
    struct buf text = BUF_INIT(BUF_MAX_MESSAGE);
    enum status s;

    buf_expect(&text, TEXT_USUAL);
    s = j ? jcs_write(j, &text, e) : STATUS_OK;

    if (s == STATUS_OK)
        (void)crypto_hash_sha256(out, (const unsigned char *)buf_str(&text).ptr, text.len);
    buf_deinit(&text);
    return s;
}
