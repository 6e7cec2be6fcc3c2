#include "reaper/killtree.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    FILE *f;
    char *p;
    long parent = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return -1;
    if (fgets(line, sizeof(line), f)) {
        p = strrchr(line, ')'); /* the name before it may hold anything */
        if (p && strlen(p) > 4)
            parent = strtol(p + 4, NULL, 10);
    }
    fclose(f);
    return (pid_t)parent;
}

static void children_by_scan(pid_t pid, void (*fn)(pid_t child, void *arg), void *arg)
{
    DIR *d = opendir("/proc");
    struct dirent *e;

    if (!d)
        return;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while ((e = readdir(d)) != NULL) {
        pid_t p = (pid_t)strtol(e->d_name, NULL, 10);

        if (p > 0 && parent_of(p) == pid)
            fn(p, arg);
    }
    closedir(d);
}

/* The numbers of a children file. False when the kernel has none. */
static bool children_of_thread(const char *path, void (*fn)(pid_t child, void *arg), void *arg)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t room = 0;

    if (!f)
        return false;
    if (getline(&text, &room, f) > 0)
        for (char *p = text, *end; *p; p = end) {
            long child = strtol(p, &end, 10);

            if (end == p)
                break;
            fn((pid_t)child, arg);
        }
    free(text);
    fclose(f);
    return true;
}

/* Each thread has a list of the children it made. */
static bool children_of_threads(pid_t pid, void (*fn)(pid_t child, void *arg), void *arg)
{
    char path[128];
    struct dirent *e;
    bool any = false;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    d = opendir(path);
    if (!d)
        return true; /* it has gone */
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", (int)pid, e->d_name);
        any = children_of_thread(path, fn, arg) || any;
    }
    closedir(d);
    return any;
}

void killtree_children(pid_t pid, void (*fn)(pid_t child, void *arg), void *arg)
{
    if (!children_of_threads(pid, fn, arg))
        children_by_scan(pid, fn, arg);
}

static void kill_one(pid_t pid, void *arg)
{
    size_t *n = arg;

    /* stopped first, so that it cannot fork while its children are looked for */
    kill(pid, SIGSTOP);
    killtree_children(pid, kill_one, arg);
    kill(pid, SIGKILL);
    (*n)++;
}

size_t killtree_kill(pid_t pid)
{
    size_t n = 0;

    killtree_children(pid, kill_one, &n);
    return n;
}

static unsigned long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long)t.tv_sec * 1000ul + (unsigned long)t.tv_nsec / 1000000ul;
}

bool killtree_end(bool by_uid, unsigned max_ms)
{
    unsigned long until = now_ms() + max_ms;

    do {
        static const struct timespec pause_1ms = {.tv_nsec = 1000000};
        pid_t p;

        if (by_uid)
            kill(-1,
                 SIGKILL); /* all that may be signalled by this uid, less the caller and PID 1 */
        (void)killtree_kill(getpid());
        while ((p = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (p < 0 && errno == ECHILD)
            return true;
        nanosleep(&pause_1ms, NULL);
    } while (now_ms() < until);
    return false;
}
