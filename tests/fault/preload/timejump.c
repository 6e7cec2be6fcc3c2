/* A wall clock that jumps, as a preloaded library: CLOCK_REALTIME is off by up to hours, another
 * offset every few milliseconds; the monotonic clock goes on as it does.
 *
 *   TIMEJUMP_SEED=s      of the jumps (0 or absent: no jumps)
 *   TIMEJUMP_EVERY_MS=n  how long an offset lasts (20)
 *   TIMEJUMP_MAX_S=n     offsets are within +- this (21600)
 *
 * The variables stay, so that children jump as well. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed, every_ms = 20;
static int64_t max_s = 21600;

static uint64_t env(const char *name, uint64_t otherwise)
{
    const char *v = getenv(name);

    return v && *v ? strtoull(v, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
    every_ms = env("TIMEJUMP_EVERY_MS", 20);
    max_s = (int64_t)env("TIMEJUMP_MAX_S", 21600);
    seed = env("TIMEJUMP_SEED", 0);
}

/* A function of the monotonic clock alone: all threads agree. */
static int64_t offset_s(void)
{
    struct timespec mono;
    uint64_t x;

    if (seed == 0 || every_ms == 0)
        return 0;
    (void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &mono);
    x = ((uint64_t)mono.tv_sec * 1000 + (uint64_t)mono.tv_nsec / 1000000) / every_ms + seed;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    return (int64_t)(x % (uint64_t)(2 * max_s + 1)) - max_s;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    int r = (int)syscall(SYS_clock_gettime, id, ts);

    if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ts->tv_sec += offset_s();
    return r;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    int r = (int)syscall(SYS_gettimeofday, tv, zone);

    if (r == 0)
        tv->tv_sec += offset_s();
    return r;
}

time_t time(time_t *out)
{
    struct timespec ts = {0};

    (void)clock_gettime(CLOCK_REALTIME, &ts);
    if (out)
        *out = ts.tv_sec;
    return ts.tv_sec;
}
