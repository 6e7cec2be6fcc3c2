/* Numbered migrations of SQLite files. Several modules may keep tables in one file: each has its
 * own name and numbers, kept in the table `schema_version(module TEXT PRIMARY KEY, version
 * INTEGER)`. Blocking: for start-up. */
#ifndef CORE_RECORD_MIGRATE_H
#define CORE_RECORD_MIGRATE_H

#include "core/base/err.h"

struct sqlite3;

/** steps[i] brings version i to version i + 1: one or more SQL statements. A step that was released
 * is never changed; new ones go to the end. */
struct migration {
    const char *module;
    const char *const *steps;
    unsigned n;
};

/** Brings the module's tables to version m->n in one transaction: the old state stays on failure.
 * Nothing is written when they are there already. UNSUPPORTED when the file's version is greater
 * than ours (says both); CORRUPT, NO_SPACE, IO. `path` is for messages. */
must_check enum status migrate_run(struct sqlite3 *db, const struct migration *m, const char *path,
                                   struct err *e);

#endif
