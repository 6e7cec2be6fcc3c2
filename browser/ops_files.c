/* A browser writes and reads in a file system of its own: files are carried over on a worker
 * thread (chromium/room.h). Downloads become artifacts; uploads must lie in the campaign's
 * directory.
 */
#include "browser/ops_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "browser/acting.h"
#include "browser/chromium/room.h"
#include "browser/doing.h"
#include "browser/page/download.h"
#include "core/base/file.h"
#include "core/base/work.h"

#define F(T, m) JF_COMMON(struct T, m)

#define DOWNLOAD_BYTES     (100ull * 1024 * 1024)
#define DOWNLOAD_BYTES_MAX (4ll * 1024 * 1024 * 1024)
enum {
    DOWNLOAD_TIMEOUT_MS = 30000,
    UPLOADS_MAX = 20,
    UPLOAD_BYTES_MAX = 256 * 1024 * 1024,
    NAME_MAX_BYTES = 120,
};

/* --- page.allow_downloads --- */

struct allow_args {
    int64_t max_bytes;
};

static const struct json_field allow_fields[] = {
    {F(allow_args, max_bytes), .kind = JK_INT, .min = 1, .max = DOWNLOAD_BYTES_MAX,
     .doc = "Bytes that a download may have, 1..4294967296, default 104857600; larger ones are "
            "cancelled."},
};

static const struct json_schema allow_schema = {
    .name = "page.allow_downloads",
    .fields = allow_fields,
    .n = ARRAY_LEN(allow_fields),
    .size = sizeof(struct allow_args),
};

static void allow_run(struct op_call *call)
{
    const struct allow_args *args = call->args;
    struct page *p = session_of(call)->page;
    char profile[ROOM_PATH_MAX];
    struct err e = ERR_INIT;

    if (room_profile(page_browser_pid(p), profile, &e) == STATUS_OK)
        page_allow_downloads(p, arena_printf(call->arena, "%s/fleet-downloads", profile),
                             args->max_bytes > 0 ? (uint64_t)args->max_bytes : DOWNLOAD_BYTES);
    op_call_finish(call, e.status, &e, NULL);
}

/* --- page.download --- */

struct download_args {
    const char *name;
    uint32_t timeout;
};

static const struct json_field download_fields[] = {
    {F(download_args, name), .kind = JK_STR, .max = 100,
     .doc = "Name of the file; default what the page calls it."},
    {F(download_args, timeout), .kind = JK_UINT, .min = 1, .max = STEP_TIMEOUT_MAX_MS,
     .doc = "Milliseconds to wait for it to be finished, 1..600000, default 30000."},
};

static const struct json_schema download_schema = {
    .name = "page.download",
    .fields = download_fields,
    .n = ARRAY_LEN(download_fields),
    .size = sizeof(struct download_args),
};

struct taking {
    struct op_call *call;
    pid_t pid;
    const char *inside, *path, *name, *url;
    uint64_t bytes;
    struct err err;
};

static void take_job(void *arg)
{
    struct taking *t = arg;

    t->err.status = room_take(t->pid, t->inside, t->path, DOWNLOAD_BYTES_MAX, &t->bytes, &t->err);
}

static void taken(void *arg)
{
    struct taking *t = arg;
    struct json *result = NULL;

    if (t->err.status == STATUS_OK) {
        result = json_add_str(json_new_object(), "path", t->path);
        json_add_str(result, "name", t->name);
        json_add_str(result, "url", t->url);
        json_add_num(result, "bytes", (double)t->bytes);
    }
    session_finish(t->call, t->err.status, &t->err, result);
}

/* "report.tar.gz": the name, and what stands after the last point. Directories are not the page's
 * to choose; session_add_artifact takes care of the characters. */
static const char *split_name(struct arena *a, const char *whole, const char **ext)
{
    const char *slash = strrchr(whole, '/'), *base = slash != NULL ? slash + 1 : whole;
    const char *dot = strrchr(base, '.');
    size_t n = dot != NULL && dot != base ? (size_t)(dot - base) : strlen(base);

    *ext = "bin";
    if (dot != NULL && dot != base && strlen(dot) <= 12 &&
        strspn(dot + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") ==
            strlen(dot + 1) &&
        dot[1] != '\0')
        *ext = arena_strdup(a, dot + 1);
    return n > 0 ? arena_printf(a, "%.*s", (int)(n < NAME_MAX_BYTES ? n : NAME_MAX_BYTES), base)
                 : "download";
}

static void downloaded(void *arg, enum status s, const struct page_download *d, const struct err *e)
{
    struct op_call *call = arg;
    const struct download_args *args = call->args;
    struct page_session *session = session_of(call);
    struct taking *t;
    const char *name, *ext;
    struct err mine = *e;

    if (s != STATUS_OK) {
        session_finish(call, s, e, NULL);
        return;
    }
    t = arena_new(call->arena, struct taking);
    name = split_name(call->arena, args->name != NULL ? args->name : d->name, &ext);
    t->call = call;
    t->pid = page_browser_pid(session->page);
    t->inside = arena_strdup(call->arena, d->inside);
    t->name = arena_strdup(call->arena, d->name);
    t->url = arena_strdup(call->arena, d->url);
    t->path = session_add_artifact(session, name, ext);
    if (t->path == NULL) {
        err_set(&mine, STATUS_INVALID, "a download needs output.artifacts, where it is kept");
        session_finish(call, STATUS_INVALID, &mine, NULL);
        return;
    }
    call->cancel = NULL;
    work_submit(session->loop, take_job, taken, t);
}

static void download_run(struct op_call *call)
{
    const struct download_args *args = call->args;
    struct acting *a = acting_begin(call);
    uint64_t at = loop_now_ms(session_of(call)->loop) +
                  (args->timeout > 0 ? args->timeout : DOWNLOAD_TIMEOUT_MS);

    a->id = page_wait_download(a->page, at < call->deadline_ms ? at : call->deadline_ms, downloaded,
                               call);
}

/* --- page.upload --- */

struct upload_args {
    struct common common;
    struct json_strs files;
};

static const struct json_field upload_fields[] = {
    COMMON_SELECTORS(upload_args, true),
    COMMON_FRAME(upload_args),
    COMMON_TIMEOUT(upload_args),
    {F(upload_args, files), .kind = JK_STRS, .required = true, .one_is_array = true, .min = 1,
     .max = UPLOADS_MAX, .doc = "Files of the campaign's directory, by their paths in it, 1..20."},
};

static const struct json_schema upload_schema = {
    .name = "page.upload",
    .fields = upload_fields,
    .n = ARRAY_LEN(upload_fields),
    .size = sizeof(struct upload_args),
};

struct uploading {
    struct doing *doing;
    pid_t pid;
    size_t n;
    const char *from[UPLOADS_MAX], *inside[UPLOADS_MAX];
    const char *dir; /* the campaign's */
    char profile[ROOM_PATH_MAX];
    const char *node;
    struct err err;
};

/* On the worker: is it in the directory, whatever links are on the way? */
static enum status put_one(struct uploading *u, size_t i)
{
    cleanup_free char *dir = realpath(u->dir[0] != '\0' ? u->dir : ".", NULL);
    cleanup_free char *joined = file_join(dir != NULL ? dir : "/", u->from[i]);
    cleanup_free char *real = realpath(joined, NULL);
    size_t n = dir != NULL ? strlen(dir) : 0;

    if (real == NULL || n == 0)
        return err_set(&u->err, STATUS_INVALID, "%s: no such file in the campaign's directory",
                       u->from[i]);
    if (strncmp(real, dir, n) != 0 || (n > 1 && real[n] != '/'))
        return err_set(&u->err, STATUS_INVALID,
                       "%s lies outside of the campaign's directory, expected a file within",
                       u->from[i]);
    return room_put(u->pid, real, u->inside[i], UPLOAD_BYTES_MAX, &u->err);
}

static void put_job(void *arg)
{
    struct uploading *u = arg;

    u->err.status = STATUS_OK;
    for (size_t i = 0; i < u->n && u->err.status == STATUS_OK; i++)
        u->err.status = put_one(u, i);
}

static void on_given(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct doing *d = arg;
    struct err mine = *e;

    (void)result;
    d->page_id = 0;
    if (s == STATUS_PROTOCOL && strstr(e->text, "not a file input") != NULL)
        s = err_set(&mine, STATUS_INVALID,
                    "what the selectors find is no file field (<input type=file>, hidden or not)");
    doing_acted(d, s, &mine);
}

static void put_done(void *arg)
{
    struct uploading *u = arg;
    struct doing *d = u->doing;
    struct frame *f = page_frame_find(d->page, d->frame);
    struct buf b = BUF_INIT(16 * (size_t)BUF_MAX_LINE);

    if (doing_is_cancelled(d))
        return;
    if (u->err.status != STATUS_OK || f == NULL) {
        doing_end(d, f == NULL ? STATUS_CLOSED : u->err.status, &u->err, NULL);
        return;
    }
    buf_adds(&b, "{\"objectId\":");
    json_print_str(str_from(u->node), &b);
    buf_adds(&b, ",\"files\":[");
    for (size_t i = 0; i < u->n; i++) {
        if (i > 0)
            buf_addc(&b, ',');
        json_print_str(str_from(u->inside[i]), &b);
    }
    buf_adds(&b, "]}");
    doing_watch(d);
    d->page_id = page_call(d->page, f, "DOM.setFileInputFiles", buf_str(&b), d->call->deadline_ms,
                           on_given, d);
    buf_deinit(&b);
}

static void on_handle(void *arg, enum status s, const struct json *value, const char *handle,
                      const struct err *e)
{
    struct doing *d = arg;
    struct uploading *u = d->own;

    (void)value;
    d->page_id = 0;
    if (s != STATUS_OK || handle == NULL) {
        doing_end(d, s != STATUS_OK ? s : STATUS_CLOSED, e, NULL);
        return;
    }
    u->node = arena_strdup(d->call->arena, handle);
    work_submit(d->loop, put_job, put_done, u);
}

static void upload_found(struct doing *d, const struct json *answer)
{
    (void)answer;
    d->page_id = query_element(d->page, d->frame, d->call->deadline_ms, on_handle, d);
}

/* A directory of its own for each file, so that it keeps its name. */
static void name_inside(struct uploading *u, struct arena *a)
{
    for (size_t i = 0; i < u->n; i++) {
        const char *slash = strrchr(u->from[i], '/');

        u->inside[i] = arena_printf(a, "%s/fleet-upload-%zu/%s", u->profile, i,
                                    slash != NULL ? slash + 1 : u->from[i]);
    }
}

static void upload_run(struct op_call *call)
{
    const struct upload_args *args = call->args;
    struct page_session *s = session_of(call);
    struct doing *d = doing_begin(call, &args->common);
    struct uploading *u = arena_new(call->arena, struct uploading);
    struct err e = ERR_INIT;

    u->doing = d;
    u->pid = page_browser_pid(d->page);
    u->n = args->files.n;
    u->dir = s->conf != NULL && s->conf->dir != NULL ? s->conf->dir : ".";
    d->own = u;
    for (size_t i = 0; i < u->n; i++)
        u->from[i] = args->files.v[i];
    if (room_profile(u->pid, u->profile, &e) != STATUS_OK) {
        doing_end(d, e.status, &e, NULL);
        return;
    }
    name_inside(u, call->arena);
    doing_query(d, "find", "\"need\":\"any\"", upload_found);
}

/* --- the rows --- */

const struct op ops_files[] = {
    {"page.allow_downloads", "From now on downloads are kept, until page.download takes them.",
     &allow_schema, 0, allow_run},
    {"page.download", "Waits for a download to be finished and keeps it among the artifacts.",
     &download_schema, 0, download_run},
    {"page.upload", "Chooses files for a file field.", &upload_schema, 0, upload_run},
};
const size_t n_ops_files = ARRAY_LEN(ops_files);
