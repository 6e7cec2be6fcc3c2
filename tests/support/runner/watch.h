/* Runs one test program and sees to it that nothing of it remains.
 *
 * The caller forks a watcher per test. The watcher is a child subreaper: whatever the test starts,
 * also what detached itself into a session of its own, falls to the watcher when its parent dies,
 * so after the test "all descendants of the watcher" is exactly "what was left behind". The test
 * gets its own session, an empty directory as cwd, TMPDIR and HOME, no standard input, and a
 * deadline. */
#ifndef TESTS_SUPPORT_RUNNER_WATCH_H
#define TESTS_SUPPORT_RUNNER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct watch_job {
    const char *path; // of the program; *.sh runs under bash, *.mjs under node
    const char *log;  // file that gets its output and our remarks; truncated
    int timeout_s;
};

struct watch_report {
    int status;         // as waitpid(2) gives it
    bool timed_out;     // the deadline passed and it was killed
    bool interrupted;   // the watcher was told to stop (SIGTERM, SIGINT)
    int left_processes; // still alive a second after the test's end; killed
    int left_files;     // entries in its directory; removed
    uint32_t ms;
};

/** Runs `job` to its end. To be called in a process that does nothing else. Returns false, with a
 *  message on standard error, when the test could not even be started. */
bool watch_run(const struct watch_job *job, struct watch_report *out);

#endif
