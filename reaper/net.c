#include "reaper/net.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/attr.h"

enum { LISTEN_BACKLOG = 1024 }; /* the controller may be busy; net.core.somaxconn caps it */

bool net_loopback_up(struct report *r)
{
    cleanup_fd int s = -1;
    struct ifreq q = {.ifr_name = "lo"};

    if (!TRY(r, STEP_LOOPBACK, NULL, s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)))
        return false;
    if (!TRY(r, STEP_LOOPBACK, NULL, ioctl(s, SIOCGIFFLAGS, &q)))
        return false;
    q.ifr_flags = (short)(q.ifr_flags | IFF_UP | IFF_RUNNING);
    return TRY(r, STEP_LOOPBACK, NULL, ioctl(s, SIOCSIFFLAGS, &q));
}

static bool listen_one(struct report *r, unsigned port, int *out)
{
    cleanup_fd int s = -1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    char name[32];

    snprintf(name, sizeof(name), "port %u", port);
    a.sin_addr.s_addr = htonl(INADDR_ANY); /* there is nothing but loopback */
    if (!TRY(r, STEP_LISTEN, name,
             s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) ||
        !TRY(r, STEP_LISTEN, name, bind(s, (const struct sockaddr *)(const void *)&a, sizeof(a))) ||
        !TRY(r, STEP_LISTEN, name, listen(s, LISTEN_BACKLOG)))
        return false;
    *out = steal_fd(&s);
    return true;
}

bool net_listen(struct report *r, unsigned first_port, unsigned n, int *fds)
{
    for (unsigned i = 0; i < n; i++)
        if (!listen_one(r, first_port + i, &fds[i]))
            return false;
    return true;
}
