/* What FingerprintJS and ThumbmarkJS, as sites load them, take a member for: the same visitor after
 * a restart of its browser, and another one than its neighbour. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fingerprints/generate.h"
#include "tests/integration/probe_rig.h"
#include "tests/support/testing.h"

enum { MEMBERS = 2, LAUNCHES = 2 };

static const char *const libraries[] = {"fingerprintjs", "thumbmark"};

static struct json *ids_of(struct probe_rig *rig, size_t member)
{
    const char *text = probe_open_page(rig, member, "probe/ids.html", "ids");
    struct json *j = json_parse(str_from(text), false, NULL);
    const char *error = json_str(json_get(j, "error"), NULL);

    if (j == NULL || error != NULL)
        fail_msg("member %zu: the page said %s", member, j == NULL ? "nothing" : error);
    return j;
}

static void check_same(struct json *a, struct json *b, bool same)
{
    for (size_t i = 0; i < ARRAY_LEN(libraries); i++) {
        const char *x = json_str(json_get(a, libraries[i]), "");
        const char *y = json_str(json_get(b, libraries[i]), "");

        print_message("%s: %s and %s\n", libraries[i], x, y);
        assert_true(x[0] != '\0' && y[0] != '\0');
        assert_int_equal(strcmp(x, y) == 0, same);
    }
}

static void test_ids(void **state)
{
    const struct identity_params params = {
        .seed = "probe", .browser_version = "156.0.8078.79", .memory_bytes = 8ULL << 30};
    struct arena *arena = arena_create(NULL, 0);
    const struct identity *ids[MEMBERS];
    struct json *got[LAUNCHES][MEMBERS];

    (void)state;
    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_int_equal(identity_generate(arena, &params, i, &ids[i], NULL), STATUS_OK);
    for (size_t k = 0; k < LAUNCHES; k++) {
        struct probe_rig *rig = probe_open(BROWSER_CHROMIUM, ISOLATION_PROCESS, ids, MEMBERS);

        for (size_t i = 0; i < MEMBERS; i++)
            got[k][i] = ids_of(rig, i);
        probe_close(&rig);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        check_same(got[0][i], got[1][i], true);
    check_same(got[0][0], got[0][1], false);
    for (size_t i = 0; i < LAUNCHES * MEMBERS; i++)
        json_destroy(&got[i / MEMBERS][i % MEMBERS]);
    arena_destroy(&arena);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_ids)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
