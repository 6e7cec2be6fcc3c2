/* Reads an audit log and the substrate's tables with nothing of Fleet's: SQLite, OpenSSL and what
 * design.md §6 and RFC 6962 say. What the fault tests believe rests on this reader, so it shares no
 * code with core/record. */
#ifndef TESTS_FAULT_LOGCHECK_H
#define TESTS_FAULT_LOGCHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOGCHECK_HASH = 32 };

struct logcheck {
    size_t n; /* records that are there and fit each other */
    char **line;
    char **payload; /* of a database: NULL where none is stored; its hash was checked */
    unsigned char (*leaf)[LOGCHECK_HASH];
    bool torn;     /* NDJSON: the last line has no end; it is not counted */
    char why[400]; /* what is wrong, "" when nothing is */
    size_t bad;    /* record that is wrong */
};

/** Reads a copy of log.sqlite (with its write-ahead log) out of `state_dir`, so that the log itself
 * stays as the crash left it, or an NDJSON file. Checks seq, prev, the hashes of payloads,
 * signatures under the first key of `pub` (PEM), that times only grow, and, for a database, that
 * the newest checkpoint is signed, of this size and root. False: see `why`; what was read before is
 * there. */
bool logcheck_database(const char *state_dir, struct logcheck *c);
bool logcheck_ndjson(const char *path, const char *pub, struct logcheck *c);
void logcheck_free(struct logcheck *c);

/** Text or digits of a member at the top of a record's line: into out, false when it is not there.
 */
bool logcheck_member(const char *line, const char *name, char *out, size_t size);
uint64_t logcheck_number(const char *line, const char *name, uint64_t otherwise);
/** Records of this kind whose payload has this text as its member `name`. */
size_t logcheck_count(const struct logcheck *c, const char *kind, const char *name,
                      const char *value);
void logcheck_leaf_hex(const struct logcheck *c, size_t i, char out[2 * LOGCHECK_HASH + 1]);

/** A copy of the database with its write-ahead log, open; NULL when there is none. */
struct sqlite3;
struct sqlite3 *logcheck_open(const char *state_dir);
/** Closes and removes the copy. */
void logcheck_close(struct sqlite3 **db);
/** First column of the first row; `otherwise` when there is no row or no such table. `text` (may be
 * NULL) is bound as ?1, and `n` as ?2. */
int64_t logcheck_query(struct sqlite3 *db, const char *sql, const char *text, uint64_t n,
                       int64_t otherwise);
/** The same as text, cut to `size`; false when there is no row. */
bool logcheck_text(struct sqlite3 *db, const char *sql, char *out, size_t size);

#endif
