#include "tests/integration/browser_rig.h"

#include "browser/ops.h"
#include "browser/ops_page.h"
#include "tests/support/testing.h"
#include "tests/support/turn.h"

enum { SOON_MS = 15000 };

void rig_open(struct browser_rig *r)
{
    struct reaper_opts o = {.program = test_program("fleet-reaper")};

    *r = (struct browser_rig){.state = test_mkdir()};
    o.state_dir = r->state;
    assert_int_equal(loop_create(&r->loop, NULL, &r->err), STATUS_OK);
    r->arena = arena_create(NULL, 0);
    r->site = site_open(r->loop);
    if (reaper_start(r->loop, &o, &r->reaper, &r->err) != STATUS_OK)
        fail_msg("%s", r->err.text);
}

void rig_make_gate(struct browser_rig *r, const struct gate_deps *own)
{
    static const char *const denied[] = {"denied.test"};
    static const char *const hosts[] = {"a.test",      "b.test",      "c.test",   "denied.test",
                                        "robots.test", "broken.test", "127.0.0.1"};
    const struct policy_conf pc = {.deny = {(const char **)(uintptr_t)denied, 1},
                                   .private_networks = POLICY_PRIVATE_YES};
    const struct breaker_conf bc = {
        .failure_rate = 0.9, .window_ms = 60000, .min_samples = RIG_SAMPLES};
    const struct limit_rate rate = {1000, 1000};
    struct gate_deps d = *own;

    assert_int_equal(policy_create(&pc, &r->policy, &r->err), STATUS_OK);
    assert_int_equal(breaker_open_store(&bc, NULL, &r->breaker, &r->err), STATUS_OK);
    r->limiter = limiter_create(rate);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        limiter_trust(r->limiter, str_from(hosts[i]));
    r->ops = op_table_create();
    ops_add_browser(r->ops);
    r->robots = own->robots;
    d.loop = r->loop;
    d.table = r->ops;
    d.policy = r->policy;
    d.breaker = r->breaker;
    d.limiter = r->limiter;
    r->gate = gate_create(&d);
}

static void on_ready(struct instance *i, void *arg)
{
    struct browser_rig *r = arg;

    (void)i;
    r->ready = true;
}

static void on_over(struct instance *i, enum status why, const struct err *e, void *arg)
{
    struct browser_rig *r = arg;

    (void)i;
    r->over = true;
    r->over_why = why;
    r->err = *e;
}

void rig_start_browser(struct browser_rig *r, enum browser_kind kind,
                       const struct targets_opts *targets)
{
    struct instance_opts o = {
        .loop = r->loop,
        .reaper = r->reaper,
        .name = "browser-test",
        .program = &r->program,
        .sandbox = SANDBOX_PREFER,
        .targets = *targets,
        .on_ready = on_ready,
        .on_over = on_over,
        .arg = r,
    };

    o.targets.gate = r->gate;
    o.targets.document = ops_page_document();
    if (browser_find(r->arena, kind, &r->program, &r->err) != STATUS_OK)
        test_skip("%s", r->err.text);
    if (instance_start(&o, &r->instance, &r->err) != STATUS_OK)
        fail_msg("%s", r->err.text);
    while (!r->ready && !r->over)
        loop_run_once(r->loop, 50);
    if (!r->ready)
        fail_msg("the browser did not start: %s", r->err.text);
}

void rig_close(struct browser_rig *r)
{
    bool stopped = false;

    if (r->instance != NULL && !r->over) {
        instance_stop(r->instance);
        assert_true(turn_until(r->loop, &r->over, SOON_MS));
    }
    instance_destroy(&r->instance);
    assert_int_equal(reaper_child_count(r->reaper), 0);
    reaper_stop(r->reaper, turn_flag, &stopped);
    assert_true(turn_until(r->loop, &stopped, SOON_MS));
    turn_for(r->loop, 20);
    assert_int_equal(gate_inside(r->gate), 0);
    gate_destroy(&r->gate);
    robots_destroy(&r->robots);
    op_table_destroy(&r->ops);
    limiter_destroy(&r->limiter);
    breaker_close_store(&r->breaker);
    policy_destroy(&r->policy);
    site_close(&r->site);
    turn_for(r->loop, 5);
    loop_destroy(&r->loop);
    arena_destroy(&r->arena);
    test_rmdir(&r->state);
}
