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
    struct json *result = NULL;

    if (job->err.status == STATUS_OK) {
        result = json_new_object();
        json_add_str(result, "path", job->path);
        json_add_num(result, "bytes", (double)job->len);
    }
    session_finish(call, job->err.status, &job->err, result);
    free(job->bytes);
    free(job);
}

static void write_file(struct op_call *call, struct str bytes, const char *path)
{
    struct file_job *job = xcalloc(1, sizeof *job);

    call->cancel = NULL; /* the write is short, and is not left half done */
    job->call = call;
    job->path = path;
    job->len = bytes.len;
    job->bytes = xcalloc(1, bytes.len + 1);
    memcpy(job->bytes, bytes.ptr, bytes.len);
    work_submit(session_of(call)->loop, file_write_job, file_written, job);
}

/* Without an artifacts directory the bytes themselves are the result. */
void acting_save(struct op_call *call, enum status s, struct str bytes, const struct err *e,
                 const char *name, const char *ext)
{
    const char *path = s == STATUS_OK ? session_add_artifact(session_of(call), name, ext) : NULL;
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct json *result;

    if (s != STATUS_OK) {
        session_finish(call, s, e, NULL);
        return;
    }
    if (path != NULL) {
        write_file(call, bytes, path);
        return;
    }
    buf_add_base64(&text, bytes.ptr, bytes.len);
    result = json_new_object();
    json_add(result, "base64", json_new_str(buf_str(&text)));
    json_add_num(result, "bytes", (double)bytes.len);
    buf_deinit(&text);
    session_finish(call, STATUS_OK, e, result);
}
