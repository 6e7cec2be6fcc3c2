/* What is said between fleet-reaper, an init and the controller arrives, also when the other end is
 * dead by then. */
#include "reaper/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/testing.h"

static void make_pair(int pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
}

static long receive(int sock, union wire_any *m)
{
    int fds[WIRE_FDS_MAX + 4];
    size_t n_fds;

    return wire_recv(sock, m, fds, &n_fds, NULL);
}

/* An init that ends while a signal for its program is under way to it: that the program exited is
 * heard nevertheless. The kernel says ECONNRESET first. */
static void test_last_words_of_who_did_not_listen(void **state)
{
    const struct wire_signal unread = {.type = WIRE_SIGNAL, .signum = 15};
    const struct wire_exited last = {.type = WIRE_EXITED, .wstatus = 7 << 8};
    union wire_any m;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(wire_send(pair[0], &unread, sizeof(unread), NULL, 0), 0);
    assert_int_equal(wire_send(pair[1], &last, sizeof(last), NULL, 0), 0);
    close(pair[1]);
    assert_int_equal(receive(pair[0], &m), sizeof(last));
    assert_int_equal(m.type, WIRE_EXITED);
    assert_int_equal(m.exited.wstatus, last.wstatus);
    assert_int_equal(receive(pair[0], &m), 0);
    close(pair[0]);
}

static void test_nothing_said(void **state)
{
    union wire_any m;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(receive(pair[0], &m), -1);
    assert_int_equal(errno, EAGAIN);
    close(pair[1]);
    assert_int_equal(receive(pair[0], &m), 0);
    close(pair[0]);
}

static void test_cut_message(void **state)
{
    char part = 'x', whole[sizeof(union wire_any) + 1] = {0};
    union wire_any m;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(wire_send(pair[1], &part, 1, NULL, 0), 0);
    assert_int_equal(receive(pair[0], &m), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(wire_send(pair[1], whole, sizeof(whole), NULL, 0), 0);
    assert_int_equal(receive(pair[0], &m), -1);
    assert_int_equal(errno, EPROTO);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_words_of_who_did_not_listen),
        cmocka_unit_test(test_nothing_said),
        cmocka_unit_test(test_cut_message),
    };

    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
