/* The parts of an engine, in the order in which they need each other. engine_unmake takes down
 * whatever is there, so a failure half-way leaves nothing. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/resource.h>

#include "core/base/file.h"
#include "core/base/map.h"
#include "core/coord/engine_internal.h"
#include "core/coord/events.h"
#include "core/guard/robots.h"
#include "core/http/fetch.h"
#include "core/http/ops.h"
#include "proxies/prober.h"
#include "reaper/reaper.h"

/* --- what the gate tells --- */

static void on_op(void *arg, const struct op_call *call)
{
    struct engine *e = arg;

    tally_op(&e->tally, call);
    rates_count(&e->rates, loop_now_ms(e->loop), 0, 1);
    ENGINE_TELL(e, on_op, call);
}

static void on_breaker(void *arg, struct str target, bool open)
{
    struct engine *e = arg;
    struct tally_target *t = tally_target(&e->tally, target);

    t->breaker_open = open;
    t->breaker_opened = t->breaker_opened || open;
    e->tally.breakers_opened += open;
    events_breaker(e, target, open);
    ENGINE_TELL(e, on_breaker, target, open);
    if (e->sched)
        sched_target_changed(e->sched, target);
}

static void on_slowed(void *arg, struct str target, uint64_t until_ms, const char *why)
{
    struct engine *e = arg;

    tally_target(&e->tally, target)->last_slow_until_ms = until_ms;
    e->tally.slowdowns++;
    ENGINE_TELL(e, on_slowed, target, until_ms, why);
    if (e->sched)
        sched_target_changed(e->sched, target);
}

static void on_rotated(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why)
{
    struct engine *e = arg;

    e->tally.rotations++;
    ENGINE_TELL(e, on_rotated, m, from, to, why);
}

/* --- parts --- */

/* Each member has a forwarder with connections, and instances have pipes: take what may be had. */
static void raise_nofile(void)
{
    struct rlimit lim;

    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur == lim.rlim_max)
        return;
    lim.rlim_cur = lim.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &lim);
}

static enum status make_state_dir(struct engine *e, struct err *er)
{
    const char *given = e->opts.state_dir;

    if (!given)
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
        given = getenv("FLEET_STATE_DIR");
    e->state_dir = xstrdup(given && given[0] ? given : ".fleet");
    if (file_mkdirs(e->state_dir, 0700, er) == STATUS_OK)
        return STATUS_OK;
    if (er && status_exit(er->status) != EXIT_ENVIRONMENT)
        er->status = STATUS_ENVIRONMENT; /* a file in its place: not the campaign's fault */
    return err_prefix(er, "state directory");
}

/* The epoch is durable when this returns. */
static enum status make_store(struct engine *e, struct err *er)
{
    enum status s = logdb_open(e->loop, e->state_dir, &e->logdb, er);

    if (s == STATUS_OK)
        s = store_open(e->logdb, &e->store, er);
    if (s == STATUS_OK) {
        e->epoch = store_epoch(e->store);
        e->waits_for_begin = e->epoch > 1 && !store_was_ended(e->store);
    }
    return s;
}

static enum status make_audit(struct engine *e, struct err *er)
{
    const struct audit_opts opts = {
        .sign = e->conf->audit.sign,
        .sink = e->conf->audit.sink,
        .key = e->conf->audit.key,
        .db = e->logdb,
    };

    return audit_open(e->loop, e->state_dir, &opts, &e->audit, er);
}

static enum status make_guards(struct engine *e, struct err *er)
{
    enum status s = breaker_open_store(&e->conf->breaker, e->state_dir, &e->breaker, er);

    e->limiter = limiter_create(e->conf->limits.rate);
    if (s == STATUS_OK)
        s = policy_create(&e->conf->policy, &e->policy, er);
    if (s == STATUS_OK)
        s = http_create(e->loop, NULL, &e->http, er);
    if (s == STATUS_OK && e->conf->limits.robots)
        e->robots = robots_create(e->loop, http_robots_fetch, &e->gate);
    return s;
}

static enum status make_roster(struct engine *e, struct err *er)
{
    const struct conf_proxies *p = &e->conf->proxies;
    struct roster_opts opts = ROSTER_OPTS_INIT;

    (void)er;
    if (p->parsed.n == 0)
        return STATUS_OK;
    opts.pick = (enum roster_pick)p->pick;
    opts.max_failures = p->max_failures;
    opts.max_demerits = p->max_demerits;
    opts.cooldown_ms = (uint64_t)p->cooldown_s * 1000;
    opts.probed = p->probe != NULL;
    e->roster = roster_create(&opts, p->parsed.v, p->parsed.n);
    if (p->probe) {
        const struct prober_opts po = {.loop = e->loop, .roster = e->roster, .url = p->probe};

        e->prober = prober_create(&po);
    }
    return STATUS_OK;
}

static enum status make_gate(struct engine *e, struct err *er)
{
    const struct gate_deps deps = {
        .loop = e->loop,
        .table = e->table = op_table_create(),
        .policy = e->policy,
        .robots = e->robots,
        .breaker = e->breaker,
        .limiter = e->limiter,
        .roster = e->roster,
        .country = e->conf->proxies.country,
        .proxy_or_fail = e->conf->proxies.on_none == NONE_FAIL,
        .group_by_site = e->conf->limits.group_by == GROUP_SITE,
        .http = e->http,
        .captcha = &e->conf->captcha,
        .audit = e->audit,
        .on_op = on_op,
        .on_breaker = on_breaker,
        .on_slowed = on_slowed,
        .on_rotated = on_rotated,
        .arg = e,
    };

    (void)er;
    http_ops_add(e->table);
    if (e->opts.kit->add_ops)
        e->opts.kit->add_ops(e->table);
    e->gate = gate_create(&deps);
    return STATUS_OK;
}

const char *engine_target_key(struct engine *e, struct str host)
{
    char *key = map_find(e->targets, host);
    struct str name;

    if (key)
        return key;
    name = gate_target_of(e->gate, e->arena, host);
    key = arena_strndup(e->arena, name.ptr, name.len);
    map_put(e->targets, host, key);
    return key;
}

void engine_know_targets(struct engine *e, const struct campaign_conf *conf)
{
    for (size_t i = 0; i < conf->n_targets; i++) {
        struct str host = conf->targets[i].host;
        const char *key;

        if (map_find(e->targets, host))
            continue;
        key = engine_target_key(e, host);
        policy_list_target(e->policy, arena_str(e->arena, host));
        if (campaign_is_trusted(e->conf, host))
            limiter_trust(e->limiter, str_from(key));
        tally_target(&e->tally, str_from(key))->breaker_open =
            !breaker_allow(e->breaker, str_from(key));
    }
}

/* The result stands; only its member's cookies are those of before. */
static void on_unsaved(void *arg, const struct member *m, const struct err *er)
{
    struct engine *e = arg;

    ENGINE_TELL(e, on_event, "state not saved", m, err_text(er));
}

static enum status make_members(struct engine *e, struct err *er)
{
    char version[32] = "";
    const struct members_env env = {
        .loop = e->loop,
        .conf = e->conf,
        .state_dir = e->state_dir,
        .browser_version = version,
        .policy = e->policy,
        .gate = e->gate,
        .roster = e->roster,
        .on_unsaved = on_unsaved,
        .next_of = engine_next_of,
        .arg = e,
    };
    enum status s = engine_load_rotated(e, er);

    if (s == STATUS_OK)
        s = e->opts.kit->browser_version(e->conf, e->state_dir, version, er);
    return s == STATUS_OK ? members_create(e->arena, &env, &e->members, er) : s;
}

static enum status make_artifacts(struct engine *e, struct err *er)
{
    const char *dir = e->conf->output.artifacts;
    enum status s = file_mkdirs(dir, 0755, er);
    cleanup_free char *absolute = NULL;

    if (s != STATUS_OK)
        return err_prefix(er, "artifacts");
    absolute = realpath(dir, NULL);
    if (!absolute)
        return err_set_errno(er, STATUS_IO, errno, "artifacts: %s", dir);
    e->artifacts_dir = arena_strdup(e->arena, absolute);
    return STATUS_OK;
}

static enum status make_reaper(struct engine *e, struct err *er)
{
    const struct reaper_opts opts = {.state_dir = e->state_dir, .subreaper = true};
    struct reaper_swept swept;
    enum status s;

    if (!e->opts.kit->needs_reaper && e->conf->policy.hook.n == 0)
        return STATUS_OK;
    s = reaper_sweep(e->state_dir, &swept, er);
    return s == STATUS_OK ? reaper_start(e->loop, &opts, &e->reaper, er) : s;
}

enum status engine_make(struct engine *e, struct err *er)
{
    /* The reaper as soon as the directory is ours: it looks around while the rest is made. */
    static enum status (*const parts[])(struct engine * e, struct err * er) = {
        make_state_dir, make_store,     make_reaper,      make_audit,
        events_open,    make_guards,    make_roster,      make_gate,
        make_members,   make_artifacts, engine_make_hook, engine_load_batches,
    };

    raise_nofile();
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        enum status s = parts[i](e, er);

        if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}

void engine_make_sched(struct engine *e)
{
    const struct campaign_conf *c = e->conf;
    struct sched_deps deps = {
        .loop = e->loop,
        .limiter = e->limiter,
        .breaker = e->breaker,
        .executor = e->opts.kit->executor,
        .x = e->executor,
        .members = e->members.v,
        .n_members = e->members.n,
        .slots = e->settings.slots,
        .deadlines = e->settings.deadlines,
        .retry = e->settings.retry,
        .target_concurrency = e->settings.target_concurrency,
        .hold_blocked = c->limits.on_blocked == BLOCKED_WAIT,
        .begin = engine_rotate_begin,
        .may_begin = engine_may_begin,
        .arg = e,
    };

    engine_task_deps(&deps);
    randombytes_buf(&deps.seed, sizeof(deps.seed));
    e->sched = sched_create(&deps);
    sched_pause(e->sched, e->user_paused);
}

void engine_unmake(struct engine *e)
{
    sched_destroy(&e->sched);
    if (e->executor)
        e->opts.kit->executor->destroy(&e->executor);
    http_destroy(&e->http);
    robots_destroy(&e->robots);
    members_destroy(&e->members);
    gate_destroy(&e->gate);
    op_table_destroy(&e->table);
    prober_destroy(&e->prober);
    roster_destroy(&e->roster);
    policy_destroy(&e->policy);
    limiter_destroy(&e->limiter);
    breaker_close_store(&e->breaker);
    map_destroy(&e->targets, NULL);
    map_destroy(&e->rotated, free);
}
