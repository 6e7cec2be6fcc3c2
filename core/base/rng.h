/* Random bytes from the system, and seeded streams for choices that must be the same again. */
#ifndef CORE_BASE_RNG_H
#define CORE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/str.h"

/** From the system (getrandom); never fails once it returns. Any thread. */
void rng_bytes(void *out, size_t n);

/** A stream: xoshiro256**, its four words the little-endian words of SHA-256(length of seed, 8
 * bytes little-endian ‖ seed ‖ label). The same seed and label give the same choices in every
 * version: the sequence is part of the identity format. Not for secrets. */
struct rng {
    uint64_t s[4];
};
void rng_seed(struct rng *r, struct str seed, struct str label);
/** The seed's 8 bytes, little-endian, with an empty label. */
void rng_seed_u64(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
/** 0 .. n-1 without bias; n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
/** [0, 1) with 53 bits. */
double rng_double(struct rng *r);
/** Index into weights[0..n), chosen in proportion; all >= 0, their sum > 0. */
size_t rng_weighted(struct rng *r, const double *weights, size_t n);

#define RNG_ID_MAX 27
/** A sortable unique id: 26 characters of Crockford base32, 48 bits of wall_ms and 80 random bits
 * (the ULID layout). Returns out. */
char *rng_id(uint64_t wall_ms, char out[RNG_ID_MAX]);

/** Random bytes from the system for many ids, so that not each is a system call. All zero is empty.
 * One thread's; not for secrets, as what was given out stays in it. */
struct rng_pool {
    unsigned char bytes[2000]; /* private */
    size_t left;               /* private */
};
/** As rng_id. */
char *rng_pool_id(struct rng_pool *p, uint64_t wall_ms, char out[RNG_ID_MAX]);

#endif
