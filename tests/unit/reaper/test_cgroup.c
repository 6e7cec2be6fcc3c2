/* What can be tested of cgroups with plain files: reading the kernel's counts of OOM kills, as v2
 * and v1 write them. The rest is in tests/integration/test_reaper.c, with the kernel. */
#include "reaper/cgroup.h"

#include <stdio.h>
#include <string.h>

#include "core/base/attr.h"
#include "tests/support/testing.h"

static void test_counts_oom_kills(void **state)
{
    static const struct {
        const char *text; /* NULL: no file */
        unsigned kills;
    } rows[] = {
        {"low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n", 2}, /* memory.events */
        {"oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5}, /* memory.oom_control */
        {"oom_kill_disable 0\nunder_oom 0\n", 0},             /* before Linux 4.13 */
        {"", 0},
        {NULL, 0},
    };
    char *dir = test_mkdir();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cgroup c = {0};

        snprintf(c.events, sizeof(c.events), "%s/events-%zu", dir, i);
        if (rows[i].text)
            test_write_file(c.events, rows[i].text, strlen(rows[i].text));
        assert_int_equal(cgroup_oom_kills(&c), rows[i].kills);
    }
    assert_int_equal(cgroup_oom_kills(&(struct cgroup){0}), 0);
    test_rmdir(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_oom_kills),
    };

    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
