#include "reaper/sweep.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/reaper.h"
#include "tests/support/testing.h"

static void test_parses(void **state)
{
    struct sweep_notes n;

    (void)state;
    sweep_parse(STR("name browser\norphans\nuid 64003\ntmp /tmp/fleet-m-1\ncgroup /a\ncgroup /b\n"),
                &n);
    assert_true(str_eqz(n.name, "browser"));
    assert_true(n.orphans);
    assert_int_equal(n.uid, 64003);
    assert_true(str_eqz(n.tmp, "/tmp/fleet-m-1"));
    assert_int_equal(n.n_cgroups, 2);
    sweep_parse(STR("tmp relative\ncgroup x\nuid -1\nuid 99999999999\nwhat is this\n\n"), &n);
    assert_int_equal(n.tmp.len, 0);
    assert_int_equal(n.n_cgroups, 0);
    assert_int_equal(n.uid, 0);
    sweep_parse(STR(""), &n);
    assert_false(n.orphans);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool ours;
    } rows[] = {{"m-1-0-00000000", true}, {"new-m-1-0-00000000", true}, {"m-", false},
                {"m-x", false},           {"fleets.json", false},       {"..", false},
                {"new-", false}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(sweep_is_lock_name(rows[i].name), rows[i].ours);
}

/* Left: the file, and the directory it names; not left alone: what only pretends to be ours. */
static void test_sweeps(void **state)
{
    char *dir = test_mkdir();
    char run[PATH_MAX], file[PATH_MAX + 32], tmp[PATH_MAX + 32], theirs[PATH_MAX + 32],
        text[PATH_MAX * 3];
    struct reaper_swept s;

    (void)state;
    snprintf(run, sizeof(run), "%s/run", dir);
    snprintf(file, sizeof(file), "%s/m-1-0-0000abcd", run);
    snprintf(tmp, sizeof(tmp), "%s/fleet-m-1-0-0000abcd", dir);
    snprintf(theirs, sizeof(theirs), "%s/precious", dir);
    assert_int_equal(mkdir(run, 0755) | mkdir(tmp, 0755) | mkdir(theirs, 0755), 0);
    snprintf(text, sizeof(text), "name x\ntmp %s\n", tmp);
    test_write_file(file, text, strlen(text));
    snprintf(file, sizeof(file), "%s/m-1-1-0000abce", run);
    snprintf(text, sizeof(text), "name x\ntmp %s\n", theirs);
    test_write_file(file, text, strlen(text));
    assert_int_equal(reaper_sweep(dir, &s, NULL), STATUS_OK);
    assert_int_equal(s.members, 2);
    assert_int_equal(s.dirs, 1);
    assert_int_equal(s.files, 2);
    assert_int_equal(access(tmp, F_OK), -1);
    assert_int_equal(access(theirs, F_OK), 0);
    assert_int_equal(reaper_sweep(dir, &s, NULL), STATUS_OK);
    assert_int_equal(s.members, 0);
    test_rmdir(&dir);
}

static void test_nothing_there(void **state)
{
    struct reaper_swept s;

    (void)state;
    assert_int_equal(reaper_sweep("/no/such/place", &s, NULL), STATUS_OK);
    assert_int_equal(s.members, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_sweeps),
        cmocka_unit_test(test_nothing_there),
    };

    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
