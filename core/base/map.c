/* Entries stand in an array in the order they came; a second array, open addressing with linear
 * probing, holds their positions. So iteration is a walk over dense memory in insertion order, and
 * a removed entry is a hole that keeps its place in both until the arrays are next made anew. */
#include "core/base/map.h"

#include <sodium.h>

#include "core/base/rng.h"

enum { MAP_SLOTS_MIN = 16, KEY_INLINE = 16 };

_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "a hash is 64 bits");

struct entry {
    uint64_t hash;
    void *value; /* NULL: removed */
    size_t key_len;
    union {
        char here[KEY_INLINE];
        char *heap; /* when key_len > KEY_INLINE */
    } key;
};

struct map {
    struct entry *entries;
    size_t n_entries; /* with the holes */
    uint32_t *slots;  /* index of an entry + 1; 0: never used */
    size_t n_slots;   /* a power of two, at least 4/3 of the room for entries */
    size_t len;
    unsigned char seed[crypto_shorthash_KEYBYTES];
};

/* Of `n_slots`, three quarters may be in use before the table is made anew. */
static size_t room(size_t n_slots)
{
    return n_slots / 4 * 3;
}

static struct str entry_key(const struct entry *e)
{
    return str_n(e->key_len > KEY_INLINE ? e->key.heap : e->key.here, e->key_len);
}

static void entry_drop_key(struct entry *e)
{
    if (e->key_len > KEY_INLINE)
        free(e->key.heap);
}

static uint64_t hash_of(const struct map *m, struct str key)
{
    uint64_t h;

    (void)crypto_shorthash((unsigned char *)&h, (const unsigned char *)(key.len ? key.ptr : ""),
                           key.len, m->seed);
    return h;
}

struct map *map_create(void)
{
    struct map *m = xcalloc(1, sizeof(*m));

    rng_bytes(m->seed, sizeof(m->seed));
    return m;
}

void map_destroy(struct map **m, void (*free_value)(void *value))
{
    struct map *gone = *m;

    if (!gone)
        return;
    *m = NULL;
    for (size_t i = 0; i < gone->n_entries; i++) {
        struct entry *e = &gone->entries[i];

        if (!e->value)
            continue;
        entry_drop_key(e);
        if (free_value)
            free_value(e->value);
    }
    free(gone->entries);
    free(gone->slots);
    free(gone);
}

size_t map_len(const struct map *m)
{
    return m->len;
}

static void slot_put(struct map *m, uint64_t hash, size_t index)
{
    size_t i = (size_t)hash & (m->n_slots - 1);

    while (m->slots[i] != 0)
        i = (i + 1) & (m->n_slots - 1);
    m->slots[i] = (uint32_t)(index + 1);
}

/* Makes both arrays anew without the holes, with room for twice what is in use. */
static void rebuild(struct map *m)
{
    size_t n = 0, n_slots = MAP_SLOTS_MIN;

    while (room(n_slots) <= 2 * m->len)
        n_slots *= 2;
    BUG_ON(room(n_slots) >= UINT32_MAX);
    for (size_t i = 0; i < m->n_entries; i++) {
        if (m->entries[i].value)
            m->entries[n++] = m->entries[i];
    }
    m->n_entries = n;
    m->entries = xreallocarray(m->entries, room(n_slots), sizeof(*m->entries));
    free(m->slots);
    m->slots = xcalloc(n_slots, sizeof(*m->slots));
    m->n_slots = n_slots;
    for (size_t i = 0; i < n; i++)
        slot_put(m, m->entries[i].hash, i);
}

static struct entry *find(const struct map *m, struct str key, uint64_t hash)
{
    if (m->len == 0)
        return NULL;
    for (size_t i = (size_t)hash & (m->n_slots - 1); m->slots[i] != 0;
         i = (i + 1) & (m->n_slots - 1)) {
        struct entry *e = &m->entries[m->slots[i] - 1];

        if (e->value && e->hash == hash && str_eq(entry_key(e), key))
            return e;
    }
    return NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    uint64_t hash = hash_of(m, key);
    struct entry *e = find(m, key, hash);
    char *copy;

    BUG_ON(!value);
    if (e) {
        void *old = e->value;

        e->value = value;
        return old;
    }
    if (m->n_entries == room(m->n_slots))
        rebuild(m);
    e = &m->entries[m->n_entries];
    *e = (struct entry){.hash = hash, .value = value, .key_len = key.len};
    copy = e->key.here;
    if (key.len > KEY_INLINE)
        copy = e->key.heap = xcalloc(1, key.len);
    if (key.len)
        memcpy(copy, key.ptr, key.len);
    slot_put(m, hash, m->n_entries++);
    m->len++;
    return NULL;
}

void *map_find(const struct map *m, struct str key)
{
    struct entry *e = find(m, key, hash_of(m, key));

    return e ? e->value : NULL;
}

void *map_remove(struct map *m, struct str key)
{
    struct entry *e = find(m, key, hash_of(m, key));
    void *value;

    if (!e)
        return NULL;
    value = e->value;
    entry_drop_key(e);
    e->value = NULL;
    m->len--;
    return value;
}

static struct str u64_key(const uint64_t *key)
{
    return str_n((const char *)key, sizeof(*key));
}

void *map_put_u64(struct map *m, uint64_t key, void *value)
{
    return map_put(m, u64_key(&key), value);
}

void *map_find_u64(const struct map *m, uint64_t key)
{
    return map_find(m, u64_key(&key));
}

void *map_remove_u64(struct map *m, uint64_t key)
{
    return map_remove(m, u64_key(&key));
}

void *map_next(const struct map *m, size_t *it, struct str *key)
{
    while (*it < m->n_entries) {
        const struct entry *e = &m->entries[(*it)++];

        if (!e->value)
            continue;
        if (key)
            *key = entry_key(e);
        return e->value;
    }
    return NULL;
}
