/* The reaper: starts every program that Fleet runs, each in its sandbox, and sees to it that none
 * is left behind.
 *
 * The controller (this process) never forks. It starts `fleet-reaper` once, a small static
 * single-threaded program, and asks it over a socket to launch members. A member is an init (PID 1
 * of a PID namespace of its own where that can be had) and the program with all its descendants.
 * Each init holds one end of a socket whose only other end is here: when it closes, because this
 * process asked, ended or was killed, the init exits and the kernel kills all of the namespace.
 * Nothing else needs to live for that. README.md has the drawing, and the table of levels for where
 * a PID namespace cannot be had.
 *
 * Loop thread only. Callbacks come from the loop, never from inside a call made here, and none
 * after on_exit. */
#ifndef REAPER_REAPER_H
#define REAPER_REAPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"
#include "core/base/loop.h"
#include "reaper/level.h"

struct reaper;
struct reaper_child;

/* --- the service --- */

struct reaper_opts {
    const char *program;   /* fleet-reaper; NULL: FLEET_REAPER, beside the running executable,
                              ../libexec/fleet, the build's LIBEXECDIR */
    const char *state_dir; /* ".fleet": members' lock files and, without mount namespaces, their
                              directories are under <state_dir>/run. NULL: $TMPDIR/fleet-<uid> */
    uint32_t uid_base;     /* first of the uids given to members when root; 0: 64000 */
    uint32_t uid_count;    /* how many, 1..4096; 0: 1000 */
    bool subreaper;   /* make this process adopt its orphans (PR_SET_CHILD_SUBREAPER), so that a
                         killed fleet-reaper leaves no zombie. For programs of our own; not when
                         embedded in somebody else's */
    uint32_t without; /* layers to leave out everywhere (bits of 1u << enum reaper_layer): for tests
                         and for `fleet doctor` */
};

/** Starts fleet-reaper. Does not wait for it: what it cannot do is told by the launches. `opts`
 * NULL: all defaults; it is copied. ENVIRONMENT when the program is not found or does not start. */
must_check enum status reaper_start(struct loop *l, const struct reaper_opts *opts,
                                    struct reaper **out, struct err *e);

/** Ends all members (as reaper_child_kill), then fleet-reaper, and calls done(arg) from the loop
 * when every one is gone, or after 5 s. `r` is no longer the caller's; on_exit of each child still
 * comes, before `done`. */
void reaper_stop(struct reaper *r, void (*done)(void *arg), void *arg);

/** What can be had on this machine. Waits (up to 2 s, the first time only) for fleet-reaper's
 * probe: for start-up and `fleet doctor`. UNAVAILABLE when fleet-reaper does not answer. */
must_check enum status reaper_level(struct reaper *r, struct reaper_level *out, struct err *e);

/** pid of fleet-reaper, or -1. */
pid_t reaper_pid(const struct reaper *r);
/** Members that are not gone yet. */
size_t reaper_child_count(const struct reaper *r);

/* --- members --- */

enum reaper_kind {
    REAPER_BROWSER,
    REAPER_AUTOMATION,
    REAPER_PROXY,
    REAPER_SITE,
    REAPER_KIND_COUNT
};

enum reaper_sandbox {
    REAPER_SANDBOX_REQUIRE, /* refused (ENVIRONMENT) when a layer of REAPER_LAYERS_REQUIRED cannot
                               be had */
    REAPER_SANDBOX_PREFER,  /* as much as can be had; what is missing is logged once */
    REAPER_SANDBOX_OFF, /* as PREFER, and Chromium's own sandbox is not provided for: for the config
                           key whose name says what that costs; the caller adds --no-sandbox */
};

enum reaper_view {
    REAPER_VIEW_MINIMAL, /* /usr, /etc, /opt, /sys and the like read-only, the program's own
                            directory, the binds; all else is not there */
    REAPER_VIEW_HOST,    /* the whole file system read-only, and the binds */
};

enum reaper_uid {
    REAPER_UID_MEMBER, /* root: a uid and gid of its own, not shared with any other member.
                          Otherwise: this process's uid, seen inside as 1000 where user namespaces
                          can be had */
    REAPER_UID_OWN,    /* this process's uid. A browser refuses to run as root */
};

/** A descriptor for the member. Copied: the caller closes its own. */
struct reaper_fd {
    int fd;
    int target; /* its number inside, 0..63, each at most once; 0, 1, 2 default to /dev/null,
                   /dev/null, stderr_fd */
};

/** A directory or file of the host shown at the same place inside, or at `at`. */
struct reaper_bind {
    const char *path; /* absolute */
    const char *at;   /* absolute; NULL: path */
    bool writable;    /* as root with a member's uid: files the member makes belong to this process
                         outside (idmapped mount), or, where the file system cannot do that, the
                         directory itself is given to the member (chown) */
};

struct reaper_rlimit {
    int resource;   /* RLIMIT_NOFILE, ... */
    uint64_t value; /* soft and hard; UINT64_MAX: infinite */
};

enum {
    REAPER_FDS_MAX = 64,
    REAPER_BINDS_MAX = 64,
    REAPER_HIDE_MAX = 64,
    REAPER_RLIMITS_MAX = 16,
    REAPER_LISTENERS_MAX = 64,
    REAPER_SPEC_MAX =
        1024 * 1024, /* bytes of the encoded spec: arguments, environment, paths, filter */
    REAPER_NAME_MAX = 48,
    REAPER_INSIDE_PORT = 3128, /* first port the listeners have inside a network namespace */
};

/* Where things are inside. With a mount namespace /tmp is a private tmpfs that goes with the
 * member, with /tmp/home and /tmp/profile in it; without one these are directories under
 * <state_dir>/run, removed when the member is gone. "@TMP@", "@HOME@" and "@PROFILE@" written in
 * argv or in a value of envp are replaced by what holds for the member. HOME and TMPDIR are set
 * unless envp sets them. */

/** What to launch. Copied by reaper_launch. Zero is a sensible value for everything but name, argv.
 */
struct reaper_spec {
    const char *name; /* of letters, digits, "-", "_", "."; 1..REAPER_NAME_MAX; for logs, errors and
                         directories; need not be unique */
    enum reaper_kind kind;
    const char *const
        *argv; /* NULL-terminated; argv[0] is an absolute path, or a name looked up in PATH */
    const char *const *envp; /* NULL-terminated "K=V", all of the environment; NULL: PATH, LANG,
                                LC_*, TZ, HOME and TMPDIR alone */
    /** inside; NULL: the current directory with view HOST (not below /tmp), else "/" */
    const char *cwd;
    const struct reaper_fd *fds;
    size_t n_fds;
    int stderr_fd; /* written to by the member's standard error (and output, unless in fds); 0 or
                      -1: /dev/null */
    enum reaper_sandbox sandbox;
    enum reaper_uid uid;
    enum reaper_view view;
    const struct reaper_bind *binds;
    size_t n_binds;
    const char *const *hide; /* NULL-terminated directories shown empty (view HOST): state
                                directory, keys; or NULL */
    uint64_t tmp_max_bytes;  /* of the private tmpfs (/tmp, home, profile together); 0: 1 GiB */
    uint64_t shm_max_bytes;  /* of /dev/shm; 0: 512 MiB */
    bool netns; /* a network namespace with loopback alone; the way out is the listeners. Always
                   required when asked for */
    unsigned n_listeners; /* with netns: TCP listeners inside on every address of 127.0.0.0/8, ports
                             REAPER_INSIDE_PORT .. + n-1, passed out by on_started; getsockname of
                             a connection tells which address was meant */
    const struct reaper_rlimit *rlimits; /* besides RLIMIT_CORE 0, which always is */
    size_t n_rlimits;
    uint64_t memory_max_bytes; /* cgroup limits; 0: none. Where there is no cgroup to be had they
                                  are missing, and the level says so */
    uint32_t pids_max;
    uint32_t cpu_max_percent; /* of one CPU: 150 is one and a half */
    int oom_score_adj;        /* -1000..1000; raising always works, lowering is for root */
    uint32_t without;         /* layers to leave out (bits of 1u << enum reaper_layer) */
};

/** Who ended a member. */
enum reaper_cause {
    REAPER_CAUSE_EXITED, /* the program ended by itself: `code`, or `signal` when it crashed */
    REAPER_CAUSE_ASKED,  /* within the grace of reaper_child_stop */
    REAPER_CAUSE_TERM,   /* on SIGTERM of the ladder */
    REAPER_CAUSE_KILL,   /* killed by us */
    REAPER_CAUSE_OOM,    /* the kernel killed it: memory limit (or the machine) out of memory */
    REAPER_CAUSE_LOST,   /* its init was killed by somebody else */
    REAPER_CAUSE_FAILED, /* never started: `err` */
    REAPER_CAUSE_COUNT,
};
const char *reaper_cause_name(enum reaper_cause c); /* "oom" */

struct reaper_exit {
    enum reaper_cause cause;
    int code;   /* exit code 0..255, -1 when ended by a signal */
    int signal; /* signal number, 0 when none */
    bool oom; /* some process of it was killed for lack of memory (perhaps long before: a renderer)
               */
    struct err err; /* with FAILED: "launch NAME: <step>: <strerror>"; else a sentence such as "exit
                       code 21" */
};

struct reaper_started {
    pid_t pid;       /* of the program, in our PID namespace */
    pid_t init_pid;  /* of its init */
    uid_t uid;       /* outside */
    uint32_t layers; /* the layers that hold for it: bits of 1u << enum reaper_layer. A fact for
                        receipts */
    const int
        *listeners; /* n_listeners descriptors, listening, non-blocking; the callee owns them now */
    size_t n_listeners;
};

struct reaper_callbacks {
    /** The program runs (its execve succeeded). At most once, before on_exit. */
    void (*on_started)(struct reaper_child *c, const struct reaper_started *s, void *arg);
    /** Every process of the member is gone. Exactly once; `c` is freed on return. */
    void (*on_exit)(struct reaper_child *c, const struct reaper_exit *x, void *arg);
    /** reaper_child_stop begins: ask it to end (Browser.close). NULL: the ladder begins with
     * SIGTERM. */
    void (*on_ask)(struct reaper_child *c, void *arg);
    void *arg;
};

/** Asks for a launch. INVALID or NOT_FOUND: the spec breaks a rule above or names a file that is
 * not there (the sentence says which). BUSY: too many launches are under way, call again later.
 * UNAVAILABLE: fleet-reaper is gone and could not be started again. What fails later comes with
 * on_exit, cause FAILED. */
must_check enum status reaper_launch(struct reaper *r, const struct reaper_spec *spec,
                                     const struct reaper_callbacks *cb, struct reaper_child **out,
                                     struct err *e);

/** Ends a member by the ladder: on_ask, grace_ms; SIGTERM to the program, 2 s; then as
 * reaper_child_kill. Calling again never slows an ending down, and a shorter grace shortens it. */
void reaper_child_stop(struct reaper_child *c, uint64_t grace_ms);
/** Ends it at once: all its processes get SIGKILL from the kernel. */
void reaper_child_kill(struct reaper_child *c);

pid_t reaper_child_pid(const struct reaper_child *c); /* 0 until started */

/* --- checks --- */

/** What /proc says of a browser's renderers. Not counted: those younger than a second that are not
 *  sandboxed yet; a renderer is forked first, and confined before it runs any page. */
struct reaper_renderers {
    unsigned total; /* renderer processes seen */
    unsigned
        sandboxed;  /* with a seccomp filter of their own, in a PID namespace below the browser's */
    struct err err; /* when sandboxed < total: which one, and what it lacks */
};
/** Reads /proc (a few ms; call it after the first page is there, and again as renderers come).
 * False when a renderer is not sandboxed: Chromium goes on silently when its seccomp sandbox cannot
 * be had. */
bool reaper_check_renderers(const struct reaper_child *c, struct reaper_renderers *out);

/* --- what an earlier run left --- */

struct reaper_swept {
    unsigned members;              /* of earlier runs, whose init is dead */
    unsigned processes;            /* killed (0 where PID namespaces hold) */
    unsigned dirs, cgroups, files; /* removed */
    unsigned alive; /* members whose init lives: another fleet is running; left alone */
};
/** Removes what earlier controllers left under <state_dir>/run (NULL: as reaper_opts). A member is
 * left over when nobody holds the lock of its init. Blocking, for start-up before the first launch,
 * or a worker thread. */
must_check enum status reaper_sweep(const char *state_dir, struct reaper_swept *out, struct err *e);

#endif
