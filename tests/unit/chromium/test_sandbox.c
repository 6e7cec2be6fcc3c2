#include "browser/chromium/sandbox.h"

#include "core/base/jcs.h"
#include "tests/support/testing.h"

#define BIT(l) REAPER_LAYER_BIT(REAPER_LAYER_##l)
#define ALL    (REAPER_LAYER_BIT(REAPER_LAYER_COUNT) - 1u)

static void test_words(void **state)
{
    static const struct {
        uint32_t layers;
        const char *words;
        uint32_t lacks;
    } rows[] = {
        {ALL, "all layers", 0},
        {ALL & ~BIT(CGROUP_KILL), "all layers", 0},
        {ALL & ~BIT(LANDLOCK), "without landlock", 0},
        {ALL & ~(BIT(NETNS) | BIT(CGROUP)), "without network-namespace,cgroup-limits", BIT(NETNS)},
        {0,
         "without chromium-sandbox,pid-namespace,mount-namespace,network-namespace,"
         "ipc-uts-namespaces,member-uid,no-new-privs,seccomp,landlock,rlimits,cgroup-limits",
         REAPER_LAYERS_REQUIRED | BIT(NETNS)},
    };
    char words[SANDBOX_WORDS_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(sandbox_words(rows[i].layers, words), rows[i].words);
        assert_int_equal(sandbox_lacks(rows[i].layers), rows[i].lacks);
    }
}

static void test_description(void **state)
{
    static const struct {
        uint32_t layers;
        const char *json;
    } rows[] = {
        {BIT(PIDNS) | BIT(SECCOMP),
         "{\"guarantee\":\"kernel\",\"layers\":[\"pid-namespace\",\"seccomp\"]}"},
        {BIT(UID), "{\"guarantee\":\"uid\",\"layers\":[\"member-uid\"]}"},
        {BIT(CGROUP_KILL), "{\"guarantee\":\"cgroup\",\"layers\":[\"cgroup-kill\"]}"},
        {0, "{\"guarantee\":\"best-effort\",\"layers\":[]}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json *j = json_new_object();
        struct buf b = BUF_INIT(BUF_MAX_LINE);

        sandbox_describe(rows[i].layers, j);
        assert_int_equal(jcs_write(j, &b, NULL), STATUS_OK);
        assert_true(str_eqz(buf_str(&b), rows[i].json));
        buf_deinit(&b);
        json_destroy(&j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_description),
    };

    return cmocka_run_group_tests_name("sandbox", tests, NULL, NULL);
}
