#include "reaper/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "reaper/spawner.h"

#ifndef LIBEXECDIR
#define LIBEXECDIR "/usr/local/libexec/fleet"
#endif

#define NAME "fleet-reaper"

static bool is_program(const char *path)
{
    return access(path, X_OK) == 0;
}

/* Looks at one place, and remembers it for the error. */
static char *look(const char *path, struct buf *seen)
{
    if (is_program(path))
        return xstrdup(path);
    buf_addf(seen, "%s%s", seen->len ? ", " : "", path);
    return NULL;
}

static char *look_around(struct buf *seen)
{
    static const char *const beside[] = {"/" NAME, "/../libexec/fleet/" NAME, "/../" NAME};
    char exe[PATH_MAX], path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *found = NULL, *slash;

    exe[n > 0 ? n : 0] = '\0';
    slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; slash && !found && i < ARRAY_LEN(beside); i++) {
        snprintf(path, sizeof(path), "%s%s", exe, beside[i]);
        found = look(path, seen);
    }
    return found ? found : look(LIBEXECDIR "/" NAME, seen);
}

enum status start_find(const char *given, char **out, struct err *e)
{
    struct buf seen = BUF_INIT(PATH_MAX * 8);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *env = getenv("FLEET_REAPER");

    if (!given && env && *env)
        given = env;
    *out = given ? look(given, &seen) : look_around(&seen);
    if (!*out)
        err_set(
            e, STATUS_ENVIRONMENT,
            "%s is not there (looked at %s); it is built with `make`, and FLEET_REAPER can name it",
            NAME, seen.ptr ? seen.ptr : "");
    buf_deinit(&seen);
    return *out ? STATUS_OK : STATUS_ENVIRONMENT;
}

/* No signal of ours is for it: its own session, all handlers default, nothing blocked. */
static int set_attributes(posix_spawnattr_t *a)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawnattr_init(a) != 0)
        return ENOMEM;
    posix_spawnattr_setsigmask(a, &none);
    posix_spawnattr_setsigdefault(a, &all);
    return posix_spawnattr_setflags(a, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                           POSIX_SPAWN_SETSID);
}

static int spawn(const char *program, unsigned uid_base, int theirs, pid_t *pid)
{
    char base[16], mode[] = "--spawner", name[] = NAME;
    char *argv[] = {name, mode, base, NULL};
    char tmpdir[PATH_MAX + 8] = "TMPDIR=/tmp";
    char *envp[] = {tmpdir, NULL};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t attr;
    int rc;

    snprintf(base, sizeof(base), "%u", uid_base);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    if (getenv("TMPDIR"))
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
        snprintf(tmpdir, sizeof(tmpdir), "TMPDIR=%s", getenv("TMPDIR"));
    if (posix_spawn_file_actions_init(&fa) != 0)
        return ENOMEM;
    rc = set_attributes(&attr);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(&fa, theirs, SPAWNER_FD);
    if (rc == 0)
        rc = posix_spawn(pid, program, &fa, &attr, argv, envp);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

enum status start_spawner(const char *program, unsigned uid_base, int *sock, pid_t *pid,
                          struct err *e)
{
    int pair[2], rc;
    cleanup_fd int ours = -1;
    cleanup_fd int theirs = -1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "start %s: socketpair", program);
    /* never the number it will have there: dup2 onto itself would leave close-on-exec set */
    ours = fcntl(pair[0], F_DUPFD_CLOEXEC, SPAWNER_FD + 1);
    theirs = fcntl(pair[1], F_DUPFD_CLOEXEC, SPAWNER_FD + 1);
    close(pair[0]);
    close(pair[1]);
    if (ours < 0 || theirs < 0 || fcntl(ours, F_SETFL, O_NONBLOCK) < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "start %s: descriptors", program);
    rc = spawn(program, uid_base, theirs, pid);
    if (rc != 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, rc, "start %s", program);
    *sock = steal_fd(&ours);
    return STATUS_OK;
}
