/* SHA-256 (FIPS 180-4) of eight messages at once with AVX2, for processors without SHA
 * instructions: there it is four times as fast as one after the other. Used by merkle.c alone. Any
 * thread. */
#ifndef CORE_RECORD_SHA256X8_H
#define CORE_RECORD_SHA256X8_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/attr.h"

enum { SHA256_LANES = 8, SHA256_BLOCK = 64, SHA256_HASH = 32 };

/** Whether it pays here: AVX2 is there, SHA instructions are not. */
must_check bool sha256x8_pays(void);
/** Room that a message of n bytes takes once padded. */
#define SHA256_PADDED(n) (((size_t)(n) + 9 + SHA256_BLOCK - 1) / SHA256_BLOCK * SHA256_BLOCK)
/** Pads the n bytes at `p` (room SHA256_PADDED(n)) as §5.1.1 says; returns the number of blocks. */
size_t sha256_pad(unsigned char *p, size_t n);
/** Hashes eight padded messages of blocks[i] blocks each, > 0, at p[i]. (Of whole blocks that are
 * not padded it is the state after them, H of §6.2.2 with the high byte of each word first.) Only
 * where sha256x8_pays, or at least AVX2 is there. `only`: the thread does little else for a while.
 * Then AVX-512 is used where it is there, which hashes 1.75 times as fast, and slows the processor
 * down by an eighth for all that it does in the same millisecond. */
void sha256x8(const unsigned char *const p[SHA256_LANES], const size_t blocks[SHA256_LANES],
              unsigned char *const out[SHA256_LANES], bool only);

#endif
