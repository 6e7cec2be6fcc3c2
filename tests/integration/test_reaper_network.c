/* A program in a network namespace of its own tries to get out, by every kind of socket that the
 * kernel has for it, to sockets that this test holds open outside. The program is this test itself,
 * started again by the reaper with "--attempts". What must hold: nothing is reached, nothing
 * arrives outside, and the listener that was passed out works; the same attempts outside the
 * sandbox do arrive, or they prove nothing. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/ethernet.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "tests/support/members.h"

enum { SLOW_MS = 20000, WAIT_MS = 1000 };

/* --- the outside --- */

struct outside {
    int tcp, udp, local; /* TCP and UDP on all addresses of both families; an abstract socket */
    uint16_t port;
    char name[64]; /* of the abstract socket */
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_ll packet;
    struct sockaddr_vm vm;
};

static socklen_t local_address(const char *name, union address *a)
{
    memset(a, 0, sizeof *a);
    a->local.sun_family = AF_UNIX;
    memcpy(a->local.sun_path + 1, name, strlen(name));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

static int bind_all(int type, uint16_t port)
{
    union address a = {.v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};
    int off = 0, s = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(s >= 0);
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    assert_int_equal(bind(s, &a.any, sizeof a.v6), 0);
    return s;
}

static void open_outside(struct outside *o)
{
    union address a;
    socklen_t len = sizeof a.v6;

    o->tcp = bind_all(SOCK_STREAM, 0);
    assert_int_equal(listen(o->tcp, 64), 0);
    assert_int_equal(getsockname(o->tcp, &a.any, &len), 0);
    o->port = ntohs(a.v6.sin6_port);
    o->udp = bind_all(SOCK_DGRAM, o->port);
    snprintf(o->name, sizeof o->name, "fleet-test-%d", (int)getpid());
    len = local_address(o->name, &a);
    o->local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(o->local, &a.any, len), 0);
    assert_int_equal(listen(o->local, 8), 0);
}

/* How many connections and datagrams came. */
static unsigned arrivals(const struct outside *o)
{
    const int listeners[] = {o->tcp, o->local};
    unsigned n = 0;
    char got[64];
    int fd;

    for (size_t i = 0; i < ARRAY_LEN(listeners); i++)
        while ((fd = accept(listeners[i], NULL, NULL)) >= 0) {
            close(fd);
            n++;
        }
    while (recv(o->udp, got, sizeof got, 0) > 0)
        n++;
    return n;
}

static void close_outside(struct outside *o)
{
    close(o->tcp);
    close(o->udp);
    close(o->local);
}

/* An address of this machine besides loopback, or loopback when it has none. */
static void own_address(char out[INET_ADDRSTRLEN])
{
    union address a = {.v4 = {.sin_family = AF_INET, .sin_port = htons(9)}};
    socklen_t len = sizeof a.v4;
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(out, INET_ADDRSTRLEN, "127.0.0.2");
    inet_pton(AF_INET, "192.0.2.1", &a.v4.sin_addr);
    if (s >= 0 && connect(s, &a.any, sizeof a.v4) == 0 && getsockname(s, &a.any, &len) == 0)
        inet_ntop(AF_INET, &a.v4.sin_addr, out, INET_ADDRSTRLEN);
    if (s >= 0)
        close(s);
}

/* --- the attempts, in the member --- */

/* True when a connection came to stand. */
static bool connects(int s, const union address *a, socklen_t len)
{
    struct pollfd p = {.fd = s, .events = POLLOUT};
    socklen_t error_len = sizeof(int);
    int error = 0;

    if (connect(s, &a->any, len) == 0)
        return true;
    return errno == EINPROGRESS && poll(&p, 1, WAIT_MS) == 1 &&
           getsockopt(s, SOL_SOCKET, SO_ERROR, &error, &error_len) == 0 && error == 0;
}

static bool try_ip(const char *host, uint16_t port, int type, int protocol)
{
    union address a = {.any = {.sa_family = strchr(host, ':') ? AF_INET6 : AF_INET}};
    bool six = a.any.sa_family == AF_INET6, reached = false;
    int s = socket(a.any.sa_family, type | SOCK_NONBLOCK, protocol);

    if (six)
        a.v6.sin6_port = htons(port);
    else
        a.v4.sin_port = htons(port);
    inet_pton(a.any.sa_family, host, six ? (void *)&a.v6.sin6_addr : (void *)&a.v4.sin_addr);
    if (s < 0)
        return false;
    if (type == SOCK_STREAM)
        reached = connects(s, &a, six ? sizeof a.v6 : sizeof a.v4);
    else /* whether a datagram arrives is seen outside */
        (void)!sendto(s, "x", 1, 0, &a.any, six ? sizeof a.v6 : sizeof a.v4);
    close(s);
    return reached;
}

static bool try_local(const char *name)
{
    union address a;
    socklen_t len = local_address(name, &a);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bool reached = s >= 0 && connects(s, &a, len);

    if (s >= 0)
        close(s);
    return reached;
}

/* Sockets that speak past IP, and ways into another namespace. */
static bool try_odd(void)
{
    static const char *const spaces[] = {"/proc/1/ns/net", "/proc/self/ns/net",
                                         "/proc/thread-self/ns/net", "/run/netns/x"};
    union address vm = {.vm = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = 9}};
    int raw = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    int packet = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    int vsock = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);

    if (raw >= 0 || packet >= 0 || (vsock >= 0 && connects(vsock, &vm, sizeof vm.vm)))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
        int fd = open(spaces[i], O_RDONLY);

        if (fd >= 0 && setns(fd, CLONE_NEWNET) == 0)
            return true;
    }
    return false;
}

static bool try_name(const char *name)
{
    struct addrinfo *found = NULL;
    bool resolved = getaddrinfo(name, "80", NULL, &found) == 0;

    if (found)
        freeaddrinfo(found);
    return resolved;
}

/* The exit code says what was reached: 0 nothing. */
static int attempt(const char *own, uint16_t port, const char *name)
{
    char mapped[64];
    const char *const hosts[] = {
        "127.0.0.1", "127.0.0.2", "0.0.0.0",         own,        "::1",        "::",
        mapped,      "192.0.2.1", "169.254.169.254", "10.0.0.1", "172.17.0.1", "2001:db8::1"};

    snprintf(mapped, sizeof mapped, "::ffff:%s", own);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        if (try_ip(hosts[i], port, SOCK_STREAM, 0))
            return 10 + (int)i;
        (void)try_ip(hosts[i], port, SOCK_DGRAM, 0);
        (void)try_ip(hosts[i], 53, SOCK_DGRAM, 0);
        if (try_ip(hosts[i], port, SOCK_STREAM, IPPROTO_SCTP) ||
            try_ip(hosts[i], port, SOCK_STREAM, 262 /* IPPROTO_MPTCP */))
            return 40 + (int)i;
    }
    if (try_local(name))
        return 70;
    if (try_odd())
        return 71;
    if (try_name("example.com"))
        return 72;
    /* the one way out: any address of 127.0.0.0/8 leads to the listener */
    return try_ip("127.0.0.1", REAPER_INSIDE_PORT, SOCK_STREAM, 0) &&
                   try_ip("127.200.1.2", REAPER_INSIDE_PORT, SOCK_STREAM, 0)
               ? 0
               : 73;
}

/* --- the test --- */

static void attempts_of(enum reaper_kind kind, enum reaper_view view)
{
    char own[INET_ADDRSTRLEN], port[8], self[4096];
    struct outside o;
    const char *const argv[] = {self, "--attempts", own, port, o.name, NULL};
    const struct reaper_spec s = {.name = "attempts",
                                  .kind = kind,
                                  .argv = argv,
                                  .view = view,
                                  .netns = true,
                                  .n_listeners = 1};
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    struct reaper_level level;
    struct members m;
    struct member x;

    assert_true(n > 0);
    self[n] = '\0';
    own_address(own);
    open_outside(&o);
    snprintf(port, sizeof port, "%u", o.port);
    members_open(&m, NULL, NULL, 0);
    assert_int_equal(reaper_level(m.reaper, &level, NULL), STATUS_OK);
    if ((level.layers & REAPER_LAYER_BIT(REAPER_LAYER_NETNS)) == 0) {
        members_close(&m);
        close_outside(&o);
        test_skip("no network namespaces here");
    }
    member_launch(&m, &x, &s, false);
    assert_true(member_wait_gone(&x, SLOW_MS));
    if (x.exit.cause != REAPER_CAUSE_EXITED || x.exit.code != 0)
        fail_msg("%s (see attempt in this file)", err_text(&x.exit.err));
    assert_int_equal(arrivals(&o), 0);
    member_close(&x);
    members_close(&m);
    close_outside(&o);
}

static void test_programs(void **state)
{
    (void)state;
    attempts_of(REAPER_AUTOMATION, REAPER_VIEW_HOST);
    attempts_of(REAPER_PROXY, REAPER_VIEW_MINIMAL);
}

/* Under the filter that browsers have. */
static void test_as_a_browser(void **state)
{
    (void)state;
    attempts_of(REAPER_BROWSER, REAPER_VIEW_MINIMAL);
}

static void test_outside_the_sandbox_they_arrive(void **state)
{
    char own[INET_ADDRSTRLEN];
    struct outside o;

    (void)state;
    own_address(own);
    open_outside(&o);
    assert_true(try_ip("127.0.0.1", o.port, SOCK_STREAM, 0));
    assert_true(try_ip(own, o.port, SOCK_STREAM, 0));
    assert_true(try_local(o.name));
    (void)try_ip("127.0.0.1", o.port, SOCK_DGRAM, 0);
    assert_int_equal(arrivals(&o), 4);
    close_outside(&o);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs),
        cmocka_unit_test(test_as_a_browser),
        cmocka_unit_test(test_outside_the_sandbox_they_arrive),
    };

    if (argc == 5 && strcmp(argv[1], "--attempts") == 0)
        return attempt(argv[2], (uint16_t)strtoul(argv[3], NULL, 10), argv[4]);
    return cmocka_run_group_tests_name("network of a member", tests, NULL, NULL);
}
