/* Bump allocator. Name the lifetime first, then choose the arena: program, instance, session,
 * attempt, message. Memory is zeroed and aligned for any type; it is given back all at once by
 * reset or destroy. One thread at a time. */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include "core/base/attr.h"
#include "core/base/str.h"

struct arena;

/** A new arena; with `parent` it is destroyed with it (and may be destroyed earlier). Blocks grow
 * from 1 KiB to 64 KiB. `max_bytes` caps all it hands out, 0: no cap. */
struct arena *arena_create(struct arena *parent, size_t max_bytes);
/** Runs cleanups (last registered first), destroys children, frees everything, sets *a to NULL.
 * NULL is fine. */
void arena_destroy(struct arena **a);
/** As destroy, but the arena itself stays usable and keeps its first block. */
void arena_reset(struct arena *a);

/** Never NULL; past max_bytes or out of memory stops the program. For sizes of our own. */
void *arena_alloc(struct arena *a, size_t size) must_check __attribute__((malloc, returns_nonnull));
/** NULL past max_bytes or out of memory. For sizes that come from input. */
void *arena_try_alloc(struct arena *a, size_t size) must_check;
char *arena_strdup(struct arena *a, const char *s) must_check;
/** A NUL-terminated copy of the bytes. */
char *arena_strndup(struct arena *a, const char *s, size_t len) must_check;
struct str arena_str(struct arena *a, struct str s) must_check;
char *arena_printf(struct arena *a, const char *fmt, ...) must_check printf_like(2, 3);

/** Calls fn(arg) at reset or destroy. */
void arena_on_reset(struct arena *a, void (*fn)(void *arg), void *arg);
size_t arena_used(const struct arena *a);

#define arena_new(a, type)      ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc((a), sizeof(type) * (size_t)(n)))

#endif
