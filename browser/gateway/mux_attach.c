/* What a client is told of targets, and how it comes to be attached to them.
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

void mux_filter_read(const struct json *j, struct filter *f)
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

bool mux_filter_has(const struct filter *f, const char *type)
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

void mux_say_created(struct mux *m, struct mux_session *s, void *target)
{
    struct view_target *t = target;

    if (s->discover && t->tab[0] != '\0' && mux_filter_has(&s->discover_filter, "tab"))
        tell_info(m, s->id, "Target.targetCreated", t, true);
    if (s->discover && mux_filter_has(&s->discover_filter, t->type))
        tell_info(m, s->id, "Target.targetCreated", t, false);
}

/* Of tabs the browser tells nothing when their page goes elsewhere (156), and Puppeteer would take
 * the news of one for a page's. */
static void say_changed(struct mux *m, struct mux_session *s, void *arg)
{
    struct view_target *t = arg;

    if (s->discover && mux_filter_has(&s->discover_filter, t->type))
        tell_info(m, s->id, "Target.targetInfoChanged", t, false);
}

static void say_destroyed(struct mux *m, struct mux_session *s, void *arg)
{
    struct view_target *t = arg;

    if (s->discover && mux_filter_has(&s->discover_filter, t->type))
        tell_id(m, s->id, "Target.targetDestroyed", t->id);
    if (s->discover && t->tab[0] != '\0' && mux_filter_has(&s->discover_filter, "tab"))
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

void mux_tell_detached(struct mux *m, const char *parent, const char *session, const char *target)
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

void mux_ask_attach(struct mux *m, struct mux_call *c, const char *target)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    snprintf(c->target, sizeof c->target, "%s", target);
    buf_addf(&b, "{\"targetId\":\"%s\",\"flatten\":true}", target);
    m->host.to_browser(m->host.arg, c, "", buf_str(&b));
    buf_deinit(&b);
}

/* By itself, for a played session: the target waits meanwhile. */
void mux_attach_page(struct mux *m, struct mux_session *s, struct view_target *t)
{
    struct mux_call *c = mux_call_new(m, "Target.attachToTarget");

    snprintf(c->session, sizeof c->session, "%s", s->id);
    c->parked = false;
    s->attaching++;
    if (t->hold[0] != '\0')
        t->waiters++;
    mux_ask_attach(m, c, t->id);
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

bool mux_has_session(const struct mux *m, enum session_kind k, const char *parent,
                     const char *target)
{
    list_for_each (l, &m->sessions) {
        const struct mux_session *s = list_entry(l, struct mux_session, link);

        if (s->kind == k && strcmp(s->parent, parent) == 0 && strcmp(s->target, target) == 0)
            return true;
    }
    return false;
}

void mux_auto_attach(struct mux *m, struct mux_session *s, void *target)
{
    struct view_target *t = target;
    bool tabs = view_is_page(t) && mux_filter_has(&s->attach_filter, "tab");

    if (!s->auto_attach || !t->ready || !is_of_browser(t))
        return;
    if (tabs && !mux_has_session(m, SESSION_TAB, s->id, t->id))
        attach_tab(m, s, t);
    else if (!tabs && mux_filter_has(&s->attach_filter, t->type) &&
             !mux_has_session(m, SESSION_REAL, s->id, t->id))
        mux_attach_page(m, s, t);
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
    mux_ask_attach(m, mux_call_new(m, "Target.attachToTarget"), page);
}

/* --- answers that wait --- */

void mux_park(struct mux_call *c, struct str result)
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
    mux_park(c, text);
    mux_unpark(m);
}

/* --- a target as it is now: its title changes without news --- */

void mux_ask_info(struct mux *m, struct mux_call *c, const char *target)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    snprintf(c->target, sizeof c->target, "%s", target);
    buf_addf(&b, "{\"targetId\":\"%s\"}", target);
    m->host.to_browser(m->host.arg, c, "", buf_str(&b));
    buf_deinit(&b);
}

void mux_informed(struct mux *m, struct mux_call *c, struct str text)
{
    struct json *result = json_parse(text, false, NULL);
    const struct json *info = json_get(result, "targetInfo");
    struct view_target *t = view_find(m->view, c->target);
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    if (t != NULL && strcmp(json_str(json_get(info, "targetId"), ""), t->id) == 0)
        t = view_update(m->view, info);
    if (t == NULL) {
        mux_refuse(c, MUX_PARAMS, "No target with given id found");
    } else {
        buf_adds(&b, "{\"targetInfo\":");
        view_print(t, &b);
        buf_addc(&b, '}');
        mux_reply(c, buf_str(&b));
    }
    buf_deinit(&b);
    json_destroy(&result);
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

/* A session ended. With a connection's own page the connection ends, as the browser's own does. */
static void tell_ended(struct mux *m, const struct mux_session *s, const char *target)
{
    if (!m->is_page || strcmp(s->id, m->main) != 0) {
        mux_tell_detached(m, s->parent, s->id, target);
        return;
    }
    mux_emit(m, m->main, "Inspector.detached", STR("{\"reason\":\"target_closed\"}"));
    m->host.over(m->host.arg);
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
        tell_ended(m, child, child->target);
        mux_session_remove(m, child);
    }
    json_destroy(&params);
}

/* --- news of the view --- */

void mux_created(struct mux *m, struct view_target *t)
{
    each_browser(m, mux_say_created, t);
}

bool mux_ready(struct mux *m, struct view_target *t)
{
    unsigned before = t->waiters;

    each_browser(m, mux_say_created, t);
    each_browser(m, mux_auto_attach, t);
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
            tell_ended(m, s, s->kind == SESSION_TAB ? t->tab : t->id);
            mux_session_remove(m, s);
            again = true;
            break;
        }
    }
    each_browser(m, say_destroyed, t);
    mux_unpark(m);
}
