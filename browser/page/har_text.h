/* Pieces of a HAR as JSON text, from what DevTools tells of a request. What pages and servers chose
 * stands in there: nothing is taken for granted, and all of it is quoted. */
#ifndef BROWSER_PAGE_HAR_TEXT_H
#define BROWSER_PAGE_HAR_TEXT_H

#include "core/base/json.h"

/** What stands for the value of a header or cookie that is left out. */
#define HAR_LEFT_OUT "(left out)"

/** An array of {"name", "value"} of DevTools' headers (an object; lines of one name are separated
 * by
 * "\n"). Without `secrets` the values of Authorization, Cookie and Set-Cookie are left out;
 * Proxy-Authorization and its like are never there at all. Returns their bytes as HTTP/1.1 writes
 * them. */
size_t har_add_headers(struct buf *out, const struct json *headers, bool secrets);
/** The value of a header, case ignored; NULL: none. */
const char *har_header(const struct json *headers, const char *name);
/** Cookies that were sent: of "associatedCookies" those that nothing blocked. */
void har_add_sent_cookies(struct buf *out, const struct json *associated, bool secrets);
/** Cookies that a response sets (RFC 6265 §5.2), of its Set-Cookie lines. */
void har_add_set_cookies(struct buf *out, const struct json *headers, bool secrets);
/** What stands after "?", decoded. */
void har_add_query(struct buf *out, struct str url);
/** HAR's postData of DevTools' request, or nothing when it posts nothing. `mime` is its
 * Content-Type. */
void har_add_post(struct buf *out, const struct json *request, const char *mime);
/** The URL without a user and password. */
void har_add_url(struct buf *out, struct str url);

#endif
