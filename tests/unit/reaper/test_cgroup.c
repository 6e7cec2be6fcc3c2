/* Cgroups with plain files: reading the kernel's counts of OOM kills, and v2 on a directory that
 * stands in for /sys/fs/cgroup: files appear in a new directory as far as subtree_control of the
 * one above says, and that refuses while processes are in it. The rest is in
 * tests/integration/test_reaper.c, with the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int tree_mkdir(const char *path, mode_t mode);
static int tree_open(const char *path, int flags);
static int tree_rmdir(const char *path);
static int tree_access(const char *path, int mode);

#define mkdir(path, mode) tree_mkdir(path, mode)
#define open(path, flags) tree_open(path, flags)
#define rmdir(path)       tree_rmdir(path)
#define access(path, how) tree_access(path, how)
#include "reaper/cgroup.c"
#undef mkdir
#undef open
#undef rmdir
#undef access

#include "tests/support/testing.h"

/* --- the tree --- */

static struct {
    char *root;
    bool no_internal; /* subtree_control refuses while somebody is in cgroup.procs */
    bool no_kill;     /* before Linux 5.14 */
} tree;

static void put(const char *dir, const char *name, const char *text)
{
    char path[CGROUP_PATH_MAX + 64];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    test_write_file(path, text, strlen(text));
}

static const char *content(const char *dir, const char *name)
{
    static char text[16][200];
    static unsigned next;
    char path[CGROUP_PATH_MAX + 64], *got = text[next++ % 16], *whole;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (access(path, F_OK) != 0)
        return "(none)";
    whole = test_read_file(path, NULL);
    snprintf(got, sizeof(text[0]), "%s", whole);
    free(whole);
    return got;
}

static void put_new(const char *dir, const char *name, const char *text)
{
    if (strcmp(content(dir, name), "(none)") == 0)
        put(dir, name, text);
}

/* What the kernel puts into a directory, now and when a controller is enabled above it. */
static void populate(const char *dir)
{
    const char *enabled = content(tree.root, "cgroup.subtree_control");

    put_new(dir, "cgroup.procs", "");
    put_new(dir, "cgroup.subtree_control", "");
    if (!tree.no_kill)
        put_new(dir, "cgroup.kill", "");
    if (strstr(enabled, "+memory")) {
        put_new(dir, "memory.max", "max");
        put_new(dir, "memory.swap.max", "max");
        put_new(dir, "memory.oom.group", "0");
        put_new(dir, "memory.events", "oom_kill 3\n");
    }
    if (strstr(enabled, "+pids"))
        put_new(dir, "pids.max", "max");
    if (strstr(enabled, "+cpu"))
        put_new(dir, "cpu.max", "max 100000");
}

static int tree_mkdir(const char *path, mode_t mode)
{
    if (mkdir(path, mode) < 0)
        return -1;
    populate(path);
    return 0;
}

static int tree_access(const char *path, int mode)
{
    char dir[CGROUP_PATH_MAX];

    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
    populate(dir);
    return access(path, mode);
}

/* Enabling adds up; a process that enters a leaf leaves where it was. */
static int tree_open(const char *path, int flags)
{
    const char *name = strrchr(path, '/');

    if (strcmp(name, "/cgroup.subtree_control") == 0) {
        if (tree.no_internal && *content(tree.root, "cgroup.procs")) {
            errno = EBUSY;
            return -1;
        }
        return open(path, flags | O_APPEND);
    }
    if (strstr(path, "/fleet-own/cgroup.procs"))
        put(tree.root, "cgroup.procs", "");
    return open(path, flags | (strcmp(name, "/cgroup.procs") == 0 ? O_APPEND : O_TRUNC));
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *w)
{
    (void)st;
    (void)kind;
    (void)w;
    return remove(path);
}

static int tree_rmdir(const char *path)
{
    return nftw(path, remove_one, 4, FTW_DEPTH | FTW_PHYS);
}

static struct cgroup_base plant(void)
{
    struct cgroup_base b = {0};

    memset(&tree, 0, sizeof(tree));
    tree.root = test_mkdir();
    put(tree.root, "cgroup.procs", "");
    put(tree.root, "cgroup.subtree_control", "");
    snprintf(b.v2, sizeof(b.v2), "%s", tree.root);
    return b;
}

static const struct wire_numbers limited = {
    .memory_max_bytes = 1 << 30, .pids_max = 100, .cpu_max_percent = 150};

static void test_limits_of_a_member(void **state)
{
    struct cgroup_base b = plant();
    struct report r = {0};
    struct cgroup c;

    (void)state;
    probe_v2(&b);
    assert_true(b.v2_has[CGROUP_MEMORY] && b.v2_has[CGROUP_PIDS] && b.v2_has[CGROUP_CPU]);
    assert_int_equal(b.kill_errno, 0);
    assert_string_equal(content(tree.root, "cgroup.subtree_control"), "+memory+pids+cpu");
    assert_true(cgroup_create(&r, &b, "m-1", &limited, CGROUP_FOR_LIMITS, &c));
    assert_int_equal(c.n, 1); /* one directory for all */
    assert_string_equal(content(c.dirs[0], "memory.max"), "1073741824");
    assert_string_equal(content(c.dirs[0], "memory.swap.max"), "0");
    assert_string_equal(content(c.dirs[0], "memory.oom.group"), "0"); /* a renderer alone may go */
    assert_string_equal(content(c.dirs[0], "pids.max"), "100");
    assert_string_equal(content(c.dirs[0], "cpu.max"), "150000 100000");
    assert_int_equal(cgroup_oom_kills(&c), 3);
    assert_true(cgroup_enter(&r, &c, false));
    assert_string_equal(content(c.dirs[0], "cgroup.procs"), "0");
    cgroup_close(&c);
    cgroup_kill(&c);
    assert_string_equal(content(c.dirs[0], "cgroup.kill"), "1");
    assert_true(cgroup_remove(&c));
    assert_string_equal(content(tree.root, "m-1/pids.max"), "(none)");
    test_rmdir(&tree.root);
}

/* Without limits: only to be killed. */
static void test_no_limits_asked(void **state)
{
    struct cgroup_base b = plant();
    struct report r = {0};
    struct cgroup c;

    (void)state;
    probe_v2(&b);
    assert_true(cgroup_create(&r, &b, "m-1", &limited, CGROUP_FOR_KILL, &c));
    assert_string_equal(content(c.dirs[0], "pids.max"), "max");
    assert_true(c.kill[0] != '\0' && c.events[0] == '\0');
    cgroup_close(&c);
    assert_true(cgroup_remove(&c));
    test_rmdir(&tree.root);
}

/* Delegated to us: we are in it ourselves, and step into a leaf. */
static void test_delegated_to_us_alone(void **state)
{
    struct cgroup_base b = plant();
    char pids[64];

    (void)state;
    tree.no_internal = true;
    snprintf(pids, sizeof(pids), "%d\n%d\n", (int)getppid(), (int)getpid());
    put(tree.root, "cgroup.procs", pids);
    probe_v2(&b);
    assert_true(b.v2_has[CGROUP_MEMORY] && b.v2_has[CGROUP_PIDS] && b.v2_has[CGROUP_CPU]);
    snprintf(pids, sizeof(pids), "%d0", (int)getppid());
    assert_string_equal(content(tree.root, "fleet-own/cgroup.procs"), pids);
    test_rmdir(&tree.root);
}

/* Others are in it: they are left where they are, and there are no limits. */
static void test_shared_with_others(void **state)
{
    struct cgroup_base b = plant();
    struct report r = {0};
    struct cgroup c;

    (void)state;
    tree.no_internal = true;
    tree.no_kill = true;
    put(tree.root, "cgroup.procs", "1\n");
    probe_v2(&b);
    assert_false(b.v2_has[CGROUP_MEMORY] || b.v2_has[CGROUP_PIDS] || b.v2_has[CGROUP_CPU]);
    assert_int_equal(b.kill_errno, ENOSYS);
    assert_string_equal(content(tree.root, "fleet-own/cgroup.procs"), "(none)");
    assert_true(
        cgroup_create(&r, &b, "m-1", &limited, CGROUP_FOR_LIMITS, &c)); /* nothing to limit with */
    assert_string_equal(c.kill, "");
    cgroup_close(&c);
    assert_true(cgroup_remove(&c));
    test_rmdir(&tree.root);
}

static void plant_probe(const char *name, time_t age_s)
{
    const struct timespec at[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};
    char path[CGROUP_PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", tree.root, name);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, at, 0), 0);
}

static pid_t dead_pid(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

static bool is_there(const char *name)
{
    char path[CGROUP_PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", tree.root, name);
    return access(path, F_OK) == 0;
}

/* What spawners left that were killed while they tried: theirs alone, whose process is gone. */
static void test_probes_of_the_dead(void **state)
{
    struct cgroup_base b = plant();
    pid_t dead = dead_pid();
    char of_dead[64], young[64], own[64], alive[64];

    (void)state;
    snprintf(of_dead, sizeof(of_dead), "fleet-probe-%d", (int)dead);
    snprintf(young, sizeof(young), "fleet-probe-%d", (int)dead + 1000000000);
    snprintf(own, sizeof(own), "fleet-probe-%d", (int)getpid());
    snprintf(alive, sizeof(alive), "fleet-probe-%d", (int)getppid());
    plant_probe(of_dead, 3600);
    plant_probe(young, 5);
    plant_probe(own, 3600);
    plant_probe(alive, 3600);
    plant_probe("fleet-probe-12x", 3600);
    plant_probe("other-1", 3600);
    probe_v2(&b);
    assert_int_equal(b.kill_errno, 0); /* though there was one of our own pid */
    assert_false(is_there(of_dead) || is_there(own));
    assert_true(is_there(young) && is_there(alive) && is_there("fleet-probe-12x") &&
                is_there("other-1"));
    test_rmdir(&tree.root);
}

static void test_a_leaf_of_ours_is_not_our_place(void **state)
{
    static const struct {
        const char *point, *want;
    } rows[] = {{"/cg/a/fleet-own", "/cg/a"},
                {"/cg/fleet-owner", "/cg/fleet-owner"},
                {"/cg/not-fleet-own", "/cg/not-fleet-own"}};
    char path[CGROUP_PATH_MAX];

    (void)state;
    if (!own_path("", path, sizeof(path)))
        test_skip("no cgroup v2 here");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct mountinfo m = {.root = "/elsewhere"};
        char out[CGROUP_PATH_MAX] = "";

        snprintf(m.point, sizeof(m.point), "%s", rows[i].point);
        note_place(&m, "", out);
        assert_string_equal(out, rows[i].want);
    }
}

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
        cmocka_unit_test(test_limits_of_a_member),
        cmocka_unit_test(test_no_limits_asked),
        cmocka_unit_test(test_delegated_to_us_alone),
        cmocka_unit_test(test_shared_with_others),
        cmocka_unit_test(test_probes_of_the_dead),
        cmocka_unit_test(test_a_leaf_of_ours_is_not_our_place),
    };

    return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
