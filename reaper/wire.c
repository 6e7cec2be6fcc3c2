#include "reaper/wire.h"

#include <errno.h>
#include <poll.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { FDS_MAX = WIRE_FDS_MAX + 4 };

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(sizeof(int) * FDS_MAX) + CMSG_SPACE(sizeof(struct ucred))];
};

int wire_send(int sock, const void *msg, size_t len, const int *fds, size_t n_fds)
{
    union control c;
    struct iovec iov = {.iov_len = len};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (n_fds > FDS_MAX) {
        errno = EINVAL;
        return -1;
    }
    memcpy(&iov.iov_base, &msg, sizeof(msg)); /* sendmsg does not write to it */
    if (n_fds > 0) {
        struct cmsghdr *m;

        memset(&c, 0, sizeof(c));
        h.msg_control = &c;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        m = CMSG_FIRSTHDR(&h);
        m->cmsg_level = SOL_SOCKET;
        m->cmsg_type = SCM_RIGHTS;
        m->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(m), fds, sizeof(int) * n_fds);
    }
    do
        n = sendmsg(sock, &h, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -1 : 0;
}

static void take_control(struct msghdr *h, int fds[FDS_MAX], size_t *n_fds, int *pid)
{
    for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
        if (m->cmsg_level != SOL_SOCKET)
            continue;
        if (m->cmsg_type == SCM_RIGHTS) {
            *n_fds = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(m), *n_fds * sizeof(int));
        } else if (m->cmsg_type == SCM_CREDENTIALS && pid) {
            struct ucred u;

            memcpy(&u, CMSG_DATA(m), sizeof(u));
            *pid = u.pid;
        }
    }
}

void wire_say(int sock, const void *msg, size_t len, const int *fds, size_t n_fds)
{
    enum { STEP_MS = 20 };
    struct pollfd p = {.fd = sock, .events = POLLOUT};

    for (int ms = 0; ms < WIRE_SAY_MS; ms += STEP_MS) {
        if (wire_send(sock, msg, len, fds, n_fds) == 0 || errno == EPIPE || errno == ECONNRESET)
            return;
        (void)poll(&p, 1, STEP_MS);
    }
}

static ssize_t receive(int sock, struct msghdr *h)
{
    ssize_t n;

    do
        n = recvmsg(sock, h, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    return n;
}

/* A peer that ended without having read all of ours leaves ECONNRESET, once, before what it said
 * itself. */
long wire_recv(int sock, union wire_any *m, int fds[FDS_MAX], size_t *n_fds, int *pid)
{
    union control c;
    struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
    struct msghdr h = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
    ssize_t n;

    *n_fds = 0;
    memset(m, 0, sizeof(*m));
    n = receive(sock, &h);
    if (n < 0 && errno == ECONNRESET)
        n = receive(sock, &h);
    if (n < 0)
        return -1;
    take_control(&h, fds, n_fds, pid);
    if ((h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || (n > 0 && n < (ssize_t)sizeof(m->type))) {
        for (size_t i = 0; i < *n_fds; i++)
            close(fds[i]);
        *n_fds = 0;
        errno = EPROTO;
        return -1;
    }
    return n;
}

/* One function a tag; each false when the record is not right. `p` is 8-aligned. */
typedef bool take_fn(struct wire_spec *s, const char *p, size_t len);

static bool is_text(const char *p, size_t len)
{
    return len > 0 && memchr(p, 0, len) == p + len - 1;
}

static bool take_numbers(struct wire_spec *s, const char *p, size_t len)
{
    if (len != sizeof(s->n))
        return false;
    memcpy(&s->n, p, len);
    return s->n.n_listeners <= WIRE_LISTENERS_MAX && s->n.uid_count > 0;
}

#define TAKE_TEXT(fn_, field_)                                                                     \
    static bool fn_(struct wire_spec *s, const char *p, size_t len)                                \
    {                                                                                              \
        s->field_ = p;                                                                             \
        return is_text(p, len);                                                                    \
    }
TAKE_TEXT(take_name, name)
TAKE_TEXT(take_program, program)
TAKE_TEXT(take_cwd, cwd)
TAKE_TEXT(take_dir, dir)

#define TAKE_LIST(fn_, list_, count_, max_)                                                        \
    static bool fn_(struct wire_spec *s, const char *p, size_t len)                                \
    {                                                                                              \
        if (s->count_ >= (max_) || !is_text(p, len))                                               \
            return false;                                                                          \
        s->list_[s->count_++] = p;                                                                 \
        return true;                                                                               \
    }
TAKE_LIST(take_arg, argv, n_args, WIRE_ARGS_MAX)
TAKE_LIST(take_env, envp, n_envs, WIRE_ENVS_MAX)
TAKE_LIST(take_hide, hide, n_hide, WIRE_HIDE_MAX)

static bool take_bind(struct wire_spec *s, const char *p, size_t len)
{
    struct wire_bind *b;
    const char *at;

    if (s->n_binds >= WIRE_BINDS_MAX || len < 5 || (p[0] != 'r' && p[0] != 'w') || p[1] != '/')
        return false;
    at = memchr(p, 0, len);
    if (!at || !is_text(at + 1, len - (size_t)(at + 1 - p)) || at[1] != '/')
        return false;
    b = &s->binds[s->n_binds++];
    *b = (struct wire_bind){.writable = p[0] == 'w', .path = p + 1, .at = at + 1};
    return true;
}

static bool take_rlimit(struct wire_spec *s, const char *p, size_t len)
{
    if (s->n_rlimits >= WIRE_RLIMITS_MAX || len != sizeof(s->rlimits[0]))
        return false;
    memcpy(&s->rlimits[s->n_rlimits++], p, len);
    return true;
}

static bool take_target(struct wire_spec *s, const char *p, size_t len)
{
    int32_t t;

    if (s->n_targets >= WIRE_FDS_MAX || len != sizeof(t))
        return false;
    memcpy(&t, p, len);
    if (t < 0 || t >= WIRE_FDS_MAX)
        return false;
    s->targets[s->n_targets++] = t;
    return true;
}

static bool take_filter(struct wire_spec *s, const char *p, size_t len)
{
    if (len == 0 || len % sizeof(struct sock_filter) != 0)
        return false;
    s->filter = p;
    s->n_filter = len / sizeof(struct sock_filter);
    return s->n_filter <= WIRE_FILTER_MAX;
}

static const struct {
    take_fn *take;
    const char *why;
} tags[WIRE_TAG_COUNT] = {
    [WIRE_TAG_NUMBERS] = {take_numbers, "numbers"}, [WIRE_TAG_NAME] = {take_name, "name"},
    [WIRE_TAG_PROGRAM] = {take_program, "program"}, [WIRE_TAG_ARG] = {take_arg, "argument"},
    [WIRE_TAG_ENV] = {take_env, "environment"},     [WIRE_TAG_CWD] = {take_cwd, "directory"},
    [WIRE_TAG_DIR] = {take_dir, "own directory"},   [WIRE_TAG_BIND] = {take_bind, "bind"},
    [WIRE_TAG_HIDE] = {take_hide, "hidden path"},   [WIRE_TAG_RLIMIT] = {take_rlimit, "rlimit"},
    [WIRE_TAG_TARGET] = {take_target, "target"},    [WIRE_TAG_FILTER] = {take_filter, "filter"},
};

static bool is_complete(const struct wire_spec *s, const char **why)
{
    *why = "name, program, arguments or numbers are missing";
    return s->name && s->program && s->program[0] == '/' && s->dir && s->n_args > 0 &&
           s->n.uid_count > 0;
}

bool wire_decode(const void *p, size_t len, struct wire_spec *out, const char **why)
{
    const char *at = p;
    struct wire_head h;

    memset(out, 0, sizeof(*out));
    *why = "header";
    if (len < sizeof(h) || len > WIRE_SPEC_MAX)
        return false;
    memcpy(&h, at, sizeof(h));
    if (h.magic != WIRE_MAGIC || h.version != WIRE_VERSION || h.len != len)
        return false;
    for (size_t off = sizeof(h); off < len;) {
        struct wire_record r;

        *why = "record";
        if (len - off < sizeof(r))
            return false;
        memcpy(&r, at + off, sizeof(r));
        off += sizeof(r);
        if (r.tag == 0 || r.tag >= WIRE_TAG_COUNT || r.len > len - off)
            return false;
        *why = tags[r.tag].why;
        if (!tags[r.tag].take(out, at + off, r.len))
            return false;
        off += (r.len + 7u) & ~(size_t)7;
    }
    return is_complete(out, why);
}
