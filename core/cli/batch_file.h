/* A batch as a person writes it: flows and lists of targets may be files. The engine takes none,
 * so they are put in their places. */
#ifndef CORE_CLI_BATCH_FILE_H
#define CORE_CLI_BATCH_FILE_H

#include "core/base/buf.h"

/** Reads FILE ("-": standard input) and appends to `out` the batch as the engine takes it. Faults
 *  that have places go to `errors`, a line each. Blocking. */
must_check enum status batch_file_read(const char *path, struct buf *out, struct buf *errors,
                                       struct err *e);

#endif
