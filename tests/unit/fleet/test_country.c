/* The clock of a member fits its way out. */
#include "core/base/loop.h"
#include "core/fleet/members.h"
#include "fingerprints/catalog.h"
#include "proxies/roster.h"
#include "tests/support/testing.h"

enum { MEMBERS = 24 };

static const char mixed[] = "http://h#a;country=de\nhttp://h#b;country=fr\nhttp://h#c;country=jp";

static struct roster *roster_of(enum roster_pick pick)
{
    struct roster_opts o = ROSTER_OPTS_INIT;
    struct proxy_list l = PROXY_LIST_INIT;
    struct roster *r;

    o.pick = pick;
    assert_int_equal(proxy_list_parse(str_from(mixed), "test", &l, NULL, NULL), STATUS_OK);
    r = roster_create(&o, l.v, l.n);
    proxy_list_deinit(&l);
    return r;
}

/* What is looked at of the member and, where there is a roster, of the proxy it picks. */
typedef void look_fn(const struct identity *id, const struct proxy *p);

static void with_members(struct roster *r, struct json_strs zones, look_fn *look)
{
    struct campaign_conf conf = {
        .members = {.count = MEMBERS, .seed = "s", .noise = true, .timezones = zones}};
    struct arena *a = arena_create(NULL, 0);
    struct members_env env = {
        .conf = &conf, .state_dir = ".", .browser_version = "156.0.8078.79", .roster = r};
    struct members all;
    struct err e = ERR_INIT;

    assert_int_equal(loop_create(&env.loop, NULL, &e), STATUS_OK);
    if (members_create(a, &env, &all, &e) != STATUS_OK)
        fail_msg("%s", err_text(&e));
    for (size_t i = 0; i < all.n; i++) {
        struct proxy *p = NULL;

        if (r != NULL)
            assert_int_equal(roster_pick(r, i, NULL, 0, &p, NULL), STATUS_OK);
        look(all.v[i]->identity, p);
    }
    members_destroy(&all);
    loop_destroy(&env.loop);
    arena_destroy(&a);
}

static unsigned not_american;

static void look_fits(const struct identity *id, const struct proxy *p)
{
    assert_string_equal(id->country, proxy_country(p));
    assert_true(catalog_zone_in(str_from(proxy_country(p)), str_from(id->timezone)));
    assert_string_equal(id->languages[0], "en-US"); /* who it is does not depend on the way out */
    not_american++;
}

static void look_locale(const struct identity *id, const struct proxy *p)
{
    (void)p;
    assert_string_equal(id->country, "us");
}

static void look_named(const struct identity *id, const struct proxy *p)
{
    (void)p;
    assert_string_equal(id->timezone, "Europe/Rome");
}

static void zone_is_that_of_the_way_out(void **state)
{
    struct roster *r = roster_of(ROSTER_STICKY);

    (void)state;
    with_members(r, (struct json_strs){0}, look_fits);
    assert_int_equal(not_american, MEMBERS);
    roster_destroy(&r);
}

static void zone_is_the_locales_where_the_way_out_is_open(void **state)
{
    struct roster *r = roster_of(ROSTER_ROUND_ROBIN);

    (void)state;
    with_members(r, (struct json_strs){0}, look_locale);
    with_members(NULL, (struct json_strs){0}, look_locale);
    roster_destroy(&r);
}

static void zone_is_what_the_campaign_names(void **state)
{
    const char *rome[] = {"Europe/Rome"};
    struct roster *r = roster_of(ROSTER_STICKY);

    (void)state;
    with_members(r, (struct json_strs){rome, 1}, look_named);
    roster_destroy(&r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(zone_is_that_of_the_way_out),
        cmocka_unit_test(zone_is_the_locales_where_the_way_out_is_open),
        cmocka_unit_test(zone_is_what_the_campaign_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
