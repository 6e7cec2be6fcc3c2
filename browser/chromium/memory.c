#include "browser/chromium/memory.h"

#include "core/base/str.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Deeper or larger trees are not browsers of ours. */
enum { DEPTH_MAX = 8, PROCESSES_MAX = 4096 };

/* The next number in *rest, past what is none. */
static bool take_number(struct str *rest, uint64_t *out)
{
    while (rest->ptr != NULL && rest->len > 0)
        if (str_to_u64(str_cut(rest, ' '), UINT64_MAX, out))
            return true;
    return false;
}

/* "Pss:              1234 kB" */
static bool pss_of(pid_t pid, uint64_t *bytes)
{
    char path[64], line[256];
    bool found = false;
    uint64_t kb;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        struct str rest = str_from(line);

        found = str_starts(rest, STR("Pss: ")) && take_number(&rest, &kb);
    }
    fclose(f);
    if (found)
        *bytes += kb * 1024;
    return found;
}

/* "size resident shared ...", in pages */
static bool resident_of(pid_t pid, uint64_t *bytes)
{
    uint64_t size, resident, shared;
    char path[64], line[256];
    struct str rest = STR_NONE;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    if (fgets(line, sizeof line, f) != NULL)
        rest = str_from(line);
    fclose(f);
    if (!take_number(&rest, &size) || !take_number(&rest, &resident) ||
        !take_number(&rest, &shared))
        return false;
    if (resident > shared)
        *bytes += (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
    return true;
}

static bool add_tree(pid_t pid, unsigned depth, uint64_t *bytes, unsigned *n);

static void add_children(pid_t pid, const char *thread, unsigned depth, uint64_t *bytes,
                         unsigned *n)
{
    char path[96], line[4096];
    struct str rest = STR_NONE;
    uint64_t child;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", (int)pid, thread);
    f = fopen(path, "re");
    if (f == NULL)
        return;
    if (fgets(line, sizeof line, f) != NULL)
        rest = str_from(line);
    fclose(f);
    while (take_number(&rest, &child))
        add_tree((pid_t)child, depth + 1, bytes, n);
}

static bool add_tree(pid_t pid, unsigned depth, uint64_t *bytes, unsigned *n)
{
    const struct dirent *d;
    char path[64];
    DIR *dir;

    if (depth > DEPTH_MAX || *n >= PROCESSES_MAX)
        return false;
    if (!pss_of(pid, bytes) && !resident_of(pid, bytes))
        return false;
    ++*n;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    dir = opendir(path);
    if (dir == NULL)
        return true;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while ((d = readdir(dir)) != NULL)
        if (d->d_name[0] != '.')
            add_children(pid, d->d_name, depth, bytes, n);
    closedir(dir);
    return true;
}

bool memory_of_tree(pid_t pid, uint64_t *bytes, unsigned *processes)
{
    *bytes = 0;
    *processes = 0;
    return pid > 0 && add_tree(pid, 0, bytes, processes);
}

/* --- what the kernel killed --- */

/* The file that counts, of "4:memory:/a/b" (version 1) or "0::/a/b"; false: of another hierarchy.
 */
static bool counter_of(struct str line, char *out, size_t max)
{
    struct str names;
    int n;

    (void)str_cut(&line, ':');
    names = str_cut(&line, ':');
    line = str_trim(line);
    if (str_find(line, STR("..")) >= 0)
        return false;
    if (str_eqz(names, "memory"))
        n = snprintf(out, max, "/sys/fs/cgroup/memory%.*s/memory.oom_control", STR_ARG(line));
    else if (names.len == 0)
        n = snprintf(out, max, "/sys/fs/cgroup%.*s/memory.events", STR_ARG(line));
    else
        return false;
    return n > 0 && (size_t)n < max;
}

static uint64_t kills_in(const char *path)
{
    uint64_t kills = 0;
    char line[256];
    FILE *f = fopen(path, "re");

    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        struct str rest = str_trim(str_from(line));

        if (str_starts(rest, STR("oom_kill ")))
            (void)take_number(&rest, &kills);
    }
    if (f != NULL)
        fclose(f);
    return kills;
}

uint64_t memory_oom_kills(pid_t pid)
{
    char path[PATH_MAX], line[PATH_MAX];
    uint64_t kills = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (counter_of(str_from(line), path, sizeof path))
            kills += kills_in(path);
    if (f != NULL)
        fclose(f);
    return kills;
}
