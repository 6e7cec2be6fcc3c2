#include "core/api/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "core/base/file.h"

enum { BACKLOG = 512, SOCKET_MODE = 0600 };

/* --- Unix --- */

/* The address of a socket at `path`, also when that is longer than an address holds: then it goes
 * through /proc/self/fd and *dir_fd is open (to be closed after bind or connect), otherwise -1. */
static enum status unix_address(const char *path, struct sockaddr_un *out, int *dir_fd,
                                struct err *e)
{
    cleanup_free char *dir = NULL;
    const char *base = strrchr(path, '/');
    int n;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    *dir_fd = -1;
    if (strlen(path) < sizeof(out->sun_path)) {
        snprintf(out->sun_path, sizeof(out->sun_path), "%s", path);
        return STATUS_OK;
    }
    dir = file_dirname(path);
    base = base ? base + 1 : path;
    *dir_fd = open(dir[0] ? dir : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*dir_fd < 0)
        return err_set_errno(e, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, errno, "%s", dir);
    n = snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", *dir_fd, base);
    if (n >= 0 && (size_t)n < sizeof(out->sun_path))
        return STATUS_OK;
    close(steal_fd(dir_fd));
    return err_set(e, STATUS_INVALID, "%s: the name of the socket is too long", path);
}

enum status unix_connect(const char *path, int *fd, pid_t *pid, struct err *e)
{
    struct sockaddr_un sa;
    struct ucred peer = {0};
    socklen_t len = sizeof(peer);
    cleanup_fd int dir = -1, s = -1;
    enum status st = unix_address(path, &sa, &dir, e);

    *fd = -1;
    if (st != STATUS_OK)
        return st;
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        return err_set_errno(e, STATUS_IO, errno, "socket");
    if (connect(s, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
        int errnum = errno;

        st = errnum == ENOENT         ? STATUS_NOT_FOUND
             : errnum == ECONNREFUSED ? STATUS_UNAVAILABLE
                                      : STATUS_IO;
        return err_set_errno(e, st, errnum, "%s", path);
    }
    if (pid)
        *pid = getsockopt(s, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.pid : 0;
    *fd = steal_fd(&s);
    return STATUS_OK;
}

/* What is at the path already: OK when it may be bound. */
static enum status make_room(const char *path, struct err *e)
{
    struct err why = ERR_INIT;
    struct stat sb;
    pid_t pid = 0;
    int fd;

    if (lstat(path, &sb) != 0)
        return errno == ENOENT ? STATUS_OK : err_set_errno(e, STATUS_IO, errno, "%s", path);
    if (!S_ISSOCK(sb.st_mode))
        return err_set(e, STATUS_EXISTS, "%s: found something that is not a socket", path);
    if (unix_connect(path, &fd, &pid, &why) == STATUS_OK) {
        close(fd);
        return err_set(e, STATUS_BUSY, "%s is in use by process %d", path, (int)pid);
    }
    if (why.status != STATUS_UNAVAILABLE) {
        if (e)
            *e = why;
        return why.status;
    }
    if (unlink(path) != 0 && errno != ENOENT)
        return err_set_errno(e, STATUS_IO, errno, "remove the stale socket %s", path);
    return STATUS_OK;
}

enum status listener_open_unix(const char *path, struct listener *out, struct err *e)
{
    struct sockaddr_un sa;
    struct stat sb;
    cleanup_fd int dir = -1, fd = -1;
    enum status st = make_room(path, e);

    *out = (struct listener){.fd = -1};
    if (st == STATUS_OK)
        st = unix_address(path, &sa, &dir, e);
    if (st != STATUS_OK)
        return st;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(e, STATUS_IO, errno, "socket");
    /* before bind, so that there is no moment in which others may connect */
    if (fchmod(fd, SOCKET_MODE) != 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        listen(fd, BACKLOG) != 0)
        return err_set_errno(e,
                             errno == EADDRINUSE ? STATUS_BUSY
                             : errno == ENOENT   ? STATUS_NOT_FOUND
                                                 : STATUS_IO,
                             errno, "listen on %s", path);
    if (lstat(path, &sb) != 0)
        return err_set_errno(e, STATUS_IO, errno, "%s", path);
    out->dev = sb.st_dev;
    out->ino = sb.st_ino;
    out->path = xstrdup(path);
    out->fd = steal_fd(&fd);
    return STATUS_OK;
}

/* --- TCP --- */

union address {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t parse_address(const char *host, uint16_t port, union address *out)
{
    *out = (union address){.v6 = {0}};
    if (inet_pton(AF_INET, host, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return sizeof(out->v4);
    }
    if (inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return sizeof(out->v6);
    }
    return 0;
}

enum status listener_open_tcp(const char *host, uint16_t port, struct listener *out, struct err *e)
{
    union address a;
    socklen_t len = parse_address(host, port, &a), got = sizeof(a);
    cleanup_fd int fd = -1;
    int one = 1;

    *out = (struct listener){.fd = -1};
    if (len == 0)
        return err_set(e, STATUS_INVALID, "found \"%s\", expected an address such as 127.0.0.1",
                       host);
    fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set_errno(e, STATUS_IO, errno, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    /* What it accepts has it, too. Without it the second message of a burst waits for the peer's
     * delayed acknowledgement of the first: 40 ms. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (bind(fd, &a.sa, len) != 0 || listen(fd, BACKLOG) != 0 || getsockname(fd, &a.sa, &got) != 0)
        return err_set_errno(e,
                             errno == EADDRINUSE      ? STATUS_BUSY
                             : errno == EADDRNOTAVAIL ? STATUS_INVALID
                                                      : STATUS_IO,
                             errno, "listen on %s port %u", host, port);
    out->port = ntohs(a.sa.sa_family == AF_INET ? a.v4.sin_port : a.v6.sin6_port);
    out->fd = steal_fd(&fd);
    return STATUS_OK;
}

void listener_close(struct listener *l)
{
    struct stat sb;

    if (l->fd >= 0)
        close(steal_fd(&l->fd));
    if (l->path && lstat(l->path, &sb) == 0 && sb.st_dev == l->dev && sb.st_ino == l->ino)
        (void)unlink(l->path);
    free(l->path);
    l->path = NULL;
}
