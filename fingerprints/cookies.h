/* Cookies in and out of the files that other programs write. What the store keeps is a storage
 * state as Playwright writes it:
 *
 *   {"cookies": [{"name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite"}],
 *    "origins": [{"origin", "localStorage": [{"name", "value"}]}]}
 *
 * `expires` is in seconds since 1970, -1 for a cookie of the session. Pure. */
#ifndef FINGERPRINTS_COOKIES_H
#define FINGERPRINTS_COOKIES_H

#include "core/base/buf.h"
#include "core/base/json.h"

enum { COOKIES_MAX = 100000 };

/** Is it a cookies.txt (Netscape's, as curl, wget and yt-dlp write it)? */
bool cookies_is_netscape(struct str text);
/** Lines of seven fields between tabs: domain, whether subdomains too, path, whether secure only,
 * expires (0: of the session), name, value; "#HttpOnly_" before the domain; other lines with "#"
 * and empty ones are left out. NULL, with every fault as a line "<name>:<line>: ..." in `faults`.
 */
must_check struct json *cookies_from_netscape(struct str text, const char *name,
                                              struct buf *faults);
void cookies_to_netscape(const struct json *state, struct buf *out);

/** Checks a storage state of another program; every fault is a line "<name>: /path: ...". */
must_check bool state_check(const struct json *state, const char *name, struct buf *faults);

#endif
