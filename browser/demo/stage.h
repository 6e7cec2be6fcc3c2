/* What the demo's campaign plays on: the web sites (site.h) in a process of their own, and two real
 * upstream proxies with credentials that are drawn anew each time: tinyproxy (HTTP, Basic) and
 * microsocks (SOCKS5, user and password). All three are members of the reaper, so they end with
 * this process, however it ends.
 *
 *   started -> sites tell their port -> proxies are asked until they answer -> ready -> stopped
 *
 * Loop thread only; callbacks come from the loop. */
#ifndef BROWSER_DEMO_STAGE_H
#define BROWSER_DEMO_STAGE_H

#include <stdint.h>

#include "core/base/err.h"
#include "core/base/loop.h"

struct reaper;
struct stage;

enum {
    STAGE_PORT = 8087, /* of the sites, unless it is taken; the proxies' are the two after it */
    STAGE_READY_MS = 10000, /* until everything must answer */
    STAGE_SECRET_MAX = 33,
};

struct stage_info {
    uint16_t site_port;             /* on each address of site.h */
    uint16_t http_port, socks_port; /* on 127.0.0.1 */
    char user[STAGE_SECRET_MAX], password[STAGE_SECRET_MAX];
};

struct stage_opts {
    struct loop *loop;
    struct reaper *reaper;
    uint16_t site_port; /* 0: STAGE_PORT, or another one that is free */
    /** Everything answers (OK), or something could not be started or ended before stage_stop:
     * which, and why. At most once each. */
    void (*on_ready)(void *arg, struct stage *s);
    void (*on_lost)(void *arg, struct stage *s, const struct err *e);
    void *arg;
};

/** ENVIRONMENT: a program is missing; the sentence names its Debian package. Nothing was started
 * then. */
must_check enum status stage_check_programs(struct err *e);
/** What fails later comes with on_lost. */
must_check enum status stage_start(const struct stage_opts *opts, struct stage **out,
                                   struct err *e);
/** Complete in on_ready. */
const struct stage_info *stage_info(const struct stage *s);
/** Ends the three; `stopped` once, when they are gone and `s` is freed. No callback of the stage
 * after this. */
void stage_stop(struct stage *s, void (*stopped)(void *arg), void *arg);

/** The sites' process: serves on `port` (0: `preferred` when that is free, else any) and tells the
 * port, or why not, on descriptor 3. Returns the exit code. What the hidden verb "demo-site" does.
 */
int stage_site_main(uint16_t port, uint16_t preferred);

#endif
