#include "tests/support/testing.h"

#include "core/base/fault.h"
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *dir; /* of the test that runs */

static int set_up(void **state maybe_unused)
{
    dir = test_mkdir();
    return 0;
}

static int tear_down(void **state maybe_unused)
{
    test_rmdir(&dir);
    return 0;
}

/* A path in the test's directory; good until the 8th call after this. */
static const char *at(const char *name)
{
    static char slots[8][512];
    static unsigned next;
    char *slot = slots[next++ % ARRAY_LEN(slots)];

    (void)snprintf(slot, sizeof(slots[0]), "%s/%s", dir, name);
    return slot;
}

static size_t count_entries(void)
{
    DIR *d = opendir(dir);
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2; /* "." and ".." */
}

static void assert_content(const char *path, const char *expected)
{
    size_t len;
    char *text = test_read_file(path, &len);

    assert_string_equal(text, expected);
    free(text);
}

static void test_read(void **state maybe_unused)
{
    struct buf b = BUF_INIT(8);
    struct err e = ERR_INIT;

    test_write_file(at("f"), "1234", 4);
    assert_int_equal(file_read(at("f"), &b, &e), STATUS_OK);
    assert_int_equal(file_read(at("f"), &b, &e), STATUS_OK); /* onto the end, up to the cap */
    assert_true(str_eqz(buf_str(&b), "12341234"));
    buf_consume(&b, 6);
    assert_int_equal(file_read(at("f"), &b, &e), STATUS_OK);
    test_write_file(at("long"), "123456789", 9);
    assert_int_equal(file_read(at("long"), &b, &e), STATUS_TOO_LARGE);
    assert_true(str_eqz(buf_str(&b), "341234"));
    buf_reset(&b);
    test_write_file(at("empty"), "", 0);
    assert_int_equal(file_read(at("empty"), &b, &e), STATUS_OK);
    assert_int_equal(b.len, 0);
    buf_deinit(&b);
}

static void test_read_refusals(void **state maybe_unused)
{
    struct buf b = BUF_INIT(8);
    struct err e = ERR_INIT;

    assert_int_equal(file_read(at("none"), &b, &e), STATUS_NOT_FOUND);
    assert_int_equal(e.sys_errno, ENOENT);
    assert_non_null(strstr(e.text, at("none")));
    assert_int_equal(file_read(dir, &b, &e), STATUS_INVALID);
    test_write_file(at("f"), "x", 1);
    assert_int_equal(file_read(at("f/x"), &b, &e), STATUS_NOT_FOUND);
    assert_int_equal(symlink("loop", at("loop")), 0);
    assert_int_equal(file_read(at("loop"), &b, &e), STATUS_INVALID);
    buf_deinit(&b);
}

static void test_replace(void **state maybe_unused)
{
    mode_t old_mask = umask(077);
    struct err e = ERR_INIT;
    struct stat st;

    assert_int_equal(file_replace(at("f"), STR("one"), 0644, &e), STATUS_OK);
    umask(old_mask);
    assert_content(at("f"), "one");
    assert_int_equal(stat(at("f"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644); /* whatever the umask */
    assert_int_equal(file_replace(at("f"), STR(""), 0600, &e), STATUS_OK);
    assert_content(at("f"), "");
    assert_int_equal(stat(at("f"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(count_entries(), 1);
    assert_int_equal(file_replace(at("no/f"), STR("x"), 0600, &e), STATUS_NOT_FOUND);
    assert_int_equal(mkdir(at("d"), 0700), 0);
    assert_int_equal(file_replace(at("d"), STR("x"), 0600, &e), STATUS_INVALID);
    assert_int_equal(count_entries(), 2);
}

#ifdef FLEET_FAULTS
/* The old file is untouched and nothing is left beside it, at whichever step it fails. */
static void test_replace_fails(void **state maybe_unused)
{
    static const struct {
        const char *spec;
        enum status status;
    } cases[] = {
        {"file.write:1:28", STATUS_NO_SPACE},  /* ENOSPC */
        {"file.write:1:122", STATUS_NO_SPACE}, /* EDQUOT */
        {"file.write", STATUS_IO},
        {"file.fsync", STATUS_IO},
        {"file.fsync:1:28", STATUS_NO_SPACE},
        {"file.rename", STATUS_IO},
        {"file.rename:1:30", STATUS_PERMISSION}, /* EROFS */
    };
    size_t fds = test_count_fds();

    test_write_file(at("f"), "old", 3);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        enum status st;

        fault_set(cases[i].spec);
        st = file_replace(at("f"), STR("new"), 0600, &e);
        if (st != cases[i].status || st != e.status)
            fail_msg("%s: %s: %s", cases[i].spec, status_name(st), err_text(&e));
        assert_content(at("f"), "old");
        assert_int_equal(count_entries(), 1);
    }
    fault_set("file.fsync:2"); /* of the directory: the one case in which the new is there */
    assert_int_equal(file_replace(at("f"), STR("new"), 0600, NULL), STATUS_IO);
    assert_content(at("f"), "new");
    assert_int_equal(count_entries(), 1);
    fault_set("file.write:1:4"); /* EINTR: goes on */
    assert_int_equal(file_replace(at("f"), STR("newer"), 0600, NULL), STATUS_OK);
    assert_content(at("f"), "newer");
    fault_set("");
    assert_int_equal(test_count_fds(), fds);
}
#endif

/* A real refusal in the middle of the content: first a short write, then an error. */
static void test_replace_past_a_limit(void **state maybe_unused)
{
    struct rlimit old, small;
    struct err e = ERR_INIT;
    char big[10000];

    memset(big, 'x', sizeof(big));
    test_write_file(at("f"), "old", 3);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(file_replace(at("f"), str_n(big, sizeof(big)), 0600, &e), STATUS_TOO_LARGE);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_content(at("f"), "old");
    assert_int_equal(count_entries(), 1);
}

static void test_mkdirs(void **state maybe_unused)
{
    struct err e = ERR_INIT;
    struct stat st;

    assert_int_equal(file_mkdirs(at("a//b/c/"), 0700, &e), STATUS_OK);
    assert_int_equal(stat(at("a/b/c"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(file_mkdirs(at("a/b/c"), 0700, &e), STATUS_OK);
    assert_int_equal(file_mkdirs("/", 0700, &e), STATUS_OK);
    test_write_file(at("f"), "x", 1);
    assert_int_equal(file_mkdirs(at("f"), 0700, &e), STATUS_INVALID);
    assert_non_null(strstr(e.text, "a file is in its place"));
    assert_int_equal(file_mkdirs(at("f/x"), 0700, &e), STATUS_INVALID);
    assert_int_equal(symlink("a", at("link")), 0);
    assert_int_equal(file_mkdirs(at("link/x"), 0700, &e), STATUS_OK);
    assert_int_equal(stat(at("a/x"), &st), 0);
}

static void test_remove_tree(void **state maybe_unused)
{
    struct err e = ERR_INIT;
    struct stat st;

    assert_int_equal(file_mkdirs(at("t/a/b"), 0700, &e), STATUS_OK);
    assert_int_equal(file_mkdirs(at("outside"), 0700, &e), STATUS_OK);
    test_write_file(at("outside/keep"), "x", 1);
    test_write_file(at("t/a/f"), "x", 1);
    assert_int_equal(symlink("../../outside", at("t/a/link")), 0);
    assert_int_equal(symlink("nowhere", at("t/dangling")), 0);
    assert_int_equal(chmod(at("t/a"), 0500), 0);
    assert_int_equal(file_remove_tree(at("t/"), &e), STATUS_OK);
    assert_int_equal(lstat(at("t"), &st), -1);
    assert_content(at("outside/keep"), "x");

    assert_int_equal(symlink("outside", at("link")), 0);
    assert_int_equal(file_remove_tree(at("link/"), &e),
                     STATUS_OK); /* the link, not what it names */
    assert_content(at("outside/keep"), "x");
    assert_int_equal(count_entries(), 1);
    assert_int_equal(file_remove_tree(at("outside/keep"), &e), STATUS_OK);
    assert_int_equal(file_remove_tree(at("none"), &e), STATUS_OK);
    assert_int_equal(file_remove_tree(at("none/none"), &e), STATUS_OK);
}

/* Deeper than it goes: reported, and the rest of the tree is gone. */
static void test_remove_deep_tree(void **state maybe_unused)
{
    enum { DEPTH = 210 };
    struct err e = ERR_INIT;
    size_t fds = test_count_fds();
    char path[512 + 2 * DEPTH];
    size_t n;
    struct stat st;

    (void)snprintf(path, sizeof(path), "%s", at("t"));
    n = strlen(path);
    for (int i = 0; i < DEPTH; i++)
        memcpy(path + n + 2 * (size_t)i, "/d", 3);
    assert_int_equal(file_mkdirs(path, 0700, &e), STATUS_OK);
    test_write_file(at("t/f"), "x", 1);
    assert_int_equal(file_remove_tree(at("t"), &e), STATUS_INVALID);
    assert_int_equal(stat(at("t/f"), &st), -1);
    assert_int_equal(test_count_fds(), fds);
    assert_int_equal(rename(at("t/d/d/d/d/d/d/d/d/d/d/d/d"), at("u")), 0);
    assert_int_equal(file_remove_tree(at("u"), &e), STATUS_OK);
    assert_int_equal(file_remove_tree(at("t"), &e), STATUS_OK);
}

/* Runs in a child: holds the lock until the pipe is closed. */
static pid_t hold_lock(const char *path, int *release)
{
    int ready[2], hold[2], fd;
    char c;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(hold), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(hold[1]);
        if (file_lock(path, 0, &fd, NULL) != STATUS_OK)
            _exit(1);
        (void)!write(ready[1], "r", 1);
        (void)!read(hold[0], &c, 1);
        _exit(0);
    }
    close(ready[1]);
    close(hold[0]);
    assert_int_equal(read(ready[0], &c, 1), 1);
    close(ready[0]);
    *release = hold[1];
    return pid;
}

static void test_lock(void **state maybe_unused)
{
    struct err e = ERR_INIT;
    char expected[64];
    uint64_t start;
    int fd, release, status;
    struct stat st;
    pid_t pid = hold_lock(at("l"), &release);

    assert_int_equal(stat(at("l"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)snprintf(expected, sizeof(expected), "held by process %ld", (long)pid);
    assert_int_equal(file_lock(at("l"), 0, &fd, &e), STATUS_BUSY);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(e.text, expected));
    start = test_now_ms();
    assert_int_equal(file_lock(at("l"), 40, &fd, &e), STATUS_BUSY);
    assert_in_range(test_now_ms() - start, 39, 5000);
    close(release);
    assert_int_equal(file_lock(at("l"), 5000, &fd, &e), STATUS_OK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(file_lock(at("no/l"), 0, &fd, &e), STATUS_NOT_FOUND);
}

static void test_write_all(void **state maybe_unused)
{
    struct err e = ERR_INIT;
    int fds[2];
    char got[8] = {0};

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(file_write_all(fds[1], "hello", 5, "pipe", &e), STATUS_OK);
    assert_int_equal(read(fds[0], got, sizeof(got)), 5);
    assert_string_equal(got, "hello");
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(file_write_all(fds[1], "x", 1, "pipe", &e), STATUS_CLOSED);
    assert_non_null(strstr(e.text, "write pipe"));
    signal(SIGPIPE, SIG_DFL);
    close(fds[1]);
    assert_int_equal(file_write_all(fds[1], "x", 1, "closed", &e), STATUS_IO);
    assert_int_equal(file_write_all(-1, "", 0, "nothing", &e), STATUS_OK);
}

static void test_names(void **state maybe_unused)
{
    static const struct {
        const char *a, *b, *out;
    } joins[] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"", "b", "b"},  {NULL, "b", "b"},
        {"a", "/b", "/b"}, {"/", "b", "/b"},   {"a", "", "a/"}, {NULL, "", ""},
    };
    static const struct {
        const char *in, *out;
    } dirs[] = {
        {"a/b", "a"}, {"a//b", "a"}, {"/a", "/"},     {"//a", "/"},
        {"a", ""},    {"", ""},      {"a/b/", "a/b"}, {"/", "/"},
    };

    for (size_t i = 0; i < ARRAY_LEN(joins); i++) {
        cleanup_free char *out = file_join(joins[i].a, joins[i].b);

        assert_string_equal(out, joins[i].out);
    }
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        cleanup_free char *out = file_dirname(dirs[i].in);

        assert_string_equal(out, dirs[i].out);
    }
}

static void test_nonblock(void **state maybe_unused)
{
    struct err e = ERR_INIT;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(file_nonblock(fds[0], &e), STATUS_OK);
    assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(file_nonblock(fds[0], &e), STATUS_IO);
}

#define in_directory(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(test_read),
        in_directory(test_read_refusals),
        in_directory(test_replace),
#ifdef FLEET_FAULTS
        in_directory(test_replace_fails),
#endif
        in_directory(test_replace_past_a_limit),
        in_directory(test_mkdirs),
        in_directory(test_remove_tree),
        in_directory(test_remove_deep_tree),
        in_directory(test_lock),
        cmocka_unit_test(test_write_all),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_nonblock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
