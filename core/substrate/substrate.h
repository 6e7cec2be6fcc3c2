/* What events, schedules, leases, counters, streams and configuration run on. One interface, two
 * kinds of backend: local (log.sqlite beside the receipts, or memory for tests) and later Redis.
 * The interface promises only what both can keep; tests/contract holds every backend to it.
 *
 * Every call is asynchronous on the loop's thread, copies what it is given, and answers its
 * callback exactly once, never from inside the call. The statuses that any callback may get,
 * besides its own: UNAVAILABLE    the backend did not answer within the call's time: what was asked
 * may have happened or not. Ask again: calls that carry an id or a fence are idempotent
 *   SHUTTING_DOWN  substrate_close was called
 *   INVALID, TOO_LARGE   an argument; nothing was asked of the backend
 *   BUSY           SUBSTRATE_PENDING_MAX calls wait already
 *   NO_SPACE, IO, CORRUPT ...   what the backend failed with; nothing was changed
 * OK means durable (in memory: done). Calls take effect in the order in which they were made, and
 * what a call was answered with is seen by every later one. Pointers handed to a callback are
 * borrowed for its duration. Callbacks must be given, unless said otherwise.
 *
 * Names (of events, counters, leases, streams, ...) are 1..SUBSTRATE_NAME_MAX bytes of printable
 * ASCII without spaces. */
#ifndef CORE_SUBSTRATE_SUBSTRATE_H
#define CORE_SUBSTRATE_SUBSTRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "core/base/err.h"
#include "core/base/loop.h"
#include "core/base/str.h"
#include "core/record/hlc.h"

struct substrate;
struct logdb;

enum {
    SUBSTRATE_NAME_MAX = 200,         /* bytes of a name, an id or a subject */
    SUBSTRATE_DATA_MAX = 512 * 1024,  /* bytes of an event's data */
    SUBSTRATE_BLOB_MAX = 1024 * 1024, /* bytes of a stream's entry or a config blob */
    SUBSTRATE_READ_MAX = 1000,        /* events or entries of one read */
    SUBSTRATE_SCHEDULE_MAX = 160,     /* bytes of a schedule's id */
    SUBSTRATE_PENDING_MAX = 1 << 18,
    SUBSTRATE_TIMERS_MAX = 100000,               /* schedules waiting */
    SUBSTRATE_AWAITS_MAX = 100000,               /* awaits waiting */
    SUBSTRATE_TIMEOUT_MS = 5000,                 /* default time of a call */
    SUBSTRATE_POLICY_MS = 2000,                  /* default time of a policy's decision */
    SUBSTRATE_WAIT_MAX_MS = 24 * 60 * 60 * 1000, /* longest await, lease ttl */
    SUBSTRATE_SHA256 = 32,
};

/* --- life --- */

struct substrate_opts {
    const char *node;     /* who emits: a name; required. In every event's envelope */
    uint32_t timeout_ms;  /* of each call; 0: SUBSTRATE_TIMEOUT_MS */
    uint32_t policy_ms;   /* of each policy decision; 0: SUBSTRATE_POLICY_MS */
    uint64_t event_limit; /* events kept, the oldest are pruned; 0: all (memory: 100,000) */
    struct hlc *hlc;      /* the process's clock (audit_hlc), borrowed; NULL: one of its own */
};

/** On log.sqlite, opened and not submitted to yet (audit_db or logdb_open); it must outlive the
 * substrate. Blocking, for start-up: makes tables, loads schedules, raises the epoch. UNSUPPORTED
 * when a newer version wrote the tables; CORRUPT, NO_SPACE, PERMISSION, IO. */
must_check enum status substrate_open_local(struct loop *l, struct logdb *db,
                                            const struct substrate_opts *o, struct substrate **out,
                                            struct err *e);
/** In memory: for tests and for what nobody wants to keep. The epoch is 1. */
must_check enum status substrate_open_memory(struct loop *l, const struct substrate_opts *o,
                                             struct substrate **out, struct err *e);
/** Answers what waits with SHUTTING_DOWN once what is under way at the backend has ended, then
 * `closed` (may be NULL) on the loop; `s` must not be used after this call. Schedules, leases and
 * all that was acknowledged stay. */
void substrate_close(struct substrate *s, void (*closed)(void *arg), void *arg);

/* How the backend is doing, for status and doctor. */
/** The generation of the store: raised durably, before anything else, at each open. >= 1. */
uint64_t substrate_epoch(const struct substrate *s);
/** Calls not answered yet, and how many answers came too late. */
size_t substrate_pending(const struct substrate *s);
uint64_t substrate_late(const struct substrate *s);

typedef void substrate_done_fn(void *arg, enum status s, const struct err *e);

/* --- events --- */

/** What is emitted. A type is two or more words of [a-z0-9_-], parted by dots: "task.succeeded".
 * Types that begin with "policy." are the substrate's own. */
struct substrate_event {
    const char *type;    /* required */
    const char *subject; /* name of what it is about (task, batch, target); NULL: nothing */
    const char *id;  /* makes a repeated emit harmless, as long as the first is kept; NULL: none */
    struct str data; /* text of a JSON object; empty: {}. Stored in canonical form, so integers
                        past 2^53 must be strings */
};

/** OK: logged as `seq`; `duplicate`: it was there already. POLICY_DENIED: the policy's reason is
 * the sentence; not logged, but for an event "policy.denied" that tells of it. */
typedef void substrate_emitted_fn(void *arg, enum status s, uint64_t seq, bool duplicate,
                                  const struct err *e);
/** Policy, then clock, then log: the event gets the clock's next tick and the next sequence number;
 * those of a process follow the order of its emits, also when the policy takes its time. `done` may
 * be NULL. The call's time begins when the policy has decided. */
void substrate_emit(struct substrate *s, const struct substrate_event *ev,
                    substrate_emitted_fn *done, void *arg);
/** Logs an event of another node, given as its envelope, exactly once per (node, id) or, without
 * id, per (node, hlc). Our clock is merged with its time, clamped to wall + HLC_MAX_SKEW_MS; the
 * event is logged at the merged time, with the peer's own time in "fleet/origin" and, when it was
 * clamped, "fleet/clamped": true. Passes the policy like our own. INVALID: no envelope of an event.
 */
void substrate_merge(struct substrate *s, struct str envelope, substrate_emitted_fn *done,
                     void *arg);

/** An event as it was logged. */
struct substrate_logged {
    uint64_t seq; /* 1, 2, 3 ... without gaps; never given twice, also after pruning */
    struct hlc_time at;
    const char *type, *subject; /* subject NULL: none */
    struct str envelope;        /* see below; what goes to subscribers and to other nodes */
};
typedef void substrate_events_fn(void *arg, enum status s, const struct substrate_logged *v,
                                 size_t n, const struct err *e);
/** Up to `max` (1..SUBSTRATE_READ_MAX) events after `after` (0: from the oldest kept), of one type
 * (NULL: of all), in order. n is 0 only when there is none. */
void substrate_read(struct substrate *s, uint64_t after, const char *type, size_t max,
                    substrate_events_fn *done, void *arg);
/** Sequence number of the newest event acknowledged here; 0: none yet. */
uint64_t substrate_last(const struct substrate *s);

/* The envelope is a JSON-RPC 2.0 notification as the Model Context Protocol shapes them, on one
 * line, in RFC 8785 form, so that it can be sent to an MCP client as it stands:
 *
 *   {"jsonrpc":"2.0","method":"notifications/fleet/task/succeeded","params":{
 *     "_meta":{"fleet/hlc":[ms,counter],"fleet/id":"..","fleet/node":"..","fleet/policy":".."},
 *     "data":{...},"subject":"t-000012","type":"task.succeeded"}}
 *
 * `method` is the type with slashes for dots; "fleet/policy" is what the policy said when it
 * allowed the event and is left out when none was set. */
struct substrate_envelope {
    const char *type, *subject, *id, *node, *policy; /* NULL: absent; type and node always there */
    struct hlc_time at;
    struct str data; /* canonical text of the object */
    bool has_origin, clamped;
    struct hlc_time origin;
};
/** Takes an envelope apart; strings go to the arena. Hostile bytes are fine: INVALID says where and
 * what, TOO_LARGE. */
must_check enum status substrate_envelope_decode(struct str text, struct arena *a,
                                                 struct substrate_envelope *out, struct err *e);

/* --- policy --- */

struct substrate_decision; /* one question to the policy */
/** Decides on one event before it is logged: calls substrate_decide exactly once, at once or later,
 * on the loop. `ev` is borrowed until then. Not asked about "policy." events. */
typedef void substrate_policy_fn(void *arg, const struct substrate_event *ev,
                                 struct substrate_decision *d);
/** NULL: everything is allowed. An emit is decided by the policy that was set when it was made. */
void substrate_set_policy(struct substrate *s, substrate_policy_fn *fn, void *arg);
/** `why`: the rule or reason, recorded either way (cut at SUBSTRATE_NAME_MAX bytes); NULL: none. A
 * policy that is silent for opts.policy_ms has denied; its later word is ignored. Never after the
 * substrate has told that it is closed. */
void substrate_decide(struct substrate_decision *d, bool allow, const char *why);

/* --- await --- */

struct substrate_await_id {
    uint64_t v;
};
struct substrate_match {
    const char *type;    /* NULL: any */
    const char *subject; /* NULL: any */
    uint64_t after;      /* only events with a greater seq; SUBSTRATE_NOW: only those to come */
};
#define SUBSTRATE_NOW UINT64_MAX
/** Waits for the first event that matches, from the log or as it comes: OK with n 1; TIMEOUT (n 0)
 * when there is none within timeout_ms (0..SUBSTRATE_WAIT_MAX_MS); CANCELLED. */
struct substrate_await_id substrate_await(struct substrate *s, const struct substrate_match *m,
                                          uint64_t timeout_ms, substrate_events_fn *done,
                                          void *arg);
/** Answers it with CANCELLED; harmless when it was answered already. */
void substrate_await_cancel(struct substrate *s, struct substrate_await_id id);

/* --- schedule --- */

/** Emits `ev` once, at wall time `at_wall_ms`, or (at_wall_ms 0) `after_ms` from now; also after a
 * restart, late when nothing ran at that time. ev->id is required and names the schedule: the same
 * id again, while it waits, replaces it. `after_ms` is measured by the monotonic clock; over a
 * restart by the wall clock, but never longer than asked for. A wall clock that jumps moves
 * at_wall_ms, noticed within a second. BUSY when SUBSTRATE_TIMERS_MAX wait. The event's own id is
 * "schedule:<id>:<number>", so that a crash between its emit and the end of its schedule does not
 * emit it twice. If the policy denies it, that was its turn. */
void substrate_schedule(struct substrate *s, const struct substrate_event *ev, uint64_t at_wall_ms,
                        uint64_t after_ms, substrate_done_fn *done, void *arg);
/** NOT_FOUND when no such schedule waits: it was emitted, or its emit is under way. */
void substrate_unschedule(struct substrate *s, const char *id, substrate_done_fn *done, void *arg);

/* --- counters --- */

typedef void substrate_count_fn(void *arg, enum status s, int64_t value, const struct err *e);
/** Adds and answers with the new value; a counter that is not there is 0. INVALID when it would
 * leave the range of int64_t (the counter stays). `delta` 0 reads. Not idempotent: one that was
 * answered UNAVAILABLE may have counted. */
void substrate_count(struct substrate *s, const char *name, int64_t delta, substrate_count_fn *done,
                     void *arg);

/* --- fences and leases --- */

/* A fencing token is epoch << 32 | n, < 2^53. Tokens of one store only grow, over restarts too,
 * since the epoch is raised durably before the first token of a run is given out. */
static inline uint64_t substrate_fence_epoch(uint64_t fence)
{
    return fence >> 32;
}

typedef void substrate_fence_fn(void *arg, enum status s, uint64_t first, const struct err *e);
/** Takes `n` (1..2^20) tokens: first, first + 1, ... first + n - 1, all greater than any before.
 * For those who keep leases of their own (the scheduler). */
void substrate_fences(struct substrate *s, uint32_t n, substrate_fence_fn *done, void *arg);

struct substrate_lease {
    const char *holder;
    uint64_t fence;
    uint64_t left_ms; /* until it runs out, unless renewed */
};
/** BUSY: `l` is whose it is, without its fence (0). Other failures: `l` is NULL. */
typedef void substrate_lease_fn(void *arg, enum status s, const struct substrate_lease *l,
                                const struct err *e);
/** Time runs by the monotonic clock of the one who keeps the leases (local: this process), never by
 * the wall. `holder` must name one life of the holder (put a boot id or pid into it): the same
 * holder again gets the fence that it has, renewed. Over a restart of the store every lease that
 * was held gets its ttl anew: a lease may last longer than asked for, it never ends early. */
void substrate_lease_acquire(struct substrate *s, const char *name, const char *holder,
                             uint64_t ttl_ms, substrate_lease_fn *done, void *arg);
/** Each is for the fence that is current: LEASE_LOST when the lease ran out, was released, or is
 * another's. renew: its ttl begins anew, with ttl_ms. release: it is free at once; releasing again
 * what was released by this fence and has no new holder is OK. check: says how long it lasts. */
void substrate_lease_renew(struct substrate *s, const char *name, uint64_t fence, uint64_t ttl_ms,
                           substrate_lease_fn *done, void *arg);
void substrate_lease_release(struct substrate *s, const char *name, uint64_t fence,
                             substrate_done_fn *done, void *arg);
void substrate_lease_check(struct substrate *s, const char *name, uint64_t fence,
                           substrate_lease_fn *done, void *arg);

/* --- streams --- */

/* Bounded queues of entries of one type, read by cursor. An entry stays until every durable cursor
 * has passed it; without cursors it stays. So a slow reader stops the writers, and nothing is lost.
 */
struct substrate_stream_conf {
    const char *type;    /* name of what the entries are, usually a schema's hash */
    uint64_t high_items; /* refuse further entries from here on; >= 1 */
    uint64_t high_bytes; /* the same, of the entries' bytes; 0: 64 MiB */
};
/** Makes it, or changes the marks of one that is there. EXISTS: it is there with another type. */
void substrate_stream_open(struct substrate *s, const char *name,
                           const struct substrate_stream_conf *c, substrate_done_fn *done,
                           void *arg);

/** OK: `seq` (1, 2, ... in the stream, without gaps). BUSY: at the high mark; nothing was put; ask
 * again after wait_ms, which is estimated from how fast the slowest reader moves. NOT_FOUND: no
 * such stream. */
typedef void substrate_put_fn(void *arg, enum status s, uint64_t seq, uint64_t wait_ms,
                              const struct err *e);
/** `id` NULL: none; otherwise the same id again, while the first is kept, is answered with its seq.
 */
void substrate_stream_put(struct substrate *s, const char *name, const char *id, struct str bytes,
                          substrate_put_fn *done, void *arg);

struct substrate_entry {
    uint64_t seq;
    struct str bytes;
};
typedef void substrate_entries_fn(void *arg, enum status s, const struct substrate_entry *v,
                                  size_t n, const struct err *e);
/** Up to `max` (1..SUBSTRATE_READ_MAX) entries after `after`, in order; n 0: there is none. Fewer
 * come when they are large (4 MiB in one answer, at least one entry). */
void substrate_stream_read(struct substrate *s, const char *name, uint64_t after, size_t max,
                           substrate_entries_fn *done, void *arg);
/** `after`: where the cursor stands. */
typedef void substrate_cursor_fn(void *arg, enum status s, uint64_t after, const struct err *e);
/** The durable cursor of `reader`, made when it is not there: a new one begins before the oldest
 * entry that is kept. */
void substrate_cursor_open(struct substrate *s, const char *stream, const char *reader,
                           substrate_cursor_fn *done, void *arg);
/** Has read up to and including `seq`: the cursor never goes back (a smaller seq is OK and changes
 * nothing), what all cursors have passed is trimmed. INVALID: beyond the newest entry; NOT_FOUND:
 * no such cursor. */
void substrate_cursor_ack(struct substrate *s, const char *stream, const char *reader, uint64_t seq,
                          substrate_cursor_fn *done, void *arg);
/** Forgets the cursor: it no longer holds anything back. */
void substrate_cursor_drop(struct substrate *s, const char *stream, const char *reader,
                           substrate_done_fn *done, void *arg);

/* --- configuration --- */

struct substrate_config {
    unsigned char sha256[SUBSTRATE_SHA256]; /* of the blob */
    uint64_t version; /* of the name: 1, 2, ...; 0 when asked for by hash, or not set yet */
    struct str blob;
};
/** NOT_FOUND: `c` is NULL. */
typedef void substrate_config_fn(void *arg, enum status s, const struct substrate_config *c,
                                 const struct err *e);
/** Stores `blob` under its SHA-256 and makes it what `name` points to, in one step, if the version
 * that `name` has is `expected` (0: not set yet; SUBSTRATE_ANY: whatever it is). Answers with the
 * new version (and without the blob); EXISTS with the version that is there (c not NULL) when it is
 * another. The same blob as is current: the version stays. */
void substrate_config_set(struct substrate *s, const char *name, struct str blob, uint64_t expected,
                          substrate_config_fn *done, void *arg);
#define SUBSTRATE_ANY UINT64_MAX
/** What `name` points to. */
void substrate_config_get(struct substrate *s, const char *name, substrate_config_fn *done,
                          void *arg);
/** A blob by its hash: those that names point to, and of those that names pointed to the newest
 * SUBSTRATE_CONFIG_KEEP of each name. */
enum { SUBSTRATE_CONFIG_KEEP = 16 };
void substrate_config_blob(struct substrate *s, const unsigned char sha256[SUBSTRATE_SHA256],
                           substrate_config_fn *done, void *arg);

#endif
