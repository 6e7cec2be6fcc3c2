#include "core/base/buf.h"

#include <stdio.h>

#include "core/base/num.h"

enum { BUF_CAP_MIN = 64 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf)BUF_INIT(max);
}

void buf_deinit(struct buf *b)
{
    free(b->ptr);
    *b = (struct buf)BUF_INIT(b->max);
}

void buf_reset(struct buf *b)
{
    b->failed = STATUS_OK;
    buf_truncate(b, 0);
}

enum status buf_status(const struct buf *b)
{
    return b->failed;
}

/* grow, when there is not enough. */
static bool grow_slow(struct buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : BUF_CAP_MIN;
    char *p;

    if (b->failed != STATUS_OK)
        return false;
    if (n > b->max - b->len) {
        b->failed = STATUS_TOO_LARGE;
        return false;
    }
    if (b->len + n < b->cap)
        return true;
    while (cap <= b->len + n)
        cap = cap > SIZE_MAX / 2 ? b->len + n + 1 : cap * 2;
    p = realloc(b->ptr, cap);
    if (!p) {
        b->failed = STATUS_NO_MEMORY;
        return false;
    }
    b->ptr = p;
    b->cap = cap;
    b->ptr[b->len] = '\0';
    return true;
}

/* Makes room for n bytes and the NUL; false, and the buffer marked, when that cannot be. */
static inline bool grow(struct buf *b, size_t n)
{
    if (b->failed == STATUS_OK && n < b->cap - b->len && n <= b->max - b->len)
        return true;
    return grow_slow(b, n);
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (!grow(b, n))
        return;
    if (n)
        memcpy(b->ptr + b->len, p, n);
    b->len += n;
    b->ptr[b->len] = '\0';
}

void buf_adds(struct buf *b, const char *z)
{
    buf_add(b, z, strlen(z));
}

void buf_addstr(struct buf *b, struct str s)
{
    buf_add(b, s.ptr, s.len);
}

void buf_addc(struct buf *b, char c)
{
    if (!grow(b, 1))
        return;
    b->ptr[b->len++] = c;
    b->ptr[b->len] = '\0';
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[NUM_U64_MAX];

    buf_add(b, digits, num_print_u64(v, digits));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(b, fmt, ap);
    va_end(ap);
}

/* Formats into the room there is; only what does not fit is formatted a second time. */
void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    size_t room = b->ptr ? b->cap - b->len : 0;
    va_list again;
    int n;

    if (b->failed != STATUS_OK)
        return;
    va_copy(again, ap);
    n = vsnprintf(room ? b->ptr + b->len : NULL, room, fmt, ap);
    BUG_ON(n < 0);
    if ((size_t)n < room && (size_t)n <= b->max - b->len) {
        b->len += (size_t)n;
    } else {
        if (room)
            b->ptr[b->len] = '\0'; /* what was cut is not in use */
        if (grow(b, (size_t)n)) {
            (void)vsnprintf(b->ptr + b->len, (size_t)n + 1, fmt, again);
            b->len += (size_t)n;
        }
    }
    va_end(again);
}

char *buf_reserve(struct buf *b, size_t n)
{
    return grow(b, n) ? b->ptr + b->len : NULL;
}

void buf_expect(struct buf *b, size_t n)
{
    if (n <= b->max - b->len)
        (void)grow(b, n);
}

void buf_commit(struct buf *b, size_t n)
{
    BUG_ON(n > b->cap - b->len - 1);
    b->len += n;
    b->ptr[b->len] = '\0';
}

void buf_consume(struct buf *b, size_t n)
{
    BUG_ON(n > b->len);
    if (n == 0)
        return;
    memmove(b->ptr, b->ptr + n, b->len - n + 1);
    b->len -= n;
}

void buf_truncate(struct buf *b, size_t len)
{
    BUG_ON(len > b->len);
    b->len = len;
    if (b->ptr)
        b->ptr[len] = '\0';
}

char *buf_take(struct buf *b, size_t *len)
{
    char *p = b->ptr;

    if (len)
        *len = b->len;
    *b = (struct buf)BUF_INIT(b->max);
    return p;
}

static const char hex_digits[] = "0123456789abcdef";

void buf_add_hex(struct buf *b, const void *p, size_t n)
{
    const unsigned char *in = p;
    char *out;

    if (n > SIZE_MAX / 2) {
        b->failed = STATUS_TOO_LARGE;
        return;
    }
    out = buf_reserve(b, 2 * n);
    if (!out)
        return;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex_digits[in[i] >> 4];
        out[2 * i + 1] = hex_digits[in[i] & 15];
    }
    buf_commit(b, 2 * n);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(struct str s, void *out, size_t n)
{
    unsigned char *o = out;

    if (n > SIZE_MAX / 2 || s.len != 2 * n)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (hex_value(s.ptr[i]) < 0)
            return false;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned high = (unsigned)hex_value(s.ptr[2 * i]);
        unsigned low = (unsigned)hex_value(s.ptr[2 * i + 1]);

        o[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void buf_add_base64(struct buf *b, const void *p, size_t n)
{
    const unsigned char *in = p;
    char *out, *o;

    if (n > SIZE_MAX / 2) {
        b->failed = STATUS_TOO_LARGE;
        return;
    }
    o = out = buf_reserve(b, (n + 2) / 3 * 4);
    if (!out)
        return;
    for (size_t i = 0; i < n; i += 3) {
        unsigned second = i + 1 < n ? in[i + 1] : 0, third = i + 2 < n ? in[i + 2] : 0;
        unsigned v = (unsigned)in[i] << 16 | second << 8 | third;

        *o++ = base64_digits[v >> 18];
        *o++ = base64_digits[v >> 12 & 63];
        *o++ = base64_digits[v >> 6 & 63];
        *o++ = base64_digits[v & 63];
    }
    for (size_t missing = (3 - n % 3) % 3; missing > 0; missing--)
        o[-(ptrdiff_t)missing] = '=';
    buf_commit(b, (size_t)(o - out));
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Padding, when there is any, must fill the last group; bits that no byte uses must be zero, so
 * that bytes have one spelling only. */
enum status buf_add_unbase64(struct buf *b, struct str s)
{
    size_t start = b->len;
    unsigned v = 0, bits = 0;

    if (s.len % 4 == 0 && s.len > 0 && s.ptr[s.len - 1] == '=')
        s.len -= s.ptr[s.len - 2] == '=' ? 2 : 1;
    if (s.len % 4 == 1)
        return STATUS_INVALID;
    if (!buf_reserve(b, s.len / 4 * 3 + 2))
        return b->failed;
    for (size_t i = 0; i < s.len; i++) {
        int d = base64_value(s.ptr[i]);

        if (d < 0)
            goto invalid;
        v = (v << 6 | (unsigned)d) & 0xfffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            b->ptr[b->len++] = (char)(v >> bits & 0xff);
        }
    }
    if (v & ((1u << bits) - 1))
        goto invalid;
    b->ptr[b->len] = '\0';
    return STATUS_OK;
invalid:
    buf_truncate(b, start);
    return STATUS_INVALID;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void buf_add_percent(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (is_unreserved(s.ptr[i]))
            buf_addc(b, s.ptr[i]);
        else
            buf_addf(b, "%%%02X", c);
    }
}

void buf_add_html(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '&':
            buf_adds(b, "&amp;");
            break;
        case '<':
            buf_adds(b, "&lt;");
            break;
        case '>':
            buf_adds(b, "&gt;");
            break;
        case '"':
            buf_adds(b, "&quot;");
            break;
        case '\'':
            buf_adds(b, "&#39;");
            break;
        default:
            buf_addc(b, s.ptr[i]);
        }
    }
}
