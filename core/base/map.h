/* Hash map from bytes or 64-bit integers to pointers. Keys are hashed with SipHash and a random
 * seed of each map, so that input cannot choose collisions. Keys of bytes are copied. Order of
 * iteration is that of insertion as long as nothing was removed. One thread. */
#ifndef CORE_BASE_MAP_H
#define CORE_BASE_MAP_H

#include <stdint.h>

#include "core/base/attr.h"
#include "core/base/str.h"

struct map;

struct map *map_create(void);
/** Frees the map and, with `free_value`, each value; sets *m to NULL. */
void map_destroy(struct map **m, void (*free_value)(void *value));
size_t map_len(const struct map *m);

/** Puts value (not NULL) under key; returns the value it replaced, or NULL. */
void *map_put(struct map *m, struct str key, void *value);
/** Borrowed; NULL when absent. */
void *map_find(const struct map *m, struct str key);
/** Takes the value out; NULL when absent. */
void *map_remove(struct map *m, struct str key);

void *map_put_u64(struct map *m, uint64_t key, void *value);
void *map_find_u64(const struct map *m, uint64_t key);
void *map_remove_u64(struct map *m, uint64_t key);

/** Iteration: size_t it = 0; while ((v = map_next(m, &it, &key))) ... The body may remove the
 * current entry and nothing else. `key` may be NULL; for u64 keys it is the 8 bytes of the integer.
 */
void *map_next(const struct map *m, size_t *it, struct str *key);

#endif
