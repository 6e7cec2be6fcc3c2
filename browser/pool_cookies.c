#include "browser/pool_internal.h"
#include "core/fleet/keep.h"

struct saving {
    struct home *home;
    struct seat *seat;
};

static void add_cookie(struct buf *b, const struct json *c)
{
    static const char *const names[] = {"name",         "value",      "domain",      "path",
                                        "secure",       "httpOnly",   "sameSite",    "priority",
                                        "sourceScheme", "sourcePort", "partitionKey"};

    state_open_cookie(b, c, names, ARRAY_LEN(names));
    if (!json_bool(json_get(c, "session"), true))
        buf_addf(b, ",\"expires\":%.0f", json_num(json_get(c, "expires"), 0));
    buf_addc(b, '}');
}

static void on_cookies(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct saving *sv = arg;
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    const char *comma = "";

    (void)e;
    if (s == STATUS_OK && !sv->seat->renewed && json_len(json_get(result, "cookies")) > 0) {
        buf_addc(&b, '[');
        for (const struct json *c = json_first(json_get(result, "cookies")); c != NULL;
             c = json_next(c)) {
            buf_adds(&b, comma);
            add_cookie(&b, c);
            comma = ",";
        }
        buf_addc(&b, ']');
        free(sv->seat->cookies);
        sv->seat->cookies = buf_take(&b, NULL);
    }
    sv->seat->saving = sv->seat->renewed = false;
    sv->home->n_saving--;
    if (s != STATUS_BROWSER_GONE) { /* else the context goes with its browser */
        context_destroy(&sv->seat->ctx);
        sv->seat->home = NULL;
        home_settle(sv->home);
        pool_serve_soon(sv->home->pool);
    }
    if (s != STATUS_OK)
        log_warn(NULL, "pool.cookies.lost", LOG_STR("instance", sv->home->name));
    free(sv);
}

void seat_save_cookies(struct home *h, struct seat *s)
{
    struct saving *sv = xcalloc(1, sizeof *sv);

    *sv = (struct saving){h, s};
    h->n_saving++;
    s->saving = true;
    cdp_callf(cdp_conn_root(instance_conn(h->instance)), "Storage.getCookies",
              pool_now_ms(h->pool) + 5000, on_cookies, sv, "{\"browserContextId\":\"%s\"}",
              context_id(s->ctx));
}

/* They must be there before the first request: the lease waits for the answer. When the browser is
 * gone, so is the context; when it refused them the lease goes on without. */
static void on_loaded(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct pool_lease *l = arg;

    (void)result;
    if (s != STATUS_OK)
        log_warn(NULL, "pool.cookies.lost", LOG_ERR(e));
    l->call = 0;
    if (l->state == LEASE_MAKES && s != STATUS_BROWSER_GONE)
        pool_lease_held(l);
}

/* Of a member of the store, where no instance left any. */
void seat_find_cookies(struct seat *s)
{
    struct json *state = s->cookies == NULL ? keep_state(s->member) : NULL;
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    if (json_len(json_get(state, "cookies")) > 0) {
        state_print_cookies(&b, json_get(state, "cookies"));
        s->cookies = buf_take(&b, NULL);
    }
    buf_deinit(&b);
    json_destroy(&state);
}

void seat_load_cookies(struct pool_lease *l)
{
    struct seat *s = l->seat;
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_addf(&b, "{\"browserContextId\":\"%s\",\"cookies\":%s}", context_id(s->ctx), s->cookies);
    l->call = cdp_call(cdp_conn_root(instance_conn(s->home->instance)), "Storage.setCookies",
                       buf_str(&b), 0, on_loaded, l);
    buf_deinit(&b);
    free(steal_ptr(&s->cookies));
}
