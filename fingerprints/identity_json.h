/* An identity as JSON: what `fleet identity check` reads and what a store keeps. All fields of the
 * struct under their names; "os" is one of linux, windows, macos, android; noise_seed is 16
 * hexadecimal digits, because JSON's numbers have 53 bits. */
#ifndef FINGERPRINTS_IDENTITY_JSON_H
#define FINGERPRINTS_IDENTITY_JSON_H

#include "core/base/json.h"
#include "fingerprints/identity.h"

/** The caller owns it. */
must_check struct json *identity_to_json(const struct identity *id);

/** Checks types and ranges, not coherence (coherence.h); in `a`. Absent fields other than
 * user_agent are empty or 0; unknown ones are errors. INVALID with "<name>: /path: ...". */
must_check enum status identity_from_json(struct arena *a, const struct json *j, const char *name,
                                          const struct identity **out, struct err *e);

#endif
