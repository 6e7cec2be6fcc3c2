/* The parts of a run, in the order in which they need each other. run_unmake takes down whatever
 * is there, so a failure half-way leaves nothing. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "core/base/file.h"
#include "core/base/map.h"
#include "core/coord/run_internal.h"
#include "core/guard/robots.h"
#include "core/http/fetch.h"
#include "core/http/ops.h"
#include "reaper/reaper.h"

/* --- what the gate tells --- */

static void on_op(void *arg, const struct op_call *call)
{
    struct run *r = arg;

    tally_op(&r->tally, call);
    RUN_TELL(r, on_op, call);
}

static void on_breaker(void *arg, struct str target, bool open)
{
    struct run *r = arg;
    struct tally_target *t = tally_target(&r->tally, target);

    t->breaker_open = open;
    t->breaker_opened = t->breaker_opened || open;
    r->tally.breakers_opened += open;
    RUN_TELL(r, on_breaker, target, open);
    if (r->sched)
        sched_target_changed(r->sched, target);
}

static void on_slowed(void *arg, struct str target, uint64_t until_ms, const char *why)
{
    struct run *r = arg;

    tally_target(&r->tally, target)->last_slow_until_ms = until_ms;
    r->tally.slowdowns++;
    RUN_TELL(r, on_slowed, target, until_ms, why);
    if (r->sched)
        sched_target_changed(r->sched, target);
}

static void on_rotated(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why)
{
    struct run *r = arg;

    r->tally.rotations++;
    RUN_TELL(r, on_rotated, m, from, to, why);
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

static enum status make_state_dir(struct run *r, struct err *e)
{
    const char *given = r->opts.state_dir;

    if (!given)
        given = getenv("FLEET_STATE_DIR");
    r->state_dir = xstrdup(given && given[0] ? given : ".fleet");
    if (file_mkdirs(r->state_dir, 0700, e) == STATUS_OK)
        return STATUS_OK;
    if (e && status_exit(e->status) != EXIT_ENVIRONMENT)
        e->status = STATUS_ENVIRONMENT; /* a file in its place: not the campaign's fault */
    return err_prefix(e, "state directory");
}

static enum status make_audit(struct run *r, struct err *e)
{
    const struct audit_opts opts = {
        .sign = r->conf->audit.sign,
        .sink = r->conf->audit.sink,
        .key = r->conf->audit.key,
    };

    return audit_open(r->loop, r->state_dir, &opts, &r->audit, e);
}

static enum status make_guards(struct run *r, struct err *e)
{
    enum status s = breaker_open_store(&r->conf->breaker, r->state_dir, &r->breaker, e);

    r->limiter = limiter_create(r->conf->limits.rate);
    if (s == STATUS_OK)
        s = policy_create(&r->conf->policy, &r->policy, e);
    if (s == STATUS_OK)
        s = http_create(r->loop, &r->http, e);
    if (s == STATUS_OK && r->conf->limits.robots)
        r->robots = robots_create(r->loop, http_robots_fetch, &r->gate);
    return s;
}

static enum status make_roster(struct run *r, struct err *e)
{
    const struct conf_proxies *p = &r->conf->proxies;
    struct roster_opts opts = ROSTER_OPTS_INIT;

    (void)e;
    if (p->parsed.n == 0)
        return STATUS_OK;
    opts.pick = (enum roster_pick)p->pick;
    opts.max_failures = p->max_failures;
    opts.max_demerits = p->max_demerits;
    opts.cooldown_ms = (uint64_t)p->cooldown_s * 1000;
    r->roster = roster_create(&opts, p->parsed.v, p->parsed.n);
    return STATUS_OK;
}

static enum status make_gate(struct run *r, struct err *e)
{
    const struct gate_deps deps = {
        .loop = r->loop,
        .table = r->table = op_table_create(),
        .policy = r->policy,
        .robots = r->robots,
        .breaker = r->breaker,
        .limiter = r->limiter,
        .roster = r->roster,
        .group_by_site = r->conf->limits.group_by == GROUP_SITE,
        .http = r->http,
        .audit = r->audit,
        .on_op = on_op,
        .on_breaker = on_breaker,
        .on_slowed = on_slowed,
        .on_rotated = on_rotated,
        .arg = r,
    };

    (void)e;
    http_ops_add(r->table);
    if (r->opts.kit->add_ops)
        r->opts.kit->add_ops(r->table);
    r->gate = gate_create(&deps);
    return STATUS_OK;
}

const char *run_target_key(struct run *r, struct str host)
{
    char *key = map_find(r->targets, host);
    struct str name;

    if (key)
        return key;
    name = gate_target_of(r->gate, r->arena, host);
    key = arena_strndup(r->arena, name.ptr, name.len);
    map_put(r->targets, host, key);
    return key;
}

/* What the guards are told of each host of the list, once. */
static enum status make_targets(struct run *r, struct err *e)
{
    (void)e;
    r->targets = map_create();
    for (size_t i = 0; i < r->conf->n_targets; i++) {
        struct str host = r->conf->targets[i].host;
        const char *key;

        if (map_find(r->targets, host))
            continue;
        key = run_target_key(r, host);
        policy_list_target(r->policy, host);
        if (campaign_is_trusted(r->conf, host))
            limiter_trust(r->limiter, str_from(key));
        tally_target(&r->tally, str_from(key))->breaker_open =
            !breaker_allow(r->breaker, str_from(key));
    }
    return STATUS_OK;
}

static enum status make_members(struct run *r, struct err *e)
{
    char version[32] = "";
    const struct members_env env = {
        .loop = r->loop,
        .conf = r->conf,
        .state_dir = r->state_dir,
        .browser_version = version,
        .policy = r->policy,
        .roster = r->roster,
    };
    enum status s = r->opts.kit->browser_version(r->conf, r->state_dir, version, e);

    return s == STATUS_OK ? members_create(r->arena, &env, &r->members, e) : s;
}

static void on_results_error(void *arg, const struct err *e)
{
    struct err told = *e;

    err_prefix(&told, "results");
    run_fail(arg, e->status, &told);
}

/* The directory is there or will be; "" when it cannot be told: names then stay absolute. */
static const char *base_of(struct run *r, const char *path)
{
    cleanup_free char *dir = file_dirname(path);
    cleanup_free char *absolute = NULL;

    if (dir[0] && file_mkdirs(dir, 0755, NULL) != STATUS_OK)
        return "";
    absolute = realpath(dir[0] ? dir : ".", NULL);
    return absolute ? arena_strdup(r->arena, absolute) : "";
}

static enum status make_outputs(struct run *r, struct err *e)
{
    const char *dir = r->conf->output.artifacts;
    enum status s = file_mkdirs(dir, 0755, e);
    cleanup_free char *absolute = NULL;

    if (s != STATUS_OK)
        return err_prefix(e, "artifacts");
    absolute = realpath(dir, NULL);
    if (!absolute)
        return err_set_errno(e, STATUS_IO, errno, "artifacts: %s", dir);
    r->artifacts_dir = arena_strdup(r->arena, absolute);
    r->results_base = base_of(r, r->conf->output.results);
    s = results_open(r->loop, r->conf->output.results, on_results_error, r, &r->results, e);
    return s == STATUS_OK ? s : err_prefix(e, "results");
}

static enum status make_reaper(struct run *r, struct err *e)
{
    const struct reaper_opts opts = {.state_dir = r->state_dir, .subreaper = true};
    struct reaper_swept swept;
    enum status s;

    if (!r->opts.kit->needs_reaper)
        return STATUS_OK;
    s = reaper_sweep(r->state_dir, &swept, e);
    return s == STATUS_OK ? reaper_start(r->loop, &opts, &r->reaper, e) : s;
}

enum status run_make(struct run *r, struct err *e)
{
    static enum status (*const parts[])(struct run * r, struct err * e) = {
        make_state_dir, make_audit,   make_guards,  make_roster, make_gate,
        make_targets,   make_members, make_outputs, make_reaper,
    };

    raise_nofile();
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        enum status s = parts[i](r, e);

        if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}

void run_unmake(struct run *r)
{
    sched_destroy(&r->sched);
    if (r->executor)
        r->opts.kit->executor->destroy(&r->executor);
    coord_destroy(&r->coord);
    http_destroy(&r->http);
    robots_destroy(&r->robots);
    members_destroy(&r->members);
    gate_destroy(&r->gate);
    op_table_destroy(&r->table);
    roster_destroy(&r->roster);
    policy_destroy(&r->policy);
    limiter_destroy(&r->limiter);
    breaker_close_store(&r->breaker);
    map_destroy(&r->targets, NULL);
}
