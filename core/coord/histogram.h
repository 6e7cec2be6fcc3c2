/* How long things took: a histogram of fixed size with a relative error below 1/32. Pure. */
#ifndef CORE_COORD_HISTOGRAM_H
#define CORE_COORD_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_SUB = 32,       /* places for each doubling; below it every value has its own */
    HISTOGRAM_DOUBLINGS = 36, /* up to 2^41, some 70 years in milliseconds; more counts as that */
    HISTOGRAM_PLACES = HISTOGRAM_SUB * (HISTOGRAM_DOUBLINGS + 1),
};

/** Zero is empty. 9.5 KB: allocate it where few have one. */
struct histogram {
    uint64_t place[HISTOGRAM_PLACES];
    uint64_t n, sum, max;
};

void histogram_add(struct histogram *h, uint64_t v);
/** Value below or at which a share p (0..1) of them is: the greatest of its place, at most the
 * maximum. 0 when it is empty. */
uint64_t histogram_quantile(const struct histogram *h, double p);
double histogram_mean(const struct histogram *h);

#endif
