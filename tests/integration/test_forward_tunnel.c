/* Tunnels of the forwarder: ends that close by halves, readers that are slow, thousands at once. */
#include "tests/support/testing.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/integration/forward_target.h"

/* --- tunnels --- */

static void tunnels_close_by_halves(void **state)
{
    struct server echo;
    struct rig r;
    char a[64];
    int fd;

    (void)state;
    server_start(&echo, serve_echo, NULL);
    rig_start(&r, NULL);
    fd = client_tunnel(&r, echo.port);
    client_send(fd, "ping");
    assert_true(client_read(fd, "ping", a, sizeof(a)));
    shutdown(fd, SHUT_WR); /* the other direction goes on */
    assert_true(client_read(fd, NULL, a, sizeof(a)));
    assert_string_equal(a, "bye");
    close(fd);
    assert_int_equal(rig_stats(&r).bytes_in, 7);
    assert_int_equal(rig_stats(&r).bytes_out, 4);
    assert_int_equal(rig_host(&r, "127.0.0.1").bytes_in, 7);
    rig_stop(&r);
    server_stop(&echo);
}

enum { FLOOD = 64 * 1024 * 1024 };

static void serve_flood(int fd, void *arg)
{
    size_t *sent = arg;
    unsigned char block[16 * 1024];
    ssize_t n;

    for (size_t at = 0; at < FLOOD; at += (size_t)n) {
        for (size_t i = 0; i < sizeof(block); i++)
            block[i] = (unsigned char)((at + i) * 31 >> 3);
        n = send(fd, block, sizeof(block), MSG_NOSIGNAL);
        if (n <= 0)
            return;
        __atomic_fetch_add(sent, (size_t)n, __ATOMIC_RELAXED);
    }
}

/* A browser that does not read stops the server: what lies in between is bounded by the sockets and
 * one buffer. */
static void back_pressure_reaches_the_server(void **state)
{
    static unsigned char block[64 * 1024];
    struct server flood;
    struct rig r;
    size_t sent = 0, got = 0;
    int fd;

    (void)state;
    server_start(&flood, serve_flood, &sent);
    rig_start(&r, NULL);
    fd = client_tunnel(&r, flood.port);
    test_sleep_ms(300);
    assert_true(__atomic_load_n(&sent, __ATOMIC_RELAXED) < FLOOD * 3 / 4);
    for (;;) {
        ssize_t n = recv(fd, block, sizeof(block), 0);

        if (n == 0)
            break;
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            if (block[i] != (unsigned char)((got + (size_t)i) * 31 >> 3))
                fail_msg("byte %zu is another", got + (size_t)i);
        }
        got += (size_t)n;
    }
    assert_int_equal(got, FLOOD);
    close(fd);
    rig_stop(&r);
    server_stop(&flood);
}

static size_t resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long size, rss = 0;

    if (f && fscanf(f, "%lu %lu", &size, &rss) != 2)
        rss = 0;
    if (f)
        fclose(f);
    return rss * 4;
}

/* Accepts and holds; one thread for all, so that what is measured is the forwarder. */
static void *hold_all(void *arg)
{
    struct server *s = arg;
    static int fds[4096];
    size_t n = 0;

    while (!atomic_load(&s->stopping)) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};

        if (poll(&p, 1, 10) == 1 && n < ARRAY_LEN(fds) && (fds[n] = accept(s->fd, NULL, NULL)) >= 0)
            n++;
        atomic_store(&s->accepted, (int)n);
    }
    while (n)
        close(fds[--n]);
    return NULL;
}

static void thousands_of_tunnels_are_small(void **state)
{
    enum { N = 2000 };
    static int fds[N];
    struct server hold = {0};
    struct rlimit limit;
    struct rig r;
    size_t before;

    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 5 * N && limit.rlim_max >= 5 * N) {
        limit.rlim_cur = 5 * N;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < 5 * N)
        test_skip("%d descriptors are not allowed", 5 * N);
    hold.fd = test_listen(&hold.port);
    assert_int_equal(listen(hold.fd, 4096), 0);
    assert_int_equal(pthread_create(&hold.thread, NULL, hold_all, &hold), 0);
    rig_start(&r, NULL);
    before = resident_kib();
    for (size_t i = 0; i < N; i++)
        fds[i] = client_tunnel(&r, hold.port);
    print_message("%d tunnels: %zu KiB more in memory\n", N, resident_kib() - before);
    assert_int_equal(rig_stats(&r).open, N);
#ifndef __SANITIZE_ADDRESS__
    assert_true(resident_kib() - before < 16 * 1024); /* 8 KiB each, the test's own included */
#endif
    rig_cut_all(&r);
    for (size_t i = 0; i < N; i++) {
        char c;

        assert_true(recv(fds[i], &c, 1, 0) < 0);
        assert_int_equal(errno, ECONNRESET);
        close(fds[i]);
    }
    assert_int_equal(rig_stats(&r).open, 0);
    atomic_store(&hold.stopping, true);
    pthread_join(hold.thread, NULL);
    close(hold.fd);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tunnels_close_by_halves),
        cmocka_unit_test(back_pressure_reaches_the_server),
        cmocka_unit_test(thousands_of_tunnels_are_small),
    };

    return cmocka_run_group_tests(tests, start_target, stop_target);
}
