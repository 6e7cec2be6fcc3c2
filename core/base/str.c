#include "core/base/str.h"

#include <math.h>

#include "core/base/num.h"

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

static bool eq_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (lower(a[i]) != lower(b[i]))
            return false;
    }
    return true;
}

bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool str_eqz(struct str a, const char *z)
{
    return str_eq(a, str_from(z));
}

bool str_eq_nocase(struct str a, struct str b)
{
    return a.len == b.len && eq_nocase(a.ptr, b.ptr, a.len);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq(str_n(s.ptr, prefix.len), prefix);
}

bool str_starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && eq_nocase(s.ptr, prefix.ptr, prefix.len);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq(str_skip(s, s.len - suffix.len), suffix);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
    while (s.len && is_space(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    while (s.len && is_space(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t str_chr(struct str s, char c)
{
    const char *at = s.len ? memchr(s.ptr, c, s.len) : NULL;

    return at ? at - s.ptr : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    const char *at;

    if (needle.len == 0)
        return 0;
    at = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return at ? at - s.ptr : -1;
}

struct str str_cut(struct str *rest, char sep)
{
    ptrdiff_t at = str_chr(*rest, sep);
    struct str before = *rest;

    if (at < 0) {
        *rest = STR_NONE;
        return before;
    }
    before.len = (size_t)at;
    *rest = str_skip(*rest, (size_t)at + 1);
    return before;
}

struct str str_head(struct str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return (struct str){s.ptr, max};
}

struct str str_skip(struct str s, size_t off)
{
    if (!s.ptr)
        return s;
    if (off > s.len)
        off = s.len;
    return str_n(s.ptr + off, s.len - off);
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned char)s.ptr[i] - (unsigned)'0';

        if (d > 9 || v > (UINT64_MAX - d) / 10)
            return false;
        v = v * 10 + d;
    }
    if (v > max)
        return false;
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t v;

    if (!str_to_u64(str_skip(s, negative), (uint64_t)INT64_MAX + negative, &v))
        return false;
    *out = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_to_double(struct str s, double *out)
{
    char text[128]; /* strtod wants a NUL */
    double v;

    if (s.len == 0 || s.len >= sizeof(text) || num_scan(s.ptr, s.len) != s.len)
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    v = strtod(text, NULL);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

/* Goes back to the last `*` only, so the time is at most the product of the lengths. */
bool str_glob_nocase(struct str pattern, struct str s)
{
    size_t p = 0, i = 0, star = SIZE_MAX, retry = 0;

    while (i < s.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            retry = i;
        } else if (p < pattern.len &&
                   (pattern.ptr[p] == '?' || lower(pattern.ptr[p]) == lower(s.ptr[i]))) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;

    return m < c ? m : c;
}

size_t str_distance(struct str a, struct str b)
{
    enum { MAX = 64 };
    size_t rows[3][MAX + 1]; /* of a's prefixes i-2, i-1 and i, modulo 3 */

    if (a.len > MAX || b.len > MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *now = rows[i % 3], *before = rows[(i + 2) % 3], *two = rows[(i + 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change = a.ptr[i - 1] != b.ptr[j - 1];

            now[j] = min3(before[j] + 1, now[j - 1] + 1, before[j - 1] + change);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                two[j - 2] + 1 < now[j])
                now[j] = two[j - 2] + 1;
        }
    }
    return rows[a.len % 3][b.len];
}

const char *str_suggest(struct str s, const char *const *names, size_t n)
{
    size_t near = s.len / 3 > 2 ? s.len / 3 : 2;
    const char *best = NULL;

    for (size_t i = 0; i < n; i++) {
        struct str name = str_from(names[i]);
        size_t shorter = name.len < s.len ? name.len : s.len;
        size_t d = str_distance(s, name);

        if (d <= near && d < shorter && (!best || d < near)) {
            best = names[i];
            near = d;
        }
    }
    return best;
}

/* RFC 3629 §4. What the second byte may be depends on the first: no overlong forms (E0, F0), no
 * surrogates (ED), nothing past U+10FFFF (F4). */
/* Eight at a time: the high bit of a byte is set by a subtraction when the byte is below; wrong
 * only above a byte that is, and there the bytes are looked at one by one. */
size_t str_json_plain(const char *p, size_t n)
{
    const uint64_t ones = 0x0101010101010101u, high = ones * 0x80;
    size_t i = 0;

    for (; n - i >= 8; i += 8) {
        uint64_t x;

        memcpy(&x, p + i, sizeof(x));
        if ((x | (x - ones * 0x20) | ((x ^ ones * '"') - ones) | ((x ^ ones * '\\') - ones)) & high)
            break;
    }
    while (i < n) {
        unsigned char c = (unsigned char)p[i];

        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        i++;
    }
    return i;
}

size_t str_utf8_len(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    unsigned char low = 0x80, high = 0xbf;
    size_t len;

    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    len = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (n < len)
        return 0;
    if (u[0] == 0xe0)
        low = 0xa0;
    else if (u[0] == 0xed)
        high = 0x9f;
    else if (u[0] == 0xf0)
        low = 0x90;
    else if (u[0] == 0xf4)
        high = 0x8f;
    if (u[1] < low || u[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

/* Bytes below 0x80 that stand together, eight at a time. */
static size_t ascii_run(const char *p, size_t n)
{
    size_t i = 0;

    for (; n - i >= sizeof(uint64_t); i += sizeof(uint64_t)) {
        uint64_t x;

        memcpy(&x, p + i, sizeof(x));
        if (x & 0x8080808080808080u)
            break;
    }
    return i;
}

bool str_is_utf8(struct str s)
{
    for (size_t i = 0; i < s.len;) {
        size_t len = ascii_run(s.ptr + i, s.len - i);

        if (len == 0)
            len = str_utf8_len(s.ptr + i, s.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}
