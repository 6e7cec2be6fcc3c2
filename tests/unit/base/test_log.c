#include "tests/support/testing.h"

#include "core/base/clock.h"
#include "core/base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct clock_fake now;
static char lines[64 * 1024]; /* all that was written, a newline after each */
static size_t n_lines;

static void sink(void *arg, struct str line)
{
    size_t used = strlen(lines);

    assert_ptr_equal(arg, &now);
    assert_true(used + line.len + 2 < sizeof(lines));
    memcpy(lines + used, line.ptr, line.len);
    memcpy(lines + used + line.len, "\n", 2);
    n_lines++;
}

static int set_up(void **state maybe_unused)
{
    log_flush();
    clock_fake_init(&now, 1767323045678);
    log_set_clock(&now.clock);
    log_set(LOG_LEVEL_TRACE, LOG_FORMAT_TEXT);
    log_set_sink(sink, &now);
    lines[0] = '\0';
    n_lines = 0;
    return 0;
}

static int tear_down(void **state maybe_unused)
{
    log_flush();
    log_set_sink(NULL, NULL);
    log_set_clock(NULL);
    log_set(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
    return 0;
}

#define AT "2026-01-02T03:04:05.678Z"

static void test_text(void **state maybe_unused)
{
    log_warn(NULL, "task.leased", LOG_U64("task", 4), LOG_STR("target", "shop.example"));
    log_info(NULL, "plain");
    log_debug(NULL, "kinds", LOG_I64("i", -5), LOG_BOOL("yes", true), LOG_BOOL("no", false),
              LOG_U64("max", UINT64_MAX), LOG_I64("min", INT64_MIN));
    assert_string_equal(lines,
                        AT " warn task.leased task=4 target=shop.example\n" AT " info plain\n" AT
                           " debug kinds i=-5 yes=true no=false max=18446744073709551615 "
                           "min=-9223372036854775808\n");
}

static void test_text_quoting(void **state maybe_unused)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"bare:/._-%", "bare:/._-%"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"x\\y\"", "\"say \\\"x\\\\y\\\"\""},
        {"line\nline\t\x1b[31m\x7f", "\"line\\nline\\x09\\x1b[31m\\x7f\""},
        {"\xc3\xa4", "\"\xc3\xa4\""},
        {"\xc2\x9b"
         "31m\xc2\xa0",
         "\"\\u009b31m\xc2\xa0\""}, /* CSI as one character */
        {"\xff\xc3", "\"\\xff\\xc3\""},
    };
    char expected[256];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        lines[0] = '\0';
        log_debug(NULL, "e", LOG_STR("v", cases[i].in));
        (void)snprintf(expected, sizeof(expected), AT " debug e v=%s\n", cases[i].out);
        assert_string_equal(lines, expected);
    }
    lines[0] = '\0';
    log_debug(NULL, "e", LOG_STR("v", NULL));
    assert_string_equal(lines, AT " debug e v=-\n");
}

static void test_json(void **state maybe_unused)
{
    log_set(LOG_LEVEL_TRACE, LOG_FORMAT_JSON);
    log_warn(NULL, "task.leased", LOG_U64("task", 4), LOG_STR("target", "a \"b\"\n\x1b\xc3\xa4"));
    log_debug(NULL, "x", LOG_U64("big", 9007199254740992), LOG_U64("fits", 9007199254740991),
              LOG_I64("neg", -9007199254740992), LOG_BOOL("b", true), LOG_STR("none", NULL),
              LOG_SECRET("s", STR("abc")));
    assert_string_equal(
        lines, "{\"at\":\"" AT "\",\"event\":\"task.leased\",\"level\":\"warn\","
               "\"target\":\"a \\\"b\\\"\\n\\u001b\xc3\xa4\",\"task\":4}\n"
               "{\"at\":\"" AT "\",\"b\":true,\"big\":\"9007199254740992\",\"event\":\"x\","
               "\"fits\":9007199254740991,\"level\":\"debug\",\"neg\":\"-9007199254740992\","
               "\"none\":null,\"s\":\"[redacted]:3\"}\n");
}

static void test_errors_and_secrets(void **state maybe_unused)
{
    struct err e = ERR_INIT, empty = {.status = STATUS_TIMEOUT};

    (void)err_set_errno(&e, STATUS_IO, 28, "write results");
    log_error(NULL, "disk", LOG_ERR(&e), LOG_SECRET("token", STR("sesame")));
    log_error(NULL, "slow", LOG_ERR(&empty));
    assert_string_equal(lines, AT " error disk error=\"write results: No space left on device\" "
                                  "status=NO_SPACE errno=28 token=[redacted]:6\n" AT
                                  " error slow error=\"deadline passed\" status=TIMEOUT\n");
    assert_null(strstr(lines, "sesame"));
}

static void test_context(void **state maybe_unused)
{
    const struct log_field outer_fields[] = {LOG_STR("fleet", "f"), LOG_U64("n", 1)};
    const struct log_ctx outer = {NULL, outer_fields, ARRAY_LEN(outer_fields)};
    const struct log_field inner_fields[] = {LOG_U64("n", 2), LOG_U64("task", 9)};
    const struct log_ctx inner = {&outer, inner_fields, ARRAY_LEN(inner_fields)};

    log_info(&inner, "e", LOG_U64("task", 10), LOG_STR("x", "y"));
    assert_string_equal(lines, AT " info e fleet=f n=2 task=10 x=y\n");
}

static void test_levels(void **state maybe_unused)
{
    enum log_level level = LOG_LEVEL_ERROR;

    log_set(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    assert_true(log_enabled(LOG_LEVEL_ERROR) && log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
    log_debug(NULL, "hidden");
    assert_int_equal(n_lines, 0);
    assert_true(log_level_parse(STR("Debug"), &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_false(log_level_parse(STR("loud"), &level));
    assert_false(log_level_parse(STR_NONE, &level));
}

static void again(uint64_t n)
{
    log_warn(NULL, "again", LOG_U64("n", n));
}

static void test_repeats(void **state maybe_unused)
{
    for (uint64_t i = 0; i < 5; i++)
        again(i);
    log_warn(NULL, "again"); /* another place */
    assert_string_equal(lines, AT " warn again n=0\n" AT " warn again\n");
    lines[0] = '\0';
    clock_fake_advance_ms(&now, 1000);
    again(5);
    assert_string_equal(lines, "2026-01-02T03:04:06.678Z warn again n=5 repeated=4\n");
    lines[0] = '\0';
    again(6);
    assert_string_equal(lines, "");
    clock_fake_advance_ms(&now, 1000);
    log_info(NULL, "other"); /* brings out what is held and over */
    assert_string_equal(lines, "2026-01-02T03:04:07.678Z warn again repeated=1\n"
                               "2026-01-02T03:04:07.678Z info other\n");
    lines[0] = '\0';
    again(7);
    again(8);
    log_flush();
    assert_non_null(strstr(lines, "warn again repeated=1\n"));
    lines[0] = '\0';
    for (int i = 0; i < 3; i++)
        log_debug(NULL, "wire"); /* debug and trace are not counted */
    assert_int_equal(strlen(lines), 3 * strlen(AT " debug wire\n"));
}

static void test_long_values(void **state maybe_unused)
{
    static char big[LOG_VALUE_MAX + 10];
    const char *mark;

    memset(big, 'x', sizeof(big));
    memcpy(big + LOG_VALUE_MAX - 1, "\xc3\xa4", 2); /* across the cut */
    log_debug(NULL, "e", LOG_S("v", str_n(big, sizeof(big))), LOG_STR("w", "y"));
    mark = strstr(lines, "x[11-more-bytes] w=y\n");
    assert_non_null(mark);
    assert_int_equal(strlen(lines),
                     strlen(AT " debug e v=") + LOG_VALUE_MAX - 1 + strlen(mark) - 1);
    lines[0] = '\0';
    log_set(LOG_LEVEL_TRACE, LOG_FORMAT_JSON);
    log_debug(NULL, "e", LOG_S("v", str_n(big, sizeof(big))));
    assert_non_null(strstr(lines, "x[11 more bytes]\"}\n"));
}

static void test_too_many_fields(void **state maybe_unused)
{
    static char names[LOG_FIELDS_MAX + 10][8];
    struct log_field fields[LOG_FIELDS_MAX + 10];
    const struct log_ctx ctx = {NULL, fields, ARRAY_LEN(fields)};

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        (void)snprintf(names[i], sizeof(names[i]), "f%zu", i);
        fields[i] = LOG_U64(names[i], i);
    }
    log_set(LOG_LEVEL_TRACE, LOG_FORMAT_JSON);
    log_debug(&ctx, "e");
    assert_non_null(strstr(lines, "\"event\":\"e\""));
    assert_non_null(strstr(lines, "\"f63\":63"));
    assert_null(strstr(lines, "\"f64\""));
}

static void *log_much(void *arg)
{
    for (int i = 0; i < 200; i++) {
        log_debug(NULL, "thread", LOG_STR("who", arg));
        log_warn(NULL, "thread", LOG_STR("who", arg));
    }
    return NULL;
}

static void test_threads(void **state maybe_unused)
{
    char who[3][2] = {"a", "b", "c"};
    pthread_t t[3];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, log_much, who[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    assert_int_equal(n_lines, 601); /* 599 of the warnings were repeats */
    for (char *line = lines; *line; line += len + 1) {
        len = strcspn(line, "\n");
        assert_true(len == strlen(AT " debug thread who=a") ||
                    len == strlen(AT " warn thread who=a"));
    }
}

/* To standard error when there is no sink: whole lines, no colour where there is no terminal. */
static void test_standard_error(void **state maybe_unused)
{
    char *dir = test_mkdir(), path[512], *text;
    int saved = dup(STDERR_FILENO), fd;

    (void)snprintf(path, sizeof(path), "%s/log", dir);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && saved >= 0);
    log_set_sink(NULL, NULL);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    log_debug(NULL, "e", LOG_U64("n", 1));
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(fd);
    text = test_read_file(path, NULL);
    assert_string_equal(text, AT " debug e n=1\n");
    free(text);
    test_rmdir(&dir);
}

#define with_sink(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_sink(test_text),
        with_sink(test_text_quoting),
        with_sink(test_json),
        with_sink(test_errors_and_secrets),
        with_sink(test_context),
        with_sink(test_levels),
        with_sink(test_repeats),
        with_sink(test_long_values),
        with_sink(test_too_many_fields),
        with_sink(test_threads),
        with_sink(test_standard_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
