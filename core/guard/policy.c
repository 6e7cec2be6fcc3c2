#include "core/guard/policy.h"

#include <sys/socket.h>

#include "core/base/map.h"
#include "core/guard/hook.h"

struct policy {
    struct str *allow, *deny;
    struct str *targets; /* patterns of the tags "target:<host>" */
    size_t n_allow, n_deny, n_targets;
    bool has_tags, may_op, may_change;
    struct policy_hook *hook;
    enum policy_private private_networks;
    struct map *listed; /* hosts of the target list */
    char *text;         /* what the patterns point into */
};

enum { PATTERN_MAX = 253 + 2, PATTERNS_MAX = 100000 };

static enum status pattern_check(const char *p, const char *list, struct err *e)
{
    struct str s = str_from(p);

    if (s.len == 0 || s.len > PATTERN_MAX)
        return err_set(e, STATUS_INVALID, "policy.%s: pattern of %zu characters, expected 1..%d",
                       list, s.len, PATTERN_MAX);
    for (size_t i = 0; i < s.len; i++)
        if (strchr("/@ \t\r\n#?", s.ptr[i]) != NULL)
            return err_set(
                e, STATUS_INVALID,
                "policy.%s: \"%s\" is no host pattern: expected a host such as "
                "\"shop.example.org\" or \"*.example.org\", without scheme, port or path",
                list, p);
    return STATUS_OK;
}

static enum status patterns_take(const struct json_strs *in, const char *list, struct str **out,
                                 size_t *n, struct err *e)
{
    enum status s = STATUS_OK;

    if (in->n > PATTERNS_MAX)
        return err_set(e, STATUS_TOO_LARGE, "policy.%s: %zu patterns, expected at most %d", list,
                       in->n, PATTERNS_MAX);
    *out = xcalloc(in->n + 1, sizeof **out);
    for (size_t i = 0; s == STATUS_OK && i < in->n; i++) {
        s = pattern_check(in->v[i], list, e);
        if (s == STATUS_OK)
            (*out)[(*n)++] = str_from(xstrdup(in->v[i]));
    }
    return s;
}

/* Capability tags: only what is granted may be done. */
static enum status tags_take(struct policy *p, const struct policy_conf *c, struct err *e)
{
    static const char target[] = "target:";

    p->has_tags = c->has_tags || c->tags.n > 0;
    if (c->tags.n > PATTERNS_MAX)
        return err_set(e, STATUS_TOO_LARGE, "policy.tags: %zu tags, expected at most %d", c->tags.n,
                       PATTERNS_MAX);
    p->targets = xcalloc(c->tags.n + 1, sizeof *p->targets);
    for (size_t i = 0; i < c->tags.n; i++) {
        const char *tag = c->tags.v[i];

        if (strcmp(tag, "fleet:op") == 0) {
            p->may_op = true;
        } else if (strcmp(tag, "fleet:policy") == 0) {
            p->may_change = true;
        } else if (strncmp(tag, target, sizeof target - 1) == 0) {
            enum status s = pattern_check(tag + sizeof target - 1, "tags", e);

            if (s != STATUS_OK)
                return s;
            p->targets[p->n_targets++] = str_from(xstrdup(tag + sizeof target - 1));
        } else {
            return err_set(e, STATUS_INVALID,
                           "policy.tags: \"%s\" is no tag: expected \"fleet:op\", "
                           "\"fleet:policy\" or \"target:<host>\"",
                           tag);
        }
    }
    return STATUS_OK;
}

enum status policy_create(const struct policy_conf *c, struct policy **out, struct err *e)
{
    struct policy *p = xcalloc(1, sizeof *p);
    enum status s;

    *out = NULL;
    p->listed = map_create();
    p->private_networks = c->private_networks;
    s = patterns_take(&c->allow, "allow", &p->allow, &p->n_allow, e);
    if (s == STATUS_OK)
        s = patterns_take(&c->deny, "deny", &p->deny, &p->n_deny, e);
    if (s == STATUS_OK)
        s = tags_take(p, c, e);
    if (s != STATUS_OK) {
        policy_destroy(&p);
        return s;
    }
    *out = p;
    return STATUS_OK;
}

static void patterns_free(struct str *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free((void *)(uintptr_t)v[i].ptr);
    free(v);
}

void policy_destroy(struct policy **pp)
{
    struct policy *p = *pp;

    if (p == NULL)
        return;
    patterns_free(p->allow, p->n_allow);
    patterns_free(p->deny, p->n_deny);
    patterns_free(p->targets, p->n_targets);
    policy_hook_destroy(&p->hook);
    map_destroy(&p->listed, NULL);
    free(p);
    *pp = NULL;
}

void policy_list_target(struct policy *p, struct str host)
{
    map_put(p->listed, host, p);
}

/* "*.example.org" covers the hosts below example.org and example.org itself, as people mean it. */
static bool pattern_matches(struct str pattern, struct str host)
{
    if (str_glob_nocase(pattern, host))
        return true;
    return str_starts(pattern, STR("*.")) && str_eq_nocase(str_skip(pattern, 2), host);
}

static const struct str *patterns_find(const struct str *v, size_t n, struct str host)
{
    for (size_t i = 0; i < n; i++)
        if (pattern_matches(v[i], host))
            return &v[i];
    return NULL;
}

static enum status private_check(const struct policy *p, struct str host, enum net_zone zone,
                                 struct err *e)
{
    if (zone == NET_RESERVED)
        return err_set(e, STATUS_POLICY_DENIED, "%.*s is a reserved address", STR_ARG(host));
    if (!net_zone_is_private(zone) || p->private_networks == POLICY_PRIVATE_YES)
        return STATUS_OK;
    if (p->private_networks == POLICY_PRIVATE_LISTED && map_find(p->listed, host) != NULL)
        return STATUS_OK;
    return err_set(
        e, STATUS_POLICY_DENIED,
        "%.*s is on a private network%s; \"policy\": {\"private_networks\": true} allows "
        "those",
        STR_ARG(host),
        p->private_networks == POLICY_PRIVATE_LISTED ? " and is not one of the targets" : "");
}

static enum status tags_check(const struct policy *p, struct str op, struct str host, struct err *e)
{
    if (!p->has_tags)
        return STATUS_OK;
    if (!p->may_op)
        return err_set(e, STATUS_POLICY_DENIED, "%.*s: policy.tags does not grant \"fleet:op\"",
                       STR_ARG(op));
    if (host.len > 0 && patterns_find(p->targets, p->n_targets, host) == NULL)
        return err_set(e, STATUS_POLICY_DENIED, "%.*s: policy.tags does not grant \"target:%.*s\"",
                       STR_ARG(op), STR_ARG(host));
    return STATUS_OK;
}

enum status policy_check_change(const struct policy *p, struct err *e)
{
    if (!p->has_tags || p->may_change)
        return STATUS_OK;
    return err_set(e, STATUS_POLICY_DENIED, "policy.tags does not grant \"fleet:policy\"");
}

void policy_take_hook(struct policy *p, struct policy_hook *h)
{
    policy_hook_destroy(&p->hook);
    p->hook = h;
}

struct policy_hook *policy_hook(const struct policy *p)
{
    return p->hook;
}

enum status policy_check(const struct policy *p, struct str op, struct str host, struct err *e)
{
    const struct str *rule;

    if (tags_check(p, op, host, e) != STATUS_OK)
        return STATUS_POLICY_DENIED;
    if (host.len == 0)
        return STATUS_OK;
    rule = patterns_find(p->deny, p->n_deny, host);
    if (rule != NULL)
        return err_set(e, STATUS_POLICY_DENIED, "%.*s: %.*s is denied by policy.deny \"%.*s\"",
                       STR_ARG(op), STR_ARG(host), STR_ARG(*rule));
    if (p->n_allow > 0 && patterns_find(p->allow, p->n_allow, host) == NULL)
        return err_set(e, STATUS_POLICY_DENIED, "%.*s: %.*s matches no pattern of policy.allow",
                       STR_ARG(op), STR_ARG(host));
    return private_check(p, host, net_zone_of(host), e);
}

enum status policy_check_connect(const struct policy *p, struct str host, uint16_t port,
                                 const struct sockaddr *resolved, struct err *e)
{
    const struct str *rule = patterns_find(p->deny, p->n_deny, host);
    enum net_zone zone = resolved != NULL ? net_zone_of_addr(resolved) : net_zone_of(host);

    /* Not the allow list: a page's pictures and scripts come from hosts that nobody lists. */
    if (rule != NULL)
        return err_set(e, STATUS_POLICY_DENIED, "%.*s:%u is denied by policy.deny \"%.*s\"",
                       STR_ARG(host), port, STR_ARG(*rule));
    return private_check(p, host, zone, e);
}
