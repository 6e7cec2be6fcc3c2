/* Whose the other end of a connection is: by the kernel's word and by its table. */
#include "browser/chromium/peer.c"

#include <arpa/inet.h>
#include <sys/wait.h>

#include "tests/support/testing.h"

enum { SOMEBODY = 65101 };

/* As the kernel prints it, on a little-endian machine. */
static const char table[] =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n"
    "   0: 0700807F:9C40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
    "   1: 0100007F:8001 0700807F:9C40 01 00000000:00000000 00:00000000 00000000 64003        0 2\n"
    "   2: 0700807F:9C40 0100007F:8001 01 00000000:00000000 00:00000000 00000000     0        0 3\n"
    "   3: 0100007F:8002 0700807F:9C40 06 00000000:00000000 03:00000000 00000000     0        0 0\n"
    "   4: 0100007F:8003 0700807F:9C40 08 00000000:00000000 00:00000000 00000000  1000        0 4\n"
    "   5: 0100007F:8004 0700807F:9C40 01 nonsense\n";

static struct sockaddr_in address(const char *ip, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

    assert_int_equal(inet_pton(AF_INET, ip, &a.sin_addr), 1);
    return a;
}

static void test_finds_the_owner_of_a_connection(void **state)
{
    static const struct {
        uint16_t port; /* of the peer */
        uint16_t to;
        bool found;
        uid_t uid;
    } rows[] = {
        {0x8001, 0x9c40, true, 64003}, {0x8001, 0x9c41, false, 0}, /* another listener */
        {0x8002, 0x9c40, false, 0},   /* TIME_WAIT is nobody's: it must not pass for root's */
        {0x8003, 0x9c40, true, 1000}, /* half closed: still its owner's */
        {0x8004, 0x9c40, false, 0},    {0x8005, 0x9c40, false, 0},
    };

    (void)state;
    if (htonl(1) == 1)
        test_skip("the table is of a little-endian machine");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sockaddr_in peer = address("127.0.0.1", rows[i].port);
        struct sockaddr_in local = address("127.128.0.7", rows[i].to);
        uid_t uid = 0;

        assert_int_equal(peer_find_uid(str_from(table), &peer, &local, &uid), rows[i].found);
        assert_int_equal(uid, rows[i].uid);
    }
}

/* --- real ones --- */

/* A connection to ourselves, made by a process of `uid` that stays until `hold` is closed. */
struct pair {
    int listener, fd, hold;
    pid_t pid;
    struct sockaddr_in peer, local;
};

static void connect_as(struct pair *p, uid_t uid)
{
    socklen_t len = sizeof p->peer;
    uint16_t port;
    int hold[2];
    char byte;

    p->listener = test_listen(&port);
    p->local = address("127.0.0.1", port);
    assert_int_equal(pipe(hold), 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        int fd;

        close(hold[1]);
        if (uid != geteuid() && setresuid(uid, uid, uid) < 0)
            _exit(1);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (const struct sockaddr *)(const void *)&p->local, sizeof p->local) < 0)
            _exit(1);
        _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(hold[0]);
    p->hold = hold[1];
    p->fd = accept(p->listener, (struct sockaddr *)(void *)&p->peer, &len);
    assert_true(p->fd >= 0);
}

static void hang_up(struct pair *p)
{
    int status;

    if (p->hold >= 0)
        close(p->hold);
    p->hold = -1;
    if (p->pid > 0) {
        assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
        assert_int_equal(status, 0);
    }
    p->pid = -1;
}

static void close_pair(struct pair *p)
{
    hang_up(p);
    close(p->fd);
    close(p->listener);
}

static void expect_owner(const struct pair *p, uid_t want)
{
    struct peers peers = {0};
    uid_t uid = 12345;

    assert_true(peer_uid(&peers, &p->peer, &p->local, &uid));
    assert_int_equal(uid, want);
    if (!peers.diag)
        print_message("no sock_diag here\n");
    uid = 12345;
    assert_true(look_it_up(&p->peer, &p->local, &uid));
    assert_int_equal(uid, want);
}

static void test_ours(void **state)
{
    struct pair p;

    (void)state;
    connect_as(&p, geteuid());
    expect_owner(&p, geteuid());
    close_pair(&p);
}

static void test_of_somebody_else(void **state)
{
    struct pair p;

    (void)state;
    if (geteuid() != 0)
        test_skip("not root: there is nobody else to be");
    connect_as(&p, SOMEBODY);
    expect_owner(&p, SOMEBODY);
    close_pair(&p);
}

/* Nobody's: an end that was closed, and a listener that happens to have the peer's address. */
static void test_of_nobody(void **state)
{
    struct peers fresh = {0}, knows = {.diag = true};
    struct pair p;
    uint16_t port;
    int other;
    uid_t uid;

    (void)state;
    connect_as(&p, geteuid());
    hang_up(&p);
    close(p.fd); /* both ends: what is left is TIME_WAIT */
    assert_false(peer_uid(&fresh, &p.peer, &p.local, &uid));
    assert_false(peer_uid(&knows, &p.peer, &p.local, &uid));
    other = test_listen(&port);
    p.peer = address("127.0.0.1", port);
    assert_false(peer_uid(&fresh, &p.peer, &p.local, &uid));
    assert_false(peer_uid(&knows, &p.peer, &p.local, &uid));
    close(other);
    close(p.listener);
}

static void test_what_is_no_answer(void **state)
{
    struct sockaddr_in local = address("127.0.0.1", 80);
    struct answer a = {.head = {.nlmsg_type = NLMSG_ERROR}};
    ssize_t whole = (ssize_t)(sizeof a.head + sizeof a.u.body);
    uid_t uid;

    (void)state;
    assert_int_equal(read_answer(&a, -1, &local, &uid), SAID_NOTHING);
    assert_int_equal(read_answer(&a, 4, &local, &uid), SAID_NOTHING);
    assert_int_equal(read_answer(&a, whole, &local, &uid), SAID_NOTHING); /* error 0: an ack */
    a.u.error.error = -EPERM;
    assert_int_equal(read_answer(&a, whole, &local, &uid), SAID_NOTHING);
    a.u.error.error = -ENOENT;
    assert_int_equal(read_answer(&a, whole, &local, &uid), SAID_NOT_THERE);
    a.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    assert_int_equal(read_answer(&a, whole - 1, &local, &uid), SAID_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_owner_of_a_connection),
        cmocka_unit_test(test_ours),
        cmocka_unit_test(test_of_somebody_else),
        cmocka_unit_test(test_of_nobody),
        cmocka_unit_test(test_what_is_no_answer),
    };

    return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
