/* Min-heap of embedded nodes under 64-bit keys. The keys stand in the heap's own array, four
 * children beside each other, so that finding the least touches no element: for the heaps that are
 * asked at every task. Any element is removed or moved in O(log n). Elements of equal keys come in
 * no particular order; where order is more than a number, use heap.h. */
#ifndef CORE_BASE_KEYHEAP_H
#define CORE_BASE_KEYHEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/attr.h"

struct keyheap_node {
    uint32_t pos; /* private; 0 when in no heap, index + 1 otherwise */
};

struct keyheap_entry {
    uint64_t key;
    struct keyheap_node *node;
};

struct keyheap {
    struct keyheap_entry *v; /* private */
    uint32_t len;            /* read only; below 2^32 - 1 */
    uint32_t cap;            /* private */
};

/** All zero is an empty heap. Frees the array and takes the elements out of it. */
void keyheap_deinit(struct keyheap *h);
/** Out of memory stops the program. A node may be in one heap only. */
void keyheap_push(struct keyheap *h, struct keyheap_node *n, uint64_t key);
/** Takes `n` out; harmless when it is in no heap. */
void keyheap_remove(struct keyheap *h, struct keyheap_node *n);
/** Gives `n`, which is in the heap, another key. */
void keyheap_update(struct keyheap *h, struct keyheap_node *n, uint64_t key);

/** The element with the least key, left in place, or NULL. */
static inline struct keyheap_node *keyheap_peek(const struct keyheap *h)
{
    return h->len ? h->v[0].node : NULL;
}
/** The least key; UINT64_MAX when empty. */
static inline uint64_t keyheap_least(const struct keyheap *h)
{
    return h->len ? h->v[0].key : UINT64_MAX;
}
static inline bool keyheap_has(const struct keyheap_node *n)
{
    return n->pos != 0;
}

#endif
