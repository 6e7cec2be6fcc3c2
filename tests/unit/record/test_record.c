#include "tests/support/testing.h"

#include "core/record/record.h"

#define Z64 "0000000000000000000000000000000000000000000000000000000000000000"
#define MIN                                                                                        \
    "{\"hlc\":[1,0],\"id\":\"i\",\"kind\":\"op\",\"log\":\"L\",\"prev\":\"" Z64                    \
    "\",\"seq\":0,\"v\":1}"

static const struct {
    const char *line;
    const char *fault; /* NULL: it is a record */
} rows[] = {
    {MIN, NULL},
    {"{\"hlc\":[1,0],\"id\":\"\\u001f\\n\xc3\xa4\",\"kind\":\"op\",\"log\":\"L\",\"prev\":\"" Z64
     "\",\"seq\":0,\"v\":1}",
     NULL},
    {"{\"fence\":9007199254740991,\"hlc\":[1,0],\"id\":\"i\",\"kind\":\"op\",\"log\":\"L\",\"new\":"
     "true,"
     "\"prev\":\"" Z64 "\",\"seq\":0,\"v\":1,\"w\":\"later\"}",
     NULL},
    {"", "expected '{'"},
    {"{}", "expected a string"},
    {MIN " ", "bytes after"},
    {"{\"fence\":9007199254740992}", "2^53"},
    {"{\"fence\":01}", "leading zero"},
    {"{\"fence\":-1}", "integer"},
    {"{\"fence\":1.5}", "expected ','"},
    {"{\"fence\":\"1\"}", "integer"},
    {"{\"fence\":1,\"fence\":1}", "order"},
    {"{\"hlc\":[1,0],\"fence\":1}", "order"},
    {"{\"fence\":1,\"id\":\"i\"}", "required"},
    {"{\"hlc\":[1],\"id\":\"i\"}", "[ms,counter]"},
    {"{\"hlc\":[1,4294967296]}", "counter"},
    {"{\"hlc\":[1,0],\"id\":\"i\"}", "required"},
    {"{\"hlc\":[1,0],\"id\":\"\\u0041\"}", "canonical"},
    {"{\"hlc\":[1,0],\"id\":\"\\u000a\"}", "canonical"},
    {"{\"hlc\":[1,0],\"id\":\"\\/\"}", "canonical"},
    {"{\"hlc\":[1,0],\"id\":\"\\u001F\"}", "canonical"},
    {"{\"hlc\":[1,0],\"id\":\"a\tb\"}", "control"},
    {"{\"hlc\":[1,0],\"id\":\"a", "without end"},
    {"{\"hlc\":[1,0],\"id\":\"i\",\"kind\":\"op\",\"log\":\"L\",\"prev\":\"00\",\"seq\":0,\"v\":1}",
     "64 hex"},
    {"{\"a\\n\":1}", "ASCII"},
    {"{\"a\":null}", "integer"},
    {"{\"a\":{}}", "integer"},
    {"{\"hlc\":[1,0],\"id\":\"i\",\"kind\":\"op\",\"log\":\"L\",\"prev\":\"" Z64
     "\",\"seq\":0,\"v\":2}",
     "version"},
    {"{\"hlc\":[1,0],\"id\":\"\xff\",\"kind\":\"op\",\"log\":\"L\",\"prev\":\"" Z64
     "\",\"seq\":0,\"v\":1}",
     "UTF-8"},
    {"{\"hlc\":[1,0],\"id\":\"i\",\"kind\":\"op\",\"log\":\"L\",\"prev\":\"" Z64
     "\",\"seq\":0,\"v\":1,\"zsig\":\"AAAA\"}",
     "base64 of 64"},
};

static void test_decode(void **state maybe_unused)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct record_fault fault = {0};
        struct record r;
        bool ok = record_decode(str_from(rows[i].line), &r, &fault);

        if (ok != !rows[i].fault)
            fail_msg("row %zu: %s at %zu", i, ok ? "taken" : fault.what, fault.at);
        if (!ok && !strstr(fault.what, rows[i].fault))
            fail_msg("row %zu: \"%s\", expected \"%s\"", i, fault.what, rows[i].fault);
        if (!ok)
            assert_true(fault.at <= strlen(rows[i].line));
    }
}

/* Every member that a receipt can have comes out as it went in, and the line is what jq -cS would
 * print. */
static void test_round_trip(void **state maybe_unused)
{
    unsigned char parent[32], closes[32], sig[RECORD_SIG];
    struct merkle_hash prev, ph, forest;
    const struct receipt receipt = {.kind = "campaign.close",
                                    .member = "m \"1\"",
                                    .op = "page.navigate",
                                    .target = "t\xc3\xa4st.example",
                                    .proxy = "p\\1",
                                    .outcome = "HTTP_429",
                                    .fence = RECORD_INT_MAX,
                                    .parent = parent,
                                    .closes = closes,
                                    .payload = STR("{}")};
    const struct record_place at = {
        .seq = 12, .prev = &prev, .payload = &ph, .forest = &forest, .children = 7};
    struct buf text = BUF_INIT(8192);
    struct record_pieces pieces;
    char line[RECORD_BUILD_MAX];
    struct record_fault fault;
    struct record r;
    struct err e = ERR_INIT;
    char head[RECORD_BUILD_MAX];
    size_t n, unsigned_len;

    memset(parent, 1, 32);
    memset(closes, 2, 32);
    memset(&prev, 3, 32);
    memset(&ph, 4, 32);
    memset(&forest, 5, 32);
    memset(sig, 6, sizeof(sig));
    assert_int_equal(record_prepare(&receipt, (struct hlc_time){99, 3}, "the-id", "the-log", true,
                                    &text, &pieces, &e),
                     STATUS_OK);
    unsigned_len = n = record_build(line, text.ptr, &pieces, &at);
    assert_true(record_decode(str_n(line, n), &r, &fault));
    assert_false(r.has_sig);
    assert_true(str_starts(str_n(line, n), str_n(head, record_head(head, text.ptr, &pieces, &at))));
    assert_true(
        str_ends(str_n(head, record_head(head, text.ptr, &pieces, &at)), STR(",\"prev\":\"")));
    n = record_add_signature(line, n, sig);
    assert_int_equal(n, unsigned_len + RECORD_SIG_TEXT);
    if (!record_decode(str_n(line, n), &r, &fault))
        fail_msg("%s at %zu: %.*s", fault.what, fault.at, (int)n, line);
    assert_int_equal(r.seq, 12);
    assert_int_equal(r.fence, RECORD_INT_MAX);
    assert_int_equal(r.children, 7);
    assert_int_equal(r.hlc.ms, 99);
    assert_int_equal(r.hlc.counter, 3);
    assert_true(str_eqz(r.id, "the-id") && str_eqz(r.log, "the-log"));
    assert_true(str_eqz(r.member, "m \\\"1\\\"") && str_eqz(r.proxy, "p\\\\1"));
    assert_true(str_eqz(r.target, "t\xc3\xa4st.example") && str_eqz(r.outcome, "HTTP_429"));
    assert_true(r.has_parent && r.has_of && r.has_forest && r.has_ph && r.has_sig);
    assert_memory_equal(r.parent.b, parent, 32);
    assert_memory_equal(r.of.b, closes, 32);
    assert_memory_equal(r.forest.b, &forest, 32);
    assert_memory_equal(r.ph.b, &ph, 32);
    assert_memory_equal(r.prev.b, &prev, 32);
    assert_memory_equal(r.sig, sig, sizeof(sig));
    assert_int_equal(r.sig_at, unsigned_len - 1);
    buf_deinit(&text);
}

static void test_limits(void **state maybe_unused)
{
    char big[5000];
    struct receipt r = {.kind = "op", .op = big};
    struct buf text = BUF_INIT(8192);
    struct record_pieces pieces;
    const struct record_place at = {.seq = RECORD_INT_MAX, .prev = &(struct merkle_hash){{0}}};
    unsigned char sig[RECORD_SIG] = {0};
    char line[RECORD_BUILD_MAX];
    size_t longest = 0;

    memset(big, 'x', sizeof(big));
    for (size_t n = 3500; n < 4200; n++) {
        struct err e = ERR_INIT;
        enum status s;

        big[n] = '\0';
        buf_reset(&text);
        s = record_prepare(&r, (struct hlc_time){RECORD_INT_MAX, UINT32_MAX}, "i", "l", true, &text,
                           &pieces, &e);
        big[n] = 'x';
        if (s != STATUS_OK) {
            assert_int_equal(s, STATUS_TOO_LARGE);
            assert_non_null(strstr(e.text, "4096"));
            continue;
        }
        longest = record_add_signature(line, record_build(line, text.ptr, &pieces, &at), sig);
        assert_true(longest <= AUDIT_LINE_MAX);
    }
    assert_true(longest > AUDIT_LINE_MAX - 8); /* what fits is not refused */
    r = (struct receipt){.kind = "op", .fence = RECORD_INT_MAX + 1};
    assert_int_equal(record_prepare(&r, (struct hlc_time){0}, "i", "l", true, &text, &pieces, NULL),
                     STATUS_INVALID);
    r = (struct receipt){.fence = 1};
    assert_int_equal(record_prepare(&r, (struct hlc_time){0}, "i", "l", true, &text, &pieces, NULL),
                     STATUS_INVALID);
    buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
