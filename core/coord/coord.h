/* Coordinators: given what finished, what comes next? Decisions only, no loop, no clock: the run
 * (run.h) asks, and does what is answered.
 *
 *   batch      every row of the target list once, by whichever member is free
 *   broadcast  every row once by every member
 *   plan       row i by member i mod N: the row is the member's input
 *   pipeline   as plan, but in stages: a stage runs across all members before the next begins, with
 * each one's output as its next input; who fails stops there, and that failure is its result */
#ifndef CORE_COORD_COORD_H
#define CORE_COORD_COORD_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/conf/campaign.h"

/** A piece of work that a coordinator asks for. */
struct coord_work {
    uint32_t index; /* of the result: 0.. */
    uint32_t row;   /* of the target list */
    uint32_t stage;
    int32_t pin; /* member, or -1 */
    const struct json
        *input; /* borrowed from the coordinator until the work is finished; NULL: none */
};
typedef void coord_emit_fn(void *arg, const struct coord_work *w);

struct coord;

struct coord_shape {
    enum coordinator kind;
    uint32_t rows, members, stages; /* all >= 1 */
};

struct coord *coord_create(const struct coord_shape *shape) must_check;
void coord_destroy(struct coord **c);

/** How many results there will be. */
uint32_t coord_total(const struct coord *c);
/** Before coord_start, of one that goes on: this index is done (`is_final`), or its stages before
 * `stage` are, the last of them with `output` (taken over; may be NULL). */
void coord_restore(struct coord *c, uint32_t index, uint32_t stage, bool is_final,
                   struct json *output);
/** The first work: all that is not done, of the first stage that somebody is still in. Once. */
void coord_start(struct coord *c, coord_emit_fn *emit, void *arg);
/** Work `index` of `stage` finished. `output` (may be NULL) is taken over when the answer is false.
 * True: this is the final result of the index; false: a later stage goes on with it, now or when
 * others have finished. */
must_check bool coord_finished(struct coord *c, uint32_t index, uint32_t stage, bool ok,
                               struct json *output, coord_emit_fn *emit, void *arg);

#endif
