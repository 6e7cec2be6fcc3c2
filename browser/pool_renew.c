/* A member that becomes somebody else: nothing of who it was is carried over. */
#include "browser/pool_internal.h"

/* Switches of an instance that all share: those of all members, but that `m` is `as`. */
static const char *shared_switches(const struct pool *p, const struct member *m,
                                   const struct identity *as, struct arena *a)
{
    const struct identity **v = pool_identities(p, a);
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    const char *const *list, *tz, *out;
    struct args args;

    args_init(&args, a);
    v[m->index] = as;
    tz = identity_add_shared_args(v, p->opts.n_members, &args);
    list = args_list(&args, tz != NULL ? tz : "");
    for (size_t i = 0; list[i] != NULL; i++)
        buf_addf(&b, "%s\n", list[i]);
    out = arena_strndup(a, b.ptr, b.len);
    buf_deinit(&b);
    return out;
}

/* The home cannot be the next identity's. */
static bool is_outgrown(const struct home *h, const struct member *m, const struct identity *next)
{
    struct arena *a;
    bool differs;

    if (h->owner != NULL)
        return h->owner == m;
    a = arena_create(NULL, 0);
    differs = strcmp(shared_switches(h->pool, m, m->identity, a),
                     shared_switches(h->pool, m, next, a)) != 0;
    arena_destroy(&a);
    return differs;
}

void pool_renew(struct pool *p, struct member *m, const struct identity *next)
{
    struct seat *s = &p->seats[m->index];

    BUG_ON(s->lease != NULL);
    free(steal_ptr(&s->cookies));
    if (s->saving) {
        s->renewed = true;
    } else if (s->ctx != NULL) {
        s->home->pages += context_pages_made(s->ctx);
        context_destroy(&s->ctx);
        s->home = NULL;
        s->warm = false;
    }
    arena_destroy(&s->arena_before);
    s->arena_before = steal_ptr(&s->arena);
    list_for_each_safe (l, &p->homes) {
        struct home *h = list_entry(l, struct home, link);

        if (!h->due && is_outgrown(h, m, next))
            home_retire(h, NULL);
    }
}
