/* The script of an identity (browser/assets/identity.js) with its values. Pure. */
#ifndef BROWSER_IDENTITY_PATCH_H
#define BROWSER_IDENTITY_PATCH_H

#include "core/base/buf.h"
#include "fingerprints/identity.h"

/** Appends "(function...)({values}," to `head` and ")" with the script's name to `tail`; between
 * them goes the host of the top-level document as a string, "" where the realm knows it itself. Not
 * for an honest identity. */
void patch_write(const struct identity *id, bool own_process, struct buf *head, struct buf *tail);

/** The name that scripts of this identity have for the debugger, PATCH_NAME_LEN characters and a
 * NUL. */
enum { PATCH_NAME_LEN = 16 };
void patch_name(const struct identity *id, char out[PATCH_NAME_LEN + 1]);

#endif
