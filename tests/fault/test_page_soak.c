/* A day's tasks in minutes: a campaign of short pages through the whole product (gate, receipts,
 * forwarder, pool, sandbox) in real headless-shells, which are recycled by documents, age and
 * memory on the way. Meanwhile anonymous memory and descriptors of all of Fleet's own processes are
 * looked at several times a second. What must hold: every task succeeds, both are flat once all is
 * warm, and nothing is left. With a leak on purpose (preload/leak.c) the same judgement must find
 * it.
 *
 * SOAK_PAGES: pages in all (2,000; `make soak` asks for 100,000). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "tests/support/httpd.h"
#include "tests/support/testing.h"

enum {
    PAGES = 2000,
    PAGES_LEAKING = 300,
    PAGES_WARM = 10000, /* of so many the second half has warm caches */
    SAMPLE_MS = 150,
    SAMPLES_MAX = 200000,
    BUDGET_MS = 65000,
    BUDGET_LEAKING_MS = 25000,
    PER_PAGE_MS = 500, /* with SOAK_PAGES, when all are wanted */
    NAME_MAX_ = 16,
    FAMILY_MAX = 256,
};

/* What may be gained over the second half of the pages, whatever the noise. What has a bound fills
 * meanwhile: the report's rows (5,000, 0.3 KiB each), SQLite's cache (2 MiB, let go again and
 * again, so that its arena grows to the highest it ever was). A short run finds leaks of 2 KiB a
 * page, one of 100,000 pages such of 21 bytes. */
#define FLOOR_BYTES      (1024.0 * 1024)
#define FLOOR_PAGE_BYTES 1024.0
#define FLOOR_FDS        3.0

struct series {
    double *x, *y; /* pages so far; bytes or descriptors */
    size_t n;
};

static struct {
    struct httpd *server;
    char *dir;
    struct series memory, fds;
    unsigned pages;
    size_t inits_max;
    double init_max;
} w;

static void answer(void *arg, const struct httpd_request *q, struct httpd_reply *a)
{
    (void)arg;
    a->status =
        strcmp(q->path, "/robots.txt") == 0 || strcmp(q->path, "/favicon.ico") == 0 ? 404 : 200;
    a->body = "<!doctype html><link rel=icon href=data:,><title>short</title><p id=p>a page";
}

/* --- processes --- */

struct one {
    pid_t pid, parent;
    char name[NAME_MAX_];
};

static bool read_one(pid_t pid, struct one *o)
{
    char path[64], line[512], *end = NULL;
    FILE *f;
    bool ok;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    ok = f != NULL && fgets(line, sizeof line, f) != NULL && (end = strrchr(line, ')')) != NULL;
    if (ok) {
        char *begin = strchr(line, '(') + 1;

        *end = '\0';
        snprintf(o->name, sizeof o->name, "%.15s", begin);
        o->pid = pid;
        o->parent = (pid_t)strtol(end + 4, NULL, 10);
    }
    if (f != NULL)
        fclose(f);
    return ok;
}

/* Anonymous memory: what a leak makes grow. Pss of mapped files depends on who else runs. */
static double memory_of(pid_t pid)
{
    char path[64], line[256];
    double kib = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (strncmp(line, "Anonymous:", 10) == 0)
            kib = strtod(line + 10, NULL);
    if (f != NULL)
        fclose(f);
    return kib * 1024;
}

static double fds_of(pid_t pid)
{
    char path[64];
    double n = 0;
    DIR *d;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    d = opendir(path);
    while (d != NULL && readdir(d) != NULL)
        n++;
    if (d != NULL)
        closedir(d);
    return n > 2 ? n - 2 : 0;
}

static bool is_in(const struct one *family, size_t n, pid_t pid)
{
    for (size_t i = 0; i < n; i++)
        if (family[i].pid == pid)
            return true;
    return false;
}

/* Fleet's own: the program, and fleet-reaper with its inits (fleet-init). Parents come before their
 * children in a second look, if not in the first. */
static size_t find_family(pid_t fleet, struct one *family)
{
    size_t n = 0;

    if (!read_one(fleet, &family[n++]))
        return 0;
    for (int again = 0; again < 2; again++) {
        DIR *d = opendir("/proc");
        const struct dirent *e;

        while (d != NULL && (e = readdir(d)) != NULL && n < FAMILY_MAX) {
            pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

            if (pid > 0 && !is_in(family, n, pid) && read_one(pid, &family[n]) &&
                strncmp(family[n].name, "fleet-", 6) == 0 && is_in(family, n, family[n].parent))
                n++;
        }
        if (d != NULL)
            closedir(d);
    }
    return n;
}

static void add(struct series *s, double x, double y)
{
    if (s->n == SAMPLES_MAX)
        return;
    s->x[s->n] = x;
    s->y[s->n++] = y;
}

/* Inits come and go with the instances: the largest one and their number are kept, the sum is of
 * the two that stay. */
static void sample(pid_t fleet)
{
    struct one family[FAMILY_MAX];
    size_t n = find_family(fleet, family), inits = 0;
    double bytes = 0, fds = 0;

    for (size_t i = 0; i < n; i++) {
        bool is_init = i > 0 && family[i].parent != fleet;
        double took = memory_of(family[i].pid);

        inits += is_init;
        if (is_init) {
            w.init_max = took > w.init_max ? took : w.init_max;
            continue;
        }
        bytes += took;
        fds += fds_of(family[i].pid);
    }
    w.inits_max = inits > w.inits_max ? inits : w.inits_max;
    if (bytes > 0) {
        add(&w.memory, httpd_count(w.server), bytes);
        add(&w.fds, httpd_count(w.server), fds);
    }
}

/* --- the judgement --- */

struct line {
    double gain;  /* of the least-squares line, from the first to the last sample */
    double noise; /* standard deviation from it */
    size_t n;
};

static double root_of(double v)
{
    double r = v > 1 ? v : 1;

    for (int i = 0; i < 60; i++)
        r = (r + v / r) / 2;
    return v > 0 ? r : 0;
}

/* Of the second half: in the first caches fill. */
static struct line fit(const struct series *s, double pages)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0, rest = 0, n = 0, slope, base, first = -1, last = 0;

    for (int pass = 0; pass < 2; pass++) {
        double d = n * sxx - sx * sx;

        slope = pass > 0 && d > 0 ? (n * sxy - sx * sy) / d : 0;
        base = pass > 0 ? (sy - slope * sx) / n : 0;
        for (size_t i = 0; i < s->n; i++) {
            double x = s->x[i], y = s->y[i];

            if (x < pages / 2 || x > pages * 0.99)
                continue;
            if (pass > 0) {
                rest += (y - base - slope * x) * (y - base - slope * x);
                continue;
            }
            first = first < 0 ? x : first;
            last = x;
            n++;
            sx += x;
            sy += y;
            sxx += x * x;
            sxy += x * y;
        }
        if (n < 10)
            return (struct line){0};
    }
    return (struct line){slope * (last - first), root_of(rest / n), (size_t)n};
}

static double floor_of(unsigned pages)
{
    return pages < PAGES_WARM ? FLOOR_BYTES + FLOOR_PAGE_BYTES * pages / 2 : FLOOR_BYTES;
}

static bool grows(const struct line *l, double floor)
{
    return l->gain > floor && l->gain > 2 * l->noise;
}

/* --- a campaign --- */

static void write_campaign(unsigned pages)
{
    char *targets = malloc((size_t)pages * 48), text[1500];
    size_t len = 0;

    assert_non_null(targets);
    for (unsigned i = 0; i < pages; i++)
        len += (size_t)snprintf(targets + len, 48, "http://127.0.0.1:%u/%u\n", httpd_port(w.server),
                                i);
    test_write_file("targets.txt", targets, len);
    free(targets);
    len = (size_t)snprintf(
        text, sizeof text,
        "{\"name\":\"soak\",\"targets\":\"targets.txt\",\"members\":{\"count\":4},\"slots\":3,"
        "\"isolation\":\"context\",\"browser\":\"headless-shell\",\"context\":\"kept\","
        "\"sandbox\":\"prefer\",\"recycle\":{\"pages\":%u,\"age_s\":%u,\"memory_mb\":700},"
        "\"limits\":{\"max_requests\":1000,\"window_ms\":1000,\"robots\":false},"
        "\"policy\":{\"private_networks\":true},\"deadlines\":{\"heartbeat_ms\":30000},"
        "\"flow\":{\"steps\":[{\"type\":\"navigate\",\"url\":\"{{url}}\"},"
        "{\"type\":\"extract\",\"fields\":{\"p\":\"#p\"}}]}}",
        pages / 6, pages > 10000 ? 120 : 12);
    test_write_file("c.json", text, len);
}

static pid_t start(bool leaks)
{
    const char *program = test_program("fleet");
    pid_t pid;

    if (leaks) {
        setenv("LD_PRELOAD", test_program("tests/fault/preload/leak.so"), 1);
        setenv("LEAK_IN", "fleet", 1);
        setenv("LEAK_BYTES", "32768", 1);
    }
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = open("log.txt", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        dup2(fd, 1);
        dup2(fd, 2);
        execl(program, program, "run", "c.json", "--quiet", "--log=info", (char *)NULL);
        _exit(127);
    }
    unsetenv("LD_PRELOAD");
    unsetenv("LEAK_IN");
    unsetenv("LEAK_BYTES");
    return pid;
}

/* Tasks that succeeded; nothing else has become of those that began. */
static unsigned check_results(unsigned pages, bool stopped)
{
    char *text = test_read_file("results.ndjson", NULL);
    unsigned good = 0, lines = 0, cancelled = 0;

    for (char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    for (char *at = text; (at = strstr(at, "\"status\":\"succeeded\"")) != NULL; at++)
        good++;
    for (char *at = text; (at = strstr(at, "\"status\":\"cancelled\"")) != NULL; at++)
        cancelled++;
    free(text);
    if (lines != good + cancelled || (!stopped && good != pages))
        fail_msg("%u tasks: %u results, %u succeeded, %u cancelled", pages, lines, good, cancelled);
    return good;
}

static unsigned count_words(const char *word)
{
    char *text = test_read_file("log.txt", NULL);
    unsigned n = 0;

    for (char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    free(text);
    return n;
}

/* On a machine that is too busy for all of them the campaign is stopped after `budget_ms`, and what
 * was done by then is looked at. Pages done. */
static unsigned run(unsigned pages, bool leaks, uint64_t budget_ms)
{
    uint64_t asked = test_now_ms() + budget_ms, until = asked + 20000;
    bool stopped = false;
    unsigned done;
    int status = 0;
    pid_t pid, got;

    w.memory.n = w.fds.n = w.inits_max = 0;
    w.server = httpd_start(NULL, 0, answer, NULL);
    write_campaign(pages);
    pid = start(leaks);
    while ((got = waitpid(pid, &status, WNOHANG)) == 0 && test_now_ms() < until) {
        if (!stopped && test_now_ms() > asked)
            stopped = kill(pid, SIGINT) == 0;
        if (!stopped)
            sample(pid);
        test_sleep_ms(SAMPLE_MS);
    }
    if (got == 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        fail_msg("still running after %u of %u pages", httpd_count(w.server), pages);
    }
    if (!stopped && status != 0) {
        char *text = test_read_file("log.txt", NULL);

        fail_msg("fleet run ended with %#x: %.2000s", (unsigned)status, text);
    }
    done = check_results(pages, stopped);
    if (stopped)
        print_message("stopped after %u of %u pages: the machine is busy\n", done, pages);
    httpd_stop(&w.server);
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return done;
}

static int set_up(void **state)
{
    (void)state;
    memset(&w, 0, sizeof w);
    w.memory.x = calloc(SAMPLES_MAX, sizeof(double));
    w.memory.y = calloc(SAMPLES_MAX, sizeof(double));
    w.fds.x = calloc(SAMPLES_MAX, sizeof(double));
    w.fds.y = calloc(SAMPLES_MAX, sizeof(double));
    if (access("/usr/lib/chromium/chromium-headless-shell", X_OK) != 0)
        test_skip("headless-shell is not installed");
    w.dir = test_mkdir();
    assert_int_equal(chdir(w.dir), 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0); /* orphans would be ours */
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (w.server != NULL)
        httpd_stop(&w.server);
    assert_int_equal(chdir(".."), 0);
    test_rmdir(&w.dir);
    free(w.memory.x);
    free(w.memory.y);
    free(w.fds.x);
    free(w.fds.y);
    return 0;
}

static void print_line(const char *what, unsigned pages, const struct line *m, const struct line *d)
{
    print_message("%s: %u pages, memory %+.0f KiB (noise %.0f), descriptors %+.1f (noise %.1f), "
                  "%zu samples; inits at most %zu, %.0f KiB\n",
                  what, pages, m->gain / 1024, m->noise / 1024, d->gain, d->noise, m->n,
                  w.inits_max, w.init_max / 1024);
}

static void keep_samples(void)
{
    const char *path = getenv("SOAK_SAMPLES");
    FILE *f = path != NULL ? fopen(path, "we") : NULL;

    for (size_t i = 0; f != NULL && i < w.memory.n; i++)
        fprintf(f, "%.0f %.0f %.0f\n", w.memory.x[i], w.memory.y[i], w.fds.y[i]);
    if (f != NULL)
        fclose(f);
}

static void test_flat(void **state)
{
    const char *text = getenv("SOAK_PAGES");
    unsigned pages = text != NULL ? (unsigned)strtoul(text, NULL, 10) : PAGES, recycled;
    struct line m, d;

    (void)state;
    pages = run(pages, false, text != NULL ? (uint64_t)pages * PER_PAGE_MS : BUDGET_MS);
    keep_samples();
    m = fit(&w.memory, pages);
    d = fit(&w.fds, pages);
    recycled = count_words("pool.recycled");
    print_line("soak", pages, &m, &d);
    print_message("%u instances recycled: %u for documents, %u for age, %u for memory\n", recycled,
                  count_words(" pages\""), count_words(" s old\""), count_words("MiB of memory\""));
    assert_true(recycled >= 3);
    assert_true(m.n >= 10);
    assert_false(grows(&m, floor_of(pages)));
    assert_false(grows(&d, FLOOR_FDS));
    assert_int_equal(test_count_descendants(), 0);
}

static void test_a_leak_is_found(void **state)
{
    struct line m, d;
    unsigned pages;

    (void)state;
    pages = run(PAGES_LEAKING, true, BUDGET_LEAKING_MS);
    m = fit(&w.memory, pages);
    d = fit(&w.fds, pages);
    print_line("with a leak", pages, &m, &d);
    assert_true(grows(&m, floor_of(pages)));
    assert_true(grows(&d, FLOOR_FDS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_flat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_leak_is_found, set_up, tear_down),
    };

    return cmocka_run_group_tests_name("page soak", tests, NULL, NULL);
}
