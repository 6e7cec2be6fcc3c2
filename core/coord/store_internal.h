/* What store.c and store_read.c share. */
#ifndef CORE_COORD_STORE_INTERNAL_H
#define CORE_COORD_STORE_INTERNAL_H

#include <sqlite3.h>

#include "core/coord/store.h"

enum store_statement {
    ST_OPEN,
    ST_FILE,
    ST_DONE,
    ST_STAGE,
    ST_OVER,
    ST_LOG,
    ST_CANCEL,
    ST_DROP_FILES,
    ST_DROP_LOG,
    ST_DROP_STAGES,
    ST_END,
    ST_ROTATED,
    ST_REMOVAL,
    ST_LAST_BATCH,
    ST_DROP_BATCH,
    ST_NEXT_REMOVAL,
    ST_DROP_DONE,
    ST_DROP_REMOVAL,
    ST_COUNT
};

struct store {
    struct logdb *db;
    uint64_t epoch;
    bool was_ended, must_sweep;
    uint32_t last_number;
    sqlite3_stmt *st[ST_COUNT]; /* the writer's after the first submit */
};

#endif
