#include "reaper/sweep.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"
#include "reaper/reaper.h"
#include "reaper/uids.h"
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

/* --- processes of a member's uid --- */

enum { UID = 65100, ELSE = 65101 }; /* above those that fleets give */

/* A process of uid UID with only `env` in its environment; with `locks` it is of another fleet,
 * which has that uid now. Returned once it runs. */
static pid_t start_one(const char *env, bool locks)
{
    char *const argv[] = {strdup("sleep"), strdup("1000"), NULL}, *const envp[] = {strdup(env), 0};
    int ready[2];
    char byte;
    pid_t p;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    p = fork();
    assert_true(p >= 0);
    if (p == 0) {
        int fd = locks ? uids_open() : -1;

        if (locks && (!uids_take(fd, UID) || fcntl(fd, F_SETFD, 0) < 0))
            _exit(1);
        if (setresgid(UID, UID, UID) == 0 && setresuid(UID, UID, UID) == 0)
            execve("/bin/sleep", argv, envp);
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* its end: executed */
    close(ready[0]);
    free(argv[0]);
    free(argv[1]);
    free(envp[0]);
    return p;
}

static bool is_over(pid_t p)
{
    siginfo_t si = {0};

    return waitid(P_PID, (id_t)p, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == p;
}

static void end_one(pid_t p)
{
    kill(p, SIGKILL);
    assert_int_equal(waitpid(p, NULL, 0), p);
}

struct leftover {
    char *dir;
    char tmp[PATH_MAX + 32], file[PATH_MAX + 32], env[PATH_MAX + 48];
};

/* A member without a PID namespace whose init is dead, by `owner`. */
static void leave(struct leftover *l, uid_t owner)
{
    char run[PATH_MAX], text[PATH_MAX * 2];

    l->dir = test_mkdir();
    snprintf(run, sizeof(run), "%s/run", l->dir);
    snprintf(l->tmp, sizeof(l->tmp), "%s/fleet-m-1-0-0000abcd", l->dir);
    snprintf(l->file, sizeof(l->file), "%s/m-1-0-0000abcd", run);
    snprintf(l->env, sizeof(l->env), "HOME=%s/home", l->tmp);
    assert_int_equal(mkdir(run, 0755) | mkdir(l->tmp, 0755), 0);
    snprintf(text, sizeof(text), "name x\norphans\ntmp %s\nuid %d\n", l->tmp, UID);
    test_write_file(l->file, text, strlen(text));
    assert_int_equal(chown(l->file, owner, owner), 0);
}

/* By the uid, whatever the environment; unless another fleet has that uid, or somebody else wrote
 * the file: then by the directory's name alone. */
static void test_processes_of_a_uid(void **state)
{
    static const struct {
        uid_t owner;
        bool in_use, bare_ends; /* bare: of the uid, and nothing else tells whose it is */
    } rows[] = {{0, false, true}, {0, true, false}, {ELSE, false, false}};

    (void)state;
    if (geteuid() != 0)
        test_skip("not root: uids cannot be had");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct leftover l;
        struct reaper_swept s;
        pid_t left, bare, other;

        leave(&l, rows[i].owner);
        left = start_one(l.env, false);
        bare = start_one("A=b", false);
        other = rows[i].in_use ? start_one("A=b", true) : -1;
        assert_int_equal(reaper_sweep(l.dir, &s, NULL), STATUS_OK);
        assert_true(is_over(left));
        assert_int_equal(is_over(bare), rows[i].bare_ends);
        assert_int_equal(s.processes, rows[i].bare_ends ? 2 : 1);
        assert_int_equal(s.dirs, 1);
        end_one(left);
        end_one(bare);
        if (other > 0) {
            assert_false(is_over(other));
            end_one(other);
        }
        test_rmdir(&l.dir);
    }
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
        cmocka_unit_test(test_parses),        cmocka_unit_test(test_names),
        cmocka_unit_test(test_sweeps),        cmocka_unit_test(test_processes_of_a_uid),
        cmocka_unit_test(test_nothing_there),
    };

    return cmocka_run_group_tests_name("sweep", tests, NULL, NULL);
}
