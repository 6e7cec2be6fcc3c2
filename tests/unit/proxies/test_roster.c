#include "tests/support/testing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/rng.h"
#include "proxies/roster.h"

enum { N_MAX = 16 };

/* A roster of proxies written one a line. */
static struct roster *make(struct roster_opts o, const char *lines)
{
    struct proxy_list l = PROXY_LIST_INIT;
    struct err e = ERR_INIT;
    struct roster *r;

    if (proxy_list_parse(str_from(lines), "test", &l, NULL, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    r = roster_create(&o, l.v, l.n);
    proxy_list_deinit(&l);
    return r;
}

static struct roster_opts with(enum roster_pick pick)
{
    struct roster_opts o = ROSTER_OPTS_INIT;

    o.pick = pick;
    return o;
}

static const char *pick_of(struct roster *r, uint64_t member, const char *country, uint64_t now)
{
    struct proxy *p;

    return roster_pick(r, member, country, now, &p, NULL) == STATUS_OK ? proxy_id(p) : "-";
}

/* The ids of n picks by members 0, 1, 2, ..., put together. */
static void expect_picks(struct roster *r, int n, const char *country, uint64_t now,
                         const char *want)
{
    char got[256] = "";

    for (int i = 0; i < n; i++)
        strncat(got, pick_of(r, (uint64_t)i, country, now), 8);
    assert_string_equal(got, want);
}

#define ABC "http://h#a\nhttp://h#b;country=de\nhttp://h#c;country=de"

static void round_robin_takes_turns(void **state)
{
    struct roster *r = make(with(ROSTER_ROUND_ROBIN), ABC);

    (void)state;
    expect_picks(r, 7, NULL, 0, "abcabca");
    roster_report(r, "b", STATUS_PROXY_AUTH, 1, 0);
    expect_picks(r, 4, "", 0, "caca");
    expect_picks(r, 3, "DE", 0, "ccc");
    roster_destroy(&r);
}

static void least_recently_used_evens_out(void **state)
{
    struct roster *r = make(with(ROSTER_LEAST_RECENTLY_USED), ABC);

    (void)state;
    expect_picks(r, 3, "de", 0, "bcb");
    expect_picks(r, 4, NULL, 0, "acba");
    roster_destroy(&r);
}

static void weights_are_kept(void **state)
{
    struct roster *r = make(with(ROSTER_WEIGHTED), "http://h#a;weight=5\nhttp://h#b\nhttp://h#c");

    (void)state;
    expect_picks(r, 14, NULL, 0, "aabacaaaabacaa"); /* evenly spread, 5:1:1 */
    roster_destroy(&r);
}

static void sticky_stays_and_spreads(void **state)
{
    enum { MEMBERS = 3000 };
    struct roster *r = make(with(ROSTER_STICKY), "http://h#a;weight=2\nhttp://h#b\nhttp://h#c");
    struct roster *again = make(with(ROSTER_STICKY), "http://h#c\nhttp://h#a;weight=2\nhttp://h#d");
    int count[3] = {0}, moved = 0;

    (void)state;
    for (uint64_t m = 0; m < MEMBERS; m++) {
        const char *first = pick_of(r, m, NULL, 0), *other = pick_of(again, m, NULL, 0);

        assert_string_equal(pick_of(r, m, NULL, 0), first);
        count[first[0] - 'a']++;
        /* in another list, only those whose proxy is gone and those drawn by the new one move */
        moved += strcmp(first, other) != 0 && first[0] != 'b' && other[0] != 'd';
    }
    assert_int_equal(moved, 0);
    assert_in_range(count[0], 1400, 1600);
    assert_in_range(count[1], 650, 850);
    roster_destroy(&r);
    roster_destroy(&again);
}

static void sticky_moves_when_it_must_and_stays_there(void **state)
{
    struct roster *r = make(with(ROSTER_STICKY), ABC);
    char first[8], second[8];

    (void)state;
    snprintf(first, sizeof(first), "%s", pick_of(r, 7, NULL, 0));
    roster_report(r, first, STATUS_PROXY_AUTH, 0, 0);
    snprintf(second, sizeof(second), "%s", pick_of(r, 7, NULL, 1));
    assert_string_not_equal(first, second);
    assert_string_equal(pick_of(r, 7, NULL, 10000000), second); /* also once the first is back */
    roster_rotate(r, 7);
    assert_string_not_equal(pick_of(r, 7, NULL, 10000000), second);
    roster_forget(r, 7);
    assert_string_equal(pick_of(r, 7, NULL, 10000000), first);
    roster_destroy(&r);
}

static void home_is_known_before_the_first_pick(void **state)
{
    static const char mixed[] = "http://h#a;country=de\nhttp://h#b;country=fr\nhttp://h#c";
    struct roster *sticky = make(with(ROSTER_STICKY), mixed);
    struct roster *turns = make(with(ROSTER_ROUND_ROBIN), mixed);
    struct roster *alike =
        make(with(ROSTER_ROUND_ROBIN), "http://h#a;country=de\nhttp://h#b;country=de");
    struct roster *some = make(with(ROSTER_ROUND_ROBIN), "http://h#a\nhttp://h#b;country=de");
    struct roster *empty = make(with(ROSTER_STICKY), "");
    char seen[3] = "";

    (void)state;
    for (uint64_t m = 0; m < 50; m++) {
        const char *home = roster_home(sticky, m);
        const char *id = pick_of(sticky, m, NULL, 0);

        assert_string_equal(home, proxy_country(roster_find(sticky, id)));
        seen[id[0] - 'a'] = 1;
        assert_string_equal(roster_home(turns, m), "");
        assert_string_equal(roster_home(alike, m), "de");
        assert_string_equal(roster_home(some, m), "");
        assert_string_equal(roster_home(empty, m), "");
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    roster_destroy(&sticky);
    roster_destroy(&turns);
    roster_destroy(&alike);
    roster_destroy(&some);
    roster_destroy(&empty);
}

static void rotation_avoids_the_last_in_every_mode(void **state)
{
    (void)state;
    for (int mode = 0; mode < ROSTER_PICK_COUNT; mode++) {
        struct roster *r = make(with((enum roster_pick)mode), ABC);
        struct roster *one = make(with((enum roster_pick)mode), "http://h#a");
        const char *last = pick_of(r, 1, NULL, 0);

        for (int i = 0; i < 20; i++) {
            const char *next;

            roster_rotate(r, 1);
            for (int others = 0; others < i % 3; others++)
                (void)pick_of(r, 2, NULL, 0);
            next = pick_of(r, 1, NULL, 0);
            assert_string_not_equal(next, last);
            last = next;
        }
        assert_string_equal(pick_of(one, 1, NULL, 0), "a");
        roster_rotate(one, 1);
        assert_string_equal(pick_of(one, 1, NULL, 0), "a"); /* there is no other */
        roster_destroy(&one);
        roster_destroy(&r);
    }
}

static enum roster_state state_of(const struct roster *r, size_t i, uint64_t now)
{
    struct roster_info info;

    roster_info(r, i, now, &info);
    return info.state;
}

static void failures_cool_and_probation_is_short(void **state)
{
    struct roster *r = make(with(ROSTER_ROUND_ROBIN), "http://h#a");

    (void)state;
    roster_report(r, "a", STATUS_PROXY_FAILED, 1, 0);
    roster_report(r, "a", STATUS_TIMEOUT, 1, 0);
    roster_report(r, "a", STATUS_OK, 10, 0); /* in a row is what counts */
    roster_report(r, "a", STATUS_PROXY_FAILED, 1, 0);
    roster_report(r, "a", STATUS_CLOSED, 1, 0);
    assert_int_equal(state_of(r, 0, 0), ROSTER_READY);
    roster_report(r, "a", STATUS_PROTOCOL, 1, 0);
    assert_int_equal(state_of(r, 0, 59999), ROSTER_COOLING);
    assert_int_equal(roster_next_ms(r, NULL, 5), 60000);
    assert_int_equal(state_of(r, 0, 60000), ROSTER_PROBATION);
    assert_int_equal(roster_next_ms(r, NULL, 60001), 60001);
    roster_report(r, "a", STATUS_PROXY_FAILED, 1, 60000); /* one is enough now, and it doubles */
    assert_int_equal(state_of(r, 0, 60000 + 119999), ROSTER_COOLING);
    assert_int_equal(state_of(r, 0, 60000 + 120000), ROSTER_PROBATION);
    roster_report(r, "a", STATUS_OK, 1, 180000);
    assert_int_equal(state_of(r, 0, 180000), ROSTER_READY);
    /* fit for as long as it last cooled: it starts over */
    roster_report(r, "a", STATUS_PROXY_AUTH, 1, 300000);
    assert_int_equal(roster_next_ms(r, NULL, 300000), 360000);
    /* not so: it goes on doubling, up to 32 times */
    for (int i = 0; i < 10; i++)
        roster_report(r, "a", STATUS_PROXY_AUTH, 1, roster_next_ms(r, NULL, 300000));
    {
        uint64_t back = roster_next_ms(r, NULL, 300000);

        roster_report(r, "a", STATUS_PROXY_AUTH, 1, back);
        assert_int_equal(roster_next_ms(r, NULL, back) - back, 32 * 60000);
    }
    roster_destroy(&r);
}

static void doubts_are_a_third(void **state)
{
    struct roster *r = make(with(ROSTER_ROUND_ROBIN), "http://h#a");

    (void)state;
    for (int i = 0; i < 8; i++)
        roster_report(r, "a", STATUS_UNAVAILABLE, 1, 0);
    assert_int_equal(state_of(r, 0, 0), ROSTER_READY);
    roster_report(r, "a", STATUS_UNAVAILABLE, 1, 0);
    assert_int_equal(state_of(r, 0, 0), ROSTER_COOLING);
    roster_destroy(&r);
}

static void demerits_cool_decay_and_rotate(void **state)
{
    struct roster *r = make(with(ROSTER_STICKY), "http://h#a\nhttp://h#b");
    struct roster_info info;
    char had[8];
    size_t i;

    (void)state;
    snprintf(had, sizeof(had), "%s", pick_of(r, 1, NULL, 0));
    i = had[0] == 'a' ? 0 : 1;
    roster_demerit(r, 1, had, STATUS_HTTP_429, 0);
    assert_string_not_equal(pick_of(r, 1, NULL, 0), had);
    roster_demerit(r, 1, had, STATUS_HTTP_403, 0);
    roster_info(r, i, 0, &info);
    assert_int_equal(info.demerits, 3);
    roster_info(r, i, 240000, &info);
    assert_int_equal(info.demerits, 1); /* one is forgiven each two minutes */
    roster_demerit(r, 1, had, STATUS_CAPTCHA_DETECTED, 240000);
    assert_int_equal(state_of(r, i, 240000), ROSTER_READY);
    roster_demerit(r, 1, had, STATUS_HTTP_403, 240000);
    roster_info(r, i, 240000, &info);
    assert_int_equal(info.state, ROSTER_COOLING);
    assert_int_equal(info.back_in_ms, 60000);
    assert_int_equal(info.hits_429, 1);
    assert_int_equal(info.hits_403, 2);
    assert_int_equal(info.hits_captcha, 1);
    roster_demerit(r, 1, had, STATUS_HTTP_5XX, 240000); /* no reputation hit */
    roster_demerit(r, 1, "nobody", STATUS_HTTP_403, 240000);
    roster_destroy(&r);
}

static void none_is_said_with_the_reason(void **state)
{
    struct roster *none = make(with(ROSTER_WEIGHTED), "");
    struct roster *r = make(with(ROSTER_WEIGHTED), ABC);
    struct proxy *p = NULL;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_equal(roster_pick(none, 1, NULL, 0, &p, &e), STATUS_PROXY_NONE);
    assert_non_null(strstr(err_text(&e), "empty"));
    assert_int_equal(roster_next_ms(none, NULL, 0), UINT64_MAX);
    assert_int_equal(roster_pick(r, 1, "fr", 0, &p, &e), STATUS_PROXY_NONE);
    assert_non_null(strstr(err_text(&e), "country \"fr\""));
    roster_report(r, "b", STATUS_PROXY_AUTH, 0, 5000);
    roster_report(r, "c", STATUS_PROXY_AUTH, 0, 1000);
    assert_int_equal(roster_pick(r, 1, "de", 6000, &p, &e), STATUS_PROXY_NONE);
    assert_null(p);
    assert_non_null(strstr(err_text(&e), "2 of 2 cooling, the next (c) is back in 55 s"));
    assert_int_equal(roster_next_ms(r, "de", 6000), 61000);
    assert_int_equal(roster_pick(r, 1, NULL, 6000, &p, &e), STATUS_OK);
    roster_destroy(&none);
    roster_destroy(&r);
}

static void counters_are_told(void **state)
{
    struct roster *r = make(with(ROSTER_ROUND_ROBIN), "http://u:s3cret@h:81#a;weight=4;country=de");
    struct roster_info info;

    (void)state;
    (void)pick_of(r, 1, NULL, 0);
    roster_report(r, "a", STATUS_OK, 80, 0);
    roster_report(r, "a", STATUS_OK, 160, 0);
    roster_report(r, "a", STATUS_PROXY_FAILED, 1, 0);
    roster_report(r, "nobody", STATUS_OK, 1, 0);
    roster_bytes(r, "a", 10, 20);
    roster_bytes(r, "nobody", 10, 20);
    assert_int_equal(roster_len(r), 1);
    roster_info(r, 0, 0, &info);
    assert_string_equal(info.id, "a");
    assert_string_equal(info.label, "http://h:81#a");
    assert_string_equal(info.country, "de");
    assert_int_equal(info.weight, 4);
    assert_int_equal(info.latency_ms, 90);
    assert_int_equal(info.picks, 1);
    assert_int_equal(info.ok, 2);
    assert_int_equal(info.failed, 1);
    assert_int_equal(info.failures, 1);
    assert_int_equal(info.last_failure, STATUS_PROXY_FAILED);
    assert_int_equal(info.bytes_in, 10);
    assert_int_equal(info.bytes_out, 20);
    assert_non_null(roster_find(r, "a"));
    assert_null(roster_find(r, "b"));
    roster_destroy(&r);
}

/* --- random operations against a simple model --- */

struct model {
    int thirds[N_MAX];
    uint64_t until[N_MAX], ready_since[N_MAX], last_len[N_MAX];
    unsigned level[N_MAX];
    bool probation[N_MAX];
};

static bool model_fit(const struct model *m, size_t i, uint64_t now)
{
    return now >= m->until[i];
}

static void model_cool(struct model *m, size_t i, uint64_t now, uint64_t cooldown)
{
    if (m->last_len[i] && now - m->ready_since[i] >= m->last_len[i])
        m->level[i] = 0;
    m->last_len[i] = cooldown << m->level[i];
    m->until[i] = m->ready_since[i] = now + m->last_len[i];
    m->level[i] += m->level[i] < 5;
    m->probation[i] = true;
}

static void model_report(struct model *m, size_t i, int thirds, uint64_t now,
                         const struct roster_opts *o)
{
    if (!model_fit(m, i, now))
        return;
    if (m->probation[i]) {
        m->probation[i] = false;
        m->thirds[i] = 3 * ((int)o->max_failures - 1);
    }
    m->thirds[i] = thirds ? m->thirds[i] + thirds : 0;
    if (m->thirds[i] >= 3 * (int)o->max_failures)
        model_cool(m, i, now, o->cooldown_ms);
}

static void check_pick(struct roster *r, const struct model *m, size_t n, uint64_t member,
                       const char *avoid, uint64_t now)
{
    struct proxy *p;
    size_t fit = 0, i;
    enum status s;

    for (i = 0; i < n; i++)
        fit += model_fit(m, i, now);
    s = roster_pick(r, member, NULL, now, &p, NULL);
    assert_int_equal(s, fit ? STATUS_OK : STATUS_PROXY_NONE);
    if (!fit)
        return;
    i = strtoul(proxy_id(p) + 1, NULL, 10) - 1;
    assert_true(model_fit(m, i, now));
    if (avoid && fit > 1)
        assert_string_not_equal(proxy_id(p), avoid);
}

static void random_run(uint64_t seed)
{
    static const struct {
        enum status s;
        int thirds;
    } outcomes[] = {
        {STATUS_OK, 0},
        {STATUS_PROXY_FAILED, 3},
        {STATUS_TIMEOUT, 3},
        {STATUS_UNAVAILABLE, 1},
    };
    struct rng g;
    struct roster_opts o = ROSTER_OPTS_INIT;
    struct model m = {0};
    struct buf lines = BUF_INIT(4096);
    struct roster *r;
    uint64_t now = 1000;
    size_t n;

    rng_seed_u64(&g, seed);
    n = 1 + rng_below(&g, N_MAX);
    o.pick = (enum roster_pick)rng_below(&g, ROSTER_PICK_COUNT);
    o.max_failures = 1 + (uint32_t)rng_below(&g, 4);
    o.cooldown_ms = 100;
    for (size_t i = 0; i < n; i++)
        buf_addf(&lines, "http://h#p%zu;weight=%d\n", i + 1, 1 + (int)rng_below(&g, 9));
    r = make(o, lines.ptr);
    for (int step = 0; step < 3000; step++) {
        size_t i = rng_below(&g, n), k = rng_below(&g, ARRAY_LEN(outcomes));
        uint64_t member = rng_below(&g, 5);
        char id[16], before[16] = "";

        snprintf(id, sizeof(id), "p%zu", i + 1);
        now += rng_below(&g, 3) ? rng_below(&g, 20) : rng_below(&g, 2000);
        switch (rng_below(&g, 3)) {
        case 0:
            roster_report(r, id, outcomes[k].s, 5, now);
            model_report(&m, i, outcomes[k].thirds, now, &o);
            break;
        case 1:
            check_pick(r, &m, n, member, NULL, now);
            break;
        default:
            snprintf(before, sizeof(before), "%s", pick_of(r, member, NULL, now));
            roster_rotate(r, member);
            check_pick(r, &m, n, member, before, now);
        }
        assert_int_equal(state_of(r, i, now) == ROSTER_COOLING, !model_fit(&m, i, now));
    }
    roster_destroy(&r);
    buf_deinit(&lines);
}

static void random_operations_agree_with_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        random_run(seed);
}

/* With probes nobody goes out by what has cooled before a report says that it works. */
static void probed_ones_wait_for_their_probe(void **state)
{
    struct roster_opts o = with(ROSTER_ROUND_ROBIN);
    struct roster *r;
    struct proxy *p;
    struct err e = ERR_INIT;

    (void)state;
    o.probed = true;
    r = make(o, "http://h#a");
    roster_report(r, "a", STATUS_PROXY_AUTH, 1, 0);
    assert_int_equal(roster_next_ms(r, NULL, 0), 60000);
    assert_false(roster_is_fit(r, "a", 60000));
    assert_int_equal(roster_pick(r, 1, NULL, 61000, &p, &e), STATUS_PROXY_NONE);
    assert_in_range(roster_next_ms(r, NULL, 61000), 61001, 62000); /* ask again soon */
    roster_report(r, "a", STATUS_TIMEOUT, 1, 61000);               /* twice as long */
    assert_int_equal(roster_next_ms(r, NULL, 61000), 61000 + 120000);
    roster_report(r, "a", STATUS_OK, 1, 181000);
    assert_true(roster_is_fit(r, "a", 181000));
    assert_int_equal(roster_pick(r, 1, NULL, 181000, &p, &e), STATUS_OK);
    roster_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_takes_turns),
        cmocka_unit_test(least_recently_used_evens_out),
        cmocka_unit_test(weights_are_kept),
        cmocka_unit_test(sticky_stays_and_spreads),
        cmocka_unit_test(sticky_moves_when_it_must_and_stays_there),
        cmocka_unit_test(home_is_known_before_the_first_pick),
        cmocka_unit_test(rotation_avoids_the_last_in_every_mode),
        cmocka_unit_test(failures_cool_and_probation_is_short),
        cmocka_unit_test(probed_ones_wait_for_their_probe),
        cmocka_unit_test(doubts_are_a_third),
        cmocka_unit_test(demerits_cool_decay_and_rotate),
        cmocka_unit_test(none_is_said_with_the_reason),
        cmocka_unit_test(counters_are_told),
        cmocka_unit_test(random_operations_agree_with_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
