/* Collecting: copies of what was told, up to the caps. */
#include "core/report/report.h"

#include <stdio.h>

#include "core/base/loop.h"
#include "core/base/map.h"
#include "core/op/op.h"
#include "core/report/report_internal.h"

struct report *report_create(void)
{
    struct report *r = xcalloc(1, sizeof(*r));

    r->arena = arena_create(NULL, 0);
    r->refusals = map_create();
    return r;
}

void report_destroy(struct report **rp)
{
    struct report *r = *rp;

    if (!r)
        return;
    map_destroy(&r->refusals, NULL);
    arena_destroy(&r->arena);
    free(r->tasks);
    free(r);
    *rp = NULL;
}

static uint64_t age_ms(const struct report *r)
{
    return r->run ? run_age_ms(r->run) : 0;
}

static void event(struct report *r, const char *class, const char *what, const char *fmt, ...)
    printf_like(4, 5);
static void event(struct report *r, const char *class, const char *what, const char *fmt, ...)
{
    struct buf b = BUF_INIT(1024);
    va_list ap;

    if (r->n_events == REPORT_EVENTS_MAX) {
        r->events_unseen++;
        return;
    }
    va_start(ap, fmt);
    buf_vaddf(&b, fmt, ap);
    va_end(ap);
    r->events[r->n_events++] = (struct report_event){
        .at_ms = age_ms(r),
        .what = arena_strdup(r->arena, what),
        .text = arena_strndup(r->arena, buf_str(&b).ptr, b.len),
        .class = class,
    };
    buf_deinit(&b);
}

/* --- tasks --- */

static void copy_artifacts(struct report *r, const struct json *list, struct report_task *t)
{
    size_t n = json_len(list);

    if (n == 0)
        return;
    t->artifacts = arena_array(r->arena, const char *, n);
    for (const struct json *c = json_first(list); c; c = json_next(c)) {
        if (json_str(c, NULL))
            t->artifacts[t->n_artifacts++] = arena_strdup(r->arena, json_str(c, ""));
    }
}

static void count_member(struct report *r, const struct batch_task *t)
{
    if (!t->member || t->member->index >= REPORT_MEMBERS_MAX)
        return;
    r->members[t->member->index].tasks++;
    r->members[t->member->index].failed += t->state != TASK_SUCCEEDED;
}

static void on_task(void *arg, const struct batch_task *t)
{
    struct report *r = arg;
    struct report_task *to;

    count_member(r, t);
    if (age_ms(r) > r->last_ms)
        r->last_ms = age_ms(r);
    if (r->n_tasks == REPORT_TASKS_MAX) {
        r->tasks_unseen++;
        return;
    }
    if (r->n_tasks == r->cap_tasks) {
        r->cap_tasks = r->cap_tasks ? r->cap_tasks * 2 : 64;
        r->tasks = xreallocarray(r->tasks, r->cap_tasks, sizeof(*r->tasks));
    }
    to = &r->tasks[r->n_tasks++];
    *to = (struct report_task){
        .id = arena_strdup(r->arena, t->id),
        .url = t->url, /* the configuration's: outlives the run */
        .target = arena_strndup(r->arena, t->target.ptr, t->target.len),
        .error = t->error ? arena_strdup(r->arena, t->error) : NULL,
        .member = t->member ? (int64_t)t->member->index : -1,
        .attempts = t->attempts,
        .state = t->state,
        .status = t->status,
        .ran = t->member != NULL,
        .ended_ms = age_ms(r),
        .duration_ms = t->duration_ms,
        .receipt = arena_strdup(r->arena, t->receipt),
    };
    copy_artifacts(r, t->artifacts, to);
}

/* --- what was refused --- */

static bool is_refusal(enum status s)
{
    return s == STATUS_POLICY_DENIED || s == STATUS_ROBOTS_DENIED || s == STATUS_BREAKER_OPEN ||
           s == STATUS_HTTP_429 || s == STATUS_HTTP_403 || s == STATUS_CAPTCHA_DETECTED ||
           s == STATUS_RATE_LIMITED || s == STATUS_PROXY_NONE;
}

static void on_op(void *arg, const struct op_call *call)
{
    struct report *r = arg;
    struct report_refusal *x;
    struct str host = call->target.len ? call->target : call->host;
    char key[320];

    if (!is_refusal(call->status))
        return;
    snprintf(key, sizeof(key), "%.*s %d", STR_ARG(host), (int)call->status);
    x = map_find(r->refusals, str_from(key));
    if (!x && map_len(r->refusals) < REPORT_REFUSALS_MAX) {
        x = arena_new(r->arena, struct report_refusal);
        x->target = arena_strndup(r->arena, host.ptr ? host.ptr : "", host.len);
        x->why = arena_strdup(r->arena, err_text(&call->err));
        x->status = call->status;
        map_put(r->refusals, str_from(key), x);
    }
    if (x)
        x->count++;
}

/* --- events --- */

static void on_open(void *arg, struct run *run)
{
    struct report *r = arg;

    r->run = run;
}

static void on_breaker(void *arg, struct str target, bool open)
{
    event(arg, open ? "bad" : "ok", open ? "breaker opened" : "breaker closed", "%.*s",
          STR_ARG(target));
}

static void on_slowed(void *arg, struct str target, uint64_t until_ms, const char *why)
{
    (void)until_ms;
    event(arg, "warn", "target slowed", "%.*s, for everybody: %s", STR_ARG(target), why);
}

static void on_rotated(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why)
{
    if (why != STATUS_OK)
        event(arg, "info", "proxy rotated", "member %u: %s to %s after %s", m->index, from, to,
              status_name(why));
}

static void on_retry(void *arg, const struct task *t, const struct attempt *a, uint64_t delay_ms)
{
    (void)t;
    event(arg, "soft", "retry", "%s, attempt %u in %llu ms: %s", a->task_id, a->number + 1,
          (unsigned long long)delay_ms, err_text(&a->err));
}

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    if (m)
        event(arg, "info", what, "member %u: %s", m->index, text ? text : "");
    else
        event(arg, "info", what, "%s", text ? text : "");
}

static void on_trouble(void *arg, const struct err *e)
{
    event(arg, "bad", "stopped early", "%s", err_text(e));
}

static void on_drain(void *arg, const char *why)
{
    event(arg, "warn", "asked to stop", "%s", why);
}

struct run_watch report_watch(struct report *r)
{
    return (struct run_watch){
        .on_open = on_open,
        .on_task = on_task,
        .on_op = on_op,
        .on_breaker = on_breaker,
        .on_slowed = on_slowed,
        .on_rotated = on_rotated,
        .on_retry = on_retry,
        .on_event = on_event,
        .on_trouble = on_trouble,
        .on_drain = on_drain,
        .arg = r,
    };
}
