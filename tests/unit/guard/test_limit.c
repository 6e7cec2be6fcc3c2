#include "core/guard/limit.h"

#include "tests/support/testing.h"

static const struct limit_rate two_a_second = {2, 1000};

static void test_rates_that_are_refused(void **state)
{
    static const struct {
        struct limit_rate rate;
        bool trusted;
        enum status want;
    } cases[] = {
        {{2, 1000}, false, STATUS_OK},
        {{10, 1000}, false, STATUS_OK},
        {{0.1, 1000}, false, STATUS_OK},
        {{0, 1000}, false, STATUS_INVALID},
        {{-1, 1000}, true, STATUS_INVALID},
        {{1.0 / 0.0, 1000}, true, STATUS_INVALID},
        {{0.0 / 0.0, 1000}, true, STATUS_INVALID},
        {{2, 0}, true, STATUS_INVALID},
        {{11, 1000}, false, STATUS_INVALID},
        {{11, 1000}, true, STATUS_OK},
        {{2, 100}, false, STATUS_INVALID},
        {{2, 100}, true, STATUS_OK},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;

        assert_int_equal(limit_rate_check(cases[i].rate, cases[i].trusted, &e), cases[i].want);
        if (cases[i].want != STATUS_OK)
            assert_true(e.text[0] != '\0');
    }
}

static void test_takes_a_burst_then_waits(void **state)
{
    struct limiter *l = limiter_create(two_a_second);

    (void)state;
    assert_int_equal(limiter_take(l, STR("a"), 1000), 0);
    assert_int_equal(limiter_take(l, STR("a"), 1000), 0);
    assert_int_equal(limiter_take(l, STR("a"), 1000), 500);
    assert_int_equal(limiter_take(l, STR("b"), 1000), 0); /* each target has its own */
    assert_int_equal(limiter_take(l, STR("a"), 1499), 1);
    assert_int_equal(limiter_take(l, STR("a"), 1500), 0);
    assert_int_equal(limiter_take(l, STR("a"), 1500), 500);
    limiter_destroy(&l);
}

static void test_never_more_than_rate_and_bucket(void **state)
{
    struct limiter *l = limiter_create(two_a_second);
    unsigned taken = 0;

    (void)state;
    for (uint64_t now = 0; now < 60000; now += 7)
        taken += limiter_take(l, STR("a"), now) == 0;
    assert_in_range(taken, 118, 122);
    limiter_destroy(&l);
}

static void test_the_wait_is_enough(void **state)
{
    static const struct limit_rate rates[] = {
        {2, 1000}, {3, 1000}, {7, 1300}, {1, 30000}, {0.3, 1000}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        struct limiter *l = limiter_create(rates[i]);
        uint64_t now = 5, wait;

        for (int n = 0; n < 50; n++) {
            while ((wait = limiter_take(l, STR("a"), now)) > 0) {
                now += wait;
                assert_int_equal(limiter_wait_ms(l, STR("a"), now), 0);
            }
        }
        limiter_destroy(&l);
    }
}

static void test_public_targets_are_capped(void **state)
{
    struct limiter *l = limiter_create((struct limit_rate){1000, 1000});
    unsigned open = 0, trusted = 0;

    (void)state;
    limiter_trust(l, STR("mine"));
    for (uint64_t now = 0; now < 10000; now++) {
        open += limiter_take(l, STR("public"), now) == 0;
        trusted += limiter_take(l, STR("mine"), now) == 0;
    }
    assert_in_range(open, 100, 111);
    assert_in_range(trusted, 9900, 11000);
    limiter_destroy(&l);
}

static void test_retry_after_holds_everybody(void **state)
{
    struct limiter *l = limiter_create(two_a_second);

    (void)state;
    assert_int_equal(limiter_take(l, STR("a"), 0), 0);
    assert_int_equal(limiter_slow(l, STR("a"), 3000, 100), 3100);
    assert_int_equal(limiter_take(l, STR("a"), 200), 2900);
    assert_int_equal(limiter_slow(l, STR("a"), 1000, 200), 3100); /* never shorter than promised */
    assert_int_equal(limiter_take(l, STR("a"), 3100), 0);
    assert_int_equal(limiter_take(l, STR("b"), 200), 0);
    limiter_destroy(&l);
}

static void test_429_without_delay_halves_and_recovers(void **state)
{
    struct limiter *l = limiter_create(two_a_second);
    struct limit_state s;
    uint64_t now = 0, wait;

    (void)state;
    limiter_slow(l, STR("a"), -1, now);
    assert_true(limiter_get(l, STR("a"), now, &s));
    assert_true(s.rate_per_s > 0.99 && s.rate_per_s < 1.01);
    for (int i = 0; i < 40; i++)
        limiter_slow(l, STR("a"), -1, now);
    assert_true(limiter_get(l, STR("a"), now, &s));
    assert_true(s.rate_per_s >= 1.0 / 31);
    for (int n = 0; n < 400; n++)
        while ((wait = limiter_take(l, STR("a"), now)) > 0)
            now += wait;
    assert_true(limiter_get(l, STR("a"), now, &s));
    assert_true(s.rate_per_s > 1.99);
    assert_int_equal(s.hits_429, 41);
    limiter_destroy(&l);
}

static void test_crawl_delay_only_slows(void **state)
{
    struct limiter *l = limiter_create(two_a_second);

    (void)state;
    limiter_set_crawl_delay(l, STR("a"), 5000);
    assert_int_equal(limiter_take(l, STR("a"), 0), 0);
    assert_int_equal(limiter_take(l, STR("a"), 1000), 4000);
    assert_int_equal(limiter_take(l, STR("a"), 5000), 0);
    limiter_set_crawl_delay(l, STR("b"), 1);
    assert_int_equal(limiter_take(l, STR("b"), 0), 0);
    assert_int_equal(limiter_take(l, STR("b"), 1), 0);
    assert_int_equal(limiter_take(l, STR("b"), 2), 498);
    limiter_destroy(&l);
}

/* Tokens were taken before robots.txt was read, or before a 429 came: the gap and the wait hold for
 * the requests. */
static void test_prepaid_requests_keep_the_gap(void **state)
{
    struct limiter *l = limiter_create(two_a_second);
    struct str a = STR("a");

    (void)state;
    assert_int_equal(limiter_take(l, a, 1000), 0);
    assert_int_equal(limiter_take(l, a, 1000), 0);
    limiter_set_crawl_delay(l, a, 5000);
    assert_int_equal(limiter_let_go(l, a, true, 1100), 0);
    assert_int_equal(limiter_let_go(l, a, true, 1200), 4900);
    assert_int_equal(limiter_let_go(l, a, true, 6099), 1);
    assert_int_equal(limiter_let_go(l, a, true, 6100), 0);
    assert_int_equal(limiter_let_go(l, a, false, 6100), 5000); /* one that has no token yet */
    assert_int_equal(limiter_let_go(l, a, false, 11100), 0);
    limiter_slow(l, a, 20000, 16100);
    assert_int_equal(limiter_let_go(l, a, true, 16100), 20000);
    assert_int_equal(limiter_let_go(l, STR("b"), true, 16100), 0);
    limiter_destroy(&l);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_that_are_refused),
        cmocka_unit_test(test_takes_a_burst_then_waits),
        cmocka_unit_test(test_never_more_than_rate_and_bucket),
        cmocka_unit_test(test_the_wait_is_enough),
        cmocka_unit_test(test_public_targets_are_capped),
        cmocka_unit_test(test_retry_after_holds_everybody),
        cmocka_unit_test(test_429_without_delay_halves_and_recovers),
        cmocka_unit_test(test_crawl_delay_only_slows),
        cmocka_unit_test(test_prepaid_requests_keep_the_gap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
