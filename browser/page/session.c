#include "browser/page/session.h"

#include <stdlib.h>

#include "core/base/file.h"
#include "core/base/url.h"

void session_enter(struct page_session *s, struct op_call *call)
{
    s->running = call;
}

void session_leave(struct page_session *s, struct op_call *call)
{
    if (s->running == call)
        s->running = NULL;
}

void session_observe(struct op_call *call, const struct page_nav *nav)
{
    struct url url;

    call->seen.http_status = nav->http_status;
    call->seen.retry_after_ms = nav->retry_after_ms;
    call->seen.from_proxy = nav->from_proxy;
    call->seen.block = nav->block;
    /* A block page is news to the guards, also of an answer that they were told of. */
    call->seen.accounted = nav->accounted && nav->block == NULL;
    if (nav->navigated && !nav->from_proxy &&
        url_parse(call->arena, str_from(nav->url), "http https", &url, NULL) == STATUS_OK &&
        !str_eq(url.host, call->host))
        call->seen.host = url.host;
}

/* --- the end of an op --- */

struct ending {
    struct op_call *call;
    struct err err;
    struct json *result;
};

static void end_op(struct op_call *call, enum status s, const struct err *e, struct json *result)
{
    session_leave(session_of(call), call);
    op_call_finish(call, s, e, result);
}

static void verdict_known(void *arg, enum status verdict)
{
    struct ending *end = arg;

    if (verdict != end->err.status)
        err_set(&end->err, verdict, "the page's script hung; the page was killed");
    end_op(end->call, verdict, &end->err, end->result);
    free(end);
}

void session_finish(struct op_call *call, enum status s, const struct err *e, struct json *result)
{
    struct ending *end;

    if (s != STATUS_TIMEOUT && s != STATUS_CANCELLED) {
        end_op(call, s, e, result);
        return;
    }
    call->cancel = NULL; /* what is asked now is short */
    end = xcalloc(1, sizeof *end);
    end->call = call;
    end->result = result;
    if (e != NULL)
        end->err = *e;
    end->err.status = s;
    page_verdict(session_of(call)->page, s, verdict_known, end);
}

/* --- artifacts --- */

/* Letters, digits, "-", "_" and "." of the name; others become "-". */
static char *safe_name(struct arena *a, const char *name)
{
    char *z = arena_strdup(a, name);

    for (char *c = z; *c != '\0'; c++)
        if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.", *c) == NULL)
            *c = '-';
    return z[0] == '.' || z[0] == '\0' ? arena_printf(a, "file%s", z) : z;
}

static bool is_listed(const struct json *list, const char *path)
{
    for (const struct json *j = json_first(list); j != NULL; j = json_next(j))
        if (strcmp(json_str(j, ""), path) == 0)
            return true;
    return false;
}

/* What a reader of the results file finds from where that is. */
static const char *relative(const struct page_session *s, const char *path)
{
    const char *results = s->conf != NULL ? s->conf->output.results : NULL;
    cleanup_free char *dir = results != NULL ? file_dirname(results) : NULL;
    cleanup_free char *real = dir != NULL ? realpath(dir[0] != '\0' ? dir : ".", NULL) : NULL;
    size_t n = real != NULL ? strlen(real) : 0;

    return n > 1 && strncmp(path, real, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

const char *session_add_artifact(struct page_session *s, const char *name, const char *ext)
{
    const char *task = s->attempt != NULL ? s->attempt->task_id : "task";
    unsigned number = s->attempt != NULL ? s->attempt->number : 1;
    const char *safe, *path, *shown;

    if (s->artifacts_dir == NULL || s->artifacts == NULL)
        return NULL;
    safe = safe_name(s->arena, name);
    for (unsigned k = 1;; k++) {
        path = k == 1 ? arena_printf(s->arena, "%s/%s-%u-%s.%s", s->artifacts_dir, task, number,
                                     safe, ext)
                      : arena_printf(s->arena, "%s/%s-%u-%s-%u.%s", s->artifacts_dir, task, number,
                                     safe, k, ext);
        shown = relative(s, path);
        if (!is_listed(s->artifacts, shown))
            break;
    }
    json_push(s->artifacts, json_new_str(str_from(shown)));
    return path;
}
