/* A program that runs an engine until it is killed, with operations chosen at random, and tells
 * each acknowledgement on standard output the moment it comes. The pipe outlives the program, so
 * what was told was acknowledged. Each line is whole:
 *
 *   E epoch                 the engine is ready; batches of earlier lives go on. The first line
 *   B id total key          a batch is durable
 *   T id index state leaf   a task's end was told to watchers
 *   O id state              a batch is over
 *   C id                    the wish to cancel it is durable
 *   X STATUS sentence       trouble; it ends */
#ifndef TESTS_SUPPORT_ENGINE_VICTIM_H
#define TESTS_SUPPORT_ENGINE_VICTIM_H

#include <stdint.h>

struct victim_opts {
    const char *state_dir;
    uint64_t seed;
    int out;          /* where it tells */
    unsigned batches; /* to submit; then it ends when all are over. 0: goes on until it is killed */
    const char *key_prefix; /* of the keys: "<prefix><number>"; the same key is submitted again now
                               and then */
};

/** Returns the exit code: 0, or 3 after trouble. For a forked child. */
int engine_victim(const struct victim_opts *o);

#endif
