/* Downloads that are put where a client on this machine looks for them. Playwright names a
 * directory that it made for its artifacts (Browser.setDownloadBehavior), and reads the file there
 * by its guid when Browser.downloadProgress says that it is whole: download.path(), saveAs and
 * createReadStream do. The browser does not see this machine's files, so the file is copied, and
 * the client's event waits for that.
 *
 * Only into a directory below the system's one for temporary files (TMPDIR, /tmp) that is our
 * user's and nobody else's (0700, as mkdtemp makes them), only a new file, and only by its guid.
 * Anywhere else nothing is put, and the event is told at once. Loop thread only. */
#ifndef BROWSER_GATEWAY_DELIVER_H
#define BROWSER_GATEWAY_DELIVER_H

#include <stdbool.h>

#include "core/base/list.h"
#include "core/base/str.h"

struct client;
struct lease;

enum { DELIVER_DIRS_MAX = 4 };

struct deliver {
    char *dirs[DELIVER_DIRS_MAX]; /* that clients named; NULL: none */
    size_t n_dirs;                /* named in all; the oldest is forgotten */
    struct list jobs;
};

void deliver_init(struct lease *l);
/** After its last job. */
void deliver_deinit(struct lease *l);
/** A client wants its downloads in `dir`. */
void deliver_to(struct lease *l, const char *dir);
/** The download `guid` is whole, which `c` is told by `params` of a Browser.downloadProgress. True:
 * the event comes when the file is there. */
bool deliver_begin(struct lease *l, struct client *c, const char *guid, struct str params);

#endif
