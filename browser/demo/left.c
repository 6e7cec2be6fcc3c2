#include "browser/demo/left.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/file.h"

enum { NAMES_MAX = 1000, STAT_MAX = 1024 };

struct proc {
    pid_t pid, parent;
    char name[20];
    bool ours;
};

static void name_add(struct left *l, const char *text)
{
    if (l->names.len + strlen(text) + 8 < NAMES_MAX)
        buf_addf(&l->names, "%s%s", l->names.len > 0 ? ", " : "", text);
}

/* --- processes --- */

/* "41 (name) S 1 ...": the name may hold anything, also ") ". */
static bool read_stat(const char *pid, struct proc *out)
{
    char path[64], text[STAT_MAX];
    cleanup_fd int fd = -1;
    const char *begin, *end;
    struct str rest;
    uint64_t own, parent;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    if (n <= 0)
        return false; /* it ended meanwhile */
    text[n] = '\0';
    begin = strchr(text, '(');
    end = strrchr(text, ')');
    if (begin == NULL || end == NULL || !str_to_u64(str_from(pid), INT32_MAX, &own))
        return false;
    rest = str_skip(str_from(end), 4); /* ") S " */
    if (!str_to_u64(str_cut(&rest, ' '), INT32_MAX, &parent))
        return false;
    *out = (struct proc){.pid = (pid_t)own, .parent = (pid_t)parent};
    snprintf(out->name, sizeof out->name, "%.*s", (int)(end - begin - 1), begin + 1);
    return true;
}

static struct proc *read_processes(size_t *n_out)
{
    DIR *d = opendir("/proc");
    struct proc *v = NULL;
    size_t n = 0, cap = 0;
    struct dirent *entry;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (d != NULL && (entry = readdir(d)) != NULL) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        if (n == cap) {
            cap = cap > 0 ? cap * 2 : 256;
            v = xreallocarray(v, cap, sizeof *v);
        }
        n += read_stat(entry->d_name, &v[n]);
    }
    if (d != NULL)
        closedir(d);
    *n_out = n;
    return v;
}

/* Marks children of what is marked until nothing is added. */
static bool spread(struct proc *v, size_t n)
{
    bool more = false;

    for (size_t i = 0; i < n; i++) {
        bool found = v[i].parent == getpid();

        for (size_t k = 0; k < n && !found; k++)
            found = v[k].ours && v[k].pid == v[i].parent;
        more = more || (found && !v[i].ours);
        v[i].ours = found;
    }
    return more;
}

static void count_processes(struct left *l)
{
    size_t n;
    struct proc *v = read_processes(&n);

    while (spread(v, n))
        ;
    for (size_t i = 0; i < n; i++) {
        char text[64];

        if (!v[i].ours)
            continue;
        l->processes++;
        snprintf(text, sizeof text, "pid %d (%s)", (int)v[i].pid, v[i].name);
        name_add(l, text);
    }
    free(v);
}

/* --- directories and files --- */

/* Entries of `dir` whose names begin with `prefix`; with `uid_count` > 0 only those of these uids.
 * "." and ".." are root's or ours. */
static void count_entries(struct left *l, const char *dir, const char *prefix, uid_t uid_from,
                          uid_t uid_count)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (d != NULL && (entry = readdir(d)) != NULL) {
        struct stat st;
        char path[4096];

        if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 ||
            fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (uid_count > 0 && (st.st_uid < uid_from || st.st_uid - uid_from >= uid_count))
            continue;
        l->dirs++;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        name_add(l, path);
    }
    if (d != NULL)
        closedir(d);
}

void left_count(const char *state_dir, uid_t uid_from, uid_t uid_count, struct left *out)
{
    cleanup_free char *run = file_join(state_dir, "run");
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *tmp = getenv("TMPDIR");

    *out = (struct left){.names = BUF_INIT(NAMES_MAX)};
    count_processes(out);
    count_entries(out, run, "m-", 0, 0);
    if (uid_count == 0)
        return;
    if (tmp != NULL && strcmp(tmp, "/tmp") != 0)
        count_entries(out, tmp, "", uid_from, uid_count);
    count_entries(out, "/tmp", "", uid_from, uid_count);
    count_entries(out, "/dev/shm", "", uid_from, uid_count);
}

void left_deinit(struct left *l)
{
    buf_deinit(&l->names);
}
