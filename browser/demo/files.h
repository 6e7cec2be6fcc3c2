/* The demo's directory: campaign, flows, targets and proxies as files that people can read, change
 * and run again, and what the run writes beside them. */
#ifndef BROWSER_DEMO_FILES_H
#define BROWSER_DEMO_FILES_H

#include "browser/demo/stage.h"

/** Takes the directory: it is made, empty, or that of an earlier demo, whose output (results,
 * report, audit log, state, pictures) is removed. *lock is the caller's to close. BUSY: another
 * demo runs in it (names its pid); EXISTS: it holds something else. */
must_check enum status files_take_dir(const char *dir, int *lock, struct err *e);
/** Writes the files, with the stage's ports and credentials put in; the one with credentials is
 * private. */
must_check enum status files_write(const char *dir, const struct stage_info *info, struct err *e);

#endif
