/* The door of an instance: where the connections of its members come in, each to be led to the
 * forwarder of the member that it belongs to. Which member that is, is told by the address that was
 * connected to: 127.128.0.0 + index is member number `index`, whatever instance it is on.
 *
 *   inside    the instance is in a network namespace with loopback alone, where one socket listens
 *             on all of 127.0.0.0/8: there is no other way out, and nobody outside can reach it
 *   outside   no namespace can be had: a listener for each member, which every user of the machine
 *             can reach. The peer's uid is looked up (peer.h) and must be the browser's
 *
 * Members must have forwarders (member.h), which outlive the door. Loop thread only. */
#ifndef BROWSER_CHROMIUM_DOOR_H
#define BROWSER_CHROMIUM_DOOR_H

#include <sys/types.h>

#include "core/base/loop.h"
#include "core/fleet/member.h"

struct door;

enum {
    DOOR_PORT = 3128,           /* inside */
    DOOR_MEMBERS_MAX = 1 << 23, /* 127.128.0.0 to 127.255.255.255 */
    DOOR_PROXY_MAX = 40,
};

struct door *door_create(struct loop *l, bool inside);
/** Inside: the listening socket that was passed out; taken over, also on failure. */
must_check enum status door_listen(struct door *d, int fd, struct err *e);
/** Outside: the browser's uid; before that nobody is let in. */
void door_admit(struct door *d, uid_t uid);
/** "http://127.128.0.7:3128" for member 7, who may come in from now on. Outside, its listener is
 * made the first time: IO says what failed. INVALID: an index past DOOR_MEMBERS_MAX. */
must_check enum status door_proxy(struct door *d, struct member *m, char out[DOOR_PROXY_MAX],
                                  struct err *e);
/** Connections that are open go on. Sets *d to NULL; NULL is fine. */
void door_destroy(struct door **d);

#endif
