#include "browser/acting.h"

#include "core/base/file.h"
#include "core/base/work.h"

static void act_cancel(struct op_call *call)
{
    struct acting *a = call->run_state;

    page_cancel(a->page, a->id, STATUS_CANCELLED);
}

struct acting *acting_begin(struct op_call *call)
{
    struct acting *a = arena_new(call->arena, struct acting);

    a->page = session_of(call)->page;
    call->run_state = a;
    call->cancel = act_cancel;
    session_enter(session_of(call), call);
    return a;
}

/* --- files: written on a worker thread --- */

struct file_job {
    struct op_call *call;
    char *bytes;
    size_t len;
    const char *path; /* the arena's */
    struct json *result;
    struct err err;
};

static void file_write_job(void *arg)
{
    struct file_job *job = arg;

    job->err.status = file_replace(job->path, str_n(job->bytes, job->len), 0644, &job->err);
}

static void file_written(void *arg)
{
    struct file_job *job = arg;
    struct op_call *call = job->call;

    if (job->err.status != STATUS_OK)
        json_destroy(&job->result);
    session_finish(call, job->err.status, &job->err, job->result);
    free(job->bytes);
    free(job);
}

/* `bytes` (of malloc) and `result` are the job's. */
static void write_file(struct op_call *call, char *bytes, size_t len, const char *path,
                       struct json *result)
{
    struct file_job *job = xcalloc(1, sizeof *job);

    call->cancel = NULL; /* the write is short, and is not left half done */
    job->call = call;
    job->path = path;
    job->len = len;
    job->bytes = bytes;
    job->result = result;
    work_submit(session_of(call)->loop, file_write_job, file_written, job);
}

void acting_save_all(struct op_call *call, struct buf *bytes, const char *name, const char *ext,
                     struct json *more)
{
    const char *path = session_add_artifact(session_of(call), name, ext);
    struct json *result = json_new_object();
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    size_t len = bytes->len;

    if (path != NULL)
        json_add_str(result, "path", path);
    json_add_num(result, "bytes", (double)len);
    while (json_len(more) > 0) {
        char *key = xstrdup(json_key(json_first(more)));

        json_add(result, key, json_take(more, key));
        free(key);
    }
    json_destroy(&more);
    if (path != NULL) {
        write_file(call, buf_take(bytes, NULL), len, path, result);
        return;
    }
    buf_add_base64(&text, bytes->ptr, len);
    json_add(result, "base64", json_new_str(buf_str(&text)));
    buf_deinit(&text);
    buf_deinit(bytes);
    session_finish(call, STATUS_OK, NULL, result);
}

void acting_save(struct op_call *call, enum status s, struct str bytes, const struct err *e,
                 const char *name, const char *ext)
{
    struct buf all = BUF_INIT(BUF_MAX_FILE);

    if (s != STATUS_OK) {
        session_finish(call, s, e, NULL);
        return;
    }
    buf_addstr(&all, bytes);
    acting_save_all(call, &all, name, ext, NULL);
}
