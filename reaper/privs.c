#include "reaper/privs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/attr.h"

static bool write_file(struct report *r, enum step step, const char *path, const char *text)
{
    cleanup_fd int fd = -1;

    if (!TRY(r, step, path, fd = open(path, O_WRONLY | O_CLOEXEC)))
        return false;
    return TRY(r, step, path, write(fd, text, strlen(text)));
}

bool privs_map_ids(struct report *r, uid_t inside, gid_t inside_gid, uid_t outside,
                   gid_t outside_gid)
{
    char line[64];

    /* an unprivileged gid_map is accepted only once setgroups is denied (user_namespaces(7)) */
    if (!write_file(r, STEP_MAP, "/proc/self/setgroups", "deny") && r->failed.sys_errno != ENOENT)
        return false;
    report_clear(r);
    snprintf(line, sizeof(line), "%u %u 1", inside, outside);
    if (!write_file(r, STEP_MAP, "/proc/self/uid_map", line))
        return false;
    snprintf(line, sizeof(line), "%u %u 1", inside_gid, outside_gid);
    return write_file(r, STEP_MAP, "/proc/self/gid_map", line);
}

/* --- capabilities: the raw calls, so that libcap is not needed --- */

struct caps {
    struct __user_cap_header_struct h;
    struct __user_cap_data_struct d[2];
};

static int caps_get(struct caps *c)
{
    memset(c, 0, sizeof(*c));
    c->h.version = _LINUX_CAPABILITY_VERSION_3;
    return (int)syscall(SYS_capget, &c->h, c->d);
}

bool privs_keep_caps(struct report *r)
{
    struct caps c;

    if (!TRY(r, STEP_KEEP_CAPS, NULL, caps_get(&c)))
        return false;
    for (int i = 0; i < 2; i++)
        c.d[i].inheritable = c.d[i].permitted;
    if (!TRY(r, STEP_KEEP_CAPS, NULL, syscall(SYS_capset, &c.h, c.d)))
        return false;
    for (unsigned cap = 0; cap < 64; cap++)
        if ((c.d[cap / 32].permitted & (1u << (cap % 32))) != 0 &&
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
            return report_fail(r, STEP_KEEP_CAPS, NULL, errno);
    return true;
}

bool privs_drop_bounding(struct report *r)
{
    for (unsigned cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 &&
            errno != EPERM)
            return report_fail(r, STEP_CAPS, NULL, errno);
    return true;
}

bool privs_drop_caps(struct report *r)
{
    struct caps c;

    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
        return report_fail(r, STEP_CAPS, NULL, errno);
    memset(&c, 0, sizeof(c));
    c.h.version = _LINUX_CAPABILITY_VERSION_3;
    return TRY(r, STEP_CAPS, NULL, syscall(SYS_capset, &c.h, c.d)) &&
           TRY(r, STEP_NNP, NULL, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

bool privs_change_ids(struct report *r, uid_t uid, gid_t gid)
{
    uid_t ru, eu, su;
    gid_t rg, eg, sg;

    if (getresuid(&ru, &eu, &su) == 0 && getresgid(&rg, &eg, &sg) == 0 && ru == uid && eu == uid &&
        su == uid && rg == gid && eg == gid && sg == gid)
        return true;
    return TRY(r, STEP_GROUPS, NULL, setgroups(0, NULL)) &&
           TRY(r, STEP_GID, NULL, setresgid(gid, gid, gid)) &&
           TRY(r, STEP_UID, NULL, setresuid(uid, uid, uid));
}

/* --- limits --- */

static bool set_rlimit(struct report *r, uint64_t resource, uint64_t value)
{
    struct rlimit l = {.rlim_cur = value, .rlim_max = value};
    struct rlimit now;
    char name[32];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)resource);
    /* a hard limit can only be raised by root: what is asked above it becomes the hard limit */
    if (getrlimit((__rlimit_resource_t)resource, &now) == 0 && now.rlim_max != RLIM_INFINITY &&
        value > now.rlim_max && geteuid() != 0)
        l.rlim_cur = l.rlim_max = now.rlim_max;
    return TRY(r, STEP_RLIMIT, name, setrlimit((__rlimit_resource_t)resource, &l));
}

bool privs_limit(struct report *r, const struct wire_spec *s)
{
    char text[16];

    if (!set_rlimit(r, RLIMIT_CORE, 0))
        return false;
    for (size_t i = 0; i < s->n_rlimits; i++)
        if (!set_rlimit(r, s->rlimits[i].resource, s->rlimits[i].value))
            return false;
    if (s->n.oom_score_adj == 0)
        return true;
    snprintf(text, sizeof(text), "%d", s->n.oom_score_adj);
    return write_file(r, STEP_OOM_SCORE, "/proc/self/oom_score_adj", text);
}

bool privs_filter(struct report *r, const struct wire_spec *s)
{
    struct sock_fprog prog = {.len = (unsigned short)s->n_filter};

    memcpy(&prog.filter, &s->filter, sizeof(prog.filter)); /* the kernel only reads it */
    return TRY(r, STEP_SECCOMP, NULL, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

int privs_probe_userns(void)
{
    if (unshare(CLONE_NEWUSER) < 0)
        return errno;
    return chroot("/") < 0 ? errno : 0;
}
