/* The grammar of RFC 8259, checked before cJSON sees the text: cJSON takes numbers such as "1.e",
 * trailing characters, control characters and bytes that are no UTF-8, refuses lone surrogates that
 * pages do put into messages, and tells no place. What passes here cJSON parses, short of memory.
 *
 * The state is what is wanted next, and a bit a level for what is open there; messages of many
 * megabytes pass through, so strings are walked eight bytes at a time. */
#include "core/base/json_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/num.h"

enum want {
    WANT_VALUE,
    WANT_VALUE_OR_CLOSE, /* after [ */
    WANT_NAME,
    WANT_NAME_OR_CLOSE, /* after { */
    WANT_COMMA_OR_CLOSE,
    WANT_END,
    WANT_COUNT
};

/* cJSON copies a number into a buffer of 64 bytes. */
enum { NUMBER_MAX = 63 };

struct check {
    const char *start, *p, *end;
    enum want want;
    unsigned depth;
    uint64_t objects; /* bit i: what is open at depth i + 1 is an object */
    bool strict;
    size_t n_names, stop_at; /* names seen; 0, or the name to stop before */
    char *mended;
    enum status status;
    struct err *e;
};
_Static_assert(JSON_MAX_DEPTH <= 64, "a bit a level");

/* --- errors --- */

/* Characters, not bytes, are counted: as an editor shows the column. */
static void locate(const struct check *c, const char *at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (const char *p = c->start; p < at; p++) {
        if (*p == '\n') {
            (*line)++;
            *column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) {
            (*column)++;
        }
    }
}

static bool fail(struct check *c, const char *at, enum status s, const char *fmt, ...)
    printf_like(4, 5);
static bool fail(struct check *c, const char *at, enum status s, const char *fmt, ...)
{
    char text[256];
    size_t line, column;
    va_list ap;

    c->status = s;
    if (!c->e)
        return false;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    locate(c, at, &line, &column);
    err_set(c->e, s, "line %zu, column %zu: %s", line, column, text);
    return false;
}

static bool is_word(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
           ch == '_' || ch == '.' || ch == '+' || ch == '-';
}

/* What stands at p, as a person would name it. */
static const char *describe(const struct check *c, const char *p, char *out, size_t size)
{
    enum { WORD_MAX = 24 };
    size_t left = (size_t)(c->end - p), n = 0;

    if (left == 0)
        return c->start == c->end ? "nothing" : "the end of the text";
    if (left > 1 && p[0] == '/' && (p[1] == '/' || p[1] == '*'))
        return "a comment (JSON has none)";
    if (*p == '\'')
        return "a single quote (JSON has double quotes)";
    while (n < left && n < WORD_MAX && is_word(p[n]))
        n++;
    if (n == 0)
        n = str_utf8_len(p, left);
    if (n == 0 || (n == 1 && (*p < ' ' || *p == 0x7f)))
        (void)snprintf(out, size, "byte 0x%02x", (unsigned char)*p);
    else
        (void)snprintf(out, size, "'%.*s'", (int)n, p);
    return out;
}

static bool fail_found(struct check *c, const char *expected)
{
    char found[64];

    return fail(c, c->p, STATUS_INVALID, "found %s, expected %s",
                describe(c, c->p, found, sizeof(found)), expected);
}

/* --- tokens: each is called at its first byte and leaves p behind its last --- */

/* The byte `n` after p, or a NUL, which no JSON has, behind the end. */
static char byte_at(const struct check *c, ptrdiff_t n)
{
    if (c->end - c->p <= n)
        return '\0';
    return c->p[n];
}

#define EACH_BYTE(x) (UINT64_C(0x0101010101010101) * (x))

static uint64_t has_zero(uint64_t w)
{
    return (w - EACH_BYTE(1)) & ~w & EACH_BYTE(0x80);
}

/* Eight bytes of a string that stand for themselves: printable ASCII, no quote and no backslash. */
static bool is_plain8(const char *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof(w));
    return !(((w - EACH_BYTE(0x20)) | w) & EACH_BYTE(0x80)) && !has_zero(w ^ EACH_BYTE('"')) &&
           !has_zero(w ^ EACH_BYTE('\\'));
}

static int hex4(const char *p, const char *end)
{
    unsigned char bytes[2];

    if (end - p < 4 || !hex_decode(str_n(p, 4), bytes, 2))
        return -1;
    return bytes[0] << 8 | bytes[1];
}

/* The escape at p cannot be held: cJSON's strings end at a NUL, and half a surrogate pair is no
 * character. A message gets U+FFFD there, as HTML does, since the page chose the text and must not
 * be able to break the connection; a file is refused. */
static bool mend(struct check *c, const char *why)
{
    size_t at = (size_t)(c->p - c->start), len = (size_t)(c->end - c->start);

    if (c->strict)
        return fail(c, c->p, STATUS_INVALID, "\\u%.4s %s", c->p + 2, why);
    if (!c->mended) {
        c->mended = malloc(len);
        if (!c->mended)
            return fail(c, c->p, STATUS_NO_MEMORY, "no memory for a copy of %zu bytes", len);
        memcpy(c->mended, c->start, len);
    }
    memcpy(c->mended + at, "\\ufffd", 6);
    c->p += 6;
    return true;
}

static bool unicode_escape(struct check *c)
{
    int unit = hex4(c->p + 2, c->end), low;

    if (unit < 0)
        return fail(c, c->p, STATUS_INVALID, "\\u wants four hexadecimal digits");
    if (unit == 0)
        return mend(c, "is a NUL, which no string here can hold");
    if ((unit & 0xf800) != 0xd800) {
        c->p += 6;
        return true;
    }
    if (unit < 0xdc00 && c->end - c->p >= 12 && c->p[6] == '\\' && c->p[7] == 'u') {
        low = hex4(c->p + 8, c->end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            c->p += 12;
            return true;
        }
    }
    return mend(c, "is half of a surrogate pair");
}

static bool escape(struct check *c)
{
    char ch = byte_at(c, 1);

    if (ch == 'u')
        return unicode_escape(c);
    if (!ch || !strchr("\"\\/bfnrt", ch))
        return fail(c, c->p, STATUS_INVALID,
                    "a backslash in a string is followed by one of \" \\ / b f n r t u");
    c->p += 2;
    return true;
}

/* One character of a string that is not plain ASCII; the closing quote is the caller's. */
static bool string_char(struct check *c)
{
    unsigned char ch = (unsigned char)*c->p;
    size_t n;

    if (ch == '\\')
        return escape(c);
    if (ch < 0x20)
        return fail(c, c->p, STATUS_INVALID,
                    "a control character in a string is written as \\u%04x", ch);
    n = str_utf8_len(c->p, (size_t)(c->end - c->p));
    if (n == 0)
        return fail(c, c->p, STATUS_INVALID, "byte 0x%02x is no UTF-8", ch);
    c->p += n;
    return true;
}

static bool string(struct check *c)
{
    const char *open = c->p++;

    for (;;) {
        while (c->end - c->p >= 8 && is_plain8(c->p))
            c->p += 8;
        if (c->p == c->end)
            return fail(c, open, STATUS_INVALID, "this string has no closing quote");
        if (*c->p == '"') {
            c->p++;
            return true;
        }
        if (!string_char(c))
            return false;
    }
}

static bool number(struct check *c)
{
    size_t left = (size_t)(c->end - c->p), n = num_scan(c->p, left);
    struct str text = str_n(c->p, n);
    double v;

    if (n == 0 || (n < left && is_word(c->p[n])))
        return fail_found(c, "a number such as 12, -0.5 or 1e9");
    if (n > NUMBER_MAX)
        return fail(c, c->p, STATUS_INVALID, "this number has more than %d characters",
                    (int)NUMBER_MAX);
    if ((memchr(text.ptr, 'e', n) || memchr(text.ptr, 'E', n)) && !str_to_double(text, &v))
        return fail(c, c->p, STATUS_INVALID, "number %.*s is out of range", STR_ARG(text));
    c->p += n;
    return true;
}

static bool word(struct check *c)
{
    static const struct str words[] = {{"true", 4}, {"false", 5}, {"null", 4}};
    struct str rest = str_n(c->p, (size_t)(c->end - c->p));

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = words[i].len;

        if (str_starts(rest, words[i]) && (n == rest.len || !is_word(rest.ptr[n]))) {
            c->p += n;
            return true;
        }
    }
    return fail_found(c, "a value");
}

/* --- structure --- */

static void skip_space(struct check *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\n' || *c->p == '\r' || *c->p == '\t'))
        c->p++;
}

static bool in_object(const struct check *c)
{
    return c->depth > 0 && (c->objects >> (c->depth - 1) & 1);
}

static bool value_done(struct check *c)
{
    c->want = c->depth ? WANT_COMMA_OR_CLOSE : WANT_END;
    return true;
}

static bool open_level(struct check *c, bool is_object)
{
    if (c->depth == JSON_MAX_DEPTH)
        return fail(c, c->p, STATUS_TOO_LARGE, "nested deeper than %d", (int)JSON_MAX_DEPTH);
    c->objects &= ~(UINT64_C(1) << c->depth);
    c->objects |= (uint64_t)is_object << c->depth;
    c->depth++;
    c->p++;
    c->want = is_object ? WANT_NAME_OR_CLOSE : WANT_VALUE_OR_CLOSE;
    return true;
}

static bool close_level(struct check *c)
{
    c->p++;
    c->depth--;
    return value_done(c);
}

static bool step_value(struct check *c)
{
    char ch = byte_at(c, 0);

    if (ch == '{' || ch == '[')
        return open_level(c, ch == '{');
    if (ch == '"')
        return string(c) && value_done(c);
    if (ch == '-' || (ch >= '0' && ch <= '9'))
        return number(c) && value_done(c);
    return word(c) && value_done(c);
}

static bool step_value_or_close(struct check *c)
{
    return c->p < c->end && *c->p == ']' ? close_level(c) : step_value(c);
}

static bool step_name(struct check *c)
{
    if (c->p == c->end || *c->p != '"')
        return fail_found(c, "a member's name in double quotes");
    if (++c->n_names == c->stop_at)
        return false;
    if (!string(c))
        return false;
    skip_space(c);
    if (c->p == c->end || *c->p != ':')
        return fail_found(c, "':' after the member's name");
    c->p++;
    c->want = WANT_VALUE;
    return true;
}

static bool step_name_or_close(struct check *c)
{
    return c->p < c->end && *c->p == '}' ? close_level(c) : step_name(c);
}

static bool step_comma_or_close(struct check *c)
{
    bool object = in_object(c);
    char ch = byte_at(c, 0);

    if (ch == (object ? '}' : ']'))
        return close_level(c);
    if (ch != ',')
        return fail_found(c, object ? "',' or '}'" : "',' or ']'");
    c->p++;
    c->want = object ? WANT_NAME : WANT_VALUE;
    return true;
}

static bool step_end(struct check *c)
{
    return fail_found(c, "nothing after the value");
}

static bool (*const steps[])(struct check *c) = {
    [WANT_VALUE] = step_value,
    [WANT_VALUE_OR_CLOSE] = step_value_or_close,
    [WANT_NAME] = step_name,
    [WANT_NAME_OR_CLOSE] = step_name_or_close,
    [WANT_COMMA_OR_CLOSE] = step_comma_or_close,
    [WANT_END] = step_end,
};
_Static_assert(ARRAY_LEN(steps) == WANT_COUNT, "a step for each state");

static bool run(struct check *c)
{
    for (;;) {
        skip_space(c);
        if (c->want == WANT_END && c->p == c->end)
            return true;
        if (!steps[c->want](c))
            return false;
    }
}

static struct check begin(struct str text, bool strict, struct err *e)
{
    return (struct check){.start = text.ptr,
                          .p = text.ptr,
                          .end = text.ptr + text.len,
                          .strict = strict,
                          .status = STATUS_OK,
                          .e = e};
}

enum status json_check(struct str text, bool strict, char **mended, struct err *e)
{
    struct check c = begin(text, strict, e);

    *mended = NULL;
    if (!run(&c)) {
        free(c.mended);
        return c.status;
    }
    *mended = c.mended;
    return STATUS_OK;
}

enum status json_check_twice(struct str text, size_t n, struct err *e)
{
    struct check c = begin(text, true, e);
    const char *name;

    c.stop_at = n;
    BUG_ON(run(&c) || c.status != STATUS_OK);
    name = c.p;
    BUG_ON(!string(&c));
    (void)fail(&c, name, STATUS_INVALID, "member %.*s is there twice",
               (int)(c.p - name < 64 ? c.p - name : 64), name);
    return STATUS_INVALID;
}
