/* Contexts and pages that are there before they are asked for. They cost a browser 13 MB each and
 * some 30 ms of processor time, which is well spent only while nobody waits: who calls pool_warm
 * says when. */
#include "browser/pool_internal.h"

void seat_cool(struct seat *s)
{
    s->warm = false;
    context_destroy(&s->ctx); /* also one that is on its way */
    s->home = NULL;
}

static void on_warm(void *arg, struct context *c, enum status s, const struct err *e)
{
    struct seat *seat = arg;

    (void)e;
    if (s != STATUS_OK) {
        seat->warm = false;
        seat->ctx = NULL;
        seat->home = NULL;
        return;
    }
    seat->ctx = c;
    context_warm(c);
}

void pool_warm(struct pool *p, struct member *m)
{
    struct seat *s = &p->seats[m->index];
    struct home *h;

    if (p->stopping || !list_empty(&p->waiting) || s->lease != NULL || s->ctx != NULL || s->saving)
        return;
    h = home_for(p, m);
    if (h == NULL || !h->up || h->due)
        return;
    s->warm = true;
    s->home = h;
    s->ctx = context_create(instance_targets(h->instance), m, seat_applied(s, h), on_warm, s);
}

bool pool_is_warm(const struct pool *p, const struct member *m)
{
    const struct seat *s = &p->seats[m->index];

    return s->warm && s->home != NULL && !s->home->due && context_is_warm(s->ctx);
}
