/* What there is to see of the machine: /proc/pressure, /proc/meminfo, and what the cgroups that we
 * are in were given. In a container the machine's own figures say little. */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "core/coord/scale.h"

enum { PROC_MAX = 8192 };

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

/* --- cgroups --- */

/* Names of files; a cgroup of version 1 tells no pressure. */
struct files {
    const char *limit, *used;
    const char *cache[2]; /* lines of memory.stat: what is given back when it is wanted */
};

static const struct files version_1 = {"memory.limit_in_bytes",
                                       "memory.usage_in_bytes",
                                       {"\ntotal_inactive_file ", "\ntotal_active_file "}};
static const struct files version_2 = {
    "memory.max", "memory.current", {"\ninactive_file ", "\nactive_file "}};

static struct str read_in(const char *dir, const char *file, char buf[PROC_MAX])
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
        return STR_NONE;
    return read_proc(path, buf);
}

/* Of the limit, in percent; negative: there is none ("max", or more than there can be). */
static double left_in(const char *dir, const struct files *f)
{
    char buf[PROC_MAX];
    double limit = number_after(read_in(dir, f->limit, buf), STR_NONE);
    double used = number_after(read_in(dir, f->used, buf), STR_NONE);
    struct str stat = read_in(dir, "memory.stat", buf);

    if (limit <= 0 || limit > (double)(INT64_MAX / 2) || used < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(f->cache); i++) {
        double cache = number_after(stat, str_from(f->cache[i]));

        used -= cache > 0 ? cache : 0;
    }
    return used < limit ? 100 * (limit - (used > 0 ? used : 0)) / limit : 0;
}

static void more(double *at, double seen)
{
    if (seen > *at)
        *at = seen;
}

struct looker {
    const struct files *files;
    void (*look)(const char *dir, const struct files *f, void *seen);
    void *seen;
};

static void look_in(const char *dir, const struct files *f, void *seen)
{
    struct scale_seen *s = seen;
    char buf[PROC_MAX];
    double left = left_in(dir, f);

    if (left >= 0 && (s->available < 0 || left < s->available))
        s->available = left;
    if (f != &version_2)
        return;
    more(&s->cpu_pressure, scale_parse_pressure(read_in(dir, "cpu.pressure", buf)));
    more(&s->memory_pressure, scale_parse_pressure(read_in(dir, "memory.pressure", buf)));
}

/* The directory and those above it, up to the hierarchy's root, whose limits hold as well. Where
 * a container is shown its own part alone, the path is not there and the root is its own. */
static void look_up(const char *root, struct str path, const struct looker *l)
{
    char dir[PATH_MAX];
    size_t base = strlen(root);

    if (snprintf(dir, sizeof(dir), "%s%.*s", root, STR_ARG(path)) >= (int)sizeof(dir) ||
        str_find(path, STR("..")) >= 0)
        return;
    for (;;) {
        char *slash = strrchr(dir, '/');

        l->look(dir, l->files, l->seen);
        if (strlen(dir) <= base || slash == NULL || (size_t)(slash - dir) < base)
            return;
        *slash = '\0';
    }
}

/* Of each hierarchy that we are in: that of a controller of version 1, and that of version 2. */
static void look_all(struct str own, const char *root, const char *controller,
                     const struct looker *one, const struct looker *two)
{
    char dir[PATH_MAX];

    while (own.len > 0) { /* "4:memory:/a/b", "3:cpu,cpuacct:/a", "0::/a/b" */
        struct str line = str_cut(&own, '\n'), rest = line;
        bool found = false;

        (void)str_cut(&rest, ':');
        line = str_cut(&rest, ':');
        if (line.len == 0)
            look_up(root, rest, two);
        while (line.len > 0)
            found = str_eqz(str_cut(&line, ','), controller) || found;
        if (found && snprintf(dir, sizeof(dir), "%s/%s", root, controller) < (int)sizeof(dir))
            look_up(dir, rest, one);
    }
}

void scale_look_cgroup(struct str own, const char *root, struct scale_seen *s)
{
    look_all(own, root, "memory", &(struct looker){&version_1, look_in, s},
             &(struct looker){&version_2, look_in, s});
}

/* --- processors --- */

static void take_quota(double quota, double period, double used_ms, double throttled_ms,
                       struct cpu_seen *s)
{
    if (quota <= 0 || period <= 0 || quota / period >= s->cpus)
        return;
    s->cpus = quota / period;
    s->used_ms = used_ms;
    s->throttled_ms = throttled_ms;
}

static double scaled(double v, double per)
{
    return v >= 0 ? v / per : -1;
}

static void look_cpu_1(const char *dir, const struct files *f, void *seen)
{
    char buf[PROC_MAX];
    double quota = number_after(read_in(dir, "cpu.cfs_quota_us", buf), STR_NONE); /* -1: none */
    double period = number_after(read_in(dir, "cpu.cfs_period_us", buf), STR_NONE);
    double used = number_after(read_in(dir, "cpuacct.usage", buf), STR_NONE);
    double held = number_after(read_in(dir, "cpu.stat", buf), STR("throttled_time "));

    (void)f;
    take_quota(quota, period, scaled(used, 1e6), scaled(held, 1e6), seen);
}

static void look_cpu_2(const char *dir, const struct files *f, void *seen)
{
    struct cpu_seen *s = seen;
    char buf[PROC_MAX];
    struct str text = read_in(dir, "cpu.max", buf); /* "150000 100000", "max 100000" */
    double quota = number_after(text, STR_NONE), period, waited;

    (void)f;
    (void)str_cut(&text, ' ');
    period = number_after(text, STR_NONE);
    text = read_in(dir, "cpu.stat", buf);
    take_quota(quota, period, scaled(number_after(text, STR("usage_usec ")), 1e3),
               scaled(number_after(text, STR("throttled_usec ")), 1e3), s);
    waited = scale_parse_waited(read_in(dir, "cpu.pressure", buf));
    if (s->waited_ms < 0)
        s->waited_ms = waited;
}

void scale_look_cpu_cgroup(struct str own, const char *root, struct cpu_seen *s)
{
    double machine = s->waited_ms;

    s->waited_ms = -1; /* the nearest group's */
    look_all(own, root, "cpu", &(struct looker){NULL, look_cpu_1, s},
             &(struct looker){NULL, look_cpu_2, s});
    if (s->waited_ms < 0)
        s->waited_ms = machine;
}

double scale_parse_waited(struct str text)
{
    ptrdiff_t at = str_find(text, STR("some "));

    return at >= 0 ? scaled(number_after(str_skip(text, (size_t)at), STR("total=")), 1e3) : -1;
}

double scale_parse_idle(struct str text)
{
    double ticks = -1, per_s = (double)sysconf(_SC_CLK_TCK);

    text = str_cut(&text, '\n');
    if (!str_starts(text, STR("cpu ")) || per_s <= 0)
        return -1;
    text = str_trim(str_skip(text, 4));
    for (int i = 0; i < 4; i++) /* user nice system idle */
        ticks = number_after(i < 3 ? str_cut(&text, ' ') : text, STR_NONE);
    return scaled(ticks, per_s / 1000);
}

static double cpus_of_ours(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    return (double)sysconf(_SC_NPROCESSORS_ONLN);
}

void scale_look_cpu(struct cpu_seen *s)
{
    char buf[PROC_MAX];

    *s = (struct cpu_seen){.cpus = cpus_of_ours(), .used_ms = -1, .throttled_ms = -1};
    s->waited_ms = scale_parse_waited(read_proc("/proc/pressure/cpu", buf));
    scale_look_cpu_cgroup(read_proc("/proc/self/cgroup", buf), "/sys/fs/cgroup", s);
    s->idle_ms = s->waited_ms < 0 ? scale_parse_idle(read_proc("/proc/stat", buf)) : -1;
}

/* --- all of it --- */

void scale_look(struct scale_seen *s)
{
    char buf[PROC_MAX];

    s->cpu_pressure = scale_parse_pressure(read_proc("/proc/pressure/cpu", buf));
    s->memory_pressure = scale_parse_pressure(read_proc("/proc/pressure/memory", buf));
    s->available = scale_parse_meminfo(read_proc("/proc/meminfo", buf));
    scale_look_cgroup(read_proc("/proc/self/cgroup", buf), "/sys/fs/cgroup", s);
}
