#include "core/base/keyheap.h"

enum { CAP_MIN = 1, CHILDREN = 4 };

static void place(struct keyheap *h, uint32_t i, struct keyheap_entry e)
{
    h->v[i] = e;
    e.node->pos = i + 1;
}

/* Both sifts move a hole instead of swapping: one write a level. */
static void sift_up(struct keyheap *h, uint32_t i, struct keyheap_entry e)
{
    while (i > 0) {
        uint32_t parent = (i - 1) / CHILDREN;

        if (h->v[parent].key <= e.key)
            break;
        place(h, i, h->v[parent]);
        i = parent;
    }
    place(h, i, e);
}

static size_t lesser(const struct keyheap *h, size_t a, size_t b)
{
    return h->v[b].key < h->v[a].key ? b : a;
}

/* Pairs, not a walk: which child is the least is anybody's guess, and so the processor is given no
 * branch to guess. */
static size_t least_child(const struct keyheap *h, size_t first)
{
    size_t least = first;

    if (first + CHILDREN <= h->len)
        return lesser(h, lesser(h, first, first + 1), lesser(h, first + 2, first + 3));
    for (size_t i = first + 1; i < h->len; i++)
        least = lesser(h, least, i);
    return least;
}

static void sift_down(struct keyheap *h, uint32_t i, struct keyheap_entry e)
{
    for (;;) {
        size_t first = (size_t)i * CHILDREN + 1;
        size_t child;

        if (first >= h->len)
            break;
        child = least_child(h, first);
        if (e.key <= h->v[child].key)
            break;
        place(h, i, h->v[child]);
        i = (uint32_t)child;
    }
    place(h, i, e);
}

static void settle(struct keyheap *h, uint32_t i, struct keyheap_entry e)
{
    if (i > 0 && e.key < h->v[(i - 1) / CHILDREN].key)
        sift_up(h, i, e);
    else
        sift_down(h, i, e);
}

void keyheap_deinit(struct keyheap *h)
{
    for (uint32_t i = 0; i < h->len; i++)
        h->v[i].node->pos = 0;
    free(h->v);
    *h = (struct keyheap){0};
}

void keyheap_push(struct keyheap *h, struct keyheap_node *n, uint64_t key)
{
    BUG_ON(n->pos != 0);
    if (h->len == h->cap) {
        BUG_ON(h->cap >= UINT32_MAX / 2);
        h->cap = h->cap ? h->cap * 2 : CAP_MIN;
        h->v = xreallocarray(h->v, h->cap, sizeof(*h->v));
    }
    sift_up(h, h->len++, (struct keyheap_entry){key, n});
}

void keyheap_remove(struct keyheap *h, struct keyheap_node *n)
{
    uint32_t i = n->pos - 1;
    struct keyheap_entry last;

    if (n->pos == 0)
        return;
    BUG_ON(i >= h->len || h->v[i].node != n);
    n->pos = 0;
    last = h->v[--h->len];
    if (last.node != n)
        settle(h, i, last);
}

void keyheap_update(struct keyheap *h, struct keyheap_node *n, uint64_t key)
{
    uint32_t i = n->pos - 1;

    BUG_ON(i >= h->len || h->v[i].node != n);
    if (h->v[i].key != key)
        settle(h, i, (struct keyheap_entry){key, n});
}
