/* Messages end with a NUL, which Chromium writes by itself, after the message (156). Who waits for
 * it is woken twice for each message, so one that is whole without it is handed out at once, and
 * its NUL is read afterwards, mostly together with what comes next. */
#include "browser/cdp/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "browser/cdp/conn.h"
#include "core/base/buf.h"
#include "core/base/file.h"

/* What the read buffer keeps after a large message (a screenshot, a PDF), the piece that is read at
 * a time, how much of one turn a talkative browser may take, and up to where it is looked whether a
 * message is whole. */
enum {
    KEEP_BYTES = 256 * 1024,
    READ_BYTES = 64 * 1024,
    READS_A_TURN = 16,
    EARLY_BYTES = 64 * 1024,
};

struct pipe {
    struct transport base;
    struct loop *loop;
    int read_fd, write_fd;
    struct loop_watch *read_watch, *write_watch;
    struct buf in, out;
    size_t scanned; /* bytes of `in` without a NUL */
    bool owed;      /* the NUL of what was handed out has not come */
    bool closed;    /* on_close was called */
    bool dispatching, destroyed;
};

static struct pipe *pipe_of(struct transport *t)
{
    return container_of(t, struct pipe, base);
}

static void pipe_free(struct pipe *p)
{
    buf_deinit(&p->in);
    buf_deinit(&p->out);
    free(p);
}

static void pipe_shut(struct pipe *p)
{
    loop_watch_close(&p->read_watch);
    loop_watch_close(&p->write_watch);
    if (p->read_fd >= 0)
        close(steal_fd(&p->read_fd));
    if (p->write_fd >= 0)
        close(steal_fd(&p->write_fd));
}

static void pipe_fail(struct pipe *p, enum status why, const struct err *e)
{
    if (p->closed)
        return;
    p->closed = true;
    pipe_shut(p);
    if (p->base.events.on_close != NULL)
        p->base.events.on_close(p->base.events.arg, why, e);
}

/* --- reading --- */

/* False when the transport was destroyed in the callback. */
static bool hand_out(struct pipe *p, struct str message)
{
    p->dispatching = true;
    p->base.events.on_message(p->base.events.arg, message);
    p->dispatching = false;
    if (!p->destroyed)
        return true;
    pipe_free(p);
    return false;
}

/* Past the NUL that is owed. */
static size_t skip_owed(struct pipe *p)
{
    const char *nul = p->owed ? memchr(p->in.ptr, '\0', p->in.len) : NULL;

    if (!p->owed)
        return 0;
    p->owed = nul == NULL;
    return nul == NULL ? p->in.len : (size_t)(nul - p->in.ptr) + 1;
}

static bool is_whole(struct str rest)
{
    return rest.len > 0 && rest.len <= EARLY_BYTES && rest.ptr[rest.len - 1] == '}' &&
           cdp_is_object(rest);
}

/* Hands out all whole messages of `in`. False when the transport was destroyed in a callback. */
static bool pipe_dispatch(struct pipe *p)
{
    size_t done = skip_owed(p);
    const char *nul;
    struct str rest;

    p->scanned = p->scanned > done ? p->scanned : done;
    while ((nul = memchr(p->in.ptr + p->scanned, '\0', p->in.len - p->scanned)) != NULL) {
        size_t end = (size_t)(nul - p->in.ptr);

        if (!hand_out(p, str_n(p->in.ptr + done, end - done)))
            return false;
        done = p->scanned = end + 1;
    }
    rest = str_n(p->in.ptr + done, p->in.len - done);
    if (is_whole(rest)) {
        p->owed = true;
        done = p->in.len;
        if (!hand_out(p, rest))
            return false;
    }
    buf_consume(&p->in, done);
    p->scanned = p->in.len;
    if (p->in.len == 0 && p->in.cap > KEEP_BYTES)
        buf_deinit(&p->in);
    return true;
}

static void on_readable(void *arg, int fd, int events)
{
    struct pipe *p = arg;
    struct err e = ERR_INIT;

    (void)events;
    for (int i = 0; i < READS_A_TURN; i++) {
        char *room = buf_reserve(&p->in, READ_BYTES);
        ssize_t n;

        if (room == NULL) {
            err_set(&e, STATUS_TOO_LARGE, "a DevTools message is larger than %d bytes",
                    BUF_MAX_MESSAGE);
            pipe_fail(p, STATUS_TOO_LARGE, &e);
            return;
        }
        n = read(fd, room, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            enum status s = n == 0
                                ? err_set(&e, STATUS_CLOSED, "the DevTools pipe was closed")
                                : err_set_errno(&e, STATUS_IO, errno, "read of the DevTools pipe");

            pipe_fail(p, s, &e);
            return;
        }
        buf_commit(&p->in, (size_t)n);
        if (!pipe_dispatch(p) || p->read_watch == NULL)
            return;
        if ((size_t)n < READ_BYTES && !p->owed)
            return; /* the pipe is empty: the next read would say EAGAIN */
    }
}

/* --- writing --- */

static void on_writable(void *arg, int fd, int events);

/* Writes what goes. An error is told from the loop: the read side sees the peer's end, too. */
static enum status pipe_flush(struct pipe *p, struct err *e)
{
    while (p->out.len > 0) {
        ssize_t n = write(p->write_fd, p->out.ptr, p->out.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0)
            return err_set_errno(e, STATUS_CLOSED, errno, "write to the DevTools pipe");
        buf_consume(&p->out, (size_t)n);
    }
    if (p->out.len == 0 && p->out.cap > KEEP_BYTES)
        buf_deinit(&p->out);
    p->base.queued = p->out.len;
    loop_watch_set(p->write_watch, p->out.len > 0 ? LOOP_WRITE : 0);
    return STATUS_OK;
}

static void on_writable(void *arg, int fd, int events)
{
    struct pipe *p = arg;
    struct err e = ERR_INIT;
    bool was_full = p->out.len >= TRANSPORT_ROOM;
    enum status s;

    (void)fd;
    (void)events;
    s = pipe_flush(p, &e);
    if (s != STATUS_OK)
        pipe_fail(p, s, &e);
    else if (was_full && p->out.len < TRANSPORT_ROOM && p->base.events.on_room != NULL)
        p->base.events.on_room(p->base.events.arg);
}

static enum status pipe_send(struct transport *t, struct str batch, struct err *e)
{
    struct pipe *p = pipe_of(t);

    if (p->closed || p->write_watch == NULL)
        return err_set(e, STATUS_CLOSED, "the DevTools pipe is closed");
    if (batch.len > TRANSPORT_QUEUE_MAX - p->out.len)
        return err_set(e, STATUS_TOO_LARGE, "%zu bytes wait to be read by the browser already",
                       p->out.len);
    buf_addstr(&p->out, batch);
    p->base.queued = p->out.len;
    if (p->out.len > batch.len)
        return STATUS_OK; /* behind what waits already */
    return pipe_flush(p, e);
}

/* --- life --- */

static void pipe_destroy(struct transport *t)
{
    struct pipe *p = pipe_of(t);

    pipe_shut(p);
    p->closed = true;
    if (p->dispatching)
        p->destroyed = true; /* freed when the message's callback has returned */
    else
        pipe_free(p);
}

static const struct transport_ops pipe_ops = {"pipe", pipe_send, pipe_destroy};

enum status pipe_open(struct loop *l, int read_fd, int write_fd, struct transport **out,
                      struct err *e)
{
    struct pipe *p = xcalloc(1, sizeof *p);
    enum status s;

    p->base.ops = &pipe_ops;
    p->loop = l;
    p->read_fd = read_fd;
    p->write_fd = write_fd;
    buf_init(&p->in, BUF_MAX_MESSAGE);
    buf_init(&p->out, TRANSPORT_QUEUE_MAX);
    s = file_nonblock(read_fd, e);
    if (s == STATUS_OK)
        s = file_nonblock(write_fd, e);
    if (s == STATUS_OK)
        s = loop_watch_open(l, read_fd, LOOP_READ, on_readable, p, &p->read_watch, e);
    if (s == STATUS_OK)
        s = loop_watch_open(l, write_fd, 0, on_writable, p, &p->write_watch, e);
    if (s != STATUS_OK) {
        pipe_destroy(&p->base);
        return err_prefix(e, "open the DevTools pipe");
    }
    *out = &p->base;
    return STATUS_OK;
}

enum status pipe_make(struct pipe_ends *out, struct err *e)
{
    int commands[2], answers[2];

    if (pipe2(commands, O_CLOEXEC) != 0)
        return err_set_errno(e, STATUS_IO, errno, "make the DevTools pipe");
    if (pipe2(answers, O_CLOEXEC) != 0) {
        int errnum = errno;

        close(commands[0]);
        close(commands[1]);
        return err_set_errno(e, STATUS_IO, errnum, "make the DevTools pipe");
    }
    *out = (struct pipe_ends){answers[0], commands[1], {commands[0], answers[1]}};
    return STATUS_OK;
}
