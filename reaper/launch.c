/* From a spec to a request: checked, encoded, its filter compiled, a death pipe made, and all of it
 * sent in one datagram. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "core/base/file.h"
#include "reaper/reaper_internal.h"
#include "reaper/spec.h"

static enum filter_kind filter_of(const struct reaper_spec *s)
{
    if (s->kind != REAPER_BROWSER)
        return FILTER_PROGRAM;
    return s->sandbox == REAPER_SANDBOX_OFF ? FILTER_BROWSER_NO_SANDBOX : FILTER_BROWSER;
}

/* Compiled at its first use, once for all members. */
static enum status get_filter(struct reaper *r, const struct reaper_spec *s, struct str *out,
                              struct err *e)
{
    enum filter_kind k = filter_of(s);
    struct buf *b = &r->filters[k];

    *out = STR_NONE;
    if (((r->without | s->without) & REAPER_LAYER_BIT(REAPER_LAYER_SECCOMP)) != 0)
        return STATUS_OK;
    if (b->len == 0) {
        enum status st = filter_compile(k, b, e);

        if (st != STATUS_OK)
            return st;
    }
    *out = buf_str(b);
    return STATUS_OK;
}

/* FLEET_REAPER_FAIL="n:errno" (builds with FLEET_FAULTS): the n-th checked call of each launch
 * fails. */
static void read_fault(struct spec_extra *x)
{
#ifdef FLEET_FAULTS
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    struct str rest = str_from(getenv("FLEET_REAPER_FAIL"));
    struct str at = str_cut(&rest, ':');
    uint64_t n, errnum;

    if (str_to_u64(at, UINT32_MAX, &n) && str_to_u64(rest, 4095, &errnum)) {
        x->fail_at = (uint32_t)n;
        x->fail_errno = (uint32_t)errnum;
    }
#else
    (void)x;
#endif
}

static enum status encode(struct reaper *r, const struct reaper_spec *s, int *memfd, struct err *e)
{
    struct spec_extra x = {.run_dir = r->run_dir,
                           .without = r->without,
                           .uid_base = r->uid_base,
                           .uid_count = r->uid_count,
                           .uid_hint = r->next_id};
    struct buf b = BUF_INIT(REAPER_SPEC_MAX);
    enum status st = get_filter(r, s, &x.filter, e);

    read_fault(&x);
    if (st == STATUS_OK)
        st = spec_encode(s, &x, &b, e);
    if (st == STATUS_OK) {
        *memfd = memfd_create("fleet-spec", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (*memfd < 0)
            st = err_set_errno(e, STATUS_ENVIRONMENT, errno, "launch %s: memfd_create", s->name);
    }
    if (st == STATUS_OK)
        st = file_write_all(*memfd, b.ptr, b.len, "the specification", e);
    if (st == STATUS_OK)
        (void)fcntl(*memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    buf_deinit(&b);
    return st;
}

/* Our end tells who sends: so the kernel translates the program's pid from its namespace to ours.
 */
static enum status make_death_pipe(const struct reaper_spec *s, int *ours, int *theirs,
                                   struct err *e)
{
    int pair[2], on = 1;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "launch %s: socketpair", s->name);
    *ours = pair[0];
    *theirs = pair[1];
    if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "launch %s: SO_PASSCRED", s->name);
    return STATUS_OK;
}

static enum status send_launch(struct reaper *r, const struct reaper_spec *s, uint32_t id,
                               int theirs, int memfd, struct err *e)
{
    struct wire_launch m = {
        .type = WIRE_LAUNCH, .id = id, .has_stderr = s->stderr_fd > 0, .n_fds = (uint32_t)s->n_fds};
    int fds[REAPER_FDS_ROOM];
    size_t n = 0;

    fds[n++] = theirs;
    fds[n++] = memfd;
    if (s->stderr_fd > 0)
        fds[n++] = s->stderr_fd;
    for (size_t i = 0; i < s->n_fds; i++)
        fds[n++] = s->fds[i].fd;
    if (wire_send(r->sock, &m, sizeof(m), fds, n) == 0)
        return STATUS_OK;
    if (errno == EBADF)
        return err_set(e, STATUS_INVALID, "launch %s: fds: a descriptor is not open", s->name);
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
        return err_set_errno(e, STATUS_BUSY, errno, "launch %s: too many launches at once",
                             s->name);
    return err_set_errno(e, STATUS_UNAVAILABLE, errno, "launch %s: fleet-reaper", s->name);
}

enum status reaper_launch(struct reaper *r, const struct reaper_spec *spec,
                          const struct reaper_callbacks *cb, struct reaper_child **out,
                          struct err *e)
{
    cleanup_fd int ours = -1;
    cleanup_fd int theirs = -1;
    cleanup_fd int memfd = -1;
    struct reaper_child *c;
    enum status st;

    *out = NULL;
    if (r->stopping)
        return err_set(e, STATUS_SHUTTING_DOWN, "launch %s: the reaper is being stopped",
                       spec->name ? spec->name : "");
    st = spec_check(spec, e);
    if (st != STATUS_OK)
        return err_prefix(e, "launch %s", spec->name ? spec->name : "");
    if (r->sock < 0 && reaper_start_spawner(r, e) != STATUS_OK) {
        err_prefix(e, "launch %s", spec->name);
        if (e)
            e->status = STATUS_UNAVAILABLE;
        return STATUS_UNAVAILABLE;
    }
    st = encode(r, spec, &memfd, e);
    if (st == STATUS_OK)
        st = make_death_pipe(spec, &ours, &theirs, e);
    if (st == STATUS_OK)
        st = send_launch(r, spec, r->next_id, theirs, memfd, e);
    if (st != STATUS_OK)
        return st;
    c = child_create(r, spec, cb, &ours);
    st = child_watch(c, e);
    if (st != STATUS_OK)
        return st;
    *out = c;
    return STATUS_OK;
}
