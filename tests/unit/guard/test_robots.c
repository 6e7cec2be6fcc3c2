/* Rules of RFC 9309 and its examples, and the cache with a scripted fetcher. */
#include "core/guard/robots.h"

#include "tests/support/testing.h"

static void test_matching(void **state)
{
    static const struct {
        const char *file, *path;
        bool allow;
    } cases[] = {
        {"", "/x", true},
        {"User-agent: *\nDisallow:\n", "/x", true},
        {"User-agent: *\nDisallow: /\n", "/x", false},
        {"User-agent: *\nDisallow: /\n", "/robots.txt", true},
        {"User-agent: other\nDisallow: /\n", "/x", true},
        {"User-agent: Fleet/2.0\nDisallow: /\n", "/x", false},
        {"User-agent: fleetwood\nDisallow: /\n", "/x", true},
        /* the longest match wins, allow on a tie (§2.2.2) */
        {"User-agent: *\nDisallow: /example/page/\nAllow: /example/page/disallowed.gif\n",
         "/example/page/disallowed.gif", true},
        {"User-agent: *\nDisallow: /a\nAllow: /a\n", "/a", true},
        {"User-agent: *\nAllow: /p\nDisallow: /\n", "/page", true},
        {"User-agent: *\nAllow: /$\nDisallow: /\n", "/", true},
        {"User-agent: *\nAllow: /$\nDisallow: /\n", "/page.htm", false},
        {"User-agent: *\nDisallow: /*.php$\n", "/a/b.php", false},
        {"User-agent: *\nDisallow: /*.php$\n", "/a/b.php5", true},
        {"User-agent: *\nDisallow: /fish*.php\n", "/fishheads/catfish.php?x=1", false},
        {"User-agent: *\nDisallow: /fish*.php\n", "/Fish.PHP", true},
        {"User-agent: *\nDisallow: *secret\n", "/a/secret", false},
        /* percent encoding is normalised on both sides */
        {"User-agent: *\nDisallow: /foo/bar?baz=http://foo.bar\n", "/foo/bar?baz=http://foo.bar",
         false},
        {"User-agent: *\nDisallow: /foo/\xe3\x83\x84\n", "/foo/%E3%83%84", false},
        {"User-agent: *\nDisallow: /%62\n", "/b", false},
        {"User-agent: *\nDisallow: /a%3cd\n", "/a%3Cd", false},
        /* groups of the same agent count together; a named group replaces the star group */
        {"User-agent: fleet\nDisallow: /a\n\nUser-agent: *\nDisallow: /\n\nUser-agent: fleet\n"
         "Disallow: /b\n",
         "/b", false},
        {"User-agent: fleet\nDisallow: /a\n\nUser-agent: *\nDisallow: /\n", "/c", true},
        {"User-agent: x\nUser-agent: fleet\nDisallow: /\n", "/c", false},
        {"User-agent: fleet\nUser-agent: x\nDisallow: /\n", "/c", false},
        /* what people write */
        {"\xef\xbb\xbfUser-agent: *\r\nDisallow: /x # no\r\n", "/x", false},
        {"user-agent:*\rdisallow:/x\r", "/x", false},
        {"Disallow: /x\nUser-agent: *\nDisallow: /y\n", "/x", true},
        {"<html>User-agent: *</html>\nDisallow: /\n", "/x", true},
        {"User-agent: *\nSitemap: https://x/y\nDisallow: /x\n", "/x", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct robots_rules *r = robots_parse(str_from(cases[i].file), STR("fleet"));

        if (robots_rules_allow(r, str_from(cases[i].path)) != cases[i].allow)
            fail_msg("case %zu: %s of %s", i, cases[i].path, cases[i].file);
        robots_rules_destroy(&r);
    }
}

static void test_stars_cost_linear_time(void **state)
{
    char file[600] = "User-agent: *\nDisallow: /";
    char path[4001] = "/";
    struct robots_rules *r;

    (void)state;
    for (int i = 0; i < 200; i++)
        strncat(file, "*a", sizeof file - strlen(file) - 1);
    strncat(file, "b\n", sizeof file - strlen(file) - 1);
    memset(path + 1, 'a', sizeof path - 2);
    r = robots_parse(str_from(file), STR("fleet"));
    assert_true(robots_rules_allow(r, str_from(path)));
    robots_rules_destroy(&r);
}

static void test_crawl_delay(void **state)
{
    static const struct {
        const char *file;
        uint64_t want;
    } cases[] = {
        {"User-agent: *\nCrawl-delay: 2.5\n", 2500}, {"User-agent: *\nCrawl-delay: 9999\n", 60000},
        {"User-agent: *\nCrawl-delay: -1\n", 0},     {"User-agent: *\nCrawl-delay: soon\n", 0},
        {"User-agent: other\nCrawl-delay: 2\n", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct robots_rules *r = robots_parse(str_from(cases[i].file), STR("fleet"));

        assert_int_equal(robots_rules_crawl_delay_ms(r), cases[i].want);
        robots_rules_destroy(&r);
    }
}

/* --- the cache --- */

struct asked {
    struct loop *loop;
    unsigned fetches, answers;
    char url[256];
    robots_done_fn *done;
    void *done_arg;
    enum robots_answer last;
};

static void fetch(void *arg, struct member *m, struct str url, uint64_t deadline_ms,
                  const unsigned char *parent, robots_done_fn *done, void *done_arg)
{
    struct asked *a = arg;

    (void)m;
    (void)deadline_ms;
    (void)parent;
    a->fetches++;
    snprintf(a->url, sizeof a->url, "%.*s", STR_ARG(url));
    a->done = done;
    a->done_arg = done_arg;
}

static void answered(void *arg, enum robots_answer answer, uint64_t delay_ms, const char *why)
{
    struct asked *a = arg;

    (void)delay_ms;
    (void)why;
    a->answers++;
    a->last = answer;
}

static struct robots_wait *ask(struct robots *r, struct asked *a, const char *text)
{
    struct arena *arena = arena_create(NULL, 0);
    struct robots_wait *w;
    struct url u;

    assert_int_equal(url_parse(arena, str_from(text), "http https", &u, NULL), STATUS_OK);
    w = robots_ask(r, NULL, &u, loop_now_ms(a->loop) + 5000, NULL, answered, a);
    arena_destroy(&arena);
    return w;
}

static void test_the_cache(void **state)
{
    struct clock_fake clock;
    struct asked a = {0};
    struct robots_wait *w;
    struct robots *r;

    (void)state;
    clock_fake_init(&clock, 1700000000000);
    assert_int_equal(loop_create(&a.loop, &clock.clock, NULL), STATUS_OK);
    r = robots_create(a.loop, fetch, &a);

    /* two who ask share one fetch; nobody is answered from inside */
    ask(r, &a, "http://shop.example:8080/a?b");
    ask(r, &a, "http://shop.example:8080/c");
    assert_int_equal(a.fetches, 1);
    assert_string_equal(a.url, "http://shop.example:8080/robots.txt");
    a.done(a.done_arg, 200, STR("User-agent: *\nDisallow: /a\n"));
    assert_int_equal(a.answers, 0);
    loop_run_once(a.loop, 0);
    assert_int_equal(a.answers, 2);

    /* from the cache, for a day */
    ask(r, &a, "http://shop.example:8080/a");
    assert_int_equal(a.answers, 2);
    loop_run_once(a.loop, 0);
    assert_int_equal(a.last, ROBOTS_DENY);
    assert_int_equal(a.fetches, 1);
    clock_fake_advance_ms(&clock, 25 * 3600 * 1000);
    loop_run_once(a.loop, 0);
    ask(r, &a, "http://shop.example:8080/a");
    assert_int_equal(a.fetches, 2);
    a.done(a.done_arg, 404, STR(""));
    loop_run_once(a.loop, 0);
    assert_int_equal(a.last, ROBOTS_ALLOW);

    /* another port is another authority; 5xx means no, asked again after a minute */
    ask(r, &a, "http://shop.example/a");
    assert_int_equal(a.fetches, 3);
    a.done(a.done_arg, 503, STR(""));
    loop_run_once(a.loop, 0);
    assert_int_equal(a.last, ROBOTS_UNREACHABLE);
    clock_fake_advance_ms(&clock, 61000);
    loop_run_once(a.loop, 0);
    ask(r, &a, "http://shop.example/a");
    assert_int_equal(a.fetches, 4);

    /* the deadline of who waits */
    clock_fake_advance_ms(&clock, 5001);
    loop_run_once(a.loop, 0);
    loop_run_once(a.loop, 0);
    assert_int_equal(a.last, ROBOTS_UNREACHABLE);
    assert_int_equal(a.answers, 6);

    /* cancelled: never told, although the answer comes */
    w = ask(r, &a, "http://shop.example/a");
    robots_cancel(&w);
    a.done(a.done_arg, 200, STR(""));
    loop_run_once(a.loop, 0);
    assert_int_equal(a.answers, 6);

    /* what was not asked teaches nothing */
    ask(r, &a, "http://other.example/a");
    a.done(a.done_arg, -1, STR(""));
    loop_run_once(a.loop, 0);
    assert_int_equal(a.last, ROBOTS_UNREACHABLE);
    ask(r, &a, "http://other.example/a");
    assert_int_equal(a.fetches, 6);
    a.done(a.done_arg, 200, STR(""));
    loop_run_once(a.loop, 0);
    assert_int_equal(a.last, ROBOTS_ALLOW);

    robots_destroy(&r);
    loop_destroy(&a.loop);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matching),
        cmocka_unit_test(test_stars_cost_linear_time),
        cmocka_unit_test(test_crawl_delay),
        cmocka_unit_test(test_the_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
