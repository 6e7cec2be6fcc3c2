#include "core/coord/histogram.h"

#include <stddef.h>

/* v = 1xxxxx...b: the doubling is how far its highest bit is above the sixth, the place within it
 * the five bits behind that bit. */
static size_t place_of(uint64_t v)
{
    unsigned shift;

    if (v < HISTOGRAM_SUB)
        return (size_t)v;
    shift = 58u - (unsigned)__builtin_clzll(v); /* 0 for 32..63 */
    if (shift >= HISTOGRAM_DOUBLINGS)
        return HISTOGRAM_PLACES - 1;
    return (size_t)HISTOGRAM_SUB * (shift + 1) + (size_t)(v >> shift) - HISTOGRAM_SUB;
}

/* The greatest value of a place. */
static uint64_t top_of(size_t place)
{
    size_t shift = place / HISTOGRAM_SUB, sub = place % HISTOGRAM_SUB;

    if (shift == 0)
        return place;
    return ((uint64_t)(HISTOGRAM_SUB + sub + 1) << (shift - 1)) - 1;
}

void histogram_add(struct histogram *h, uint64_t v)
{
    h->place[place_of(v)]++;
    h->n++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
}

uint64_t histogram_quantile(const struct histogram *h, double p)
{
    uint64_t want = (uint64_t)(p * (double)h->n), seen = 0, top;

    if (h->n == 0)
        return 0;
    if (want >= h->n)
        want = h->n - 1;
    for (size_t i = 0; i < HISTOGRAM_PLACES; i++) {
        seen += h->place[i];
        if (seen > want) {
            top = top_of(i);
            return top < h->max && i < HISTOGRAM_PLACES - 1 ? top : h->max;
        }
    }
    return h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->n ? (double)h->sum / (double)h->n : 0;
}
