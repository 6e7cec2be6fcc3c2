/* The forwarder side by side with nothing, tinyproxy and microsocks: throughput of one large
 * download, requests/s of 200 connections that ask for small things again and again, and the time
 * one request takes. Target, proxies and client are processes of their own on loopback, so that
 * with few cores the figures of the proxies are figures of the machine too: compare columns, not
 * machines.
 *
 *     bench_forward [MiB of the download] [requests] */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "proxies/forward.h"

enum { PARALLEL = 200, SMALL = 1024, BLOCK = 256 * 1024, ROUNDS = 3, SINGLE = 4000 };
#define LIMIT_S 2.0 /* of a series: microsocks takes 40 ms a request (it leaves Nagle on) */

static no_return void die(const char *what)
{
    fprintf(stderr, "bench_forward: %s: %s\n", what, strerrordesc_np(errno));
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int listen_any(uint16_t *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, len) != 0 || listen(fd, 4096) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        die("listen");
    *port = ntohs(a.sin_port);
    return fd;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 ? fd : (close(fd), -1);
}

static pid_t start(void (*run)(void *arg), void *arg)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run(arg);
        _exit(0);
    }
    return pid;
}

/* --- the target --- */

struct page {
    int fd;
    uint64_t left; /* of a large body */
};

static char block[BLOCK];

static void pour(int ep, struct page *c)
{
    while (c->left) {
        ssize_t n = send(c->fd, block, c->left < BLOCK ? c->left : BLOCK, MSG_NOSIGNAL);

        if (n < 0)
            break;
        c->left -= (uint64_t)n;
    }
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd,
              &(struct epoll_event){.events = EPOLLIN | (c->left ? EPOLLOUT : 0), .data.ptr = c});
}

static void serve(int ep, struct page *c)
{
    char in[4096], out[SMALL + 256];
    ssize_t n = recv(c->fd, in, sizeof(in) - 1, 0);
    uint64_t size = SMALL;
    const char *q;
    int head;

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            close(c->fd);
            free(c);
        }
        return;
    }
    in[n] = '\0';
    q = strstr(in, "?n=");
    if (q)
        size = strtoull(q + 3, NULL, 10);
    head = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                    (unsigned long long)size);
    if (size == SMALL) {
        memset(out + head, 'x', SMALL);
        (void)!send(c->fd, out, (size_t)head + SMALL, MSG_NOSIGNAL);
        return;
    }
    (void)!send(c->fd, out, (size_t)head, MSG_NOSIGNAL | MSG_MORE);
    c->left = size;
    pour(ep, c);
}

static void run_target(void *arg)
{
    struct page listener = {.fd = *(int *)arg};
    int ep = epoll_create1(0), on = 1;

    fcntl(listener.fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(ep, EPOLL_CTL_ADD, listener.fd,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = &listener});
    for (;;) {
        struct epoll_event ev[64];
        int n = epoll_wait(ep, ev, 64, -1);

        for (int i = 0; i < n; i++) {
            struct page *c = ev[i].data.ptr;

            if (c == &listener) {
                int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK);

                if (fd < 0)
                    continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                c = calloc(1, sizeof(*c));
                c->fd = fd;
                epoll_ctl(ep, EPOLL_CTL_ADD, fd,
                          &(struct epoll_event){.events = EPOLLIN, .data.ptr = c});
            } else if (ev[i].events & EPOLLOUT) {
                pour(ep, c);
            } else {
                serve(ep, c);
            }
        }
    }
}

/* --- ways --- */

enum kind { KIND_DIRECT, KIND_HTTP, KIND_SOCKS };
struct way {
    const char *name;
    enum kind kind;
    uint16_t port;
    pid_t pid;
    bool keeps; /* plain requests on kept connections */
};

struct forwarder {
    int fd;
    char upstream[128]; /* "" : direct */
};

static void run_forwarder(void *arg)
{
    struct forwarder *w = arg;
    struct forward_opts o = FORWARD_OPTS_INIT;
    struct forward *f;
    struct loop *l;
    struct proxy *p = NULL;
    struct err e = ERR_INIT;

    o.listen_fd = w->fd;
    o.allow_direct = true;
    if (loop_create(&l, NULL, &e) != STATUS_OK || forward_open(l, &o, &f, &e) != STATUS_OK ||
        (*w->upstream && proxy_parse(str_from(w->upstream), "p", &p, &e) != STATUS_OK)) {
        fprintf(stderr, "bench_forward: %s\n", err_text(&e));
        exit(1);
    }
    forward_set_upstream(f, p);
    loop_run(l);
}

static void add_forwarder(struct way *w, const char *name, const char *upstream)
{
    struct forwarder f;

    f.fd = listen_any(&w->port);
    snprintf(f.upstream, sizeof(f.upstream), "%s", upstream);
    w->name = name;
    w->kind = KIND_HTTP;
    w->keeps = true;
    w->pid = start(run_forwarder, &f);
    close(f.fd);
}

static bool run_program(struct way *w, const char *const *argv)
{
    w->pid = fork();
    if (w->pid == 0) {
        int null = open("/dev/null", O_RDWR);

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)(void *)(uintptr_t)argv);
        _exit(127);
    }
    for (int i = 0; i < 200; i++) {
        int fd = connect_to(w->port);

        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (waitpid(w->pid, NULL, WNOHANG) == w->pid)
            return false;
        poll(NULL, 0, 10);
    }
    return false;
}

static bool add_tinyproxy(struct way *w)
{
    char conf[] = "/tmp/bench_forward.XXXXXX";
    int fd = mkstemp(conf), hold = listen_any(&w->port);
    bool ok;

    close(hold);
    dprintf(fd,
            "Port %u\nListen 127.0.0.1\nTimeout 600\nMaxClients 1000\nAllow 127.0.0.1\n"
            "LogLevel Critical\nLogFile \"/dev/null\"\n",
            w->port);
    close(fd);
    w->name = "tinyproxy";
    w->kind = KIND_HTTP;
    ok = run_program(w, (const char *const[]){"tinyproxy", "-d", "-c", conf, NULL});
    unlink(conf);
    return ok;
}

static bool add_microsocks(struct way *w)
{
    char port[16];
    int hold = listen_any(&w->port);

    close(hold);
    snprintf(port, sizeof(port), "%u", w->port);
    w->name = "microsocks";
    w->kind = KIND_SOCKS;
    return run_program(w, (const char *const[]){"microsocks", "-i", "127.0.0.1", "-p", port, NULL});
}

/* --- the client --- */

static uint16_t target_port;

static bool exchange(int fd, const void *say, size_t n, size_t want)
{
    char in[512];
    size_t got = 0;

    if (send(fd, say, n, MSG_NOSIGNAL) != (ssize_t)n)
        return false;
    while (want ? got < want : got < 4 || memcmp(in + got - 4, "\r\n\r\n", 4) != 0) {
        ssize_t k = recv(fd, in + got, want ? want - got : 1, 0);

        if (k <= 0 || got + (size_t)k >= sizeof(in))
            return false;
        got += (size_t)k;
    }
    return true;
}

/* A connection to the target: directly, by CONNECT or by SOCKS5. */
static int open_way(const struct way *w, bool tunnel)
{
    int fd = connect_to(w->port);
    unsigned char ask[] = {5, 1, 0, 1, 127, 0, 0, 1, 0, 0};
    char text[128];

    if (fd < 0)
        die(w->name);
    if (w->kind == KIND_SOCKS) {
        ask[8] = (unsigned char)(target_port >> 8);
        ask[9] = (unsigned char)target_port;
        if (!exchange(fd, "\5\1\0", 3, 2) || !exchange(fd, ask, sizeof(ask), 10))
            die(w->name);
    } else if (w->kind == KIND_HTTP && tunnel) {
        snprintf(text, sizeof(text), "CONNECT 127.0.0.1:%u HTTP/1.1\r\n\r\n", target_port);
        if (!exchange(fd, text, strlen(text), 0))
            die(w->name);
    }
    return fd;
}

static double download(const struct way *w, uint64_t bytes)
{
    int fd = open_way(w, true);
    char text[128];
    uint64_t got = 0;
    double begin = now_s();

    snprintf(text, sizeof(text), "GET /?n=%llu HTTP/1.1\r\n\r\n", (unsigned long long)bytes);
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
    while (got < bytes) {
        ssize_t n = recv(fd, block, sizeof(block), 0);

        if (n <= 0)
            die(w->name);
        got += (uint64_t)n;
    }
    close(fd);
    return (double)bytes / 1048576 / (now_s() - begin);
}

static void ask_text(const struct way *w, bool tunnel, char *out, size_t size)
{
    char origin[64];

    snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", target_port);
    snprintf(out, size,
             "GET %s/page HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s: keep-alive\r\n"
             "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\n"
             "Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate\r\n\r\n",
             w->kind == KIND_HTTP && !tunnel ? origin : "", target_port,
             w->kind == KIND_HTTP && !tunnel ? "Proxy-Connection" : "Connection");
}

struct asker {
    int fd;
    size_t got;
    double begin;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* `n` requests over `parallel` kept connections. Requests/s; the median of the times in *p50_us. */
static double ask_many(const struct way *w, bool tunnel, size_t parallel, size_t n, double *p50_us)
{
    struct asker *v = calloc(parallel, sizeof(*v));
    double *times = calloc(n, sizeof(*times)), begin;
    size_t sent = 0, done = 0, whole = 0;
    char text[512];
    int ep = epoll_create1(0);

    ask_text(w, tunnel, text, sizeof(text));
    whole =
        (size_t)snprintf(NULL, 0, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", SMALL) + SMALL;
    for (size_t i = 0; i < parallel; i++) {
        v[i].fd = open_way(w, tunnel);
        epoll_ctl(ep, EPOLL_CTL_ADD, v[i].fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = &v[i]});
    }
    begin = now_s();
    for (size_t i = 0; i < parallel && sent < n; i++, sent++) {
        v[i].begin = now_s();
        (void)!send(v[i].fd, text, strlen(text), MSG_NOSIGNAL);
    }
    while (done < n && (done < parallel || now_s() - begin < LIMIT_S)) {
        struct epoll_event ev[64];
        int k = epoll_wait(ep, ev, 64, 5000);

        if (k <= 0)
            die(w->name);
        for (int i = 0; i < k; i++) {
            struct asker *a = ev[i].data.ptr;
            char in[8192];
            ssize_t got = recv(a->fd, in, sizeof(in), 0);

            if (got <= 0)
                die(w->name);
            a->got += (size_t)got;
            if (a->got < whole)
                continue;
            if (done == n)
                break;
            times[done++] = now_s() - a->begin;
            a->got = 0;
            if (sent < n) {
                sent++;
                a->begin = now_s();
                (void)!send(a->fd, text, strlen(text), MSG_NOSIGNAL);
            }
        }
    }
    begin = now_s() - begin;
    qsort(times, done, sizeof(*times), by_value);
    *p50_us = times[done / 2] * 1e6;
    for (size_t i = 0; i < parallel; i++)
        close(v[i].fd);
    close(ep);
    free(v);
    free(times);
    return (double)done / begin;
}

/* `n` times: a new connection, one request. */
static double ask_anew(const struct way *w, size_t n, double *p50_us)
{
    double *times = calloc(n, sizeof(*times)), begin = now_s();
    size_t i = 0;

    for (; i < n && now_s() - begin < LIMIT_S; i++) {
        char text[512], in[8192];
        size_t got = 0;
        double t = now_s();
        int fd = open_way(w, true);

        ask_text(w, true, text, sizeof(text));
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
        while (got < SMALL) {
            ssize_t k = recv(fd, in, sizeof(in), 0);

            if (k <= 0)
                die(w->name);
            got += (size_t)k;
        }
        close(fd);
        times[i] = now_s() - t;
    }
    begin = now_s() - begin;
    qsort(times, i, sizeof(*times), by_value);
    *p50_us = times[i / 2] * 1e6;
    free(times);
    return (double)i / begin;
}

static double best(double a, double b)
{
    return a > b ? a : b;
}

struct figures {
    double mib_s, rps_tunnel, rps_plain, one_us, one_plain_us, anew_s, anew_us;
};

static void measure(const struct way *w, uint64_t bytes, size_t n, struct figures *f)
{
    double us;

    f->mib_s = best(f->mib_s, download(w, bytes));
    f->rps_tunnel = best(f->rps_tunnel, ask_many(w, true, PARALLEL, n, &us));
    (void)ask_many(w, true, 1, SINGLE, &us);
    f->one_us = f->one_us > 0 && f->one_us < us ? f->one_us : us;
    if (w->keeps) {
        f->rps_plain = best(f->rps_plain, ask_many(w, false, PARALLEL, n, &us));
        (void)ask_many(w, false, 1, SINGLE, &us);
        f->one_plain_us = f->one_plain_us > 0 && f->one_plain_us < us ? f->one_plain_us : us;
    }
    f->anew_s = best(f->anew_s, ask_anew(w, SINGLE / 4, &us));
    f->anew_us = f->anew_us > 0 && f->anew_us < us ? f->anew_us : us;
}

static void print_row(const struct way *w, const struct figures *f, const struct figures *base)
{
    printf("%-22s %7.0f %4.0f%% %8.0f %4.0f%% ", w->name, f->mib_s, 100 * f->mib_s / base->mib_s,
           f->rps_tunnel, 100 * f->rps_tunnel / base->rps_tunnel);
    if (w->keeps)
        printf("%8.0f %4.0f%% ", f->rps_plain, 100 * f->rps_plain / base->rps_tunnel);
    else
        printf("%8s %5s ", "-", "");
    printf("%+8.0f us ", f->one_us - base->one_us);
    if (w->keeps)
        printf("%+8.0f us ", f->one_plain_us - base->one_us);
    else
        printf("%11s ", "-");
    printf("%+8.0f us\n", f->anew_us - base->anew_us);
}

/* Kilobytes of private and shared memory that process `pid` has. */
static long resident_kib(pid_t pid)
{
    char path[64];
    unsigned long size, rss = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/statm", pid);
    f = fopen(path, "re");
    if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
        rss = 0;
    if (f)
        fclose(f);
    return (long)rss * 4;
}

static void measure_tunnels(const struct way *w)
{
    enum { TUNNELS = 5000 };
    struct rlimit limit;
    int *fds = calloc(TUNNELS, sizeof(*fds));
    long before = resident_kib(w->pid);

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * TUNNELS + 100) {
        printf("%s: %d open tunnels need more descriptors than ulimit -n gives\n", w->name,
               TUNNELS);
        free(fds);
        return;
    }
    for (int i = 0; i < TUNNELS; i++)
        fds[i] = open_way(w, true);
    printf("%s: %d open tunnels: %ld KiB resident, %ld KiB before\n", w->name, TUNNELS,
           resident_kib(w->pid), before);
    for (int i = 0; i < TUNNELS; i++)
        close(fds[i]);
    free(fds);
}

int main(int argc, char **argv)
{
    uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 1024) << 20;
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 40000, ways = 0;
    struct rlimit limit;
    struct way w[6] = {{0}};
    struct figures f[6] = {{0}};
    char line[64];
    int fd;
    pid_t target;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    memset(block, 'x', sizeof(block));
    fd = listen_any(&target_port);
    target = start(run_target, &fd);
    w[ways++] = (struct way){.name = "direct", .kind = KIND_DIRECT, .port = target_port};
    add_forwarder(&w[ways++], "fleet", "");
    ways += add_tinyproxy(&w[ways]);
    if (ways == 3) {
        snprintf(line, sizeof(line), "http://127.0.0.1:%u", w[2].port);
        add_forwarder(&w[ways++], "fleet > tinyproxy", line);
        w[ways - 1].keeps = false; /* tinyproxy closes after each request */
    }
    ways += add_microsocks(&w[ways]);
    if (ways > 1 && w[ways - 1].kind == KIND_SOCKS) {
        snprintf(line, sizeof(line), "socks5://127.0.0.1:%u", w[ways - 1].port);
        add_forwarder(&w[ways++], "fleet > microsocks", line);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < ways; i++)
            measure(&w[i], bytes, n, &f[i]);
    }
    printf(
        "best of %d rounds, one download of %llu MiB, %zu requests of %d bytes by %d connections\n",
        ROUNDS, (unsigned long long)(bytes >> 20), n, SMALL, PARALLEL);
    printf("%-22s %13s %14s %14s %11s %11s %11s\n", "", "MiB/s", "tunnel req/s", "plain req/s",
           "tunnel p50", "plain p50", "new p50");
    for (size_t i = 0; i < ways; i++)
        print_row(&w[i], &f[i], &f[0]);
    measure_tunnels(&w[1]);
    for (size_t i = 1; i < ways; i++)
        kill(w[i].pid, SIGKILL);
    kill(target, SIGKILL);
    while (wait(NULL) > 0)
        ;
    return 0;
}
