/* Verbs that talk to a running engine: a call with its errors told, and how answers look on a
 * terminal of 80 columns. */
#ifndef CORE_CLI_REMOTE_H
#define CORE_CLI_REMOTE_H

#include "core/api/client.h"
#include "core/cli/cli.h"

/** Calls the engine of the state directory. EXIT_OK, or, with everything told on standard error,
 * the exit code. *body (may be NULL) is the answer's JSON, the caller's; NULL on failure. */
must_check int remote_call(struct cli *c, const char *method, const char *path, struct str body,
                           struct json **body_out);
/** The same with all there is; `r` is to be given back in any case. */
must_check int remote_exchange(struct cli *c, struct client_request q, struct client_reply *r);
/** Is there an engine on the state directory? */
must_check bool remote_is_there(const struct cli *c);

/** "/v1/batches/" + percent-encoded `id` + tail, malloc'ed. */
char *remote_path(const char *head, const char *id, const char *tail) must_check;

/** A coloured word on a terminal, padded to `width` columns (0: not); plain elsewhere and under
 *  NO_COLOR or TERM=dumb. Good until the 8th call after this. */
const char *remote_word(const char *word, int width);
/** "850ms", "12.4s", "3m12s", "5h07m", "2d03h". Good until the 8th call after this. */
const char *remote_age(double ms);
/** `text` cut to `width` columns, with "..." at its end. Good until the 8th call after this. */
const char *remote_cut(const char *text, size_t width);

#endif
