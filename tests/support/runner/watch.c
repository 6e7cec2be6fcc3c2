#include "tests/support/runner/watch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS   1000 // for what is already on its way out when the test has ended
#define ABORT_MS   3000 // between SIGABRT (a sanitizer prints its stacks) and SIGKILL
#define MAX_PROCS  8192 // of the whole machine; more are not looked at
#define MAX_LISTED 40   // left-over files named in the log

static uint64_t now_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- what descends from us ---- */

struct proc {
    pid_t pid, ppid;
    char state;
    bool ours;
};

static bool read_proc(const char *name, struct proc *p)
{
    char path[64], text[512], *close_paren;
    int fd, pid, ppid;
    ssize_t n;

    snprintf(path, sizeof path, "/proc/%.20s/stat", name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    close_paren = strrchr(text, ')'); // the command's name may hold anything
    if (!close_paren || sscanf(text, "%d", &pid) != 1 ||
        sscanf(close_paren + 1, " %c %d", &p->state, &ppid) != 2)
        return false;
    p->pid = pid;
    p->ppid = ppid;
    p->ours = false;
    return true;
}

static size_t read_procs(struct proc *procs, size_t max)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;
    size_t n = 0;

    if (!dir)
        return 0;
    while (n < max && (entry = readdir(dir)) != NULL)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            read_proc(entry->d_name, &procs[n]))
            n++;
    closedir(dir);
    return n;
}

/* Marks the living descendants of this process and moves them to the front; returns how many. */
static size_t find_descendants(struct proc *procs, size_t max)
{
    size_t n = read_procs(procs, max), found = 0;
    bool again = true;

    while (again) {
        again = false;
        for (size_t i = 0; i < n; i++) {
            bool child = procs[i].ppid == getpid();

            for (size_t j = 0; j < n && !child && !procs[i].ours; j++)
                child = procs[j].ours && procs[j].pid == procs[i].ppid;
            if (child && !procs[i].ours)
                procs[i].ours = again = true;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (procs[i].ours && procs[i].state != 'Z' && procs[i].state != 'X')
            procs[found++] = procs[i];
    return found;
}

static void print_command(FILE *log, pid_t pid)
{
    char path[64], text[400];
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    f = fopen(path, "re");
    n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\0' || text[i] == '\n')
            text[i] = ' ';
    text[n] = '\0';
    fprintf(log, "runner: left behind: process %d: %s\n", (int)pid, n ? text : "(no command line)");
}

static void reap_adopted(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

static void sleep_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&ts, NULL);
}

static void kill_descendants(struct proc *procs)
{
    uint64_t end = now_ms() + 10 * GRACE_MS;
    size_t n;

    while ((n = find_descendants(procs, MAX_PROCS)) > 0 && now_ms() < end) {
        for (size_t i = 0; i < n; i++)
            kill(procs[i].pid, SIGKILL);
        sleep_ms(10);
        reap_adopted();
    }
    reap_adopted();
}

/* What has begun to go gets a moment; the rest is named, counted and killed. */
static int clear_processes(FILE *log)
{
    struct proc *procs = calloc(MAX_PROCS, sizeof *procs);
    uint64_t end = now_ms() + GRACE_MS;
    size_t n;

    if (!procs)
        return 0;
    reap_adopted();
    while ((n = find_descendants(procs, MAX_PROCS)) > 0 && now_ms() < end) {
        sleep_ms(10);
        reap_adopted();
    }
    for (size_t i = 0; i < n; i++)
        print_command(log, procs[i].pid);
    if (n > 0)
        kill_descendants(procs);
    free(procs);
    return (int)n;
}

/* ---- its directory ---- */

static FILE *left_log; // nftw(3) hands no context to its callback
static size_t left_root_len;
static int left_count;

static int on_left_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    if (ftw->level > 0) {
        if (++left_count <= MAX_LISTED)
            fprintf(left_log, "runner: left behind: file %s%s\n", path + left_root_len + 1,
                    type == FTW_DP ? "/" : "");
        else if (left_count == MAX_LISTED + 1)
            fprintf(left_log, "runner: left behind: more files, not named\n");
    }
    if (type == FTW_DP ? rmdir(path) != 0 : unlink(path) != 0)
        fprintf(left_log, "runner: cannot remove %s: %s\n", path, strerror(errno));
    return 0;
}

static int clear_directory(const char *dir, FILE *log)
{
    left_log = log;
    left_root_len = strlen(dir);
    left_count = 0;
    nftw(dir, on_left_file, 32, FTW_DEPTH | FTW_PHYS);
    return left_count;
}

/* ---- the test itself ---- */

static bool ends_in(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);

    return n >= m && strcmp(s + n - m, end) == 0;
}

static _Noreturn void become_test(const struct watch_job *job, const char *dir, int log_fd)
{
    const struct rlimit no_core = {0, 0};
    const char *argv[] = {job->path, NULL, NULL};
    sigset_t none;
    int null_fd = open("/dev/null", O_RDONLY);

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &no_core);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
        chdir(dir) != 0 || setenv("TMPDIR", dir, 1) != 0 || setenv("HOME", dir, 1) != 0)
        _exit(126);
    /* Nothing else is inherited: neither our report's pipe nor make's jobserver. */
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    unsetenv("XDG_RUNTIME_DIR");
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("XDG_CACHE_HOME");
    setenv("CMOCKA_MESSAGE_OUTPUT", "TAP", 1);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (ends_in(job->path, ".sh") || ends_in(job->path, ".mjs")) {
        argv[0] = ends_in(job->path, ".sh") ? "bash" : "node";
        argv[1] = job->path;
    }
    execvp(argv[0], (char *const *)(const void *)argv);
    dprintf(2, "runner: cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Waits for a signal of ours until `end_ms`: SIGCHLD, SIGTERM, SIGINT, or 0 when time is up. */
static int wait_signal(const sigset_t *set, uint64_t end_ms)
{
    uint64_t now = now_ms();
    struct timespec left = {0, 0};
    int sig;

    if (end_ms > now) {
        left.tv_sec = (time_t)((end_ms - now) / 1000);
        left.tv_nsec = (long)((end_ms - now) % 1000) * 1000000;
    }
    sig = sigtimedwait(set, NULL, &left);
    if (sig < 0)
        return errno == EINTR ? SIGCHLD : 0;
    return sig;
}

/* Adopted orphans die here too and are reaped without a word. */
static bool has_ended(pid_t test, struct watch_report *out)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == test) {
            out->status = status;
            return true;
        }
    }
    return false;
}

static void wait_for_end(pid_t test, const sigset_t *set, int timeout_s, struct watch_report *out)
{
    uint64_t end = now_ms() + (uint64_t)timeout_s * 1000;

    while (!has_ended(test, out)) {
        int sig = wait_signal(set, end);

        if (sig == SIGCHLD)
            continue;
        if (out->timed_out || out->interrupted || sig != 0) {
            kill(test, SIGKILL);
            out->interrupted = out->interrupted || sig != 0;
            end = now_ms() + ABORT_MS;
            continue;
        }
        out->timed_out = true;
        kill(test, SIGABRT);
        end = now_ms() + ABORT_MS;
    }
}

static bool make_directory(char *dir, size_t size)
{
    const char *base = getenv("TMPDIR");

    /* Short, as the paths of Unix sockets are limited to 107 bytes; open to other users for
     * reading, as browsers run under an uid of their own when the tests run as root. */
    snprintf(dir, size, "%s/ft.XXXXXX", base && strlen(base) < 40 ? base : "/tmp");
    return mkdtemp(dir) && chmod(dir, 0755) == 0;
}

bool watch_run(const struct watch_job *job, struct watch_report *out)
{
    FILE *log = fopen(job->log, "w+e");
    uint64_t began = now_ms();
    char dir[64];
    sigset_t set;
    pid_t test;

    *out = (struct watch_report){0};
    if (!log || !make_directory(dir, sizeof dir)) {
        fprintf(stderr, "runner: %s: cannot make its log %s or directory: %s\n", job->path,
                job->log, strerror(errno));
        return false;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    test = fork();
    if (test == 0)
        become_test(job, dir, fileno(log));
    if (test < 0) {
        fprintf(stderr, "runner: fork: %s\n", strerror(errno));
        return false;
    }
    wait_for_end(test, &set, job->timeout_s, out);
    fseek(log, 0, SEEK_END);
    if (out->timed_out)
        fprintf(log, "runner: not done after %d s (TEST_TIMEOUT), killed\n", job->timeout_s);
    out->left_processes = clear_processes(log);
    out->left_files = clear_directory(dir, log);
    out->ms = (uint32_t)(now_ms() - began);
    fclose(log);
    return true;
}
