/* What audit.c (the loop's side), audit_open.c (start-up) and audit_writer.c (the writer's side)
 * share. */
#ifndef CORE_RECORD_AUDIT_INTERNAL_H
#define CORE_RECORD_AUDIT_INTERNAL_H

#include <sqlite3.h>
#include <stdatomic.h>

#include "core/base/map.h"
#include "core/base/rng.h"
#include "core/record/audit.h"
#include "core/record/keyfile.h"
#include "core/record/logdb.h"
#include "core/record/note.h"
#include "core/record/record.h"
#include "core/record/sink.h"

enum {
    AUDIT_ID_MAX = 27,
    AUDIT_LINE_ADDED = 768, /* room for what the sequencer adds to a prepared text, and to spare */
    CHECKPOINT_KEEP = 1024, /* of the checkpoints within so many records only the newest is kept */
};

struct pending;
struct audit_builder;

/* What only the writer touches once the first job was submitted, and the builder (audit_build.c):
 * what a record moves may belong to the next group already while one is being committed; what is
 * committed stands apart. */
struct audit_writer {
    uint64_t seq; /* of the next record */
    struct merkle_hash prev;
    struct merkle_builder tree;
    struct sign_key *key;
    struct sign_key *old_key; /* between a rotation and its commit */
    struct sqlite3_stmt *insert, *insert_checkpoint, *delete_checkpoint, *insert_key;
    struct map
        *forests;     /* leaf hash of an open receipt -> struct merkle_builder * of its children */
    struct buf lines; /* of the group that is built, each with its newline */
    struct buf committed;            /* of the one that is committed, for the copy */
    struct audit_builder *builder;   /* NULL: not needed yet */
    bool ahead_building;             /* it works on this group */
    struct buf note;                 /* the newest checkpoint */
    uint64_t group_first, group_end; /* records of the group that is committed: [first, end) */
    uint64_t group_checkpoint;       /* size of the last checkpoint */
    uint64_t checkpoint_written;     /* size of the one in X.checkpoint */
    uint64_t checkpoint_at_ms;       /* not before */
    struct sink sink;
    bool has_sink, sink_told;
    bool ahead;              /* a commit failed: the note is ahead of the file */
    struct pending *last;    /* newest record of this group: carries the checkpoint to the loop */
    struct pending *flushes; /* answered after the commit */
    struct pending *closing; /* audit_close was called */
};

struct audit {
    struct loop *loop;
    struct logdb *db;
    bool owns_db, sign_each, closing;
    char log_id[AUDIT_ID_MAX];
    char origin[NOTE_NAME_MAX];
    char *state_dir, *pub_path;
    struct key_source key_source;
    struct hlc hlc;
    struct buf scratch;
    struct rng_pool ids;
    size_t n_pending;
    uint64_t size;
    unsigned char public_key[SIGN_PUBLIC];
    struct buf checkpoint;
    void (*on_sink)(void *arg, const struct err *e);
    void *arg;
    void (*closed)(void *arg);
    void *closed_arg;
    struct logdb_hook hook;
    _Atomic(struct err *)
        sink_news; /* writer to loop: the copy failed (or, status OK, works again) */
    struct audit_writer w;
};

enum pending_kind { PENDING_RECORD, PENDING_ROTATE, PENDING_FLUSH, PENDING_CLOSE };

/* An append on its way to the writer and back: one allocation with all its texts. */
struct pending {
    struct logdb_job job;
    struct audit *audit;
    audit_done_fn *done;
    void *arg;
    enum pending_kind kind;
    bool opens, redact, has_parent, has_closes;
    uint64_t seq;
    struct merkle_hash leaf, parent, closes, payload;
    struct merkle_begun begun; /* `leaf`, as far as the line is known beforehand */
    struct record_pieces pieces;
    uint32_t text_len, payload_len;
    uint32_t line_at, line_len; /* in the writer's `lines`, once built */
    bool has_payload, hashed;   /* hashed: `payload` is set */
    struct audit_with *with;    /* rows of another module; NULL: none */
    char *vkey;                 /* PENDING_ROTATE */
    struct sign_key *key;       /* PENDING_ROTATE: the new one */
    char *note;                 /* the checkpoint of the group, on its last record */
    struct err *err;            /* PENDING_FLUSH: how it ended; NULL: well */
    struct pending *next_flush;
    char text[]; /* prepared members, then the payload */
};

/* audit_open.c: writes the public keys beside the database and the copy */
enum status audit_write_pubs(struct audit *a, struct sqlite3 *db, struct err *e);
/* audit_writer.c: the job of a record, and the hook's functions */
enum status audit_run_job(struct logdb_job *job, struct sqlite3 *db, struct err *e);
enum status audit_before_commit(struct logdb_hook *h, struct sqlite3 *db, struct err *e);
void audit_after_commit(struct logdb_hook *h, struct sqlite3 *db, bool ok);
void audit_idle(struct logdb_hook *h, struct sqlite3 *db);
/* audit_build.c: hook's functions too */
void audit_begin_group(struct logdb_hook *h, const struct logdb_job *first);
void audit_end_group(struct logdb_hook *h);
/** Makes the record's line, with its signature, and moves chain and tree on. `children`: what a
 * close receipt speaks of; NULL otherwise. */
void audit_build(struct audit *a, struct pending *p, const struct merkle_range *children);
/** No key changes with it, and what it closes was opened by this process: audit_build_plain may be
 * called for it. */
bool audit_is_plain(const struct audit *a, const struct pending *p);
void audit_build_plain(struct audit *a, struct pending *p);
/** Writer: waits until `p` is built. False: it is the writer's to build. */
bool audit_builder_await(struct audit *a, const struct pending *p);
/** The builder goes on behind `p`, which the writer has built or refused. */
void audit_builder_resume(struct audit *a, const struct pending *p);
/** Ends its thread. Any thread, when no group is under way. */
void audit_builder_destroy(struct audit *a);
/* audit.c: posted by the writer */
void audit_on_flushed(void *arg);     /* struct pending * */
void audit_on_closed(void *arg);      /* struct pending * */
void audit_finalize(struct audit *a); /* the statements: by the thread that has the connection */
void audit_free(struct audit *a);
/** Path of the next key while a rotation is under way: "<key>.new". Malloc'ed. */
char *audit_next_key_path(const struct audit *a);

#endif
