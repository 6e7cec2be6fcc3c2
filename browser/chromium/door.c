#include "browser/chromium/door.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "browser/chromium/peer.h"
#include "core/base/log.h"
#include "core/base/map.h"
#include "proxies/forward.h"

enum {
    FIRST = 0x7f800000, /* 127.128.0.0 */
    BACKLOG = 1024,
    ACCEPTS_A_TURN = 64,
    RETRY_MS = 100,
};

struct door {
    struct loop *loop;
    bool inside, admits;
    uid_t uid;
    struct peers peers;
    struct map *entries; /* index -> struct entry */
    struct list listening;
    struct loop_timer retry; /* after accept ran out of descriptors */
    uint64_t refused;
};

/* A member; and a socket that listens, for it alone (outside) or for all of them (inside). */
struct entry {
    struct member *member;
    struct listener *own;
};

struct listener {
    struct list link;
    struct door *door;
    int fd;
    uint16_t port;
    struct loop_watch *watch;
};

/* --- coming in --- */

static struct entry *entry_of(const struct door *d, const struct sockaddr_in *local)
{
    uint32_t ip = ntohl(local->sin_addr.s_addr);

    return ip < FIRST || ip >> 24 != 127 ? NULL : map_find_u64(d->entries, ip - FIRST);
}

static void refuse(struct door *d, int fd, const struct sockaddr_in *local, const char *why)
{
    static const struct linger at_once = {.l_onoff = 1};
    char address[INET_ADDRSTRLEN] = "";

    inet_ntop(AF_INET, &local->sin_addr, address, sizeof address);
    d->refused++;
    log_warn(NULL, "door.refused", LOG_STR("address", address), LOG_STR("why", why));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static bool is_browser(struct door *d, const struct sockaddr_in *peer,
                       const struct sockaddr_in *local)
{
    uid_t uid = 0;

    return d->admits && peer_uid(&d->peers, peer, local, &uid) && uid == d->uid;
}

static void admit(struct door *d, int fd, const struct sockaddr_in *peer)
{
    struct sockaddr_in local = {0};
    socklen_t len = sizeof local;
    struct entry *en = NULL;

    if (getsockname(fd, (struct sockaddr *)(void *)&local, &len) == 0 &&
        local.sin_family == AF_INET)
        en = entry_of(d, &local);
    if (en == NULL || en->member->forward == NULL)
        refuse(d, fd, &local, "no member's");
    else if (!d->inside && !is_browser(d, peer, &local))
        refuse(d, fd, &local, "of another user");
    else
        (void)forward_adopt(en->member->forward, fd);
}

static void wait_all(struct door *d, int events)
{
    list_for_each (l, &d->listening)
        loop_watch_set(list_entry(l, struct listener, link)->watch, events);
}

static void on_retry(struct loop_timer *t)
{
    wait_all(container_of(t, struct door, retry), LOOP_READ);
}

static bool is_passing(int err)
{
    return err == EINTR || err == ECONNABORTED || err == EPROTO || err == EPERM;
}

static void on_accept(void *arg, int fd, int events)
{
    struct listener *l = arg;
    struct door *d = l->door;

    (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        struct sockaddr_in peer = {0};
        socklen_t len = sizeof peer;
        int c = accept4(fd, (struct sockaddr *)(void *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (c >= 0) {
            admit(d, c, &peer);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (!is_passing(errno)) { /* out of descriptors or memory: later */
            wait_all(d, 0);
            loop_timer_start(d->loop, &d->retry, RETRY_MS, on_retry);
            return;
        }
    }
}

/* --- listening --- */

static enum status listener_add(struct door *d, int fd, struct listener **out, struct err *e)
{
    struct listener *l = xcalloc(1, sizeof *l);
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    int events = d->inside || d->admits ? LOOP_READ : 0;
    enum status s = loop_watch_open(d->loop, fd, events, on_accept, l, &l->watch, e);

    if (s != STATUS_OK) {
        close(fd);
        free(l);
        return s;
    }
    (void)getsockname(fd, (struct sockaddr *)(void *)&a, &len);
    l->port = ntohs(a.sin_port);
    l->door = d;
    l->fd = fd;
    list_init(&l->link);
    list_push(&d->listening, &l->link);
    *out = l;
    return STATUS_OK;
}

enum status door_listen(struct door *d, int fd, struct err *e)
{
    struct listener *l;

    return listener_add(d, fd, &l, e);
}

static enum status listen_outside(struct door *d, uint32_t ip, struct listener **out, struct err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
    cleanup_fd int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set_errno(e, STATUS_IO, errno, "the member's listener: socket");
    if (bind(fd, (const struct sockaddr *)(const void *)&a, sizeof a) != 0)
        return err_set_errno(e, STATUS_IO, errno,
                             "the member's listener: bind an address of "
                             "127.0.0.0/8");
    if (listen(fd, BACKLOG) != 0)
        return err_set_errno(e, STATUS_IO, errno, "the member's listener: listen");
    return listener_add(d, steal_fd(&fd), out, e);
}

enum status door_proxy(struct door *d, struct member *m, char out[DOOR_PROXY_MAX], struct err *e)
{
    uint32_t ip = FIRST + m->index;
    struct entry *en = map_find_u64(d->entries, m->index);
    enum status s = STATUS_OK;

    if (m->index >= DOOR_MEMBERS_MAX)
        return err_set(e, STATUS_INVALID, "member %u: expected at most %d members", m->index,
                       DOOR_MEMBERS_MAX);
    if (en == NULL) {
        en = xcalloc(1, sizeof *en);
        map_put_u64(d->entries, m->index, en);
    }
    en->member = m;
    if (!d->inside && en->own == NULL)
        s = listen_outside(d, ip, &en->own, e);
    if (s == STATUS_OK)
        snprintf(out, DOOR_PROXY_MAX, "http://%u.%u.%u.%u:%u", ip >> 24, ip >> 16 & 255,
                 ip >> 8 & 255, ip & 255,
                 en->own != NULL ? (unsigned)en->own->port : (unsigned)DOOR_PORT);
    return s;
}

/* --- life --- */

struct door *door_create(struct loop *l, bool inside)
{
    struct door *d = xcalloc(1, sizeof *d);

    d->loop = l;
    d->inside = inside;
    d->entries = map_create();
    list_init(&d->listening);
    return d;
}

void door_admit(struct door *d, uid_t uid)
{
    d->uid = uid;
    d->admits = true;
    wait_all(d, LOOP_READ);
}

void door_destroy(struct door **dp)
{
    struct door *d = steal_ptr(dp);
    struct list *l;

    if (d == NULL)
        return;
    loop_timer_stop(&d->retry);
    while ((l = list_pop(&d->listening)) != NULL) {
        struct listener *li = list_entry(l, struct listener, link);

        loop_watch_close(&li->watch);
        close(li->fd);
        free(li);
    }
    map_destroy(&d->entries, free);
    free(d);
}
