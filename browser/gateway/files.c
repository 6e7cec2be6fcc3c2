/* Files of a lease: what is PUT for pages to take, and what its pages download. Both lie in two
 * directories of the lease inside the profile of the instance, where the browser sees them and this
 * machine's files are not; they go with the lease. Reading and writing there is a worker's. */
#include "browser/gateway/files.h"

#include <sodium.h>
#include <stdio.h>

#include "browser/chromium/room.h"
#include "browser/gateway/gateway_internal.h"
#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/base/work.h"

enum { FILE_NAME_MAX = 120, FILES_MAX = 256, HASH_BYTES = 32, DIR_ID_LEN = 16 };

struct lease_file {
    struct list link;
    bool upload, done, delivered;
    uint64_t bytes;
    char guid[VIEW_ID_MAX]; /* of a download: its name on the disk */
    char name[FILE_NAME_MAX + 1];
};

/* --- names --- */

/* What has no place in the name of a file becomes '_'. */
static void clean_name(const char *from, char out[FILE_NAME_MAX + 1])
{
    bool plain = !str_is_utf8(str_from(from));
    size_t n = strlen(from);

    if (n > FILE_NAME_MAX) /* not in the middle of a character */
        for (n = FILE_NAME_MAX; n > 0 && ((unsigned char)from[n] & 0xc0) == 0x80; n--)
            ;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)from[i];

        out[i] =
            c < ' ' || c == 0x7f || c == '/' || c == '\\' || (plain && c > 0x7f) ? '_' : from[i];
    }
    out[n] = '\0';
    if (out[0] == '.')
        out[0] = '_';
    if (n == 0)
        snprintf(out, FILE_NAME_MAX + 1, "file");
}

static bool is_guid(const char *z)
{
    return z[0] != '\0' && strlen(z) < VIEW_ID_MAX &&
           strspn(z, "0123456789abcdefABCDEF-") == strlen(z);
}

/* --- the list --- */

static struct lease_file *find_upload(const struct lease *l, const char *name)
{
    list_for_each (link, &l->files.all) {
        struct lease_file *f = list_entry(link, struct lease_file, link);

        if (f->upload && strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}

/* By guid; else the youngest of that name, as several downloads may be called the same. */
static struct lease_file *find_download(const struct lease *l, const char *name)
{
    struct lease_file *found = NULL;

    list_for_each (link, &l->files.all) {
        struct lease_file *f = list_entry(link, struct lease_file, link);

        if (!f->upload && strcmp(f->guid, name) == 0)
            return f;
        if (!f->upload && strcmp(f->name, name) == 0)
            found = f;
    }
    return found;
}

static struct lease_file *file_add(struct lease *l, bool upload, const char *name)
{
    struct lease_file *f = xcalloc(1, sizeof *f);

    f->upload = upload;
    clean_name(name, f->name);
    list_push(&l->files.all, &f->link);
    l->files.n++;
    return f;
}

static void file_resize(struct lease *l, struct lease_file *f, uint64_t bytes)
{
    l->files.bytes = l->files.bytes - f->bytes + bytes;
    f->bytes = bytes;
}

static void file_remove(struct lease *l, struct lease_file *f)
{
    file_resize(l, f, 0);
    list_remove(&f->link);
    l->files.n--;
    free(f);
}

/* --- life --- */

static bool has_upload(void *arg, const char *name)
{
    const struct lease_file *f = find_upload(arg, name);

    return f != NULL && f->done;
}

static void want_delivery(void *arg, const char *dir)
{
    deliver_to(arg, dir);
}

void files_init(struct lease *l)
{
    list_init(&l->files.all);
    deliver_init(l);
}

void files_open(struct lease *l)
{
    char profile[ROOM_PATH_MAX];
    struct err e = ERR_INIT;

    l->files.pid = context_browser_pid(l->own.ctx);
    if (room_profile(l->files.pid, profile, &e) != STATUS_OK) {
        log_debug(NULL, "lease.files.none", LOG_ERR(&e));
        return;
    }
    l->scope.uploads_dir = arena_printf(l->arena, "%s/fleet-up-%.*s", profile, DIR_ID_LEN, l->id);
    l->scope.downloads_dir =
        arena_printf(l->arena, "%s/fleet-down-%.*s", profile, DIR_ID_LEN, l->id);
    l->scope.has_upload = has_upload;
    l->scope.deliver_to = want_delivery;
}

struct clearing {
    struct lease *lease;
    pid_t pid;
    const char *dirs[2];
};

static void clear_job(void *arg)
{
    struct clearing *c = arg;

    for (size_t i = 0; i < ARRAY_LEN(c->dirs); i++)
        room_clear(c->pid, c->dirs[i]);
}

static void cleared(void *arg)
{
    struct clearing *c = arg;
    struct lease *l = c->lease;

    free(c);
    l->n_making--;
    lease_release_check(l);
}

/* After the last job, which might write one yet. */
static void maybe_clear(struct lease *l)
{
    struct clearing *c;

    if (!l->files.closed || l->files.n_jobs > 0 || l->scope.uploads_dir == NULL || l->lost)
        return;
    c = xcalloc(1, sizeof *c);
    c->lease = l;
    c->pid = l->files.pid;
    c->dirs[0] = l->scope.uploads_dir;
    c->dirs[1] = l->scope.downloads_dir;
    l->n_making++;
    work_submit(l->gateway->deps.loop, clear_job, cleared, c);
}

void files_job_over(struct lease *l)
{
    l->files.n_jobs--;
    maybe_clear(l);
}

/* Of each context of the lease, to the browser itself. */
static void tell_contexts(struct lease *l, const char *method, const char *members)
{
    struct cdp_session *root = cdp_conn_root(context_conn(l->own.ctx));

    cdp_callf(root, method, 0, NULL, NULL, "{\"browserContextId\":\"%s\",%s}",
              context_id(l->own.ctx), members);
    list_for_each (link, &l->contexts) {
        const struct lease_context *lc = list_entry(link, struct lease_context, link);

        if (lc->begun)
            cdp_callf(root, method, 0, NULL, NULL, "{\"browserContextId\":\"%s\",%s}",
                      context_id(lc->ctx), members);
    }
}

/* A session that allowed downloads and ends leaves the browser's own default behind. The events
 * stay on: they are those of the other leases, too. */
void files_deny(struct lease *l)
{
    if (l->scope.downloads_dir != NULL && l->own.begun && !l->lost)
        tell_contexts(l, "Browser.setDownloadBehavior",
                      "\"behavior\":\"deny\",\"eventsEnabled\":true");
}

void files_close(struct lease *l)
{
    files_deny(l);
    l->files.closed = true;
    maybe_clear(l);
}

void files_deinit(struct lease *l)
{
    while (!list_empty(&l->files.all))
        file_remove(l, list_entry(l->files.all.next, struct lease_file, link));
    deliver_deinit(l);
}

/* --- downloads --- */

static void cancel_download(struct lease *l, const char *guid)
{
    char members[VIEW_ID_MAX + 16];

    snprintf(members, sizeof members, "\"guid\":\"%s\"", guid);
    tell_contexts(l, "Browser.cancelDownload", members);
}

static void download_begins(struct lease *l, const struct json *params)
{
    const char *guid = json_str(json_get(params, "guid"), "");
    struct lease_file *f;

    if (!is_guid(guid) || find_download(l, guid) != NULL)
        return;
    if (l->files.n >= FILES_MAX) {
        cancel_download(l, guid);
        return;
    }
    f = file_add(l, false, json_str(json_get(params, "suggestedFilename"), ""));
    snprintf(f->guid, sizeof f->guid, "%s", guid);
}

static void download_progresses(struct lease *l, const struct json *params)
{
    const char *guid = json_str(json_get(params, "guid"), "");
    const char *state = json_str(json_get(params, "state"), "");
    struct lease_file *f = is_guid(guid) ? find_download(l, guid) : NULL;
    double bytes = json_num(json_get(params, "receivedBytes"), 0);

    if (f == NULL || f->done)
        return;
    file_resize(l, f, bytes > 0 && bytes < 1e15 ? (uint64_t)bytes : 0);
    f->done = strcmp(state, "completed") == 0;
    if (strcmp(state, "canceled") == 0)
        file_remove(l, f);
    else if (!f->done && (f->bytes > GATEWAY_DOWNLOAD_MAX || l->files.bytes > GATEWAY_FILES_MAX))
        cancel_download(l, guid);
}

bool files_is_delivered(struct lease *l, const char *guid)
{
    struct lease_file *f = is_guid(guid) ? find_download(l, guid) : NULL;
    bool was = f == NULL || f->delivered;

    if (f != NULL)
        f->delivered = true;
    return was;
}

bool files_heard(struct lease *l, struct client *c, struct str method, struct str params)
{
    bool begins = str_eqz(method, "Browser.downloadWillBegin"), later = false;
    struct json *j;

    if (!begins && !str_eqz(method, "Browser.downloadProgress"))
        return false;
    j = json_parse(params, false, NULL);
    if (begins)
        download_begins(l, j);
    else
        download_progresses(l, j);
    if (strcmp(json_str(json_get(j, "state"), ""), "completed") == 0)
        later = deliver_begin(l, c, json_str(json_get(j, "guid"), ""), params);
    json_destroy(&j);
    return later;
}

/* --- jobs --- */

struct file_job {
    struct exchange *x;
    struct lease *lease;
    pid_t pid;
    bool put;
    struct str data; /* the exchange's */
    struct buf read;
    uint64_t bytes;
    unsigned char hash[HASH_BYTES];
    char inside[ROOM_PATH_MAX], name[FILE_NAME_MAX + 1];
    struct err err;
};

static void run_job(void *arg)
{
    struct file_job *j = arg;
    struct str data = j->data;

    if (j->put) {
        j->err.status = room_write(j->pid, data, j->inside, &j->err);
    } else {
        j->err.status = room_read(j->pid, j->inside, GATEWAY_DOWNLOAD_MAX, &j->read, &j->err);
        data = buf_str(&j->read);
    }
    j->bytes = data.len;
    if (j->err.status == STATUS_OK)
        crypto_hash_sha256(j->hash, (const unsigned char *)(data.len > 0 ? data.ptr : ""),
                           data.len);
}

static void record(struct file_job *j)
{
    struct lease *l = j->lease;
    struct buf payload = BUF_INIT(1024);
    struct receipt r = {
        .kind = "op",
        .op = j->put ? "gateway.files.put" : "gateway.files.get",
        .member = l->member->identity->id,
        .outcome = j->err.status == STATUS_OK ? "ok" : status_name(j->err.status),
        .parent = l->leaf,
    };

    buf_addf(&payload, "{\"bytes\":%llu,\"lease\":\"%.8s\",\"sha256\":\"",
             (unsigned long long)j->bytes, l->id);
    buf_add_hex(&payload, j->hash, sizeof j->hash);
    buf_adds(&payload, "\"}");
    r.payload = buf_str(&payload);
    lease_record(l, &r);
    buf_deinit(&payload);
}

static void answer_put(struct file_job *j)
{
    struct json *out = json_add_str(json_new_object(), "name", j->name);

    json_add_str(out, "path", j->inside);
    json_add_num(out, "bytes", (double)j->bytes);
    exchange_answer_json(j->x, 201, out);
}

static void answer_get(struct file_job *j)
{
    exchange_set_header(j->x, "x-content-type-options", "nosniff");
    exchange_answer_buf(j->x, 200, "application/octet-stream", &j->read);
}

static void job_done(void *arg)
{
    struct file_job *j = arg;
    struct lease *l = j->lease;
    struct lease_file *f = j->put ? find_upload(l, j->name) : NULL;

    if (f != NULL && j->err.status == STATUS_OK)
        f->done = true;
    else if (f != NULL)
        file_remove(l, f);
    record(j);
    if (j->err.status != STATUS_OK)
        exchange_answer_err(j->x, &j->err);
    else if (j->put)
        answer_put(j);
    else
        answer_get(j);
    buf_deinit(&j->read);
    free(j);
    l->n_making--;
    files_job_over(l);
    lease_release_check(l);
}

static void submit(struct lease *l, struct exchange *x, const char *dir, const char *file,
                   const char *name, bool put)
{
    struct file_job *j = xcalloc(1, sizeof *j);

    j->x = x;
    j->lease = l;
    j->pid = l->files.pid;
    j->put = put;
    j->data = put ? exchange_body(x) : STR_NONE;
    buf_init(&j->read, GATEWAY_DOWNLOAD_MAX + 1);
    snprintf(j->inside, sizeof j->inside, "%s/%s", dir, file);
    snprintf(j->name, sizeof j->name, "%s", name);
    l->n_making++;
    l->files.n_jobs++;
    lease_heard(l);
    work_submit(l->gateway->deps.loop, run_job, job_done, j);
}

/* --- routes --- */

/* NULL: answered. */
static struct lease *lease_with_files(struct exchange *x, struct gateway *g)
{
    struct lease *l = gateway_lease_of(x, g);

    if (l != NULL && (l->scope.uploads_dir == NULL || l->lost)) {
        exchange_fail(x, STATUS_UNAVAILABLE, "lease %.8s has no directory: its browser %s", l->id,
                      l->lost ? "ended" : "is not ready");
        return NULL;
    }
    return l;
}

void files_put(struct exchange *x, void *arg)
{
    struct lease *l = lease_with_files(x, arg);
    uint64_t bytes = exchange_body(x).len;
    struct lease_file *f;
    char name[FILE_NAME_MAX + 1];

    if (l == NULL)
        return;
    clean_name(exchange_param(x, "name"), name);
    f = find_upload(l, name);
    if (f == NULL && l->files.n >= FILES_MAX) {
        exchange_fail(x, STATUS_TOO_LARGE, "the lease has %d files already", FILES_MAX);
        return;
    }
    if (l->files.bytes + bytes - (f != NULL ? f->bytes : 0) > GATEWAY_FILES_MAX) {
        exchange_fail(x, STATUS_TOO_LARGE, "the lease's files have %llu bytes, the most is %d",
                      (unsigned long long)(l->files.bytes + bytes), GATEWAY_FILES_MAX);
        return;
    }
    if (f == NULL)
        f = file_add(l, true, name);
    f->done = false;
    file_resize(l, f, bytes);
    submit(l, x, l->scope.uploads_dir, name, name, true);
}

/* Also what no event told of: Page.setDownloadBehavior lets files keep their names. */
void files_get(struct exchange *x, void *arg)
{
    struct lease *l = lease_with_files(x, arg);
    struct lease_file *f;
    char name[FILE_NAME_MAX + 1];

    if (l == NULL)
        return;
    clean_name(exchange_param(x, "name"), name);
    f = find_download(l, name);
    if (f != NULL && !f->done)
        exchange_fail(x, STATUS_BUSY, "%s: %llu bytes are there, and it is not finished", name,
                      (unsigned long long)f->bytes);
    else if (f == NULL && has_upload(l, name))
        submit(l, x, l->scope.uploads_dir, name, name, false);
    else
        submit(l, x, l->scope.downloads_dir, f != NULL ? f->guid : name, name, false);
}

void files_list(struct exchange *x, void *arg)
{
    const struct lease *l = gateway_lease_of(x, arg);
    struct json *all;

    if (l == NULL)
        return;
    all = json_new_array();
    list_for_each (link, &l->files.all) {
        const struct lease_file *f = list_entry(link, struct lease_file, link);
        struct json *j = json_add_str(json_new_object(), "name", f->name);

        json_add_str(j, "kind", f->upload ? "upload" : "download");
        json_add_str(j, "guid", f->upload ? NULL : f->guid);
        json_add_num(j, "bytes", (double)f->bytes);
        json_add_bool(j, "done", f->done);
        json_push(all, j);
    }
    exchange_answer_json(x, 200, json_add(json_new_object(), "files", all));
}
