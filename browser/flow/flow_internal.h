/* What the files of browser/flow share: a flow as decode.c makes it and run.c walks it. */
#ifndef BROWSER_FLOW_FLOW_INTERNAL_H
#define BROWSER_FLOW_FLOW_INTERNAL_H

#include "browser/flow/flow.h"
#include "core/op/op.h"

enum step_kind {
    STEP_OP,      /* one op */
    STEP_NOTHING, /* customStep, and going to a page of the browser's own */
    STEP_IF,
    STEP_REPEAT,
    STEP_PAGINATE,
};

/* A type of step: a row of the table in steps.c. */
struct step_type {
    const char *name; /* "click" */
    enum step_kind kind;
    const char *op; /* of the op table; NULL: none */
    const char *const
        *own; /* members that the flow itself reads, beside those of every step; NULL-terminated */
    const char *const *renamed; /* pairs: Recorder's name, the op's parameter; NULL-terminated */
    bool no_page; /* does not look at a document: the row's URL need not be there yet */
    bool led;     /* may lead to documents by itself: a client error there is the flow's to judge */
    const char *doc;
};

extern const struct step_type step_types[];
extern const size_t n_step_types;
/** Members that every step may have; NULL-terminated. */
extern const char *const step_members[];
const struct step_type *step_type_find(const char *name);
/** The row of the op table by name: of ops_flow and ops_page. */
const struct op *step_op_find(const char *name);

struct flow_steps {
    struct flow_step *v;
    size_t n;
};

struct flow_step {
    const struct step_type *type;
    const struct op *op;
    const struct json *params; /* of the op, strings not yet expanded */
    const char *path;          /* "/steps/3" */
    size_t index;              /* of the top-level step, from 0 */
    bool implied;              /* nobody wrote it: the way to the row's URL */
    const char *target;        /* NULL or "main": the attempt's own page */
    uint64_t timeout_ms;       /* 0: the flow's */
    bool irreversible, optional;
    uint32_t retries;
    uint64_t retry_delay_ms;
    bool accept_4xx;
    const struct json
        *accept_status; /* array of the client errors that are welcome; NULL: as accept_4xx says */
    const struct json
        *find; /* parameters of page.find that comes first (screenshot of an element); NULL */
    const char *into; /* extract: name of the value */
    bool to_output;   /* set: also into the output */
    /* if, repeat, paginate */
    struct flow_steps body, otherwise;
    const struct json *condition; /* parameters of page.check */
    bool until;                   /* the condition ends the loop, looked at after each round */
    uint32_t max;                 /* rounds */
    bool has_times;
};

struct flow {
    const char *title;
    uint64_t timeout_ms;
    struct flow_steps steps;
    size_t n_steps; /* those that somebody wrote, at the top level */
    const char **warnings;
    size_t n_warnings;
    bool wants_bodies; /* a step takes the body of a response */
};

#endif
