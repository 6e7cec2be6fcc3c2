#include "browser/chromium/room.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/str.h"

enum { CHUNK = 256 * 1024, CHILDREN_DEPTH = 3 };

static const char option[] = "--user-data-dir=";

/* --- where it is --- */

static bool profile_of(pid_t pid, char out[ROOM_PATH_MAX])
{
    struct buf text = BUF_INIT(1 << 20);
    char path[64];
    bool found = false;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    if (file_read(path, &text, NULL) == STATUS_OK)
        for (const char *z = text.ptr; z < text.ptr + text.len && !found; z += strlen(z) + 1)
            if (strncmp(z, option, sizeof option - 1) == 0) {
                found = z[sizeof option - 1] == '/';
                snprintf(out, ROOM_PATH_MAX, "%s", z + sizeof option - 1);
            }
    buf_deinit(&text);
    return found;
}

/* `pid` may be the init of the member: the browser is below it. */
static pid_t browser_of(pid_t pid, int depth, char out[ROOM_PATH_MAX])
{
    struct buf text = BUF_INIT(1 << 16);
    struct str rest;
    char path[64];
    pid_t found = profile_of(pid, out) ? pid : 0;

    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    if (found == 0 && depth > 0 && file_read(path, &text, NULL) == STATUS_OK) {
        rest = str_trim(buf_str(&text));
        while (found == 0 && rest.ptr != NULL && rest.len > 0) {
            struct str word = str_cut(&rest, ' ');
            int64_t child;

            if (str_to_i64(word, &child))
                found = browser_of((pid_t)child, depth - 1, out);
        }
    }
    buf_deinit(&text);
    return found;
}

enum status room_profile(pid_t pid, char out[ROOM_PATH_MAX], struct err *e)
{
    if (pid > 0 && browser_of(pid, CHILDREN_DEPTH, out) != 0)
        return STATUS_OK;
    return err_set(e, STATUS_ENVIRONMENT, "the browser's process %d has no profile", (int)pid);
}

/* --- opening within --- */

static int open_in(int root, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {.flags = flags | O_CLOEXEC,
                           .mode = mode,
                           .resolve =
                               RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static enum status open_root(pid_t pid, int *fd, struct err *e)
{
    char profile[ROOM_PATH_MAX], path[64];
    pid_t browser = browser_of(pid, CHILDREN_DEPTH, profile);

    snprintf(path, sizeof path, "/proc/%d/root", (int)browser);
    *fd = browser > 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (*fd < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "look into the browser's file system");
    return STATUS_OK;
}

/* The directory of `path`, and the name in it. */
static int open_dir(int root, const char *path, const char **name)
{
    char dir[ROOM_PATH_MAX];
    const char *slash = strrchr(path, '/');

    *name = slash + 1;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    return open_in(root, dir[0] != '\0' ? dir : "/", O_RDONLY | O_DIRECTORY, 0);
}

static enum status check_file(int fd, const char *name, uint64_t max_bytes, uint64_t *bytes,
                              struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "look at %s", name);
    if (!S_ISREG(st.st_mode))
        return err_set(e, STATUS_INVALID, "%s is no regular file", name);
    *bytes = (uint64_t)st.st_size;
    if (*bytes > max_bytes)
        return err_set(e, STATUS_TOO_LARGE, "%s has %llu bytes, the most is %llu", name,
                       (unsigned long long)*bytes, (unsigned long long)max_bytes);
    return STATUS_OK;
}

/* So much and no more, also when the file grows meanwhile. */
static enum status copy(int from, int to, const char *name, uint64_t max_bytes, struct err *e)
{
    cleanup_free char *room = xcalloc(1, CHUNK);
    uint64_t done = 0;
    ssize_t n;
    enum status s = STATUS_OK;

    while (s == STATUS_OK && (n = read(from, room, CHUNK)) != 0) {
        if (n < 0)
            return err_set_errno(e, STATUS_ENVIRONMENT, errno, "read %s", name);
        done += (uint64_t)n;
        if (done > max_bytes)
            return err_set(e, STATUS_TOO_LARGE, "%s grows past %llu bytes", name,
                           (unsigned long long)max_bytes);
        s = file_write_all(to, room, (size_t)n, name, e);
    }
    return s;
}

/* --- the two ways --- */

enum status room_take(pid_t pid, const char *inside, const char *to, uint64_t max_bytes,
                      uint64_t *bytes, struct err *e)
{
    cleanup_fd int root = -1, dir = -1, from = -1, out = -1;
    const char *name;
    enum status s = open_root(pid, &root, e);

    if (s != STATUS_OK)
        return s;
    dir = open_dir(root, inside, &name);
    from = dir >= 0 ? openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    if (from < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "open %s in the browser's file system",
                             inside);
    s = check_file(from, inside, max_bytes, bytes, e);
    if (s == STATUS_OK) {
        (void)unlink(to); /* of a campaign before; never written through a link */
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        s = out >= 0 ? copy(from, out, to, max_bytes, e)
                     : err_set_errno(e, STATUS_ENVIRONMENT, errno, "create %s", to);
    }
    if (s != STATUS_OK && out >= 0)
        (void)unlink(to);
    (void)unlinkat(dir, name, 0);
    return s;
}

/* Made new, and the member's to read: the umask takes part of the mode away. */
static int create_in(int root, const char *inside)
{
    const char *slash = strrchr(inside, '/'), *name;
    char dir_path[ROOM_PATH_MAX];
    cleanup_fd int parent = -1, dir = -1;
    int fd;

    snprintf(dir_path, sizeof dir_path, "%.*s", (int)(slash - inside), inside);
    parent = open_dir(root, dir_path, &name);
    if (parent < 0 || (mkdirat(parent, name, 0755) != 0 && errno != EEXIST))
        return -1;
    dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || fchmod(dir, 0755) != 0)
        return -1;
    (void)unlinkat(dir, slash + 1, 0);
    fd = openat(dir, slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd >= 0)
        (void)fchmod(fd, 0644);
    return fd;
}

enum status room_put(pid_t pid, const char *from, const char *inside, uint64_t max_bytes,
                     struct err *e)
{
    cleanup_fd int root = -1, in = -1, out = -1;
    uint64_t bytes = 0;
    enum status s = open_root(pid, &root, e);

    if (s != STATUS_OK)
        return s;
    in = open(from, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (in < 0)
        return err_set_errno(e, STATUS_INVALID, errno, "open %s", from);
    s = check_file(in, from, max_bytes, &bytes, e);
    if (s != STATUS_OK)
        return s;
    out = create_in(root, inside);
    if (out < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "create %s in the browser's file system",
                             inside);
    return copy(in, out, from, max_bytes, e);
}

/* --- from and to memory --- */

static enum status read_all(int fd, const char *name, uint64_t bytes, struct buf *out,
                            struct err *e)
{
    char *room = bytes > 0 ? buf_reserve(out, (size_t)bytes) : NULL;
    uint64_t done = 0;
    ssize_t n;

    if (bytes == 0)
        return STATUS_OK;
    if (room == NULL)
        return err_set(e, STATUS_TOO_LARGE, "no room for the %llu bytes of %s",
                       (unsigned long long)bytes, name);
    while (done < bytes && (n = read(fd, room + done, (size_t)(bytes - done))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(e, STATUS_ENVIRONMENT, errno, "read %s", name);
        done += (uint64_t)n;
    }
    buf_commit(out, (size_t)done);
    return STATUS_OK;
}

enum status room_read(pid_t pid, const char *inside, uint64_t max_bytes, struct buf *out,
                      struct err *e)
{
    cleanup_fd int root = -1, dir = -1, from = -1;
    const char *name;
    uint64_t bytes;
    enum status s = open_root(pid, &root, e);

    if (s != STATUS_OK)
        return s;
    dir = open_dir(root, inside, &name);
    from = dir >= 0 ? openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    if (from < 0)
        return err_set_errno(e, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_ENVIRONMENT, errno,
                             "open %s in the browser's file system", inside);
    s = check_file(from, inside, max_bytes, &bytes, e);
    return s == STATUS_OK ? read_all(from, inside, bytes, out, e) : s;
}

enum status room_write(pid_t pid, struct str data, const char *inside, struct err *e)
{
    cleanup_fd int root = -1, dir = -1, out = -1;
    const char *name;
    enum status s = open_root(pid, &root, e);

    if (s != STATUS_OK)
        return s;
    out = create_in(root, inside);
    if (out < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "create %s in the browser's file system",
                             inside);
    s = data.len > 0 ? file_write_all(out, data.ptr, data.len, inside, e) : STATUS_OK;
    if (s != STATUS_OK && (dir = open_dir(root, inside, &name)) >= 0)
        (void)unlinkat(dir, name, 0);
    return s;
}

void room_clear(pid_t pid, const char *inside)
{
    cleanup_fd int root = -1, parent = -1;
    struct err e = ERR_INIT;
    const struct dirent *entry;
    const char *name;
    DIR *dir;
    int fd;

    if (open_root(pid, &root, &e) != STATUS_OK)
        return;
    parent = open_dir(root, inside, &name);
    fd = parent >= 0 ? openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while ((entry = readdir(dir)) != NULL)
        (void)unlinkat(fd, entry->d_name, 0);
    closedir(dir);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}
