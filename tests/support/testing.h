/* What every test includes: cmocka with the headers it wants before it, and a few helpers that know
 * nothing of Fleet, so that the tests of the lowest folder can use them too.
 *
 * How a test runs (tests/support/runner): a session of its own; cwd, TMPDIR and HOME are one empty
 * directory that must be empty again at the end; a deadline (TEST_TIMEOUT); no process may be left.
 * Files of the source tree are found with test_source(), built programs with test_program(): never
 * relative to the cwd. By hand: `build/debug/tests/unit/base/test_str`, with CASE='str_*' for some
 * cases.
 *
 * All functions fail the running test instead of returning an error, unless it says otherwise here.
 */
#ifndef TESTS_SUPPORT_TESTING_H
#define TESTS_SUPPORT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>

/** Ends the running case as skipped and prints why: "SKIP case: reason". Under STRICT=1 that is a
 * failure. */
#define test_skip(...) test_skip_at(__func__, __VA_ARGS__)
void test_skip_at(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** A new directory in TMPDIR, mode 0755. The caller passes it to test_rmdir; the path is malloc'ed
 * there. */
char *test_mkdir(void);
/** Removes the directory with all it holds, frees the path and sets it to NULL. *dir may be NULL.
 */
void test_rmdir(char **dir);

/** The path of a file of the source tree, "tests/site/index.html". Good until the 8th call after
 * this. */
const char *test_source(const char *path);
/** The path of a built program, "fleet", "fleet-reaper". Good until the 8th call after this. The
 * running case fails when it was not built. */
const char *test_program(const char *name);

/** The whole file, with a NUL behind it; *len_out (may be NULL) does not count that. free() it. */
char *test_read_file(const char *path, size_t *len_out);
/** Creates or replaces a file. */
void test_write_file(const char *path, const void *data, size_t len);

/** A TCP socket listening on 127.0.0.1; *port_out gets its port. Bind first and hand the descriptor
 * on where that is possible: then nobody can take the port in between. */
int test_listen(uint16_t *port_out);
/** A port of 127.0.0.1 that was free a moment ago, for programs that insist on binding it
 * themselves. */
uint16_t test_free_port(void);

/** Milliseconds of the monotonic clock. */
uint64_t test_now_ms(void);
/** Sleeps; for glue, never to wait for something that can be asked for. */
void test_sleep_ms(unsigned ms);
/** Asks `done(arg)` every few milliseconds until it is true; false when `timeout_ms` passed. */
bool test_wait_until(bool (*done)(void *arg), void *arg, unsigned timeout_ms);

/** Living descendants of this process, at any depth; zombies do not count. */
size_t test_count_descendants(void);
/** Open descriptors of this process. */
size_t test_count_fds(void);
/** Threads of this process. */
size_t test_count_threads(void);

#endif
