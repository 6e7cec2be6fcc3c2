/* report.html: what a run came to, for a person. One file by itself: its styles and the little
 * script for filtering are inside; screenshots are links to the artefacts. Every value is escaped.
 */
#ifndef CORE_REPORT_REPORT_H
#define CORE_REPORT_REPORT_H

#include "core/coord/run.h"

enum { REPORT_TASKS_MAX = 5000, REPORT_EVENTS_MAX = 500 };

struct report;

struct report *report_create(void);
void report_destroy(struct report **r);
/** To be put among the run's watches: collects. Of tasks the first REPORT_TASKS_MAX are shown,
 * further ones only counted. */
struct run_watch report_watch(struct report *r);
/** Renders a run that is over. `verified`: what checking the chain said (NULL: it was not checked),
 * and whether that was well. */
void report_render(struct report *r, struct run *run, const char *verified, bool ok,
                   struct buf *out);

#endif
