/* A power cut for one process, as a preloaded library: at the n-th operation on files below a
 * directory, what was written and not synced is taken back, and the process is killed.
 *
 *   POWERLOSS_DIR=/path     files below it are watched (absolute, without links); must be there
 *   POWERLOSS_AT=n          cut before the n-th write, truncation, sync, creation, rename or
 * removal POWERLOSS_SEED=s        0: everything unsynced is lost; otherwise each unsynced write is
 * lost or kept at random, as a disk does that reorders (default 0) POWERLOSS_LIE=1         syncs do
 * nothing: the control, with which acknowledged data is lost POWERLOSS_FAIL_AT=n     from the n-th
 * operation on writes fail with POWERLOSS_FAIL_WITH=e   this errno (ENOSPC), and so do syncs
 *   POWERLOSS_COUNT=path    at exit: the number of operations is written there
 *
 * What is durable is the strict reading of POSIX: a file's bytes and size with fsync or fdatasync
 * of the file, its name (creation, rename, removal) with fsync of the directory. The variables are
 * removed from the environment, so that children are not watched. Writes through mappings are not
 * seen (SQLite maps only its -shm file, which it rebuilds).
 *
 * Kept in memory as a list of undos, newest first; a sync drops those that it makes durable. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum undo_kind {
    UNDO_WRITE,  /* bytes at an offset, and the size before */
    UNDO_CREATE, /* remove the name */
    UNDO_RENAME, /* give the old name back, and what stood under the new one */
    UNDO_UNLINK, /* give the name back */
};

struct undo {
    enum undo_kind kind;
    struct undo *next; /* older */
    dev_t dev;
    ino_t ino; /* UNDO_WRITE: of the file; others: of the directory */
    int fd;    /* UNDO_WRITE: our own descriptor of the file */
    off_t at, size_before;
    size_t len, end_len; /* bytes that were there; bytes that were written */
    char *bytes;
    char path[PATH_MAX], other[PATH_MAX], backup[PATH_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct undo *undos;
static char dir[PATH_MAX], count_path[PATH_MAX];
static size_t dir_len;
static uint64_t ops, cut_at, fail_at, random_state, n_backups;
static int fail_with = ENOSPC;
static bool lie, on, tear;

static ssize_t raw_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return syscall(SYS_pwrite64, fd, p, n, at);
}

static uint64_t take_env(const char *name)
{
    const char *v = getenv(name);
    uint64_t n = v ? strtoull(v, NULL, 10) : 0;

    unsetenv(name);
    return n;
}

__attribute__((constructor)) static void begin(void)
{
    const char *d = getenv("POWERLOSS_DIR"), *c = getenv("POWERLOSS_COUNT");

    if (!d)
        return;
    (void)snprintf(dir, sizeof(dir), "%s", d);
    (void)snprintf(count_path, sizeof(count_path), "%s", c ? c : "");
    dir_len = strlen(dir);
    cut_at = take_env("POWERLOSS_AT");
    random_state = take_env("POWERLOSS_SEED");
    tear = random_state != 0;
    lie = take_env("POWERLOSS_LIE") != 0;
    fail_at = take_env("POWERLOSS_FAIL_AT");
    if (getenv("POWERLOSS_FAIL_WITH"))
        fail_with = (int)take_env("POWERLOSS_FAIL_WITH");
    unsetenv("POWERLOSS_DIR");
    unsetenv("POWERLOSS_COUNT");
    unsetenv("LD_PRELOAD");
    on = true;
}

__attribute__((destructor)) static void finish(void)
{
    char text[32];
    int fd, n;

    if (!on || !count_path[0])
        return;
    on = false;
    fd = open(count_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)ops);
    if (fd >= 0 && write(fd, text, (size_t)n) < 0)
        (void)0;
    if (fd >= 0)
        close(fd);
}

/* --- what is watched --- */

static bool below(const char *path)
{
    return strncmp(path, dir, dir_len) == 0 && (path[dir_len] == '/' || path[dir_len] == '\0');
}

static bool path_of(int fd, char out[PATH_MAX])
{
    char link[64];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, PATH_MAX - 1);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

static bool absolute(int at, const char *path, char out[PATH_MAX])
{
    char base[PATH_MAX];

    if (path[0] == '/')
        return snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;
    if (at == AT_FDCWD ? !getcwd(base, sizeof(base)) : !path_of(at, base))
        return false;
    return snprintf(out, PATH_MAX, "%s/%s", base, path) < PATH_MAX;
}

static bool watched_fd(int fd, struct stat *st)
{
    char path[PATH_MAX];

    return on && fstat(fd, st) == 0 && (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode)) &&
           path_of(fd, path) && below(path);
}

static bool directory_of(const char *path, struct stat *st)
{
    char parent[PATH_MAX], *slash;

    (void)snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return stat(parent[0] ? parent : "/", st) == 0;
}

/* --- the cut --- */

static bool lost(void)
{
    if (!tear)
        return true;
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return random_state >> 63;
}

static void undo_write(const struct undo *u)
{
    static const char zeros[65536];
    off_t p = u->at + (off_t)u->len, end = u->at + (off_t)u->end_len;

    if (!lost())
        return;
    if (u->len > 0 && raw_pwrite(u->fd, u->bytes, u->len, u->at) < 0)
        return;
    for (; tear && p < end; p += (off_t)sizeof(zeros)) /* a later write may have made it longer */
        (void)raw_pwrite(u->fd, zeros,
                         (size_t)(end - p) < sizeof(zeros) ? (size_t)(end - p) : sizeof(zeros), p);
    if (!tear)
        (void)syscall(SYS_ftruncate, u->fd, u->size_before);
}

/* Names of their own below the directory, for what is to come back or to go. */
static void backup_name(char out[PATH_MAX])
{
    (void)snprintf(out, PATH_MAX, "%.*s/.powerloss-%d-%llu", (int)(PATH_MAX - 64), dir,
                   (int)getpid(), (unsigned long long)++n_backups);
}

static void cut(void)
{
    for (struct undo *u = undos; u; u = u->next) {
        switch (u->kind) {
        case UNDO_WRITE:
            undo_write(u);
            break;
        case UNDO_CREATE:
            if (syscall(SYS_unlink, u->path) != 0) { /* a directory: with all that is in it */
                char away[PATH_MAX];

                backup_name(away);
                (void)syscall(SYS_rename, u->path, away);
            }
            break;
        case UNDO_RENAME:
            (void)syscall(SYS_rename, u->other, u->path);
            if (u->backup[0])
                (void)syscall(SYS_rename, u->backup, u->other);
            break;
        case UNDO_UNLINK:
            (void)syscall(SYS_rename, u->backup, u->path);
            break;
        }
    }
    (void)kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Counts an operation, under the lock; true when it must fail. */
static bool operation(void)
{
    ops++;
    if (cut_at && ops >= cut_at)
        cut();
    return fail_at && ops >= fail_at;
}

static struct undo *remember(enum undo_kind kind, const struct stat *st)
{
    struct undo *u = calloc(1, sizeof(*u));

    if (!u)
        abort();
    u->kind = kind;
    u->fd = -1;
    u->dev = st->st_dev;
    u->ino = st->st_ino;
    u->next = undos;
    undos = u;
    return u;
}

static void forget(const struct stat *st)
{
    for (struct undo **at = &undos; *at;) {
        struct undo *u = *at;

        if (u->dev != st->st_dev || u->ino != st->st_ino) {
            at = &u->next;
            continue;
        }
        *at = u->next;
        if (u->fd >= 0)
            (void)syscall(SYS_close, u->fd);
        if (u->backup[0])
            (void)syscall(SYS_unlink, u->backup);
        free(u->bytes);
        free(u);
    }
}

static void before_write(int fd, const struct stat *st, off_t at, size_t n)
{
    struct undo *u = remember(UNDO_WRITE, st);
    char link[64];
    off_t have = st->st_size > at ? st->st_size - at : 0;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    u->fd = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
    u->at = at;
    u->end_len = n;
    u->size_before = st->st_size;
    u->len = (size_t)have < n ? (size_t)have : n;
    u->bytes = malloc(u->len + 1);
    if (!u->bytes || syscall(SYS_pread64, u->fd, u->bytes, u->len, at) != (ssize_t)u->len)
        abort();
}

/* --- bytes --- */

/* True when the caller must fail with errno set. The lock is held when it returns false. */
static bool enter_write(int fd, off_t at, size_t n, bool *watched)
{
    struct stat st;

    *watched = watched_fd(fd, &st) && S_ISREG(st.st_mode);
    if (!*watched)
        return false;
    pthread_mutex_lock(&lock);
    if (operation()) {
        pthread_mutex_unlock(&lock);
        errno = fail_with;
        return true;
    }
    (void)fstat(fd, &st);
    if (at < 0)
        at = fcntl(fd, F_GETFL) & O_APPEND ? st.st_size : lseek(fd, 0, SEEK_CUR);
    before_write(fd, &st, at, n);
    return false;
}

static void leave(bool watched)
{
    int errnum = errno;

    if (watched)
        pthread_mutex_unlock(&lock);
    errno = errnum;
}

ssize_t write(int fd, const void *p, size_t n)
{
    bool w;
    ssize_t r;

    if (enter_write(fd, -1, n, &w))
        return -1;
    r = syscall(SYS_write, fd, p, n);
    leave(w);
    return r;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    bool w;
    ssize_t r;

    if (enter_write(fd, at, n, &w))
        return -1;
    r = raw_pwrite(fd, p, n, at);
    leave(w);
    return r;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return pwrite(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
    size_t sum = 0;
    bool w;
    ssize_t r;

    for (int i = 0; i < n; i++)
        sum += v[i].iov_len;
    if (enter_write(fd, -1, sum, &w))
        return -1;
    r = syscall(SYS_writev, fd, v, n);
    leave(w);
    return r;
}

int ftruncate(int fd, off_t size)
{
    struct stat st;
    bool w;
    int r;

    if (fstat(fd, &st) == 0 && size < st.st_size) {
        if (enter_write(fd, size, (size_t)(st.st_size - size), &w))
            return -1;
    } else if (enter_write(fd, st.st_size, (size_t)(size - st.st_size), &w)) {
        return -1;
    }
    r = (int)syscall(SYS_ftruncate, fd, size);
    leave(w);
    return r;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

static int sync_fd(int fd, long number)
{
    struct stat st;
    bool watched = watched_fd(fd, &st);
    int r = 0;

    if (!watched)
        return (int)syscall(number, fd);
    pthread_mutex_lock(&lock);
    if (operation()) {
        pthread_mutex_unlock(&lock);
        errno = fail_with;
        return -1;
    }
    if (!lie)
        forget(&st); /* the page cache outlives us: no need to wait for the disk */
    pthread_mutex_unlock(&lock);
    return r;
}

int fsync(int fd)
{
    return sync_fd(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_fd(fd, SYS_fdatasync);
}

/* --- names --- */

/* The lock is held when it returns true. */
static bool enter_name(const char *path, struct stat *parent, bool *fails)
{
    *fails = false;
    if (!on || !below(path) || !directory_of(path, parent))
        return false;
    pthread_mutex_lock(&lock);
    *fails = operation();
    if (*fails) {
        pthread_mutex_unlock(&lock);
        errno = fail_with;
    }
    return !*fails;
}

static int open_at(int at, const char *path, int flags, mode_t mode)
{
    char full[PATH_MAX];
    struct stat parent, st;
    bool fails = false, creates;
    int fd;

    creates = on && (flags & O_CREAT) && absolute(at, path, full) && lstat(full, &st) != 0 &&
              enter_name(full, &parent, &fails);
    if (fails)
        return -1;
    fd = (int)syscall(SYS_openat, at, path, flags, mode);
    if (creates && fd >= 0) {
        struct undo *u = remember(UNDO_CREATE, &parent);

        (void)snprintf(u->path, sizeof(u->path), "%s", full);
    }
    leave(creates);
    return fd;
}

#define MODE(flags)                                                                                \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list ap;                                                                                \
        va_start(ap, flags);                                                                       \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
    }

int open(const char *path, int flags, ...)
{
    MODE(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE(flags)
    return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int at, const char *path, int flags, ...)
{
    MODE(flags)
    return open_at(at, path, flags, mode);
}

int openat64(int at, const char *path, int flags, ...)
{
    MODE(flags)
    return open_at(at, path, flags | O_LARGEFILE, mode);
}

int mkdir(const char *path, mode_t mode)
{
    char full[PATH_MAX];
    struct stat parent;
    bool fails = false,
         w = on && absolute(AT_FDCWD, path, full) && enter_name(full, &parent, &fails);
    int r;

    if (fails)
        return -1;
    r = (int)syscall(SYS_mkdir, path, mode);
    if (w && r == 0)
        (void)snprintf(remember(UNDO_CREATE, &parent)->path, PATH_MAX, "%s", full);
    leave(w);
    return r;
}

int rename(const char *from, const char *to)
{
    char a[PATH_MAX], b[PATH_MAX], backup[PATH_MAX] = "";
    struct stat parent, st;
    bool fails = false, w;
    int r;

    w = on && absolute(AT_FDCWD, from, a) && absolute(AT_FDCWD, to, b) &&
        enter_name(b, &parent, &fails);
    if (fails)
        return -1;
    if (w && lstat(b, &st) == 0) {
        backup_name(backup);
        if (syscall(SYS_link, b, backup) != 0)
            abort();
    }
    r = (int)syscall(SYS_rename, from, to);
    if (w && r == 0) {
        struct undo *u = remember(UNDO_RENAME, &parent);

        (void)snprintf(u->path, sizeof(u->path), "%s", a);
        (void)snprintf(u->other, sizeof(u->other), "%s", b);
        (void)snprintf(u->backup, sizeof(u->backup), "%s", backup);
    }
    leave(w);
    return r;
}

int unlink(const char *path)
{
    char full[PATH_MAX], backup[PATH_MAX] = "";
    struct stat parent;
    bool fails = false,
         w = on && absolute(AT_FDCWD, path, full) && enter_name(full, &parent, &fails);
    int r;

    if (fails)
        return -1;
    if (w) {
        backup_name(backup);
        if (syscall(SYS_link, full, backup) != 0)
            backup[0] = '\0';
    }
    r = (int)syscall(SYS_unlink, path);
    if (w && r == 0 && backup[0]) {
        struct undo *u = remember(UNDO_UNLINK, &parent);

        (void)snprintf(u->path, sizeof(u->path), "%s", full);
        (void)snprintf(u->backup, sizeof(u->backup), "%s", backup);
    }
    leave(w);
    return r;
}
