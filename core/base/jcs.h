/* RFC 8785 (JSON Canonicalization Scheme), restricted to what receipts use: strings, booleans,
 * null, integers below 2^53, arrays, objects. Equal values give equal bytes, so these bytes may be
 * hashed and signed. */
#ifndef CORE_BASE_JCS_H
#define CORE_BASE_JCS_H

#include "core/base/json.h"

/** Appends the canonical form: members sorted by UTF-16 code units (RFC 8785 §3.2.3), no white
 * space, ES6 string escapes (§3.2.2.2). Fractions and integers beyond 2^53-1 are written as
 * ECMAScript's Number::toString does (§3.2.2.3). STATUS_OK; TOO_LARGE (the buffer's cap, or nested
 * deeper than JSON_MAX_DEPTH), NO_MEMORY; INVALID when a member is there twice. On failure nothing
 * was appended. */
must_check enum status jcs_write(const struct json *j, struct buf *out, struct err *e);
/** A quoted string in canonical form, for writers that put members in order by themselves. Invalid
 * UTF-8 becomes U+FFFD. */
void jcs_add_str(struct buf *out, struct str s);
/** 32 bytes: SHA-256 of the canonical form; of no bytes when `j` is NULL. */
must_check enum status jcs_sha256(const struct json *j, unsigned char out[32], struct err *e);

#endif
