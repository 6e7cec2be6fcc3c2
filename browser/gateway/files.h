/* Files of a lease: uploads (PUT, for DOM.setFileInputFiles) and what its pages download. They lie
 * in directories of the lease inside the instance's profile, and go with the lease. Loop thread
 * only. */
#ifndef BROWSER_GATEWAY_FILES_H
#define BROWSER_GATEWAY_FILES_H

#include <sys/types.h>

#include "core/base/list.h"
#include "core/base/str.h"

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
/** An event of a client's browser session: of downloads it is told, others are passed over. */
void files_heard(struct lease *l, struct str method, struct str params);
/** Downloads are denied until a client allows them again. */
void files_deny(struct lease *l);

/* handlers of /v1/leases/{id}/files */
void files_put(struct exchange *x, void *gateway);
void files_get(struct exchange *x, void *gateway);
void files_list(struct exchange *x, void *gateway);

#endif
