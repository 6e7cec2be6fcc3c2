#include "proxies/vault.h"

#include <sodium.h>

struct vault {
    size_t refs, used, size;
    unsigned char *mem; /* sodium_malloc */
};

struct vault *vault_open(size_t size)
{
    struct vault *v;
    unsigned char *mem;

    if (sodium_init() < 0)
        return NULL;
    mem = sodium_malloc(size ? size : 1);
    if (!mem)
        return NULL;
    v = xcalloc(1, sizeof(*v));
    v->refs = 1;
    v->size = size;
    v->mem = mem;
    return v;
}

struct vault *vault_ref(struct vault *v)
{
    v->refs++;
    return v;
}

void vault_unref(struct vault **vp)
{
    struct vault *v = steal_ptr(vp);

    if (!v || --v->refs)
        return;
    sodium_free(v->mem); /* wipes */
    free(v);
}

unsigned char *vault_take(struct vault *v, size_t n)
{
    unsigned char *p = v->mem + v->used;

    if (n > v->size - v->used)
        return NULL;
    v->used += n;
    return p;
}

size_t vault_room(const struct vault *v)
{
    return v->size - v->used;
}

void vault_wipe(void *p, size_t n)
{
    if (n)
        sodium_memzero(p, n);
}
