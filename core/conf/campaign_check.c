/* What must hold between the keys of a campaign. */
#include <math.h>
#include <stdio.h>

#include "core/base/url.h"
#include "core/conf/conf_internal.h"
#include "fingerprints/generate.h"

enum { UNTRUSTED_SHOWN = 3 };

static bool host_is_authorized(const struct conf_limits *l, struct str host)
{
    for (size_t i = 0; i < l->authorized.n; i++) {
        if (str_glob_nocase(str_from(l->authorized.v[i]), host))
            return true;
    }
    return false;
}

bool campaign_is_trusted(const struct campaign_conf *c, struct str host)
{
    return net_zone_is_private(net_zone_of(host)) || host_is_authorized(&c->limits, host);
}

/* Names the first targets that the rate is too high for. */
static void fail_untrusted(struct load *l, const char *why)
{
    const struct campaign_conf *c = l->conf;
    struct buf names = BUF_INIT(ERR_TEXT_MAX / 2);
    struct str last = STR_NONE;
    size_t shown = 0;

    for (size_t i = 0; i < c->n_targets && shown <= UNTRUSTED_SHOWN; i++) {
        struct str host = c->targets[i].host;

        if (host.ptr == last.ptr || campaign_is_trusted(c, host))
            continue;
        last = host;
        if (shown++ < UNTRUSTED_SHOWN)
            buf_addf(&names, "%s%.*s", shown > 1 ? ", " : "", STR_ARG(host));
        else
            buf_adds(&names, ", ...");
    }
    if (shown > 0)
        json_fail(l->d, "/limits/max_requests", "%s (these are neither: %s)", why, names.ptr);
    buf_deinit(&names);
}

static void check_rate(struct load *l)
{
    struct limit_rate rate = l->conf->limits.rate;
    struct err e = ERR_INIT;

    if (limit_rate_check(rate, true, &e) != STATUS_OK)
        json_fail(l->d, rate.window_ms == 0 ? "/limits/window_ms" : "/limits/max_requests", "%s",
                  err_text(&e));
    else if (limit_rate_check(rate, false, &e) != STATUS_OK)
        fail_untrusted(l, err_text(&e));
}

static void check_viewport(struct load *l)
{
    struct conf_members *m = &l->conf->members;
    struct str rest = str_from(m->viewport), w;
    uint64_t wide = 0, high = 0;

    if (!m->viewport)
        return;
    w = str_cut(&rest, 'x');
    if (!str_to_u64(w, 2560, &wide) || !rest.ptr || !str_to_u64(rest, 1353, &high) || wide < 200 ||
        high < 200)
        json_fail(l->d, "/members/identities/viewport",
                  "found \"%s\", expected WIDTHxHEIGHT, 200x200 to 2560x1353", m->viewport);
    m->viewport_w = (uint32_t)wide;
    m->viewport_h = (uint32_t)high;
}

static void check_store(struct load *l)
{
    const struct conf_members *m = &l->conf->members;
    const struct json *given = json_get(l->conf->tree, "members");

    if (!m->store) {
        if (m->key)
            json_fail(l->d, "/members/key", "found without members.store, whose key it is");
        return;
    }
    if (json_get(given, "identities"))
        json_fail(
            l->d, "/members/identities",
            "found beside members.store, expected one of the two: identities of the store are "
            "made already");
    if (m->key && strncmp(m->key, "file:", 5) != 0 && strncmp(m->key, "env:", 4) != 0 &&
        strncmp(m->key, "passphrase:", 11) != 0)
        json_fail(l->d, "/members/key", "expected file:PATH, env:NAME or passphrase:NAME");
}

static void check_members(struct load *l)
{
    const struct conf_members *m = &l->conf->members;
    const struct identity_params p = {
        .seed = m->seed ? m->seed : "default",
        .os = m->os,
        .locales = m->locales,
        .timezones = m->timezones,
    };
    struct err e = ERR_INIT;
    struct str rest, where;
    char path[JSON_PATH_MAX];

    check_store(l);
    if (identity_params_check(&p, &e) == STATUS_OK)
        return;
    rest = str_from(err_text(&e)); /* "locales/1: ..." */
    where = str_cut(&rest, ':');
    snprintf(path, sizeof(path), "/members/identities/%.*s", STR_ARG(where));
    json_fail(l->d, path, "found %s", rest.ptr ? str_trim(rest).ptr : "");
}

static void check_retry(struct load *l)
{
    const struct conf_retry *r = &l->conf->retry;

    if (r->base_ms > r->cap_ms)
        json_fail(l->d, "/retry/cap_ms", "found %llu, expected at least retry.base_ms (%llu)",
                  (unsigned long long)r->cap_ms, (unsigned long long)r->base_ms);
}

static void check_scale(struct load *l)
{
    const struct scale_conf *s = &l->conf->scale;

    if (s->max > 0 && s->max < s->min)
        json_fail(l->d, "/autoscale/max", "found %u, expected at least autoscale.min (%u), or 0",
                  s->max, s->min);
}

static void check_size(struct load *l)
{
    const struct campaign_conf *c = l->conf;

    if (c->coordinator == COORD_BROADCAST && c->members.count > 0 &&
        c->n_targets > CONF_TASKS_MAX / c->members.count)
        json_fail(l->d, "/targets",
                  "found %zu targets for each of %u members, expected at most %d "
                  "tasks",
                  c->n_targets, c->members.count, CONF_TASKS_MAX);
}

static void check_hosts(struct load *l, const char *path, const struct json_strs *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct str s = str_from(v->v[i]);
        char where[JSON_PATH_MAX];

        if (s.len > 0 && s.len <= 255 && str_chr(s, '/') < 0 && str_chr(s, ' ') < 0)
            continue;
        snprintf(where, sizeof(where), "%s/%zu", path, i);
        json_fail(l->d, where,
                  "found \"%s\", expected a host such as shop.example.org or "
                  "*.example.org",
                  v->v[i]);
    }
}

void campaign_check(struct load *l)
{
    check_rate(l);
    check_viewport(l);
    check_members(l);
    check_retry(l);
    check_scale(l);
    check_size(l);
    check_hosts(l, "/limits/authorized", &l->conf->limits.authorized);
    check_hosts(l, "/policy/allow", &l->conf->policy.allow);
    check_hosts(l, "/policy/deny", &l->conf->policy.deny);
}
