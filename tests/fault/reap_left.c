#include "tests/fault/reap_left.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/attr.h"

/* What nftw calls has no argument. */
static size_t found;
static time_t made_since;

/* --- mounts and sockets: lines of a file of the kernel's that name the directory --- */

static size_t lines_with(const char *path, const char *word)
{
    FILE *f = fopen(path, "re");
    char line[4096];
    size_t n = 0;

    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        n += strstr(line, word) != NULL;
    fclose(f);
    return n;
}

/* --- cgroups: "fleet-m-PID-ID-RANDOM", made by the spawner PID --- */

static int on_cgroup(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const char *name = path + ftw->base;
    long pid;

    if (type != FTW_D || st->st_ctime < made_since || strncmp(name, "fleet-m-", 8) != 0)
        return 0;
    pid = strtol(name + 8, NULL, 10);
    found += kill((pid_t)pid, 0) < 0 && errno == ESRCH;
    return 0;
}

static size_t count_cgroups(time_t since)
{
    found = 0;
    made_since = since;
    nftw("/sys/fs/cgroup", on_cgroup, 32, FTW_PHYS | FTW_MOUNT);
    for (size_t i = 0; i < 4; i++) {
        static const char *const hierarchies[] = {"memory", "pids", "cpu", "unified"};
        char dir[64];

        snprintf(dir, sizeof dir, "/sys/fs/cgroup/%s", hierarchies[i]);
        nftw(dir, on_cgroup, 32, FTW_PHYS | FTW_MOUNT);
    }
    return found;
}

/* --- files --- */

static int on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    found += ftw->level > 1 || (ftw->level == 1 && strcmp(path + ftw->base, "run") != 0);
    return 0;
}

static size_t count_entries(const char *dir)
{
    found = 0;
    nftw(dir, on_entry, 32, FTW_PHYS);
    return found;
}

/* --- the whole --- */

struct left left_of(const struct ground *ground, const char *dir, time_t since)
{
    return (struct left){
        .processes = ground_count(ground),
        .mounts = lines_with("/proc/self/mountinfo", dir),
        .cgroups = count_cgroups(since),
        .entries = count_entries(dir),
        .sockets = lines_with("/proc/net/unix", dir),
    };
}

bool left_is_nothing(const struct left *l)
{
    return l->processes + l->mounts + l->cgroups + l->entries + l->sockets == 0;
}

const char *left_text(const struct left *l)
{
    static char text[160];

    snprintf(text, sizeof text,
             "%zu processes, %zu mounts, %zu cgroups, %zu files and directories, %zu sockets",
             l->processes, l->mounts, l->cgroups, l->entries, l->sockets);
    return left_is_nothing(l) ? "nothing" : text;
}

/* --- by name --- */

bool left_is_called(pid_t pid, const char *word, const char *but)
{
    char path[64], text[8192];
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    for (ssize_t i = 0; i < n; i++)
        text[i] = text[i] != '\0' ? text[i] : ' ';
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, word) && !(but && strstr(text, but));
}

struct finding {
    const char *word, *but;
    pid_t pid;
};

static void on_process(pid_t pid, void *arg)
{
    struct finding *f = arg;

    if (f->pid == 0 && left_is_called(pid, f->word, f->but))
        f->pid = pid;
}

pid_t left_find(const struct ground *ground, const char *word, const char *but)
{
    struct finding f = {.word = word, .but = but};

    ground_each(ground, on_process, &f);
    return f.pid;
}
