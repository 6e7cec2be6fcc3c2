/* Block pages and CAPTCHAs: a table of what they look like, which a campaign can add to ("captcha"
 * in its file), and what is done when one is met. Fleet never solves one. Pure. */
#ifndef CORE_OP_BLOCK_H
#define CORE_OP_BLOCK_H

#include "core/base/buf.h"
#include "core/base/json.h"
#include "core/base/str.h"

enum { BLOCK_RULES_MAX = 200 };

/** What can be seen of a page. Lists are lines. */
struct block_page {
    struct str url;     /* of the document */
    struct str title;   /* of the document */
    struct str text;    /* the first 4 KiB of the visible text, may be empty */
    struct str frames;  /* URLs of the frames that are shown */
    struct str inner;   /* URLs of all frames, also those in closed shadow roots */
    struct str scripts; /* URLs of its scripts */
    struct str matched; /* those of block_selectors of which an element is shown */
    int http_status;    /* 0: not known */
};

/** A rule of a campaign: it holds when all that is given does. Texts are parts, without case. */
struct block_rule {
    const char *name, *url, *title, *text, *frame, *script, *selector;
    uint32_t status; /* 0: any */
};

enum block_reaction {
    BLOCK_COUNT,   /* a failure of the target, as its breaker counts them */
    BLOCK_STOP,    /* its breaker opens at once */
    BLOCK_SLOW,    /* its rate is halved for everybody, as after a 429 */
    BLOCK_HANDOFF, /* the member waits for a person, as long as handoff_ms */
};

/** "captcha" of a campaign. Zero is the default, but for handoff_ms. */
struct block_conf {
    int on_detected;           /* enum block_reaction */
    uint64_t handoff_ms;       /* BLOCK_HANDOFF: how long a person is waited for */
    struct json_objects rules; /* struct block_rule */
    struct json_strs ignore;   /* names of rules that do not count */
};
extern const struct json_schema captcha_schema;

/** The name of the first rule that holds, NULL when none does. `c` NULL: the table alone. The name
 * is static, or the campaign's. */
const char *block_match(const struct block_conf *c, const struct block_page *p);
/** The CSS selectors to be looked for, as a JSON array. */
void block_selectors(const struct block_conf *c, struct buf *out);

#endif
