/* One subscription an instance to what its targets do, whoever they belong to; each lease on it
 * picks its own by browser context. A subscription a client would cost a message a client for each
 * change of each page of all others. */
#include "browser/gateway/gateway_internal.h"

static void each(struct hub *h, const struct json *info, bool created)
{
    list_for_each (link, &h->leases)
        lease_target_news(list_entry(link, struct lease, hub_link), info, created);
}

static void on_created(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)s;
    each(arg, json_get(params, "targetInfo"), true);
}

static void on_changed(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)s;
    each(arg, json_get(params, "targetInfo"), false);
}

static void on_destroyed(void *arg, struct cdp_session *s, const struct json *params)
{
    struct hub *h = arg;

    (void)s;
    list_for_each (link, &h->leases)
        lease_target_gone(list_entry(link, struct lease, hub_link),
                          json_str(json_get(params, "targetId"), ""));
}

static const struct cdp_handler handlers[] = {
    {"Target.targetCreated", on_created},
    {"Target.targetInfoChanged", on_changed},
    {"Target.targetDestroyed", on_destroyed},
};

static struct hub *hub_create(struct gateway *g, struct cdp_conn *conn)
{
    struct hub *h = xcalloc(1, sizeof *h);

    h->gateway = g;
    h->conn = conn;
    list_init(&h->leases);
    list_push(&g->hubs, &h->link);
    cdp_listen(cdp_conn_root(conn), &h->listener, handlers, ARRAY_LEN(handlers), h);
    cdp_tell(cdp_conn_root(conn), "Target.setDiscoverTargets", STR("{\"discover\":true}"));
    return h;
}

void hub_join(struct gateway *g, struct lease *l, struct cdp_conn *conn)
{
    struct hub *h = NULL;

    list_for_each (link, &g->hubs) {
        struct hub *other = list_entry(link, struct hub, link);

        if (other->conn == conn)
            h = other;
    }
    if (h == NULL)
        h = hub_create(g, conn);
    l->hub = h;
    list_push(&h->leases, &l->hub_link);
}

void hub_leave(struct lease *l)
{
    struct hub *h = l->hub;

    if (h == NULL)
        return;
    l->hub = NULL;
    list_remove(&l->hub_link);
    if (!list_empty(&h->leases))
        return;
    if (cdp_conn_is_open(h->conn))
        cdp_tell(cdp_conn_root(h->conn), "Target.setDiscoverTargets", STR("{\"discover\":false}"));
    cdp_unlisten(&h->listener);
    list_remove(&h->link);
    free(h);
}
