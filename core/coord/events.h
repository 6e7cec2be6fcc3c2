/* What an engine tells the substrate: batches as they come to a state, breakers, slots, and, where
 * engine_opts.events says so, each task's end. The one file of this folder that emits.
 *
 *   batch.processing, batch.completed ...   subject: the batch's id; {"batch","name","total",...}
 *   batch.removed                           subject: the batch's id; {"batch","receipt"}
 *   task.succeeded, task.failed ...         subject: the batch's id; {"batch","task","index",...}
 *   breaker.opened, breaker.reset           subject: the target
 *   slots.scaled                            {"slots","why"}
 *   pressure.begun, pressure.over           {"why"}: of memory or processors
 *   slots.held                              {"slots","of","why"}: so many may be in use; "why" is
 * "" when the pressure is over engine.ready, engine.draining
 *
 * An event that cannot be kept is logged and stops nothing. */
#ifndef CORE_COORD_EVENTS_H
#define CORE_COORD_EVENTS_H

#include "core/coord/engine.h"

/** Opens the engine's substrate on its database, which nothing was submitted to. */
must_check enum status events_open(struct engine *e, struct err *er);
void events_batch(struct engine *e, const struct batch *b);
void events_removed(struct engine *e, uint32_t n, const unsigned char *leaf);
void events_task(struct engine *e, const struct batch *b, const struct batch_task *t);
void events_breaker(struct engine *e, struct str target, bool open);
void events_scaled(struct engine *e, uint32_t slots, const char *why);
void events_pressure(struct engine *e, bool begun, const char *why);
void events_held(struct engine *e, uint32_t slots, uint32_t of, const char *why);
void events_rotated(struct engine *e, uint32_t member, const char *from, const char *to,
                    const char *why, const unsigned char *leaf);
void events_engine(struct engine *e, const char *what);
/** Closes it; `closed` once, on the loop. */
void events_close(struct engine *e, void (*closed)(void *arg), void *arg);

#endif
