#include "core/op/outcome.h"

#include "tests/support/testing.h"

static void test_classify(void **state)
{
    static const struct {
        enum status run;
        struct op_observed seen;
        bool accept_4xx;
        enum status want;
    } cases[] = {
        {STATUS_OK,
         {.http_status = 200, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         false,
         STATUS_OK},
        {STATUS_OK,
         {.http_status = 0, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         false,
         STATUS_OK},
        {STATUS_OK,
         {.http_status = 429, .retry_after_ms = 1000, .block = NULL, .from_proxy = false},
         false,
         STATUS_HTTP_429},
        {STATUS_OK,
         {.http_status = 429, .retry_after_ms = 1000, .block = NULL, .from_proxy = false},
         true,
         STATUS_HTTP_429},
        {STATUS_OK,
         {.http_status = 403, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         true,
         STATUS_HTTP_403},
        {STATUS_OK,
         {.http_status = 404, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         false,
         STATUS_HTTP_4XX},
        {STATUS_OK,
         {.http_status = 404, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         true,
         STATUS_OK},
        {STATUS_OK,
         {.http_status = 503, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         true,
         STATUS_HTTP_5XX},
        /* a block page outranks its status, and a success */
        {STATUS_OK,
         {.http_status = 403, .retry_after_ms = -1, .block = "hcaptcha", .from_proxy = false},
         false,
         STATUS_CAPTCHA_DETECTED},
        {STATUS_OK,
         {.http_status = 200, .retry_after_ms = -1, .block = "hcaptcha", .from_proxy = false},
         false,
         STATUS_CAPTCHA_DETECTED},
        /* what the run says when nothing better was seen */
        {STATUS_TIMEOUT,
         {.http_status = 0, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         false,
         STATUS_TIMEOUT},
        {STATUS_TIMEOUT,
         {.http_status = 429, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         false,
         STATUS_HTTP_429},
        {STATUS_CANCELLED,
         {.http_status = 429, .retry_after_ms = -1, .block = NULL, .from_proxy = false},
         false,
         STATUS_CANCELLED},
        /* an answer of the proxy is not the target's */
        {STATUS_OK,
         {.http_status = 403, .retry_after_ms = -1, .block = NULL, .from_proxy = true},
         false,
         STATUS_PROXY_FAILED},
        {STATUS_PROXY_AUTH,
         {.http_status = 407, .retry_after_ms = -1, .block = NULL, .from_proxy = true},
         false,
         STATUS_PROXY_AUTH},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (outcome_classify(cases[i].run, &cases[i].seen, cases[i].accept_4xx) != cases[i].want)
            fail_msg("case %zu", i);
}

static void test_samples(void **state)
{
    static const struct {
        enum status s;
        bool from_proxy, sample, failure, hit, own_fault;
    } cases[] = {
        {STATUS_NAVIGATION_FAILED, false, true, true, false, false},
        {STATUS_NAVIGATION_FAILED, false, false, true, false, true},
        {STATUS_HTTP_5XX, false, true, true, false, true}, /* it was seen: whose else */
        {STATUS_OK, false, true, false, false, false},
        {STATUS_HTTP_4XX, false, true, false, false, false},
        {STATUS_HTTP_5XX, false, true, true, false, false},
        {STATUS_HTTP_429, false, true, true, true, false},
        {STATUS_HTTP_403, false, true, true, true, false},
        {STATUS_CAPTCHA_DETECTED, false, true, true, true, false},
        {STATUS_TIMEOUT, false, true, true, false, false},
        {STATUS_TIMEOUT, true, false, true, false, false},
        {STATUS_PROXY_FAILED, true, false, false, false, false},
        {STATUS_ELEMENT_NOT_FOUND, false, false, false, false, false},
        {STATUS_POLICY_DENIED, false, false, false, false, false},
        {STATUS_RATE_LIMITED, false, false, false, false, false},
        {STATUS_BREAKER_OPEN, false, false, false, false, false},
        {STATUS_CANCELLED, false, false, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct op_observed seen = {.from_proxy = cases[i].from_proxy,
                                   .own_fault = cases[i].own_fault};

        assert_int_equal(outcome_is_sample(cases[i].s, &seen), cases[i].sample);
        assert_int_equal(outcome_is_target_failure(cases[i].s), cases[i].failure);
        assert_int_equal(outcome_is_reputation_hit(cases[i].s), cases[i].hit);
    }
}

static void test_retry_after(void **state)
{
    const uint64_t wall = 1700000000000; /* Tue, 14 Nov 2023 22:13:20 GMT */
    static const struct {
        const char *value;
        int64_t want;
    } cases[] = {
        {"0", 0},
        {"3", 3000},
        {" 120 ", 120000},
        {"999999999", 86400000},
        {"Tue, 14 Nov 2023 22:13:25 GMT", 5000},
        {"Tuesday, 14-Nov-23 22:13:25 GMT", 5000},
        {"Tue Nov 14 22:13:25 2023", 5000},
        {"Tue, 14 Nov 2023 22:13:10 GMT", 0},
        {"", -1},
        {"-1", -1},
        {"soon", -1},
        {"1.5", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(outcome_retry_after_ms(str_from(cases[i].value), wall), cases[i].want);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classify),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_retry_after),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
