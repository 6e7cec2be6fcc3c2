/* Members that come from the identity store: leased as long as the campaign runs, their cookies and
 * storage saved after each task.
 *
 * A member's state is read when it is needed (a fresh context, a new jar) and never kept in memory,
 * so 100,000 members cost 100,000 ids. Its save is begun when a task ended and answered when it is
 * durable; only then is the task told. Loop thread only. */
#ifndef CORE_FLEET_KEEP_H
#define CORE_FLEET_KEEP_H

#include "core/base/json.h"
#include "core/fleet/members.h"

struct keeper;

/** Opens the store that the campaign names and takes it. What idstore_open and idstore_lock say;
 * NOT_FOUND also when it has no identity of the tag, INVALID when it has fewer than members.count,
 * or too many for the targets; both say how many there are. `env` is borrowed. *n: how many members
 * there are to be. */
must_check enum status keeper_open(struct arena *a, const struct members_env *env, uint32_t *n,
                                   struct keeper **out, struct err *e);
/** Makes the member of the next identity: sets `identity` (in `a`) and `keep`. What is damaged is
 * passed over with a warning. NOT_FOUND: none is left. */
must_check enum status keeper_lease(struct keeper *k, struct arena *a, struct member *m,
                                    struct err *e);
/** The record of whom the member rotates to, and the identity; both in `a`. */
must_check enum status keeper_next(const struct member *m, struct arena *a, struct str *record,
                                   const struct identity **out, struct err *e);
/** The member of the store is that one from now on, durable when done(arg, OK) comes; once, from
 * the loop. `id` and `record` are copied. */
void keeper_turn(const struct member *m, const char *id, struct str record,
                 void (*done)(void *arg, enum status s, const struct err *e), void *arg);
/** After keeper_turn: under this id its state is kept. */
void keeper_turned(const struct member *m, const char *id);
/** Waits for the saves under way; gives all leases back. NULL is fine. */
void keeper_close(struct keeper **k);

/** The member's state as it was saved last; the caller owns it. NULL: none, or the member is not of
 * the store. What cannot be read is told and counts as none. */
must_check struct json *keep_state(const struct member *m);

/** Saves what a task left, of a member with `keep`: its cookies, and the origins that were seen,
 * over those of the state before; what was saved of other origins stays. An origin without items
 * goes. Takes both trees; `origins` may be NULL. done(arg) once, from the loop, also when the save
 * failed: that is told to the log and to members_env.on_unsaved. */
void keep_save(struct member *m, struct json *cookies, struct json *origins,
               void (*done)(void *arg), void *arg);
/** Tells that there is nothing to save, for `why`. */
void keep_lost(const struct member *m, const struct err *why);

#endif
