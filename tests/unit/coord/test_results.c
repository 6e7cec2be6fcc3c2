/* The results file: lines in order, earlier results kept, and nothing torn when the disk is full.
 */
#include "core/coord/results.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "tests/support/testing.h"

static struct loop *loop;
static unsigned n_errors;
static enum status closed_with;
static bool is_closed;

static void on_error(void *arg, const struct err *e)
{
    (void)arg;
    assert_int_not_equal(e->status, STATUS_OK);
    n_errors++;
}

static void on_closed(void *arg, enum status s, const struct err *e)
{
    (void)arg;
    (void)e;
    closed_with = s;
    is_closed = true;
}

static int set_up(void **state)
{
    struct err e = ERR_INIT;

    (void)state;
    n_errors = 0;
    is_closed = false;
    fault_set("");
    return loop_create(&loop, NULL, &e) == STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    fault_set("");
    loop_destroy(&loop);
    return 0;
}

static struct results *opened(const char *path)
{
    struct results *r = NULL;
    struct err e = ERR_INIT;

    if (results_open(loop, path, false, on_error, NULL, &r, &e) != STATUS_OK)
        fail_msg("%s", e.text);
    return r;
}

static void close_it(struct results *r)
{
    results_close(r, on_closed, NULL);
    assert_false(is_closed); /* never from inside */
    while (!is_closed)
        loop_run_once(loop, 50);
}

static void holds(const char *path, const char *want)
{
    char *text = test_read_file(path, NULL);

    assert_string_equal(text, want);
    free(text);
}

static size_t size_of(const char *path)
{
    size_t n;

    free(test_read_file(path, &n));
    return n;
}

static void test_lines(void **state)
{
    char *dir = test_mkdir();
    char path[256], old[260];
    struct results *r;

    (void)state;
    snprintf(path, sizeof(path), "%s/sub/r.ndjson", dir);
    snprintf(old, sizeof(old), "%s.1", path);
    r = opened(path);
    results_add(r, STR("{\"a\":1}"));
    loop_run_once(loop, 20);
    results_add(r, STR("{\"b\":2}"));
    results_add(r, STR("{\"c\":3}"));
    close_it(r);
    assert_int_equal(closed_with, STATUS_OK);
    holds(path, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    is_closed = false;
    r = opened(path);
    results_add(r, STR("{}"));
    close_it(r);
    holds(path, "{}\n");
    holds(old, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    test_rmdir(&dir);
}

static void test_told_once(void **state)
{
    char *dir = test_mkdir();
    char path[256];
    struct results *r;

    (void)state;
#ifndef FLEET_FAULTS
    test_skip("this build has no fault points");
#endif
    snprintf(path, sizeof(path), "%s/r", dir);
    r = opened(path);
    results_add(r, STR("first"));
    do {
        loop_run_once(loop, 20);
    } while (size_of(path) == 0);
    fault_set("results.write:0:28"); /* ENOSPC from now on */
    for (int i = 0; i < 10; i++) {
        results_add(r, STR("more"));
        loop_run_once(loop, 20);
    }
    assert_int_equal(n_errors, 1);
    assert_true(results_dropped(r) > 0);
    close_it(r);
    assert_int_equal(closed_with, STATUS_NO_SPACE);
    assert_int_equal(n_errors, 1);
    holds(path, "first\n");
    test_rmdir(&dir);
}

/* A disk of 64 KiB, really full: whole lines up to its end, and the last is not torn. */
static void test_full_disk(void **state)
{
    char *dir = test_mkdir();
    char path[256], line[1001], *text;
    struct results *r;
    size_t len;

    (void)state;
    if (mount("tmpfs", dir, "tmpfs", 0, "size=64k") != 0) {
        test_rmdir(&dir);
        test_skip("no file system can be mounted: %s", strerror(errno));
    }
    snprintf(path, sizeof(path), "%s/r", dir);
    memset(line, 'x', sizeof(line));
    r = opened(path);
    for (int i = 0; i < 100; i++)
        results_add(r, str_n(line, sizeof(line) - 1));
    close_it(r);
    assert_int_equal(closed_with, STATUS_NO_SPACE);
    assert_int_equal(n_errors, 1);
    text = test_read_file(path, &len);
    assert_true(len > 60000 && len % sizeof(line) == 0);
    assert_int_equal(text[len - 1], '\n');
    free(text);
    umount(dir);
    test_rmdir(&dir);
}

static void test_cannot_be_written(void **state)
{
    struct results *r = NULL;
    struct err e = ERR_INIT;

    (void)state;
    assert_int_not_equal(results_open(loop, "/proc/none/r", false, on_error, NULL, &r, &e),
                         STATUS_OK);
    assert_null(r);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_lines),
        CASE(test_told_once),
        CASE(test_full_disk),
        CASE(test_cannot_be_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
