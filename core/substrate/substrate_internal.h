/* What the common part (substrate.c, call.c, emit.c, await.c, envelope.c) and the backends
 * (local*.c) share. The common part checks arguments, asks the policy, ticks the clock, writes
 * envelopes, keeps deadlines and answers once; a backend carries calls out. */
#ifndef CORE_SUBSTRATE_SUBSTRATE_INTERNAL_H
#define CORE_SUBSTRATE_SUBSTRATE_INTERNAL_H

#include "core/base/buf.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "core/substrate/substrate.h"

enum call_kind {
    CALL_APPEND,      /* type, name2 subject, id, at, bytes envelope -> value seq, duplicate */
    CALL_READ,        /* after, type, max -> events */
    CALL_SCHEDULE,    /* id, type, name2 subject, bytes data, at_wall_ms, ms -> value its number */
    CALL_UNSCHEDULE,  /* id */
    CALL_FIRED,       /* id, fence: the schedule's number: it was emitted */
    CALL_COUNT,       /* name, delta -> total */
    CALL_FENCES,      /* max -> value */
    CALL_ACQUIRE,     /* name, name2 holder, ms -> lease */
    CALL_RENEW,       /* name, fence, ms -> lease */
    CALL_RELEASE,     /* name, fence */
    CALL_CHECK,       /* name, fence -> lease */
    CALL_STREAM_OPEN, /* name, type, high_items, high_bytes */
    CALL_PUT,         /* name, id, bytes -> value seq, wait_ms */
    CALL_STREAM_READ, /* name, after, max -> entries */
    CALL_CURSOR_OPEN, /* name, name2 reader -> value */
    CALL_CURSOR_ACK,  /* name, name2 reader, after -> value */
    CALL_CURSOR_DROP, /* name, name2 reader */
    CALL_CONFIG_SET,  /* name, bytes, sha256, after: the version expected -> config */
    CALL_CONFIG_GET,  /* name -> config */
    CALL_CONFIG_BLOB, /* sha256 -> config */
    CALL_KINDS
};

struct call;
typedef void call_answer_fn(struct call *c, enum status s, const struct err *e);

/* A call on its way. Its texts live in its arena, which is the backend's between start and finish.
 */
struct call {
    struct substrate *s;
    enum call_kind kind;
    struct list link;             /* s->waiting until answered, in order of their deadlines */
    uint64_t deadline_ms, now_ms; /* monotonic; now_ms: when it was made */
    bool answered;
    struct err refused; /* a call that never reaches the backend */
    struct arena *arena;
    call_answer_fn *answer;
    union {
        substrate_done_fn *done;
        substrate_emitted_fn *emitted;
        substrate_events_fn *events;
        substrate_count_fn *count;
        substrate_fence_fn *fences;
        substrate_lease_fn *lease;
        substrate_put_fn *put;
        substrate_entries_fn *entries;
        substrate_cursor_fn *cursor;
        substrate_config_fn *config;
    } fn;
    void *arg;
    /* what is asked */
    const char *name, *name2, *type, *id;
    struct str bytes;
    struct hlc_time at;
    uint64_t after, fence, at_wall_ms, due_wall_ms, ms, high_items, high_bytes;
    int64_t delta;
    size_t max;
    /* what is answered */
    uint64_t value, wait_ms;
    int64_t total;
    bool duplicate, has_lease, has_config;
    struct substrate_lease lease;
    struct substrate_config config;
    struct substrate_entry *entries;
    const struct substrate_logged *events;
    size_t n;
};

struct substrate_ops {
    const char *name;
    size_t call_size; /* of the backend's struct, which begins with a struct call */
    /** Carries it out: call_finish exactly once, on the loop, never from inside. */
    void (*start)(struct call *c);
    /** No call is under way: frees the backend's part and calls substrate_closed on the loop. */
    void (*close)(struct substrate *s);
};

struct emission;
struct substrate {
    const struct substrate_ops *ops;
    struct loop *loop;
    char *node;
    uint64_t timeout_ms, policy_ms, epoch;
    struct hlc own_hlc, *hlc;
    /* calls */
    struct list waiting;
    struct loop_timer deadline;
    size_t n_calls; /* not finished by the backend, and refusals not told */
    uint64_t late;
    bool closing, backend_closing;
    void (*closed)(void *arg);
    void *closed_arg;
    /* events */
    uint64_t last;
    substrate_policy_fn *policy;
    void *policy_arg;
    struct list emissions; /* asked, in order */
    size_t n_emissions;
    struct list undecided; /* denied for their silence: kept for the policy's late word */
    struct loop_timer policy_timer;
    bool in_pump;
    struct buf scratch;
    /* awaits */
    struct map *awaits; /* id -> struct await */
    struct list live;   /* those that watch what comes */
    uint64_t next_await;
};

/* --- call.c --- */
/** Fills in the common part; the backend's struct begins with it. */
enum status substrate_init(struct substrate *s, const struct substrate_ops *ops, struct loop *l,
                           const struct substrate_opts *o, struct err *e);
void substrate_deinit(struct substrate *s);
/** A backend's close has ended: frees `s` and tells. */
void substrate_closed(struct substrate *s);
/** SHUTTING_DOWN or BUSY. */
enum status substrate_check_room(const struct substrate *s, struct err *e);
must_check struct call *call_new(struct substrate *s, enum call_kind kind, call_answer_fn *answer,
                                 void *arg);
/** Hands it to the backend; or, when c->refused is set, answers with that soon. */
void call_start(struct call *c);
/** From the backend. `e` is read when s is not OK. */
void call_finish(struct call *c, enum status s, const struct err *e);
/** From the backend, for CALL_APPEND that logged c->value: tells those who await it. */
void call_appended(struct call *c);
/** Copies a name into the call; sets c->refused when it is none. NULL or "" is fine if `optional`
 * and gives NULL. */
const char *call_name(struct call *c, const char *what, const char *name, bool optional);
/** True when `z` is a name as substrate.h has it. */
bool substrate_is_name(const char *z);
void substrate_try_close(struct substrate *s);

/* --- emit.c --- */
/** Checks type, subject, id and data; *data gets the canonical text, in the arena. */
must_check enum status event_check(const struct substrate_event *ev, struct arena *a,
                                   struct str *data, struct err *e);
void emit_close(struct substrate *s);
void emit_deinit(struct substrate *s);

/* --- envelope.c --- */
void envelope_write(const struct substrate_envelope *v, struct buf *out);
/** True for two or more words of [a-z0-9_-], parted by dots. */
bool envelope_is_type(const char *z);

/* --- await.c --- */
/** A new event was acknowledged. */
void await_event(struct substrate *s, const struct substrate_logged *ev);
void await_close(struct substrate *s);

/* --- local.c: for tests --- */
/** While on, a backend in memory does not answer. */
void substrate_memory_stall(struct substrate *s, bool on);

#endif
