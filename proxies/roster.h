/* Which proxy a member goes out by, and which proxies are fit to be chosen. Decisions only: no
 * clock, no socket, no random number; the same calls with the same `now_ms` (monotonic) give the
 * same answers. Loop thread.
 *
 *            max_failures in a row, refused credentials, or max_demerits
 *      READY ------------------------------------------------------------> COOLING   (cooldown_ms,
 * doubled each time, at most 32 times as long) ^ \ | time passes |   <----------------------- one
 * success ------------------------ PROBATION  (chosen like READY; one failure and it cools again)
 *
 * Nothing healthy: PROXY_NONE, and when the next one comes back. The roster never answers "direct".
 */
#ifndef PROXIES_ROSTER_H
#define PROXIES_ROSTER_H

#include <stdint.h>

#include "core/base/err.h"
#include "proxies/proxy.h"

enum roster_pick {
    ROSTER_ROUND_ROBIN, /* next healthy one in list order at each pick */
    ROSTER_STICKY, /* a member keeps its proxy until it is rotated or its proxy cools; the first is
                      chosen by weighted rendezvous hashing of member and id, so a restart and a
                      changed list keep most members where they were */
    ROSTER_LEAST_RECENTLY_USED, /* the healthy one whose last pick is longest ago */
    ROSTER_WEIGHTED, /* in proportion to the weights, evenly spread (smooth weighted round robin) */
    ROSTER_PICK_COUNT
};
/** "round-robin", "sticky", "least-recently-used", "weighted"; NULL-terminated: for JK_ENUM. Index
 * is enum roster_pick. */
extern const char *const roster_pick_names[ROSTER_PICK_COUNT + 1];

struct roster_opts {
    enum roster_pick pick;
    uint32_t max_failures;     /* failures in a row until it cools, >= 1 */
    uint64_t cooldown_ms;      /* the first time; > 0 */
    uint32_t max_demerits;     /* points until it cools, >= 1 */
    uint64_t demerit_decay_ms; /* one point is forgiven each so often; > 0 */
    bool probed; /* what has cooled is not chosen before roster_report says OK of it: somebody
                    probes what is in PROBATION (prober.h) */
};
#define ROSTER_OPTS_INIT                                                                           \
    {                                                                                              \
        .pick = ROSTER_ROUND_ROBIN, .max_failures = 3, .cooldown_ms = 60000, .max_demerits = 6,    \
        .demerit_decay_ms = 120000                                                                 \
    }

enum roster_state { ROSTER_READY, ROSTER_PROBATION, ROSTER_COOLING, ROSTER_STATE_COUNT };
const char *roster_state_name(enum roster_state s); /* "ready", "probation", "cooling" */

struct roster;

/** Takes a reference to each of the n proxies (n may be 0). Their ids must differ (proxy_list_parse
 * sees to it). Never NULL. */
struct roster *roster_create(const struct roster_opts *opts, struct proxy *const *v,
                             size_t n) must_check;
void roster_destroy(struct roster **r);

/** The proxy for the member's next op or task. `member` is the caller's stable key of the member;
 * `country` NULL or "": any. *out is borrowed from the roster: take a reference to keep it. After
 * roster_rotate or a demerit it is not the one the member had, as long as there is another healthy
 * one. PROXY_NONE when none is healthy (or the pool or the country is empty): the sentence says why
 * and when the next comes back, roster_next_ms as a number. *out is then NULL. */
must_check enum status roster_pick(struct roster *r, uint64_t member, const char *country,
                                   uint64_t now_ms, struct proxy **out, struct err *e);
/** The country where the member goes out, as far as it is known before its first pick: the one that
 * all proxies name, or with ROSTER_STICKY that of the member's own while all are fit. Changes
 * nothing. "" when it is not known; borrowed from the roster. */
const char *roster_home(const struct roster *r, uint64_t member);
/** When the first of the cooling ones (of that country) is fit again: absolute, on the scale of
 * now_ms; now_ms when one is fit already; UINT64_MAX when there is nothing to wait for. */
uint64_t roster_next_ms(const struct roster *r, const char *country, uint64_t now_ms);
/** The member's next pick is to be another proxy. */
void roster_rotate(struct roster *r, uint64_t member);
/** Forgets what the roster knew of a member that is gone. */
void roster_forget(struct roster *r, uint64_t member);

/** What a use of the proxy came to; feed forward's on_upstream_result here. OK clears failures;
 * PROXY_AUTH cools at once; PROXY_FAILED, TIMEOUT, PROTOCOL and CLOSED are a failure; UNAVAILABLE
 * (the proxy answered that it could not reach the target) is a third of one, since the target may
 * be to blame; other statuses say nothing about the proxy and are only counted. Unknown ids are
 * ignored. */
void roster_report(struct roster *r, const char *id, enum status s, uint64_t latency_ms,
                   uint64_t now_ms);
/** The target held something against this member's way out: HTTP_429 1 point, HTTP_403 2,
 * CAPTCHA_DETECTED 3; other statuses none. Also rotates the member for its next pick. */
void roster_demerit(struct roster *r, uint64_t member, const char *id, enum status s,
                    uint64_t now_ms);
/** Counts bytes received from and sent to the proxy. */
void roster_bytes(struct roster *r, const char *id, uint64_t in, uint64_t out);

/** One line of `fleet proxy list` and of the status. Strings borrowed from the roster. */
struct roster_info {
    const char *id, *label, *country;
    uint32_t weight;
    enum roster_state state;
    uint64_t back_in_ms;      /* 0 unless COOLING */
    uint32_t failures;        /* in a row, rounded up */
    uint32_t demerits;        /* points left */
    enum status last_failure; /* OK when it never failed */
    uint64_t picks, ok, failed, cooldowns, hits_429, hits_403, hits_captcha;
    uint64_t latency_ms; /* smoothed, 1/8 of each new sample; 0: none yet */
    uint64_t bytes_in, bytes_out;
};
size_t roster_len(const struct roster *r);
/** i < roster_len, in list order. */
void roster_info(const struct roster *r, size_t i, uint64_t now_ms, struct roster_info *out);
/** Not cooling. False for an id that is not there. */
bool roster_is_fit(const struct roster *r, const char *id, uint64_t now_ms);
/** Borrowed; NULL when there is none. */
struct proxy *roster_find(const struct roster *r, const char *id);

#endif
