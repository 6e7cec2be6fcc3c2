/* The steps of a launch, by number on the wire and by name in errors. A step that fails is reported
 * with the errno and what it was about (a path, a name): "launch chromium: mount tmpfs on /tmp:
 * Operation not permitted". */
#ifndef REAPER_STEP_H
#define REAPER_STEP_H

#define STEP_TABLE(X)                                                                              \
    X(NONE, "nothing")                                                                             \
    X(REQUEST, "read the request")                                                                 \
    X(LAYER, "have the layer")                                                                     \
    X(DIR, "make the directory")                                                                   \
    X(LOCK, "lock")                                                                                \
    X(CGROUP, "set up the cgroup")                                                                 \
    X(CLONE, "create the namespaces")                                                              \
    X(MAP, "write")                                                                                \
    X(KEEP_CAPS, "keep capabilities for the set-up")                                               \
    X(FDS, "arrange descriptors")                                                                  \
    X(EXEC_INIT, "start init")                                                                     \
    X(SPEC, "read the specification")                                                              \
    X(UID_TAKE, "take a uid")                                                                      \
    X(SUBREAPER, "become the subreaper")                                                           \
    X(LOOPBACK, "bring up loopback")                                                               \
    X(LISTEN, "listen inside on")                                                                  \
    X(PRIVATE, "make mounts private")                                                              \
    X(TMPFS, "mount tmpfs on")                                                                     \
    X(PIVOT, "change the root to")                                                                 \
    X(MKDIR, "make directory")                                                                     \
    X(BIND, "bind")                                                                                \
    X(READONLY, "make read-only")                                                                  \
    X(IDMAP, "map owners of")                                                                      \
    X(SYMLINK, "make link")                                                                        \
    X(PROC, "mount proc on")                                                                       \
    X(HIDE, "hide")                                                                                \
    X(DETACH, "detach")                                                                            \
    X(OWNER, "give to the member")                                                                 \
    X(HOSTNAME, "set the host name")                                                               \
    X(PIPE, "make a pipe")                                                                         \
    X(FORK, "fork")                                                                                \
    X(SESSION, "start a session")                                                                  \
    X(OOM_SCORE, "set oom_score_adj")                                                              \
    X(RLIMIT, "set rlimit")                                                                        \
    X(GROUPS, "drop groups")                                                                       \
    X(GID, "change gid")                                                                           \
    X(UID, "change uid")                                                                           \
    X(DEATHSIG, "set the death signal")                                                            \
    X(CAPS, "drop capabilities")                                                                   \
    X(NNP, "set no_new_privs")                                                                     \
    X(LANDLOCK, "apply Landlock rules")                                                            \
    X(SECCOMP, "apply the seccomp filter")                                                         \
    X(CWD, "change directory to")                                                                  \
    X(EXEC, "execute")                                                                             \
    X(SIGNALS, "watch signals")                                                                    \
    X(ENTROPY, "read random bytes")

enum step {
#define STEP_ENUM(name, text) STEP_##name,
    STEP_TABLE(STEP_ENUM)
#undef STEP_ENUM
        STEP_COUNT
};

/** Static text; "an unknown step" out of range. */
const char *step_text(unsigned s);

#endif
