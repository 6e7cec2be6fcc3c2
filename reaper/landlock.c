#include "reaper/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/attr.h"

/* Of newer headers than Debian 12's. */
#define ACCESS_REFER     (1ull << 13)
#define ACCESS_TRUNCATE  (1ull << 14)
#define ACCESS_IOCTL_DEV (1ull << 15)
#define SCOPE_ABSTRACT   (1ull << 0)
#define SCOPE_SIGNAL     (1ull << 1)

struct ruleset_attr {
    uint64_t handled_access_fs, handled_access_net, scoped;
};

enum {
    READ = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
};
#define ALL_OF_ABI_1 ((1ull << 13) - 1)

int landlock_abi(void)
{
    long v = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return v < 0 ? 0 : (int)v;
}

/* What this ABI can handle; IOCTL_DEV is left alone: terminals and GPUs are kept out by /dev having
 * none. */
static uint64_t handled(int abi)
{
    uint64_t all = ALL_OF_ABI_1;

    if (abi >= 2)
        all |= ACCESS_REFER;
    if (abi >= 3)
        all |= ACCESS_TRUNCATE;
    return all;
}

static bool allow(struct report *r, int rules, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr a = {.allowed_access = access};
    cleanup_fd int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat st;

    if (fd < 0) /* not seen by the member, nothing to allow */
        return errno == ENOENT || errno == ENOTDIR || errno == EACCES || errno == ELOOP ||
               report_fail(r, STEP_LANDLOCK, path, errno);
    if (!TRY(r, STEP_LANDLOCK, path, fstat(fd, &st)))
        return false;
    if (!S_ISDIR(st.st_mode))
        a.allowed_access &= LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                            LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE;
    a.parent_fd = fd;
    return TRY(r, STEP_LANDLOCK, path,
               syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &a, 0));
}

static bool allow_all(struct report *r, int rules, const struct wire_spec *s, const char *own_dir,
                      uint64_t all)
{
    /* Chromium's own sandbox writes /proc/<pid>/uid_map, every program may write to /dev/null */
    uint64_t write = all & (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE);

    if (!allow(r, rules, "/", READ) || !allow(r, rules, "/proc", write) ||
        !allow(r, rules, "/dev", write) || !allow(r, rules, "/dev/shm", all) ||
        !allow(r, rules, own_dir, all))
        return false;
    for (size_t i = 0; i < s->n_binds; i++)
        if (s->binds[i].writable && !allow(r, rules, s->binds[i].at, all))
            return false;
    return true;
}

bool landlock_enter(struct report *r, const struct wire_spec *s, const char *own_dir)
{
    int abi = landlock_abi();
    struct ruleset_attr a = {.handled_access_fs = handled(abi)};
    size_t size = abi >= 6 ? sizeof(a) : abi >= 4 ? 16 : 8;
    cleanup_fd int rules = -1;

    if (abi >= 6)
        a.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    if (!TRY(r, STEP_LANDLOCK, NULL,
             rules = (int)syscall(SYS_landlock_create_ruleset, &a, size, 0)))
        return false;
    return allow_all(r, rules, s, own_dir, a.handled_access_fs) &&
           TRY(r, STEP_LANDLOCK, NULL, syscall(SYS_landlock_restrict_self, rules, 0));
}
