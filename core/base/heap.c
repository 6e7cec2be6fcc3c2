#include "core/base/heap.h"

enum { HEAP_CAP_MIN = 16 };

static void place(struct heap *h, size_t i, struct heap_node *n)
{
    h->v[i] = n;
    n->pos = i + 1;
}

/* Both sifts move a hole instead of swapping: one write a level. */
static void sift_up(struct heap *h, size_t i, struct heap_node *n)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;

        if (!h->before(n, h->v[parent]))
            break;
        place(h, i, h->v[parent]);
        i = parent;
    }
    place(h, i, n);
}

static void sift_down(struct heap *h, size_t i, struct heap_node *n)
{
    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= h->len)
            break;
        if (child + 1 < h->len && h->before(h->v[child + 1], h->v[child]))
            child++;
        if (!h->before(h->v[child], n))
            break;
        place(h, i, h->v[child]);
        i = child;
    }
    place(h, i, n);
}

static void settle(struct heap *h, size_t i, struct heap_node *n)
{
    if (i > 0 && h->before(n, h->v[(i - 1) / 2]))
        sift_up(h, i, n);
    else
        sift_down(h, i, n);
}

void heap_init(struct heap *h, heap_before_fn *before)
{
    *h = (struct heap){.before = before};
}

void heap_deinit(struct heap *h)
{
    for (size_t i = 0; i < h->len; i++)
        h->v[i]->pos = 0;
    free(h->v);
    *h = (struct heap){.before = h->before};
}

void heap_push(struct heap *h, struct heap_node *n)
{
    BUG_ON(n->pos != 0);
    if (h->len == h->cap) {
        h->cap = h->cap ? h->cap * 2 : HEAP_CAP_MIN;
        h->v = xreallocarray(h->v, h->cap, sizeof(*h->v));
    }
    sift_up(h, h->len++, n);
}

struct heap_node *heap_peek(const struct heap *h)
{
    return h->len ? h->v[0] : NULL;
}

struct heap_node *heap_pop(struct heap *h)
{
    struct heap_node *n = heap_peek(h);

    if (n)
        heap_remove(h, n);
    return n;
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    size_t i = n->pos - 1;
    struct heap_node *last;

    if (n->pos == 0)
        return;
    BUG_ON(i >= h->len || h->v[i] != n);
    n->pos = 0;
    last = h->v[--h->len];
    if (last != n)
        settle(h, i, last);
}

void heap_update(struct heap *h, struct heap_node *n)
{
    size_t i = n->pos - 1;

    BUG_ON(i >= h->len || h->v[i] != n);
    settle(h, i, n);
}
