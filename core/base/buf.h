/* Growing bytes with a cap given at init. Failure is sticky: once a write would pass the cap or
 * memory runs out, the buffer keeps what it had, later writes do nothing, and buf_status tells. So
 * text is built without a check a line, and checked once. */
#ifndef CORE_BASE_BUF_H
#define CORE_BASE_BUF_H

#include <stdarg.h>

#include "core/base/err.h"
#include "core/base/str.h"

struct buf {
    char *ptr;          /* NUL-terminated whenever not NULL; read only */
    size_t len;         /* bytes in use without the NUL; read only */
    size_t cap;         /* private */
    size_t max;         /* private */
    enum status failed; /* private */
};

/** The most usual caps, in one place. */
enum {
    BUF_MAX_LINE = 64 * 1024,
    BUF_MAX_MESSAGE = 100 * 1024 * 1024, /* Chromium's own limit of a DevTools pipe message */
    BUF_MAX_FILE = 256 * 1024 * 1024,
};

/** Holds no memory until the first write. `max` is the most bytes it will hold, > 0. */
void buf_init(struct buf *b, size_t max);
#define BUF_INIT(max_bytes)                                                                        \
    {                                                                                              \
        .max = (max_bytes)                                                                         \
    }
void buf_deinit(struct buf *b);
/** Empties it and forgets a failure; keeps the memory. */
void buf_reset(struct buf *b);
/** STATUS_OK, STATUS_TOO_LARGE or STATUS_NO_MEMORY. */
must_check enum status buf_status(const struct buf *b);

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *z);
void buf_addstr(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
/** A literal, whose length the compiler knows. */
#define BUF_ADD_LIT(b, lit) buf_add((b), "" lit, sizeof(lit) - 1)
/** Decimal digits. */
void buf_add_u64(struct buf *b, uint64_t v);
void buf_addf(struct buf *b, const char *fmt, ...) printf_like(2, 3);
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) printf_like(2, 0);
/** Room for at least `n` more bytes at the end, to be written by the caller and taken into use with
 * buf_commit; NULL on failure. */
must_check char *buf_reserve(struct buf *b, size_t n);
/** Room at once for `n` bytes that are likely to come, instead of growing towards them. */
void buf_expect(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
/** Drops the first `n` bytes (n <= len), moving the rest down. */
void buf_consume(struct buf *b, size_t n);
void buf_truncate(struct buf *b, size_t len);
/** The memory (free() it), *len its length when not NULL; the buffer is empty afterwards. NULL when
 * nothing was written. */
must_check char *buf_take(struct buf *b, size_t *len);
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->ptr ? b->ptr : "", b->len};
}

/* Encoders into a buffer. */
void buf_add_hex(struct buf *b, const void *p, size_t n);    /* lower case */
void buf_add_base64(struct buf *b, const void *p, size_t n); /* RFC 4648 §4, padded */
/** Decodes base64 (padded or not) from `s` onto the end. STATUS_INVALID when it is none; the buffer
 * is then unchanged. */
must_check enum status buf_add_unbase64(struct buf *b, struct str s);
/** Decodes exactly 2*n hexadecimal digits into out[0..n). */
must_check bool hex_decode(struct str s, void *out, size_t n);
/** Percent-encodes all but unreserved characters (RFC 3986 §2.3). */
void buf_add_percent(struct buf *b, struct str s);
/** Text for HTML content and quoted attributes. */
void buf_add_html(struct buf *b, struct str s);

#endif
