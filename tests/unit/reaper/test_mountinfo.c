#include "reaper/mountinfo.h"

#include <string.h>

#include "core/base/attr.h"
#include "tests/support/testing.h"

static void test_parses(void **state)
{
    static const struct {
        const char *line, *root, *point, *options, *type, *super;
    } rows[] = {
        {"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", "/mnt1",
         "/mnt2", "rw,noatime", "ext3", "rw,errors=continue"},
        {"22 1 0:21 / /sys/fs/cgroup/memory ro,nosuid shared:9 master:3 - cgroup cgroup rw,memory",
         "/", "/sys/fs/cgroup/memory", "ro,nosuid", "cgroup", "rw,memory"},
        {"22 1 0:21 / / rw - tmpfs tmpfs rw", "/", "/", "rw", "tmpfs", "rw"},
        {"22 1 0:21 /a\\040b /c\\011d\\134 rw - tmpfs none rw", "/a b", "/c\td\\", "rw", "tmpfs",
         "rw"},
    };
    static struct mountinfo m;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(mountinfo_parse(rows[i].line, &m));
        assert_string_equal(m.root, rows[i].root);
        assert_string_equal(m.point, rows[i].point);
        assert_string_equal(m.options, rows[i].options);
        assert_string_equal(m.type, rows[i].type);
        assert_string_equal(m.super, rows[i].super);
    }
}

static void test_refuses(void **state)
{
    static const char *const rows[] = {
        "",
        "36",
        "36 35 98:0 /mnt1 /mnt2 rw,noatime",
        "36 35 98:0 /mnt1 /mnt2 rw master:1 ext3 none rw",
        "36 35 98:0 /mnt1 /mnt2 rw - ext3",
        "36 35 98:0  /mnt2 rw - ext3 none rw",
        "36 35 98:0 / / rw - ext3 none",
    };
    static struct mountinfo m;
    static char longest[8192];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_false(mountinfo_parse(rows[i], &m));
    memset(longest, 'x', sizeof(longest) - 1);
    memcpy(longest, "1 1 0:1 /", 9);
    assert_false(mountinfo_parse(longest, &m));
}

static void test_options(void **state)
{
    (void)state;
    assert_true(mountinfo_has_option("rw,memory", "memory"));
    assert_true(mountinfo_has_option("memory", "memory"));
    assert_false(mountinfo_has_option("rw,memory2", "memory"));
    assert_false(mountinfo_has_option("rw,amemory", "memory"));
    assert_false(mountinfo_has_option("", "memory"));
    assert_true(mountinfo_has_option("cpu,cpuacct", "cpuacct"));
}

static bool find_root(const struct mountinfo *m, void *arg)
{
    bool *found = arg;

    *found = *found || strcmp(m->point, "/") == 0;
    return true;
}

static void test_reads_our_own(void **state)
{
    bool found = false;

    (void)state;
    assert_int_equal(mountinfo_each(find_root, &found), 0);
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parses),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_reads_our_own),
    };

    return cmocka_run_group_tests_name("mountinfo", tests, NULL, NULL);
}
