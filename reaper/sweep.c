/* What an earlier run left behind. Every member has a lock file "m-<spawner>-<id>-<random>" under
 * <state_dir>/run: its init holds byte 0 for as long as it lives, the spawner byte 1 until it has
 * cleared away. When nobody holds either, what its lines name is left over:
 *
 *     name NAME          for messages
 *     orphans            no PID namespace: processes may have stayed
 *     uid N              the member's own uid
 *     tmp PATH           its directory (no mount namespace)
 *     cgroup PATH        its cgroups
 *
 * Crash handlers of the full browser leave its session and are found by the uid, the cgroup or the
 * directory they were given in their environment. POSIX locks, because flock would be inherited by
 * every child and so outlive init. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "reaper/reaper.h"
#include "reaper/sweep.h"
#include "reaper/uids.h"

enum {
    NOTES_MAX = 64 * 1024,
    ENVIRON_MAX = 256 * 1024,
    NEW_FILE_S = 10,
    KILL_ROUNDS = 200, /* of 5 ms, until nothing of a member is seen any more */
    REMOVE_TRIES = 60, /* of a cgroup, 5 ms apart */
};

bool sweep_is_lock_name(const char *name)
{
    if (strncmp(name, "new-", 4) == 0) /* a spawner was killed before the file had its name */
        name += 4;
    return name[0] == 'm' && name[1] == '-' && isdigit((unsigned char)name[2]);
}

void sweep_parse(struct str text, struct sweep_notes *out)
{
    *out = (struct sweep_notes){0};
    while (text.ptr) {
        struct str value = str_cut(&text, '\n');
        struct str key = str_cut(&value, ' ');
        uint64_t n;

        if (str_eqz(key, "name"))
            out->name = value;
        else if (str_eqz(key, "orphans"))
            out->orphans = true;
        else if (str_eqz(key, "uid") && str_to_u64(value, UINT32_MAX, &n))
            out->uid = (uid_t)n;
        else if (str_eqz(key, "tmp") && str_starts(value, STR("/")))
            out->tmp = value;
        else if (str_eqz(key, "cgroup") && str_starts(value, STR("/")) &&
                 out->n_cgroups < ARRAY_LEN(out->cgroups))
            out->cgroups[out->n_cgroups++] = value;
    }
}

static bool is_held(int fd)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_GETLK, &l) < 0 || l.l_type != F_UNLCK;
}

/* Between open and lock: such a file is left alone until it is clear that nobody will lock it any
 * more. */
static bool is_being_made(int fd, const char *name)
{
    struct stat st;

    return strncmp(name, "new-", 4) == 0 && fstat(fd, &st) == 0 &&
           time(NULL) - st.st_mtime < NEW_FILE_S;
}

/* --- processes --- */

/* Lines are ours, but files can be edited: only what has our names is ever removed, or
 * tells a process of ours. */
static bool is_ours(struct str path)
{
    return str_find(path, STR("/fleet-m-")) >= 0 && str_find(path, STR("..")) < 0;
}

static bool environ_names(pid_t pid, struct str tmp, struct buf *b)
{
    char path[64];

    buf_reset(b);
    snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
    return file_read(path, b, NULL) == STATUS_OK && str_find(buf_str(b), tmp) >= 0;
}

static bool has_uid(pid_t pid, uid_t uid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid); /* owner: the effective uid */
    return stat(path, &st) == 0 && st.st_uid == uid;
}

/* Ended, and not waited for: where PID 1 is no reaper it stays so. */
static bool is_zombie(pid_t pid)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    char path[64];
    const char *end = NULL;
    bool is;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (file_read(path, &b, NULL) == STATUS_OK && b.ptr)
        end = strrchr(b.ptr, ')');
    is = end && strncmp(end, ") Z", 3) == 0;
    buf_deinit(&b);
    return is;
}

/* Kills what is found once; how many. The uid is held, so it is nobody else's; without one the
 * member's directory, whose name is random, stands in its environment (HOME, TMPDIR). */
static unsigned kill_found(const struct sweep_notes *w)
{
    struct buf b = BUF_INIT(ENVIRON_MAX);
    DIR *d = opendir("/proc");
    struct dirent *e;
    unsigned n = 0;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (d && (e = readdir(d)) != NULL) {
        uint64_t pid;

        if (!isdigit((unsigned char)e->d_name[0]) ||
            !str_to_u64(str_from(e->d_name), INT32_MAX, &pid) || (pid_t)pid == getpid())
            continue;
        if ((w->uid != 0 && has_uid((pid_t)pid, w->uid) && !is_zombie((pid_t)pid)) ||
            (w->uid == 0 && w->tmp.len > 0 && environ_names((pid_t)pid, w->tmp, &b)))
            n += kill((pid_t)pid, SIGKILL) == 0 ? 1u : 0u;
    }
    if (d)
        closedir(d);
    buf_deinit(&b);
    return n;
}

/* Where the uid was given to somebody else meanwhile, the directory must do. */
static unsigned kill_left(const struct sweep_notes *w)
{
    static const struct timespec wait = {.tv_nsec = 5000000};
    cleanup_fd int uids = w->uid != 0 && geteuid() == 0 ? uids_open() : -1;
    struct sweep_notes mine = *w;
    unsigned first, n;

    if (uids >= 0 && !uids_take(uids, w->uid))
        mine.uid = 0;
    if (!is_ours(mine.tmp))
        mine.tmp = STR_NONE;
    n = first = kill_found(&mine);
    for (unsigned i = 0; n > 0 && i < KILL_ROUNDS; i++) {
        nanosleep(&wait, NULL);
        n = kill_found(&mine);
    }
    return first;
}

/* --- one member --- */

static void write_kill(struct str dir)
{
    char path[PATH_MAX];
    cleanup_fd int fd = -1;

    snprintf(path, sizeof(path), "%.*s/cgroup.kill", STR_ARG(dir));
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "1", 1) < 0)
        return; /* the other ways remain */
}

/* True when it is not there any more. The kernel takes the last process out of it some time after
 * that has ended. */
static bool remove_cgroup(struct str dir, struct reaper_swept *out)
{
    static const struct timespec wait = {.tv_nsec = 5000000};
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%.*s", STR_ARG(dir));
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (rmdir(path) == 0) {
            out->cgroups++;
            return true;
        }
        if (errno != EBUSY)
            return errno == ENOENT;
        nanosleep(&wait, NULL);
    }
    return false;
}

/* False when something stays. */
static bool clear(const struct sweep_notes *w, struct reaper_swept *out)
{
    char path[PATH_MAX];
    bool clean = true;

    for (size_t i = 0; i < w->n_cgroups; i++)
        if (is_ours(w->cgroups[i]))
            write_kill(w->cgroups[i]);
    if (w->orphans)
        out->processes += kill_left(w);
    for (size_t i = 0; i < w->n_cgroups; i++)
        if (is_ours(w->cgroups[i]))
            clean = remove_cgroup(w->cgroups[i], out) && clean;
    if (w->tmp.len > 0 && is_ours(w->tmp)) {
        snprintf(path, sizeof(path), "%.*s", STR_ARG(w->tmp));
        if (access(path, F_OK) == 0 && file_remove_tree(path, NULL) == STATUS_OK)
            out->dirs++;
        else
            clean = access(path, F_OK) != 0 && clean;
    }
    return clean;
}

static void sweep_one(const char *dir, const char *name, struct reaper_swept *out)
{
    cleanup_free char *path = file_join(dir, name);
    bool clean = true;
    struct buf b = BUF_INIT(NOTES_MAX);
    struct sweep_notes w;
    struct stat st;
    cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || is_being_made(fd, name))
        return;
    if (is_held(fd)) {
        out->alive++;
        return;
    }
    if (file_read(path, &b, NULL) == STATUS_OK) {
        sweep_parse(buf_str(&b), &w);
        if (fstat(fd, &st) < 0 || st.st_uid != geteuid())
            w.uid = 0; /* not for somebody else to say whose processes we kill */
        clean = clear(&w, out);
        log_info(NULL, "reaper.swept", LOG_S("name", w.name), LOG_STR("file", name),
                 LOG_BOOL("clean", clean));
    }
    buf_deinit(&b);
    out->members++;
    if (clean && unlink(path) == 0) /* else the next start tries again */
        out->files++;
}

char *sweep_run_dir(const char *state_dir)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *tmp = getenv("TMPDIR");
    char path[PATH_MAX], *real;

    if (state_dir) {
        /* absolute: the spawner's working directory is another */
        snprintf(path, sizeof(path), "%s", state_dir);
        if (path[0] != '/' && getcwd(path, sizeof(path) - 1)) {
            real = file_join(path, state_dir);
            snprintf(path, sizeof(path), "%s", real);
            free(real);
        }
    } else {
        snprintf(path, sizeof(path), "%s/fleet-%u", tmp && *tmp == '/' ? tmp : "/tmp",
                 (unsigned)geteuid());
    }
    return file_join(path, "run");
}

enum status reaper_sweep(const char *state_dir, struct reaper_swept *out, struct err *e)
{
    cleanup_free char *dir = sweep_run_dir(state_dir);
    struct dirent *entry;
    DIR *d;

    *out = (struct reaper_swept){0};
    d = opendir(dir);
    if (!d)
        return errno == ENOENT ? STATUS_OK : err_set_errno(e, STATUS_IO, errno, "sweep %s", dir);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while ((entry = readdir(d)) != NULL)
        if (sweep_is_lock_name(entry->d_name))
            sweep_one(dir, entry->d_name, out);
    closedir(d);
    return STATUS_OK;
}
