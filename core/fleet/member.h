/* A member: an identity enrolled in a fleet, with its own way out. Made by the campaign at start,
 * lives as long as it. Loop thread. */
#ifndef CORE_FLEET_MEMBER_H
#define CORE_FLEET_MEMBER_H

#include <stdint.h>

#include "core/base/err.h"
#include "core/base/list.h"
#include "fingerprints/identity.h"

struct forward;
struct keep;
struct proxy;

enum member_hit { HIT_429 = 1, HIT_403 = 2, HIT_CAPTCHA = 4 };

struct member {
    uint32_t index; /* 0..N-1 */
    const struct identity *identity;
    /** Its way out; owned by the campaign, never NULL while the campaign runs. */
    struct forward *forward;
    uint16_t forward_port;     /* without a forwarder (tests): a proxy on 127.0.0.1; 0: none */
    uint32_t http_door;        /* core/http's name for its connections; 0: none yet */
    const struct proxy *proxy; /* the upstream in force; NULL: none configured, direct */
    char proxy_id[64];         /* "" when direct: what receipts show */
    bool rotate_next;       /* a reputation hit: the gate picks another proxy before the next op */
    enum status rotate_why; /* the hit, while rotate_next */
    unsigned hits;          /* reputation hits since its identity began: enum member_hit */
    bool pick_next;         /* a new task begins: rosters that are not sticky choose again */
    bool busy;              /* a slot runs it now */
    uint64_t last_used_ms;  /* monotonic, for round robin among idle members */
    struct list idle_link;  /* the scheduler's */
    bool rotate_asked;      /* somebody asked for another identity: after its task (rotate.h) */
    uint32_t n_rotations;   /* of its identity, so far */
    uint32_t n_tasks;       /* attempts that its identity began */
    uint64_t since_ms;      /* wall: when its identity began */
    struct arena *own, *own_before; /* of identities it rotated to: this one and the one before */
    struct keep *keep; /* of the identity store; NULL: nothing of it is saved (keep.h) */
    void *jar;         /* core/http's cookie jar; NULL until first use */
};

#endif
