#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "core/base/attr.h"

static void take_back(char **p)
{
    cleanup_free char *text = xstrdup("text");

    *p = steal_ptr(&text);
    assert_null(text);
}

static void test_cleanup_and_steal(void **state maybe_unused)
{
    char *p;
    int fd;

    take_back(&p);
    assert_string_equal(p, "text");
    free(p);
    {
        cleanup_fd int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        cleanup_fd int other = open("/dev/null", O_RDONLY | O_CLOEXEC);

        fd = null;
        assert_true(fd >= 0 && close(steal_fd(&other)) == 0);
    }
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void test_allocations(void **state maybe_unused)
{
    int *v = xcalloc(3, sizeof(*v));

    assert_true(v[0] == 0 && v[2] == 0);
    v[2] = 7;
    v = xreallocarray(v, 1000, sizeof(*v));
    assert_int_equal(v[2], 7);
    free(v);
    v = xcalloc(0, 0);
    assert_non_null(v);
    free(v);
}

/* Runs `fn` in a child with standard error into `out`; returns how the child ended. */
static int in_child(void (*fn)(void), char *out, size_t size)
{
    int p[2], status;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe2(p, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka's own */
        dup2(p[1], STDERR_FILENO);
        fn();
        _exit(0);
    }
    close(p[1]);
    n = read(p[0], out, size - 1);
    out[n > 0 ? n : 0] = '\0';
    close(p[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void do_bug(void)
{
    int seven = 7;

    BUG_ON(seven == 8);
    BUG("seven is %d", seven);
}

static void test_bug_says_where_and_aborts(void **state maybe_unused)
{
    char out[256];
    int status = in_child(do_bug, out, sizeof(out));

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(out, "test_attr.c:"));
    assert_non_null(strstr(out, ": seven is 7\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cleanup_and_steal),
        cmocka_unit_test(test_allocations),
        cmocka_unit_test(test_bug_says_where_and_aborts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
