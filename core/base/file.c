#include "core/base/file.h"
#include "core/base/clock.h"
#include "core/base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    READ_CHUNK = 64 * 1024,
    LOCK_POLL_MS = 10,
    REMOVE_DEPTH_MAX = 200, /* one descriptor a level is open while a tree is removed */
};

/* Statuses of the errno values that tell more than "the device failed"; err_set_errno knows those
 * of space, memory and permission. */
static enum status status_of(int errnum)
{
    static const struct {
        int errnum;
        enum status status;
    } table[] = {
        {ENOENT, STATUS_NOT_FOUND}, {ENOTDIR, STATUS_NOT_FOUND},    {EISDIR, STATUS_INVALID},
        {ELOOP, STATUS_INVALID},    {ENAMETOOLONG, STATUS_INVALID}, {EINVAL, STATUS_INVALID},
        {EPIPE, STATUS_CLOSED},     {EFBIG, STATUS_TOO_LARGE},      {ENXIO, STATUS_INVALID},
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].errnum == errnum)
            return table[i].status;
    return STATUS_IO;
}

#define fail(e, errnum, ...) err_set_errno((e), status_of(errnum), (errnum), __VA_ARGS__)

/* --- reading --- */

static enum status read_fd(int fd, const char *name, struct buf *out, struct err *e)
{
    cleanup_free char *chunk = xcalloc(1, READ_CHUNK);
    size_t start = out->len;

    for (;;) {
        ssize_t n = read(fd, chunk, READ_CHUNK);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int errnum = errno;

            buf_truncate(out, start);
            return fail(e, errnum, "read %s", name);
        }
        if (n == 0)
            return STATUS_OK;
        buf_add(out, chunk, (size_t)n);
        if (buf_status(out) != STATUS_OK) {
            size_t held = out->len - start;

            buf_truncate(out, start);
            return err_set(e, buf_status(out), "read %s: %s after %zu bytes", name,
                           status_text(buf_status(out)), held);
        }
    }
}

enum status file_read(const char *path, struct buf *out, struct err *e)
{
    cleanup_fd int fd = -1;
    struct stat st;

    if (strcmp(path, "-") == 0)
        return read_fd(STDIN_FILENO, "standard input", out, e);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return fail(e, errno, "read %s", path);
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
        return err_set(e, STATUS_INVALID, "read %s: is a directory, expected a file", path);
    return read_fd(fd, path, out, e);
}

/* --- writing --- */

enum status file_write_all(int fd, const void *p, size_t n, const char *name, struct err *e)
{
    const char *from = p;

    while (n > 0) {
        int fault = fault_point("file.write");
        ssize_t done = fault ? -1 : write(fd, from, n);
        int errnum = fault ? fault : errno;

        if (done < 0 && errnum == EINTR)
            continue;
        if (done < 0)
            return fail(e, errnum, "write %s", name);
        from += done;
        n -= (size_t)done;
    }
    return STATUS_OK;
}

static int sync_fd(int fd)
{
    int fault = fault_point("file.fsync");

    if (fault)
        return fault;
    return fsync(fd) == 0 ? 0 : errno;
}

static int rename_over(const char *from, const char *to)
{
    int fault = fault_point("file.rename");

    if (fault)
        return fault;
    return rename(from, to) == 0 ? 0 : errno;
}

/* Content, mode and fsync of the temporary file; the descriptor is closed either way, because
 * closing may report a failed write (NFS). */
static enum status fill(int fd, const char *path, struct str content, mode_t mode, struct err *e)
{
    enum status st = file_write_all(fd, content.ptr, content.len, path, e);
    int errnum = 0;

    if (st == STATUS_OK && fchmod(fd, mode) != 0)
        errnum = errno;
    if (st == STATUS_OK && errnum == 0)
        errnum = sync_fd(fd);
    if (close(fd) != 0 && st == STATUS_OK && errnum == 0)
        errnum = errno;
    return errnum ? fail(e, errnum, "write %s", path) : st;
}

static int open_dir(const char *path)
{
    cleanup_free char *dir = file_dirname(path);

    return open(*dir ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* ".name.XXXXXX" in the directory of `path`, so that the rename stays on one file system. */
static char *temporary_beside(const char *path)
{
    cleanup_free char *dir = file_dirname(path);
    const char *slash = strrchr(path, '/');
    size_t size = strlen(path) + sizeof("/..XXXXXX");
    cleanup_free char *name = xcalloc(1, size);

    (void)snprintf(name, size, ".%s.XXXXXX", slash ? slash + 1 : path);
    return file_join(dir, name);
}

enum status file_replace(const char *path, struct str content, mode_t mode, struct err *e)
{
    cleanup_free char *tmp = temporary_beside(path);
    cleanup_fd int dir = open_dir(path);
    enum status st;
    int fd, errnum;

    if (dir < 0)
        return fail(e, errno, "write %s", path);
    fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return fail(e, errno, "write %s", path);
    st = fill(fd, path, content, mode, e);
    if (st == STATUS_OK) {
        errnum = rename_over(tmp, path);
        if (errnum)
            st = fail(e, errnum, "replace %s", path);
    }
    if (st != STATUS_OK) {
        (void)unlink(tmp); /* best effort: the error to report is the first */
        return st;
    }
    errnum = sync_fd(dir);
    if (errnum && errnum != EINVAL) /* EINVAL: a file system without fsync of directories */
        return fail(e, errnum, "replaced %s, but its directory could not be synced", path);
    return STATUS_OK;
}

/* --- directories --- */

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* mkdir; what exists is fine when it is a directory. Some file systems answer EACCES or EROFS for a
 * directory that is there. */
static enum status make_dir(const char *path, mode_t mode, struct err *e)
{
    int errnum;

    if (mkdir(path, mode) == 0) {
        cleanup_fd int parent = open_dir(path);

        /* What is synced in it later is worth nothing when its own name is lost. */
        errnum = parent < 0 ? 0 : fsync(parent) == 0 ? 0 : errno;
        return errnum == 0 || errnum == EINVAL
                   ? STATUS_OK
                   : fail(e, errnum, "made directory %s, but its parent could not be synced", path);
    }
    errnum = errno;
    if (is_dir(path))
        return STATUS_OK;
    if (errnum == EEXIST || errnum == ENOTDIR)
        return err_set(e, STATUS_INVALID, "create directory %s: a file is in its place", path);
    return fail(e, errnum, "create directory %s", path);
}

enum status file_mkdirs(const char *path, mode_t mode, struct err *e)
{
    cleanup_free char *p = xstrdup(path);

    for (char *slash = strchr(p + (*p == '/'), '/'); slash; slash = strchr(slash + 1, '/')) {
        enum status st;

        *slash = '\0';
        st = make_dir(p, mode, e);
        if (st != STATUS_OK)
            return st;
        *slash = '/';
    }
    return make_dir(p, mode, e);
}

/* A removal under way: the first failure is kept. */
struct removal {
    const char *root;
    enum status status;
    struct err *e;
};

static void removal_failed(struct removal *r, int errnum, const char *name)
{
    if (r->status == STATUS_OK)
        r->status = fail(r->e, errnum, "remove %s: %s", r->root, name);
}

static void remove_at(struct removal *r, int parent, const char *name, int depth);

static void remove_children(struct removal *r, DIR *d, int depth)
{
    struct dirent *entry;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): safe for a stream of our own */
    while ((errno = 0, entry = readdir(d)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_at(r, dirfd(d), entry->d_name, depth + 1);
    if (errno)
        removal_failed(r, errno, "list");
}

/* Empties the directory `name`. O_NOFOLLOW: a link that took its place after we looked is not
 * entered. */
static bool empty_dir(struct removal *r, int parent, const char *name, int depth)
{
    cleanup_fd int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d;

    if (fd < 0 || depth > REMOVE_DEPTH_MAX) {
        removal_failed(r, fd < 0 ? errno : ELOOP, name);
        return false;
    }
    (void)fchmod(fd, 0700); /* entries of a directory without write permission cannot be removed */
    d = fdopendir(fd);
    if (!d) {
        removal_failed(r, errno, name);
        return false;
    }
    (void)steal_fd(&fd); /* closedir closes it */
    remove_children(r, d, depth);
    (void)closedir(d);
    return true;
}

static void remove_at(struct removal *r, int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return;
    if (errno != EISDIR) {
        removal_failed(r, errno, name);
        return;
    }
    if (!empty_dir(r, parent, name, depth))
        return;
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        removal_failed(r, errno, name);
}

enum status file_remove_tree(const char *path, struct err *e)
{
    cleanup_free char *root = xstrdup(path);
    struct removal r = {root, STATUS_OK, e};

    for (size_t n = strlen(root); n > 1 && root[n - 1] == '/'; n--)
        root[n - 1] = '\0'; /* with a slash at its end a link would be followed */
    remove_at(&r, AT_FDCWD, root, 0);
    return r.status;
}

/* --- locks --- */

/* 0, or the errno; EAGAIN or EACCES when another process holds it. */
static int try_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_SETLK, &lock) == 0 ? 0 : errno;
}

static enum status lock_busy(int fd, const char *path, struct err *e)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    /* the holder may have let go in between, or live in another pid namespace */
    if (fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK && lock.l_pid > 0)
        return err_set(e, STATUS_BUSY, "lock %s: held by process %ld", path, (long)lock.l_pid);
    return err_set(e, STATUS_BUSY, "lock %s: held by another process", path);
}

/* The file at `path` is still the one that is open: its last holder may have removed it while we
 * waited. */
static bool is_same_file(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

enum status file_lock(const char *path, unsigned wait_ms, int *out, struct err *e)
{
    const struct timespec pause = {0, LOCK_POLL_MS * 1000000L};
    uint64_t until_ms = clock_mono_ms(clock_system()) + wait_ms;

    *out = -1;
    for (;;) {
        cleanup_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        int errnum;

        if (fd < 0)
            return fail(e, errno, "lock %s", path);
        errnum = try_lock(fd);
        if (errnum == 0 && is_same_file(fd, path)) {
            *out = steal_fd(&fd);
            return STATUS_OK;
        }
        if (errnum != 0 && errnum != EAGAIN && errnum != EACCES)
            return fail(e, errnum, "lock %s", path);
        if (clock_mono_ms(clock_system()) >= until_ms)
            return lock_busy(fd, path, e);
        (void)nanosleep(&pause, NULL);
    }
}

/* --- names and descriptors --- */

char *file_join(const char *dir, const char *rel)
{
    size_t n = dir ? strlen(dir) : 0;
    size_t size = n + strlen(rel) + 2;
    char *out;

    if (n == 0 || rel[0] == '/')
        return xstrdup(rel);
    out = xcalloc(1, size);
    (void)snprintf(out, size, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", rel);
    return out;
}

char *file_dirname(const char *path)
{
    char *out = xstrdup(path);
    char *slash = strrchr(out, '/');

    if (!slash) {
        out[0] = '\0';
        return out;
    }
    while (slash > out && slash[-1] == '/')
        slash--;
    slash[slash == out] = '\0'; /* "/x": the root keeps its slash */
    return out;
}

enum status file_nonblock(int fd, struct err *e)
{
    int status_flags = fcntl(fd, F_GETFL);
    int fd_flags = fcntl(fd, F_GETFD);

    if (status_flags < 0 || fd_flags < 0 || fcntl(fd, F_SETFL, status_flags | O_NONBLOCK) != 0 ||
        fcntl(fd, F_SETFD, fd_flags | FD_CLOEXEC) != 0)
        return fail(e, errno, "make descriptor %d non-blocking", fd);
    return STATUS_OK;
}
