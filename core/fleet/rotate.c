#include "core/fleet/rotate.h"

#include "core/fleet/keep.h"
#include "core/http/fetch.h"
#include "proxies/forward.h"

static bool listens(const struct conf_rotate *conf, const char *hit)
{
    for (size_t i = 0; i < conf->on.n; i++)
        if (strcmp(conf->on.v[i], hit) == 0)
            return true;
    return false;
}

const char *rotation_due(const struct conf_rotate *conf, const struct member *m, uint64_t wall_ms)
{
    static const struct {
        unsigned hit;
        const char *name, *why;
    } hits[] = {
        {HIT_CAPTCHA, "captcha", "CAPTCHA_DETECTED"},
        {HIT_403, "403", "HTTP_403"},
        {HIT_429, "429", "HTTP_429"},
    };

    if (m->rotate_asked)
        return "asked";
    for (size_t i = 0; i < ARRAY_LEN(hits); i++)
        if ((m->hits & hits[i].hit) && listens(conf, hits[i].name))
            return hits[i].why;
    if (conf->every_tasks > 0 && m->n_tasks >= conf->every_tasks)
        return "tasks";
    if (conf->every_s > 0 && wall_ms >= m->since_ms + UINT64_C(1000) * conf->every_s)
        return "time";
    return NULL;
}

enum status rotation_make(const struct members *all, const struct member *m, struct rotation *out,
                          struct err *e)
{
    enum status s;

    *out = (struct rotation){.arena = arena_create(NULL, 0)};
    if (m->keep)
        s = keeper_next(m, out->arena, &out->record, &out->identity, e);
    else
        s = members_identity(all, out->arena, m->index, m->n_rotations + 1, &out->identity, e);
    if (s != STATUS_OK)
        rotation_drop(out);
    return s;
}

struct keeping {
    void (*done)(void *arg, enum status s, const struct err *e);
    void *arg;
};

static void on_nothing_to_keep(void *arg)
{
    struct keeping k = *(struct keeping *)arg;
    struct err ok = ERR_INIT;

    free(arg);
    k.done(k.arg, STATUS_OK, &ok);
}

void rotation_keep(const struct members *all, const struct member *m, const struct rotation *r,
                   void (*done)(void *arg, enum status s, const struct err *e), void *arg)
{
    struct keeping *k;

    if (m->keep) {
        keeper_turn(m, r->identity->id, r->record, done, arg);
        return;
    }
    k = xcalloc(1, sizeof(*k));
    *k = (struct keeping){done, arg};
    loop_defer(all->env->loop, on_nothing_to_keep, k);
}

void rotation_take(struct member *m, struct rotation *r, uint64_t wall_ms)
{
    if (m->keep)
        keeper_turned(m, r->identity->id);
    arena_destroy(&m->own_before);
    m->own_before = m->own;
    m->own = steal_ptr(&r->arena);
    m->identity = r->identity;
    m->n_rotations++;
    m->since_ms = wall_ms;
    m->n_tasks = 0;
    m->hits = 0;
    m->rotate_asked = false;
    http_jar_free(m);
    if (m->forward)
        forward_cut_all(m->forward);
}

void rotation_drop(struct rotation *r)
{
    arena_destroy(&r->arena);
}
