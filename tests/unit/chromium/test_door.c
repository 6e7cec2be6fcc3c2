#include "browser/chromium/door.h"

#include <arpa/inet.h>

#include "core/base/str.h"
#include "tests/support/testing.h"

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

        assert_int_equal(door_find_uid(str_from(table), &peer, &local, &uid), rows[i].found);
        assert_int_equal(uid, rows[i].uid);
    }
}

static void test_proxies_of_members(void **state)
{
    static const struct {
        uint32_t index;
        const char *proxy; /* NULL: refused */
    } rows[] = {
        {0, "http://127.128.0.0:3128"},   {7, "http://127.128.0.7:3128"},
        {256, "http://127.128.1.0:3128"}, {DOOR_MEMBERS_MAX - 1, "http://127.255.255.255:3128"},
        {DOOR_MEMBERS_MAX, NULL},
    };
    struct loop *l;
    struct door *d;

    (void)state;
    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    d = door_create(l, true);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct member m = {.index = rows[i].index};
        char proxy[DOOR_PROXY_MAX] = "";
        struct err e = ERR_INIT;
        enum status s = door_proxy(d, &m, proxy, &e);

        assert_int_equal(s, rows[i].proxy ? STATUS_OK : STATUS_INVALID);
        assert_string_equal(proxy, rows[i].proxy ? rows[i].proxy : "");
    }
    door_destroy(&d);
    assert_null(d);
    loop_destroy(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_owner_of_a_connection),
        cmocka_unit_test(test_proxies_of_members),
    };

    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
