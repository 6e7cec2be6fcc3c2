#include "tests/support/testing.h"

#include <stdio.h>
#include <string.h>

#include "proxies/connect.h"

/* A conversation: what we are to say and what the proxy answers, in turns, as C strings with
 * explicit lengths. */
struct turn {
    const char *say;
    size_t say_len;
    const char *hear;
    size_t hear_len;
};
#define T(say, hear)                                                                               \
    {                                                                                              \
        say, sizeof(say) - 1, hear, sizeof(hear) - 1                                               \
    }
#define TURNS_MAX 4

static const struct {
    const char *name, *proxy, *host;
    uint16_t port;
    struct turn turns[TURNS_MAX];
    enum connect_state end;
    enum status status;
    int code;
    size_t left; /* bytes of the last turn that are the tunnel's */
} talks[] = {
    {"connect",
     "http://h#p",
     "example.org",
     443,
     {T("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\nProxy-Connection: keep-alive"
        "\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello")},
     CONNECT_DONE,
     STATUS_OK,
     200,
     5},
    {"connect with credentials, IPv6",
     "http://Aladdin:open%20sesame@h#p",
     "::1",
     1,
     {T("CONNECT [::1]:1 HTTP/1.1\r\nHost: [::1]:1\r\nProxy-Connection: keep-alive\r\n"
        "Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n",
        "HTTP/1.0 204 x\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n")},
     CONNECT_DONE,
     STATUS_OK,
     204,
     0},
    {"interim first",
     "http://h#p",
     "x",
     1,
     {T("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nProxy-Connection: keep-alive\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\n\r\n")},
     CONNECT_DONE,
     STATUS_OK,
     200,
     0},
    {"407",
     "http://h#p",
     "x",
     1,
     {T("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nProxy-Connection: keep-alive\r\n\r\n",
        "HTTP/1.1 407 no\r\nProxy-Authenticate: Basic\r\n\r\n")},
     CONNECT_FAILED,
     STATUS_PROXY_AUTH,
     407,
     0},
    {"502",
     "http://h#p",
     "x",
     1,
     {T("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nProxy-Connection: keep-alive\r\n\r\n",
        "HTTP/1.1 502 Bad Gateway\n\nx")},
     CONNECT_FAILED,
     STATUS_UNAVAILABLE,
     502,
     0},
    {"403",
     "http://h#p",
     "x",
     1,
     {T("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nProxy-Connection: keep-alive\r\n\r\n",
        "HTTP/1.1 403 Filtered\r\n\r\n")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     403,
     0},
    {"302",
     "http://h#p",
     "x",
     1,
     {T("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nProxy-Connection: keep-alive\r\n\r\n",
        "HTTP/1.1 302 portal\r\nLocation: http://portal/\r\n\r\n")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     302,
     0},
    {"not HTTP",
     "http://h#p",
     "x",
     1,
     {T("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\nProxy-Connection: keep-alive\r\n\r\n",
        "SSH-2.0-OpenSSH")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     0,
     0},
    {"socks5 without credentials",
     "socks5://h#p",
     "example.org",
     443,
     {T("\5\1\0", "\5\0"), T("\5\1\0\3\13example.org\1\273", "\5\0\0\1\0\0\0\0\0\0tunnel")},
     CONNECT_DONE,
     STATUS_OK,
     0,
     6},
    {"socks5 with credentials, IPv4",
     "socks5://u:pw@h#p",
     "127.0.0.1",
     80,
     {T("\5\2\0\2", "\5\2"), T("\1\1u\2pw", "\1\0"),
      T("\5\1\0\1\177\0\0\1\0\120", "\5\0\0\3\4name\0\1")},
     CONNECT_DONE,
     STATUS_OK,
     0,
     0},
    {"socks5, credentials not wanted, IPv6",
     "socks5://u:pw@h#p",
     "::1",
     258,
     {T("\5\2\0\2", "\5\0"), T("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\1\2",
                               "\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
     CONNECT_DONE,
     STATUS_OK,
     0,
     0},
    {"socks5 credentials refused",
     "socks5://u:pw@h#p",
     "x",
     1,
     {T("\5\2\0\2", "\5\2"), T("\1\1u\2pw", "\1\1")},
     CONNECT_FAILED,
     STATUS_PROXY_AUTH,
     1,
     0},
    {"socks5 wants credentials",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "\5\377")},
     CONNECT_FAILED,
     STATUS_PROXY_AUTH,
     255,
     0},
    {"socks5 chooses what was not offered",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "\5\2")},
     CONNECT_FAILED,
     STATUS_PROXY_AUTH,
     2,
     0},
    {"socks5 connection refused",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "\5\0"), T("\5\1\0\3\1x\0\1", "\5\5")},
     CONNECT_FAILED,
     STATUS_UNAVAILABLE,
     5,
     0},
    {"socks5 rules",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "\5\0"), T("\5\1\0\3\1x\0\1", "\5\2\0\1\0\0\0\0\0\0")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     2,
     0},
    {"socks5 unknown reply",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "\5\0"), T("\5\1\0\3\1x\0\1", "\5\x99")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     0x99,
     0},
    {"socks5 unknown address",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "\5\0"), T("\5\1\0\3\1x\0\1", "\5\0\0\7\0\0")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     0,
     0},
    {"socks4",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "\4\0")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     0,
     0},
    {"HTTP where socks5 was expected",
     "socks5://h#p",
     "x",
     1,
     {T("\5\1\0", "HTTP/1.1 400 Bad Request\r\n\r\n")},
     CONNECT_FAILED,
     STATUS_PROXY_FAILED,
     0,
     0},
};

static void expect_out(const char *name, const struct connect *c, const struct turn *t)
{
    struct str out = connect_out(c);

    if (out.len != t->say_len || memcmp(out.ptr, t->say, out.len) != 0)
        fail_msg("%s: says %zu bytes: %.*s", name, out.len, STR_ARG(out));
}

/* The answers come in pieces of `step` bytes. */
static void talk(size_t i, size_t step)
{
    struct proxy *p = NULL;
    struct connect c;
    struct err e = ERR_INIT;
    size_t left = 0;

    assert_int_equal(proxy_parse(str_from(talks[i].proxy), NULL, &p, &e), STATUS_OK);
    assert_int_equal(connect_begin(&c, p, talks[i].host, talks[i].port, &e), STATUS_OK);
    for (size_t t = 0; t < TURNS_MAX && talks[i].turns[t].say; t++) {
        const struct turn *turn = &talks[i].turns[t];

        assert_int_equal(c.state, CONNECT_MORE);
        expect_out(talks[i].name, &c, turn);
        for (size_t at = 0; at < turn->hear_len && c.state == CONNECT_MORE;) {
            size_t n = turn->hear_len - at < step ? turn->hear_len - at : step, used;
            enum connect_state s = connect_feed(&c, turn->hear + at, n, &used, &e);

            assert_true(s == c.state && (s == CONNECT_DONE || used <= n));
            at += used;
            left = turn->hear_len - at;
        }
    }
    if (c.state != talks[i].end)
        fail_msg("%s: ends in %d: %s", talks[i].name, c.state, err_text(&e));
    if (c.state == CONNECT_FAILED) {
        assert_int_equal(e.status, talks[i].status);
        assert_int_equal(e.peer_code, talks[i].code);
        assert_null(strstr(err_text(&e), "pw"));
    } else {
        assert_int_equal(left, talks[i].left);
    }
    assert_int_equal(c.peer_code, talks[i].code);
    connect_end(&c);
    proxy_unref(&p);
}

static void talks_in_any_pieces(void **state)
{
    static const size_t steps[] = {1000, 1, 2, 3, 7};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(talks); i++) {
        for (size_t s = 0; s < ARRAY_LEN(steps); s++)
            talk(i, steps[s]);
    }
}

static void giant_head_fails(void **state)
{
    static char junk[1000];
    struct proxy *p = NULL;
    struct connect c;
    struct err e = ERR_INIT;
    size_t used, total = 0;

    (void)state;
    memset(junk, 'a', sizeof(junk));
    assert_int_equal(proxy_parse(STR("http://h#p"), NULL, &p, &e), STATUS_OK);
    assert_int_equal(connect_begin(&c, p, "x", 1, &e), STATUS_OK);
    assert_int_equal(connect_feed(&c, "HTTP/1.1 200 OK\r\nA: ", 20, &used, &e), CONNECT_MORE);
    while (connect_feed(&c, junk, sizeof(junk), &used, &e) == CONNECT_MORE)
        assert_true((total += used) < 2 * CONNECT_HEAD_MAX);
    assert_int_equal(e.status, STATUS_PROXY_FAILED);
    connect_end(&c);
    proxy_unref(&p);
}

static void bad_hosts_are_refused(void **state)
{
    static const char *const hosts[] = {"", "a b", "a\r\nX: y", "a/b", "u@h", "\xc3\xa4", "[::1]"};
    struct proxy *p = NULL;
    struct connect c;

    (void)state;
    assert_int_equal(proxy_parse(STR("http://h#p"), NULL, &p, NULL), STATUS_OK);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        assert_int_equal(connect_begin(&c, p, hosts[i], 1, NULL), STATUS_INVALID);
        assert_int_equal(c.state, CONNECT_FAILED);
        connect_end(&c);
    }
    proxy_unref(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(talks_in_any_pieces),
        cmocka_unit_test(giant_head_fails),
        cmocka_unit_test(bad_hosts_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
