/* Health is counted in thirds of a failure: a proxy that says "target unreachable" may be right, so
 * that counts one third. A proxy comes back from cooling with all but one of its failures still
 * against it (PROBATION). How long it cools doubles each time, and starts over once it has been fit
 * for as long as it last cooled: one success between two blocks does not wash it clean. */
#include "proxies/roster.h"

#include "core/base/map.h"

enum { THIRDS = 3, LEVEL_MAX = 5, NOBODY = -1 };

struct entry {
    struct proxy *proxy;
    enum roster_state state; /* COOLING also past until_ms, until settle() looks */
    uint64_t until_ms, ready_since_ms, cooled_ms;
    uint32_t level;    /* the next cooling lasts cooldown_ms << level */
    uint32_t thirds;   /* of failures in a row */
    uint32_t demerits; /* as of demerit_ms */
    uint64_t demerit_ms;
    uint64_t last_pick; /* sequence number of the pick, 0: never */
    int64_t credit;     /* smooth weighted round robin */
    uint64_t id_hash;
    struct roster_info count; /* only its counters and last_failure */
};

/* What is known of a member. */
struct seat {
    ptrdiff_t last; /* entry of its last pick, or NOBODY */
    bool rotate;
};

struct roster {
    struct roster_opts opts;
    struct entry *v;
    size_t n, cursor;
    uint64_t picks;
    struct map *ids;   /* id -> entry */
    struct map *seats; /* member -> seat */
};

const char *const roster_pick_names[ROSTER_PICK_COUNT + 1] = {
    "round-robin", "sticky", "least-recently-used", "weighted", NULL,
};

static const char *const state_names[ROSTER_STATE_COUNT] = {"ready", "probation", "cooling"};

const char *roster_state_name(enum roster_state s)
{
    BUG_ON(s >= ROSTER_STATE_COUNT);
    return state_names[s];
}

/* --- life --- */

static uint64_t hash_id(const char *id)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 0x100000001b3u;
    return h;
}

enum { PROBED_MS = 250 }; /* a proxy that is being probed: ask again */

struct roster *roster_create(const struct roster_opts *opts, struct proxy *const *v, size_t n)
{
    struct roster *r = xcalloc(1, sizeof(*r));

    BUG_ON(opts->pick >= ROSTER_PICK_COUNT || !opts->max_failures || !opts->cooldown_ms ||
           !opts->max_demerits || !opts->demerit_decay_ms);
    r->opts = *opts;
    r->v = xcalloc(n ? n : 1, sizeof(*r->v));
    r->n = n;
    r->ids = map_create();
    r->seats = map_create();
    for (size_t i = 0; i < n; i++) {
        r->v[i].proxy = proxy_ref(v[i]);
        r->v[i].id_hash = hash_id(proxy_id(v[i]));
        if (map_put(r->ids, str_from(proxy_id(v[i])), &r->v[i]))
            BUG("two proxies with the id %s", proxy_id(v[i]));
    }
    return r;
}

void roster_destroy(struct roster **rp)
{
    struct roster *r = steal_ptr(rp);

    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        proxy_unref(&r->v[i].proxy);
    map_destroy(&r->ids, NULL);
    map_destroy(&r->seats, free);
    free(r->v);
    free(r);
}

/* --- health --- */

static uint64_t sub_sat(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint32_t demerits_left(const struct roster *r, const struct entry *p, uint64_t now_ms)
{
    uint64_t forgiven = sub_sat(now_ms, p->demerit_ms) / r->opts.demerit_decay_ms;

    return (uint32_t)sub_sat(p->demerits, forgiven);
}

static enum roster_state state_at(const struct entry *p, uint64_t now_ms)
{
    return p->state == ROSTER_COOLING && now_ms >= p->until_ms ? ROSTER_PROBATION : p->state;
}

/* Members may be sent there. */
static bool may_serve(const struct roster *r, const struct entry *p, uint64_t now_ms)
{
    enum roster_state s = state_at(p, now_ms);

    return s == ROSTER_READY || (s == ROSTER_PROBATION && !r->opts.probed);
}

/* Brings the state up to now_ms. */
static void settle(const struct roster *r, struct entry *p, uint64_t now_ms)
{
    if (p->state != ROSTER_COOLING || now_ms < p->until_ms)
        return;
    p->state = ROSTER_PROBATION;
    p->ready_since_ms = p->until_ms;
    p->thirds = THIRDS * (r->opts.max_failures - 1);
    p->credit = 0;
}

static void cool(const struct roster *r, struct entry *p, uint64_t now_ms)
{
    if (p->cooled_ms && sub_sat(now_ms, p->ready_since_ms) >= p->cooled_ms)
        p->level = 0;
    p->cooled_ms = r->opts.cooldown_ms << p->level;
    p->until_ms = now_ms + p->cooled_ms;
    p->state = ROSTER_COOLING;
    p->demerits = 0;
    if (p->level < LEVEL_MAX)
        p->level++;
    p->count.cooldowns++;
}

static void count_failure(const struct roster *r, struct entry *p, enum status s, uint32_t thirds,
                          uint64_t now_ms)
{
    p->count.failed++;
    p->count.last_failure = s;
    if (p->state == ROSTER_COOLING)
        return; /* an attempt that began before it cooled */
    p->thirds += thirds;
    if (p->thirds >= THIRDS * r->opts.max_failures)
        cool(r, p, now_ms);
}

static void count_success(struct entry *p, uint64_t latency_ms)
{
    uint64_t old = p->count.latency_ms;

    p->count.ok++;
    if (latency_ms == 0)
        latency_ms = 1; /* 0 stands for "none yet" */
    p->count.latency_ms = old ? (old * 7 + latency_ms + 4) / 8 : latency_ms;
    if (p->state == ROSTER_COOLING)
        return;
    p->thirds = 0;
    p->state = ROSTER_READY;
}

void roster_report(struct roster *r, const char *id, enum status s, uint64_t latency_ms,
                   uint64_t now_ms)
{
    struct entry *p = map_find(r->ids, str_from(id));

    if (!p)
        return;
    settle(r, p, now_ms);
    switch (s) {
    case STATUS_OK:
        count_success(p, latency_ms);
        break;
    case STATUS_PROXY_AUTH:
        count_failure(r, p, s, THIRDS * r->opts.max_failures, now_ms);
        break;
    case STATUS_PROXY_FAILED:
    case STATUS_TIMEOUT:
    case STATUS_PROTOCOL:
    case STATUS_CLOSED:
        count_failure(r, p, s, THIRDS, now_ms);
        break;
    case STATUS_UNAVAILABLE:
        count_failure(r, p, s, 1, now_ms);
        break;
    default:
        p->count.failed++;
        p->count.last_failure = s;
    }
}

static uint32_t demerit_points(struct entry *p, enum status s)
{
    switch (s) {
    case STATUS_HTTP_429:
        p->count.hits_429++;
        return 1;
    case STATUS_HTTP_403:
        p->count.hits_403++;
        return 2;
    case STATUS_CAPTCHA_DETECTED:
        p->count.hits_captcha++;
        return 3;
    default:
        return 0;
    }
}

void roster_demerit(struct roster *r, uint64_t member, const char *id, enum status s,
                    uint64_t now_ms)
{
    struct entry *p = map_find(r->ids, str_from(id));
    uint32_t points;

    if (!p)
        return;
    settle(r, p, now_ms);
    points = demerit_points(p, s);
    if (!points)
        return;
    roster_rotate(r, member);
    if (p->state == ROSTER_COOLING)
        return;
    if (demerits_left(r, p, now_ms) == 0) {
        p->demerits = 0;
        p->demerit_ms = now_ms;
    }
    p->demerits += points;
    if (demerits_left(r, p, now_ms) >= r->opts.max_demerits)
        cool(r, p, now_ms);
}

void roster_bytes(struct roster *r, const char *id, uint64_t in, uint64_t out)
{
    struct entry *p = map_find(r->ids, str_from(id));

    if (p) {
        p->count.bytes_in += in;
        p->count.bytes_out += out;
    }
}

/* --- choosing --- */

static bool in_country(const struct entry *p, const char *country)
{
    return !country || !*country || strcasecmp(proxy_country(p->proxy), country) == 0;
}

/* Whom a pick may fall on. */
struct query {
    const char *country;
    uint64_t now_ms, member;
    ptrdiff_t avoid; /* or NOBODY */
};

static bool may_have(const struct roster *r, size_t i, const struct query *q)
{
    return (ptrdiff_t)i != q->avoid && in_country(&r->v[i], q->country) &&
           may_serve(r, &r->v[i], q->now_ms);
}

typedef ptrdiff_t choose_fn(struct roster *r, const struct query *q);

static ptrdiff_t choose_next(struct roster *r, const struct query *q)
{
    for (size_t k = 0; k < r->n; k++) {
        size_t i = (r->cursor + k) % r->n;

        if (may_have(r, i, q)) {
            r->cursor = (i + 1) % r->n;
            return (ptrdiff_t)i;
        }
    }
    return NOBODY;
}

static ptrdiff_t choose_oldest(struct roster *r, const struct query *q)
{
    ptrdiff_t best = NOBODY;

    for (size_t i = 0; i < r->n; i++) {
        if (may_have(r, i, q) && (best < 0 || r->v[i].last_pick < r->v[best].last_pick))
            best = (ptrdiff_t)i;
    }
    return best;
}

static ptrdiff_t choose_weighted(struct roster *r, const struct query *q)
{
    ptrdiff_t best = NOBODY;
    int64_t total = 0;

    for (size_t i = 0; i < r->n; i++) {
        if (!may_have(r, i, q))
            continue;
        r->v[i].credit += proxy_weight(r->v[i].proxy);
        total += proxy_weight(r->v[i].proxy);
        if (best < 0 || r->v[i].credit > r->v[best].credit)
            best = (ptrdiff_t)i;
    }
    if (best >= 0)
        r->v[best].credit -= total;
    return best;
}

static uint64_t mix(uint64_t x) /* splitmix64's finalizer */
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* -log2((h + 1) / 2^64) with 32 binary digits, in integers, so that every machine has the same. */
static uint64_t minus_log2(uint64_t h)
{
    unsigned zeros = h ? (unsigned)__builtin_clzll(h) : 63;
    uint64_t m = ((h ? h : 1) << zeros) >> 32; /* 1 <= m / 2^31 < 2 */
    uint64_t log2 = 63 - zeros;

    for (int bit = 0; bit < 32; bit++) {
        m = (m * m) >> 31;
        log2 <<= 1;
        if (m >> 32) {
            m >>= 1;
            log2 |= 1;
        }
    }
    return ((uint64_t)64 << 32) - log2;
}

/* Weighted rendezvous hashing: -log(u) / weight is least with a chance in proportion to the weight.
 */
static uint64_t rendezvous(const struct entry *x, uint64_t member)
{
    uint64_t h = mix(x->id_hash ^ mix(member + 0x9e3779b97f4a7c15u));

    return minus_log2(h) / proxy_weight(x->proxy);
}

static ptrdiff_t choose_rendezvous(struct roster *r, const struct query *q)
{
    ptrdiff_t best = NOBODY;
    uint64_t best_score = 0;

    for (size_t i = 0; i < r->n; i++) {
        uint64_t score;

        if (!may_have(r, i, q))
            continue;
        score = rendezvous(&r->v[i], q->member);
        if (best < 0 || score < best_score) {
            best = (ptrdiff_t)i;
            best_score = score;
        }
    }
    return best;
}

static choose_fn *const choosers[ROSTER_PICK_COUNT] = {
    [ROSTER_ROUND_ROBIN] = choose_next,
    [ROSTER_STICKY] = choose_rendezvous,
    [ROSTER_LEAST_RECENTLY_USED] = choose_oldest,
    [ROSTER_WEIGHTED] = choose_weighted,
};

static struct seat *seat_of(struct roster *r, uint64_t member)
{
    struct seat *s = map_find_u64(r->seats, member);

    if (!s) {
        s = xcalloc(1, sizeof(*s));
        s->last = NOBODY;
        map_put_u64(r->seats, member, s);
    }
    return s;
}

static ptrdiff_t choose(struct roster *r, const struct seat *seat, struct query *q)
{
    ptrdiff_t i;

    if (r->opts.pick == ROSTER_STICKY && !seat->rotate && seat->last >= 0 &&
        may_have(r, (size_t)seat->last, q))
        return seat->last;
    q->avoid = seat->rotate ? seat->last : NOBODY;
    i = choosers[r->opts.pick](r, q);
    if (i < 0 && q->avoid >= 0) {
        q->avoid = NOBODY; /* the one it had is the only one */
        i = choosers[r->opts.pick](r, q);
    }
    return i;
}

/* The one that comes back first; NOBODY when none cools there. */
static ptrdiff_t next_back(const struct roster *r, const char *country, uint64_t now_ms,
                           size_t *cooling, size_t *there)
{
    ptrdiff_t best = NOBODY;

    *cooling = *there = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (!in_country(&r->v[i], country))
            continue;
        ++*there;
        if (may_serve(r, &r->v[i], now_ms))
            continue;
        ++*cooling;
        if (best < 0 || r->v[i].until_ms < r->v[best].until_ms)
            best = (ptrdiff_t)i;
    }
    return best;
}

static enum status none(const struct roster *r, const struct query *q, struct err *e)
{
    size_t cooling, there;
    ptrdiff_t next = next_back(r, q->country, q->now_ms, &cooling, &there);
    bool any = !q->country || !*q->country;

    if (r->n == 0)
        return err_set(e, STATUS_PROXY_NONE, "no proxy: the pool is empty");
    if (there == 0)
        return err_set(e, STATUS_PROXY_NONE, "no proxy of country \"%s\" among the %zu of the pool",
                       q->country, r->n);
    BUG_ON(next < 0);
    return err_set(e, STATUS_PROXY_NONE,
                   "no healthy proxy%s%s: %zu of %zu cooling, the next (%s) is back in %llu s",
                   any ? "" : " of country ", any ? "" : q->country, cooling, there,
                   proxy_id(r->v[next].proxy),
                   (unsigned long long)((sub_sat(r->v[next].until_ms, q->now_ms) + 999) / 1000));
}

enum status roster_pick(struct roster *r, uint64_t member, const char *country, uint64_t now_ms,
                        struct proxy **out, struct err *e)
{
    struct query q = {.country = country, .now_ms = now_ms, .member = member, .avoid = NOBODY};
    struct seat *seat = seat_of(r, member);
    ptrdiff_t i = choose(r, seat, &q);

    *out = NULL;
    if (i < 0)
        return none(r, &q, e);
    settle(r, &r->v[i], now_ms);
    seat->last = i;
    seat->rotate = false;
    r->v[i].last_pick = ++r->picks;
    r->v[i].count.picks++;
    *out = r->v[i].proxy;
    return STATUS_OK;
}

const char *roster_home(const struct roster *r, uint64_t member)
{
    size_t own = 0;
    bool alike = true;

    for (size_t i = 1; i < r->n; i++) {
        alike &= in_country(&r->v[i], proxy_country(r->v[0].proxy)) &&
                 in_country(&r->v[0], proxy_country(r->v[i].proxy));
        if (rendezvous(&r->v[i], member) < rendezvous(&r->v[own], member))
            own = i;
    }
    if (r->n == 0 || (!alike && r->opts.pick != ROSTER_STICKY))
        return "";
    return proxy_country(r->v[own].proxy);
}

uint64_t roster_next_ms(const struct roster *r, const char *country, uint64_t now_ms)
{
    size_t cooling, there;
    ptrdiff_t next = next_back(r, country, now_ms, &cooling, &there);

    if (there > cooling)
        return now_ms;
    if (next < 0)
        return UINT64_MAX;
    return r->v[next].until_ms > now_ms ? r->v[next].until_ms : now_ms + PROBED_MS;
}

void roster_rotate(struct roster *r, uint64_t member)
{
    seat_of(r, member)->rotate = true;
}

void roster_forget(struct roster *r, uint64_t member)
{
    free(map_remove_u64(r->seats, member));
}

/* --- looking --- */

size_t roster_len(const struct roster *r)
{
    return r->n;
}

void roster_info(const struct roster *r, size_t i, uint64_t now_ms, struct roster_info *out)
{
    const struct entry *p = &r->v[i];

    BUG_ON(i >= r->n);
    *out = p->count;
    out->id = proxy_id(p->proxy);
    out->label = proxy_label(p->proxy);
    out->country = proxy_country(p->proxy);
    out->weight = proxy_weight(p->proxy);
    out->state = state_at(p, now_ms);
    out->back_in_ms = out->state == ROSTER_COOLING ? p->until_ms - now_ms : 0;
    out->failures = (p->thirds + THIRDS - 1) / THIRDS;
    out->demerits = demerits_left(r, p, now_ms);
}

bool roster_is_fit(const struct roster *r, const char *id, uint64_t now_ms)
{
    const struct entry *p = map_find(r->ids, str_from(id));

    return p && may_serve(r, p, now_ms);
}

struct proxy *roster_find(const struct roster *r, const char *id)
{
    const struct entry *p = map_find(r->ids, str_from(id));

    return p ? p->proxy : NULL;
}
