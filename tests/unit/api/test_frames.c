/* Frames of a client, as bytes: what comes of them is the same whether they come at once, in two
 * parts, wherever these are parted, or byte by byte. What breaks a rule ends with its code. */
#include "core/api/frames.h"

#include <stdio.h>
#include <string.h>

#include "core/api/ws.h"
#include "core/base/attr.h"
#include "tests/support/testing.h"

enum { MESSAGE_MAX = 70000 };

static struct {
    struct buf said; /* what was told, as text */
} heard;

static void say_message(void *arg, struct str m, bool binary)
{
    (void)arg;
    if (m.len > 100)
        buf_addf(&heard.said, "%s of %zu;", binary ? "binary" : "text", m.len);
    else
        buf_addf(&heard.said, "%s %.*s;", binary ? "binary" : "text", STR_ARG(m));
}

static void say_ping(void *arg, struct str p)
{
    (void)arg;
    buf_addf(&heard.said, "ping %.*s;", STR_ARG(p));
}

static void say_pong(void *arg)
{
    (void)arg;
    buf_adds(&heard.said, "pong;");
}

static void say_close(void *arg, unsigned code, struct str reason)
{
    (void)arg;
    buf_addf(&heard.said, "close %u %.*s;", code, STR_ARG(reason));
}

/* --- frames --- */

static const unsigned char mask[4] = {0x9c, 0x01, 0xff, 0x37};

static void put_head(struct buf *b, unsigned first, unsigned second, uint64_t wide, size_t bytes)
{
    buf_addc(b, (char)first);
    buf_addc(b, (char)second);
    while (bytes-- > 0)
        buf_addc(b, (char)(wide >> 8 * bytes & 0xff));
    buf_add(b, mask, sizeof(mask));
}

static void put_payload(struct buf *b, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addc(b, (char)((unsigned char)p[i] ^ mask[i % 4]));
}

static void put(struct buf *b, unsigned first, const char *p, size_t n)
{
    if (n < 126)
        put_head(b, first, 0x80u | (unsigned)n, 0, 0);
    else
        put_head(b, first, n < 65536 ? 0xfe : 0xff, n, n < 65536 ? 2 : 8);
    put_payload(b, p, n);
}

#define PUT(b, first, text) put(b, first, text, sizeof(text) - 1)

/* Feeds the bytes, parted at `cut`; 0: byte by byte. */
static unsigned feed(const struct buf *bytes, size_t cut)
{
    static const struct frames_to to = {say_message, say_ping, say_pong, say_close, NULL};
    unsigned char *copy = malloc(bytes->len + 1);
    struct frames f;
    unsigned code = 0;

    memcpy(copy, bytes->ptr, bytes->len);
    buf_reset(&heard.said);
    frames_init(&f, &to, MESSAGE_MAX);
    if (cut > 0) {
        (void)frames_take(&f, copy, cut);
        code = frames_take(&f, copy + cut, bytes->len - cut);
    } else {
        for (size_t i = 0; i < bytes->len; i++)
            code = frames_take(&f, copy + i, 1);
    }
    assert_true((code == 0) == (f.why == NULL));
    frames_deinit(&f);
    free(copy);
    return code;
}

static void expect(const struct buf *bytes, unsigned code, const char *said)
{
    size_t step = bytes->len > 200 ? 997 : 1;

    for (size_t cut = 0; cut <= bytes->len; cut += step) {
        unsigned got = feed(bytes, cut);
        const char *text = heard.said.len > 0 ? heard.said.ptr : "";

        if (got != code || strcmp(text, said) != 0)
            fail_msg("parted at %zu of %zu: %u, \"%s\"; expected %u, \"%s\"", cut, bytes->len, got,
                     text, code, said);
    }
}

static void test_messages(void **state)
{
    static char large[MESSAGE_MAX];
    struct buf b = BUF_INIT(1 << 20);

    (void)state;
    memset(large, 'x', sizeof(large));
    PUT(&b, 0x81, "hello");
    PUT(&b, 0x82, "\xff");
    PUT(&b, 0x81, "");
    PUT(&b, 0x01, "one ");
    PUT(&b, 0x89, "p");
    PUT(&b, 0x00, "");
    PUT(&b, 0x00, "two ");
    PUT(&b, 0x8a, "");
    PUT(&b, 0x80, "three");
    PUT(&b, 0x01, "");
    PUT(&b, 0x80, "");
    PUT(&b, 0x88,
        "\x03\xe8"
        "bye");
    PUT(&b, 0x81, "not looked at");
    expect(&b, 0,
           "text hello;binary \xff;text ;ping p;pong;text one two three;text ;close 1000 bye;");
    buf_reset(&b);
    put(&b, 0x81, large, 126);
    put(&b, 0x82, large, 65535);
    put(&b, 0x81, large, 65536);
    put(&b, 0x01, large, 69000);
    put(&b, 0x80, large, 900);
    PUT(&b, 0x88, "");
    expect(&b, 0, "text of 126;binary of 65535;text of 65536;text of 69900;close 0 ;");
    buf_deinit(&b);
}

static void test_broken(void **state)
{
    static const struct {
        const char *what;
        unsigned first, second; /* of the head, without a payload but `more` */
        uint64_t wide;
        size_t wide_bytes;
        const char *more;
        size_t more_len;
        unsigned code;
    } rows[] = {
        {"a reserved opcode", 0x83, 0x80, 0, 0, "", 0, WS_PROTOCOL},
        {"a reserved control opcode", 0x8b, 0x80, 0, 0, "", 0, WS_PROTOCOL},
        {"a reserved bit", 0xc1, 0x80, 0, 0, "", 0, WS_PROTOCOL},
        {"no mask", 0x81, 0x01, 0, 0, "x", 1, WS_PROTOCOL},
        {"a ping in fragments", 0x09, 0x80, 0, 0, "", 0, WS_PROTOCOL},
        {"a ping of 126 bytes", 0x89, 0xfe, 126, 2, "", 0, WS_PROTOCOL},
        {"a continuation of nothing", 0x80, 0x80, 0, 0, "", 0, WS_PROTOCOL},
        {"more than is taken", 0x81, 0xff, MESSAGE_MAX + 1, 8, "", 0, WS_TOO_LARGE},
        {"2^62 bytes", 0x82, 0xff, UINT64_C(1) << 62, 8, "", 0, WS_TOO_LARGE},
        {"2^63 bytes", 0x82, 0xff, UINT64_C(1) << 63, 8, "", 0, WS_PROTOCOL},
        {"125 bytes in two", 0x81, 0xfe, 125, 2, "", 0, WS_PROTOCOL},
        {"65535 bytes in eight", 0x81, 0xff, 65535, 8, "", 0, WS_PROTOCOL},
        {"no UTF-8", 0x81, 0x81, 0, 0, "\xff", 1, WS_INVALID},
        {"half a code", 0x88, 0x81, 0, 0, "\x03", 1, WS_PROTOCOL},
        {"a code of 1004", 0x88, 0x82, 0, 0, "\x03\xec", 2, WS_PROTOCOL},
        {"a code of 1015", 0x88, 0x82, 0, 0, "\x03\xf7", 2, WS_PROTOCOL},
        {"a code of 2999", 0x88, 0x82, 0, 0, "\x0b\xb7", 2, WS_PROTOCOL},
        {"a code of 5000", 0x88, 0x82, 0, 0, "\x13\x88", 2, WS_PROTOCOL},
        {"a reason that is no UTF-8", 0x88, 0x83, 0, 0, "\x03\xe8\xff", 3, WS_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct buf b = BUF_INIT(4096);

        PUT(&b, 0x89, "before");
        put_head(&b, rows[i].first, rows[i].second, rows[i].wide, rows[i].wide_bytes);
        put_payload(&b, rows[i].more, rows[i].more_len);
        PUT(&b, 0x89, "after");
        expect(&b, rows[i].code, "ping before;");
        buf_deinit(&b);
    }
}

static void test_parts_that_do_not_fit(void **state)
{
    static char half[MESSAGE_MAX / 2 + 1];
    struct buf b = BUF_INIT(1 << 20);

    (void)state;
    memset(half, 'x', sizeof(half));
    PUT(&b, 0x01, "a");
    PUT(&b, 0x81, "b");
    expect(&b, WS_PROTOCOL, "");
    buf_reset(&b);
    PUT(&b, 0x01, "a\xe2\x82");
    PUT(&b, 0x80, "\xac"); /* a character in two parts is one */
    PUT(&b, 0x01, "a\xe2\x82");
    PUT(&b, 0x80, "");
    expect(&b, WS_INVALID, "text a\xe2\x82\xac;");
    buf_reset(&b);
    put(&b, 0x02, half, sizeof(half));
    put(&b, 0x80, half, sizeof(half));
    expect(&b, WS_TOO_LARGE, "");
    buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_parts_that_do_not_fit),
    };
    int failed;

    buf_init(&heard.said, 1 << 20);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_deinit(&heard.said);
    return failed;
}
