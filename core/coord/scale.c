#include "core/coord/scale.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/attr.h"

enum { PROC_MAX = 8192 };

static uint32_t clamp(uint64_t v, const struct scale_conf *c)
{
    return v < c->min ? c->min : v > c->max ? c->max : (uint32_t)v;
}

static const char *pressure(const struct scale_seen *s)
{
    if (s->memory_pressure > SCALE_MEMORY_HIGH)
        return "memory pressure";
    if (s->available >= 0 && s->available < SCALE_AVAILABLE_LOW)
        return "little memory is left";
    if (s->cpu_pressure > SCALE_CPU_HIGH)
        return "processor pressure";
    return NULL;
}

static uint32_t quarter_less(uint32_t n)
{
    return n - (n > 4 ? n / 4 : n > 1 ? 1 : 0);
}

static uint32_t decide(struct autoscaler *a, const struct scale_seen *s, const char **why)
{
    bool spare = s->waiting == 0 && s->active * 2 < s->slots;

    *why = pressure(s);
    a->idle = spare ? a->idle + 1 : 0;
    if (*why)
        return clamp(quarter_less(s->slots), &a->conf);
    if (s->waiting > 2 * s->active && s->active >= s->slots) {
        *why = "more than twice as many wait as run";
        return clamp((uint64_t)s->slots * 2, &a->conf);
    }
    if (a->idle >= SCALE_IDLE_PERIODS) {
        a->idle = 0;
        *why = "less than half of them is in use";
        return clamp(quarter_less(s->slots), &a->conf);
    }
    return clamp(s->slots, &a->conf);
}

uint32_t scale_decide(struct autoscaler *a, const struct scale_seen *s, const char **why)
{
    uint32_t n = decide(a, s, why);

    if (n == s->slots)
        *why = "";
    else if (!*why)
        *why = "the bounds";
    return n;
}

/* --- the machine --- */

static double number_after(struct str text, struct str name)
{
    ptrdiff_t at = str_find(text, name);
    char digits[32] = "";
    struct str rest;
    size_t n = 0;

    if (at < 0)
        return -1;
    rest = str_trim(str_skip(text, (size_t)at + name.len));
    while (n < rest.len && n < sizeof(digits) - 1 &&
           ((rest.ptr[n] >= '0' && rest.ptr[n] <= '9') || rest.ptr[n] == '.')) {
        digits[n] = rest.ptr[n];
        n++;
    }
    return n > 0 ? strtod(digits, NULL) : -1;
}

double scale_parse_pressure(struct str text)
{
    return number_after(text, STR("some avg10="));
}

double scale_parse_meminfo(struct str text)
{
    double total = number_after(text, STR("MemTotal:"));
    double available = number_after(text, STR("MemAvailable:"));

    return total > 0 && available >= 0 ? 100 * available / total : -1;
}

static struct str read_proc(const char *path, char buf[PROC_MAX])
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, PROC_MAX) : -1;

    return str_n(buf, n > 0 ? (size_t)n : 0);
}

void scale_look(struct scale_seen *s)
{
    char buf[PROC_MAX];

    s->cpu_pressure = scale_parse_pressure(read_proc("/proc/pressure/cpu", buf));
    s->memory_pressure = scale_parse_pressure(read_proc("/proc/pressure/memory", buf));
    s->available = scale_parse_meminfo(read_proc("/proc/meminfo", buf));
}
