/* What a member may do: allow and deny lists of hosts, private networks, capability tags, a hook
 * program. Decisions carry their reason. */
#ifndef CORE_GUARD_POLICY_H
#define CORE_GUARD_POLICY_H

#include "core/base/err.h"
#include "core/base/json.h"
#include "core/base/url.h"

struct policy;

enum policy_private { POLICY_PRIVATE_LISTED, POLICY_PRIVATE_NO, POLICY_PRIVATE_YES };

struct policy_conf {
    struct json_strs allow; /* host patterns with `*`; empty: every host */
    struct json_strs deny;  /* outranks allow */
    /** What the campaign may do. Key absent: everything. Otherwise only what is named: "fleet:op":
     * run ops at all; "target:<host>": visit hosts of this pattern; "fleet:policy": change the
     * policy. */
    struct json_strs tags;
    bool has_tags;
    struct json_strs hook; /* program and arguments (hook.h); empty: none */
    uint32_t hook_ms;      /* deadline of its answers; 0: HOOK_TIMEOUT_MS */
    /** Key absent: private addresses only when they are themselves listed as targets. false: never.
     * true: yes. */
    enum policy_private private_networks;
};

struct policy_hook;

must_check enum status policy_create(const struct policy_conf *c, struct policy **out,
                                     struct err *e);
void policy_destroy(struct policy **p);
/** A host of the campaign's target list (POLICY_PRIVATE_LISTED). */
void policy_list_target(struct policy *p, struct str host);
/** OK or POLICY_DENIED with the rule in the sentence. `op` is the op's name; host "" for ops
 * without target. */
must_check enum status policy_check(const struct policy *p, struct str op, struct str host,
                                    struct err *e);
/** OK when "fleet:policy" is granted: asked by whoever changes the policy of a running campaign. */
must_check enum status policy_check_change(const struct policy *p, struct err *e);
/** The hook is the policy's from now on; NULL: none. policy_check does not ask it: the gate
 * does. */
void policy_take_hook(struct policy *p, struct policy_hook *h);
struct policy_hook *policy_hook(const struct policy *p);
/** For the forwarder: a host, and once it is resolved its address (NULL before): rebinding of a
 * public name to a private address is denied. */
must_check enum status policy_check_connect(const struct policy *p, struct str host, uint16_t port,
                                            const struct sockaddr *resolved, struct err *e);

#endif
