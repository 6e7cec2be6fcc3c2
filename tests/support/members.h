/* For tests that launch members: a loop with a reaper on it, waits with deadlines, and a ground
 * truth of what is alive that is not the reaper's own bookkeeping. */
#ifndef TESTS_SUPPORT_MEMBERS_H
#define TESTS_SUPPORT_MEMBERS_H

#include "reaper/reaper.h"
#include "tests/support/testing.h"

struct members {
    struct loop *loop;
    struct reaper *reaper;
    char *state_dir;
    bool own_dir;
};
/** A loop and a reaper. `state_dir` NULL: one of its own, removed by members_close. `program` NULL:
 * the built fleet-reaper. */
void members_open(struct members *m, const char *state_dir, const char *program, uint32_t without);
/** Stops the reaper and waits for it; asserts that nothing is left in the state directory. */
void members_close(struct members *m);

/** One launched member and what was heard of it. */
struct member {
    struct members *of;
    struct reaper_child *child; /* NULL once it is gone */
    struct reaper_started started;
    bool is_started, is_gone, was_asked;
    struct reaper_exit exit;
    int listeners[8];
    int to, from; /* with_pipe: its descriptors 3 and 4 */
    char *heard;  /* what members_read has so far */
};
/** Launches; `with_pipe` gives it descriptors 3 (reads) and 4 (writes). Fails the test when refused
 * at once. */
void member_launch(struct members *m, struct member *x, const struct reaper_spec *spec,
                   bool with_pipe);
/** Until it is started or gone; false after timeout_ms. */
bool member_wait_started(struct member *x, unsigned timeout_ms);
bool member_wait_gone(struct member *x, unsigned timeout_ms);
/** Writes text with its NUL (a DevTools message) to its descriptor 3. */
void member_say(struct member *x, const char *text);
/** Reads its descriptor 4 until `needle` was heard; false after timeout_ms or at the end. */
bool member_hear(struct member *x, const char *needle, unsigned timeout_ms);
/** Closes what is the test's. The member must be gone. */
void member_close(struct member *x);

/** The browser to use: "/usr/lib/chromium/chromium-headless-shell", or NULL when not installed. */
const char *member_browser(const char *name);
/** Arguments of a browser on a pipe with a private profile. */
#define MEMBER_BROWSER_ARGS                                                                        \
    "--remote-debugging-pipe", "--user-data-dir=@PROFILE@", "--no-first-run",                      \
        "--disable-breakpad", "--headless"

/** A cgroup of the test's own. A child of the test enters it, and all that it starts is counted,
 * wherever it hides. NULL when none can be made (not root). */
struct ground;
struct ground *ground_create(void);
/** Moves the calling process in: after a fork. */
void ground_enter(const struct ground *g);
/** Calls fn for each living process in it and below; zombies do not count. */
void ground_each(const struct ground *g, void (*fn)(pid_t pid, void *arg), void *arg);
/** How many these are. */
size_t ground_count(const struct ground *g);
/** Kills all, until none is left. */
void ground_kill(const struct ground *g);
/** Takes NULL. */
void ground_destroy(struct ground **g);

#endif
