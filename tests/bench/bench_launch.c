/* What the sandbox costs: milliseconds from a launch to the answer to Browser.getVersion, and from
 * kill to the end of every process (of a bare one: of its first). Taken in turns that rotate, with
 * a pause before each, as what ended goes on being cleared away by the kernel: bare (Chromium's own
 * sandbox, an unprivileged uid, nothing else); all layers as root; all layers through user
 * namespaces (by a second controller, which is nobody). Not as root: bare and user namespaces
 * alone. Then the end of a fork bomb, and memory a member. Argument: rounds (default 20). */
#include "reaper/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/str.h"
#include "tests/support/testing.h"

enum {
    ROUNDS_MAX = 500,
    BARE_UID = 63999,
    NOBODY = 65534,
    MEMBERS = 32,
    BOMBS = 10,
    SETTLE_MS = 150,
};

static const char *const browsers[] = {"/usr/lib/chromium/chromium-headless-shell",
                                       "/usr/lib/chromium/chromium"};

struct run {
    struct loop *loop;
    struct reaper *reaper;
    bool gone, stopped;
};

struct sample {
    double ready[ROUNDS_MAX], reap[ROUNDS_MAX];
    size_t n;
};

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void settle(void)
{
    const struct timespec t = {.tv_nsec = SETTLE_MS * 1000000L};

    nanosleep(&t, NULL);
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double at(double *v, size_t n, double part)
{
    qsort(v, n, sizeof(*v), compare);
    return v[(size_t)((double)(n - 1) * part)];
}

static void die(const char *what)
{
    (void)fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void make_pipes(int in[2], int out[2])
{
    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
        die("pipe");
}

static void ask_version(int to, int from)
{
    static const char call[] = "{\"id\":1,\"method\":\"Browser.getVersion\"}";
    struct pollfd p = {.fd = from, .events = POLLIN};
    char answer[4096];

    if (write(to, call, sizeof(call)) < 0 || poll(&p, 1, 30000) != 1 ||
        read(from, answer, sizeof(answer)) <= 0)
        die("the browser does not answer");
}

static void run_bare(const char *browser, struct sample *s)
{
    char dir[] = "/tmp/bench-XXXXXX", profile[64], text[128];
    double since = now_ms();
    int in[2], out[2];
    pid_t p;

    make_pipes(in, out);
    if (!mkdtemp(dir))
        die(dir);
    snprintf(profile, sizeof(profile), "--user-data-dir=%s", dir);
    if (geteuid() == 0 && chown(dir, BARE_UID, BARE_UID) < 0)
        die(dir);
    p = fork();
    if (p == 0) {
        int null = open("/dev/null", O_RDWR);

        setsid();
        if (geteuid() == 0 &&
            (setgroups(0, NULL) < 0 || setresgid(BARE_UID, BARE_UID, BARE_UID) < 0 ||
             setresuid(BARE_UID, BARE_UID, BARE_UID) < 0))
            _exit(1);
        dup2(fcntl(in[0], F_DUPFD, 10), 3);
        dup2(fcntl(out[1], F_DUPFD, 10), 4);
        dup2(null, 2);
        setenv("HOME", dir, 1);
        execl(browser, browser, "--remote-debugging-pipe", profile, "--no-first-run",
              "--disable-breakpad", "--headless", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    ask_version(in[1], out[0]);
    s->ready[s->n] = now_ms() - since;
    since = now_ms();
    kill(-p, SIGKILL);
    waitpid(p, NULL, 0);
    s->reap[s->n++] = now_ms() - since;
    close(in[1]);
    close(out[0]);
    snprintf(text, sizeof(text), "%s", dir);
    for (int i = 0; i < 50 && access(text, F_OK) == 0; i++) {
        pid_t rm = fork();

        if (rm == 0) {
            execl("/bin/rm", "rm", "-rf", text, (char *)NULL);
            _exit(127);
        }
        waitpid(rm, NULL, 0);
    }
}

static void on_exit_of(struct reaper_child *c, const struct reaper_exit *x, void *arg)
{
    struct run *r = arg;

    (void)c;
    if (x->cause == REAPER_CAUSE_FAILED) {
        (void)fprintf(stderr, "%s\n", err_text(&x->err));
        exit(1);
    }
    r->gone = true;
}

static void run_layered(struct run *r, const char *browser, struct sample *s)
{
    const char *argv[] = {browser,
                          "--remote-debugging-pipe",
                          "--user-data-dir=@PROFILE@",
                          "--no-first-run",
                          "--disable-breakpad",
                          "--headless",
                          NULL};
    struct reaper_callbacks cb = {.on_exit = on_exit_of, .arg = r};
    struct reaper_spec spec = {.name = "bench",
                               .kind = REAPER_BROWSER,
                               .argv = argv,
                               .netns = true,
                               .n_listeners = 1,
                               .memory_max_bytes = 4ull << 30,
                               .pids_max = 4096};
    struct reaper_child *c;
    struct reaper_fd fds[2];
    struct err e = ERR_INIT;
    double since = now_ms();
    int in[2], out[2];

    make_pipes(in, out);
    fds[0] = (struct reaper_fd){in[0], 3};
    fds[1] = (struct reaper_fd){out[1], 4};
    spec.fds = fds;
    spec.n_fds = 2;
    r->gone = false;
    if (reaper_launch(r->reaper, &spec, &cb, &c, &e) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err_text(&e));
        exit(1);
    }
    close(in[0]);
    close(out[1]);
    ask_version(in[1], out[0]);
    s->ready[s->n] = now_ms() - since;
    for (int i = 0; i < 3; i++)
        loop_run_once(r->loop, 0);
    since = now_ms();
    reaper_child_kill(c);
    while (!r->gone)
        loop_run_once(r->loop, 1000);
    s->reap[s->n++] = now_ms() - since;
    close(in[1]);
    close(out[0]);
}

static void on_stopped(void *arg)
{
    struct run *r = arg;

    r->stopped = true;
}

/* --- a second controller, as nobody --- */

struct second {
    pid_t pid;
    int ask, answer; /* a byte for a round; two doubles back */
};

static enum status open_run(struct run *r)
{
    const struct reaper_opts opts = {.program = test_program("fleet-reaper")};
    struct err e = ERR_INIT;
    enum status s = loop_create(&r->loop, NULL, &e);

    if (s == STATUS_OK)
        s = reaper_start(r->loop, &opts, &r->reaper, &e);
    if (s != STATUS_OK)
        (void)fprintf(stderr, "%s\n", err_text(&e));
    return s;
}

static void close_run(struct run *r)
{
    reaper_stop(r->reaper, on_stopped, r);
    while (!r->stopped)
        loop_run_once(r->loop, 1000);
    loop_destroy(&r->loop);
}

static _Noreturn void serve(int ask, int answer)
{
    struct sample s = {.n = 0};
    struct run r = {0};
    char which;

    if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) < 0)
        die("become nobody");
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    if (open_run(&r) != STATUS_OK)
        _exit(1);
    while (read(ask, &which, 1) == 1) {
        double times[2];

        s.n = 0;
        run_layered(&r, browsers[(size_t)which], &s);
        times[0] = s.ready[0];
        times[1] = s.reap[0];
        if (write(answer, times, sizeof(times)) != sizeof(times))
            die("answer");
    }
    close_run(&r);
    _exit(0);
}

static void open_second(struct second *c)
{
    int in[2], out[2];

    make_pipes(in, out);
    c->pid = fork();
    if (c->pid == 0) {
        close(in[1]);
        serve(in[0], out[1]);
    }
    close(in[0]);
    close(out[1]);
    c->ask = in[1];
    c->answer = out[0];
}

static void run_second(const struct second *c, size_t which, struct sample *s)
{
    char byte = (char)which;
    double times[2];

    if (write(c->ask, &byte, 1) != 1 || read(c->answer, times, sizeof(times)) != sizeof(times))
        die("the controller that is nobody");
    s->ready[s->n] = times[0];
    s->reap[s->n++] = times[1];
}

static void close_second(const struct second *c)
{
    close(c->ask);
    close(c->answer);
    waitpid(c->pid, NULL, 0);
}

/* --- times --- */

static void print(const char *what, struct sample *s, double base)
{
    double p50 = at(s->ready, s->n, 0.5);

    printf("  %-28s ready p50 %6.1f p95 %6.1f ms", what, p50, at(s->ready, s->n, 0.95));
    if (base > 0)
        printf(" (%+.0f %%)", (p50 / base - 1) * 100);
    printf("   gone after kill p50 %5.1f p99 %5.1f max %5.1f ms\n", at(s->reap, s->n, 0.5),
           at(s->reap, s->n, 0.99), at(s->reap, s->n, 1));
}

static void bench(struct run *r, const struct second *second, size_t which, size_t rounds)
{
    static struct sample bare, own, nobody;
    const char *browser = browsers[which], *name = strrchr(browser, '/') + 1;
    double base;

    bare.n = own.n = nobody.n = 0;
    if (access(browser, X_OK) < 0) {
        printf("%s: not installed\n", name);
        return;
    }
    run_bare(browser, &bare); /* what is read from disk is in memory for all */
    bare.n = 0;
    for (size_t i = 0; i < 3 * rounds; i++) {
        size_t whose = (i + i / 3) % 3;

        settle();
        if (whose == 0)
            run_bare(browser, &bare);
        else if (whose == 1)
            run_layered(r, browser, &own);
        else if (second)
            run_second(second, which, &nobody);
    }
    base = at(bare.ready, bare.n, 0.5);
    printf("%s, %zu rounds\n", name, rounds);
    print("bare, unprivileged", &bare, 0);
    print(second ? "all layers, root" : "all layers, user namespaces", &own, base);
    if (second)
        print("all layers, user namespaces", &nobody, base);
}

/* --- a fork bomb --- */

/* A pipe of which every process of the member holds the write end: its end is the last one's. */
static void bench_bomb(struct run *r)
{
    static const char bomb[] =
        "i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i+1)); done; printf up >&3; wait";
    static const char *const argv[] = {"/bin/sh", "-c", bomb, NULL};
    struct reaper_callbacks cb = {.on_exit = on_exit_of, .arg = r};
    double pipe_ms[BOMBS], told_ms[BOMBS];

    for (size_t i = 0; i < BOMBS; i++) {
        struct reaper_spec spec = {.name = "bomb", .kind = REAPER_AUTOMATION, .argv = argv};
        struct reaper_child *c;
        struct reaper_fd fd;
        struct err e = ERR_INIT;
        char up[8];
        double since;
        int end[2];

        settle();
        if (pipe2(end, O_CLOEXEC) < 0)
            die("pipe");
        fd = (struct reaper_fd){end[1], 3};
        spec.fds = &fd;
        spec.n_fds = 1;
        r->gone = false;
        if (reaper_launch(r->reaper, &spec, &cb, &c, &e) != STATUS_OK) {
            (void)fprintf(stderr, "%s\n", err_text(&e));
            exit(1);
        }
        close(end[1]);
        if (read(end[0], up, sizeof(up)) != 2)
            die("the bomb did not come up");
        for (int k = 0; k < 5; k++)
            loop_run_once(r->loop, 0);
        since = now_ms();
        reaper_child_kill(c);
        if (read(end[0], up, sizeof(up)) != 0)
            die("the bomb speaks");
        pipe_ms[i] = now_ms() - since;
        while (!r->gone)
            loop_run_once(r->loop, 1000);
        told_ms[i] = now_ms() - since;
        close(end[0]);
    }
    printf("fork bomb of 400, %d rounds: closed their pipe after p50 %.0f max %.0f ms, told gone "
           "after p50 %.0f max %.0f ms\n",
           BOMBS, at(pipe_ms, BOMBS, 0.5), at(pipe_ms, BOMBS, 1), at(told_ms, BOMBS, 0.5),
           at(told_ms, BOMBS, 1));
}

/* --- memory --- */

/* What the kernel itself holds for processes, mounts, namespaces and sockets. */
static double kernel_kib(void)
{
    static const char *const rows[] = {"Slab:", "KernelStack:", "PageTables:", "Percpu:"};
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");

    while (f && fgets(line, sizeof(line), f))
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            if (strncmp(line, rows[i], strlen(rows[i])) == 0)
                kib += strtod(line + strlen(rows[i]), NULL);
    if (f)
        fclose(f);
    return kib;
}

/* Pss of smaps_rollup in KiB; 0 when it cannot be read. */
static double pss_kib(pid_t pid)
{
    char path[64], line[256];
    double kib = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, "Pss:", 4) == 0)
            kib = strtod(line + 4, NULL);
    if (f)
        fclose(f);
    return kib;
}

static void on_started(struct reaper_child *c, const struct reaper_started *s, void *arg)
{
    pid_t *init = arg;

    (void)c;
    *init = s->init_pid;
    for (size_t i = 0; i < s->n_listeners; i++)
        close(s->listeners[i]);
}

static void bench_memory(struct run *r)
{
    static const char *const argv[] = {"/bin/sleep", "1000", NULL};
    const struct reaper_spec spec = {
        .name = "memory", .kind = REAPER_AUTOMATION, .argv = argv, .netns = true, .n_listeners = 1};
    struct reaper_child *child[MEMBERS];
    pid_t init[MEMBERS] = {0};
    struct err e = ERR_INIT;
    double sum = 0, kernel;

    settle();
    kernel = kernel_kib();
    for (size_t i = 0; i < MEMBERS; i++) {
        struct reaper_callbacks cb = {.on_started = on_started, .arg = &init[i]};

        if (reaper_launch(r->reaper, &spec, &cb, &child[i], &e) != STATUS_OK) {
            (void)fprintf(stderr, "%s\n", err_text(&e));
            exit(1);
        }
        while (init[i] == 0)
            loop_run_once(r->loop, 100);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        sum += pss_kib(init[i]);
    printf("memory, %d members: init %.0f KiB a member, fleet-reaper's share %.0f KiB (Pss), the "
           "kernel's %.0f KiB (with the program's own)\n",
           MEMBERS, sum / MEMBERS, pss_kib(reaper_pid(r->reaper)) / MEMBERS,
           (kernel_kib() - kernel) / MEMBERS);
}

int main(int argc, char **argv)
{
    struct run r = {0};
    struct second second;
    bool root = geteuid() == 0;
    uint64_t rounds = 20;

    if (argc > 1 && (!str_to_u64(str_from(argv[1]), ROUNDS_MAX, &rounds) || rounds == 0)) {
        (void)fprintf(stderr, "rounds: 1..%d expected\n", ROUNDS_MAX);
        return 2;
    }
    if (root)
        open_second(&second);
    if (open_run(&r) != STATUS_OK)
        return 1;
    for (size_t i = 0; i < ARRAY_LEN(browsers); i++)
        bench(&r, root ? &second : NULL, i, i == 0 ? rounds : rounds / 4 + 1);
    bench_bomb(&r);
    bench_memory(&r);
    close_run(&r);
    if (root)
        close_second(&second);
    return 0;
}
