/* What else is answered here: windows, the end of the browser, resuming, Fleet's own methods. */
#include "browser/gateway/mux_internal.h"

/* Windows are of the whole browser's numbering, and what they measure is the identity's: each
 * client is shown one, which is as large as that says. */
static void get_window(struct mux *m, struct mux_session *s, struct mux_call *c,
                       const struct json *params)
{
    const struct identity *id = m->scope->identity;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    (void)s;
    (void)params;
    buf_addf(&b,
             "{\"windowId\":1,\"bounds\":{\"left\":0,\"top\":0,\"width\":%u,\"height\":%u,"
             "\"windowState\":\"normal\"}}",
             id->window_w > 0 ? id->window_w : id->viewport_w,
             id->window_h > 0 ? id->window_h : id->viewport_h);
    mux_reply(c, buf_str(&b));
    buf_deinit(&b);
}

/* The lease is given back. */
static void close_browser(struct mux *m, struct mux_session *s, struct mux_call *c,
                          const struct json *params)
{
    struct mux_host host = m->host;

    (void)s;
    (void)params;
    mux_reply(c, STR_NONE);
    host.release(host.arg);
}

static void run_if_waiting(struct mux *m, struct mux_session *s, struct mux_call *c,
                           const struct json *params)
{
    (void)params;
    if (s->kind == SESSION_REAL && !s->waits) /* a frame or worker below a page */
        m->host.to_browser(m->host.arg, c, s->id, STR("{}"));
    else
        mux_let_run(m, s, c);
}

static void fleet(struct mux *m, struct mux_session *s, struct mux_call *c,
                  const struct json *params)
{
    (void)s;
    m->host.fleet(m->host.arg, c, params);
}

own_fn *mux_own_browser(const char *method)
{
    static const struct {
        const char *method;
        own_fn *fn;
    } own[] = {
        {"Browser.close", close_browser},
        {"Browser.getWindowBounds", get_window},
        {"Browser.getWindowForTarget", get_window},
        {"Fleet.handoff", fleet},
        {"Fleet.status", fleet},
        {"Runtime.runIfWaitingForDebugger", run_if_waiting},
    };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strcmp(own[i].method, method) == 0)
            return own[i].fn;
    return NULL;
}
