/* What the ops of browser/ops_flow.c have in common: an op that acts on something in a page is
 * finding it, doing something to it, and settling what that led to. One `doing` a call; it ends in
 * session_finish, once, when nothing of it is under way any more.
 *
 *   finding -> acting -> (waiting for an asserted navigation) -> settling -> over
 *
 * Loop thread only. */
#ifndef BROWSER_DOING_H
#define BROWSER_DOING_H

#include "browser/page/query.h"
#include "browser/page/session.h"

enum {
    STEP_TIMEOUT_MS = 5000, /* default of a step, Recorder's */
    STEP_TIMEOUT_MAX_MS = 600000,
    NAVIGATION_TIMEOUT_MS = 30000, /* for a navigation that has begun, Puppeteer's */
};

/** Parameters of every such op; first in its struct. */
struct common {
    struct selectors sel;
    struct frame_path frame;
    uint32_t timeout; /* ms; with has_timeout */
    bool has_timeout;
    bool navigates; /* assertedEvents has a navigation */
};

bool common_frame(struct json_decode *d, const struct json *j, void *field);
bool common_events(struct json_decode *d, const struct json *j, void *field);

/* Rows of a schema's fields for struct T whose first member is `common`. */
#define COMMON_FRAME(T)                                                                            \
    {.name = "frame",                                                                              \
     .kind = JK_FN,                                                                                \
     .fn = common_frame,                                                                           \
     .offset = offsetof(struct T, common.frame),                                                   \
     .doc = "Array of child indexes from the main frame; default [], the main frame."},            \
    {                                                                                              \
        .name = "frame_url", .kind = JK_STR, .offset = offsetof(struct T, common.frame.url),       \
        .doc = "URL of the frame to begin from; default the main frame."                           \
    }
#define COMMON_TIMEOUT(T)                                                                          \
    {                                                                                              \
        .name = "timeout", .kind = JK_UINT, .offset = offsetof(struct T, common.timeout),          \
        .seen_offset = offsetof(struct T, common.has_timeout), .min = 0,                           \
        .max = STEP_TIMEOUT_MAX_MS, .doc = "Milliseconds to wait, 0..600000, default 5000."        \
    }
#define COMMON_EVENTS(T)                                                                           \
    {                                                                                              \
        .name = "assertedEvents", .kind = JK_FN, .fn = common_events,                              \
        .offset = offsetof(struct T, common.navigates),                                            \
        .doc = "Array; {\"type\": \"navigation\"} waits until the frame has navigated."            \
    }
#define COMMON_SELECTORS(T, req)                                                                   \
    {                                                                                              \
        .name = "selectors", .kind = JK_FN, .fn = selectors_decode,                                \
        .offset = offsetof(struct T, common.sel), .required = req,                                 \
        .doc = "Alternatives, tried in order: CSS, aria/, text/, xpath/, pierce/; an array of "    \
               "strings is a chain through shadow roots and frames."                               \
    }

struct doing {
    struct op_call *call;
    struct page_session *session;
    struct page *page;
    struct loop *loop;
    const struct common *common;
    uint64_t begun_ms, acted_ms;
    uint64_t deadline_ms; /* of finding */
    void (*next)(struct doing *d,
                 const struct json *answer); /* after the query; the answer is borrowed */
    void (*settled)(
        struct doing *d); /* instead of the end, after an action that led to no navigation; NULL */
    struct query_spec spec;
    struct query *query;
    struct input *input;
    struct frame_ref frame; /* where the query found it */
    uint64_t page_id;       /* settle, evaluation or other call of the page under way */
    uint64_t wait_id;       /* the asserted navigation's */
    bool waited;            /* it came */
    bool checking;          /* whether one is under way, at the end of its time */
    bool patient;           /* the page answers: what takes long is a navigation */
    struct page_mark mark;
    struct loop_timer timer;
    enum status cancelled;
    struct json *result;
    bool ended;
    struct err end;
    unsigned round;
    struct err last;   /* of polls */
    struct str source; /* of what is evaluated */
    bool held;         /* the mouse's button is down, at this point: let go when the op fails */
    double held_x, held_y;
    void *own; /* the op's */
};

/** Begins: `c` is the op's common parameters (call->args). */
struct doing *doing_begin(struct op_call *call, const struct common *c);
/** Asks the page's script; `more` as query_spec.more, copied into the call's arena. d->next gets
 * the answer; a failure ends the op. */
void doing_query(struct doing *d, const char *door, const char *more,
                 void (*next)(struct doing *d, const struct json *answer));
/** Right before the action: navigations from here on are this op's. */
void doing_watch(struct doing *d);
/** Moves the pointer to what was found, and clicks as `click` says (frame, point, deadline are
 * filled in). After it: doing_acted. */
void doing_click(struct doing *d, const struct json *answer, struct input_click click);
/** The same without more: `fn` is called when it is done, and no navigation is watched for. */
void doing_point(struct doing *d, const struct json *answer, struct input_click click,
                 input_fn *fn);
/** input_fn: the action is done; what it led to is settled, then the op ends with `d->result`. */
void doing_acted(void *arg, enum status s, const struct err *e);
/** The op ends (as soon as nothing of it is under way). `result` is taken. */
void doing_end(struct doing *d, enum status s, const struct err *e, struct json *result);
/** Runs fn(d) in `ms`, unless cancelled before. */
void doing_again(struct doing *d, uint64_t ms, loop_timer_fn *fn);
/** True, and the op is ending, when it was cancelled. */
bool doing_is_cancelled(struct doing *d);
uint64_t doing_left_ms(const struct doing *d);

/** The frame the op is about; NULL while the page has none there. */
struct frame *doing_frame(const struct doing *d);
/** Text of an expression that gives the value of `expression` (a promise is awaited), or with
 * `truth` whether it is truthy. In the arena. */
struct str expression_source(struct arena *a, const char *expression, bool truth);
/** Evaluates d->source among the page's own globals. The frame must be there. */
void doing_evaluate(struct doing *d, page_eval_fn *fn);

#endif
