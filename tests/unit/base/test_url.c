#include "tests/support/testing.h"

#include "core/base/url.h"
#include "core/base/url_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char all_schemes[] = "http https ws wss socks5 socks5h";

static bool same(struct str s, const char *z)
{
    return z ? s.ptr && str_eqz(s, z) : !s.ptr;
}

static void test_parts(void **state maybe_unused)
{
    static const struct {
        const char *in, *href, *host, *path, *user, *password;
        uint16_t port;
        bool has_port, is_ip;
    } cases[] = {
        {"http://example.org", "http://example.org/", "example.org", "/", NULL, NULL, 80, false,
         false},
        {" HTTPS://Example.ORG/A?B#c\n", "https://example.org/A?B", "example.org", "/A?B", NULL,
         NULL, 443, false, false},
        {"http://example.org:80/", "http://example.org/", "example.org", "/", NULL, NULL, 80, false,
         false},
        {"http://example.org:0080/", "http://example.org/", "example.org", "/", NULL, NULL, 80,
         false, false},
        {"http://example.org:/", "http://example.org/", "example.org", "/", NULL, NULL, 80, false,
         false},
        {"https://example.org:80?q", "https://example.org:80/?q", "example.org", "/?q", NULL, NULL,
         80, true, false},
        {"http://example.org./x", "http://example.org/x", "example.org", "/x", NULL, NULL, 80,
         false, false},
        {"ws://h:65535/", "ws://h:65535/", "h", "/", NULL, NULL, 65535, true, false},
        {"socks5://u%3a:p%40%2f@h", "socks5://h/", "h", "/", "u:", "p@/", 1080, false, false},
        {"http://u:a@b:c@h/", "http://h/", "h", "/", "u", "a@b:c", 80, false, false},
        {"http://user@h/", "http://h/", "h", "/", "user", NULL, 80, false, false},
        {"http://:pw@h/", "http://h/", "h", "/", "", "pw", 80, false, false},
        {"http://u:@h/", "http://h/", "h", "/", "u", "", 80, false, false},
        {"http://@h/", "http://h/", "h", "/", NULL, NULL, 80, false, false},
        {"http://u:50%@h/", "http://h/", "h", "/", "u", "50%", 80, false, false},
        {"http://127.1/", "http://127.0.0.1/", "127.0.0.1", "/", NULL, NULL, 80, false, true},
        {"http://0x7f000001/", "http://127.0.0.1/", "127.0.0.1", "/", NULL, NULL, 80, false, true},
        {"http://017700000001/", "http://127.0.0.1/", "127.0.0.1", "/", NULL, NULL, 80, false,
         true},
        {"http://2130706433/", "http://127.0.0.1/", "127.0.0.1", "/", NULL, NULL, 80, false, true},
        {"http://127%2e0.0.1/", "http://127.0.0.1/", "127.0.0.1", "/", NULL, NULL, 80, false, true},
        {"http://10.0x10.257/", "http://10.16.1.1/", "10.16.1.1", "/", NULL, NULL, 80, false, true},
        {"http://1.2.3.4./", "http://1.2.3.4/", "1.2.3.4", "/", NULL, NULL, 80, false, true},
        {"http://0x/", "http://0.0.0.0/", "0.0.0.0", "/", NULL, NULL, 80, false, true},
        {"http://1.example/", "http://1.example/", "1.example", "/", NULL, NULL, 80, false, false},
        {"http://[::1]:8080/", "http://[::1]:8080/", "::1", "/", NULL, NULL, 8080, true, true},
        {"http://[2001:DB8:0:0:1:0:0:1]/", "http://[2001:db8::1:0:0:1]/", "2001:db8::1:0:0:1", "/",
         NULL, NULL, 80, false, true},
        {"http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "::ffff:7f00:1", "/", NULL, NULL,
         80, false, true},
        {"http://[1:0:2:3:4:5:6:7]/", "http://[1:0:2:3:4:5:6:7]/", "1:0:2:3:4:5:6:7", "/", NULL,
         NULL, 80, false, true},
        {"http://[::]/", "http://[::]/", "::", "/", NULL, NULL, 80, false, true},
        {"http://good\\@evil.example/", "http://good/@evil.example/", "good", "/@evil.example/",
         NULL, NULL, 80, false, false},
        {"http:\\\\h\\a\\b", "http://h/a/b", "h", "/a/b", NULL, NULL, 80, false, false},
        {"http://my_host/", "http://my_host/", "my_host", "/", NULL, NULL, 80, false, false},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_create(NULL, 0);
        struct err e = ERR_INIT;
        struct url u;

        if (url_parse(a, str_from(cases[i].in), all_schemes, &u, &e) != STATUS_OK)
            fail_msg("\"%s\": %s", cases[i].in, err_text(&e));
        if (!same(u.href, cases[i].href) || !same(u.host, cases[i].host) ||
            !same(u.path, cases[i].path) || !same(u.user, cases[i].user) ||
            !same(u.password, cases[i].password) || u.port != cases[i].port ||
            u.has_port != cases[i].has_port || u.is_ip != cases[i].is_ip)
            fail_msg("\"%s\": %.*s, host %.*s, path %.*s, user %.*s, password %.*s, port %u",
                     cases[i].in, STR_ARG(u.href), STR_ARG(u.host), STR_ARG(u.path),
                     STR_ARG(u.user), STR_ARG(u.password), (unsigned)u.port);
        assert_true(str_starts(u.href, u.scheme));
        arena_destroy(&a);
    }
}

static void test_paths(void **state maybe_unused)
{
    static const struct {
        const char *in, *path;
    } cases[] = {
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/../../b", "/b"},
        {"/a/b/..", "/a/"},
        {"/a/b/.", "/a/b/"},
        {"/..", "/"},
        {"/a/%2E%2e/b", "/b"},
        {"/a/.%2e/", "/"},
        {"/a/%2e", "/a/"},
        {"/a/...", "/a/..."},
        {"/a//b/", "/a//b/"},
        {"//", "//"},
        {"/a b\"<>`{}", "/a%20b%22%3C%3E%60%7B%7D"},
        {"/\xc3\xa4?\xc3\xa4", "/%C3%A4?%C3%A4"},
        {"/%zz%41", "/%zz%41"},
        {"?a b'c", "/?a%20b%27c"},
        {"/a?../b", "/a?../b"},
        {"/a?", "/a?"},
        {"/a?b#c?d", "/a?b"},
        {"#x@y:z/", "/"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_create(NULL, 0);
        struct err e = ERR_INIT;
        char in[256];
        struct url u;

        (void)snprintf(in, sizeof(in), "http://h%s", cases[i].in);
        if (url_parse(a, str_from(in), "http", &u, &e) != STATUS_OK)
            fail_msg("\"%s\": %s", in, err_text(&e));
        if (!same(u.path, cases[i].path))
            fail_msg("\"%s\": path %.*s", in, STR_ARG(u.path));
        arena_destroy(&a);
    }
}

static void test_refusals(void **state maybe_unused)
{
    static const struct {
        const char *in, *text; /* a part of the sentence */
    } cases[] = {
        {"", "empty"},
        {"   ", "empty"},
        {"example.org", "no scheme: expected one of: http https"},
        {"example.org:80/x", "no scheme"},
        {"://h", "no scheme"},
        {"ftp://h/", "scheme \"ftp\": expected one of: http https"},
        {"http:h", "\"//\" is missing after \"http:\""},
        {"http:/h", "\"//\" is missing"},
        {"http://", "host: expected a name or an address"},
        {"http:///x", "host: expected"},
        {"http://u:p@/", "host: expected"},
        {"http://h:99999/", "port 99999: expected 1..65535"},
        {"http://h:0/", "port 0: expected 1..65535"},
        {"http://h:123456789012345678901/", "expected 1..65535"},
        {"http://h:8o/", "port: expected a number 1..65535"},
        {"http://h:-1/", "port: expected a number"},
        {"http://m\xc3\xbcnchen.example/", "xn--"},
        {"http://m%c3%bcnchen.example/", "xn--"},
        {"http://a b/", "character 0x20"},
        {"http://a%00b/", "character 0x00"},
        {"http://a%zz/", "character 0x25"},
        {"http://a..b/", "labels of 1..63"},
        {"http://./", "found none"},
        {"http://a../", "labels"},
        {"http://1.2.3.256/", "ends in a number"},
        {"http://1.2.3.4.5/", "ends in a number"},
        {"http://09/", "ends in a number"},
        {"http://4294967296/", "ends in a number"},
        {"http://256.1/", "ends in a number"},
        {"http://a.0x1g.1/", "ends in a number"},
        {"http://[::1/", "expected an IPv6 address in brackets"},
        {"http://[::1%25eth0]/", "without a zone"},
        {"http://[1.2.3.4]/", "expected an IPv6 address"},
        {"http://[::1]x/", "expected an IPv6 address"},
        {"http://a\tb/", "control character 0x09 at position 9"},
        {"http://h/\x7f", "control character 0x7f at position 10"},
        {"http://h/\xff", "not UTF-8"},
        {"http://u%00:p@h/", "user: %00"},
        {"http://u:p%00@h/", "password: %00"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena *a = arena_create(NULL, 0);
        struct err e = ERR_INIT;
        struct url u = {.port = 7};
        enum status st = url_parse(a, str_from(cases[i].in), "http https", &u, &e);

        if (st != STATUS_INVALID || !strstr(e.text, cases[i].text) || u.port != 7)
            fail_msg("\"%s\": %s: %s", cases[i].in, status_name(st), err_text(&e));
        arena_destroy(&a);
    }
}

static void test_limits(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0);
    struct err e = ERR_INIT;
    char text[URL_MAX + 2];
    struct url u;

    memset(text, '"', sizeof(text)); /* each becomes three bytes */
    memcpy(text, "http://h/", 9);
    assert_int_equal(url_parse(a, str_n(text, URL_MAX), "http", &u, &e), STATUS_OK);
    assert_int_equal(u.path.len, 1 + 3 * (URL_MAX - 9));
    assert_int_equal(url_parse(a, str_n(text, URL_MAX + 1), "http", &u, &e), STATUS_TOO_LARGE);
    arena_destroy(&a);

    a = arena_create(NULL, 64);
    assert_int_equal(url_parse(a, str_n(text, 100), "http", &u, &e), STATUS_NO_MEMORY);
    arena_destroy(&a);

    a = arena_create(NULL, 0);
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://", 7);
    for (size_t i = 7 + 60; i < 7 + 253; i += 61)
        text[i] = '.';
    assert_int_equal(url_parse(a, str_n(text, 7 + 253), "http", &u, &e), STATUS_OK);
    assert_int_equal(u.host.len, 253);
    text[7 + 253] = '.';
    assert_int_equal(url_parse(a, str_n(text, 7 + 254), "http", &u, &e), STATUS_OK);
    text[7 + 253] = 'a';
    assert_int_equal(url_parse(a, str_n(text, 7 + 254), "http", &u, &e), STATUS_INVALID);
    arena_destroy(&a);
}

/* A sentence goes to logs: whatever is wrong with the URL, the password is not in it. */
static void test_errors_keep_secrets(void **state maybe_unused)
{
    static const char *const cases[] = {
        "http://u:sesame@",     "http://u:sesame@h:99999",
        "http://u:sesame@a b/", "http://u:ses/ame@h:80/sesame",
        "ftp://u:sesame@h/",    "http:u:sesame@h",
        "u:sesame@h:80",        "http://u:sesame@1.2.3.4.5",
    };
    struct arena *a = arena_create(NULL, 0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct url u;

        assert_int_equal(url_parse(a, str_from(cases[i]), "http", &u, &e), STATUS_INVALID);
        assert_null(strstr(e.text, "ses"));
    }
    arena_destroy(&a);
}

static void test_scheme_without_port(void **state maybe_unused)
{
    struct arena *a = arena_create(NULL, 0);
    struct err e = ERR_INIT;
    struct url u;

    assert_int_equal(url_parse(a, STR("x://h/"), "x", &u, &e), STATUS_INVALID);
    assert_non_null(strstr(e.text, "no port"));
    assert_int_equal(url_parse(a, STR("x://h:9\\/"), "x", &u, &e), STATUS_INVALID);
    assert_int_equal(url_parse(a, STR("x://h:9/"), "x", &u, &e), STATUS_OK);
    assert_int_equal(u.port, 9);
    arena_destroy(&a);
}

static void test_resolve(void **state maybe_unused)
{
    static const struct {
        const char *ref, *href; /* NULL: refused */
    } cases[] = {
        {"http://other/x", "http://other/x"},
        {"https://h", "https://h/"},
        {"//other:81/x", "http://other:81/x"},
        {"\\\\other\\x", "http://other/x"},
        {"/x?y", "http://h:8080/x?y"},
        {"x", "http://h:8080/a/x"},
        {"../x", "http://h:8080/x"},
        {"../../../x", "http://h:8080/x"},
        {"./", "http://h:8080/a/"},
        {"?z", "http://h:8080/a/b?z"},
        {"#f", "http://h:8080/a/b?c=/d/e"},
        {"", "http://h:8080/a/b?c=/d/e"},
        {"  x ", "http://h:8080/a/x"},
        {"x:y/z", NULL}, /* a scheme that is not asked for */
        {"1:2", "http://h:8080/a/1:2"},
        {"javascript:alert(1)", NULL},
        {"x\n", "http://h:8080/a/x"},
        {"x\ny", NULL},
    };
    struct arena *a = arena_create(NULL, 0);
    struct url base;

    assert_int_equal(url_parse(a, STR("http://u:p@h:8080/a/b?c=/d/e#f"), "http", &base, NULL),
                     STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct url u;
        enum status st = url_resolve(a, &base, str_from(cases[i].ref), "http https", &u, &e);

        if ((st == STATUS_OK) != (cases[i].href != NULL))
            fail_msg("\"%s\": %s", cases[i].ref, st ? err_text(&e) : "not refused");
        if (st == STATUS_OK && (!same(u.href, cases[i].href) || u.user.ptr || u.password.ptr))
            fail_msg("\"%s\": %.*s", cases[i].ref, STR_ARG(u.href));
    }
    arena_destroy(&a);
}

static void test_zones(void **state maybe_unused)
{
    static const struct {
        const char *host;
        enum net_zone zone;
    } cases[] = {
        {"93.184.216.34", NET_PUBLIC},
        {"127.0.0.1", NET_LOOPBACK},
        {"127.255.255.255", NET_LOOPBACK},
        {"127.1", NET_LOOPBACK},
        {"127.1.", NET_LOOPBACK},
        {"0x7f000001", NET_LOOPBACK},
        {"2130706433", NET_LOOPBACK},
        {"017700000001", NET_LOOPBACK},
        {"128.0.0.0", NET_PUBLIC},
        {"10.0.0.1", NET_PRIVATE},
        {"11.0.0.0", NET_PUBLIC},
        {"172.15.255.255", NET_PUBLIC},
        {"172.16.0.0", NET_PRIVATE},
        {"172.31.255.255", NET_PRIVATE},
        {"172.32.0.0", NET_PUBLIC},
        {"192.168.1.1", NET_PRIVATE},
        {"100.64.0.1", NET_PRIVATE},
        {"100.127.255.255", NET_PRIVATE},
        {"100.128.0.0", NET_PUBLIC},
        {"169.254.169.254", NET_LINK_LOCAL},
        {"0.0.0.0", NET_LOOPBACK},
        {"0.0.0.1", NET_RESERVED},
        {"192.0.2.1", NET_RESERVED},
        {"198.19.0.1", NET_RESERVED},
        {"224.0.0.1", NET_RESERVED},
        {"255.255.255.255", NET_RESERVED},
        {"1.2.3.256", NET_RESERVED},
        {"::1", NET_LOOPBACK},
        {"::", NET_LOOPBACK},
        {"::ffff:127.0.0.1", NET_LOOPBACK},
        {"::ffff:7f00:1", NET_LOOPBACK},
        {"::ffff:10.0.0.1", NET_PRIVATE},
        {"::ffff:93.184.216.34", NET_PUBLIC},
        {"::127.0.0.1", NET_LOOPBACK},
        {"64:ff9b::10.0.0.1", NET_PRIVATE},
        {"64:ff9b::a9fe:a9fe", NET_LINK_LOCAL},
        {"64:ff9b::93.184.216.34", NET_PUBLIC},
        {"64:ff9b:1::1", NET_PRIVATE},
        {"2002:7f00:1::", NET_LOOPBACK},
        {"2002:5db8:d822::1", NET_PUBLIC},
        {"2001::1", NET_RESERVED},
        {"2001:db8::1", NET_RESERVED},
        {"2001:4860:4860::8888", NET_PUBLIC},
        {"fe80::1", NET_LINK_LOCAL},
        {"febf::1", NET_LINK_LOCAL},
        {"fec0::1", NET_PRIVATE},
        {"fc00::1", NET_PRIVATE},
        {"fdff::1", NET_PRIVATE},
        {"ff02::1", NET_RESERVED},
        {"localhost", NET_LOOPBACK},
        {"LOCALHOST.", NET_LOOPBACK},
        {"a.localhost", NET_LOOPBACK},
        {"notlocalhost", NET_NAME},
        {"printer.local", NET_PRIVATE},
        {"metadata.google.internal", NET_PRIVATE},
        {"example.org", NET_NAME},
        {"localhost.example", NET_NAME},
        {"", NET_NAME},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum net_zone z = net_zone_of(str_from(cases[i].host));

        if (z != cases[i].zone)
            fail_msg("%s: zone %d, expected %d", cases[i].host, (int)z, (int)cases[i].zone);
    }
    assert_true(net_zone_is_private(NET_LOOPBACK) && net_zone_is_private(NET_PRIVATE) &&
                net_zone_is_private(NET_LINK_LOCAL));
    assert_false(net_zone_is_private(NET_PUBLIC) || net_zone_is_private(NET_NAME) ||
                 net_zone_is_private(NET_RESERVED));
}

static void test_zone_of_addr(void **state maybe_unused)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr none = {.sa_family = AF_UNSPEC};

    assert_int_equal(net_zone_of_addr((struct sockaddr *)&in), NET_PRIVATE);
    assert_int_equal(net_zone_of_addr((struct sockaddr *)&in6), NET_LOOPBACK);
    assert_int_equal(net_zone_of_addr((struct sockaddr *)&un), NET_LOOPBACK);
    assert_int_equal(net_zone_of_addr(&none), NET_RESERVED);
}

static void test_shown(void **state)
{
    static const struct {
        const char *url, *told;
    } rows[] = {
        {"http://joe:pw@h/a?b=c@d", "http://joe:***@h/a?b=c@d"},
        {"https://token@h:8080", "https://***@h:8080"},
        {"http://a:b:c@d@h/", "http://a:***@h/"},
        {"http://:pw@h/", "http://:***@h/"},
        {"http://h/joe:pw@x", "http://h/joe:pw@x"},
        {"http://h?joe:pw@x", "http://h?joe:pw@x"},
        {"http://h\\@x", "http://h\\@x"},
        {"http:\\\\joe:pw@h\\", "http:\\\\joe:***@h\\"},
        {"joe:pw@h", "joe:pw@h"},
        {"x:/", "x:/"},
        {"", ""},
    };
    struct arena *a = arena_create(NULL, 0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str told = url_shown(a, str_from(rows[i].url));

        if (!str_eqz(told, rows[i].told))
            fail_msg("%s: %.*s", rows[i].url, STR_ARG(told));
    }
    arena_destroy(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_errors_keep_secrets),
        cmocka_unit_test(test_scheme_without_port),
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_zones),
        cmocka_unit_test(test_zone_of_addr),
        cmocka_unit_test(test_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
