/* The audit log: signed, chained receipts (design.md §6). One log a state directory, in
 * `<state>/log.sqlite`, with a copy as NDJSON beside it.
 *
 * audit_append copies the receipt and returns at once; the log's own writer thread takes what waits
 * (at most LOGDB_GROUP_MAX), builds the lines, chains and signs them, adds them to the tree, signs
 * a checkpoint, and commits all in one SQLite transaction (WAL, synchronous=FULL). Only then the
 * callbacks run, on the loop, in the order of the appends. What was acknowledged survives `kill -9`
 * and a power cut; what was not acknowledged is there entirely or not at all.
 *
 * Record (one line, RFC 8785, at most AUDIT_LINE_MAX bytes, absent members left out):
 *   {"children","fence","forest","hlc":[ms,counter],"id","kind","log","member","of","op","outcome","parent","ph","prev","proxy","seq",
 *    "target","v":1,"vkey","zsig"}
 * "children", "forest" and "of" are of close receipts, "vkey" of key.rotate only. README.md of this
 * folder is the recipe for third parties.
 *
 * Loop thread only, unless said otherwise. */
#ifndef CORE_RECORD_AUDIT_H
#define CORE_RECORD_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/loop.h"
#include "core/base/str.h"
#include "core/record/hlc.h"

enum {
    AUDIT_LEAF = 32,       /* bytes of a leaf hash */
    AUDIT_LINE_MAX = 4096, /* bytes of a record's line, with its signature, without the newline */
    AUDIT_PAYLOAD_MAX = 1024 * 1024, /* bytes of a payload */
    AUDIT_PENDING_MAX = 1 << 18,     /* receipts waiting; past it appends are answered BUSY */
    AUDIT_HEX_MAX = 65,              /* a leaf hash in hex with its NUL */
};

struct audit;
struct logdb;
struct sqlite3;

/** Rows of another module that must be durable with a receipt, or neither: a task's completion.
 * Embedded in the owner's struct, untouched by the owner from audit_append to `done`. */
struct audit_with {
    /** On the writer's thread, in the receipt's transaction and behind it; `leaf` and `seq` are the
     * receipt's. May fail only by what SQLite refuses (logdb_error), which ends the whole group. */
    enum status (*run)(struct audit_with *w, struct sqlite3 *db, const unsigned char *leaf,
                       uint64_t seq, struct err *e);
};

/** What happened. All strings are UTF-8, copied by audit_append; NULL or "" leaves the member out.
 */
struct receipt {
    const char *kind;    /* required: "op", "task", "campaign.open", "campaign.close", "document",
                            "breaker.reset", "limits.authorized"... */
    const char *id;      /* NULL: a new one (rng_id) */
    const char *member;  /* the identity's id, or the member's index as text */
    const char *op;      /* row of the op table: "page.navigate" */
    const char *target;  /* host, without port */
    const char *proxy;   /* id of the proxy; never an address, never credentials */
    const char *outcome; /* "ok" or the name of a status: "HTTP_429" */
    uint64_t fence;      /* the lease's fencing token, < 2^53; 0: none */
    const unsigned char *parent; /* leaf hash (AUDIT_LEAF bytes) of the receipt this one belongs to:
                                    campaign, task, stage; NULL: none */
    /** Close receipts: leaf hash of the receipt that is closed (kind "*.open"), NULL otherwise. The
     * log itself then fills in "children", how many receipts before this one have that leaf as
     * their parent, and "forest", the RFC 6962 root over their leaf hashes in order. `parent` of a
     * close receipt is that of its open receipt, so that closes nest: the outer campaign counts the
     * inner one's open and close. */
    const unsigned char *closes;
    struct str payload; /* canonical JSON (jcs_write); "ph" is its SHA-256. {NULL, 0}: no payload,
                           no "ph" */
    bool redact;        /* hash the payload, do not store it */
    bool lazy;          /* nobody waits for it: it may share a later commit (LOGDB_LAZY_MS) */
    struct audit_with *with; /* NULL: none. Not run when the receipt is refused */
};

/** The fate of an append: exactly once, on the loop, never from inside audit_append. OK: durable;
 * `leaf` (AUDIT_LEAF bytes, valid during the call) is the receipt's hash for children's `parent`,
 * `seq` its place in the log. Otherwise the receipt is not in the log, `leaf` is NULL, and `e` says
 * why: INVALID (no kind, fence too large), TOO_LARGE, BUSY (too many waiting), NO_SPACE, IO, ...
 * (the commit failed: the log is closed to further receipts, which are answered with the same
 * error), SHUTTING_DOWN (after audit_close). */
typedef void audit_done_fn(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                           const struct err *e);

enum audit_sign {
    AUDIT_SIGN_EACH,       /* every record carries "zsig" (default; some 40,000/s) */
    AUDIT_SIGN_CHECKPOINT, /* the checkpoint of each commit covers its records */
};

struct audit_opts {
    enum audit_sign sign;
    const char *sink; /* path of the NDJSON copy, relative to the working directory; NULL: none.
                         X.pub and X.checkpoint stand beside it */
    const char *key;  /* "file:PATH" (relative to the state directory; made when absent) or
                         "env:NAME"; NULL: "file:keys/audit.key" */
    struct logdb *db; /* the state directory's database when it is open already; NULL: opened, and
                         closed at the end */
    /** Told on the loop when the NDJSON copy cannot be written (once until it works again; the log
     * itself goes on), and with e NULL when it works again. May be NULL; it is logged in any case.
     */
    void (*on_sink)(void *arg, const struct err *e);
    void *arg;
};

/** Opens or makes the log of `state_dir`; blocking, for start-up. `opts` may be NULL. Restores
 * sequence, chain and tree and checks them against the last checkpoint; brings the NDJSON copy up
 * to date (a copy of another log is renamed, never overwritten). STATUS_OK; BUSY when another
 * process holds the log (names its pid); AUDIT_INVALID when database, checkpoint, key and copy do
 * not fit each other; PERMISSION, INVALID or CORRUPT for the key file (keyfile.h); UNSUPPORTED when
 * a newer version wrote the database; NO_SPACE, IO. */
must_check enum status audit_open(struct loop *l, const char *state_dir,
                                  const struct audit_opts *opts, struct audit **out, struct err *e);

/** Appends a receipt. `done` may be NULL. */
void audit_append(struct audit *a, const struct receipt *r, audit_done_fn *done, void *arg);
/** The same for who goes on at once, because a receipt that it appends later stands for this one as
 * well: that one is not in the log unless this one is. A refusal is told here, and `done` is not
 * called then; whatever else keeps it out of the log ends the log, as a commit that failed. */
must_check enum status audit_append_ahead(struct audit *a, const struct receipt *r,
                                          audit_done_fn *done, void *arg, struct err *e);
/** Calls `done` (leaf NULL, seq = size of the log) once everything appended before is durable and
 * in the NDJSON copy, with the status of the log. */
void audit_flush(struct audit *a, audit_done_fn *done, void *arg);
/** Replaces the signing key: a new key is made, "key.rotate" (signed by the old key, with the new
 * one as "vkey") is appended, the next checkpoint is signed by both, then the key file is replaced
 * and X.pub rewritten with all keys, oldest first. UNSUPPORTED for a key from the environment. */
void audit_rotate(struct audit *a, audit_done_fn *done, void *arg);
/** Ends the log: what is queued becomes durable, the copy and X.checkpoint are written, `closed`
 * (may be NULL) runs on the loop once the thread has ended; `a` must not be used after this call.
 */
void audit_close(struct audit *a, void (*closed)(void *arg), void *arg);

/** Receipts acknowledged so far. */
uint64_t audit_size(const struct audit *a);
/** The log's id (26 characters); origin of its checkpoints is "fleet/<id>". Borrowed, as long as
 * `a`. */
const char *audit_log_id(const struct audit *a);
/** Ed25519 public key that signs now: 32 bytes into out. */
void audit_public_key(const struct audit *a, unsigned char out[32]);
/** The newest checkpoint that is durable, a C2SP signed note, to be handed to whoever anchors it.
 * "" when the log is empty. Borrowed until the loop turns. */
struct str audit_checkpoint(const struct audit *a);
/** The log's clock: tick it for other events, merge peers into it. */
struct hlc *audit_hlc(struct audit *a);
/** The database, to share its writer (logdb.h). Borrowed, as long as `a`. */
struct logdb *audit_db(struct audit *a);

/** Leaf hash as 64 hex digits into out[AUDIT_HEX_MAX]; returns out. Any thread. */
char *audit_hex(const unsigned char leaf[AUDIT_LEAF], char out[AUDIT_HEX_MAX]);

#endif
