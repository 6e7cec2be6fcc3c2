/* Files of a lease: uploads (PUT, for DOM.setFileInputFiles) and what its pages download. They lie
 * in directories of the lease inside the instance's profile, and go with the lease. Loop thread
 * only. */
#ifndef BROWSER_GATEWAY_FILES_H
#define BROWSER_GATEWAY_FILES_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/list.h"
#include "core/base/str.h"

struct client;
struct exchange;
struct lease;

struct lease_files {
    struct list all;
    size_t n;
    uint64_t bytes; /* of all of them */
    pid_t pid;      /* the browser's */
    unsigned n_jobs;
    bool closed;
};

void files_init(struct lease *l);
/** The lease has its context: its directories are named. */
void files_open(struct lease *l);
/** Downloads are denied from now on; the directories are removed after the last job. */
void files_close(struct lease *l);
void files_deinit(struct lease *l);
/** An event of a client's browser session: of downloads it is told, others are passed over. True:
 * the client is told later (deliver.h). */
bool files_heard(struct lease *l, struct client *c, struct str method, struct str params);
/** A job that files.n_jobs counts is over. */
void files_job_over(struct lease *l);
/** Whoever looked for the download has been told that it is whole: once is enough. Marks it. */
bool files_is_delivered(struct lease *l, const char *guid);
/** Downloads are denied until a client allows them again. */
void files_deny(struct lease *l);

/* handlers of /v1/leases/{id}/files */
void files_put(struct exchange *x, void *gateway);
void files_get(struct exchange *x, void *gateway);
void files_list(struct exchange *x, void *gateway);

#endif
