/* Whose the other end of a connection on this machine is. By sock_diag(7) in some 10 us; where the
 * kernel has none, by the table of all sockets: /proc/net/tcp takes 7 ms and more, as the kernel
 * walks through all of its hash table however few sockets there are. */
#ifndef BROWSER_CHROMIUM_PEER_H
#define BROWSER_CHROMIUM_PEER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/str.h"

struct sockaddr_in;

/** What was learnt about the kernel; zeroed at first. */
struct peers {
    bool diag;
};

/** The uid that owns the socket bound to `peer` and connected to `local` (IPv4, TCP, our network
 * namespace); false when there is none, or it is closed already. */
must_check bool peer_uid(struct peers *p, const struct sockaddr_in *peer,
                         const struct sockaddr_in *local, uid_t *out);
/** The same from the text of /proc/net/tcp. Pure. */
must_check bool peer_find_uid(struct str table, const struct sockaddr_in *peer,
                              const struct sockaddr_in *local, uid_t *out);

#endif
