#include "browser/chromium/memory.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Deeper or larger trees are not browsers of ours. */
enum { DEPTH_MAX = 8, PROCESSES_MAX = 4096 };

static bool pss_of(pid_t pid, uint64_t *bytes)
{
    char path[64], line[256];
    unsigned long long kb;
    bool found = false;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    while (!found && fgets(line, sizeof line, f) != NULL)
        found = sscanf(line, "Pss: %llu kB", &kb) == 1;
    fclose(f);
    if (found)
        *bytes += kb * 1024;
    return found;
}

static bool resident_of(pid_t pid, uint64_t *bytes)
{
    unsigned long long size, resident, shared;
    char path[64];
    bool found;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    found = fscanf(f, "%llu %llu %llu", &size, &resident, &shared) == 3;
    fclose(f);
    if (found && resident > shared)
        *bytes += (resident - shared) * (uint64_t)sysconf(_SC_PAGESIZE);
    return found;
}

static bool add_tree(pid_t pid, unsigned depth, uint64_t *bytes, unsigned *n);

static void add_children(pid_t pid, const char *thread, unsigned depth, uint64_t *bytes,
                         unsigned *n)
{
    char path[96];
    int child;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/task/%.16s/children", (int)pid, thread);
    f = fopen(path, "re");
    if (f == NULL)
        return;
    while (fscanf(f, "%d", &child) == 1)
        add_tree(child, depth + 1, bytes, n);
    fclose(f);
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
