/* Reads the lines of an audit log in order, a batch at a time, from log.sqlite or NDJSON, as
 * verify, prove and export need them. One thread. */
#ifndef CORE_RECORD_LOGREAD_H
#define CORE_RECORD_LOGREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/err.h"

enum {
    LOGREAD_ITEMS = 512,        /* lines in a batch */
    LOGREAD_CHUNK = 256 * 1024, /* bytes read at once */
};

struct logread;

/** A line in the batch's text. */
struct logread_item {
    uint32_t at, len; /* without newline; at most AUDIT_LINE_MAX + 1: what is longer is cut there */
    uint32_t payload_at, payload_len;
    bool has_payload;       /* a payload is stored with it (log.sqlite) */
    bool payload_too_large; /* it is beyond AUDIT_PAYLOAD_MAX and was not read */
    bool torn;              /* the file ends without a newline after it; always the last */
    uint64_t row;           /* log.sqlite: its key; NDJSON: line number from 0 */
};

struct logread_batch {
    struct buf text;
    struct logread_item item[LOGREAD_ITEMS];
    size_t n;
};

/** `path`: a database, an NDJSON file, or "-". For a database one snapshot is read from beginning
 * to end. NOT_FOUND, PERMISSION, IO, CORRUPT. */
must_check enum status logread_open(const char *path, struct logread **out, struct err *e);
void logread_close(struct logread **r);
bool logread_is_database(const struct logread *r);

void logread_batch_init(struct logread_batch *b);
void logread_batch_deinit(struct logread_batch *b);
/** The next lines; n 0 at the end. IO; CORRUPT: the database is damaged (records read so far are
 * fine). */
must_check enum status logread_next(struct logread *r, struct logread_batch *b, struct err *e);
static inline struct str logread_line(const struct logread_batch *b, size_t i)
{
    return str_n(b->text.ptr + b->item[i].at, b->item[i].len);
}

/** The next checkpoint of a database, in order of size; false when there is none (left). `note` is
 * borrowed until the next call. */
must_check bool logread_checkpoint(struct logread *r, uint64_t *size, struct str *note);

#endif
