/* Blocks form a stack; only the top one is allocated from. The arena itself lives at the start of
 * its first block, so that a small arena is one malloc. An allocation larger than a quarter of the
 * largest block gets a block of its own, put under the top one, so that what is left of that is not
 * lost. */
#include "core/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/list.h"

enum { BLOCK_MIN = 1024, BLOCK_MAX = 64 * 1024, OWN_BLOCK = BLOCK_MAX / 4 };

struct block {
    struct block *below;
    size_t size; /* bytes of data */
    size_t used;
    _Alignas(max_align_t) char data[];
};

struct cleanup {
    struct cleanup *next;
    void (*fn)(void *arg);
    void *arg;
};

struct arena {
    struct block *top;
    struct block *first; /* holds this struct */
    size_t first_used;   /* of the first block, right after creation */
    struct cleanup *cleanups;
    struct list children;
    struct list sibling;
    size_t max_bytes;
    size_t used;
};

static size_t aligned(size_t n)
{
    return (n + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
}

static struct block *block_create(size_t size)
{
    struct block *b = malloc(sizeof(*b) + size);

    if (b)
        *b = (struct block){.size = size};
    return b;
}

static void *block_take(struct block *b, size_t size)
{
    void *p = b->data + b->used;

    b->used += size;
    return p;
}

struct arena *arena_create(struct arena *parent, size_t max_bytes)
{
    struct block *b = block_create(BLOCK_MIN - sizeof(struct block));
    struct arena *a;

    if (!b)
        BUG("out of memory: no arena");
    a = block_take(b, aligned(sizeof(*a)));
    *a = (struct arena){.top = b, .first = b, .first_used = b->used, .max_bytes = max_bytes};
    list_init(&a->children);
    list_init(&a->sibling);
    if (parent)
        list_push(&parent->children, &a->sibling);
    return a;
}

void arena_reset(struct arena *a)
{
    struct cleanup *c;
    struct list *child;

    while ((c = a->cleanups)) {
        a->cleanups = c->next; /* before the call: it may register or allocate */
        c->fn(c->arg);
    }
    while ((child = list_pop(&a->children))) {
        struct arena *gone = list_entry(child, struct arena, sibling);

        arena_destroy(&gone);
    }
    /* The first block may have been passed by one of its own below it: walk the whole stack. */
    for (struct block *b = a->top, *below; b; b = below) {
        below = b->below;
        if (b != a->first)
            free(b);
    }
    a->top = a->first;
    a->first->below = NULL;
    a->first->used = a->first_used;
    a->used = 0;
}

void arena_destroy(struct arena **a)
{
    struct arena *gone = *a;

    if (!gone)
        return;
    arena_reset(gone);
    list_remove(&gone->sibling);
    *a = NULL;
    free(gone->first);
}

/* A block with room for `size` bytes on top of the stack; false when out of memory. */
static bool grow(struct arena *a, size_t size)
{
    size_t want = a->top->size * 2 < BLOCK_MAX ? a->top->size * 2 : BLOCK_MAX;
    struct block *b = block_create(want > size ? want : size);

    if (!b)
        return false;
    b->below = a->top;
    a->top = b;
    return true;
}

static void *own_block(struct arena *a, size_t size)
{
    struct block *b = block_create(size);

    if (!b)
        return NULL;
    b->below = a->top->below;
    a->top->below = b;
    return block_take(b, size);
}

void *arena_try_alloc(struct arena *a, size_t size)
{
    size_t need;
    void *p;

    if (size > SIZE_MAX / 2 || (a->max_bytes && size > a->max_bytes - a->used))
        return NULL;
    need = aligned(size ? size : 1);
    if (need > OWN_BLOCK) {
        p = own_block(a, need);
    } else {
        if (need > a->top->size - a->top->used && !grow(a, need))
            return NULL;
        p = block_take(a->top, need);
    }
    if (!p)
        return NULL;
    a->used += size;
    return memset(p, 0, need);
}

void *arena_alloc(struct arena *a, size_t size)
{
    void *p = arena_try_alloc(a, size);

    if (!p)
        BUG("arena: no %zu bytes (%zu in use, cap %zu)", size, a->used, a->max_bytes);
    return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t len)
{
    char *p = arena_alloc(a, len + 1);

    if (len)
        memcpy(p, s, len);
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

struct str arena_str(struct arena *a, struct str s)
{
    if (!s.ptr)
        return STR_NONE;
    return str_n(arena_strndup(a, s.ptr, s.len), s.len);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    char *p;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    p = arena_alloc(a, (size_t)n + 1);
    va_start(ap, fmt);
    (void)vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void arena_on_reset(struct arena *a, void (*fn)(void *arg), void *arg)
{
    struct cleanup *c = arena_new(a, struct cleanup);

    *c = (struct cleanup){.next = a->cleanups, .fn = fn, .arg = arg};
    a->cleanups = c;
}

size_t arena_used(const struct arena *a)
{
    return a->used;
}
