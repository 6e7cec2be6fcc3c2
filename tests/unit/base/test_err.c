#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/err.h"
#include "core/base/str.h"

static void test_every_status_has_a_row(void **state maybe_unused)
{
    for (int i = 0; i < STATUS_COUNT; i++) {
        enum status s = (enum status)i, found = STATUS_COUNT;

        assert_true(status_find(status_name(s), &found));
        assert_int_equal(found, s);
        assert_true(strlen(status_text(s)) > 0);
        assert_in_range(status_http(s), 200, 599);
        assert_in_range(status_exit(s), 0, 9);
    }
    assert_false(status_find("NO_SUCH", &(enum status){STATUS_OK}));
    assert_int_equal(status_http(STATUS_HTTP_429), 429);
    assert_int_equal(status_exit(STATUS_BREAKER_OPEN), EXIT_BREAKER);
    assert_false(status_retryable(STATUS_OUTCOME_UNKNOWN));
    assert_true(status_retryable(STATUS_TIMEOUT));
}

static void test_set_and_prefix(void **state maybe_unused)
{
    struct err e = ERR_INIT;

    assert_string_equal(err_text(&e), "ok");
    assert_int_equal(err_set(&e, STATUS_CLOSED, "pipe %d closed", 7), STATUS_CLOSED);
    e.peer_code = 3;
    assert_int_equal(err_prefix(&e, "attach %s", "target"), STATUS_CLOSED);
    assert_string_equal(err_text(&e), "attach target: pipe 7 closed");
    assert_int_equal(e.peer_code, 3);
    assert_int_equal(err_set(&e, STATUS_INVALID, "again: %s", e.text), STATUS_INVALID);
    assert_string_equal(e.text, "again: attach target: pipe 7 closed");
    assert_int_equal(e.peer_code, 0);
    err_clear(&e);
    assert_int_equal(e.status, STATUS_OK);
    e.status = STATUS_TIMEOUT;
    assert_int_equal(err_prefix(&e, "op"), STATUS_TIMEOUT);
    assert_string_equal(e.text, "op: deadline passed");
}

static void test_null_is_fine(void **state maybe_unused)
{
    assert_int_equal(err_set(NULL, STATUS_IO, "x"), STATUS_IO);
    assert_int_equal(err_set_errno(NULL, STATUS_IO, ENOSPC, "x"), STATUS_NO_SPACE);
    assert_int_equal(err_prefix(NULL, "x"), STATUS_INTERNAL);
    err_clear(NULL);
}

static void test_errno_chooses_the_status(void **state maybe_unused)
{
    static const struct {
        int errnum;
        enum status status;
    } cases[] = {
        {ENOSPC, STATUS_NO_SPACE},   {EDQUOT, STATUS_NO_SPACE},  {ENOMEM, STATUS_NO_MEMORY},
        {EACCES, STATUS_PERMISSION}, {EPERM, STATUS_PERMISSION}, {EROFS, STATUS_PERMISSION},
        {EPIPE, STATUS_IO},
    };
    struct err e;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(err_set_errno(&e, STATUS_IO, cases[i].errnum, "write a"), cases[i].status);
        assert_int_equal(e.sys_errno, cases[i].errnum);
    }
    assert_string_equal(e.text, "write a: Broken pipe");
}

static void test_long_text_is_cut_between_characters(void **state maybe_unused)
{
    char text[2 * ERR_TEXT_MAX];
    struct err e;

    for (size_t shift = 0; shift < 3;
         shift++) { /* three bytes a character: all ways to meet the end */
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof(text); i += 3)
            memcpy(text + i, "\xe2\x82\xac", 4);
        err_set(&e, STATUS_INVALID, "%s", text);
        assert_in_range(strlen(e.text), ERR_TEXT_MAX - 3, ERR_TEXT_MAX - 1);
        assert_true(str_is_utf8(str_from(e.text)));
        err_prefix(&e, "p");
        assert_true(str_is_utf8(str_from(e.text)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_a_row),
        cmocka_unit_test(test_set_and_prefix),
        cmocka_unit_test(test_null_is_fine),
        cmocka_unit_test(test_errno_chooses_the_status),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
