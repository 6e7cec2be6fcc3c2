/* The init of a member: sets the sandbox up, launches the program, reports, reaps, and ends the
 * member when its socket closes. Linked into the launcher. */
#ifndef REAPER_INIT_H
#define REAPER_INIT_H

#include <stdint.h>

/* Descriptors init is executed with, besides 0, 1 and 2; all of them always there, /dev/null in
 * place of what is missing. */
enum {
    INIT_FD_SOCKET = 3, /* the death pipe: its other end is in the controller alone */
    INIT_FD_SPEC,
    INIT_FD_CONTROLLER, /* pidfd of the controller: should a copy of the socket's other end leak */
    INIT_FD_LOCK,       /* the member's lock file */
    INIT_FD_UIDS,       /* uids.h */
    INIT_FD_STDERR,
    INIT_FD_FIRST, /* the member's own, in the order of the spec's targets */
};

enum { INIT_ARGS_MAX = 128 };

struct init_args {
    uint32_t id;
    uint32_t layers;               /* that hold, bits */
    uint32_t has_pidfd;            /* INIT_FD_CONTROLLER is one */
    uint32_t is_root;              /* without a user namespace: ids can be changed */
    uint32_t owner_uid, owner_gid; /* of the controller, as seen inside */
    /* for tests that make a call fail: those the spawner has checked already, which one, how */
    uint32_t calls, fail_at, fail_errno;
};

/** "--init" and init_args as numbers. Does not return. */
_Noreturn void init_main(int argc, char **argv);
/** The arguments as text, one "u" field after the other separated by ':'. */
void init_args_encode(const struct init_args *a, char out[INIT_ARGS_MAX]);
int init_args_decode(const char *text, struct init_args *out);

#endif
