/* What core/substrate/substrate.h promises of counters, fences, leases, streams and configuration,
 * over every implementation. */
#include "tests/contract/substrate_rig.h"

#include <stdio.h>

/* --- counters --- */

static void test_counters(void **state)
{
    struct rig *r = *state;
    size_t before;

    RIG_OK(rig_count(r, "done", 0));
    assert_int_equal(r->total, 0);
    RIG_OK(rig_count(r, "done", 5));
    RIG_OK(rig_count(r, "done", -7));
    assert_int_equal(r->total, -2);
    RIG_OK(rig_count(r, "other", INT64_MAX));
    assert_int_equal(rig_count(r, "other", 1), STATUS_INVALID);
    RIG_OK(rig_count(r, "other", 0));
    assert_true(r->total == INT64_MAX);
    RIG_OK(rig_count(r, "least", INT64_MIN));
    assert_int_equal(rig_count(r, "least", -1), STATUS_INVALID);
    RIG_OK(rig_count(r, "done", 0));
    assert_int_equal(r->total, -2);
    assert_int_equal(rig_count(r, "", 1), STATUS_INVALID);
    assert_int_equal(rig_count(r, NULL, 1), STATUS_INVALID);
    assert_int_equal(rig_count(r, "a b", 1), STATUS_INVALID);
    before = r->answers;
    for (int i = 0; i < 500; i++)
        substrate_count(r->s, "many", 2, rig_on_count, r);
    rig_wait(r, before + 500);
    assert_int_equal(r->total, 1000);
}

static void test_restart_counters(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_count(r, "done", 5));
    rig_restart(r, 0);
    RIG_OK(rig_count(r, "done", 1));
    assert_int_equal(r->total, 6);
}

/* --- fences --- */

static void test_fences(void **state)
{
    struct rig *r = *state;
    uint64_t before = 0;

    assert_true(substrate_epoch(r->s) >= 1);
    for (uint32_t n = 1; n <= 100000; n *= 10) {
        RIG_OK(rig_fences(r, n));
        assert_true(r->value > before);
        assert_int_equal(substrate_fence_epoch(r->value), substrate_epoch(r->s));
        assert_true(r->value < 1ull << 53);
        before = r->value + n - 1;
    }
    assert_int_equal(rig_fences(r, 0), STATUS_INVALID);
    assert_int_equal(rig_fences(r, (1 << 20) + 1), STATUS_INVALID);
    RIG_OK(rig_acquire(r, "l", "h", 1000)); /* leases draw from the same */
    assert_true(r->lease.fence > before);
}

static void test_restart_fences(void **state)
{
    struct rig *r = *state;
    uint64_t before = 0, epoch = 0;

    for (int i = 0; i < 5; i++) {
        assert_true(substrate_epoch(r->s) > epoch);
        epoch = substrate_epoch(r->s);
        RIG_OK(rig_fences(r, 1 << 20));
        assert_true(r->value > before);
        before = r->value + (1 << 20) - 1;
        RIG_OK(rig_acquire(r, "l", "h", 1000));
        rig_restart(r, 0);
    }
}

/* --- leases --- */

static void test_lease(void **state)
{
    struct rig *r = *state;
    uint64_t fence;

    RIG_OK(rig_acquire(r, "db", "worker-1", 1000));
    fence = r->lease.fence;
    assert_string_equal(r->holder, "worker-1");
    assert_int_equal(r->lease.left_ms, 1000);
    rig_pass(r, 400);
    assert_int_equal(rig_acquire(r, "db", "worker-2", 1000), STATUS_BUSY);
    assert_true(r->has_lease);
    assert_string_equal(r->holder, "worker-1");
    assert_int_equal(r->lease.fence, 0);
    assert_int_equal(r->lease.left_ms, 600);
    assert_non_null(strstr(r->error, "worker-1"));
    RIG_OK(rig_check(r, "db", fence));
    assert_int_equal(r->lease.left_ms, 600);
    RIG_OK(rig_acquire(r, "db", "worker-1", 1000)); /* a call that was sent twice */
    assert_int_equal(r->lease.fence, fence);
    RIG_OK(rig_acquire(r, "other", "worker-2", 1000));
    assert_true(r->lease.fence > fence);
}

static void test_lease_runs_out(void **state)
{
    struct rig *r = *state;
    uint64_t fence, second;

    RIG_OK(rig_acquire(r, "db", "worker-1", 1000));
    fence = r->lease.fence;
    r->clock.wall += 86400ull * 1000000000; /* the wall says nothing */
    rig_pass(r, 999);
    RIG_OK(rig_check(r, "db", fence));
    assert_int_equal(r->lease.left_ms, 1);
    RIG_OK(rig_renew(r, "db", fence, 500));
    assert_int_equal(r->lease.left_ms, 500);
    r->clock.wall -= 2 * 86400ull * 1000000000;
    rig_pass(r, 499);
    RIG_OK(rig_check(r, "db", fence));
    rig_pass(r, 1);
    assert_int_equal(rig_check(r, "db", fence), STATUS_LEASE_LOST);
    assert_non_null(strstr(r->error, "ran out"));
    assert_false(r->has_lease);
    assert_int_equal(rig_renew(r, "db", fence, 500), STATUS_LEASE_LOST);
    assert_int_equal(rig_release(r, "db", fence), STATUS_LEASE_LOST);
    RIG_OK(rig_acquire(r, "db", "worker-2", 1000));
    second = r->lease.fence;
    assert_true(second > fence);
    assert_int_equal(rig_renew(r, "db", fence, 500), STATUS_LEASE_LOST);
    assert_non_null(strstr(r->error, "another"));
    assert_int_equal(rig_release(r, "db", fence), STATUS_LEASE_LOST);
    RIG_OK(rig_check(r, "db", second));
    rig_pass(r, 1000); /* the same holder after its end: a new fence */
    RIG_OK(rig_acquire(r, "db", "worker-2", 1000));
    assert_true(r->lease.fence > second);
}

static void test_lease_release(void **state)
{
    struct rig *r = *state;
    uint64_t fence;

    RIG_OK(rig_acquire(r, "db", "worker-1", 100000));
    fence = r->lease.fence;
    assert_int_equal(rig_release(r, "db", fence + 1), STATUS_LEASE_LOST);
    RIG_OK(rig_release(r, "db", fence));
    RIG_OK(rig_release(r, "db", fence)); /* a call that was sent twice */
    assert_int_equal(rig_check(r, "db", fence), STATUS_LEASE_LOST);
    assert_non_null(strstr(r->error, "free"));
    RIG_OK(rig_acquire(r, "db", "worker-1", 1000));
    assert_true(r->lease.fence > fence);
    assert_int_equal(rig_release(r, "db", fence), STATUS_LEASE_LOST);
    assert_int_equal(rig_check(r, "nothing", 7), STATUS_LEASE_LOST);
    assert_int_equal(rig_acquire(r, "db", "", 1000), STATUS_INVALID);
    assert_int_equal(rig_acquire(r, "db", "x", 0), STATUS_INVALID);
    assert_int_equal(rig_acquire(r, "db", "x", (uint64_t)SUBSTRATE_WAIT_MAX_MS + 1),
                     STATUS_INVALID);
}

/* Over a restart a lease is as if it had just been renewed: never shorter. */
static void test_restart_leases(void **state)
{
    struct rig *r = *state;
    uint64_t fence, released;

    RIG_OK(rig_acquire(r, "gone", "worker-1", 1000));
    released = r->lease.fence;
    RIG_OK(rig_release(r, "gone", released));
    RIG_OK(rig_acquire(r, "db", "worker-1", 1000));
    fence = r->lease.fence;
    rig_pass(r, 900);
    r->clock.mono = 5000000000; /* the machine was started anew: the clock as well */
    rig_restart(r, 60000);
    assert_int_equal(rig_acquire(r, "db", "worker-2", 1000), STATUS_BUSY);
    RIG_OK(rig_check(r, "db", fence));
    assert_int_equal(r->lease.left_ms, 1000);
    rig_pass(r, 1000);
    RIG_OK(rig_acquire(r, "db", "worker-2", 1000));
    assert_true(r->lease.fence > fence);
    assert_int_equal(rig_check(r, "gone", released), STATUS_LEASE_LOST);
}

/* --- streams --- */

static void test_stream(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_NOT_FOUND);
    assert_int_equal(rig_stream_read(r, "out", 0, 1), STATUS_NOT_FOUND);
    RIG_OK(rig_stream(r, "out", "item-1", 100, 0));
    RIG_OK(rig_stream(r, "out", "item-1", 100, 0));
    assert_int_equal(rig_stream(r, "out", "item-2", 100, 0), STATUS_EXISTS);
    assert_non_null(strstr(r->error, "item-1"));
    RIG_OK(rig_stream_read(r, "out", 0, 10));
    assert_int_equal(r->n, 0);
    RIG_OK(rig_put(r, "out", NULL, "a"));
    assert_int_equal(r->value, 1);
    RIG_OK(rig_put(r, "out", "k", "b"));
    RIG_OK(rig_put(r, "out", "k", "again"));
    assert_int_equal(r->value, 2);
    RIG_OK(rig_put(r, "out", NULL, ""));
    RIG_OK(rig_stream_read(r, "out", 0, 10));
    assert_string_equal(r->text, "1:a 2:b 3: ");
    RIG_OK(rig_stream_read(r, "out", 1, 1));
    assert_string_equal(r->text, "2:b ");
    RIG_OK(rig_stream_read(r, "out", 99, 1));
    assert_int_equal(r->n, 0);
    RIG_OK(rig_stream(r, "out2", "item-1", 100, 0));
    RIG_OK(rig_put(r, "out2", "k", "z")); /* ids are the stream's own */
    assert_int_equal(r->value, 1);
}

static void test_back_pressure(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_stream(r, "out", "t", 10, 0));
    RIG_OK(rig_cursor(r, "out", "fast"));
    assert_int_equal(r->value, 0);
    RIG_OK(rig_cursor(r, "out", "slow"));
    for (int i = 0; i < 10; i++)
        RIG_OK(rig_put(r, "out", NULL, "x"));
    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_BUSY);
    assert_true(r->wait_ms > 0 && r->wait_ms <= 5000);
    RIG_OK(rig_ack(r, "out", "fast", 10)); /* the slowest counts */
    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_BUSY);
    RIG_OK(rig_stream_read(r, "out", 0, 100));
    assert_int_equal(r->n, 10); /* nothing was trimmed */
    RIG_OK(rig_ack(r, "out", "slow", 3));
    RIG_OK(rig_stream_read(r, "out", 0, 100));
    assert_int_equal(r->first, 4);
    for (int i = 0; i < 3; i++)
        RIG_OK(rig_put(r, "out", NULL, "x"));
    assert_int_equal(r->value, 13);
    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_BUSY);
    RIG_OK(rig_stream(r, "out", "t", 11, 0)); /* the mark is raised */
    RIG_OK(rig_put(r, "out", NULL, "x"));
    RIG_OK(rig_drop(r, "out", "slow")); /* gone: holds nothing back */
    RIG_OK(rig_stream_read(r, "out", 0, 100));
    assert_int_equal(r->first, 11);
}

static void test_bytes_mark(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_stream(r, "out", "t", 1000, 10));
    RIG_OK(rig_cursor(r, "out", "a"));
    RIG_OK(rig_put(r, "out", NULL, "12345"));
    RIG_OK(rig_put(r, "out", NULL, "1234567890"));
    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_BUSY);
    RIG_OK(rig_ack(r, "out", "a", 1));
    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_BUSY);
    RIG_OK(rig_ack(r, "out", "a", 2));
    RIG_OK(rig_put(r, "out", NULL, "x"));
}

/* The wait that is told follows how fast the reader was. */
static void test_wait_is_estimated(void **state)
{
    struct rig *r = *state;
    uint64_t slow, seq = 0;

    RIG_OK(rig_stream(r, "out", "t", 8, 0));
    RIG_OK(rig_cursor(r, "out", "a"));
    for (int i = 0; i < 8; i++)
        RIG_OK(rig_put(r, "out", NULL, "x"));
    for (int i = 0; i < 4; i++) { /* one entry a second */
        rig_pass(r, 1000);
        RIG_OK(rig_ack(r, "out", "a", ++seq));
        RIG_OK(rig_put(r, "out", NULL, "x"));
    }
    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_BUSY);
    slow = r->wait_ms;
    assert_true(slow >= 500);
    for (int i = 0; i < 30; i++) { /* one in 20 ms */
        rig_pass(r, 20);
        RIG_OK(rig_ack(r, "out", "a", ++seq));
        RIG_OK(rig_put(r, "out", NULL, "x"));
    }
    assert_int_equal(rig_put(r, "out", NULL, "x"), STATUS_BUSY);
    assert_true(r->wait_ms < slow / 2);
}

static void test_cursors(void **state)
{
    struct rig *r = *state;

    assert_int_equal(rig_cursor(r, "out", "a"), STATUS_NOT_FOUND);
    RIG_OK(rig_stream(r, "out", "t", 10, 0));
    assert_int_equal(rig_ack(r, "out", "a", 0), STATUS_NOT_FOUND);
    assert_int_equal(rig_drop(r, "out", "a"), STATUS_NOT_FOUND);
    for (int i = 0; i < 5; i++)
        RIG_OK(rig_put(r, "out", NULL, "x"));
    RIG_OK(rig_cursor(r, "out", "a"));
    assert_int_equal(rig_ack(r, "out", "a", 6), STATUS_INVALID);
    RIG_OK(rig_ack(r, "out", "a", 4));
    assert_int_equal(r->value, 4);
    RIG_OK(rig_ack(r, "out", "a", 2)); /* never back */
    assert_int_equal(r->value, 4);
    RIG_OK(rig_cursor(r, "out", "a"));
    assert_int_equal(r->value, 4);
    RIG_OK(rig_cursor(r, "out", "b")); /* begins before the oldest that is kept */
    assert_int_equal(r->value, 4);
}

static void test_large_entries(void **state)
{
    struct rig *r = *state;
    char *big = xcalloc(1, SUBSTRATE_BLOB_MAX + 2);

    memset(big, 'x', SUBSTRATE_BLOB_MAX + 1);
    RIG_OK(rig_stream(r, "out", "t", 100, 0));
    assert_int_equal(rig_put(r, "out", NULL, big), STATUS_TOO_LARGE);
    big[SUBSTRATE_BLOB_MAX] = '\0';
    for (int i = 0; i < 6; i++)
        RIG_OK(rig_put(r, "out", NULL, big));
    RIG_OK(rig_stream_read(r, "out", 0, 100));
    assert_int_equal(r->n, 4);
    RIG_OK(rig_stream_read(r, "out", r->last, 100));
    assert_int_equal(r->last, 6);
    free(big);
}

static void test_restart_streams(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_stream(r, "out", "t", 5, 0));
    RIG_OK(rig_cursor(r, "out", "a"));
    for (int i = 0; i < 5; i++)
        RIG_OK(rig_put(r, "out", i == 4 ? "k" : NULL, "x"));
    RIG_OK(rig_ack(r, "out", "a", 2));
    rig_restart(r, 0);
    RIG_OK(rig_cursor(r, "out", "a"));
    assert_int_equal(r->value, 2);
    RIG_OK(rig_put(r, "out", "k", "x"));
    assert_int_equal(r->value, 5);
    RIG_OK(rig_put(r, "out", NULL, "y"));
    assert_int_equal(r->value, 6);
    RIG_OK(rig_put(r, "out", NULL, "y"));
    assert_int_equal(rig_put(r, "out", NULL, "y"), STATUS_BUSY);
    RIG_OK(rig_stream_read(r, "out", 2, 100));
    assert_string_equal(r->text, "3:x 4:x 5:x 6:y 7:y ");
    assert_int_equal(rig_stream(r, "out", "other", 5, 0), STATUS_EXISTS);
}

/* --- configuration --- */

static void test_config(void **state)
{
    struct rig *r = *state;
    struct substrate_config first;

    assert_int_equal(rig_get(r, "fleet"), STATUS_NOT_FOUND);
    assert_int_equal(rig_set(r, "fleet", "{\"a\":1}", 1), STATUS_EXISTS);
    assert_true(r->has_config);
    assert_int_equal(r->config.version, 0);
    RIG_OK(rig_set(r, "fleet", "{\"a\":1}", 0));
    assert_int_equal(r->config.version, 1);
    first = r->config;
    RIG_OK(rig_set(r, "fleet", "{\"a\":2}", 1));
    assert_int_equal(r->config.version, 2);
    assert_int_equal(rig_set(r, "fleet", "{\"a\":3}", 1), STATUS_EXISTS);
    assert_int_equal(r->config.version, 2);
    RIG_OK(rig_set(r, "fleet", "{\"a\":2}", 2)); /* the same: stays */
    assert_int_equal(r->config.version, 2);
    RIG_OK(rig_get(r, "fleet"));
    assert_string_equal(r->text, "{\"a\":2}");
    assert_int_equal(r->config.version, 2);
    RIG_OK(rig_blob(r, first.sha256));
    assert_string_equal(r->text, "{\"a\":1}");
    RIG_OK(rig_set(r, "fleet", "{\"a\":1}", SUBSTRATE_ANY)); /* back: a new version, the old blob */
    assert_int_equal(r->config.version, 3);
    assert_memory_equal(r->config.sha256, first.sha256, SUBSTRATE_SHA256);
    first.sha256[0] ^= 1;
    assert_int_equal(rig_blob(r, first.sha256), STATUS_NOT_FOUND);
    assert_false(r->has_config);
    RIG_OK(rig_set(r, "other", "", 0));
    RIG_OK(rig_get(r, "other"));
    assert_string_equal(r->text, "");
}

static void test_config_pruning(void **state)
{
    static struct substrate_config all[SUBSTRATE_CONFIG_KEEP + 6];
    struct rig *r = *state;
    char text[32];

    RIG_OK(rig_set(r, "other", "blob 0", 0)); /* held by another name */
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        (void)snprintf(text, sizeof(text), "blob %zu", i);
        RIG_OK(rig_set(r, "fleet", text, SUBSTRATE_ANY));
        all[i] = r->config;
    }
    RIG_OK(rig_blob(r, all[0].sha256));
    assert_int_equal(rig_blob(r, all[1].sha256), STATUS_NOT_FOUND);
    RIG_OK(rig_blob(r, all[ARRAY_LEN(all) - 1 - SUBSTRATE_CONFIG_KEEP].sha256));
    RIG_OK(rig_blob(r, all[ARRAY_LEN(all) - 1].sha256));
    assert_int_equal(rig_blob(r, all[ARRAY_LEN(all) - 2 - SUBSTRATE_CONFIG_KEEP].sha256),
                     STATUS_NOT_FOUND);
}

static void test_restart_config(void **state)
{
    struct rig *r = *state;

    RIG_OK(rig_set(r, "fleet", "one", 0));
    RIG_OK(rig_set(r, "fleet", "two", 1));
    rig_restart(r, 0);
    RIG_OK(rig_get(r, "fleet"));
    assert_string_equal(r->text, "two");
    assert_int_equal(r->config.version, 2);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_counters),        cmocka_unit_test(test_restart_counters),
        cmocka_unit_test(test_fences),          cmocka_unit_test(test_restart_fences),
        cmocka_unit_test(test_lease),           cmocka_unit_test(test_lease_runs_out),
        cmocka_unit_test(test_lease_release),   cmocka_unit_test(test_restart_leases),
        cmocka_unit_test(test_stream),          cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_bytes_mark),      cmocka_unit_test(test_wait_is_estimated),
        cmocka_unit_test(test_cursors),         cmocka_unit_test(test_large_entries),
        cmocka_unit_test(test_restart_streams), cmocka_unit_test(test_config),
        cmocka_unit_test(test_config_pruning),  cmocka_unit_test(test_restart_config),
    };
    static struct CMUnitTest all[ARRAY_LEN(cases) * RIG_IMPLEMENTATIONS_MAX];
    size_t n = rig_cases(cases, ARRAY_LEN(cases), all);

    return _cmocka_run_group_tests("substrate: state", all, n, NULL, NULL);
}
