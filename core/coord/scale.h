/* How many slots there should be: more when much waits, fewer when little is done, within bounds
 * and what the machine bears; where their number is fixed, how many of them may be in use; and
 * whether another task may begin while those that run keep the processors busy.
 * Pure, but for scale_look and scale_look_cpu. */
#ifndef CORE_COORD_SCALE_H
#define CORE_COORD_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/str.h"

enum {
    SCALE_PERIOD_MS = 2000,
    SCALE_IDLE_PERIODS = 5, /* with slots to spare, before one is given up */
    SCALE_CPU_HIGH = 60,    /* defaults of the bounds below */
    SCALE_MEMORY_HIGH = 10,
    SCALE_AVAILABLE_LOW = 10,
    SCALE_TEXT_MAX = 160,
    SCALE_PER_CPU = 2,
    SCALE_ROOM_MS = 250,    /* a look for room takes so long */
    SCALE_ROOM_WAITED = 25, /* percent of it: something waited for a processor less than that */
    SCALE_ROOM_IDLE = 25, /* where that is not told: processors had nothing to do more than that */
};

/** "autoscale" of a campaign. */
struct scale_conf {
    uint32_t min, max; /* 1 <= min <= max; max 0: there is no autoscaler */
    /* What the machine is to bear, in percent. Above (available: below) it is under pressure. */
    uint32_t cpu;    /* of the last 10 s in which something waited for a processor; 100: never; 0:
                        SCALE_CPU_HIGH for the autoscaler, and never where there is none */
    uint32_t memory; /* in which something waited for memory; 100: never */
    uint32_t available; /* of memory that is available; 0: never */
    uint32_t per_cpu;   /* tasks that work, for each processor, before another one begins only while
                           there is room; 0: no bound */
};

/** What is seen; a share that cannot be told is negative. */
struct scale_seen {
    uint32_t slots;
    uint64_t active, waiting;
    double cpu_pressure, memory_pressure; /* "some avg10" of /proc/pressure, 0..100 */
    double available;                     /* MemAvailable of MemTotal, 0..100 */
    /* Of both the machine's and its cgroup's the worse counts. */
};

struct autoscaler {
    struct scale_conf conf;
    uint32_t idle; /* periods in a row with slots to spare */
};

/** Where the number of slots is fixed. Zero at first. */
struct admission {
    uint32_t cap; /* so many may be in use; 0: all */
};

/** Called once a period: how many slots there should be, and why ("" when it stays). Under pressure
 * by a quarter fewer at a time, down to min; with waiting > 2 x active twice as many, up to max;
 * after SCALE_IDLE_PERIODS with less than half in use and nothing waiting, a quarter fewer. */
uint32_t scale_decide(struct autoscaler *a, const struct scale_seen *s, const char **why);

/** What the machine is short of, as a sentence with its figures; NULL: nothing. */
const char *scale_pressure(const struct scale_conf *c, const struct scale_seen *s,
                           char text[SCALE_TEXT_MAX]);

/** Called once a period: how many of s->slots may be in use. s->active: the most that were in use
 * at a time since the last call. Under pressure no slot more than these is begun; while memory is
 * short a quarter fewer each period, as their tasks end; one always may. When the pressure is over
 * half as many more each period, until it is all of them. */
uint32_t scale_admit(struct admission *a, const struct scale_conf *c, const struct scale_seen *s);

/** What is seen of the processors. Times run on from some beginning; negative: cannot be told. */
struct cpu_seen {
    double cpus;      /* that this process may use: its affinity, or its cgroups' quota */
    double waited_ms; /* in which something waited for one ("some total" of the pressure file) */
    double idle_ms;   /* of all of them together */
    double used_ms;   /* of the cgroup with the least quota; throttled_ms: it was held for it */
    double throttled_ms;
};

/** Between two looks at the processors, `ms` apart: there was room for more work. Where nothing can
 * be told there never is. */
bool scale_has_room(const struct cpu_seen *before, const struct cpu_seen *now, uint64_t ms);

/** Where the executor says how many of its tasks work (executor_ops.working). Zero at first. */
struct room {
    struct cpu_seen seen; /* at the last look */
    uint64_t looked_ms;   /* 0: never */
    uint32_t more;        /* tasks that may work beyond the bound */
};

/** So many tasks may work at a time without a look, at least 1; UINT32_MAX: no bound. */
uint32_t scale_bound(const struct scale_conf *c, double cpus);
/** Another task may begin: nothing runs, or fewer work than the bound and what room there was. */
bool scale_may_begin(const struct room *r, const struct scale_conf *c, size_t running,
                     size_t working);
/** A look, at `now_ms`: with room since the last one half the bound more may work, if that is
 * wanted; without it half of what was allowed beyond it. To be taken every SCALE_ROOM_MS while more
 * is wanted or allowed; one that comes sooner is not taken, and after one that is older than four
 * times that nothing is known. */
void scale_room_look(struct room *r, const struct scale_conf *c, const struct cpu_seen *seen,
                     bool wanted, uint64_t now_ms);

/** "some avg10=1.50 avg60=..." of a pressure file; negative when it is none. */
double scale_parse_pressure(struct str text);
/** MemAvailable / MemTotal of /proc/meminfo in percent; negative when it is not there. */
double scale_parse_meminfo(struct str text);
/** Reads pressure and memory from /proc, and of the cgroups that this process is in (some KiB; the
 * loop may). */
void scale_look(struct scale_seen *s);
/** The part of scale_look for cgroups, of either version: `own` is /proc/self/cgroup's text, `root`
 * where the hierarchies are mounted ("/sys/fs/cgroup"). What a cgroup leaves of its limit counts
 * when it is less than s->available, its pressure when it is more. */
void scale_look_cgroup(struct str own, const char *root, struct scale_seen *s);
/** What is to be seen of the processors now; some KiB of /proc, 0.1 ms. */
void scale_look_cpu(struct cpu_seen *s);
/** The part of it for cgroups, as above: the least quota, and the pressure of the nearest group
 * that tells one instead of the machine's. */
void scale_look_cpu_cgroup(struct str own, const char *root, struct cpu_seen *s);
/** "some ... total=1234" of a pressure file, in ms; the idle time of /proc/stat's first line, in
 * ms. Negative when it is none. */
double scale_parse_waited(struct str text);
double scale_parse_idle(struct str text);

#endif
