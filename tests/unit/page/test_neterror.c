#include "browser/page/neterror.h"

#include <string.h>

#include "tests/support/testing.h"

static void says(const char *text, unsigned redirects, const char *want)
{
    struct err e = ERR_INIT;

    neterror_say(text, "http://a/x", redirects, "http://a/", STATUS_NAVIGATION_FAILED, &e);
    assert_int_equal(e.status, STATUS_NAVIGATION_FAILED);
    assert_string_equal(e.text, want);
}

static void test_words(void **state)
{
    (void)state;
    says("net::ERR_NAME_NOT_RESOLVED", 0,
         "http://a/x: its name cannot be resolved (net::ERR_NAME_NOT_RESOLVED)");
    says("net::ERR_CERT_DATE_INVALID", 0,
         "http://a/x: the certificate has expired, or is not valid yet "
         "(net::ERR_CERT_DATE_INVALID)");
    says("net::ERR_CERT_WHATEVER", 0,
         "http://a/x: the certificate is not valid (net::ERR_CERT_WHATEVER)");
    says("net::ERR_CONNECTION_REFUSED", 0,
         "http://a/x: the connection was refused: nothing listens there "
         "(net::ERR_CONNECTION_REFUSED)");
    says("net::ERR_OF_TOMORROW", 0, "http://a/x: net::ERR_OF_TOMORROW");
    says("the answer is a download, which is refused", 0,
         "http://a/x: the answer is a download, which is refused");
}

/* What Fetch does not tell is most often TLS. */
static void test_tls(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    neterror_say("net::ERR_FAILED", "https://a/x", 0, NULL, STATUS_NAVIGATION_FAILED, &e);
    assert_non_null(strstr(err_text(&e), "mostly a certificate that is not trusted"));
}

static void test_redirects(void **state)
{
    (void)state;
    says("net::ERR_FAILED", 18,
         "http://a/x: it failed, and the browser did not say why (net::ERR_FAILED)");
    says("net::ERR_FAILED", 19, "redirect loop: 20 redirects from http://a/");
    says("net::ERR_TOO_MANY_REDIRECTS", 19, "redirect loop: 20 redirects from http://a/");
    says("net::ERR_ABORTED", 25, "http://a/x: the navigation was given up (net::ERR_ABORTED)");
}

static void test_reasons(void **state)
{
    (void)state;
    assert_string_equal(neterror_of_reason("NameNotResolved"), "net::ERR_NAME_NOT_RESOLVED");
    assert_string_equal(neterror_of_reason("Sunday"), "net::ERR_FAILED");
}

static void test_own(void **state)
{
    (void)state;
    assert_true(neterror_is_own("net::ERR_FAILED", 0));
    assert_true(neterror_is_own("net::ERR_ABORTED", 3));
    assert_true(neterror_is_own("net::ERR_PROXY_CONNECTION_FAILED", 0));
    assert_false(neterror_is_own("net::ERR_TUNNEL_CONNECTION_FAILED", 0));
    assert_false(neterror_is_own("net::ERR_FAILED", 19)); /* a loop is the target's */
    assert_false(neterror_is_own("net::ERR_CONNECTION_ABORTED", 0));
    assert_false(neterror_is_own("net::ERR_CERT_DATE_INVALID", 0));
    assert_false(neterror_is_own("the answer is a download, which is refused", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),     cmocka_unit_test(test_tls),
        cmocka_unit_test(test_redirects), cmocka_unit_test(test_reasons),
        cmocka_unit_test(test_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
