#include "core/coord/results.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/base/fault.h"
#include "core/base/file.h"
#include "core/base/work.h"

enum { QUEUED_MAX = 256 * 1024 * 1024, KEPT_MAX = 9999 };

struct results {
    struct loop *loop;
    char *path;
    int fd;
    off_t good;         /* bytes of whole lines on disk */
    struct buf queued;  /* the loop's */
    struct buf writing; /* the worker's, while busy */
    struct err err;     /* of the worker's last turn */
    struct err first;   /* the first error of all */
    uint64_t dropped;
    bool busy, failed, closing;
    void (*on_error)(void *arg, const struct err *e);
    void (*closed)(void *arg, enum status s, const struct err *e);
    void *arg, *closed_arg;
};

/* Results of an earlier run are never written over: they move to the first free name of path.1,
 * path.2, ... */
static enum status keep_earlier(const char *path, struct err *e)
{
    size_t size = strlen(path) + 16;
    cleanup_free char *old = xcalloc(1, size);
    struct stat st;

    if (stat(path, &st) != 0 || st.st_size == 0 || !S_ISREG(st.st_mode))
        return STATUS_OK;
    for (unsigned n = 1; n <= KEPT_MAX; n++) {
        snprintf(old, size, "%s.%u", path, n);
        if (lstat(old, &st) == 0)
            continue;
        if (rename(path, old) != 0)
            return err_set_errno(e, STATUS_IO, errno, "%s: cannot be renamed to %s", path, old);
        return STATUS_OK;
    }
    return err_set(e, STATUS_EXISTS, "%s: %d earlier ones are kept beside it; move them away", path,
                   KEPT_MAX);
}

/* Length of the whole lines; 0 for what is no regular file. */
static off_t whole_length(int fd)
{
    off_t end = lseek(fd, 0, SEEK_END);
    char block[4096];

    while (end > 0) {
        size_t n = end > (off_t)sizeof(block) ? sizeof(block) : (size_t)end;
        ssize_t got = pread(fd, block, n, end - (off_t)n);

        if (got != (ssize_t)n)
            return 0;
        for (size_t i = n; i > 0; i--) {
            if (block[i - 1] == '\n')
                return end - (off_t)(n - i);
        }
        end -= (off_t)n;
    }
    return 0;
}

static enum status go_on_with(int fd, off_t *good, const char *path, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return STATUS_OK;
    *good = whole_length(fd);
    if (ftruncate(fd, *good) != 0 || lseek(fd, *good, SEEK_SET) < 0)
        return err_set_errno(e, STATUS_IO, errno, "%s: cannot be gone on with", path);
    return STATUS_OK;
}

enum status results_open(struct loop *l, const char *path, bool go_on,
                         void (*on_error)(void *arg, const struct err *e), void *arg,
                         struct results **out, struct err *e)
{
    cleanup_free char *dir = file_dirname(path);
    enum status s = dir[0] ? file_mkdirs(dir, 0755, e) : STATUS_OK;
    struct results *r;
    off_t good = 0;
    int fd;

    if (s == STATUS_OK && !go_on)
        s = keep_earlier(path, e);
    if (s != STATUS_OK)
        return s;
    fd = open(path, (go_on ? O_RDWR : O_WRONLY | O_TRUNC) | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set_errno(e, STATUS_IO, errno, "%s: cannot be written", path);
    if (go_on)
        s = go_on_with(fd, &good, path, e);
    if (s != STATUS_OK) {
        close(fd);
        return s;
    }
    r = xcalloc(1, sizeof(*r));
    r->loop = l;
    r->path = xstrdup(path);
    r->fd = fd;
    r->good = good;
    r->on_error = on_error;
    r->arg = arg;
    buf_init(&r->queued, QUEUED_MAX);
    buf_init(&r->writing, QUEUED_MAX);
    *out = r;
    return STATUS_OK;
}

/* --- on the worker thread --- */

/* Bytes of the whole lines that a failed write left in the file: a torn one is cut off. */
static size_t whole_lines(const struct results *r)
{
    off_t at = lseek(r->fd, 0, SEEK_CUR);
    size_t n = at > r->good ? (size_t)(at - r->good) : 0;

    if (n > r->writing.len)
        n = r->writing.len;
    while (n > 0 && r->writing.ptr[n - 1] != '\n')
        n--;
    return n;
}

static void write_batch(void *p)
{
    struct results *r = p;
    enum status s = STATUS_OK;
    int failure = fault_point("results.write");

    r->err = (struct err)ERR_INIT;
    if (failure)
        s = err_set_errno(&r->err, STATUS_IO, failure, "%s", r->path);
    else if (r->writing.len > 0)
        s = file_write_all(r->fd, r->writing.ptr, r->writing.len, r->path, &r->err);
    if (s == STATUS_OK) {
        r->good += (off_t)r->writing.len;
        return;
    }
    r->good += (off_t)whole_lines(r);
    if (ftruncate(r->fd, r->good) == 0)
        (void)lseek(r->fd, r->good, SEEK_SET);
}

static void sync_and_close(void *p)
{
    struct results *r = p;

    r->err = (struct err)ERR_INIT;
    if (fsync(r->fd) != 0 && errno != EINVAL && errno != EROFS)
        err_set_errno(&r->err, STATUS_IO, errno, "%s: cannot be synced", r->path);
    close(r->fd);
}

/* --- on the loop --- */

static void next(struct results *r);

static void note_error(struct results *r)
{
    if (r->err.status == STATUS_OK || r->failed)
        return;
    r->failed = true;
    r->first = r->err;
    r->on_error(r->arg, &r->first);
}

static void closed(void *p)
{
    struct results *r = p;

    if (r->err.status != STATUS_OK && !r->failed)
        r->first = r->err;
    r->closed(r->closed_arg, r->first.status, &r->first);
    buf_deinit(&r->queued);
    buf_deinit(&r->writing);
    free(r->path);
    free(r);
}

static void written(void *p)
{
    struct results *r = p;

    r->busy = false;
    buf_reset(&r->writing);
    note_error(r);
    next(r);
}

static void next(struct results *r)
{
    if (r->busy)
        return;
    if (r->queued.len > 0 && !r->failed) {
        struct buf swap = r->writing;

        r->writing = r->queued;
        r->queued = swap;
        r->busy = true;
        work_submit(r->loop, write_batch, written, r);
    } else if (r->closing) {
        r->busy = true;
        work_submit(r->loop, sync_and_close, closed, r);
    }
}

void results_add(struct results *r, struct str line)
{
    size_t before = r->queued.len;

    if (!r->failed) {
        buf_addstr(&r->queued, line);
        buf_addc(&r->queued, '\n');
    }
    if (r->failed || buf_status(&r->queued) != STATUS_OK) {
        if (!r->failed)
            buf_truncate(&r->queued, before);
        r->dropped++;
        return;
    }
    next(r);
}

uint64_t results_dropped(const struct results *r)
{
    return r->dropped;
}

void results_close(struct results *r, void (*fn)(void *arg, enum status s, const struct err *e),
                   void *arg)
{
    r->closing = true;
    r->closed = fn;
    r->closed_arg = arg;
    next(r);
}
