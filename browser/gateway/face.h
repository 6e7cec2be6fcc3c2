/* The gateway as a face of `fleet serve --listen ADDRESS:PORT`. A token is wanted of everybody who
 * comes over TCP: FLEET_TOKEN, or one that is made and printed. The same routes are on
 * STATE/run/gateway.sock, which only its owner may open, for `fleet lease`. */
#ifndef BROWSER_GATEWAY_FACE_H
#define BROWSER_GATEWAY_FACE_H

#include "core/cli/cli.h"
#include "core/cli/serve.h"

extern const struct serve_face gateway_face;
extern const struct cli_verb verb_lease;

/** Path of the gateway's socket of an engine on `state_dir`. malloc'ed. */
char *gateway_socket_path(const char *state_dir) must_check;

/** "127.0.0.1:8730", "[::1]:8730", "8730" -> host (malloc'ed) and port. INVALID. */
must_check enum status gateway_parse_listen(const char *text, char **host, uint16_t *port,
                                            struct err *e);

#endif
