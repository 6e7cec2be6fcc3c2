/* What sched.c (dispatch) and sched_end.c (how attempts and tasks end) share. */
#ifndef CORE_SCHED_SCHED_INTERNAL_H
#define CORE_SCHED_SCHED_INTERNAL_H

#include "core/base/map.h"
#include "core/sched/sched.h"

/* An attempt with what the scheduler keeps of it. Lives in its own arena until done. */
struct run_attempt {
    struct attempt a; /* first */
    struct sched *sched;
    struct task *task;   /* NULL: given up, the task is over or elsewhere */
    struct place *place; /* NULL: given up */
    char name[24];
    uint64_t started_ms;
    enum status why; /* what it was told to end with; OK: it was not */
    bool waiting;    /* deps.begin said so: the executor does not have it yet */
};

/* A slot with its occupant. */
struct place {
    struct slot slot;
    struct sched *sched;
    struct run_attempt *run; /* NULL: free */
    struct loop_timer timer; /* run deadline, then grace */
};

/* A target as the queue's guards know it. */
struct sched_target {
    void *limit;         /* the limiter's */
    const void *breaker; /* the breaker's */
    uint32_t running;    /* counted while there is a limit of them */
};

enum { SCHED_WORDS = SCHED_SLOTS_MAX / 64 };

struct sched {
    struct sched_deps deps;
    struct queue *queue;
    struct place **places; /* n_places of them, some past the slots that are wanted */
    uint32_t n_places;
    uint64_t free_places[SCHED_WORDS]; /* bit i: place i is free */
    struct map *targets;               /* name -> struct sched_target */
    struct list idle;                  /* members, the one that is idle longest first */
    size_t n_running, n_peak, n_abandoned;
    struct task **cancelled; /* taken out of the queue, to be told at the next turn */
    size_t n_cancelled, told_cancelled, cancelled_cap;
    struct rng rng;
    struct loop_timer wake, drain_timer, give_up_timer;
    bool pump_posted, draining, paused, idle_told, destroyed;
    bool given_up; /* attempts that were abandoned are not waited for any more */
};

static inline uint64_t sched_now_ms(const struct sched *s)
{
    return loop_now_ms(s->deps.loop);
}

/* sched.c */
void sched_pump_soon(struct sched *s);
void sched_member_idle(struct sched *s, struct member *m);

/* sched_end.c */
/** Of one that waited. */
void sched_task_over(struct sched *s, struct task *t, enum task_state end, enum status why,
                     const char *sentence);
void sched_task_expired(struct sched *s, struct task *t);
/** When the queue is to give it up: the total deadline, and until its first run the queued one. */
uint64_t sched_task_expiry(const struct sched *s, const struct task *t);
/** The executor is done with it; the scheduler's half of struct attempt. */
void sched_attempt_done(struct attempt *a);
/** Makes what runs there end with `why`. */
void sched_place_cancel(struct place *p, enum status why);
/** The timer of a place: the run deadline. */
void sched_on_run_deadline(struct loop_timer *t);

#endif
