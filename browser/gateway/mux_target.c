/* The commands of the Target domain, as a client may give them. */
#include <stdio.h>

#include "browser/gateway/mux_internal.h"

/* --- commands --- */

static void set_discover(struct mux *m, struct mux_session *s, struct mux_call *c,
                         const struct json *params)
{
    bool was = s->discover;

    if (s->kind == SESSION_BROWSER) {
        s->discover = json_bool(json_get(params, "discover"), false);
        mux_filter_read(json_get(params, "filter"), &s->discover_filter);
    }
    if (s->discover && !was) {
        if (mux_filter_has(&s->discover_filter, "browser")) {
            struct buf b = BUF_INIT(BUF_MAX_LINE);

            buf_adds(&b, "{\"targetInfo\":");
            view_print_browser(m->view, &b);
            buf_addc(&b, '}');
            mux_emit(m, s->id, "Target.targetCreated", buf_str(&b));
            buf_deinit(&b);
        }
        list_for_each (l, &m->view->targets) {
            struct view_target *t = list_entry(l, struct view_target, link);

            if (t->ready || !view_is_page(t))
                mux_say_created(m, s, t);
        }
    }
    mux_reply(c, STR_NONE);
}

static void set_auto_attach_real(struct mux *m, struct mux_session *s, struct mux_call *c,
                                 const struct json *params)
{
    struct json *p = json_dup(params);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    json_add_bool(p, "flatten", true);
    json_print(p, 0, &b);
    m->host.to_browser(m->host.arg, c, s->id, buf_str(&b));
    buf_deinit(&b);
    json_destroy(&p);
}

static void set_auto_attach(struct mux *m, struct mux_session *s, struct mux_call *c,
                            const struct json *params)
{
    if (s->kind == SESSION_REAL) {
        set_auto_attach_real(m, s, c, params);
        return;
    }
    if (!json_bool(json_get(params, "flatten"), false) &&
        json_bool(json_get(params, "autoAttach"), false)) {
        mux_refuse(c, MUX_REFUSED, "%s: sessions are flat here (flatten: true)", c->method);
        return;
    }
    s->auto_attach = json_bool(json_get(params, "autoAttach"), false);
    s->wait = json_bool(json_get(params, "waitForDebuggerOnStart"), false);
    mux_filter_read(json_get(params, "filter"), &s->attach_filter);
    if (s->kind == SESSION_TAB) {
        struct view_target *t = view_find(m->view, s->target);

        if (s->auto_attach && t != NULL && !mux_has_session(m, SESSION_REAL, s->id, t->id))
            mux_attach_page(m, s, t);
    } else if (s->auto_attach) {
        list_for_each (l, &m->view->targets)
            mux_auto_attach(m, s, list_entry(l, struct view_target, link));
    }
    mux_park(c, STR("{}"));
    mux_unpark(m);
}

static void attach_to_browser(struct mux *m, struct mux_session *s, struct mux_call *c,
                              const struct json *params)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    char id[VIEW_ID_MAX];
    struct mux_session *made;

    (void)params;
    view_new_id(id);
    made = mux_session_add(m, SESSION_BROWSER, id, s->id, "");
    if (made == NULL) {
        mux_refuse(c, MUX_REFUSED, "too many sessions");
        return;
    }
    buf_addf(&b, "{\"sessionId\":\"%s\",\"targetInfo\":", id);
    view_print_browser(m->view, &b);
    buf_adds(&b, ",\"waitingForDebugger\":false}");
    mux_emit(m, s->id, "Target.attachedToTarget", buf_str(&b));
    buf_reset(&b);
    buf_addf(&b, "{\"sessionId\":\"%s\"}", id);
    mux_reply(c, buf_str(&b));
    buf_deinit(&b);
}

static void attach_to(struct mux *m, struct mux_session *s, struct mux_call *c,
                      const struct json *params)
{
    const char *id = json_str(json_get(params, "targetId"), "");
    struct view_target *t = view_find(m->view, id);

    if (t == NULL)
        t = view_find_tab(m->view, id);
    if (!json_bool(json_get(params, "flatten"), false))
        mux_refuse(c, MUX_REFUSED, "%s: sessions are flat here (flatten: true)", c->method);
    else if (strcmp(id, m->view->lease) == 0)
        attach_to_browser(m, s, c, params);
    else if (t == NULL)
        mux_refuse(c, MUX_PARAMS, "No target with given id found");
    else
        mux_ask_attach(m, c, t->id);
}

/* What is played below it goes first. */
static void drop_played(struct mux *m, struct mux_session *s)
{
    char id[VIEW_ID_MAX];
    bool again = true;

    snprintf(id, sizeof id, "%s", s->id);
    while (again) {
        again = false;
        list_for_each (l, &m->sessions) {
            struct mux_session *child = list_entry(l, struct mux_session, link);

            if (child->kind == SESSION_REAL || strcmp(child->parent, id) != 0)
                continue;
            drop_played(m, child);
            again = true;
            break;
        }
    }
    mux_session_remove(m, s);
}

static void detach_from(struct mux *m, struct mux_session *s, struct mux_call *c,
                        const struct json *params)
{
    const char *id = json_str(json_get(params, "sessionId"), "");
    struct mux_session *gone = id[0] != '\0' ? map_find(m->by_id, str_from(id)) : NULL;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    (void)s;
    if (gone == NULL) {
        mux_refuse(c, MUX_PARAMS, "No session with given id");
    } else if (gone->kind == SESSION_REAL) {
        buf_addf(&b, "{\"sessionId\":\"%s\"}", gone->id);
        m->host.to_browser(m->host.arg, c, gone->upstream, buf_str(&b));
    } else {
        struct view_target *t = view_find(m->view, gone->target);

        mux_tell_detached(m, gone->parent, gone->id, t != NULL ? t->tab : m->view->lease);
        drop_played(m, gone);
        mux_reply(c, STR_NONE);
    }
    buf_deinit(&b);
}

static void get_targets(struct mux *m, struct mux_session *s, struct mux_call *c,
                        const struct json *params)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct filter f;
    const char *comma = "";

    (void)s;
    mux_filter_read(json_get(params, "filter"), &f);
    buf_adds(&b, "{\"targetInfos\":[");
    if (mux_filter_has(&f, "browser")) {
        view_print_browser(m->view, &b);
        comma = ",";
    }
    list_for_each (l, &m->view->targets) {
        struct view_target *t = list_entry(l, struct view_target, link);

        if (view_is_page(t) && !t->ready)
            continue;
        if (mux_filter_has(&f, t->type)) {
            buf_adds(&b, comma);
            view_print(t, &b);
            comma = ",";
        }
        if (t->tab[0] != '\0' && mux_filter_has(&f, "tab")) {
            buf_adds(&b, comma);
            view_print_tab(t, &b);
            comma = ",";
        }
    }
    buf_adds(&b, "]}");
    mux_reply(c, buf_str(&b));
    buf_deinit(&b);
}

static void get_target_info(struct mux *m, struct mux_session *s, struct mux_call *c,
                            const struct json *params)
{
    const char *id = json_str(json_get(params, "targetId"), s->target);
    struct view_target *t = view_find(m->view, id), *tab = view_find_tab(m->view, id);
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    if (t != NULL && !(s->kind == SESSION_TAB && json_get(params, "targetId") == NULL)) {
        mux_ask_info(m, c, t->id);
        return;
    }
    buf_adds(&b, "{\"targetInfo\":");
    if (t != NULL || tab != NULL)
        view_print_tab(t != NULL ? t : tab, &b);
    else if (id[0] == '\0' || strcmp(id, m->view->lease) == 0)
        view_print_browser(m->view, &b);
    buf_addc(&b, '}');
    if (t == NULL && s->kind == SESSION_REAL && json_get(params, "targetId") == NULL)
        m->host.to_browser(m->host.arg, c, s->id, STR("{}")); /* a frame or worker of a page */
    else if (b.len < sizeof "{\"targetInfo\":}")
        mux_refuse(c, MUX_PARAMS, "No target with given id found");
    else
        mux_reply(c, buf_str(&b));
    buf_deinit(&b);
}

static void create_target(struct mux *m, struct mux_session *s, struct mux_call *c,
                          const struct json *params)
{
    const char *url = json_str(json_get(params, "url"), "");
    const char *context = json_str(json_get(params, "browserContextId"), "");

    (void)s;
    if (url[0] == '\0')
        url = "about:blank";
    if (context[0] == '\0')
        context = m->scope->context;
    if (!view_has_context(m->view, context))
        mux_refuse(c, MUX_PARAMS, "Failed to find browser context with id %.64s", context);
    else if (!policy_url_ok(url))
        mux_refuse(c, MUX_REFUSED,
                   "%s: url: \"%.200s\" is refused; http, https, data and blob addresses and "
                   "about:blank are let through",
                   c->method, url);
    else
        m->host.open(m->host.arg, c, context, url);
}

static void close_target(struct mux *m, struct mux_session *s, struct mux_call *c,
                         const struct json *params)
{
    const char *id = json_str(json_get(params, "targetId"), s->target);
    struct view_target *t = view_find(m->view, id);
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (t == NULL)
        t = view_find_tab(m->view, id);
    /* Pages whose process crashed are closed by us: clients close them, too. */
    if (t == NULL && strcmp(c->method, "Target.closeTarget") == 0 && view_was(m->view, id)) {
        mux_reply(c, STR("{\"success\":true}"));
        return;
    }
    if (t == NULL) {
        mux_refuse(c, MUX_PARAMS, "No target with given id found");
        return;
    }
    buf_addf(&b, "{\"targetId\":\"%s\"}", t->id);
    m->host.to_browser(m->host.arg, c, "", buf_str(&b));
    buf_deinit(&b);
}

static void get_contexts(struct mux *m, struct mux_session *s, struct mux_call *c,
                         const struct json *params)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    (void)s;
    (void)params;
    buf_adds(&b, "{\"browserContextIds\":[");
    for (size_t i = 1; i < m->view->n_contexts; i++)
        buf_addf(&b, "%s\"%s\"", i > 1 ? "," : "", m->view->contexts[i]);
    buf_addf(&b, "],\"defaultBrowserContextId\":\"%s\"}", m->scope->context);
    mux_reply(c, buf_str(&b));
    buf_deinit(&b);
}

static void create_context(struct mux *m, struct mux_session *s, struct mux_call *c,
                           const struct json *params)
{
    (void)s;
    if (json_str(json_get(params, "proxyServer"), "")[0] != '\0')
        mux_refuse(c, MUX_REFUSED, "%s: proxyServer: the member's own proxy is used", c->method);
    else if (m->view->n_contexts >= VIEW_CONTEXTS_MAX)
        mux_refuse(c, MUX_REFUSED, "%s: a lease has at most %d contexts", c->method,
                   VIEW_CONTEXTS_MAX);
    else
        m->host.make_context(m->host.arg, c);
}

static void dispose_context(struct mux *m, struct mux_session *s, struct mux_call *c,
                            const struct json *params)
{
    const char *id = json_str(json_get(params, "browserContextId"), "");

    (void)s;
    if (!view_has_context(m->view, id))
        mux_refuse(c, MUX_PARAMS, "Failed to find context with id %.64s", id);
    else if (strcmp(id, m->scope->context) == 0)
        mux_refuse(c, MUX_REFUSED, "%s: the lease's own context stays as long as it", c->method);
    else
        m->host.drop_context(m->host.arg, c, id);
}

own_fn *mux_own_target(const char *method)
{
    static const struct {
        const char *method;
        own_fn *fn;
    } own[] = {
        {"Target.setDiscoverTargets", set_discover},
        {"Target.setAutoAttach", set_auto_attach},
        {"Target.attachToTarget", attach_to},
        {"Target.attachToBrowserTarget", attach_to_browser},
        {"Target.detachFromTarget", detach_from},
        {"Target.getTargets", get_targets},
        {"Target.getTargetInfo", get_target_info},
        {"Target.createTarget", create_target},
        {"Target.closeTarget", close_target},
        {"Target.activateTarget", close_target},
        {"Target.getBrowserContexts", get_contexts},
        {"Target.createBrowserContext", create_context},
        {"Target.disposeBrowserContext", dispose_context},
    };

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strcmp(own[i].method, method) == 0)
            return own[i].fn;
    return NULL;
}
