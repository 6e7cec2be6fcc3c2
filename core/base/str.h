/* Borrowed text: pointer and length, not NUL-terminated. Never owns; the header of each user says
 * how long it lives. */
#ifndef CORE_BASE_STR_H
#define CORE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/attr.h"

struct str {
    const char *ptr;
    size_t len;
};

#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct str str_from(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}
static inline struct str str_n(const char *p, size_t n)
{
    return (struct str){p, n};
}

bool str_eq(struct str a, struct str b);
bool str_eqz(struct str a, const char *z);
/** ASCII letters compare without case; other bytes as they are. */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_starts_nocase(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/** Without leading and trailing ASCII white space (space, \t, \r, \n, \v, \f). */
struct str str_trim(struct str s);
/** Offset of the first `c` / first `needle`, or -1. */
ptrdiff_t str_chr(struct str s, char c);
ptrdiff_t str_find(struct str s, struct str needle);
/** Cuts *rest at the first `sep`: returns what is before, *rest becomes what is after (ptr NULL
 * when there was no `sep` left). Loop: while (rest.ptr) { part = str_cut(&rest, ','); ... } */
struct str str_cut(struct str *rest, char sep);
/** The first `max` bytes at most, without half a UTF-8 character at their end. */
struct str str_head(struct str s, size_t max);
/** From `off` to the end; empty past the end. */
struct str str_skip(struct str s, size_t off);
/** Whole text is a decimal integer in range (no sign for u64, no spaces, no leading +). */
must_check bool str_to_u64(struct str s, uint64_t max, uint64_t *out);
must_check bool str_to_i64(struct str s, int64_t *out);
/** Whole text is a JSON-style finite number of at most 127 characters. */
must_check bool str_to_double(struct str s, double *out);
/** A glob with `*` (any run, also empty) and `?`; without case. */
bool str_glob_nocase(struct str pattern, struct str s);
/** Edit distance with transposition (Damerau, restricted) of up to 64 bytes each; larger texts give
 * SIZE_MAX. */
size_t str_distance(struct str a, struct str b);
/** The entry of names[0..n) nearest to `s` when near enough to suggest (distance <= 2, or <= len/3,
 * and something of either is left), or NULL. Of equals the first. */
const char *str_suggest(struct str s, const char *const *names, size_t n);
/** Bytes at the beginning of p[0..n) that JSON has as they are and that are ASCII: no control
 * character, quote or backslash. */
size_t str_json_plain(const char *p, size_t n);
/** Bytes of the UTF-8 character that p[0..n) begins with: 1 to 4, or 0 when it begins with none (or
 * n is 0). */
size_t str_utf8_len(const char *p, size_t n);
/** True when the bytes are valid UTF-8 (RFC 3629: no surrogates, no overlong forms). */
bool str_is_utf8(struct str s);

#endif
