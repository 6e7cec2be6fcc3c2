#include "core/base/attr.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The message is put together on the stack and leaves in one write, so that it comes out whole even
 * when memory is gone or another thread is writing. */
void bug_at(const char *file, int line, const char *fmt, ...)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "BUG at %s:%d: ", file, line);
    size_t used = n > 0 && (size_t)n < sizeof(text) ? (size_t)n : 0;
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text + used, sizeof(text) - used, fmt, ap);
    va_end(ap);
    used = strlen(text);
    if (used == sizeof(text) - 1)
        used--;
    text[used++] = '\n';
    if (write(STDERR_FILENO, text, used) < 0)
        abort();
    abort();
}

static no_return void out_of_memory(size_t size)
{
    char text[80];
    int n = snprintf(text, sizeof(text), "out of memory: no %zu bytes\n", size);

    if (n > 0 && write(STDERR_FILENO, text, (size_t)n) < 0)
        abort();
    abort();
}

void *xcalloc(size_t n, size_t size)
{
    void *p;

    if (n == 0 || size == 0)
        n = size = 1;
    p = calloc(n, size);
    if (!p)
        out_of_memory(size > SIZE_MAX / n ? SIZE_MAX : n * size);
    return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
    void *q;

    if (n == 0 || size == 0)
        n = size = 1;
    q = reallocarray(p, n, size);
    if (!q)
        out_of_memory(size > SIZE_MAX / n ? SIZE_MAX : n * size);
    return q;
}

char *xstrdup(const char *s)
{
    char *p = strdup(s);

    if (!p)
        out_of_memory(strlen(s) + 1);
    return p;
}
