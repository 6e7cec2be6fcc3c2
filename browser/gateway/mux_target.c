/* The Target domain as a client sees it.
 *
 * A session of the browser kind that attaches by itself gets each target of the view that its
 * filter lets in: pages (or, for those who ask for them as Puppeteer does, a tab around each, whose
 * own session attaches the page), and the workers that belong to no page. The attachment is made
 * with an explicit Target.attachToTarget, which takes a turn; answers that clients expect after the
 * event (createTarget, setAutoAttach) wait for it. */
#include <stdio.h>

#include "browser/gateway/mux_internal.h"

/* --- filters --- */

static const struct filter usual = {
    .v = {{"browser", true}, {"tab", true}, {"", false}},
    .n = 3,
};

static void filter_read(const struct json *j, struct filter *f)
{
    *f = usual;
    if (j == NULL || json_type(j) != JSON_ARRAY)
        return;
    f->n = 0;
    for (const struct json *x = json_first(j); x != NULL && f->n < FILTER_MAX; x = json_next(x)) {
        snprintf(f->v[f->n].type, VIEW_TYPE_MAX, "%s", json_str(json_get(x, "type"), ""));
        f->v[f->n++].exclude = json_bool(json_get(x, "exclude"), false);
    }
}

static bool filter_has(const struct filter *f, const char *type)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].type[0] == '\0' || strcmp(f->v[i].type, type) == 0)
            return !f->v[i].exclude;
    return false;
}

/* --- telling of targets --- */

/* Frames and workers of a page are found on the page's session; these stand by themselves. */
static bool is_of_browser(const struct view_target *t)
{
    return view_is_page(t) || strcmp(t->type, "service_worker") == 0 ||
           strcmp(t->type, "shared_worker") == 0;
}

static void tell_info(struct mux *m, const char *session, const char *method,
                      const struct view_target *t, bool tab)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_adds(&b, "{\"targetInfo\":");
    if (tab)
        view_print_tab(t, &b);
    else
        view_print(t, &b);
    buf_addc(&b, '}');
    mux_emit(m, session, method, buf_str(&b));
    buf_deinit(&b);
}

static void tell_id(struct mux *m, const char *session, const char *method, const char *id)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "{\"targetId\":\"%s\"}", id);
    mux_emit(m, session, method, buf_str(&b));
    buf_deinit(&b);
}

/* `fn` for the connection's own session and further ones of the browser. */
static void each_browser(struct mux *m, void (*fn)(struct mux *m, struct mux_session *s, void *arg),
                         void *arg)
{
    if (!m->is_page)
        fn(m, &m->root, arg);
    list_for_each_safe (l, &m->sessions) {
        struct mux_session *s = list_entry(l, struct mux_session, link);

        if (s->kind == SESSION_BROWSER)
            fn(m, s, arg);
    }
}

static void say_created(struct mux *m, struct mux_session *s, void *arg)
{
    struct view_target *t = arg;

    if (s->discover && t->tab[0] != '\0' && filter_has(&s->discover_filter, "tab"))
        tell_info(m, s->id, "Target.targetCreated", t, true);
    if (s->discover && filter_has(&s->discover_filter, t->type))
        tell_info(m, s->id, "Target.targetCreated", t, false);
}

static void say_changed(struct mux *m, struct mux_session *s, void *arg)
{
    struct view_target *t = arg;

    if (s->discover && t->tab[0] != '\0' && filter_has(&s->discover_filter, "tab"))
        tell_info(m, s->id, "Target.targetInfoChanged", t, true);
    if (s->discover && filter_has(&s->discover_filter, t->type))
        tell_info(m, s->id, "Target.targetInfoChanged", t, false);
}

static void say_destroyed(struct mux *m, struct mux_session *s, void *arg)
{
    struct view_target *t = arg;

    if (s->discover && filter_has(&s->discover_filter, t->type))
        tell_id(m, s->id, "Target.targetDestroyed", t->id);
    if (s->discover && t->tab[0] != '\0' && filter_has(&s->discover_filter, "tab"))
        tell_id(m, s->id, "Target.targetDestroyed", t->tab);
}

/* --- attaching --- */

static void tell_attached(struct mux *m, const struct mux_session *s, const struct view_target *t,
                          bool waits)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_addf(&b, "{\"sessionId\":\"%s\",\"targetInfo\":", s->id);
    if (s->kind == SESSION_TAB)
        view_print_tab(t, &b);
    else
        view_print(t, &b);
    buf_addf(&b, ",\"waitingForDebugger\":%s}", waits ? "true" : "false");
    mux_emit(m, s->parent, "Target.attachedToTarget", buf_str(&b));
    buf_deinit(&b);
}

static void tell_detached(struct mux *m, const char *parent, const char *session,
                          const char *target)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "{\"sessionId\":\"%s\",\"targetId\":\"%s\"}", session, target);
    mux_emit(m, parent, "Target.detachedFromTarget", buf_str(&b));
    buf_deinit(&b);
}

bool mux_is_attach(const struct mux_call *c)
{
    return strcmp(c->method, "Target.attachToTarget") == 0;
}

static void ask_attach(struct mux *m, struct mux_call *c, const char *target)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    snprintf(c->target, sizeof c->target, "%s", target);
    buf_addf(&b, "{\"targetId\":\"%s\",\"flatten\":true}", target);
    m->host.to_browser(m->host.arg, c, "", buf_str(&b));
    buf_deinit(&b);
}

/* By itself, for a played session: the target waits meanwhile. */
static void attach_page(struct mux *m, struct mux_session *s, struct view_target *t)
{
    struct mux_call *c = mux_call_new(m, "Target.attachToTarget");

    snprintf(c->session, sizeof c->session, "%s", s->id);
    c->parked = false;
    s->attaching++;
    if (t->hold[0] != '\0')
        t->waiters++;
    ask_attach(m, c, t->id);
}

static void attach_tab(struct mux *m, struct mux_session *s, struct view_target *t)
{
    char id[VIEW_ID_MAX];
    struct mux_session *tab;

    view_new_id(id);
    tab = mux_session_add(m, SESSION_TAB, id, s->id, t->id);
    if (tab == NULL)
        return;
    tab->wait = s->wait;
    tab->waits = s->wait && t->hold[0] != '\0';
    if (tab->waits)
        t->waiters++;
    tell_attached(m, tab, t, tab->waits);
}

static bool has_session(const struct mux *m, enum session_kind k, const char *parent,
                        const char *target)
{
    list_for_each (l, &m->sessions) {
        const struct mux_session *s = list_entry(l, struct mux_session, link);

        if (s->kind == k && strcmp(s->parent, parent) == 0 && strcmp(s->target, target) == 0)
            return true;
    }
    return false;
}

static void auto_attach(struct mux *m, struct mux_session *s, void *arg)
{
    struct view_target *t = arg;
    bool tabs = view_is_page(t) && filter_has(&s->attach_filter, "tab");

    if (!s->auto_attach || !t->ready || !is_of_browser(t))
        return;
    if (tabs && !has_session(m, SESSION_TAB, s->id, t->id))
        attach_tab(m, s, t);
    else if (!tabs && filter_has(&s->attach_filter, t->type) &&
             !has_session(m, SESSION_REAL, s->id, t->id))
        attach_page(m, s, t);
}

/* The attachment that was asked for: told, and whoever waited for it is answered. */
void mux_attached(struct mux *m, struct mux_call *c, enum status s, struct str text)
{
    struct mux_session *owner = mux_session_find(m, c->session), *made = NULL;
    struct view_target *t = view_find(m->view, c->target);
    struct json *result = s == STATUS_OK ? json_parse(text, false, NULL) : NULL;
    const char *id = json_str(json_get(result, "sessionId"), "");
    bool by_itself = c->silent, paused = t != NULL && t->hold[0] != '\0';
    bool waits = by_itself && paused && owner != NULL && owner->wait;

    if (by_itself && owner != NULL && owner->attaching > 0)
        owner->attaching--;
    if (t != NULL && id[0] != '\0' && (owner != NULL || m->is_page) &&
        m->host.adopt(m->host.arg, id))
        made = mux_session_add(m, SESSION_REAL, id, c->session, t->id);
    if (made != NULL) {
        made->waits = waits;
        if (m->is_page && !m->attached)
            snprintf(m->main, sizeof m->main, "%s", id);
        else
            tell_attached(m, made, t, waits);
    }
    if (by_itself && paused && (made == NULL || !waits) && t->waiters > 0 && --t->waiters == 0)
        m->host.run(m->host.arg, t, NULL);
    if (!by_itself && made != NULL)
        mux_reply(c, text);
    else if (!by_itself)
        mux_refuse(c, MUX_REFUSED, "No target with given id found");
    else
        mux_call_free(c);
    json_destroy(&result);
    if (m->is_page && !m->attached)
        mux_main_ready(m);
    mux_unpark(m);
}

void mux_attach_main(struct mux *m, const char *page)
{
    ask_attach(m, mux_call_new(m, "Target.attachToTarget"), page);
}

/* --- answers that wait --- */

static void park(struct mux_call *c, struct str result)
{
    c->parked = true;
    c->answer = xcalloc(1, result.len + 1);
    memcpy(c->answer, result.ptr, result.len);
}

static bool is_attaching(const struct mux *m, const char *target)
{
    list_for_each (l, &m->calls) {
        const struct mux_call *c = list_entry(l, struct mux_call, link);

        if (c->silent && mux_is_attach(c) && strcmp(c->target, target) == 0)
            return true;
    }
    return false;
}

static bool may_unpark(struct mux *m, const struct mux_call *c)
{
    struct mux_session *s;
    struct view_target *t;

    if (c->target[0] == '\0') { /* setAutoAttach */
        s = mux_session_find(m, c->session);
        return s == NULL || s->attaching == 0;
    }
    t = view_find(m->view, c->target);
    return t == NULL || (t->ready && !is_attaching(m, c->target) && (t->running || t->waiters > 0));
}

void mux_running(struct mux *m)
{
    mux_unpark(m);
}

void mux_unpark(struct mux *m)
{
    bool again = true;

    while (again) {
        again = false;
        list_for_each (l, &m->calls) {
            struct mux_call *c = list_entry(l, struct mux_call, link);

            if (!c->parked || !may_unpark(m, c))
                continue;
            c->parked = false;
            mux_reply(c, str_from(c->answer));
            again = true;
            break;
        }
    }
}

void mux_opened(struct mux *m, struct mux_call *c, struct str text)
{
    struct json *result = json_parse(text, false, NULL);

    snprintf(c->target, sizeof c->target, "%s", json_str(json_get(result, "targetId"), ""));
    json_destroy(&result);
    park(c, text);
    mux_unpark(m);
}

/* --- commands --- */

static void set_discover(struct mux *m, struct mux_session *s, struct mux_call *c,
                         const struct json *params)
{
    bool was = s->discover;

    if (s->kind == SESSION_BROWSER) {
        s->discover = json_bool(json_get(params, "discover"), false);
        filter_read(json_get(params, "filter"), &s->discover_filter);
    }
    if (s->discover && !was) {
        if (filter_has(&s->discover_filter, "browser")) {
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
                say_created(m, s, t);
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
    filter_read(json_get(params, "filter"), &s->attach_filter);
    if (s->kind == SESSION_TAB) {
        struct view_target *t = view_find(m->view, s->target);

        if (s->auto_attach && t != NULL && !has_session(m, SESSION_REAL, s->id, t->id))
            attach_page(m, s, t);
    } else if (s->auto_attach) {
        list_for_each (l, &m->view->targets)
            auto_attach(m, s, list_entry(l, struct view_target, link));
    }
    park(c, STR("{}"));
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
        ask_attach(m, c, t->id);
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

        tell_detached(m, gone->parent, gone->id, t != NULL ? t->tab : m->view->lease);
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
    filter_read(json_get(params, "filter"), &f);
    buf_adds(&b, "{\"targetInfos\":[");
    if (filter_has(&f, "browser")) {
        view_print_browser(m->view, &b);
        comma = ",";
    }
    list_for_each (l, &m->view->targets) {
        struct view_target *t = list_entry(l, struct view_target, link);

        if (view_is_page(t) && !t->ready)
            continue;
        if (filter_has(&f, t->type)) {
            buf_adds(&b, comma);
            view_print(t, &b);
            comma = ",";
        }
        if (t->tab[0] != '\0' && filter_has(&f, "tab")) {
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

    buf_adds(&b, "{\"targetInfo\":");
    if (t != NULL && !(s->kind == SESSION_TAB && json_get(params, "targetId") == NULL))
        view_print(t, &b);
    else if (t != NULL || tab != NULL)
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

/* --- sessions that the browser makes and ends --- */

static void child_attached(struct mux *m, struct mux_session *s, const struct json *params)
{
    const char *id = json_str(json_get(params, "sessionId"), "");
    const char *target = json_str(json_at(params, "targetInfo", "targetId", NULL), "");
    struct mux_session *child =
        m->host.adopt(m->host.arg, id) ? mux_session_add(m, SESSION_REAL, id, s->id, target) : NULL;

    if (child != NULL)
        snprintf(child->upstream, sizeof child->upstream, "%s", s->id);
}

void mux_child_event(struct mux *m, struct mux_session *s, struct str method, struct str text)
{
    struct json *params = json_parse(text, false, NULL);
    const char *id = json_str(json_get(params, "sessionId"), "");
    struct mux_session *child = id[0] != '\0' ? map_find(m->by_id, str_from(id)) : NULL;

    if (str_eqz(method, "Target.attachedToTarget")) {
        if (s->id[0] != '\0') { /* those of the browser's session are told when they are answered */
            child_attached(m, s, params);
            mux_emit(m, s->id, "Target.attachedToTarget", text);
        }
    } else if (child != NULL && child->kind == SESSION_REAL) {
        char parent[VIEW_ID_MAX], target[VIEW_ID_MAX];
        bool is_main = m->is_page && strcmp(child->id, m->main) == 0;

        snprintf(parent, sizeof parent, "%s", child->parent);
        snprintf(target, sizeof target, "%s", child->target);
        if (is_main)
            mux_emit(m, m->main, "Inspector.detached", STR("{\"reason\":\"target_closed\"}"));
        else
            tell_detached(m, parent, child->id, target);
        mux_session_remove(m, child);
    }
    json_destroy(&params);
}

/* --- news of the view --- */

void mux_created(struct mux *m, struct view_target *t)
{
    each_browser(m, say_created, t);
}

bool mux_ready(struct mux *m, struct view_target *t)
{
    unsigned before = t->waiters;

    each_browser(m, say_created, t);
    each_browser(m, auto_attach, t);
    mux_unpark(m);
    return t->waiters > before;
}

void mux_changed(struct mux *m, struct view_target *t)
{
    if (t->ready || !view_is_page(t))
        each_browser(m, say_changed, t);
}

/* Tabs end with their page; its real sessions were ended by the browser. */
void mux_gone(struct mux *m, struct view_target *t)
{
    bool again = true;

    while (again) {
        again = false;
        list_for_each (l, &m->sessions) {
            struct mux_session *s = list_entry(l, struct mux_session, link);

            if (strcmp(s->target, t->id) != 0)
                continue;
            tell_detached(m, s->parent, s->id, s->kind == SESSION_TAB ? t->tab : t->id);
            mux_session_remove(m, s);
            again = true;
            break;
        }
    }
    each_browser(m, say_destroyed, t);
    mux_unpark(m);
}
