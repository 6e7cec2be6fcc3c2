/* What the sandbox costs and how fast it ends: milliseconds from a launch to the answer to
 * Browser.getVersion, bare (its own sandbox, an unprivileged uid, nothing else) and in all layers,
 * taken in turns; and from kill to the end of every process. As root the bare browser and the
 * layers run as unprivileged uids; otherwise both as ourselves. Argument: rounds (default 20). */
#include "reaper/reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/str.h"

enum { ROUNDS_MAX = 500, BARE_UID = 63999 };

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

static void run_layered(struct run *r, const char *browser, bool netns, struct sample *s)
{
    const char *argv[] = {browser,
                          "--remote-debugging-pipe",
                          "--user-data-dir=@PROFILE@",
                          "--no-first-run",
                          "--disable-breakpad",
                          "--headless",
                          NULL};
    struct reaper_callbacks cb = {.on_exit = on_exit_of, .arg = r};
    struct reaper_spec spec = {
        .name = "bench", .kind = REAPER_BROWSER, .argv = argv, .netns = netns};
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
    spec.n_listeners = netns ? 1 : 0;
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

static void print(const char *what, struct sample *s, double base)
{
    double p50 = at(s->ready, s->n, 0.5);

    printf("  %-22s ready p50 %6.1f p95 %6.1f ms", what, p50, at(s->ready, s->n, 0.95));
    if (base > 0)
        printf(" (%+.0f %%)", (p50 / base - 1) * 100);
    printf("   gone after kill p50 %5.1f p99 %5.1f max %5.1f ms\n", at(s->reap, s->n, 0.5),
           at(s->reap, s->n, 0.99), at(s->reap, s->n, 1));
}

static void bench(struct run *r, const char *browser, size_t rounds)
{
    static struct sample bare, layers, network;
    const char *name = strrchr(browser, '/') + 1;

    bare.n = layers.n = network.n = 0;
    if (access(browser, X_OK) < 0) {
        printf("%s: not installed\n", name);
        return;
    }
    run_bare(browser, &bare); /* what is read from disk is in memory for all */
    bare.n = 0;
    for (size_t i = 0; i < rounds; i++) {
        run_bare(browser, &bare);
        run_layered(r, browser, false, &layers);
        run_layered(r, browser, true, &network);
    }
    printf("%s, %zu rounds, %s\n", name, rounds, geteuid() == 0 ? "as root" : "unprivileged");
    print("bare", &bare, 0);
    print("all layers", &layers, at(bare.ready, bare.n, 0.5));
    print("and a network of its own", &network, at(bare.ready, bare.n, 0.5));
}

int main(int argc, char **argv)
{
    struct run r = {0};
    struct err e = ERR_INIT;
    uint64_t rounds = 20;

    if (argc > 1 && (!str_to_u64(str_from(argv[1]), ROUNDS_MAX, &rounds) || rounds == 0)) {
        (void)fprintf(stderr, "rounds: 1..%d expected\n", ROUNDS_MAX);
        return 2;
    }
    if (loop_create(&r.loop, NULL, &e) != STATUS_OK ||
        reaper_start(r.loop, NULL, &r.reaper, &e) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err_text(&e));
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(browsers); i++)
        bench(&r, browsers[i], i == 0 ? rounds : rounds / 4 + 1);
    reaper_stop(r.reaper, on_stopped, &r);
    while (!r.stopped)
        loop_run_once(r.loop, 1000);
    loop_destroy(&r.loop);
    return 0;
}
