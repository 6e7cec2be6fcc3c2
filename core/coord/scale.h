/* How many slots there should be: more when much waits, fewer when little is done, within bounds
 * and what the machine bears. Pure. */
#ifndef CORE_COORD_SCALE_H
#define CORE_COORD_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/str.h"

enum {
    SCALE_PERIOD_MS = 2000,
    SCALE_IDLE_PERIODS = 5,   /* with slots to spare, before one is given up */
    SCALE_CPU_HIGH = 60,      /* % of the last 10 s in which something waited for a processor */
    SCALE_MEMORY_HIGH = 10,   /* % in which something waited for memory */
    SCALE_AVAILABLE_LOW = 10, /* % of memory that is available */
};

struct scale_conf {
    uint32_t min, max; /* 1 <= min <= max; max 0: there is no autoscaler */
};

/** What is seen; a share that cannot be told is negative. */
struct scale_seen {
    uint32_t slots;
    uint64_t active, waiting;
    double cpu_pressure, memory_pressure; /* "some avg10" of /proc/pressure, 0..100 */
    double available;                     /* MemAvailable of MemTotal, 0..100 */
};

struct autoscaler {
    struct scale_conf conf;
    uint32_t idle; /* periods in a row with slots to spare */
};

/** Called once a period: how many slots there should be, and why ("" when it stays). Under pressure
 * by a quarter fewer at a time, down to min; with waiting > 2 x active twice as many, up to max;
 * after SCALE_IDLE_PERIODS with less than half in use and nothing waiting, a quarter fewer. */
uint32_t scale_decide(struct autoscaler *a, const struct scale_seen *s, const char **why);

/** "some avg10=1.50 avg60=..." of a pressure file; negative when it is none. */
double scale_parse_pressure(struct str text);
/** MemAvailable / MemTotal of /proc/meminfo in percent; negative when it is not there. */
double scale_parse_meminfo(struct str text);
/** Reads both from /proc (a few hundred bytes; the loop may). */
void scale_look(struct scale_seen *s);

#endif
