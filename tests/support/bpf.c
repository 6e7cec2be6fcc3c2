#include "tests/support/bpf.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/attr.h"

bool bpf_run(const struct sock_filter *p, size_t n, const struct seccomp_data *d, uint32_t *out)
{
    uint32_t a = 0;

    for (size_t pc = 0; pc < n; pc++) {
        const struct sock_filter *i = &p[pc];

        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            memcpy(&a, (const char *)d + i->k, sizeof a);
            break;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            break;
        case BPF_JMP | BPF_JA:
            pc += i->k;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += a == i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            pc += a > i->k ? i->jt : i->jf;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            pc += a >= i->k ? i->jt : i->jf;
            break;
        case BPF_RET | BPF_K:
            *out = i->k;
            return true;
        default:
            return false;
        }
    }
    return false;
}

/* --- the observer --- */

enum { DENIALS_MAX = 256, TICK_MS = 20, ARG_MAX_SHOWN = 0x10000 };

struct denial {
    int nr;
    int32_t arg, error;
    unsigned count;
};

static struct {
    struct denial v[DENIALS_MAX];
    size_t n;
} denials;

static void count(const struct seccomp_data *d, int error)
{
    int32_t arg = d->args[0] < ARG_MAX_SHOWN ? (int32_t)d->args[0] : -1; /* -1: a pointer */
    struct denial *x = denials.v;

    while (x < denials.v + denials.n && (x->nr != d->nr || x->arg != arg || x->error != error))
        x++;
    if (x == denials.v + DENIALS_MAX)
        return;
    if (x == denials.v + denials.n) {
        *x = (struct denial){d->nr, arg, error, 0};
        denials.n++;
    }
    x->count++;
}

static void send_fd(int sock, int fd)
{
    union {
        char room[CMSG_SPACE(sizeof fd)];
        struct cmsghdr align;
    } u = {.room = {0}};
    char byte = 0;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.room, .msg_controllen = sizeof u.room};

    u.align = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.align), &fd, sizeof fd);
    if (sendmsg(sock, &m, 0) != 1)
        _exit(120);
}

static int receive_fd(int sock)
{
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } u = {.room = {0}};
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.room, .msg_controllen = sizeof u.room};
    int fd = -1;

    if (recvmsg(sock, &m, MSG_CMSG_CLOEXEC) != 1 || m.msg_controllen == 0)
        _exit(121);
    memcpy(&fd, CMSG_DATA(&u.align), sizeof fd);
    return fd;
}

/* Refusals become questions. */
static _Noreturn void run_asking(const struct sock_filter *p, size_t n, char *const *argv, int sock)
{
    struct sock_filter *asking = calloc(n, sizeof *asking);
    struct sock_fprog prog = {.len = (unsigned short)n, .filter = asking};
    long fd;

    for (size_t i = 0; asking && i < n; i++) {
        asking[i] = p[i];
        if (p[i].code == (BPF_RET | BPF_K) &&
            (p[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_ERRNO)
            asking[i].k = SECCOMP_RET_USER_NOTIF;
    }
    fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
    if (fd < 0)
        _exit(122);
    send_fd(sock, (int)fd);
    close((int)fd);
    close(sock);
    execv(argv[0], argv);
    _exit(123);
}

static void answer(int listener, const struct sock_filter *p, size_t n)
{
    struct seccomp_notif q = {0};
    struct seccomp_notif_resp r = {0};
    uint32_t action = 0;
    int error;

    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &q) != 0)
        return;
    error = bpf_run(p, n, &q.data, &action) ? (int)(action & SECCOMP_RET_DATA) : ENOSYS;
    count(&q.data, error);
    r.id = q.id;
    r.error = -error;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r) != 0 && errno != ENOENT)
        _exit(124); /* ENOENT: it was killed meanwhile */
}

_Noreturn void bpf_observe(const struct sock_filter *p, size_t n, char *const *argv, int fd)
{
    int pair[2], status = 0, listener;
    struct pollfd wait;
    pid_t program;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 || (program = fork()) < 0)
        _exit(125);
    if (program == 0)
        run_asking(p, n, argv, pair[1]);
    close(pair[1]);
    close(3); /* the program's pipes: their ends are to be seen */
    close(4);
    listener = receive_fd(pair[0]);
    wait = (struct pollfd){.fd = listener, .events = POLLIN};
    while (waitpid(program, &status, WNOHANG) == 0)
        if (poll(&wait, 1, TICK_MS) == 1 && (wait.revents & POLLIN) != 0)
            answer(listener, p, n);
    for (size_t i = 0; i < denials.n; i++)
        dprintf(fd, "denied %d %d %d %u\n", denials.v[i].nr, denials.v[i].arg, denials.v[i].error,
                denials.v[i].count);
    dprintf(fd, "observed all\n");
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 126);
}
