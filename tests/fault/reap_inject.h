/* Makes the n-th system call of fleet-reaper fail, whichever it is: spawner, clone, init, the
 * program before its execve. The kernel asks about each call (SECCOMP_RET_USER_NOTIF), and all but
 * that one go on. */
#ifndef TESTS_FAULT_REAP_INJECT_H
#define TESTS_FAULT_REAP_INJECT_H

/** What is to fail, for the next fleet-reaper: the `at`-th call from the first request on, counted
 * over spawner and init until the member's program is executed, with `error`. The launcher itself
 * is `program`. Told by a file beside `tmpdir`, which must be the TMPDIR: all else of the
 * environment is kept from fleet-reaper. close and exits are not failed: after them nobody asks. */
void inject_prepare(const char *tmpdir, unsigned at, int error, const char *program);
/** Name of the call that failed, "" when there were fewer. Removes the files. Good until the next
 * call. */
const char *inject_failed(const char *tmpdir);

/** For a program that was started as fleet-reaper is ("--spawner ..."): runs the launcher with the
 * same arguments below itself and ends with it. */
_Noreturn void inject_main(char **argv);

#endif
