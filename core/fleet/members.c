#include "core/fleet/members.h"

#include <stdio.h>

#include "core/base/file.h"
#include "core/base/rng.h"
#include "core/fleet/keep.h"
#include "core/fleet/persona.h"
#include "core/http/fetch.h"
#include "core/op/gate.h"
#include "fingerprints/generate.h"
#include "proxies/forward.h"
#include "proxies/roster.h"
#include "proxies/tls.h"

enum { SEED_BYTES = 16, SEED_FILE_MAX = 256 };

/* --- the seed --- */

static enum status seed_make(const char *path, struct buf *out, struct err *e)
{
    unsigned char bytes[SEED_BYTES];

    rng_bytes(bytes, sizeof(bytes));
    buf_add_hex(out, bytes, sizeof(bytes));
    return file_replace(path, buf_str(out), 0600, e);
}

/* The seed of identities where the campaign names none: made when absent, so that a campaign run
 * again has the same members. */
static enum status state_dir_seed(struct arena *a, const char *state_dir, const char **out,
                                  struct err *e)
{
    cleanup_free char *path = file_join(state_dir, "identity.seed");
    struct buf text = BUF_INIT(SEED_FILE_MAX);
    enum status s = file_read(path, &text, e);

    if (s == STATUS_NOT_FOUND) {
        buf_reset(&text);
        s = seed_make(path, &text, e);
    }
    if (s == STATUS_OK && str_trim(buf_str(&text)).len == 0)
        s = err_set(e, STATUS_CORRUPT, "%s: empty, expected the seed of identities", path);
    if (s == STATUS_OK) {
        struct str seed = str_trim(buf_str(&text));

        *out = arena_strndup(a, seed.ptr, seed.len);
    }
    buf_deinit(&text);
    return s;
}

/* --- forwarders --- */

static enum status on_allow(void *arg, const char *host, uint16_t port,
                            const struct sockaddr *resolved)
{
    const struct members_env *env = arg;
    enum status s = policy_check_connect(env->policy, str_from(host), port, resolved, NULL);

    if (s == STATUS_OK && !resolved && gate_rests(env->gate, host))
        s = STATUS_BREAKER_OPEN;
    return s;
}

static void on_result(void *arg, const char *proxy_id, enum status s, uint64_t latency_ms,
                      int peer_code)
{
    const struct members_env *env = arg;

    (void)peer_code;
    roster_report(env->roster, proxy_id, s, latency_ms, loop_now_ms(env->loop));
}

static void on_bytes(void *arg, const char *proxy_id, uint64_t in, uint64_t out)
{
    const struct members_env *env = arg;

    roster_bytes(env->roster, proxy_id, in, out);
}

static void *env_arg(const struct members_env *env)
{
    union {
        const struct members_env *in;
        void *out;
    } u = {.in = env}; /* the callbacks give it back its const */

    return u.out;
}

/* The same for all members. In `a`. */
static const struct forward_opts *forward_opts_make(struct arena *a, const struct members_env *env,
                                                    struct tls_ctx *tls)
{
    struct forward_opts *opts = arena_new(a, struct forward_opts);

    *opts = (struct forward_opts)FORWARD_OPTS_INIT;
    opts->is_shared = true;
    opts->dialled_only = true; /* browsers come by a door, requests by forward_dial */
    opts->allow_direct = env->roster == NULL;
    opts->allow = on_allow;
    opts->arg = env_arg(env);
    opts->tls = tls;
    if (env->roster) {
        opts->on_upstream_result = on_result;
        opts->on_upstream_bytes = on_bytes;
    }
    return opts;
}

/* Authorities for https proxies, read once for all members. */
static enum status tls_make(const struct members_env *env, struct tls_ctx **out, struct err *e)
{
    struct roster_info x;

    for (size_t i = 0; env->roster && i < roster_len(env->roster); i++) {
        roster_info(env->roster, i, 0, &x);
        if (proxy_scheme(roster_find(env->roster, x.id)) == PROXY_HTTPS)
            return tls_ctx_open(NULL, out, e);
    }
    return STATUS_OK;
}

/* --- members --- */

/* Where the member goes out, as far as that is known before it does; "": the locale's country. */
static const char *country_of(const struct members_env *env, uint32_t member)
{
    if (env->roster && env->conf->proxies.country)
        return env->conf->proxies.country;
    return env->roster ? roster_home(env->roster, member) : "";
}

/* The member before, whose texts are often the same ones. Not of one that rotated: it may do so
 * again, and then they go. */
static const struct identity *neighbour(const struct members *all, uint32_t index)
{
    const struct member *m = index > 0 && index <= all->n ? all->v[index - 1] : NULL;

    return m && !m->own && !m->own_before ? m->identity : NULL;
}

static void params_fill(const struct members *all, uint32_t index, struct identity_params *p)
{
    const struct members_env *env = all->env;
    const struct conf_members *m = &env->conf->members;
    long pages = sysconf(_SC_PHYS_PAGES);

    *p = (struct identity_params){
        .seed = all->seed,
        .country = country_of(env, index),
        .browser_version = env->browser_version,
        .os = m->os,
        .locales = m->locales,
        .timezones = m->timezones,
        .viewport_w = m->viewport_w,
        .viewport_h = m->viewport_h,
        .honest = m->honest,
        .no_noise = !m->noise,
        .own_gpu = m->own_gpu,
        .like = neighbour(all, index),
        .memory_bytes = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0,
    };
}

enum status members_identity(const struct members *all, struct arena *a, uint32_t index,
                             uint32_t rotations, const struct identity **out, struct err *e)
{
    struct identity_params p;

    params_fill(all, index, &p);
    for (uint32_t i = 0; i < rotations; i++)
        p.seed = persona_next_seed(p.seed, a);
    if (identity_generate(a, &p, index, out, e) == STATUS_OK)
        return STATUS_OK;
    return err_prefix(e, "member %u: identity", index);
}

static const char *next_of(const struct members_env *env, const char *id, uint64_t *since_ms)
{
    return env->next_of ? env->next_of(env->arg, id, since_ms) : NULL;
}

/* As it was left: whom it rotated to in earlier processes. */
static enum status made_member(struct arena *a, const struct members *all, struct member *m,
                               struct err *e)
{
    enum status s = members_identity(all, a, m->index, 0, &m->identity, e);

    while (s == STATUS_OK && next_of(all->env, m->identity->id, &m->since_ms) != NULL) {
        if (m->own)
            arena_reset(m->own);
        else
            m->own = arena_create(NULL, 0);
        s = members_identity(all, m->own, m->index, ++m->n_rotations, &m->identity, e);
    }
    return s;
}

static enum status member_make(struct arena *a, const struct members *all, struct member *m,
                               struct err *e)
{
    enum status s;

    list_init(&m->idle_link);
    m->since_ms = loop_wall_ms(all->env->loop);
    s = all->keeper ? keeper_lease(all->keeper, a, m, e) : made_member(a, all, m, e);
    if (s != STATUS_OK)
        return s;
    if (forward_open(all->env->loop, all->forward, &m->forward, e) != STATUS_OK)
        return err_prefix(e, "member %u: forwarder", m->index);
    return STATUS_OK;
}

/* Without a count the members are those that are whole. */
static bool is_enough(const struct members_env *env, uint32_t n)
{
    return env->conf->members.store && env->conf->members.count == 0 && n > 0;
}

enum status members_create(struct arena *a, const struct members_env *env, struct members *out,
                           struct err *e)
{
    struct members_env *kept = arena_new(a, struct members_env);
    uint32_t n = env->conf->members.count;
    enum status s = STATUS_OK;

    *kept = *env;
    kept->browser_version = arena_strdup(a, env->browser_version);
    *out = (struct members){.env = kept, .seed = env->conf->members.seed};
    if (env->conf->members.store)
        s = keeper_open(a, kept, &n, &out->keeper, e);
    else if (!out->seed)
        s = state_dir_seed(a, env->state_dir, &out->seed, e);
    if (s == STATUS_OK)
        s = tls_make(kept, &out->tls, e);
    if (s != STATUS_OK) {
        keeper_close(&out->keeper);
        return s;
    }
    out->forward = forward_opts_make(a, kept, out->tls);
    out->array = xcalloc(n, sizeof(*out->array));
    out->v = xcalloc(n, sizeof(struct member *));
    for (uint32_t i = 0; i < n && s == STATUS_OK; i++) {
        out->array[i].index = i;
        out->v[i] = &out->array[i];
        out->n = i + 1;
        s = member_make(a, out, &out->array[i], e);
        if (s == STATUS_NOT_FOUND && is_enough(env, i)) {
            out->n = n = i; /* the rest is damaged */
            s = STATUS_OK;
        }
    }
    if (s != STATUS_OK)
        members_destroy(out);
    return s;
}

void members_destroy(struct members *m)
{
    for (size_t i = 0; i < m->n; i++) {
        forward_close(&m->v[i]->forward);
        http_jar_free(m->v[i]);
        arena_destroy(&m->v[i]->own);
        arena_destroy(&m->v[i]->own_before);
    }
    tls_ctx_close(&m->tls);
    keeper_close(&m->keeper);
    free(m->v);
    free(m->array);
    *m = (struct members){0};
}
