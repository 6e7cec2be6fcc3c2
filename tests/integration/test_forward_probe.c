/* Probes of upstreams: what each is worth, and that a probe ends. */
#include "tests/support/testing.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "proxies/probe.h"
#include "proxies/prober.h"
#include "tests/integration/forward_target.h"
#include "tests/integration/forward_upstreams.h"

/* --- probes --- */

static void on_probe(void *arg, const struct proxy *p, const struct probe_result *r)
{
    (void)p;
    *(struct probe_result *)arg = *r;
}

static struct probe_result probe(const char *line, const char *url_text)
{
    struct probe_opts o = {.url = url_text, .timeout_ms = 300};
    struct probe_result r = {.status = STATUS_INTERNAL};
    struct proxy *p = NULL;
    struct probe *running = NULL;
    struct loop *l = NULL;

    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, NULL), STATUS_OK);
    o.proxy = p;
    assert_int_equal(probe_start(l, &o, on_probe, &r, &running, NULL), STATUS_OK);
    proxy_unref(&p);
    assert_int_equal(r.status, STATUS_INTERNAL); /* never from inside the call */
    loop_run(l);
    loop_run_once(l, 0);
    loop_destroy(&l);
    return r;
}

static void probes_tell_what_an_upstream_is_worth(void **state)
{
    struct child tiny, micro;
    char line[128], web[128], secure[128];
    struct probe_result r;

    (void)state;
    if (!is_installed("tinyproxy") || !is_installed("microsocks"))
        test_skip("tinyproxy or microsocks is not installed");
    start_tinyproxy(&tiny);
    start_microsocks(&micro);
    url(web, sizeof(web), "/hello");
    snprintf(secure, sizeof(secure), "https://127.0.0.1:%u/", target.port);
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof(line), "%s://user:s3cret@127.0.0.1:%u", i % 2 ? "socks5" : "http",
                 i % 2 ? micro.port : tiny.port);
        r = probe(line, i / 2 ? secure : web);
        assert_int_equal(r.status, STATUS_OK);
        assert_int_equal(r.http_status, i / 2 ? 0 : 200);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(line, sizeof(line), "%s://%s127.0.0.1:%u", i % 2 ? "socks5" : "http",
                 i / 2 ? "user:wr0ng@" : "", i % 2 ? micro.port : tiny.port);
        r = probe(line, web);
        assert_int_equal(r.status, STATUS_PROXY_AUTH);
    }
    child_stop(&tiny);
    child_stop(&micro);
    snprintf(line, sizeof(line), "http://127.0.0.1:%u", test_free_port());
    r = probe(line, web);
    assert_int_equal(r.status, STATUS_PROXY_FAILED);
    assert_int_equal(r.peer_code, ECONNREFUSED);
}

static void probes_end(void **state)
{
    struct server v;
    struct probe_opts o = {.url = "http://h/"};
    struct proxy *p = NULL;
    struct probe *running = NULL;
    struct loop *l = NULL;
    char line[64];

    (void)state;
    server_start(&v, bad_silent, NULL);
    snprintf(line, sizeof(line), "http://127.0.0.1:%u", v.port);
    assert_int_equal(probe(line, "http://h/").status, STATUS_TIMEOUT);
    assert_int_equal(probe(line, "https://h/").status, STATUS_TIMEOUT);
    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    assert_int_equal(proxy_parse(str_from(line), "p", &p, NULL), STATUS_OK);
    o.proxy = p;
    assert_int_equal(probe_start(l, &o, on_probe, NULL, &running, NULL), STATUS_OK);
    loop_run_once(l, 1);
    probe_cancel(&running);
    assert_null(running);
    o.url = "h";
    assert_int_equal(probe_start(l, &o, on_probe, NULL, &running, NULL), STATUS_INVALID);
    proxy_unref(&p);
    loop_run_once(l, 0);
    loop_destroy(&l);
    server_stop(&v);
}

static atomic_bool is_well;
static atomic_int n_asked;

static void serve_later(int fd, void *arg)
{
    atomic_fetch_add(&n_asked, 1);
    if (atomic_load(&is_well))
        serve_http(fd, arg);
}

static bool is_fit(void *arg)
{
    void **v = arg;

    loop_run_once(v[0], 10);
    return roster_is_fit(v[1], "p1", loop_now_ms(v[0]));
}

static bool was_asked_twice(void *arg)
{
    void **v = arg;

    loop_run_once(v[0], 10);
    return atomic_load(&n_asked) >= 2;
}

/* A proxy that fails rests; it is asked again and again, more and more seldom, and serves members
 * as soon as it answers. */
static void what_rests_is_probed(void **state)
{
    struct roster_opts ro = ROSTER_OPTS_INIT;
    struct proxy_list list = PROXY_LIST_INIT;
    struct roster_info info;
    struct server upstream;
    struct prober *prober;
    struct loop *l;
    char line[64], where[128];
    void *both[2];

    (void)state;
    server_start(&upstream, serve_later, NULL);
    snprintf(line, sizeof(line), "http://127.0.0.1:%u", upstream.port);
    assert_int_equal(proxy_list_parse(str_from(line), "test", &list, NULL, NULL), STATUS_OK);
    assert_int_equal(loop_create(&l, NULL, NULL), STATUS_OK);
    ro.probed = true;
    ro.cooldown_ms = 30;
    both[0] = l;
    both[1] = roster_create(&ro, list.v, list.n);
    prober = prober_create(&(struct prober_opts){
        .loop = l, .roster = both[1], .url = url(where, sizeof(where), "/hello")});
    roster_report(both[1], "p1", STATUS_PROXY_AUTH, 1, loop_now_ms(l));
    assert_true(test_wait_until(was_asked_twice, both, 10000));
    assert_false(roster_is_fit(both[1], "p1", loop_now_ms(l)));
    atomic_store(&is_well, true);
    assert_true(test_wait_until(is_fit, both, 10000));
    roster_info(both[1], 0, loop_now_ms(l), &info);
    assert_int_equal(info.state, ROSTER_READY);
    assert_true(info.cooldowns >= 2);
    prober_destroy(&prober);
    roster_destroy((struct roster **)&both[1]);
    proxy_list_deinit(&list);
    loop_run_once(l, 0);
    loop_destroy(&l);
    server_stop(&upstream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probes_tell_what_an_upstream_is_worth),
        cmocka_unit_test(probes_end),
        cmocka_unit_test(what_rests_is_probed),
    };

    return cmocka_run_group_tests(tests, start_target, stop_target);
}
