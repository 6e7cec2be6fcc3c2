/* The member's root is a small tmpfs, read-only in the end, into which what the member may see is
 * bound from the old root:
 *
 *     /          tmpfs, read-only           /usr /etc ... bound, read-only, nosuid
 *     /proc      of the PID namespace       /dev          null zero full random urandom tty, links,
 * and /dev/shm (tmpfs) /tmp       tmpfs: temporary files, home and profile; goes with the namespace
 *
 * With the view "host" the old root itself is bound read-only, and /proc, /dev/shm and /tmp are
 * mounted over it. The order is that of bubblewrap: a tmpfs on a directory that exists, pivot into
 * it with the old root at OLD, build, detach OLD. In a user namespace mounts that came from outside
 * are locked together, so binds are always recursive and nothing of them is ever unmounted singly.
 */
#include "reaper/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/mountinfo.h"

#define OLD "/.old"
#define NEW "/.new"

static const char *const bases[] = {"/tmp", "/run", "/var", "/mnt", "/usr"};

/* Seen in the minimal view when they exist; links stay links. */
static const char *const system_paths[] = {
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/sys",
    "/nix",
    "/gnu",
    "/snap",
    "/var/cache/fontconfig",
    "/var/lib/ca-certificates",
};
static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
static const struct {
    const char *to, *at;
} dev_links[] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
};

struct build {
    struct report *r;
    const struct wire_spec *s;
    const struct mounts_who *who;
    char root[8]; /* where the new root is being built: "" or NEW */
};

static int sys_mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *a)
{
    return (int)syscall(SYS_mount_setattr, dir, path, flags, a, sizeof(*a));
}

/* "<prefix><path>" into out; too long is ENAMETOOLONG. */
static bool join(struct build *b, const char *prefix, const char *path, char out[PATH_MAX])
{
    int n = snprintf(out, PATH_MAX, "%s%s", prefix, path);

    return (n > 0 && n < PATH_MAX) || report_fail(b->r, STEP_MKDIR, path, ENAMETOOLONG);
}

/* Makes the directories of `path` up to and with the last (or without it). They are traversable by
 * the member, even where those outside are not: that is how a program under /root can be shown to
 * an unprivileged member. */
static bool make_dirs(struct build *b, const char *path, bool with_last)
{
    char p[PATH_MAX];

    if (!join(b, "", path, p))
        return false;
    for (char *c = p + 1; *c; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        if (mkdir(p, 0755) < 0 && errno != EEXIST && errno != EROFS)
            return report_fail(b->r, STEP_MKDIR, p, errno);
        *c = '/';
    }
    if (with_last && mkdir(p, 0755) < 0 && errno != EEXIST && errno != EROFS)
        return report_fail(b->r, STEP_MKDIR, p, errno);
    return true;
}

/* A mount point for `st`: a directory or an empty file. */
static bool make_point(struct build *b, const char *at, bool dir)
{
    int fd;

    if (!make_dirs(b, at, dir))
        return false;
    if (dir)
        return true;
    fd = open(at, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0 && errno != EEXIST && errno != EROFS && errno != EACCES && errno != EISDIR)
        return report_fail(b->r, STEP_MKDIR, at, errno);
    if (fd >= 0)
        close(fd);
    return true;
}

/* Recursively read-only, nosuid. Kernels before 5.12 have no mount_setattr: one mount after the
 * other then. */
static bool make_readonly(struct build *b, const char *at)
{
    struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};

    if (report_is_fault(b->r, STEP_READONLY, at))
        return false;
    if (sys_mount_setattr(-1, at, AT_RECURSIVE, &a) == 0)
        return true;
    if (errno == ENOSYS && mountinfo_remount(at, MS_RDONLY | MS_NOSUID) == 0)
        return true;
    return report_fail(b->r, STEP_READONLY, at, errno);
}

static bool bind_at(struct build *b, const char *from, const char *at, bool writable)
{
    return TRY(b->r, STEP_BIND, at, mount(from, at, NULL, MS_BIND | MS_REC, NULL)) &&
           (writable || make_readonly(b, at));
}

/* --- owners of writable binds --- */

/* A user namespace that maps `outer` ids of the disk to `inner` ids of the mount, for as long as
 * the descriptor is open; -1. */
static int idmap_namespace(const struct build *b)
{
    const struct mounts_who *w = b->who;
    char path[64], line[64];
    pid_t pid =
        (pid_t)syscall(SYS_clone, (unsigned long)(CLONE_NEWUSER | SIGCHLD), NULL, NULL, NULL, 0);
    int fd = -1, status;

    if (pid == 0) {
        pause();
        _exit(0);
    }
    if (pid < 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        int map, n;

        snprintf(path, sizeof(path), "%s/proc/%d/%s", b->root, (int)pid,
                 i == 0 ? "uid_map" : "gid_map");
        n = snprintf(line, sizeof(line), "%u %u 1", i == 0 ? w->owner_uid : w->owner_gid,
                     i == 0 ? w->uid : w->gid);
        map = open(path, O_WRONLY | O_CLOEXEC);
        if (map < 0)
            goto out;
        if (write(map, line, (size_t)n) != n) {
            close(map);
            goto out;
        }
        close(map);
    }
    snprintf(path, sizeof(path), "%s/proc/%d/ns/user", b->root, (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
out:
    kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return fd;
}

/* Binds `from` at `at` so that the owner's files appear as the member's. False when the file system
 * cannot. */
static bool bind_idmapped(struct build *b, const char *from, const char *at)
{
    cleanup_fd int user = idmap_namespace(b);
    cleanup_fd int tree = -1;
    struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};

    if (user < 0)
        return false;
    a.userns_fd = (unsigned)user;
    tree = (int)syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (tree < 0 || sys_mount_setattr(tree, "", AT_EMPTY_PATH, &a) < 0)
        return false;
    return syscall(SYS_move_mount, tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

static bool bind_writable(struct build *b, const char *from, const char *at)
{
    if (b->who->uid == b->who->owner_uid)
        return bind_at(b, from, at, true);
    if (!report_is_fault(b->r, STEP_IDMAP, at) && bind_idmapped(b, from, at))
        return true;
    report_clear(b->r);
    return bind_at(b, from, at, true) &&
           TRY(b->r, STEP_OWNER, at, chown(at, b->who->uid, b->who->gid));
}

/* --- pieces of the view --- */

static bool bind_one(struct build *b, const struct wire_bind *w)
{
    char from[PATH_MAX], at[PATH_MAX];
    struct stat st;

    if (!join(b, OLD, w->path, from) || !join(b, b->root, w->at, at))
        return false;
    if (!TRY(b->r, STEP_BIND, w->path, stat(from, &st)))
        return false;
    if (!make_point(b, at, S_ISDIR(st.st_mode)))
        return false;
    return w->writable ? bind_writable(b, from, at) : bind_at(b, from, at, false);
}

/* What is not there is left out; what cannot be looked at is a failure, not taken for absent. */
static bool is_absent(void)
{
    return errno == ENOENT || errno == ENOTDIR;
}

static bool show_system_path(struct build *b, const char *path)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct stat st;
    ssize_t n;

    if (!join(b, OLD, path, from))
        return false;
    if (lstat(from, &st) < 0)
        return is_absent() || report_fail(b->r, STEP_BIND, path, errno);
    if (!S_ISLNK(st.st_mode)) {
        struct wire_bind w = {.path = path, .at = path};

        return bind_one(b, &w);
    }
    n = readlink(from, to, sizeof(to) - 1);
    if (n < 0)
        return report_fail(b->r, STEP_SYMLINK, path, errno);
    to[n] = '\0';
    return TRY(b->r, STEP_SYMLINK, path, symlink(to, path));
}

/* Where /etc/resolv.conf really is, when that is outside of what is shown (systemd-resolved). */
static bool show_resolv_conf(struct build *b)
{
    char real[PATH_MAX];
    ssize_t n = readlink(OLD "/etc/resolv.conf", real, sizeof(real) - 1);
    struct wire_bind w;
    char absolute[PATH_MAX];

    if (n <= 0)
        return true;
    real[n] = '\0';
    if (!strstr(real, "run/"))
        return true;
    snprintf(absolute, sizeof(absolute), "/%s", strstr(real, "run/"));
    w = (struct wire_bind){.path = absolute, .at = absolute};
    if (!bind_one(b, &w))
        report_clear(b->r); /* a dangling link: no name service there either */
    return true;
}

static bool show_devices(struct build *b)
{
    if (!TRY(b->r, STEP_MKDIR, "/dev", mkdir("/dev", 0755)))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
        char from[64], at[64];
        struct stat st;

        snprintf(from, sizeof(from), OLD "/dev/%s", devices[i]);
        snprintf(at, sizeof(at), "/dev/%s", devices[i]);
        if (stat(from, &st) < 0) {
            if (!is_absent())
                return report_fail(b->r, STEP_BIND, at, errno);
            continue;
        }
        if (!make_point(b, at, false) ||
            !TRY(b->r, STEP_BIND, at, mount(from, at, NULL, MS_BIND, NULL)))
            return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(dev_links); i++)
        if (!TRY(b->r, STEP_SYMLINK, dev_links[i].at, symlink(dev_links[i].to, dev_links[i].at)))
            return false;
    return true;
}

static bool mount_tmpfs(struct build *b, const char *path, uint64_t max_bytes, unsigned mode)
{
    char at[PATH_MAX], options[96];

    if (!join(b, b->root, path, at) || !make_dirs(b, at, true))
        return false;
    snprintf(options, sizeof(options), "mode=%o,size=%llu", mode, (unsigned long long)max_bytes);
    return TRY(b->r, STEP_TMPFS, path, mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, options));
}

static bool make_own_dir(struct build *b, const char *path)
{
    char at[PATH_MAX];

    return join(b, b->root, path, at) && TRY(b->r, STEP_MKDIR, path, mkdir(at, 0700)) &&
           (b->who->uid == geteuid() ||
            TRY(b->r, STEP_OWNER, path, chown(at, b->who->uid, b->who->gid)));
}

static bool mount_private(struct build *b)
{
    return mount_tmpfs(b, "/dev/shm", b->s->n.shm_max_bytes, 01777) &&
           mount_tmpfs(b, "/tmp", b->s->n.tmp_max_bytes, 01777) && make_own_dir(b, "/tmp/home") &&
           make_own_dir(b, "/tmp/profile");
}

/* A new proc needs the old one fully visible (mount_too_revealing in the kernel): containers mask
 * parts of it, and then the old one is bound, masks and all. The member then sees numbers of other
 * processes, and Chromium works all the same. */
static bool mount_proc(struct build *b, bool *masked)
{
    char at[PATH_MAX];

    *masked = false;
    if (!join(b, b->root, "/proc", at) || !make_dirs(b, at, true))
        return false;
    if (report_is_fault(b->r, STEP_PROC, "/proc"))
        return false;
    if (b->who->own_procfs &&
        mount("proc", at, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0)
        return true;
    if (b->who->own_procfs && errno != EPERM)
        return report_fail(b->r, STEP_PROC, "/proc", errno);
    *masked = b->who->own_procfs;
    return TRY(b->r, STEP_BIND, "/proc", mount(OLD "/proc", at, NULL, MS_BIND | MS_REC, NULL));
}

static bool show_binds(struct build *b)
{
    for (size_t i = 0; i < b->s->n_binds; i++)
        if (!bind_one(b, &b->s->binds[i]))
            return false;
    return true;
}

static bool hide_paths(struct build *b)
{
    for (size_t i = 0; i < b->s->n_hide; i++) {
        char at[PATH_MAX];
        struct stat st;

        if (!join(b, b->root, b->s->hide[i], at))
            return false;
        if (stat(at, &st) < 0) {
            if (!is_absent())
                return report_fail(b->r, STEP_HIDE, b->s->hide[i], errno);
            continue;
        }
        if (!S_ISDIR(st.st_mode))
            continue;
        if (!TRY(
                b->r, STEP_HIDE, b->s->hide[i],
                mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV | MS_RDONLY, "mode=0555,size=4k")))
            return false;
    }
    return true;
}

/* --- roots --- */

static int sys_pivot_root(const char *new_root, const char *put_old)
{
    return (int)syscall(SYS_pivot_root, new_root, put_old);
}

/* A tmpfs becomes the root, the old root is at OLD. */
static bool enter_empty_root(struct report *r)
{
    const char *base = NULL;
    char old[64];
    struct stat st;

    for (size_t i = 0; i < ARRAY_LEN(bases) && !base; i++)
        if (stat(bases[i], &st) == 0 && S_ISDIR(st.st_mode))
            base = bases[i];
    if (!base)
        return report_fail(r, STEP_TMPFS, "/tmp", ENOENT);
    snprintf(old, sizeof(old), "%s" OLD, base);
    return TRY(r, STEP_PRIVATE, "/", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) &&
           TRY(r, STEP_TMPFS, base,
               mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")) &&
           TRY(r, STEP_MKDIR, old, mkdir(old, 0755)) &&
           TRY(r, STEP_PIVOT, base, sys_pivot_root(base, old)) &&
           TRY(r, STEP_PIVOT, "/", chdir("/"));
}

static bool leave_minimal(struct build *b)
{
    return TRY(b->r, STEP_DETACH, OLD, umount2(OLD, MNT_DETACH)) &&
           TRY(b->r, STEP_DETACH, OLD, rmdir(OLD)) &&
           TRY(b->r, STEP_READONLY, "/",
               mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV,
                     NULL));
}

static bool build_minimal(struct build *b, bool *masked_proc)
{
    for (size_t i = 0; i < ARRAY_LEN(system_paths); i++)
        if (!show_system_path(b, system_paths[i]))
            return false;
    return show_resolv_conf(b) && show_devices(b) && mount_private(b) &&
           mount_proc(b, masked_proc) && show_binds(b) && hide_paths(b) && leave_minimal(b);
}

/* The old root again, read-only, with what is private over it; then the second pivot leaves tmpfs
 * and OLD behind in one. */
static bool build_host(struct build *b, bool *masked_proc)
{
    snprintf(b->root, sizeof(b->root), "%s", NEW);
    return TRY(b->r, STEP_MKDIR, NEW, mkdir(NEW, 0755)) && bind_at(b, OLD, NEW, false) &&
           mount_private(b) && mount_proc(b, masked_proc) && show_binds(b) && hide_paths(b) &&
           TRY(b->r, STEP_PIVOT, NEW, chdir(NEW)) &&
           TRY(b->r, STEP_PIVOT, NEW, sys_pivot_root(".", ".")) &&
           TRY(b->r, STEP_DETACH, "/", umount2(".", MNT_DETACH)) &&
           TRY(b->r, STEP_PIVOT, "/", chdir("/"));
}

bool mounts_enter(struct report *r, const struct wire_spec *s, const struct mounts_who *who,
                  bool *masked_proc)
{
    struct build b = {.r = r, .s = s, .who = who};

    umask(0);
    if (!enter_empty_root(r))
        return false;
    if (!(s->n.view == 0 ? build_minimal(&b, masked_proc) : build_host(&b, masked_proc)))
        return false;
    umask(022);
    return true;
}

int mounts_probe(bool *masked_proc)
{
    struct report r;

    *masked_proc = false;
    report_init(&r, 0, NULL);
    if (!enter_empty_root(&r))
        return r.failed.sys_errno;
    if (mkdir("/proc", 0755) < 0)
        return errno;
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
        if (errno != EPERM)
            return errno;
        *masked_proc = true;
        if (mount(OLD "/proc", "/proc", NULL, MS_BIND | MS_REC, NULL) < 0)
            return errno;
    }
    return 0;
}
