/* Active probes: what has cooled is looked at before a member is sent there again. A proxy that
 * does not answer cools anew, twice as long as before (roster.h), so a dead one is asked ever more
 * seldom. For a roster with `probed`. Loop thread. */
#ifndef PROXIES_PROBER_H
#define PROXIES_PROBER_H

#include "core/base/loop.h"
#include "proxies/roster.h"

struct prober;

enum { PROBER_EVERY_MS = 250, PROBER_PARALLEL = 16 };

struct prober_opts {
    struct loop *loop;
    struct roster *roster; /* borrowed */
    const char *url;       /* as probe_opts has it; borrowed */
    uint64_t timeout_ms;   /* 0: 10 s */
};
/** The URL is one that probe_start takes (BUG otherwise: the configuration checks it). */
struct prober *prober_create(const struct prober_opts *o) must_check;
/** Gives up what is under way. Sets *p to NULL; NULL is fine. */
void prober_destroy(struct prober **p);

#endif
