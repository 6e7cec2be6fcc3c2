/* The table of mismatches in full: four identities, three launches each, process tier, and the
 * dense tier once; with FLEET_NPM also what FingerprintJS and ThumbmarkJS take each for. A browser
 * without identity stands beside it. PROBE_VERBOSE=1 prints each mismatch. Some minutes. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fingerprints/generate.h"
#include "tests/integration/probe_judge.h"
#include "tests/support/testing.h"

enum { MEMBERS = 4, LAUNCHES = 3 };

static const struct identity *ids[MEMBERS];

static void visit_plain(enum browser_kind kind, struct probe_visit *out)
{
    const struct identity *nobody = &probe_nobody;
    struct probe_rig *rig = probe_open(kind, ISOLATION_PROCESS, &nobody, 1);

    probe_visit(rig, 0, false, out);
    probe_close(&rig);
}

static void judge_launch(enum browser_kind kind, enum isolation isolation, struct probe_count *c,
                         const struct probe_visit *plain, struct probe_visit v[MEMBERS])
{
    struct probe_rig *rig = probe_open(kind, isolation, ids, MEMBERS);

    for (size_t i = 0; i < MEMBERS; i++) {
        probe_visit(rig, i, false, &v[i]);
        probe_judge(c, &v[i], ids[i], plain, false);
    }
    probe_close(&rig);
}

static void judge_tier(enum browser_kind kind, enum isolation isolation, const char *title,
                       size_t launches)
{
    struct probe_count c = {.verbose = getenv("PROBE_VERBOSE") != NULL}, off = {0};
    struct probe_visit v[LAUNCHES][MEMBERS], plain;

    visit_plain(kind, &plain);
    for (size_t k = 0; k < launches; k++) {
        judge_launch(kind, isolation, &c, &plain, v[k]);
        for (size_t i = 0; k > 0 && i < MEMBERS; i++)
            probe_judge_restart(&c, &v[0][i], &v[k][i]);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        for (size_t k = i + 1; k < MEMBERS; k++)
            probe_judge_collision(&c, &v[0][i], &v[0][k]);
    probe_judge(&off, &plain, ids[0], &plain, false);
    probe_print(&c, title, (unsigned)(launches * MEMBERS));
    probe_print(&off, "the same browser without identity", 1);
    for (size_t i = 0; i < launches * MEMBERS; i++)
        probe_visit_free(&v[i / MEMBERS][i % MEMBERS]);
    probe_visit_free(&plain);
}

static void test_table(void **state)
{
    const char *locales[] = {"de-DE", "en-GB"};
    long pages = sysconf(_SC_PHYS_PAGES);
    const struct identity_params p = {
        .seed = "probe",
        .browser_version = "156.0.8078.79",
        .locales = {locales, ARRAY_LEN(locales)},
        .memory_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE),
    };
    struct arena *a = arena_create(NULL, 0);

    (void)state;
    for (uint32_t i = 0; i < MEMBERS; i++)
        assert_int_equal(identity_generate(a, &p, i, &ids[i], NULL), STATUS_OK);
    judge_tier(BROWSER_CHROMIUM, ISOLATION_PROCESS, "process tier", LAUNCHES);
    judge_tier(BROWSER_HEADLESS_SHELL, ISOLATION_CONTEXT, "dense tier", 1);
    arena_destroy(&a);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
