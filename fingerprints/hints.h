/* What an identity sends in the headers that tell who asks: User-Agent, Accept-Language and the
 * client hints of low and high entropy (Sec-CH-UA..., UA Client Hints §3). Pure. */
#ifndef FINGERPRINTS_HINTS_H
#define FINGERPRINTS_HINTS_H

#include "core/base/buf.h"
#include "fingerprints/identity.h"

/** Appends the value of header `name` (in any case) as Chromium writes it. False: the header is not
 * one of those, or the identity sends none. Not for honest ones. */
must_check bool identity_header(const struct identity *id, const char *name, struct buf *out);

enum { IDENTITY_HEADER_PLACES = 29 };
/** Where the header stands in a document's request as Chromium makes it (156): 0 ..
 * IDENTITY_HEADER_PLACES
 * - 1, the last for all that follow or are not known. */
unsigned identity_header_place(const char *name);

#endif
