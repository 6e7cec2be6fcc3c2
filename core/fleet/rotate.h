/* A member becomes somebody else: the identity that its own rotates to (persona.h), with nothing of
 * the one before. Who decides, and when, is core/coord/engine_rotate.c; here is what it takes. Only
 * between two tasks of the member.
 *
 *   rotation_make -> receipt and row "rotated" durable -> rotation_keep (store) -> rotation_take
 *
 * A process that is killed in between finds the row and goes on from there (members_create), so
 * that whom the log names is whom the targets see. Loop thread only. */
#ifndef CORE_FLEET_ROTATE_H
#define CORE_FLEET_ROTATE_H

#include "core/fleet/members.h"

struct rotation {
    struct arena *arena;             /* of all that is here */
    const struct identity *identity; /* who the member becomes */
    struct str record;               /* of the store; {NULL, 0}: it is not of the store */
};

/** Why the member is to rotate before its next task: "asked", "HTTP_429", "HTTP_403",
 * "CAPTCHA_DETECTED", "tasks", "time"; NULL: it is not. Pure. */
const char *rotation_due(const struct conf_rotate *conf, const struct member *m, uint64_t wall_ms);

/** Whom it becomes. INVALID, CORRUPT, IO. */
must_check enum status rotation_make(const struct members *all, const struct member *m,
                                     struct rotation *out, struct err *e);
/** Replaces it in the store; done(arg, ...) once, from the loop. For members that are not of the
 * store too. */
void rotation_keep(const struct members *all, const struct member *m, const struct rotation *r,
                   void (*done)(void *arg, enum status s, const struct err *e), void *arg);
/** From now on the member is that one: its connections are cut, its jar is empty, its counts begin
 * anew. Takes `r` over. The identity that it had stays in memory until the next rotation. */
void rotation_take(struct member *m, struct rotation *r, uint64_t wall_ms);
void rotation_drop(struct rotation *r);

#endif
