/* Which guarantee holds here, and why: the layers of a sandbox, and for each whether this machine
 * offers it, what it costs when it does not, and how to mend it. For `fleet doctor`, `fleet
 * status`, metrics and receipts. */
#ifndef REAPER_LEVEL_H
#define REAPER_LEVEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

/* name, title. The order is fixed: layers travel as bits. */
#define REAPER_LAYER_TABLE(X)                                                                      \
    X(CHROMIUM, "chromium-sandbox", "Chromium's own sandbox (user namespaces for the member)")     \
    X(PIDNS, "pid-namespace", "PID namespace with the death pipe in its init")                     \
    X(MOUNTNS, "mount-namespace", "private read-only view of the file system, tmpfs for the rest") \
    X(NETNS, "network-namespace", "network namespace: no way out but the forwarder")               \
    X(IPCNS, "ipc-uts-namespaces", "IPC and UTS namespaces")                                       \
    X(UID, "member-uid", "a uid of its own, not root")                                             \
    X(NNP, "no-new-privs", "no_new_privs and no capabilities")                                     \
    X(SECCOMP, "seccomp", "system call filter around everything")                                  \
    X(LANDLOCK, "landlock", "Landlock rules on files")                                             \
    X(RLIMITS, "rlimits", "resource limits")                                                       \
    X(CGROUP, "cgroup-limits", "cgroup limits for memory, processes and CPU")                      \
    X(CGROUP_KILL, "cgroup-kill", "cgroup v2 directory of its own")

enum reaper_layer {
#define REAPER_LAYER_ENUM(name, text, title) REAPER_LAYER_##name,
    REAPER_LAYER_TABLE(REAPER_LAYER_ENUM)
#undef REAPER_LAYER_ENUM
        REAPER_LAYER_COUNT
};
#define REAPER_LAYER_BIT(layer) (1u << (unsigned)(layer))

/** What REAPER_SANDBOX_REQUIRE insists on: Chromium's own sandbox, a second one around it, and an
 * end that the kernel guarantees. What a container with the profile in reaper/container/ offers. */
#define REAPER_LAYERS_REQUIRED                                                                     \
    (REAPER_LAYER_BIT(REAPER_LAYER_CHROMIUM) | REAPER_LAYER_BIT(REAPER_LAYER_PIDNS) |              \
     REAPER_LAYER_BIT(REAPER_LAYER_UID) | REAPER_LAYER_BIT(REAPER_LAYER_NNP) |                     \
     REAPER_LAYER_BIT(REAPER_LAYER_SECCOMP))

/** Static strings: "pid-namespace", and a sentence. */
const char *reaper_layer_name(enum reaper_layer l);
const char *reaper_layer_title(enum reaper_layer l);

#define REAPER_LAYERS_TEXT_MAX 256
/** "chromium-sandbox,pid-namespace,..." of the bits into out[REAPER_LAYERS_TEXT_MAX]; returns out.
 * "none" for 0. */
char *reaper_layers_text(uint32_t bits, char *out);

enum reaper_row_state { REAPER_ROW_OK, REAPER_ROW_DEGRADED, REAPER_ROW_MISSING };

struct reaper_row {
    enum reaper_layer layer;
    enum reaper_row_state state;
    int sys_errno;    /* what the kernel answered, 0 when ok */
    const char *cost; /* what its absence means; "" when ok. Static */
    const char *mend; /* what to do about it; "" when ok. Static */
};

/** How the end of a member is guaranteed, strongest first. */
enum reaper_guarantee {
    REAPER_GUARANTEE_KERNEL, /* PID namespace: holds if controller, fleet-reaper and all else are
                                killed at once */
    REAPER_GUARANTEE_CGROUP, /* cgroup.kill by fleet-reaper or by the next start's sweep */
    REAPER_GUARANTEE_UID,    /* kill(-1) as the member's own uid */
    REAPER_GUARANTEE_BEST_EFFORT, /* subreaper: holds unless fleet-reaper and the member's init are
                                     killed too */
};
const char *reaper_guarantee_text(enum reaper_guarantee g); /* a sentence */
const char *reaper_guarantee_name(enum reaper_guarantee g); /* "kernel" */
/** That of a member with these layers (reaper_started.layers). */
enum reaper_guarantee reaper_guarantee_of(uint32_t bits);

struct reaper_level {
    enum reaper_guarantee guarantee;
    bool root;       /* with the capabilities that make it so */
    bool userns;     /* layers are had through user namespaces */
    uint32_t layers; /* bits of layers that can be had */
    struct reaper_row rows[REAPER_LAYER_COUNT];
};

/** Fills `out` from the bits that can be had and, for the others, the errno of their probe
 * (0..REAPER_LAYER_COUNT-1). Pure. */
void reaper_level_fill(struct reaper_level *out, uint32_t bits, bool root, bool userns,
                       const int errnos[REAPER_LAYER_COUNT]);

/** False when `layers` lacks one of `required`: the error (ENVIRONMENT) names each that is missing
 * with what to do. Pure. */
must_check bool reaper_level_check(uint32_t bits, uint32_t required, struct err *e);

#endif
