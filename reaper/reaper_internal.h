/* The registry and its members, as reaper.c, child.c and launch.c see them. Internal to the reaper.
 */
#ifndef REAPER_REAPER_INTERNAL_H
#define REAPER_REAPER_INTERNAL_H

#include "core/base/buf.h"
#include "core/base/list.h"
#include "reaper/filter.h"
#include "reaper/ladder.h"
#include "reaper/reaper.h"
#include "reaper/wire.h"

enum { REAPER_FDS_ROOM = WIRE_FDS_MAX + 4 };

struct reaper {
    struct loop *loop;
    char *program, *run_dir, *state_dir;
    uint32_t uid_base, uid_count, without;
    int sock; /* control; -1: fleet-reaper is gone */
    pid_t pid;
    struct loop_watch *watch;
    bool has_hello;
    struct wire_hello hello;
    struct list children;
    uint32_t next_id;
    uint32_t warned; /* layers whose absence was logged */
    struct buf filters[FILTER_COUNT];
    void (*on_stopped)(void *arg);
    void *stop_arg;
    struct loop_timer stop_timer;
    bool stopping, stopped; /* stopped: on_stopped is under way */
};

struct reaper_child {
    struct list link;
    struct reaper *reaper;
    struct reaper_callbacks cb;
    char name[REAPER_NAME_MAX + 1];
    enum reaper_kind kind;
    uint32_t id, wanted, required;
    enum ladder_state state;
    enum ladder_state ended_in; /* where the ladder was when the program ended */
    struct loop_timer timer, ask_timer;
    uint64_t grace_ms;
    int sock, pidfd;
    struct loop_watch *sock_watch, *pid_watch;
    pid_t init_pid, pid;
    uint32_t layers;
    bool started, exited, gone_is_known, init_ended;
    int wstatus; /* of the program, once exited */
    int init_wstatus;
    unsigned oom;
    struct err failed;
};

/* --- reaper.c --- */

/** Starts fleet-reaper, again when it died. */
must_check enum status reaper_start_spawner(struct reaper *r, struct err *e);
/** Called when a member has gone: the last one of a reaper that is being stopped lets it end. */
void reaper_member_gone(struct reaper *r);

/* --- child.c --- */

/** A member in the list, starting; takes *sock, its end of the death pipe. */
struct reaper_child *child_create(struct reaper *r, const struct reaper_spec *s,
                                  const struct reaper_callbacks *cb, int *sock);
/** Begins to listen to its init. On failure the child is freed: its death pipe closes, and it ends.
 */
must_check enum status child_watch(struct reaper_child *c, struct err *e);
/** Its init runs; takes pidfd (-1: the kernel has none). */
void child_launched(struct reaper_child *c, pid_t init_pid, int pidfd);
/** A step of its launch failed. */
void child_failed(struct reaper_child *c, const struct wire_failed *f);
/** fleet-reaper says that every process of it is gone. Calls on_exit and frees it. */
void child_gone(struct reaper_child *c, const struct wire_gone *g);
/** Calls on_exit and frees it, whatever is known. */
void child_finish(struct reaper_child *c);
/** With fleet-reaper dead: nothing more will be heard of it. */
bool child_is_over(const struct reaper_child *c);
/** SIGKILL to its init. */
void child_kill_init(struct reaper_child *c);

#endif
