#include "reaper/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/mountinfo.h"

/* Where we go when controllers can be enabled for directories beside nobody only. */
static const char own_leaf[] = "fleet-own";
/* A directory for trying: with the pid of who tries. */
static const char probe_name[] = "fleet-probe-";

enum { PROBE_OLD_S = 60 }; /* a probe takes milliseconds */

static const char *const controller_names[CGROUP_CONTROLLERS] = {"memory", "pids", "cpu"};

/* --- where we are --- */

/* Our path in the hierarchy with `controller` ("": v2), from /proc/self/cgroup: "4:memory:/a/b". */
static bool own_path(const char *controller, char *out, size_t max)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    char line[4200];
    bool found = false;

    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f)) {
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        found = *controller ? mountinfo_has_option(names + 1, controller) : names[1] == '\0';
        if (found)
            found = (size_t)snprintf(out, max, "%s", path) < max;
    }
    fclose(f);
    return found;
}

struct search {
    struct cgroup_base *b;
};

static void note_place(const struct mountinfo *m, const char *controller, char *out)
{
    char path[CGROUP_PATH_MAX];
    const char *below = path;
    size_t n = strlen(m->root);

    if (*out || !own_path(controller, path, sizeof(path)))
        return;
    if (strcmp(m->root, "/") != 0) /* a part of the hierarchy is mounted (containers) */
        below = strncmp(path, m->root, n) == 0 ? path + n : "";
    if (strcmp(below, "/") == 0)
        below = "";
    if (snprintf(out, CGROUP_PATH_MAX, "%s%s", m->point, below) >= CGROUP_PATH_MAX)
        *out = '\0';
    n = strlen(out);
    if (n > sizeof(own_leaf) && out[n - sizeof(own_leaf)] == '/' &&
        strcmp(out + n - sizeof(own_leaf) + 1, own_leaf) == 0)
        out[n - sizeof(own_leaf)] = '\0'; /* an earlier spawner of ours stepped aside */
}

static bool note_mount(const struct mountinfo *m, void *arg)
{
    struct search *s = arg;

    if (strcmp(m->type, "cgroup2") == 0)
        note_place(m, "", s->b->v2);
    if (strcmp(m->type, "cgroup") == 0)
        for (int i = 0; i < CGROUP_CONTROLLERS; i++)
            if (mountinfo_has_option(m->super, controller_names[i]))
                note_place(m, controller_names[i], s->b->v1[i]);
    return true;
}

static int write_text(const char *dir, const char *file, const char *text)
{
    char path[CGROUP_PATH_MAX + 64];
    cleanup_fd int fd = -1;

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

static bool has_file(const char *dir, const char *file)
{
    char path[CGROUP_PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", dir, file);
    return access(path, F_OK) == 0;
}

/* One whose process is gone, or has our pid, which is not ours yet. A process that cannot be seen
 * from here may be another container's at work: its directory is not old. */
static bool is_left_over(const char *path, const char *name)
{
    size_t n = sizeof(probe_name) - 1;
    char *end;
    long pid = strncmp(name, probe_name, n) == 0 ? strtol(name + n, &end, 10) : 0;
    struct stat st;

    if (pid <= 0 || pid > INT_MAX || *end != '\0')
        return false;
    if (pid != getpid() && (kill((pid_t)pid, 0) == 0 || errno != ESRCH))
        return false;
    return stat(path, &st) == 0 && time(NULL) - st.st_mtime >= PROBE_OLD_S;
}

/* What a spawner left that was killed while it tried. */
static void sweep_probes(const char *base)
{
    char path[CGROUP_PATH_MAX + NAME_MAX + 2];
    DIR *d = opendir(base);
    struct dirent *e;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (d && (e = readdir(d)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
        if (is_left_over(path, e->d_name))
            (void)rmdir(path);
    }
    if (d)
        closedir(d);
}

/* A directory for trying, removed again by the caller; errno or 0. */
static int try_dir(const char *base, char *out)
{
    int n = snprintf(out, CGROUP_PATH_MAX, "%s/%s%d", base, probe_name, (int)getpid());

    if (*base == '\0')
        return ENOENT;
    if (n >= CGROUP_PATH_MAX)
        return ENAMETOOLONG;
    sweep_probes(base);
    return mkdir(out, 0755) < 0 ? errno : 0;
}

/* Nobody but us and the controller is in it. */
static bool is_ours_alone(const char *dir)
{
    char path[CGROUP_PATH_MAX + 64], line[32];
    bool alone = true;
    FILE *f;

    snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
    f = fopen(path, "re");
    if (!f)
        return false;
    while (alone && fgets(line, sizeof(line), f)) {
        long pid = strtol(line, NULL, 10);

        alone = pid == getpid() || pid == getppid();
    }
    fclose(f);
    return alone;
}

/* A cgroup with processes of its own hands no controllers down (cgroups(7), "no internal processes
 * rule"): in one that was delegated to us alone, we move into a leaf of it. The leaf stays for
 * whoever delegated to remove. */
static bool step_aside(const struct cgroup_base *b)
{
    char leaf[CGROUP_PATH_MAX + sizeof(own_leaf) + 1], pid[32];

    if (!is_ours_alone(b->v2))
        return false;
    snprintf(leaf, sizeof(leaf), "%s/%s", b->v2, own_leaf);
    if (mkdir(leaf, 0755) < 0 && errno != EEXIST)
        return false;
    snprintf(pid, sizeof(pid), "%d", (int)getppid());
    if (write_text(leaf, "cgroup.procs", pid) < 0)
        return false;
    return write_text(leaf, "cgroup.procs", "0") == 0;
}

static void probe_v2(struct cgroup_base *b)
{
    static const char *const files[CGROUP_CONTROLLERS] = {"memory.max", "pids.max", "cpu.max"};
    static const char *const enable[CGROUP_CONTROLLERS] = {"+memory", "+pids", "+cpu"};
    char dir[CGROUP_PATH_MAX];

    b->kill_errno = try_dir(b->v2, dir);
    if (b->kill_errno != 0) {
        b->v2[0] = '\0';
        return;
    }
    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        if (!has_file(dir, files[i]) &&
            write_text(b->v2, "cgroup.subtree_control", enable[i]) < 0 && errno == EBUSY &&
            step_aside(b))
            (void)write_text(b->v2, "cgroup.subtree_control", enable[i]);
        b->v2_has[i] = has_file(dir, files[i]);
    }
    if (!has_file(dir, "cgroup.kill"))
        b->kill_errno = ENOSYS;
    rmdir(dir);
}

static void probe_v1(struct cgroup_base *b)
{
    char dir[CGROUP_PATH_MAX];

    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        int e = try_dir(b->v1[i], dir);

        if (e == 0)
            rmdir(dir);
        else
            b->v1[i][0] = '\0';
        if (i != CGROUP_CPU && e != 0 && !b->v2_has[i] && b->limits_errno == 0)
            b->limits_errno = e;
    }
}

void cgroup_find(struct cgroup_base *b)
{
    struct search s = {.b = b};

    memset(b, 0, sizeof(*b));
    if (mountinfo_each(note_mount, &s) < 0)
        b->limits_errno = b->kill_errno = errno;
    probe_v2(b);
    probe_v1(b);
}

/* --- a member's own --- */

static bool make_dir(struct report *r, const char *base, const char *name, const char *enter,
                     struct cgroup *c)
{
    char *dir = c->dirs[c->n];
    char path[CGROUP_PATH_MAX + 16];

    if (snprintf(dir, CGROUP_PATH_MAX, "%s/%s", base, name) >= CGROUP_PATH_MAX)
        return report_fail(r, STEP_CGROUP, base, ENAMETOOLONG);
    if (!TRY(r, STEP_CGROUP, dir, mkdir(dir, 0755)))
        return false;
    snprintf(path, sizeof(path), "%s/%s", dir, enter);
    c->enter[c->n++] = -1;
    return TRY(r, STEP_CGROUP, path, c->enter[c->n - 1] = open(path, O_WRONLY | O_CLOEXEC));
}

static bool make_v2(struct report *r, const struct cgroup_base *b, const char *name,
                    struct cgroup *c)
{
    if (!make_dir(r, b->v2, name, "cgroup.procs", c))
        return false;
    c->has_v2 = true;
    if (b->kill_errno == 0)
        snprintf(c->kill, sizeof(c->kill), "%s/cgroup.kill", c->dirs[0]);
    return TRY(r, STEP_CGROUP, c->dirs[0],
               c->v2 = open(c->dirs[0], O_PATH | O_DIRECTORY | O_CLOEXEC));
}

static bool set(struct report *r, const char *dir, const char *file, const char *text)
{
    return TRY(r, STEP_CGROUP, file, write_text(dir, file, text));
}

static bool limit_memory(struct report *r, const char *dir, bool v2, const struct wire_numbers *n)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)n->memory_max_bytes);
    if (!v2)
        return set(r, dir, "memory.limit_in_bytes", text);
    if (!set(r, dir, "memory.max", text))
        return false;
    (void)write_text(dir, "memory.swap.max", "0"); /* absent without swap accounting */
    return true;
}

static bool limit_pids(struct report *r, const char *dir, bool v2, const struct wire_numbers *n)
{
    char text[32];

    (void)v2;
    snprintf(text, sizeof(text), "%u", n->pids_max);
    return set(r, dir, "pids.max", text);
}

static bool limit_cpu(struct report *r, const char *dir, bool v2, const struct wire_numbers *n)
{
    char text[48];

    if (v2) {
        snprintf(text, sizeof(text), "%u 100000", n->cpu_max_percent * 1000u);
        return set(r, dir, "cpu.max", text);
    }
    snprintf(text, sizeof(text), "%u", n->cpu_max_percent * 1000u);
    return set(r, dir, "cpu.cfs_period_us", "100000") && set(r, dir, "cpu.cfs_quota_us", text);
}

static bool is_limited(const struct wire_numbers *n, int controller)
{
    const bool limited[CGROUP_CONTROLLERS] = {n->memory_max_bytes != 0, n->pids_max != 0,
                                              n->cpu_max_percent != 0};

    return limited[controller];
}

static bool needs_v2(const struct cgroup_base *b, const struct wire_numbers *n, unsigned uses)
{
    bool needed = (uses & CGROUP_FOR_KILL) != 0;

    for (int i = 0; i < CGROUP_CONTROLLERS && (uses & CGROUP_FOR_LIMITS) != 0; i++)
        needed = needed || (is_limited(n, i) && b->v2_has[i]);
    return needed && b->v2[0] != '\0';
}

static bool create_limits(struct report *r, const struct cgroup_base *b, const char *name,
                          const struct wire_numbers *n, struct cgroup *c)
{
    static bool (*const limit[CGROUP_CONTROLLERS])(
        struct report *, const char *, bool, const struct wire_numbers *) = {limit_memory,
                                                                             limit_pids, limit_cpu};

    for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
        bool v2 = c->has_v2 && b->v2_has[i];
        const char *dir = c->dirs[0];

        if (!is_limited(n, i) || (!v2 && b->v1[i][0] == '\0'))
            continue;
        if (!v2) {
            if (!make_dir(r, b->v1[i], name, "tasks", c))
                return false;
            dir = c->dirs[c->n - 1];
        }
        if (!limit[i](r, dir, v2, n))
            return false;
        if (i == CGROUP_MEMORY)
            snprintf(c->events, sizeof(c->events), "%s/%s", dir,
                     v2 ? "memory.events" : "memory.oom_control");
    }
    return true;
}

bool cgroup_create(struct report *r, const struct cgroup_base *b, const char *name,
                   const struct wire_numbers *n, unsigned uses, struct cgroup *out)
{
    bool ok = true;

    memset(out, 0, sizeof(*out));
    out->v2 = -1;
    if (needs_v2(b, n, uses))
        ok = make_v2(r, b, name, out);
    if (ok && (uses & CGROUP_FOR_LIMITS) != 0)
        ok = create_limits(r, b, name, n, out);
    if (!ok) {
        cgroup_close(out);
        (void)cgroup_remove(out);
    }
    return ok;
}

bool cgroup_enter(struct report *r, const struct cgroup *c, bool in_v2)
{
    for (size_t i = in_v2 ? 1 : 0; i < c->n; i++)
        if (!TRY(r, STEP_CGROUP, c->dirs[i], write(c->enter[i], "0", 1)))
            return false;
    return true;
}

void cgroup_close(struct cgroup *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->enter[i] >= 0)
            close(steal_fd(&c->enter[i]));
    if (c->has_v2 && c->v2 >= 0)
        close(steal_fd(&c->v2));
}

unsigned cgroup_oom_kills(const struct cgroup *c)
{
    unsigned long n = 0;
    char line[128];
    FILE *f;

    if (c->events[0] == '\0' || !(f = fopen(c->events, "re")))
        return 0;
    while (fgets(line, sizeof(line), f))
        if (strncmp(line, "oom_kill ", 9) == 0)
            n = strtoul(line + 9, NULL, 10);
    fclose(f);
    return (unsigned)n;
}

void cgroup_kill(const struct cgroup *c)
{
    cleanup_fd int fd = -1;

    if (c->kill[0] == '\0')
        return;
    fd = open(c->kill, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "1", 1) < 0)
        return; /* the other layers do it */
}

bool cgroup_remove(struct cgroup *c)
{
    bool all = true;

    for (size_t i = 0; i < c->n; i++) {
        if (c->dirs[i][0] == '\0')
            continue;
        if (rmdir(c->dirs[i]) == 0 || errno == ENOENT)
            c->dirs[i][0] = '\0';
        else
            all = false;
    }
    return all;
}
