#include "proxies/wire.h"

#include <errno.h>
#include <sys/socket.h>

ssize_t wire_read(struct wire *w, void *p, size_t n)
{
    ssize_t got;

    if (w->tls) {
        got = tls_read(w->tls, p, n);
        w->read_wants_write = got == TLS_WANT_WRITE;
        if (got >= 0)
            return got;
        return got == TLS_ERROR ? WIRE_ERROR : WIRE_AGAIN;
    }
    do
        got = recv(w->fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    if (got >= 0)
        return got;
    return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_ERROR;
}

ssize_t wire_write(struct wire *w, const void *p, size_t n)
{
    ssize_t put;

    if (w->tls) {
        put = tls_write(w->tls, p, n);
        w->write_wants_read = put == TLS_WANT_READ;
        if (put >= 0)
            return put;
        return put == TLS_ERROR ? WIRE_ERROR : WIRE_AGAIN;
    }
    do
        put = send(w->fd, p, n, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    if (put >= 0)
        return put;
    return errno == EAGAIN || errno == EWOULDBLOCK ? WIRE_AGAIN : WIRE_ERROR;
}

void wire_shutdown(struct wire *w)
{
    if (w->tls)
        tls_shutdown(w->tls);
    shutdown(w->fd, SHUT_WR);
}

void wire_close(struct wire *w, bool reset)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int fd = steal_fd(&w->fd);

    tls_close(&w->tls);
    if (fd < 0)
        return;
    if (reset)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
}

bool wire_is_quiet(const struct wire *w)
{
    char c;

    if (w->fd < 0 || wire_has_pending(w))
        return false;
    return recv(w->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}
