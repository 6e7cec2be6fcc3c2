/* From a spec to what the launcher reads of it, and what it refuses to read. */
#include "reaper/spec.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/rng.h"
#include "reaper/init.h"
#include "tests/support/testing.h"

static const char *const argv_true[] = {"/bin/true", "a b", "", "@PROFILE@", NULL};

static struct reaper_spec plain(void)
{
    return (struct reaper_spec){.name = "plain", .argv = argv_true};
}

static const struct spec_extra extra = {.run_dir = "/tmp/run", .uid_base = 64000, .uid_count = 10};

static void test_refuses(void **state)
{
    static const struct reaper_fd twice[] = {{0, 3}, {1, 3}}, high[] = {{0, 64}},
                                  closed[] = {{-1, 3}};
    static const struct reaper_bind relative[] = {{.path = "tmp"}},
                                    root[] = {{.path = "/", .at = "/"}},
                                    up[] = {{.path = "/tmp", .at = "/x/../etc"}},
                                    absent[] = {{.path = "/no/such"}};
    static const char *const empty[] = {NULL};
    static const char *const hide[] = {"x", NULL};
    static const struct {
        struct reaper_spec s;
        const char *says;
        enum status st;
    } rows[] = {
        {{.argv = argv_true}, "name", STATUS_INVALID},
        {{.name = "a/b", .argv = argv_true}, "name", STATUS_INVALID},
        {{.name = "0123456789012345678901234567890123456789012345678", .argv = argv_true},
         "name",
         STATUS_INVALID},
        {{.name = "x"}, "argv", STATUS_INVALID},
        {{.name = "x", .argv = empty}, "argv", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .kind = 9}, "kind", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .sandbox = 9}, "sandbox", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .fds = twice, .n_fds = 2}, "fds", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .fds = high, .n_fds = 1}, "fds", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .fds = closed, .n_fds = 1}, "fds", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .n_fds = 65}, "fds", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .n_listeners = 1}, "netns", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .netns = true, .n_listeners = 65},
         "n_listeners",
         STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .oom_score_adj = 1001}, "oom_score_adj", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .n_rlimits = 17}, "rlimits", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .binds = relative, .n_binds = 1},
         "binds",
         STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .binds = root, .n_binds = 1}, "binds", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .binds = up, .n_binds = 1}, "binds", STATUS_INVALID},
        {{.name = "x", .argv = argv_true, .binds = absent, .n_binds = 1},
         "/no/such",
         STATUS_NOT_FOUND},
        {{.name = "x", .argv = argv_true, .hide = hide}, "hide", STATUS_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err e = ERR_INIT;

        assert_int_equal(spec_check(&rows[i].s, &e), rows[i].st);
        if (!strstr(e.text, rows[i].says))
            fail_msg("row %zu: %s", i, e.text);
    }
}

static void test_round_trip(void **state)
{
    static const char *const env[] = {"A=1", "B=@HOME@", NULL}, *const hide[] = {"/root", NULL};
    static const struct reaper_fd fds[] = {{0, 4}, {1, 3}};
    static const struct reaper_bind binds[] = {{.path = "/usr", .at = "/u"},
                                               {.path = "/tmp", .writable = true}};
    static const struct reaper_rlimit limits[] = {{RLIMIT_NOFILE, 256}};
    static struct wire_spec w;
    struct spec_extra x = extra;
    struct reaper_spec s = plain();
    struct buf b = BUF_INIT(REAPER_SPEC_MAX);
    struct err e = ERR_INIT;
    const char *why;

    (void)state;
    s.envp = env;
    s.hide = hide;
    s.fds = fds;
    s.n_fds = 2;
    s.binds = binds;
    s.n_binds = 2;
    s.rlimits = limits;
    s.n_rlimits = 1;
    s.cwd = "/tmp";
    s.memory_max_bytes = 1ull << 33;
    s.oom_score_adj = -5;
    x.filter = str_n("12345678abcdefgh", 16);
    assert_int_equal(spec_encode(&s, &x, &b, &e), STATUS_OK);
    assert_true(wire_decode(b.ptr, b.len, &w, &why));
    assert_string_equal(w.name, "plain");
    assert_int_equal(w.n_args, 4);
    assert_string_equal(w.argv[1], "a b");
    assert_string_equal(w.argv[2], "");
    assert_int_equal(w.n_envs, 2);
    assert_string_equal(w.envp[1], "B=@HOME@");
    assert_int_equal(w.targets[0], 4);
    assert_int_equal(w.targets[1], 3);
    assert_int_equal(w.n_binds, 2);
    assert_false(w.binds[0].writable);
    assert_string_equal(w.binds[0].path, "/usr");
    assert_string_equal(w.binds[0].at, "/u");
    assert_true(w.binds[1].writable);
    assert_string_equal(w.binds[1].at, "/tmp");
    assert_string_equal(w.hide[0], "/root");
    assert_int_equal(w.rlimits[0].value, 256);
    assert_string_equal(w.cwd, "/tmp");
    assert_string_equal(w.dir, "/tmp/run");
    assert_int_equal(w.n.memory_max_bytes, 1ull << 33);
    assert_int_equal(w.n.oom_score_adj, -5);
    assert_int_equal(w.n.tmp_max_bytes, 1 << 30);
    assert_int_equal(w.n_filter, 2);
    buf_deinit(&b);
}

static void test_programs(void **state)
{
    static const char *const by_path[] = {"true", NULL}, *const absent[] = {"no-such-program-x",
                                                                            NULL};
    struct reaper_spec s = plain();
    static struct wire_spec w;
    struct buf b = BUF_INIT(REAPER_SPEC_MAX);
    struct err e = ERR_INIT;
    const char *why;

    (void)state;
    s.argv = by_path;
    assert_int_equal(spec_encode(&s, &extra, &b, &e), STATUS_OK);
    assert_true(wire_decode(b.ptr, b.len, &w, &why));
    assert_string_equal(w.program, "/usr/bin/true");
    assert_string_equal(w.argv[0], "true");
    s.argv = absent;
    assert_int_equal(spec_encode(&s, &extra, &b, &e), STATUS_NOT_FOUND);
    assert_string_equal(e.text, "launch plain: no-such-program-x: no such program in PATH");
    buf_deinit(&b);
}

static void test_too_large(void **state)
{
    struct buf b = BUF_INIT(REAPER_SPEC_MAX);
    char *big = malloc(REAPER_SPEC_MAX + 1);
    const char *argv[] = {"/bin/true", big, NULL};
    struct reaper_spec s = {.name = "big", .argv = argv};
    struct err e = ERR_INIT;

    (void)state;
    assert_non_null(big);
    memset(big, 'x', REAPER_SPEC_MAX);
    big[REAPER_SPEC_MAX] = '\0';
    assert_int_equal(spec_encode(&s, &extra, &b, &e), STATUS_TOO_LARGE);
    buf_deinit(&b);
    free(big);
}

/* Whatever a byte becomes, the decoder stays within what it was given (the sanitizers watch) and
 * says why it refuses. */
static void test_decoder_survives(void **state)
{
    struct reaper_spec s = plain();
    static struct wire_spec w;
    struct buf b = BUF_INIT(REAPER_SPEC_MAX);
    struct err e = ERR_INIT;
    const char *why;
    struct rng r;

    (void)state;
    rng_seed_u64(&r, 7);
    assert_int_equal(spec_encode(&s, &extra, &b, &e), STATUS_OK);
    for (size_t n = 0; n < b.len; n++) {
        char *copy = malloc(n + 1);

        assert_non_null(copy);
        memcpy(copy, b.ptr, n);
        assert_false(wire_decode(copy, n, &w, &why));
        free(copy);
    }
    for (int i = 0; i < 20000; i++) {
        size_t at = rng_below(&r, b.len);
        char was = b.ptr[at];

        b.ptr[at] = (char)rng_u64(&r);
        if (!wire_decode(b.ptr, b.len, &w, &why))
            assert_true(strlen(why) > 0);
        b.ptr[at] = was;
    }
    buf_deinit(&b);
}

static void test_layers(void **state)
{
    struct reaper_spec s = plain();
    uint32_t wanted, required;

    (void)state;
    s.kind = REAPER_BROWSER;
    spec_layers(&s, 0, &wanted, &required);
    assert_int_equal(required, REAPER_LAYERS_REQUIRED);
    assert_false(wanted & REAPER_LAYER_BIT(REAPER_LAYER_NETNS));
    s.netns = true;
    s.sandbox = REAPER_SANDBOX_PREFER;
    spec_layers(&s, 0, &wanted, &required);
    assert_int_equal(required, REAPER_LAYER_BIT(REAPER_LAYER_NETNS));
    s.sandbox = REAPER_SANDBOX_OFF;
    spec_layers(&s, 0, &wanted, &required);
    assert_false(wanted & REAPER_LAYER_BIT(REAPER_LAYER_CHROMIUM));
    s.sandbox = REAPER_SANDBOX_REQUIRE;
    spec_layers(&s, REAPER_LAYER_BIT(REAPER_LAYER_PIDNS), &wanted, &required);
    assert_false((wanted | required) & REAPER_LAYER_BIT(REAPER_LAYER_PIDNS));
    s.kind = REAPER_PROXY;
    s.uid = REAPER_UID_OWN;
    spec_layers(&s, 0, &wanted, &required);
    assert_false(wanted &
                 (REAPER_LAYER_BIT(REAPER_LAYER_UID) | REAPER_LAYER_BIT(REAPER_LAYER_CHROMIUM)));
}

static void test_init_args(void **state)
{
    static const char *const bad[] = {"",
                                      "1",
                                      "1:2:3:4:5",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:x",
                                      "1:2:3:4:5:6:7:8:9 ",
                                      "99999999999:2:3:4:5:6:7:8:9"};
    const struct init_args a = {1, 0xffffffff, 1, 0, 64000, 65534, 7, 8, 9};
    struct init_args b;
    char text[INIT_ARGS_MAX];

    (void)state;
    init_args_encode(&a, text);
    assert_int_equal(init_args_decode(text, &b), 0);
    assert_memory_equal(&a, &b, sizeof(a));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(init_args_decode(bad[i], &b), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_programs),         cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_decoder_survives), cmocka_unit_test(test_layers),
        cmocka_unit_test(test_init_args),
    };

    return cmocka_run_group_tests_name("spec", tests, NULL, NULL);
}
