/* A leak on purpose, as a preloaded library, for tests that look for one: each write to a
 * pipe, socket or file costs it LEAK_BYTES (default 1024) of memory that it touches, and every 16th
 * a descriptor. Only in the process whose name is LEAK_IN. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static size_t n_bytes;
static void *volatile kept;

__attribute__((constructor)) static void begin(void)
{
    const char *in = getenv("LEAK_IN"), *bytes = getenv("LEAK_BYTES");

    if (in != NULL && strcmp(in, program_invocation_short_name) == 0)
        n_bytes = bytes != NULL ? strtoul(bytes, NULL, 10) : 1024;
}

static void leak(void)
{
    static unsigned n;
    void *p = n_bytes > 0 ? malloc(n_bytes) : NULL;

    if (p == NULL)
        return;
    memset(p, 0x5a, n_bytes);
    kept = p;
    if (__atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) % 16 == 0)
        (void)fcntl(2, F_DUPFD_CLOEXEC, 3);
}

ssize_t write(int fd, const void *data, size_t n)
{
    leak();
    return syscall(SYS_write, fd, data, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    leak();
    return syscall(SYS_writev, fd, v, n);
}
