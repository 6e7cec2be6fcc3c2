/* Numbers as text: the grammar of JSON (RFC 8259 §6) and the shortest form that reads back as the
 * same double (ECMA-262, Number::toString, which RFC 8785 §3.2.2.3 asks for). Any thread. */
#ifndef CORE_BASE_NUM_H
#define CORE_BASE_NUM_H

#include <stdint.h>

#include "core/base/attr.h"

enum { NUM_TEXT_MAX = 32, NUM_U64_MAX = 20 };

/** Writes the decimal digits of `v`, without a NUL; returns how many. */
size_t num_print_u64(uint64_t v, char out[NUM_U64_MAX]);

/** Length of the JSON number that p[0..n) begins with; 0 when it begins with none. A number that
 * breaks off ("1." or "-") counts as none; of "01" the number is the "0". */
size_t num_scan(const char *p, size_t n);

/** Writes `v` (finite; anything else is a BUG) and a NUL; returns the length without it. Integers
 * below 10^21 come out plain, -0 as "0". */
size_t num_print(double v, char out[NUM_TEXT_MAX]);

#endif
