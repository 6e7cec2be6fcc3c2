/* The NDJSON copy of the audit log, and what stands beside it: X.pub (the public keys) and
 * X.checkpoint (the newest signed note). Derived: everything in it can be written again from the
 * database. Start-up calls on the loop's thread, the others on the writer's; blocking. */
#ifndef CORE_RECORD_SINK_H
#define CORE_RECORD_SINK_H

#include <sys/types.h>

#include "core/base/buf.h"
#include "core/base/err.h"

struct sqlite3;

enum { SINK_RETRY_MS = 1000, SINK_CHECKPOINT_MS = 1000 };

struct sink {
    char *path, *pub, *checkpoint;
    int fd;       /* -1: none */
    uint64_t seq; /* next record to write; read only */
    off_t size;   /* end of the last whole line */
    bool failing; /* read only */
    uint64_t retry_at_ms;
    struct err err; /* of the last failure */
};

/** "dir/X.ndjson" + ".pub" -> "dir/X.pub"; another ending is kept. Malloc'ed. */
must_check char *sink_beside(const char *path, const char *ending);

/** Opens or makes the copy: takes its lock, renames what belongs to another log, cuts a torn last
 * line, appends what is missing of the `size` records in `db`. BUSY: another process writes it;
 * INVALID: it is something else than an audit log; AUDIT_INVALID: it holds records of this log that
 * the database does not have. A full disk is no error here: `failing` is set. */
must_check enum status sink_open(struct sink *s, const char *path, const char *log_id,
                                 uint64_t size, struct sqlite3 *db, struct err *e);
void sink_close(struct sink *s);
/** Appends `lines` (whole lines of the records from `first` on, up to `size`); what is missing
 * before them is read from `db`. False when the copy is behind: s->err says why, and the next call
 * tries again, at most once in SINK_RETRY_MS unless `now`. */
bool sink_write(struct sink *s, struct str lines, uint64_t first, uint64_t size, struct sqlite3 *db,
                bool now);
/** Replaces X.checkpoint, after the copy's bytes are on the disk. */
must_check enum status sink_write_checkpoint(struct sink *s, struct str note, struct err *e);
/** Replaces a PEM file of public keys when its content differs. */
must_check enum status sink_write_pub(const char *path, struct str pem, struct err *e);

#endif
