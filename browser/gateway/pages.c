/* Pages over HTTP, as Chromium's own port has them: chrome-remote-interface's New, Activate, Close.
 */
#include <sodium.h>
#include <stdio.h>

#include "browser/gateway/gateway_internal.h"

enum { NEW_MS = 5 * 1000 };

/* Somebody asked for a page: it is answered when the page may be connected to. */
struct page_ask {
    struct list link;
    struct lease *lease;
    struct exchange *x;
    char target[VIEW_ID_MAX]; /* "": not made yet */
    char *url;
};

static void act(struct lease *l, const char *method, struct str params, const char *url,
                enum status s)
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, (const unsigned char *)params.ptr, params.len);
    lease_acted(l, method, hash, url, s);
}

static void answer_page(struct exchange *x, const struct lease *l, const struct view_target *t)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    discovery_target(l, t, gateway_base_of(l->gateway, x), gateway_is_tls(x), &b);
    buf_addc(&b, '\n');
    exchange_answer_buf(x, 200, "application/json; charset=UTF-8", &b);
}

void pages_settle(struct lease *l)
{
    list_for_each_safe (link, &l->asks) {
        struct page_ask *a = list_entry(link, struct page_ask, link);
        struct view_target *t = a->target[0] != '\0' ? view_find(&l->view, a->target) : NULL;
        bool over = l->state >= LEASE_ENDING;

        if (a->target[0] == '\0' || (!over && t != NULL && !t->ready))
            continue; /* the browser's answer comes, or the page is on its way */
        list_remove(&a->link);
        if (over || t == NULL)
            exchange_fail(a->x, STATUS_CLOSED, "the lease or the page is over");
        else
            answer_page(a->x, l, t);
        free(a->url);
        free(a);
    }
}

static void on_made(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct page_ask *a = arg;
    struct lease *l = a->lease;

    l->n_making--;
    if (s == STATUS_OK) {
        snprintf(a->target, sizeof a->target, "%s", json_str(json_get(result, "targetId"), "none"));
        if (strncmp(a->url, "about:blank", 11) != 0)
            lease_lead_to(l, a->target, a->url);
    } else {
        list_remove(&a->link);
        exchange_answer_err(a->x, e);
        free(a->url);
        free(a);
    }
    pages_settle(l);
    lease_release_check(l);
}

/* What follows the question mark is an address, not a form: it is put together again. */
static const char *address_of_query(struct exchange *x)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    const char *name, *value, *url;

    for (size_t i = 0; exchange_query_at(x, i, &name, &value); i++)
        buf_addf(&b, "%s%s%s%s", i > 0 ? "&" : "", name, value[0] != '\0' ? "=" : "", value);
    url = b.len > 0 ? arena_strndup(exchange_arena(x), b.ptr, b.len) : "about:blank";
    buf_deinit(&b);
    return url;
}

void pages_new(struct exchange *x, void *gateway)
{
    struct lease *l = gateway_lease_of(x, gateway);
    const char *url = address_of_query(x);
    struct page_ask *a;

    if (l == NULL)
        return;
    if (!policy_url_ok(url)) {
        act(l, "Target.createTarget", str_from(url), url, STATUS_POLICY_DENIED);
        exchange_fail(x, STATUS_POLICY_DENIED,
                      "\"%.200s\" is refused; http, https, data and blob addresses and about:blank "
                      "are let through",
                      url);
        return;
    }
    if (!l->own.begun || l->lost) {
        exchange_fail(x, STATUS_UNAVAILABLE, "the lease has no browser yet, or not any more");
        return;
    }
    a = xcalloc(1, sizeof *a);
    a->lease = l;
    a->x = x;
    a->url = xstrdup(url);
    list_push(&l->asks, &a->link);
    l->n_making++;
    act(l, "Target.createTarget", str_from(url), url, STATUS_OK);
    cdp_callf(cdp_conn_root(context_conn(l->own.ctx)), "Target.createTarget",
              loop_now_ms(l->gateway->deps.loop) + NEW_MS, on_made, a,
              "{\"url\":\"about:blank\",\"browserContextId\":\"%s\"}", context_id(l->own.ctx));
}

/* Tells the browser; its answer is not waited for, as Chromium does not either. */
static void tell(struct exchange *x, struct gateway *g, const char *method, const char *said)
{
    const char *id = exchange_param(x, "page");
    struct lease *l = gateway_lease_of(x, g);
    struct view_target *t = l != NULL ? view_find(&l->view, id) : NULL;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (l == NULL)
        return;
    if (t == NULL || l->lost || !l->own.begun) {
        exchange_fail(x, STATUS_NOT_FOUND, "there is no page %.32s", id);
        return;
    }
    buf_addf(&b, "{\"targetId\":\"%s\"}", t->id);
    act(l, method, buf_str(&b), json_str(json_get(t->info, "url"), ""), STATUS_OK);
    cdp_call(cdp_conn_root(context_conn(l->own.ctx)), method, buf_str(&b), 0, NULL, NULL);
    buf_deinit(&b);
    exchange_answer(x, 200, "text/plain; charset=UTF-8", str_from(said));
}

void pages_activate(struct exchange *x, void *gateway)
{
    tell(x, gateway, "Target.activateTarget", "Target activated");
}

void pages_close(struct exchange *x, void *gateway)
{
    tell(x, gateway, "Target.closeTarget", "Target is closing");
}
