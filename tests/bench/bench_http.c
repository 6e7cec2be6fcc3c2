/* http.get through fleet-core, all of it on (gate, limiter, forwarder, receipts, results): requests
 * a second over 200 targets on loopback, side by side in the same run with `curl --parallel` on the
 * same addresses and as many requests under way. The targets are 127.0.1.1 to 127.0.1.200 of one
 * process that answers a small JSON; their rate is set so high that it never bounds. Members share
 * no connections, so that most requests of fleet-core need a new one, and curl's do not: the third
 * row is curl where each needs one. Processor time is that of the client alone. Arguments: requests
 * (default 20,000), fleet-core (default: beside the tests). */
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

static no_return void serve(const int listeners[TARGETS])
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

                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                (void)epoll_ctl(ep, EPOLL_CTL_ADD, fd, &add);
            }
        }
    }
}

static pid_t start_targets(uint16_t *port)
{
    int listeners[TARGETS];
    pid_t pid;

    *port = 0;
    for (unsigned i = 0; i < TARGETS; i++) {
        listeners[i] = listen_at(i, *port);
        *port = port_of(listeners[i]);
    }
    pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0)
        serve(listeners);
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

static void write_inputs(const char *dir, uint16_t port, unsigned n)
{
    FILE *targets = create(dir, "targets.txt"), *curl = create(dir, "curl.conf"),
         *campaign = create(dir, "campaign.json");

    for (unsigned i = 0; i < n; i++) {
        unsigned host = 1 + i % TARGETS;

        (void)fprintf(targets, "http://127.0.1.%u:%u/item/%u\n", host, (unsigned)port, i);
        (void)fprintf(curl, "url = \"http://127.0.1.%u:%u/item/%u\"\noutput = \"/dev/null\"\n",
                      host, (unsigned)port, i);
    }
    (void)fprintf(campaign,
                  "{\"name\": \"bench\", \"targets\": \"targets.txt\", \"slots\": %d,\n"
                  " \"members\": {\"count\": %d},\n"
                  " \"flow\": {\"steps\": [{\"type\": \"http.get\", \"url\": \"{{url}}\"}]},\n"
                  " \"limits\": {\"max_requests\": 100000, \"robots\": false},\n"
                  " \"policy\": {\"private_networks\": true},\n"
                  " \"audit\": {\"sign\": \"checkpoint\"}}\n",
                  PARALLEL, PARALLEL);
    if (fclose(targets) != 0 || fclose(curl) != 0 || fclose(campaign) != 0)
        die(dir);
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
    double rate[ROUNDS], cpu_us[ROUNDS];
    long rss_kb;
    int status;
};

static void run_round(struct client *c, const char *dir, unsigned n, unsigned round)
{
    struct cost cost = run(dir, c->argv);

    c->rate[round] = n / cost.wall_s;
    c->cpu_us[round] = cost.cpu_s * 1e6 / n;
    c->rss_kb = cost.rss_kb;
    c->status = cost.status;
}

static void print(const struct client *c)
{
    double rate[ROUNDS], cpu_us[ROUNDS];

    memcpy(rate, c->rate, sizeof(rate)); /* median sorts; rounds stay as they were */
    memcpy(cpu_us, c->cpu_us, sizeof(cpu_us));
    (void)printf("%-24s %10.0f /s %10.1f us of processor each %8ld KB\n", c->name,
                 median(rate, ROUNDS), median(cpu_us, ROUNDS), c->rss_kb);
}

/* Medians of what the rounds were: the machine may change between them. */
static void compare(const struct client *a, const struct client *b)
{
    double rate[ROUNDS], cpu[ROUNDS];

    for (unsigned i = 0; i < ROUNDS; i++) {
        rate[i] = a->rate[i] / b->rate[i];
        cpu[i] = a->cpu_us[i] / b->cpu_us[i];
    }
    (void)printf("ratio to %-15s %10.2f    %10.2f\n", b->name, median(rate, ROUNDS),
                 median(cpu, ROUNDS));
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 20000;
    char dir[] = "/tmp/bench-http-XXXXXX", core[PATH_MAX], parallel[16];
    char *fleet_argv[] = {core, "run", "campaign.json", NULL};
    char *curl_argv[] = {"curl", "--parallel", "--parallel-max", parallel,
                         "-s",   "-K",         "curl.conf",      NULL};
    char *close_argv[] = {"curl",      "--parallel", "--parallel-max",    parallel,
                          "-s",        "-H",         "Connection: close", "-K",
                          "curl.conf", NULL};
    struct client fleet = {.name = "fleet-core", .argv = fleet_argv};
    struct client curl = {.name = "curl --parallel", .argv = curl_argv};
    struct client closing = {.name = "curl, no reuse", .argv = close_argv};
    cleanup_free char *own = file_dirname(argv[0]), *beside = file_join(own, "../../fleet-core");
    struct err e = ERR_INIT;
    uint16_t port;
    pid_t targets;

    (void)snprintf(parallel, sizeof(parallel), "%d", (int)PARALLEL);
    if (!realpath(argc > 2 ? argv[2] : beside, core))
        die(argc > 2 ? argv[2] : beside);
    if (!mkdtemp(dir))
        die(dir);
    targets = start_targets(&port);
    write_inputs(dir, port, n);
    for (unsigned i = 0; i < ROUNDS; i++) {
        clean(dir);
        run_round(&fleet, dir, n, i);
        if (fleet.status != 0 || count_results(dir) != n) {
            (void)fprintf(stderr, "bench_http: fleet-core ended with %d, %u of %u succeeded\n",
                          fleet.status, count_results(dir), n);
            return 1;
        }
        run_round(&curl, dir, n, i);
        run_round(&closing, dir, n, i);
    }
    (void)kill(targets, SIGKILL);
    (void)waitpid(targets, NULL, 0);
    (void)printf("%u requests, %d targets, %d under way\n", n, (int)TARGETS, (int)PARALLEL);
    print(&fleet);
    if (curl.status == 0 && closing.status == 0) {
        print(&curl);
        print(&closing);
        compare(&fleet, &curl);
        compare(&fleet, &closing);
    } else {
        (void)printf("curl --parallel: ended with %d (is curl installed?)\n", curl.status);
    }
    if (file_remove_tree(dir, &e) != STATUS_OK)
        (void)fprintf(stderr, "%s\n", err_text(&e));
    return 0;
}
