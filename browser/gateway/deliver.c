#include "browser/gateway/deliver.h"

#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "browser/chromium/room.h"
#include "browser/gateway/gateway_internal.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/work.h"

enum { HASH_BYTES = 32 };

/* A client's event that waits. */
struct told {
    struct list link;
    struct client *client; /* a reference */
    char *params;
};

struct delivery {
    struct list link, told;
    struct lease *lease;
    pid_t pid;
    char guid[VIEW_ID_MAX], inside[ROOM_PATH_MAX];
    char *dirs[DELIVER_DIRS_MAX];
    struct buf data;
    unsigned char hash[HASH_BYTES];
    unsigned n_put;
    struct err err;
};

static const char event[] = "Browser.downloadProgress";

void deliver_init(struct lease *l)
{
    list_init(&l->deliver.jobs);
}

void deliver_deinit(struct lease *l)
{
    for (size_t i = 0; i < DELIVER_DIRS_MAX; i++)
        free(l->deliver.dirs[i]);
}

void deliver_to(struct lease *l, const char *dir)
{
    struct deliver *d = &l->deliver;
    char **place = &d->dirs[d->n_dirs % DELIVER_DIRS_MAX];

    for (size_t i = 0; i < DELIVER_DIRS_MAX; i++)
        if (d->dirs[i] != NULL && strcmp(d->dirs[i], dir) == 0)
            return;
    if (dir[0] != '/')
        return;
    free(*place);
    *place = xstrdup(dir);
    d->n_dirs++;
}

/* --- on a worker --- */

/* Where the descriptor really is, whatever links its path went by. */
static bool is_below(int fd, const char *top)
{
    char name[32], real[PATH_MAX];
    cleanup_free char *resolved = realpath(top, NULL);
    size_t len = resolved != NULL ? strlen(resolved) : 0;
    ssize_t n;

    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    n = readlink(name, real, sizeof real - 1);
    if (len == 0 || n < 0)
        return false;
    real[n] = '\0';
    return strncmp(real, resolved, len) == 0 && real[len] == '/';
}

/* -1: nothing is put there. */
static int open_dir(const char *path)
{
    const char *tmp = getenv("TMPDIR");
    cleanup_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat sb;

    if (fd < 0 || fstat(fd, &sb) != 0 || sb.st_uid != geteuid() || (sb.st_mode & 077) != 0)
        return -1;
    if (!is_below(fd, "/tmp") && (tmp == NULL || tmp[0] != '/' || !is_below(fd, tmp)))
        return -1;
    return steal_fd(&fd);
}

static bool put(const char *path, const char *name, struct str data)
{
    cleanup_fd int dir = open_dir(path);
    cleanup_fd int fd =
        dir < 0 ? -1
                : openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    if (file_write_all(fd, data.ptr, data.len, name, NULL) == STATUS_OK)
        return true;
    (void)unlinkat(dir, name, 0);
    return false;
}

static void run(void *arg)
{
    struct delivery *d = arg;

    d->err.status = room_read(d->pid, d->inside, GATEWAY_DOWNLOAD_MAX, &d->data, &d->err);
    if (d->err.status != STATUS_OK)
        return;
    for (size_t i = 0; i < DELIVER_DIRS_MAX; i++)
        d->n_put += d->dirs[i] != NULL && put(d->dirs[i], d->guid, buf_str(&d->data));
    if (d->n_put > 0)
        crypto_hash_sha256(d->hash, (const unsigned char *)buf_str(&d->data).ptr, d->data.len);
}

/* --- on the loop --- */

static void record(const struct delivery *d)
{
    struct lease *l = d->lease;
    struct buf payload = BUF_INIT(1024);
    struct receipt r = {
        .kind = "op",
        .op = "gateway.files.get",
        .member = l->member->identity->id,
        .outcome = "ok",
        .parent = l->leaf,
    };

    buf_addf(&payload, "{\"bytes\":%llu,\"lease\":\"%.8s\",\"sha256\":\"",
             (unsigned long long)d->data.len, l->id);
    buf_add_hex(&payload, d->hash, sizeof d->hash);
    buf_adds(&payload, "\"}");
    r.payload = buf_str(&payload);
    lease_record(l, &r);
    buf_deinit(&payload);
}

static void tell(struct told *t)
{
    if (t->client->mux != NULL)
        mux_event(t->client->mux, "", str_from(event), str_from(t->params));
    list_remove(&t->link);
    client_unref(t->client);
    free(t->params);
    free(t);
}

static void done(void *arg)
{
    struct delivery *d = arg;
    struct lease *l = d->lease;

    list_remove(&d->link);
    if (d->n_put > 0)
        record(d);
    else
        log_debug(NULL, "lease.download.kept", LOG_STR("guid", d->guid), LOG_ERR(&d->err));
    while (!list_empty(&d->told))
        tell(list_entry(d->told.next, struct told, link));
    for (size_t i = 0; i < DELIVER_DIRS_MAX; i++)
        free(d->dirs[i]);
    buf_deinit(&d->data);
    free(d);
    l->n_making--;
    files_job_over(l);
    lease_release_check(l);
}

static struct delivery *find(struct lease *l, const char *guid)
{
    list_for_each (link, &l->deliver.jobs) {
        struct delivery *d = list_entry(link, struct delivery, link);

        if (strcmp(d->guid, guid) == 0)
            return d;
    }
    return NULL;
}

static struct delivery *begin(struct lease *l, const char *guid)
{
    struct delivery *d = xcalloc(1, sizeof *d);

    d->lease = l;
    d->pid = l->files.pid;
    list_init(&d->told);
    buf_init(&d->data, GATEWAY_DOWNLOAD_MAX + 1);
    snprintf(d->guid, sizeof d->guid, "%s", guid);
    snprintf(d->inside, sizeof d->inside, "%s/%s", l->scope.downloads_dir, guid);
    for (size_t i = 0; i < DELIVER_DIRS_MAX; i++)
        d->dirs[i] = l->deliver.dirs[i] != NULL ? xstrdup(l->deliver.dirs[i]) : NULL;
    list_push(&l->deliver.jobs, &d->link);
    l->n_making++;
    l->files.n_jobs++;
    work_submit(l->gateway->deps.loop, run, done, d);
    return d;
}

bool deliver_begin(struct lease *l, struct client *c, const char *guid, struct str params)
{
    struct delivery *d = find(l, guid);
    struct told *t;

    if (d == NULL && (l->deliver.n_dirs == 0 || l->scope.downloads_dir == NULL || l->files.closed ||
                      files_is_delivered(l, guid)))
        return false;
    if (d == NULL)
        d = begin(l, guid);
    t = xcalloc(1, sizeof *t);
    t->client = c;
    c->refs++;
    t->params = xcalloc(1, params.len + 1);
    memcpy(t->params, params.ptr, params.len);
    list_push(&d->told, &t->link);
    return true;
}
