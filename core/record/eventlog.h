/* Append-only events with a sequence: in a ring in memory, or in log.sqlite through its writer
 * (logdb.h), where an event and the receipts and task states of the same group become durable with
 * one fsync. Both answer alike.
 *
 * Sequence numbers start at 1, have no gaps, and are never given twice, also after pruning. An
 * event with an id is appended once: the same id again is answered with the first one's sequence
 * number, as long as that has not been pruned. Loop thread only. */
#ifndef CORE_RECORD_EVENTLOG_H
#define CORE_RECORD_EVENTLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/loop.h"
#include "core/base/str.h"
#include "core/record/hlc.h"

enum {
    EVENT_NAME_MAX = 256,           /* bytes of id, type and subject, each */
    EVENT_BODY_MAX = 1024 * 1024,   /* bytes of a body */
    EVENTLOG_PENDING_MAX = 1 << 18, /* appends waiting; past it they are answered BUSY */
    EVENTLOG_READ_MAX = 10000,      /* events in one read */
};

struct eventlog;
struct logdb;

struct event {
    uint64_t seq;       /* set by the log; ignored by eventlog_append */
    struct hlc_time at; /* when it happened */
    const char *id; /* what makes a repeated append harmless; NULL or "": none. Read back as NULL */
    const char *type;    /* required: "task.succeeded" */
    const char *subject; /* what it is about: a task, a batch, a target; NULL: nothing */
    struct str body;     /* JSON, or any bytes */
};

/** A ring in memory that keeps the newest `capacity` events, > 0. */
void eventlog_create_memory(struct loop *l, size_t capacity, struct eventlog **out);
/** The events of a database that was opened and has not been submitted to yet. `capacity` 0: all
 * are kept; otherwise the oldest are pruned as new ones are committed. UNSUPPORTED when a newer
 * version wrote the table; CORRUPT, NO_SPACE, IO. */
must_check enum status eventlog_open(struct loop *l, struct logdb *db, uint64_t capacity,
                                     struct eventlog **out, struct err *e);

/** Exactly once, on the loop, never from inside the call. OK: durable (in memory: appended);
 * `duplicate`: it was there already, as `seq`. INVALID (no type), TOO_LARGE, BUSY, SHUTTING_DOWN,
 * or what the commit failed with. */
typedef void eventlog_appended_fn(void *arg, enum status s, uint64_t seq, bool duplicate,
                                  const struct err *e);
/** Copies the event. `done` may be NULL. */
void eventlog_append(struct eventlog *log, const struct event *ev, eventlog_appended_fn *done,
                     void *arg);

/** Events in order, borrowed for the call. */
typedef void eventlog_read_fn(void *arg, enum status s, const struct event *v, size_t n,
                              const struct err *e);
/** Reads up to `max` (1..EVENTLOG_READ_MAX) events after `after` (0: from the oldest there is), of
 * one type (NULL: of all). Reads of a database run on worker threads, several at a time, beside the
 * writer. What was acknowledged before the call is seen. Fewer than `max` may come although more
 * are there, when they are large: read on until n is 0. */
void eventlog_read(struct eventlog *log, uint64_t after, const char *type, size_t max,
                   eventlog_read_fn *done, void *arg);

/** Sequence number of the newest acknowledged event; 0: none yet. */
uint64_t eventlog_last(const struct eventlog *log);
/** When the newest event that was there at open happened; {0, 0}: none was. A clock goes on from
 * there. */
struct hlc_time eventlog_opened_at(const struct eventlog *log);
/** Ends it once appends and reads under way are answered; then `closed` (may be NULL) on the loop.
 * The database stays open: it is
 * closed after this. */
void eventlog_close(struct eventlog *log, void (*closed)(void *arg), void *arg);

#endif
