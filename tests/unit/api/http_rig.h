/* A server on a loop, and clients of it that are driven from the same loop: raw bytes out, raw
 * bytes in. */
#ifndef TESTS_UNIT_API_HTTP_RIG_H
#define TESTS_UNIT_API_HTTP_RIG_H

#include "core/api/http.h"
#include "core/api/listener.h"

struct rig {
    struct loop *loop;
    struct server *server;
    bool closed;
    char *dir;  /* of the Unix socket; NULL: TCP */
    char *path; /* the socket */
};

/** `o` may lack loop and unix_path; `tcp`: 127.0.0.1, any port. */
void rig_up(struct rig *r, struct server_opts o, bool tcp);
/** Closes; fails when that takes longer than 10 s. */
void rig_down(struct rig *r);
/** Turns the loop until *flag, at most 10 s. */
void rig_until(struct rig *r, const bool *flag);
void rig_turn(struct rig *r, unsigned ms);

struct client {
    int fd;
    struct buf in;
    bool eof;
};
void client_open(struct rig *r, struct client *c);
void client_close(struct client *c);
void client_send(struct rig *r, struct client *c, const void *p, size_t n);
void client_sends(struct rig *r, struct client *c, const char *text);
/** Reads until a whole answer is there (by its content-length; 204 and `head`: no body), takes it
 * out, and returns its code; its body goes to `body` (may be NULL). Fails after 10 s. */
unsigned client_answer(struct rig *r, struct client *c, bool head, struct buf *body);
/** Reads until the server has closed. Fails after 10 s. */
void client_until_eof(struct rig *r, struct client *c);
/** Reads until `n` bytes are there. */
void client_until_bytes(struct rig *r, struct client *c, size_t n);
/** One request on a connection of its own. */
unsigned rig_ask(struct rig *r, const char *request, struct buf *body);

/** Shakes hands for a WebSocket at `path`; true when it was accepted. */
bool client_upgrade(struct rig *r, struct client *c, const char *path);
/** A masked frame. */
void client_frame(struct rig *r, struct client *c, unsigned opcode, bool fin, const void *p,
                  size_t n);
/** Takes the next frame of the server: its payload to `out` (emptied first). Returns the opcode,
 * with 0x80 for FIN. */
unsigned client_take_frame(struct rig *r, struct client *c, struct buf *out);

#endif
