/* Live progress on standard error: a few lines that are drawn over again on a terminal, an
 * occasional line otherwise. Honours NO_COLOR, TERM=dumb and the terminal's width. Log lines pass
 * above the drawing. */
#ifndef CORE_CLI_PROGRESS_H
#define CORE_CLI_PROGRESS_H

#include "core/coord/run.h"

struct progress;

struct progress_opts {
    struct loop *loop;
    int fd;     /* standard error */
    bool quiet; /* draws nothing; the summary too is left out */
};

/** Decides by fd and environment how to show. */
struct progress *progress_create(const struct progress_opts *o);
/** Takes the drawing away. */
void progress_destroy(struct progress **p);
/** To be put among the run's watches. */
struct run_watch progress_watch(struct progress *p);
void progress_start(struct progress *p, struct run *r);
/** Ends the drawing; prints the summary. `reported`: there is a report to look at. */
void progress_finish(struct progress *p, struct run *r, bool reported);

#endif
