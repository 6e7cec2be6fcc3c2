/* Base64 with one spelling only (RFC 4648 §4: standard alphabet, padded, no bits left over), for
 * what is signed. */
#ifndef CORE_RECORD_BASE64_H
#define CORE_RECORD_BASE64_H

#include <stdbool.h>

#include "core/base/str.h"

/** Decodes exactly `n` bytes into `out`; false when `s` is not their one spelling. `ignore` (may be
 * NULL): ASCII characters to skip. */
must_check bool base64_exact(struct str s, const char *ignore, void *out, size_t n);

#endif
