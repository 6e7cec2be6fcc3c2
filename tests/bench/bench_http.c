/* http.get through fleet-core, all of it on (gate, limiter, policy, receipts, results): requests a
 * second over 200 targets on loopback, side by side in the same run with `curl --parallel` on the
 * same addresses and as many requests under way. The targets are 127.0.1.1 to 127.0.1.200 of one
 * process that answers a small JSON; their rate is set so high that it never bounds.
 *
 * Connections decide, and members share none. So each is compared with its like: where every target
 * has one member that asks it ("$member"), fleet-core needs a connection a target, as curl does;
 * where any of the members asks any of the targets, most requests need a new one, as those of a
 * curl do that is told to close. Connections made are printed with each. Processor time is that of
 * the client alone. Arguments: requests (default 20,000), fleet-core (default: beside the tests).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "core/base/file.h"
#include "tests/bench/measure.h"

enum { TARGETS = 200, PARALLEL = 64, ROUNDS = 3, EVENTS = 256 };

static no_return void die(const char *what)
{
    (void)fprintf(stderr, "bench_http: %s: %s\n", what, strerrordesc_np(errno));
    exit(1);
}

/* --- the targets --- */

static int listen_at(unsigned target, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    a.sin_addr.s_addr = htonl(0x7f000101 + target);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 1024) != 0)
        die("listen");
    return fd;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof(a);

    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("getsockname");
    return ntohs(a.sin_port);
}

#define REPLY(fields)                                                                              \
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n" fields                                 \
    "content-length: 24\r\n\r\n{\"item\":1,\"price\":\"9.5\"}"

/* Requests come whole and one at a time: clients of these tests do not pipeline. */
static void answer(int fd)
{
    static const char kept[] = REPLY(""), last[] = REPLY("connection: close\r\n");
    static const char close_it[] = "Connection: close\r\n";
    char in[8192];
    ssize_t n = recv(fd, in, sizeof(in), 0);
    bool ends = n > 0 && memmem(in, (size_t)n, close_it, sizeof(close_it) - 1);
    size_t len = ends ? sizeof(last) - 1 : sizeof(kept) - 1;

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0 || send(fd, ends ? last : kept, len, MSG_NOSIGNAL) != (ssize_t)len || ends)
        close(fd);
}

static no_return void serve(const int listeners[TARGETS], unsigned *accepted)
{
    int ep = epoll_create1(EPOLL_CLOEXEC), on = 1;
    struct epoll_event ev[EVENTS];

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; i < TARGETS; i++) {
        ev[0] = (struct epoll_event){.events = EPOLLIN, .data.u64 = i};
        (void)epoll_ctl(ep, EPOLL_CTL_ADD, listeners[i], &ev[0]);
    }
    for (;;) {
        int n = epoll_wait(ep, ev, EVENTS, -1), fd;

        for (int i = 0; i < n; i++) {
            if (ev[i].data.u64 >= TARGETS) {
                answer((int)(ev[i].data.u64 - TARGETS));
                continue;
            }
            while ((fd = accept4(listeners[ev[i].data.u64], NULL, NULL,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                struct epoll_event add = {.events = EPOLLIN, .data.u64 = TARGETS + (uint64_t)fd};

                ++*accepted;
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                (void)epoll_ctl(ep, EPOLL_CTL_ADD, fd, &add);
            }
        }
    }
}

/* *accepted counts their connections, in memory that is shared with them. */
static pid_t start_targets(uint16_t *port, unsigned **accepted)
{
    int listeners[TARGETS];
    pid_t pid;

    *accepted =
        mmap(NULL, sizeof(**accepted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (*accepted == MAP_FAILED)
        die("mmap");

    *port = 0;
    for (unsigned i = 0; i < TARGETS; i++) {
        listeners[i] = listen_at(i, *port);
        *port = port_of(listeners[i]);
    }
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        serve(listeners, *accepted);
    for (unsigned i = 0; i < TARGETS; i++)
        close(listeners[i]);
    return pid;
}

/* --- what the clients are given --- */

static char *path_in(const char *dir, const char *name)
{
    return file_join(dir, name);
}

static FILE *create(const char *dir, const char *name)
{
    cleanup_free char *path = path_in(dir, name);
    FILE *f = fopen(path, "we");

    if (!f)
        die(path);
    return f;
}

static void write_campaign(const char *dir, const char *name, const char *targets)
{
    FILE *campaign = create(dir, name);

    (void)fprintf(campaign,
                  "{\"name\": \"bench\", \"targets\": \"%s\", \"slots\": %d,\n"
                  " \"members\": {\"count\": %d},\n"
                  " \"flow\": {\"steps\": [{\"type\": \"http.get\", \"url\": \"{{url}}\"}]},\n"
                  " \"limits\": {\"max_requests\": 100000, \"robots\": false},\n"
                  " \"policy\": {\"private_networks\": true},\n"
                  " \"audit\": {\"sign\": \"checkpoint\"}}\n",
                  targets, PARALLEL, PARALLEL);
    if (fclose(campaign) != 0)
        die(dir);
}

static void write_inputs(const char *dir, uint16_t port, unsigned n)
{
    FILE *any = create(dir, "any.csv"), *own = create(dir, "own.csv"),
         *curl = create(dir, "curl.conf");

    (void)fprintf(any, "url\n");
    (void)fprintf(own, "url,$member\n");
    for (unsigned i = 0; i < n; i++) {
        unsigned target = i % TARGETS;
        char url[64];

        (void)snprintf(url, sizeof(url), "http://127.0.1.%u:%u/item/%u", 1 + target, (unsigned)port,
                       i);
        (void)fprintf(any, "%s\n", url);
        (void)fprintf(own, "%s,%u\n", url, target % PARALLEL);
        (void)fprintf(curl, "url = \"%s\"\noutput = \"/dev/null\"\n", url);
    }
    if (fclose(any) != 0 || fclose(own) != 0 || fclose(curl) != 0)
        die(dir);
    write_campaign(dir, "any.json", "any.csv");
    write_campaign(dir, "own.json", "own.csv");
}

/* --- measuring --- */

struct cost {
    double wall_s, cpu_s;
    long rss_kb;
    int status;
};

static no_return void become(const char *dir, char *const argv[])
{
    int out = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (chdir(dir) != 0 || out < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    if (!getenv("FLEET_BENCH_VERBOSE"))
        (void)dup2(out, STDERR_FILENO);
    execvp(argv[0], argv);
    _exit(127);
}

static struct cost run(const char *dir, char *const argv[])
{
    struct cost c = {.wall_s = wall_s()};
    struct rusage u;
    pid_t pid = fork();
    int status;

    if (pid < 0)
        die("fork");
    if (pid == 0)
        become(dir, argv);
    if (wait4(pid, &status, 0, &u) != pid)
        die("wait");
    c.wall_s = wall_s() - c.wall_s;
    c.cpu_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
              (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
    c.rss_kb = u.ru_maxrss;
    c.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
    return c;
}

/* Lines of results that say "succeeded". */
static unsigned count_results(const char *dir)
{
    cleanup_free char *path = path_in(dir, "results.ndjson");
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    unsigned n = 0;

    while (f && getline(&line, &room, f) > 0)
        n += strstr(line, "\"succeeded\"") != NULL;
    if (f)
        (void)fclose(f);
    free(line);
    return n;
}

static void clean(const char *dir)
{
    static const char *const left[] = {".fleet",     "results.ndjson",   "audit.ndjson",
                                       "audit.pub",  "audit.checkpoint", "out",
                                       "report.html"};
    struct err e = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(left); i++) {
        cleanup_free char *path = path_in(dir, left[i]);

        if (file_remove_tree(path, &e) != STATUS_OK)
            err_clear(&e);
    }
}

/* One client: what it ran, and what each round cost. */
struct client {
    const char *name;
    char *const *argv;
    bool is_fleet; /* its results are looked at */
    double rate[ROUNDS], cpu_us[ROUNDS];
    unsigned connections;
    long rss_kb;
    int status;
};

static void run_round(struct client *c, const char *dir, unsigned n, unsigned round,
                      const unsigned *accepted)
{
    unsigned before = *accepted;
    struct cost cost;

    if (c->is_fleet)
        clean(dir);
    cost = run(dir, c->argv);
    c->rate[round] = n / cost.wall_s;
    c->cpu_us[round] = cost.cpu_s * 1e6 / n;
    c->connections = *accepted - before;
    c->rss_kb = cost.rss_kb;
    c->status = cost.status;
    if (c->is_fleet && (c->status != 0 || count_results(dir) != n)) {
        (void)fprintf(stderr, "bench_http: %s: ended with %d, %u of %u succeeded\n", c->name,
                      c->status, count_results(dir), n);
        exit(1);
    }
}

static void print(const struct client *c)
{
    double rate[ROUNDS], cpu_us[ROUNDS];

    if (c->status != 0) {
        (void)printf("%-30s ended with %d (is curl installed?)\n", c->name, c->status);
        return;
    }
    memcpy(rate, c->rate, sizeof(rate)); /* median sorts; rounds stay as they were */
    memcpy(cpu_us, c->cpu_us, sizeof(cpu_us));
    (void)printf("%-30s %7.0f /s %7.1f us of processor each %6u connections %7ld KB\n", c->name,
                 median(rate, ROUNDS), median(cpu_us, ROUNDS), c->connections, c->rss_kb);
}

/* Medians of what the rounds were: the machine may change between them. */
static void compare(const struct client *a, const struct client *b)
{
    double rate[ROUNDS], cpu[ROUNDS];

    if (a->status != 0 || b->status != 0)
        return;
    for (unsigned i = 0; i < ROUNDS; i++) {
        rate[i] = a->rate[i] / b->rate[i];
        cpu[i] = a->cpu_us[i] / b->cpu_us[i];
    }
    (void)printf("%s to %s: rate %.2f, processor %.2f\n", a->name, b->name, median(rate, ROUNDS),
                 median(cpu, ROUNDS));
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000, *accepted;
    char dir[] = "/tmp/bench-http-XXXXXX", core[PATH_MAX], parallel[16];
    char *own_argv[] = {core, "run", "own.json", NULL};
    char *any_argv[] = {core, "run", "any.json", NULL};
    char *curl_argv[] = {"curl", "--parallel", "--parallel-max", parallel,
                         "-s",   "-K",         "curl.conf",      NULL};
    char *close_argv[] = {"curl",      "--parallel", "--parallel-max",    parallel,
                          "-s",        "-H",         "Connection: close", "-K",
                          "curl.conf", NULL};
    struct client clients[] = {
        {.name = "fleet-core, a member a target", .argv = own_argv, .is_fleet = true},
        {.name = "curl --parallel", .argv = curl_argv},
        {.name = "fleet-core, any member", .argv = any_argv, .is_fleet = true},
        {.name = "curl, closing", .argv = close_argv},
    };
    cleanup_free char *beside_us = file_dirname(argv[0]),
                      *beside = file_join(beside_us, "../../fleet-core");
    struct err e = ERR_INIT;
    uint16_t port;
    pid_t targets;

    (void)snprintf(parallel, sizeof(parallel), "%d", (int)PARALLEL);
    if (!realpath(argc > 2 ? argv[2] : beside, core))
        die(argc > 2 ? argv[2] : beside);
    if (!mkdtemp(dir))
        die(dir);
    targets = start_targets(&port, &accepted);
    write_inputs(dir, port, n);
    for (unsigned i = 0; i < ROUNDS; i++)
        for (size_t k = 0; k < ARRAY_LEN(clients); k++)
            run_round(&clients[k], dir, n, i, accepted);
    (void)kill(targets, SIGKILL);
    (void)waitpid(targets, NULL, 0);
    (void)printf("%u requests, %d targets, %d under way, %d members that share no connections\n", n,
                 (int)TARGETS, (int)PARALLEL, (int)PARALLEL);
    for (size_t k = 0; k < ARRAY_LEN(clients); k++)
        print(&clients[k]);
    compare(&clients[0], &clients[1]);
    compare(&clients[2], &clients[3]);
    compare(&clients[2], &clients[1]);
    if (file_remove_tree(dir, &e) != STATUS_OK)
        (void)fprintf(stderr, "%s\n", err_text(&e));
    return 0;
}
