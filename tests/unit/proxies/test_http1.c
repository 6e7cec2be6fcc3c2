#include "tests/support/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxies/http1.h"

static void head_end_in_pieces(void **state)
{
    static const struct {
        const char *bytes;
        size_t end;
    } heads[] = {
        {"GET / HTTP/1.1\r\nA: b\r\n\r\nrest", 24},
        {"\r\n\r\n", 4},
        {"a\n\nrest", 3},
        {"a\n\r\nrest", 4},
        {"a\r\n b\r\n", 0},
        {"a\r\n\r", 0},
        {"", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        size_t scanned = 0, whole = strlen(heads[i].bytes), got = 0;

        for (size_t n = 0; n <= whole && !got; n++)
            got = http1_head_end(str_n(heads[i].bytes, n), &scanned);
        assert_int_equal(got, heads[i].end);
    }
}

/* --- requests --- */

static const struct {
    const char *head, *host;
    uint16_t port;
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive;
    const char *origin, *absolute; /* as it goes on */
} requests[] = {
    {"GET http://Example.org/a?b HTTP/1.1\r\nHost: other\r\nProxy-Connection: keep-alive\r\n"
     "Proxy-Authorization: Basic eA==\r\nX:y\r\n\r\n",
     "Example.org", 80, HTTP1_EMPTY, 0, true,
     "GET /a?b HTTP/1.1\r\nHost: Example.org\r\nConnection: keep-alive\r\nX: y\r\n\r\n",
     "GET http://Example.org/a?b HTTP/1.1\r\nHost: Example.org\r\nProxy-Connection: keep-alive\r\n"
     "X: y\r\nProxy-Authorization: Basic Zg==\r\n\r\n"},
    {"GET http://h:8080 HTTP/1.1\r\nHost: h:8080\r\nConnection: close\r\nProxy-Connection: "
     "close\r\n"
     "\r\n",
     "h", 8080, HTTP1_EMPTY, 0, false,
     "GET / HTTP/1.1\r\nHost: h:8080\r\nConnection: close\r\n\r\n",
     "GET http://h:8080/ HTTP/1.1\r\nHost: h:8080\r\nConnection: close\r\nProxy-Connection: close"
     "\r\nProxy-Authorization: Basic Zg==\r\n\r\n"},
    {"POST http://[::1]:81?q HTTP/1.1\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n", "::1",
     81, HTTP1_LENGTH, 5, true,
     "POST /?q HTTP/1.1\r\nHost: [::1]:81\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n",
     NULL},
    {"OPTIONS http://h HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n", "h", 80, HTTP1_CHUNKED, 0,
     true, "OPTIONS * HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
     "OPTIONS http://h HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n"
     "Proxy-Authorization: Basic Zg==\r\n\r\n"},
    {"GET http://h/ HTTP/1.0\r\n\r\n", "h", 80, HTTP1_EMPTY, 0, false,
     "GET / HTTP/1.0\r\nHost: h\r\n\r\n", NULL},
    {"GET http://h/ HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "h", 80, HTTP1_EMPTY, 0, true,
     NULL, NULL},
    {"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n", "example.org", 443,
     HTTP1_EMPTY, 0, true, NULL, NULL},
    {"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", "2001:db8::1", 443, HTTP1_EMPTY, 0, true, NULL,
     NULL},
};

static void requests_parse_and_go_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct http1_request r;
        struct err e = ERR_INIT;
        struct buf out = BUF_INIT(4096);

        if (http1_parse_request(str_from(requests[i].head), &r, &e) != STATUS_OK)
            fail_msg("%s: %s", requests[i].head, err_text(&e));
        assert_true(str_eqz(r.host, requests[i].host));
        assert_int_equal(r.port, requests[i].port);
        assert_int_equal(r.framing, requests[i].framing);
        assert_int_equal(r.length, requests[i].length);
        assert_int_equal(r.keep_alive, requests[i].keep_alive);
        http1_write_request(&r, &(struct http1_onward){0}, &out);
        if (requests[i].origin)
            assert_string_equal(out.ptr, requests[i].origin);
        buf_reset(&out);
        http1_write_request(
            &r, &(struct http1_onward){.absolute = true, .proxy_authorization = STR("Basic Zg==")},
            &out);
        if (requests[i].absolute)
            assert_string_equal(out.ptr, requests[i].absolute);
        buf_deinit(&out);
    }
}

#define G "GET http://h/ HTTP/1.1\r\n"
static const struct {
    const char *head;
    enum status status;
    const char *says;
} bad_requests[] = {
    {"GET / HTTP/1.1\r\n\r\n", STATUS_INVALID, "not absolute"},
    {"GET  http://h/ HTTP/1.1\r\n\r\n", STATUS_INVALID, "request line"},
    {"GET http://h/ HTTP/1.1 \r\n\r\n", STATUS_INVALID, "request line"},
    {"GET http://h/\r\n\r\n", STATUS_INVALID, "request line"},
    {"GET http://h/ HTTP/2.0\r\n\r\n", STATUS_INVALID, "HTTP/1.1 or HTTP/1.0"},
    {"G(T http://h/ HTTP/1.1\r\n\r\n", STATUS_INVALID, "METHOD"},
    {"GET http://h/ HTTP/1.1\n\n", STATUS_INVALID, "without CR LF"},
    {"GET http://u:p@h/ HTTP/1.1\r\n\r\n", STATUS_INVALID, "host of the target"},
    {"GET http:///x HTTP/1.1\r\n\r\n", STATUS_INVALID, "host of the target"},
    {"GET http://h:0/ HTTP/1.1\r\n\r\n", STATUS_INVALID, "host of the target"},
    {"GET http://h:99999/ HTTP/1.1\r\n\r\n", STATUS_INVALID, "host of the target"},
    {"GET http://[::1/ HTTP/1.1\r\n\r\n", STATUS_INVALID, "host of the target"},
    {"GET http://[h]/ HTTP/1.1\r\n\r\n", STATUS_INVALID, "host of the target"},
    {"GET http://h/#f HTTP/1.1\r\n\r\n", STATUS_INVALID, "target: byte"},
    {"GET ftp://h/ HTTP/1.1\r\n\r\n", STATUS_UNSUPPORTED, "expected http"},
    {"CONNECT h HTTP/1.1\r\n\r\n", STATUS_INVALID, "host:port"},
    {"CONNECT h:x HTTP/1.1\r\n\r\n", STATUS_INVALID, "host:port"},
    {"CONNECT http://h:1 HTTP/1.1\r\n\r\n", STATUS_INVALID, "host:port"},
    {"CONNECT h:1 HTTP/1.1\r\nContent-Length: 4\r\n\r\n", STATUS_INVALID, "with a body"},
    {G "A b\r\n\r\n", STATUS_INVALID, "name: value"},
    {G "A : b\r\n\r\n", STATUS_INVALID, "name: value"},
    {G ": b\r\n\r\n", STATUS_INVALID, "name: value"},
    {G "A: b\r\n c\r\n\r\n", STATUS_INVALID, "folded"},
    {G "A: b\nC: d\r\n\r\n", STATUS_INVALID, "without CR LF"},
    {G "A: b\rc\r\n\r\n", STATUS_INVALID, "control"},
    {G "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", STATUS_INVALID, "Content-Length"},
    {G "Content-Length: +5\r\n\r\n", STATUS_INVALID, "Content-Length"},
    {G "Content-Length: -1\r\n\r\n", STATUS_INVALID, "Content-Length"},
    {G "Content-Length: 99999999999999999999\r\n\r\n", STATUS_INVALID, "Content-Length"},
    {G "Content-Length: \r\n\r\n", STATUS_INVALID, "Content-Length"},
    {G "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", STATUS_INVALID, "both"},
    {G "Transfer-Encoding: chunked, chunked\r\n\r\n", STATUS_INVALID, "Transfer-Encoding"},
    {G "Transfer-Encoding: gzip, chunked\r\n\r\n", STATUS_UNSUPPORTED, "chunked alone"},
    {G "Transfer-Encoding: xchunked\r\n\r\n", STATUS_UNSUPPORTED, "chunked alone"},
    {"GET http://h/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", STATUS_UNSUPPORTED,
     "chunked alone"},
    {G "Host: a\r\nHost: b\r\n\r\n", STATUS_INVALID, "Host"},
};

static void ambiguous_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad_requests); i++) {
        struct http1_request r;
        struct err e = ERR_INIT;
        enum status s = http1_parse_request(str_from(bad_requests[i].head), &r, &e);

        if (s != bad_requests[i].status || !strstr(err_text(&e), bad_requests[i].says))
            fail_msg("%s: %s, %s", bad_requests[i].head, status_name(s), err_text(&e));
    }
}

static void too_many_fields_are_refused(void **state)
{
    struct buf head = BUF_INIT(BUF_MAX_LINE);
    struct http1_request r;

    (void)state;
    buf_adds(&head, G);
    for (int i = 0; i <= HTTP1_FIELDS_MAX; i++)
        buf_addf(&head, "A%d: b\r\n", i);
    buf_adds(&head, "\r\n");
    assert_int_equal(http1_parse_request(buf_str(&head), &r, NULL), STATUS_TOO_LARGE);
    buf_deinit(&head);
}

static const struct {
    const char *fields;
    bool document;
} asked[] = {
    {"Upgrade-Insecure-Requests: 1\r\nAccept: text/html,application/xhtml+xml\r\n", true},
    {"accept: text/html\r\nupgrade-insecure-requests: 1\r\n", true},
    {"Upgrade-Insecure-Requests: 1\r\nAccept: */*\r\n", false},
    {"Accept: image/avif,text/html\r\nUpgrade-Insecure-Requests: 1\r\n", false},
    {"Accept: text/html\r\n", false},
    {"", false},
};

static void documents_are_told_by_their_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct http1_request r;
        char head[256];

        snprintf(head, sizeof(head), G "%s\r\n", asked[i].fields);
        assert_int_equal(http1_parse_request(str_from(head), &r, NULL), STATUS_OK);
        if (http1_asks_document(&r) != asked[i].document)
            fail_msg("%s", head);
    }
}

/* --- responses --- */

#define OK_ "HTTP/1.1 200 OK\r\n"
static const struct {
    const char *head;
    bool to_head;
    enum status status;
    int code;
    enum http1_framing framing;
    uint64_t length;
    bool keep_alive, interim;
} responses[] = {
    {OK_ "Content-Length: 5\r\n\r\n", false, STATUS_OK, 200, HTTP1_LENGTH, 5, true, false},
    {OK_ "Content-Length: 0\r\n\r\n", false, STATUS_OK, 200, HTTP1_EMPTY, 0, true, false},
    {OK_ "Content-Length: 5\r\n\r\n", true, STATUS_OK, 200, HTTP1_EMPTY, 0, true, false},
    {OK_ "Transfer-Encoding: chunked\r\n\r\n", false, STATUS_OK, 200, HTTP1_CHUNKED, 0, true,
     false},
    {OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n", false, STATUS_OK, 200, HTTP1_CHUNKED, 0, true,
     false},
    {OK_ "Transfer-Encoding: gzip\r\n\r\n", false, STATUS_OK, 200, HTTP1_UNTIL_CLOSE, 0, false,
     false},
    {OK_ "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", false, STATUS_OK, 200,
     HTTP1_CHUNKED, 0, false, false},
    {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", false,
     STATUS_OK, 200, HTTP1_CHUNKED, 0, false, false},
    {OK_ "\r\n", false, STATUS_OK, 200, HTTP1_UNTIL_CLOSE, 0, false, false},
    {OK_ "Content-Length: 5\r\nConnection: x, close\r\n\r\n", false, STATUS_OK, 200, HTTP1_LENGTH,
     5, false, false},
    {OK_ "Content-Length: 5\r\nProxy-Connection: close\r\n\r\n", false, STATUS_OK, 200,
     HTTP1_LENGTH, 5, false, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, STATUS_OK, 200, HTTP1_LENGTH, 5, false,
     false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", false, STATUS_OK,
     200, HTTP1_LENGTH, 5, true, false},
    {"HTTP/1.1 204\r\n\r\n", false, STATUS_OK, 204, HTTP1_EMPTY, 0, true, false},
    {"HTTP/1.1 304 x\r\nContent-Length: 99\r\n\r\n", false, STATUS_OK, 304, HTTP1_EMPTY, 0, true,
     false},
    {"HTTP/1.1 100 Continue\r\n\r\n", false, STATUS_OK, 100, HTTP1_EMPTY, 0, true, true},
    {"HTTP/1.1 101 x\r\nUpgrade: y\r\n\r\n", false, STATUS_OK, 101, HTTP1_EMPTY, 0, true, false},
    {"HTTP/1.1 200 OK\nContent-Length: 7\n\n", false, STATUS_OK, 200, HTTP1_LENGTH, 7, true, false},
    {OK_ "A: b\r\n folded\r\nno colon\r\nContent-Length: 7\r\n\r\n", false, STATUS_OK, 200,
     HTTP1_LENGTH, 7, true, false},
    {OK_ "Host: a\r\nHost: b\r\nContent-Length: 7\r\n\r\n", false, STATUS_OK, 200, HTTP1_LENGTH, 7,
     true, false},
    {OK_ "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {OK_ "Content-Length: x\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {OK_ "Content-Length : 5\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {OK_ "Transfer-Encoding:\r\n chunked\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {OK_ "A: b\rc\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {"HTTP/2 200\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {"HTTP/1.1 20 OK\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {"HTTP/1.1 2000\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {"HTTP/1.1 099 x\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
    {"garbage\r\n\r\n", false, STATUS_PROTOCOL, 0, 0, 0, 0, 0},
};

static void responses_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        struct http1_response r;
        struct err e = ERR_INIT;
        enum status s =
            http1_parse_response(str_from(responses[i].head), responses[i].to_head, &r, &e);

        if (s != responses[i].status)
            fail_msg("%s: %s %s", responses[i].head, status_name(s), err_text(&e));
        if (s != STATUS_OK)
            continue;
        if (r.framing != responses[i].framing || r.keep_alive != responses[i].keep_alive)
            fail_msg("%s: framing %d, keep %d", responses[i].head, r.framing, r.keep_alive);
        assert_int_equal(r.status, responses[i].code);
        assert_int_equal(r.length, responses[i].length);
        assert_int_equal(r.interim, responses[i].interim);
    }
}

/* --- bodies --- */

static const struct {
    enum http1_framing framing;
    uint64_t length;
    const char *bytes;
    enum http1_body_state end;
    size_t left;
} bodies[] = {
    {HTTP1_LENGTH, 5, "helloGET", HTTP1_BODY_END, 3},
    {HTTP1_LENGTH, 9, "hello", HTTP1_BODY_MORE, 0},
    {HTTP1_EMPTY, 0, "GET", HTTP1_BODY_END, 3},
    {HTTP1_UNTIL_CLOSE, 0, "anything", HTTP1_BODY_MORE, 0},
    {HTTP1_CHUNKED, 0, "5\r\nhello\r\n0\r\n\r\nGET", HTTP1_BODY_END, 3},
    {HTTP1_CHUNKED, 0, "A;x=\"y\"\r\n0123456789\r\n00\r\nT: v\r\nU: w\r\n\r\nG", HTTP1_BODY_END, 1},
    {HTTP1_CHUNKED, 0, "5 \r\nhello\r\n0\r\n\r\n", HTTP1_BODY_END, 0},
    {HTTP1_CHUNKED, 0, "5\r\nhello\r\n", HTTP1_BODY_MORE, 0},
    {HTTP1_CHUNKED, 0, "5\r\nhelloX\r\n", HTTP1_BODY_BAD, 0},
    {HTTP1_CHUNKED, 0, "5\nhello\n", HTTP1_BODY_BAD, 0},
    {HTTP1_CHUNKED, 0, "\r\n", HTTP1_BODY_BAD, 0},
    {HTTP1_CHUNKED, 0, "-5\r\n", HTTP1_BODY_BAD, 0},
    {HTTP1_CHUNKED, 0, "0x5\r\n", HTTP1_BODY_BAD, 0},
    {HTTP1_CHUNKED, 0, "ffffffffffffffffff\r\n", HTTP1_BODY_BAD, 0},
    {HTTP1_CHUNKED, 0, "0\r\n\n", HTTP1_BODY_BAD, 0},
    {HTTP1_CHUNKED, 0, "5;a\nb\r\n", HTTP1_BODY_BAD, 0},
};

static void bodies_end_in_any_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        for (size_t step = 1; step < 20; step++) {
            const char *p = bodies[i].bytes;
            size_t n = strlen(p), at = 0;
            struct http1_body b;
            enum http1_body_state s = HTTP1_BODY_MORE;

            http1_body_init(&b, bodies[i].framing, bodies[i].length);
            while (at < n && s == HTTP1_BODY_MORE) {
                size_t piece = n - at < step ? n - at : step, used;

                s = http1_body_feed(&b, p + at, piece, &used);
                assert_true(used <= piece && (used == piece || s != HTTP1_BODY_MORE));
                at += used;
            }
            if (s != bodies[i].end)
                fail_msg("%s in steps of %zu: %d", p, step, s);
            assert_int_equal(http1_body_is_over(&b), s == HTTP1_BODY_END);
            if (s == HTTP1_BODY_END)
                assert_int_equal(n - at, bodies[i].left);
        }
    }
}

static void endless_extensions_are_refused(void **state)
{
    static char junk[70 * 1024];
    struct http1_body b;
    size_t used;

    (void)state;
    memset(junk, 'x', sizeof(junk));
    http1_body_init(&b, HTTP1_CHUNKED, 0);
    assert_int_equal(http1_body_feed(&b, "1;", 2, &used), HTTP1_BODY_MORE);
    assert_int_equal(http1_body_feed(&b, junk, 5000, &used), HTTP1_BODY_BAD);
    http1_body_init(&b, HTTP1_CHUNKED, 0);
    assert_int_equal(http1_body_feed(&b, "0\r\n", 3, &used), HTTP1_BODY_MORE);
    assert_int_equal(http1_body_feed(&b, junk, sizeof(junk), &used), HTTP1_BODY_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(head_end_in_pieces),
        cmocka_unit_test(requests_parse_and_go_on),
        cmocka_unit_test(ambiguous_requests_are_refused),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(documents_are_told_by_their_fields),
        cmocka_unit_test(responses_parse),
        cmocka_unit_test(bodies_end_in_any_pieces),
        cmocka_unit_test(endless_extensions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
