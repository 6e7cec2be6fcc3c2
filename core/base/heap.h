/* Binary min-heap of embedded nodes that know their position, so that any element is removed or
 * moved in O(log n). */
#ifndef CORE_BASE_HEAP_H
#define CORE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/attr.h"

struct heap_node {
    size_t pos; /* private; 0 when in no heap, index + 1 otherwise */
};

/** True when `a` comes before `b`. Must be a strict weak order. */
typedef bool heap_before_fn(const struct heap_node *a, const struct heap_node *b);

struct heap {
    struct heap_node **v; /* private */
    size_t len;           /* read only */
    size_t cap;           /* private */
    heap_before_fn *before;
};

void heap_init(struct heap *h, heap_before_fn *before);
/** Frees the array, not the elements. */
void heap_deinit(struct heap *h);
/** Out of memory stops the program. A node may be in one heap only. */
void heap_push(struct heap *h, struct heap_node *n);
/** The least element, left in place, or NULL. */
struct heap_node *heap_peek(const struct heap *h);
/** The least element, taken out, or NULL. */
struct heap_node *heap_pop(struct heap *h);
/** Takes `n` out; harmless when it is in no heap. */
void heap_remove(struct heap *h, struct heap_node *n);
/** Restores the order after the key of `n` changed. */
void heap_update(struct heap *h, struct heap_node *n);
static inline bool heap_has(const struct heap_node *n)
{
    return n->pos != 0;
}

#endif
