/* One Chromium: its process tree in the reaper's sandbox, the DevTools pipe, and what is attached
 * of it.
 *
 *   new -> launching -> ready -> draining -> closing -> gone
 *              |          \________________/    ^
 *              +-> failed (it never answered; then gone is not told)
 *
 * It ends through Browser.close, then the reaper's ladder. Loop thread only; callbacks come from
 * the loop. */
#ifndef BROWSER_CHROMIUM_INSTANCE_H
#define BROWSER_CHROMIUM_INSTANCE_H

#include "browser/chromium/args.h"
#include "browser/page/context.h"
#include "reaper/reaper.h"

struct instance;

enum instance_state {
    INSTANCE_NEW,
    INSTANCE_LAUNCHING,
    INSTANCE_READY,
    INSTANCE_DRAINING, /* nothing new is begun on it */
    INSTANCE_CLOSING,
    INSTANCE_GONE,
    INSTANCE_FAILED,
    INSTANCE_STATE_COUNT
};
const char *instance_state_name(enum instance_state s);

enum instance_event {
    INSTANCE_ON_LAUNCH,
    INSTANCE_ON_ANSWER, /* Browser.getVersion was answered */
    INSTANCE_ON_DRAIN,
    INSTANCE_ON_CLOSE, /* asked to end */
    INSTANCE_ON_LOST,  /* the pipe broke or startup took too long */
    INSTANCE_ON_EXIT,  /* all its processes are gone */
    INSTANCE_EVENT_COUNT
};
/** The table of moves: the next state, or `s` itself when the event changes nothing. Pure. */
enum instance_state instance_next(enum instance_state s, enum instance_event ev);

/** How its members' traffic leaves it. */
enum instance_way {
    INSTANCE_TO_PORT, /* to each member's forward_port on 127.0.0.1: for tests with a proxy of their
                         own */
    INSTANCE_TO_DOOR, /* to each member's forwarder by a door: a network namespace where that can be
                         had, and always with SANDBOX_REQUIRE */
    INSTANCE_DIRECT,  /* members have no forwarder; names are resolved by the browser */
};

struct instance_opts {
    struct loop *loop;
    struct reaper *reaper;
    const char *name; /* "browser-0": for logs and the sandbox */
    const struct browser_program *program;
    enum sandbox_want sandbox;
    struct member *owner; /* the one it is for (isolation "process"); NULL: shared, only contexts
                             have proxies */
    const struct identity *const *shared; /* without an owner: those who share it; may be NULL */
    size_t n_shared;
    enum instance_way way;
    struct targets_opts targets;
    /** It answers: contexts can be made. At most once. */
    void (*on_ready)(struct instance *i, void *arg);
    /** It ended: asked (OK), by itself (BROWSER_GONE), or it never came up (ENVIRONMENT "Chromium
     * ended at start: ..."). Exactly once; every context is over by then. instance_destroy may be
     * called in it. */
    void (*on_over)(struct instance *i, enum status why, const struct err *e, void *arg);
    void *arg;
};

enum {
    INSTANCE_START_MS = 20 * 1000, /* to the first answer */
    INSTANCE_CLOSE_MS = 3 * 1000,  /* from Browser.close to the ladder's SIGTERM */
    INSTANCE_TAIL_MAX = 4096,      /* bytes of standard error that are kept */
};

/** Launches. What fails later comes with on_over. */
must_check enum status instance_start(const struct instance_opts *opts, struct instance **out,
                                      struct err *e);
/** Nothing new on it; those that are under way go on. */
void instance_drain(struct instance *i);
/** Asks it to end; on_over follows. Again: at once, with SIGKILL. */
void instance_stop(struct instance *i);
/** Only after on_over. Sets *i to NULL. */
void instance_destroy(struct instance **i);

enum instance_state instance_state(const struct instance *i);
const char *instance_name(const struct instance *i); /* "browser-0" */
struct targets *instance_targets(struct instance *i);
struct cdp_conn *instance_conn(struct instance *i);
const char *instance_version(const struct instance *i); /* "156.0.8078.79"; "" before it answered */
pid_t instance_pid(const struct instance *i);
uint32_t instance_layers(const struct instance *i); /* reaper's bits; 0 until started */
uint64_t instance_started_ms(const struct instance *i);

#endif
