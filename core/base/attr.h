/* Compiler attributes and the few macros every file may use. Includes nothing of ours. */
#ifndef CORE_BASE_ATTR_H
#define CORE_BASE_ATTR_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define must_check             __attribute__((warn_unused_result))
#define printf_like(fmt, args) __attribute__((format(printf, fmt, args)))
#define no_return              __attribute__((noreturn))
#define maybe_unused           __attribute__((unused))
#define fleet_public           __attribute__((visibility("default")))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/** The struct of type `type` whose member `member` is at `ptr`. Of a pointer to const the const is
 * lost (the union keeps -Wcast-qual quiet): name `const struct x` as the type to keep it. */
#define container_of(ptr, type, member)                                                            \
    ((type *)(void *)((char *)((union {                                                            \
                          const void *in;                                                          \
                          void *out;                                                               \
                      }){.in = (ptr)})                                                             \
                          .out -                                                                   \
                      offsetof(type, member)))

/** An invariant of our own is broken: says where and stops the program (abort, so that a core is
 * left). Never for input, and never for what a peer, a file or the system did. */
#define BUG(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
#define BUG_ON(cond)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!!(cond), 0))                                                         \
            BUG("%s", #cond);                                                                      \
    } while (0)
no_return void bug_at(const char *file, int line, const char *fmt, ...) printf_like(3, 4);

/** Small, fixed allocations: zeroed, never NULL; out of memory stops the program with a message.
 *  Sizes that come from input go through buf or arena, which have caps. */
must_check void *xcalloc(size_t n, size_t size);
/** As reallocarray: the elements that are new are not zeroed. */
must_check void *xreallocarray(void *p, size_t n, size_t size);
must_check char *xstrdup(const char *s);

static inline void cleanup_free_fn(void *p)
{
    free(*(void **)p);
}
static inline void cleanup_fd_fn(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define cleanup_free __attribute__((cleanup(cleanup_free_fn)))
#define cleanup_fd   __attribute__((cleanup(cleanup_fd_fn)))

/** Takes the pointer out of a variable marked cleanup_free, leaving NULL. */
#define steal_ptr(pp)                                                                              \
    __extension__({                                                                                \
        __typeof__(*(pp)) t_ = *(pp);                                                              \
        *(pp) = NULL;                                                                              \
        t_;                                                                                        \
    })
static inline int steal_fd(int *fd)
{
    int t = *fd;
    *fd = -1;
    return t;
}

#endif
