/* What collecting and rendering share. */
#ifndef CORE_REPORT_REPORT_INTERNAL_H
#define CORE_REPORT_REPORT_INTERNAL_H

#include "core/report/report.h"

enum { REPORT_MEMBERS_MAX = 200, REPORT_REFUSALS_MAX = 200, REPORT_TARGETS_MAX = 500 };

struct report_task {
    const char *id, *url, *target, *error; /* error NULL: it succeeded */
    int64_t member;                        /* -1: never ran */
    uint32_t attempts;
    enum task_state state;
    enum status status;
    bool ran;
    uint64_t ended_ms, duration_ms; /* ended: since the run began */
    const char *receipt;
    const char **artifacts;
    size_t n_artifacts;
};

struct report_event {
    uint64_t at_ms;
    const char *what, *text;
    const char *class; /* of the style sheet */
};

/* Refused or held against us: by target and status, with the first sentence. */
struct report_refusal {
    const char *target, *why;
    enum status status;
    uint64_t count;
};

struct report_member {
    uint64_t tasks, failed;
};

struct report {
    struct arena *arena;
    struct run *run;
    struct report_task *tasks;
    size_t n_tasks, cap_tasks;
    uint64_t tasks_unseen;
    struct report_event events[REPORT_EVENTS_MAX];
    size_t n_events;
    uint64_t events_unseen;
    struct map *refusals; /* "target status" -> struct report_refusal * */
    struct report_member members[REPORT_MEMBERS_MAX];
    uint64_t last_ms; /* end of the last task, since the run began */
};

#endif
