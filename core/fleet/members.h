/* Making the members of a campaign: an identity each, and a forwarder each as its only way out. */
#ifndef CORE_FLEET_MEMBERS_H
#define CORE_FLEET_MEMBERS_H

#include "core/conf/campaign.h"
#include "core/fleet/member.h"

struct forward_opts;
struct gate;
struct keeper;
struct loop;
struct policy;
struct roster;

/** What members are made with. All borrowed, all outlive them. */
struct members_env {
    struct loop *loop;
    const struct campaign_conf *conf;
    const char *state_dir;
    const char *browser_version; /* that identities show */
    struct policy *policy;       /* asked by the forwarders for every connection, */
    struct gate *gate;           /* and so are its breakers */
    struct roster *roster;       /* told of every use; NULL: members go out directly */
    /** The state of a member of the store could not be saved; its task's result stands. May be
     * NULL.
     */
    void (*on_unsaved)(void *arg, const struct member *m, const struct err *e);
    /** Whom the identity `id` rotated to, and when (wall); NULL: it did not. May be NULL. */
    const char *(*next_of)(void *arg, const char *id, uint64_t *since_ms);
    void *arg;
};

struct members {
    struct member **v; /* n pointers */
    size_t n;
    struct member *array;               /* private */
    const struct members_env *env;      /* private */
    struct tls_ctx *tls;                /* private */
    const struct forward_opts *forward; /* private: of all forwarders */
    struct keeper *keeper;              /* private; NULL: they are not of the store */
    const char *seed;                   /* private; NULL: they are of the store */
};

/** Identities live in `a`; with members.store they are leased there until members_destroy. On
 * failure nothing is left open. */
must_check enum status members_create(struct arena *a, const struct members_env *env,
                                      struct members *out, struct err *e);
/** The identity of member `index` after so many rotations; `country` as in identity_params. In `a`.
 */
must_check enum status members_identity(const struct members *all, struct arena *a, uint32_t index,
                                        uint32_t rotations, const struct identity **out,
                                        struct err *e);
/** Closes forwarders and frees cookie jars. No request may be under way. */
void members_destroy(struct members *m);

#endif
