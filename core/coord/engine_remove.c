/* Batches that are removed from the state, so that an engine that serves for ever does not grow for
 * ever.
 *
 *   asked -> those that are over are read (worker) -> each: receipt "batch.removed" with its row
 *         -> durable: forgotten in memory, its directory of artefacts emptied (worker) -> answered
 *
 * With the receipt the batch's own row goes, and `removal` holds its number until its results have
 * gone as well: they may be millions, so they go SWEEP_ROWS at a time between other commits, in the
 * next process if need be. The receipts of the batch stay, as all of the audit log does. Files that
 * a crash leaves behind, after the receipt, stay as well. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/jcs.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "core/base/work.h"
#include "core/coord/engine_internal.h"
#include "core/coord/events.h"

/* One call. */
struct removing {
    struct engine *engine;
    char *path; /* of the database, for the worker */
    char id[BATCH_ID_MAX];
    uint32_t n;         /* only this batch; 0: all that ended before before_ms */
    uint64_t before_ms; /* wall */
    struct store_ended *ended;
    size_t n_ended, cap;
    struct err err; /* the first */
    size_t left, removed;
    engine_removed_fn *done;
    void *arg;
};

/* One batch of it. */
struct removed {
    struct store_removed_batch row; /* first */
    struct removing *of;
    char *key; /* NULL: none */
    char *dir; /* of its artefacts; NULL: none */
};

/* --- results, in the background --- */

static void on_swept(struct store_sweep *w, enum status s, const struct err *er)
{
    struct engine *e = w->arg;
    bool more = w->more;

    free(w);
    e->sweeping = false;
    if (s != STATUS_OK)
        engine_fail(e, s, er);
    else if (more && e->state < ENGINE_DRAINING)
        engine_sweep(e);
    engine_closed_one(e);
}

void engine_sweep(struct engine *e)
{
    struct store_sweep *w;

    if (e->sweeping || e->trouble.status != STATUS_OK)
        return;
    w = xcalloc(1, sizeof(*w));
    w->done = on_swept;
    w->arg = e;
    e->sweeping = true;
    e->n_closing++;
    store_sweep_submit(e->store, w);
}

/* --- the end of a call --- */

static void finish(struct removing *r)
{
    struct engine *e = r->engine;

    if (r->removed > 0)
        engine_sweep(e);
    r->done(r->arg, r->err.status, r->removed, &r->err);
    for (size_t i = 0; i < r->n_ended; i++)
        free(r->ended[i].key);
    free(r->ended);
    free(r->path);
    free(r);
    engine_closed_one(e);
}

static void forget(struct engine *e, const struct removed *x)
{
    struct key_of *k = x->key ? map_find(e->by_key, str_from(x->key)) : NULL;
    struct batch *b = map_find_u64(e->by_number, x->row.n);

    if (k && k->n == x->row.n)
        free(map_remove(e->by_key, str_from(x->key)));
    if (b) {
        e->n_over--;
        batch_destroy(b);
    }
}

/* --- its artefacts --- */

/* What tasks wrote is called after them ("t-000007-1-failed.png"); anything else is somebody's. */
static bool is_of_a_task(int dir, const char *name)
{
    struct stat st;

    return name[0] == 't' && name[1] == '-' && name[2] >= '0' && name[2] <= '9' &&
           fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static void empty_dir(void *arg)
{
    struct removed *x = arg;
    int fd = open(x->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    int failed = fd < 0 && errno != ENOENT ? errno : 0;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the directory is this call's */
    while (d && (entry = readdir(d)))
        if (is_of_a_task(fd, entry->d_name) && unlinkat(fd, entry->d_name, 0) != 0)
            failed = errno;
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    if (d && rmdir(x->dir) != 0 && errno != ENOTEMPTY && errno != EEXIST)
        failed = errno;
    if (failed)
        log_warn(NULL, "batch.artifacts_left", LOG_STR("dir", x->dir), LOG_I64("errno", failed));
}

static void on_emptied(void *arg)
{
    struct removed *x = arg;
    struct removing *r = x->of;

    free(x->dir);
    free(x->key);
    free(x);
    if (--r->left == 0)
        finish(r);
}

/* Batches that are submitted have a directory each (batch_open_outputs). */
static void remove_artifacts(struct removed *x)
{
    struct engine *e = x->of->engine;
    char id[BATCH_ID_MAX];

    (void)snprintf(id, sizeof(id), "b-%07u", x->row.n);
    x->dir = file_join(e->artifacts_dir, id);
    work_submit(e->loop, empty_dir, on_emptied, x);
}

static void on_receipt(void *arg, enum status s, const unsigned char *leaf, uint64_t seq,
                       const struct err *er)
{
    struct removed *x = arg;
    struct removing *r = x->of;
    struct engine *e = r->engine;

    (void)seq;
    (void)map_remove_u64(e->removing, x->row.n);
    if (s == STATUS_OK) {
        forget(e, x);
        events_removed(e, x->row.n, leaf);
        r->removed++;
        if (e->artifacts_dir) {
            remove_artifacts(x);
            return;
        }
    } else if (r->err.status == STATUS_OK) {
        r->err = *er;
        r->err.status = s;
    }
    free(x->key);
    free(x);
    if (--r->left == 0)
        finish(r);
}

/* --- one batch --- */

static void add_hash(struct json *j, const char *name, const unsigned char *leaf)
{
    char hex[AUDIT_HEX_MAX];

    json_add_str(j, name, audit_hex(leaf, hex));
}

static void append(struct removing *r, struct store_ended *b)
{
    struct engine *e = r->engine;
    struct removed *x = xcalloc(1, sizeof(*x));
    struct receipt receipt = {.kind = "batch.removed", .outcome = "ok", .with = &x->row.with};
    struct buf payload = BUF_INIT(BUF_MAX_LINE);
    struct json *j = json_new_object();
    char id[BATCH_ID_MAX];

    x->of = r;
    x->row.n = b->n;
    x->key = steal_ptr(&b->key);
    (void)map_put_u64(e->removing, b->n, x);
    (void)snprintf(id, sizeof(id), "b-%07u", b->n);
    json_add_str(j, "batch", id);
    add_hash(j, "close", b->close);
    add_hash(j, "open", b->open);
    json_add_num(j, "uid", getuid());
    if (jcs_write(j, &payload, NULL) == STATUS_OK)
        receipt.payload = buf_str(&payload);
    r->left++;
    store_with_removed(e->store, &x->row);
    audit_append(e->audit, &receipt, on_receipt, x);
    buf_deinit(&payload);
    json_destroy(&j);
}

/* False, with the reason: not now. It is over on the disk, and may not be here. */
static bool may_go(struct removing *r, uint32_t n, struct err *er)
{
    struct engine *e = r->engine;
    struct batch *b = map_find_u64(e->by_number, n);

    if (map_find_u64(e->removing, n)) {
        err_set(er, STATUS_BUSY, "batch b-%07u is being removed already", n);
        return false;
    }
    if (b && !batch_is_idle(b)) {
        err_set(er, STATUS_BUSY,
                "batch b-%07u is over, but an attempt of it that was given up is not: try again "
                "later",
                n);
        return false;
    }
    return true;
}

/* None was found: why not? */
static void tell_none(struct removing *r)
{
    const struct batch *b = r->n ? map_find_u64(r->engine->by_number, r->n) : NULL;

    if (b && !batch_is_over(b->state))
        err_set(&r->err, STATUS_BUSY,
                "batch %s is %s: it can be removed when it is over, or cancelled before", r->id,
                batch_state_name(b->state));
    else if (r->id[0])
        err_set(&r->err, STATUS_NOT_FOUND, "there is no batch %s", r->id);
}

static void on_read(void *arg)
{
    struct removing *r = arg;
    struct engine *e = r->engine;

    if (r->err.status == STATUS_OK && e->trouble.status != STATUS_OK)
        r->err = e->trouble;
    if (r->err.status == STATUS_OK && r->n_ended == 0)
        tell_none(r);
    r->left = 1; /* so that it does not end from within */
    for (size_t i = 0; r->err.status == STATUS_OK && i < r->n_ended; i++) {
        struct err why = ERR_INIT;

        if (may_go(r, r->ended[i].n, &why))
            append(r, &r->ended[i]);
        else if (r->n)
            r->err = why;
    }
    if (--r->left == 0)
        finish(r);
}

/* --- what is asked --- */

static void on_ended(void *arg, const struct store_ended *b)
{
    struct removing *r = arg;

    if (r->n_ended == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 16;
        r->ended = xreallocarray(r->ended, r->cap, sizeof(*r->ended));
    }
    r->ended[r->n_ended++] = *b;
}

static void read_ended(void *arg)
{
    struct removing *r = arg;

    if (r->id[0] && r->n == 0)
        return; /* no id of a batch */
    (void)!store_read_ended(r->path, r->n, r->before_ms, on_ended, r, &r->err);
}

static void begin(struct engine *e, struct removing *r, engine_removed_fn *done, void *arg)
{
    r->engine = e;
    r->done = done;
    r->arg = arg;
    r->path = xstrdup(logdb_path(e->logdb));
    e->n_closing++; /* the engine does not end while it is on its way */
    work_submit(e->loop, read_ended, on_read, r);
}

void engine_remove(struct engine *e, const char *id, engine_removed_fn *done, void *arg)
{
    struct removing *r = xcalloc(1, sizeof(*r));

    (void)snprintf(r->id, sizeof(r->id), "%s", id);
    r->n = strlen(id) < sizeof(r->id) ? batch_number(id) : 0;
    r->before_ms = UINT64_MAX;
    begin(e, r, done, arg);
}

void engine_remove_older(struct engine *e, uint64_t before_ms, engine_removed_fn *done, void *arg)
{
    struct removing *r = xcalloc(1, sizeof(*r));

    r->before_ms = before_ms;
    begin(e, r, done, arg);
}
