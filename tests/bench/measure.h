/* What the benchmarks share: clocks, medians, memory. For tests/bench alone. */
#ifndef TESTS_BENCH_MEASURE_H
#define TESTS_BENCH_MEASURE_H

#include <stddef.h>
#include <stdint.h>

/** Seconds of the system's monotonic clock. */
double wall_s(void);
/** Seconds of processor that this process has used, all its threads together. */
double cpu_s(void);
/** Sorts v; the middle one, or the mean of the two. n > 0. */
double median(double *v, size_t n);
/** Memory of this process that is in RAM; 0 when the kernel does not say. */
uint64_t resident_bytes(void);

#endif
