/* What the ops have in common that are one call of the page: it can be cancelled, and what it gives
 * may go into a file. Loop thread only. */
#ifndef BROWSER_ACTING_H
#define BROWSER_ACTING_H

#include "browser/page/session.h"

struct acting {
    struct page *page;
    uint64_t id; /* of the call of the page under way: set by the op */
};

/** At the begin of an op's run: the op acts on the session's page, and page_cancel(id) cancels it.
 * In the call's arena. End it with session_finish or acting_save. */
struct acting *acting_begin(struct op_call *call);

/** Ends the op: with `s` OK the bytes become an artifact "<name>.<ext>", whose path and size are
 * the result; without an artifacts directory the bytes themselves are, in base64. `bytes` are
 * copied. */
void acting_save(struct op_call *call, enum status s, struct str bytes, const struct err *e,
                 const char *name, const char *ext);
/** As acting_save of what is OK: takes the buffer's bytes, and the members of `more` (may be NULL)
 * into the result. */
void acting_save_all(struct op_call *call, struct buf *bytes, const char *name, const char *ext,
                     struct json *more);

#endif
