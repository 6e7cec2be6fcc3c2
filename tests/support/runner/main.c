/* The test runner of `make check`. Runs test programs, a few at a time where that is safe, each
 * under a watcher (watch.h) that leaves nothing of it behind; prints one line a program, the whole
 * log of those that failed, the reasons of what was skipped; keeps the sums for `--sum`.
 *
 *   run [-j N] [-t SECONDS] [-s] [-l LOGDIR] [-r RESULTS] PROGRAM...
 *       -j N        so many at a time (1)
 *       -t SECONDS  deadline of each program (120)
 *       -s          strict: a skipped case counts as failed
 *       -l LOGDIR   where the logs go (".")
 *       -r RESULTS  write what --sum reads to this file
 *   run --sum RESULTS...
 *       prints the failed and skipped cases of all and, last and alone on its line, "N passed, N
 * failed"
 *
 * Exit code: 0 all passed, 1 something failed or nothing ran, 2 wrong use. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/runner/tap.h"
#include "tests/support/runner/watch.h"

#define MAX_LOG_SHOWN (256 * 1024L) // of a failed program; the file has the rest

struct options {
    int jobs, timeout_s;
    bool strict;
    const char *log_dir;
    const char *results;
};

struct test {
    const char *path;
    char name[160];
    char log[512];
    pid_t watcher; // 0: not running
    int report_fd;
    bool done;
    struct tally tally;
};

struct run {
    struct options opt;
    struct test *tests;
    size_t n_tests;
    FILE *results;
    int passed, failed, skipped;
};

static volatile sig_atomic_t stop_signal;

static void on_stop(int sig)
{
    stop_signal = sig;
}

/* The path from "tests/" on, without an ending of a script. */
static void set_name(struct test *t)
{
    const char *from = NULL, *p = t->path;

    while ((p = strstr(p, "tests/")) != NULL)
        from = p += strlen("tests/");
    snprintf(t->name, sizeof t->name, "%s", from ? from : t->path);
}

static void set_log(struct test *t, const char *dir)
{
    size_t n = strlen(dir) + 1;

    snprintf(t->log, sizeof t->log, "%s/%s.log", dir, t->name);
    for (char *p = t->log + n; n < sizeof t->log && *p; p++)
        if (*p == '/')
            *p = '.';
}

static void start(struct run *run, struct test *t)
{
    struct watch_job job = {t->path, t->log, run->opt.timeout_s};
    struct watch_report report;
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) != 0) {
        perror("runner: pipe");
        exit(1);
    }
    fflush(NULL);
    t->watcher = fork();
    if (t->watcher < 0) {
        perror("runner: fork");
        exit(1);
    }
    if (t->watcher == 0) {
        close(fds[0]);
        if (watch_run(&job, &report) &&
            write(fds[1], &report, sizeof report) == (ssize_t)sizeof report)
            _exit(0);
        _exit(1);
    }
    close(fds[1]);
    t->report_fd = fds[0];
}

/* ---- telling ---- */

struct telling {
    struct run *run;
    struct test *test;
};

static void on_case(char kind, const char *text, void *arg)
{
    struct telling *tell = arg;

    if (tell->run->results)
        fprintf(tell->run->results, "%c %s: %s\n", kind, tell->test->name, text);
    if (kind == 'S')
        printf("  SKIP  %s: %s\n", tell->test->name, text);
}

static void add_failure(struct run *run, struct test *t, const char *what)
{
    t->tally.failed++;
    if (run->results)
        fprintf(run->results, "F %s: %s\n", t->name, what);
    printf("  FAIL  %s: %s\n", t->name, what);
}

static void show_log(const struct test *t)
{
    FILE *f = fopen(t->log, "re");
    char line[4096];

    if (!f)
        return;
    if (fseek(f, -MAX_LOG_SHOWN, SEEK_END) == 0)
        printf("    | ... (its beginning is in %s)\n", t->log);
    else
        rewind(f);
    while (fgets(line, sizeof line, f))
        printf("    | %s%s", line, strchr(line, '\n') ? "" : "\n");
    fclose(f);
}

/* What went wrong besides the cases that were reported as failed. */
static void judge_end(struct run *run, struct test *t, const struct watch_report *r)
{
    const struct tally *y = &t->tally;
    int reported = y->passed + y->failed + y->skipped;
    char what[128];

    if (r->timed_out) {
        snprintf(what, sizeof what, "not done after %d s", run->opt.timeout_s);
        add_failure(run, t, what);
    } else if (r->interrupted) {
        add_failure(run, t, "interrupted");
    } else if (WIFSIGNALED(r->status)) {
        snprintf(what, sizeof what, "ended by signal %d (%s)", WTERMSIG(r->status),
                 strsignal(WTERMSIG(r->status)));
        add_failure(run, t, what);
    } else if (WEXITSTATUS(r->status) != 0 && y->failed == 0) {
        snprintf(what, sizeof what, "exit code %d", WEXITSTATUS(r->status));
        add_failure(run, t, what);
    } else if (reported == 0) {
        add_failure(run, t, "reported no test case");
    } else if (reported < y->planned) {
        snprintf(what, sizeof what, "reported %d of %d cases", reported, y->planned);
        add_failure(run, t, what);
    }
    if (r->left_processes > 0) {
        snprintf(what, sizeof what, "left %d process(es) behind", r->left_processes);
        add_failure(run, t, what);
    }
    if (r->left_files > 0) {
        snprintf(what, sizeof what, "left %d file(s) in its directory", r->left_files);
        add_failure(run, t, what);
    }
}

static void count_log(struct run *run, struct test *t)
{
    struct telling tell = {run, t};
    FILE *log = fopen(t->log, "re");

    if (!log)
        return;
    tap_count(log, &t->tally, on_case, &tell);
    fclose(log);
    if (run->opt.strict && t->tally.skipped > 0)
        printf("  FAIL  %s: skipped cases count as failed (STRICT=1)\n", t->name);
}

static void finish(struct run *run, struct test *t)
{
    struct watch_report report = {0};
    bool reported = read(t->report_fd, &report, sizeof report) == (ssize_t)sizeof report;
    struct tally *y = &t->tally;

    close(t->report_fd);
    t->watcher = 0;
    t->done = true;
    count_log(run, t);
    if (reported)
        judge_end(run, t, &report);
    else
        add_failure(run, t, "could not be started");
    if (run->opt.strict) {
        y->failed += y->skipped;
        y->skipped = 0;
    }
    run->passed += y->passed;
    run->failed += y->failed;
    run->skipped += y->skipped;
    printf("  %-5s %-46s %4d passed", y->failed ? "FAIL" : "ok", t->name, y->passed);
    if (y->failed)
        printf(", %d failed", y->failed);
    if (y->skipped)
        printf(", %d skipped", y->skipped);
    printf("  %.2f s\n", report.ms / 1000.0);
    if (y->failed)
        show_log(t);
    fflush(stdout);
}

/* ---- the schedule ---- */

static struct test *find_watcher(struct run *run, pid_t pid)
{
    for (size_t i = 0; i < run->n_tests; i++)
        if (run->tests[i].watcher == pid)
            return &run->tests[i];
    return NULL;
}

static void stop_watchers(struct run *run)
{
    for (size_t i = 0; i < run->n_tests; i++)
        if (run->tests[i].watcher > 0)
            kill(run->tests[i].watcher, SIGTERM);
}

static void run_all(struct run *run)
{
    size_t next = 0;
    int running = 0;

    while (running > 0 || (next < run->n_tests && !stop_signal)) {
        pid_t pid;

        while (running < run->opt.jobs && next < run->n_tests && !stop_signal) {
            struct test *t = &run->tests[next++];

            if (access(t->path, R_OK) != 0) {
                add_failure(run, t, "was not built");
                run->failed++;
                continue;
            }
            start(run, t);
            running++;
        }
        if (running == 0)
            continue;
        pid = waitpid(-1, NULL, 0);
        if (pid < 0 && errno == EINTR) {
            stop_watchers(run);
            continue;
        }
        struct test *t = pid > 0 ? find_watcher(run, pid) : NULL;

        if (t) {
            finish(run, t);
            running--;
        }
    }
}

/* ---- --sum ---- */

static void print_kind(char **files, int n, char kind, const char *word)
{
    for (int i = 0; i < n; i++) {
        FILE *f = fopen(files[i], "re");
        char line[2048];

        while (f && fgets(line, sizeof line, f))
            if (line[0] == kind)
                printf("%s %s", word, line + 2);
        if (f)
            fclose(f);
    }
}

static int sum(char **files, int n)
{
    int passed = 0, failed = 0, skipped = 0;

    for (int i = 0; i < n; i++) {
        FILE *f = fopen(files[i], "re");
        char line[2048];
        int p, q, s;

        while (f && fgets(line, sizeof line, f)) {
            if (line[0] == '=' && sscanf(line, "= %d %d %d", &p, &q, &s) == 3) {
                passed += p;
                failed += q;
                skipped += s;
            }
        }
        if (f)
            fclose(f);
    }
    print_kind(files, n, 'S', "skipped:");
    print_kind(files, n, 'F', "failed:");
    if (skipped > 0)
        printf("%d skipped, reasons above\n", skipped);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

static int usage(void)
{
    fputs("usage: run [-j N] [-t SECONDS] [-s] [-l LOGDIR] [-r RESULTS] PROGRAM...\n"
          "       run --sum RESULTS...\n",
          stderr);
    return 2;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    int c;

    while ((c = getopt(argc, argv, "j:t:sl:r:")) != -1) {
        switch (c) {
        case 'j':
            o->jobs = (int)strtol(optarg, NULL, 10);
            break;
        case 't':
            o->timeout_s = (int)strtol(optarg, NULL, 10);
            break;
        case 's':
            o->strict = true;
            break;
        case 'l':
            o->log_dir = optarg;
            break;
        case 'r':
            o->results = optarg;
            break;
        default:
            return false;
        }
    }
    return o->jobs > 0 && o->timeout_s > 0;
}

int main(int argc, char **argv)
{
    struct run run = {.opt = {.jobs = 1, .timeout_s = 120, .log_dir = "."}};
    struct sigaction sa = {.sa_handler = on_stop};

    if (argc > 1 && strcmp(argv[1], "--sum") == 0)
        return sum(argv + 2, argc - 2);
    if (!read_options(argc, argv, &run.opt))
        return usage();
    run.n_tests = (size_t)(argc - optind);
    run.tests = calloc(run.n_tests + 1, sizeof *run.tests);
    if (!run.tests)
        return 1;
    for (size_t i = 0; i < run.n_tests; i++) {
        run.tests[i].path = argv[(size_t)optind + i];
        set_name(&run.tests[i]);
        set_log(&run.tests[i], run.opt.log_dir);
    }
    if (run.opt.results && !(run.results = fopen(run.opt.results, "we"))) {
        fprintf(stderr, "runner: cannot write %s: %s\n", run.opt.results, strerror(errno));
        return 1;
    }
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    run_all(&run);
    if (run.results) {
        fprintf(run.results, "= %d %d %d\n", run.passed, run.failed, run.skipped);
        fclose(run.results);
    }
    printf("%d passed, %d failed", run.passed, run.failed);
    printf(run.skipped ? ", %d skipped\n" : "\n", run.skipped);
    free(run.tests);
    return run.failed > 0 || stop_signal ? 1 : 0;
}
