/* What controller, spawner and init say to each other. All three come from one build; the version
 * says so. Datagrams of SOCK_SEQPACKET are the structs below; the specification of a member travels
 * in a sealed memfd as records, decoded here. Linked into the launcher: uses nothing of core/base
 * but attributes. */
#ifndef REAPER_WIRE_H
#define REAPER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reaper/level.h"
#include "reaper/step.h"

enum { WIRE_VERSION = 1, WIRE_MAGIC = 0x46525031 };

enum {
    WIRE_ARGS_MAX = 4096,
    WIRE_ENVS_MAX = 4096,
    WIRE_BINDS_MAX = 128,
    WIRE_HIDE_MAX = 64,
    WIRE_RLIMITS_MAX = 16,
    WIRE_FDS_MAX = 64,
    WIRE_LISTENERS_MAX = 64,
    WIRE_DETAIL_MAX = 160,
    WIRE_SPEC_MAX = 1024 * 1024,
    WIRE_FILTER_MAX = 4096, /* BPF instructions */
};

/* --- datagrams --- */

enum wire_type {
    WIRE_HELLO = 1, /* spawner -> controller, once */
    WIRE_LAUNCH,    /* controller -> spawner; descriptors: member's socket, spec, [stderr], fds */
    WIRE_LAUNCHED,  /* spawner -> controller; descriptor: pidfd of init, when the kernel has it */
    WIRE_FAILED,    /* spawner or init -> controller */
    WIRE_GONE,      /* spawner -> controller: every process of the member is gone */
    WIRE_EXECING,   /* member -> controller, with its credentials: the kernel translates its pid */
    WIRE_STARTED,   /* init -> controller; descriptors: listeners */
    WIRE_EXITED,    /* init -> controller: the program ended */
    WIRE_SIGNAL,    /* controller -> init */
};

enum { WIRE_FLAG_ROOT = 1, WIRE_FLAG_USERNS = 2, WIRE_FLAG_MASKED_PROC = 4 };

struct wire_hello {
    uint32_t type, version;
    uint32_t layers, flags; /* bits of layers to be had; WIRE_FLAG_* */
    int32_t errnos[REAPER_LAYER_COUNT];
};
struct wire_launch {
    uint32_t type, id;
    uint32_t has_stderr;
    uint32_t n_fds; /* after socket, spec and stderr */
};
struct wire_launched {
    uint32_t type, id;
    int32_t pid;
};
struct wire_failed {
    uint32_t type, id;
    uint32_t step;
    int32_t sys_errno;
    char detail[WIRE_DETAIL_MAX];
};
struct wire_gone {
    uint32_t type, id;
    int32_t wstatus; /* of init, as waitpid gives it */
    uint32_t oom;    /* processes of the member killed for memory, as its cgroup counted */
};
struct wire_started {
    uint32_t type;
    uint32_t layers;
    uint32_t uid;
    uint32_t n_listeners;
};
struct wire_exited {
    uint32_t type;
    int32_t wstatus; /* of the program */
};
struct wire_signal {
    uint32_t type;
    int32_t signum;
};
union wire_any {
    uint32_t type;
    struct wire_hello hello;
    struct wire_launch launch;
    struct wire_launched launched;
    struct wire_failed failed;
    struct wire_gone gone;
    struct wire_started started;
    struct wire_exited exited;
    struct wire_signal signal;
};

/** Sends one datagram with up to WIRE_FDS_MAX + 4 descriptors. 0, or -1 with errno. EINTR is
 * retried. */
must_check int wire_send(int sock, const void *msg, size_t len, const int *fds, size_t n_fds);
/** As wire_send, again and again for WIRE_SAY_MS while the other end is there and has no room (a
 * controller that is busy): for news that is told once. */
void wire_say(int sock, const void *msg, size_t len, const int *fds, size_t n_fds);
enum { WIRE_SAY_MS = 5000 };
/** Receives one datagram into `m`; descriptors (close-on-exec) to fds[0..*n_fds), of which there is
 * room for WIRE_FDS_MAX + 4; more than that, or a cut message, is EPROTO. *pid the sender's when
 * the socket has SO_PASSCRED (may be NULL). Returns the length, 0 at the end, -1 with errno (EAGAIN
 * when there is none and the socket does not block). */
must_check long wire_recv(int sock, union wire_any *m, int fds[WIRE_FDS_MAX + 4], size_t *n_fds,
                          int *pid);

/* --- the specification --- */

enum wire_tag {
    WIRE_TAG_NUMBERS = 1,
    WIRE_TAG_NAME,
    WIRE_TAG_PROGRAM, /* what execve gets: absolute, links resolved */
    WIRE_TAG_ARG,
    WIRE_TAG_ENV,
    WIRE_TAG_CWD,
    WIRE_TAG_DIR,  /* <state_dir>/run, where its lock file is made */
    WIRE_TAG_BIND, /* one byte 'r' or 'w', path NUL at NUL */
    WIRE_TAG_HIDE,
    WIRE_TAG_RLIMIT, /* struct wire_rlimit */
    WIRE_TAG_TARGET, /* int32_t, one for each descriptor in order */
    WIRE_TAG_FILTER, /* struct sock_filter[] */
    WIRE_TAG_COUNT
};

struct wire_rlimit {
    uint64_t resource, value;
};
struct wire_bind {
    bool writable;
    const char *path, *at;
};
struct wire_numbers {
    uint32_t kind, sandbox, uid_policy, view;
    uint32_t wanted;   /* layers */
    uint32_t required; /* of them: refuse when it cannot be had */
    uint32_t netns, n_listeners, inside_port;
    uint32_t uid_base, uid_count;
    int32_t oom_score_adj;
    uint32_t pids_max, cpu_max_percent;
    uint64_t memory_max_bytes, tmp_max_bytes, shm_max_bytes;
    uint32_t uid_hint; /* where to begin looking for a free uid */
    uint32_t fail_at,
        fail_errno; /* tests: make the fail_at-th checked call fail (builds with FLEET_FAULTS) */
};
struct wire_spec {
    struct wire_numbers n;
    const char *name, *program, *cwd, *dir;
    const char *argv[WIRE_ARGS_MAX + 1];
    const char *envp[WIRE_ENVS_MAX + 1];
    struct wire_bind binds[WIRE_BINDS_MAX];
    const char *hide[WIRE_HIDE_MAX];
    struct wire_rlimit rlimits[WIRE_RLIMITS_MAX];
    int32_t targets[WIRE_FDS_MAX];
    size_t n_args, n_envs, n_binds, n_hide, n_rlimits, n_targets;
    const void *filter; /* aligned; NULL: none */
    size_t n_filter;    /* instructions */
};

/* A record: this header, then `len` bytes, then zeros up to a multiple of 8. Texts end with a NUL
 * that counts. */
struct wire_record {
    uint32_t tag, len;
};
struct wire_head {
    uint32_t magic, version;
    uint32_t len, zero; /* of all, with this header */
};

/** Decodes `len` bytes at `p` (8-aligned, stays the caller's; the spec points into it). False when
 * they break the format or a limit: *why says how (static). */
must_check bool wire_decode(const void *p, size_t len, struct wire_spec *out, const char **why);

#endif
