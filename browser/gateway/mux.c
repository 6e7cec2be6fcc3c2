#include "browser/gateway/mux_internal.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "browser/cdp/conn.h"

/* --- out --- */

static void add_session(struct buf *b, const char *session)
{
    if (session[0] != '\0')
        buf_addf(b, ",\"sessionId\":\"%s\"", session);
}

static void send(struct mux *m, struct buf *b)
{
    if (buf_status(b) == STATUS_OK)
        m->host.to_client(m->host.arg, buf_str(b));
    buf_deinit(b);
}

/* What the client calls it: a page's connection has its own session without an id. */
static const char *shown(const struct mux *m, const char *session)
{
    return m->is_page && strcmp(session, m->main) == 0 ? "" : session;
}

void mux_emit(struct mux *m, const char *session, const char *method, struct str params)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_addf(&b, "{\"method\":\"%s\",\"params\":", method);
    buf_addstr(&b, params.len > 0 ? params : STR("{}"));
    add_session(&b, shown(m, session));
    buf_addc(&b, '}');
    send(m, &b);
}

void mux_tell(struct mux *m, const char *method, struct str params)
{
    mux_emit(m, "", method, params);
}

static void answer(struct mux_call *c, const char *kind, struct str text)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    if (c->silent || c->mux == NULL)
        return;
    buf_addf(&b, "{\"id\":%" PRIu64 ",\"%s\":", c->id, kind);
    buf_addstr(&b, text);
    add_session(&b, shown(c->mux, c->session));
    buf_addc(&b, '}');
    send(c->mux, &b);
}

/* --- calls --- */

struct mux_call *mux_call_new(struct mux *m, const char *method)
{
    struct mux_call *c = xcalloc(1, sizeof *c);

    c->mux = m;
    c->silent = true;
    c->rule = policy_rule(str_from(method));
    snprintf(c->method, sizeof c->method, "%s", method);
    list_push(&m->calls, &c->link);
    m->n_calls++;
    return c;
}

void mux_call_free(struct mux_call *c)
{
    if (c->mux != NULL) {
        list_remove(&c->link);
        c->mux->n_calls--;
        c->mux->bytes -= c->bytes;
    }
    free(c->answer);
    free(c);
}

static const char *url_of(struct mux *m, const struct mux_call *c)
{
    struct mux_session *s = mux_session_find(m, c->session);
    const char *id = c->target[0] != '\0' ? c->target : s != NULL ? s->target : "";
    struct view_target *t = id[0] != '\0' ? view_find(m->view, id) : NULL;

    return t != NULL ? json_str(json_get(t->info, "url"), "") : "";
}

static void over(struct mux_call *c, enum status s)
{
    if (c->mux != NULL && !c->silent && (c->rule->flags & RULE_ACTS) != 0)
        c->mux->host.acted(c->mux->host.arg, c, url_of(c->mux, c), s);
    mux_call_free(c);
}

void mux_reply(struct mux_call *c, struct str result)
{
    answer(c, "result", result.len > 0 ? result : STR("{}"));
    over(c, STATUS_OK);
}

static void print_error(struct buf *b, int code, struct str message)
{
    buf_addf(b, "{\"code\":%d,\"message\":", code);
    json_print_str(message, b);
    buf_addc(b, '}');
}

void mux_refuse(struct mux_call *c, int code, const char *fmt, ...)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE), text = BUF_INIT(BUF_MAX_LINE);
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    print_error(&b, code, buf_str(&text));
    answer(c, "error", buf_str(&b));
    buf_deinit(&text);
    buf_deinit(&b);
    over(c, STATUS_POLICY_DENIED);
}

void mux_answered(struct mux_call *c, enum status s, struct str text, const struct err *e)
{
    if (c->mux == NULL) {
        mux_call_free(c);
    } else if (mux_is_attach(c)) {
        mux_attached(c->mux, c, s, text);
    } else if (s == STATUS_OK && strcmp(c->method, "Target.createTarget") == 0) {
        mux_opened(c->mux, c, text);
    } else if (s == STATUS_OK && c->target[0] != '\0' &&
               strcmp(c->method, "Target.getTargetInfo") == 0) {
        mux_informed(c->mux, c, text);
    } else if (s == STATUS_PROTOCOL && strcmp(c->method, "Target.closeTarget") == 0) {
        mux_reply(c, STR("{\"success\":true}")); /* it was there when it was asked: it went */
    } else if (s == STATUS_OK) {
        mux_reply(c, text);
    } else if (text.len > 0) {
        answer(c, "error", text);
        over(c, s);
    } else {
        struct buf b = BUF_INIT(BUF_MAX_LINE);

        print_error(&b, s == STATUS_CLOSED ? MUX_SESSION_GONE : MUX_REFUSED, str_from(err_text(e)));
        answer(c, "error", buf_str(&b));
        buf_deinit(&b);
        over(c, s);
    }
}

/* --- sessions --- */

struct mux_session *mux_session_find(struct mux *m, const char *id)
{
    if (id[0] != '\0')
        return map_find(m->by_id, str_from(id));
    return m->is_page ? map_find(m->by_id, str_from(m->main)) : &m->root;
}

struct mux_session *mux_session_add(struct mux *m, enum session_kind k, const char *id,
                                    const char *parent, const char *target)
{
    struct mux_session *s;
    struct view_target *t;

    if (m->n_sessions == MUX_SESSIONS_MAX || strlen(id) >= VIEW_ID_MAX || id[0] == '\0' ||
        map_find(m->by_id, str_from(id)) != NULL)
        return NULL;
    s = xcalloc(1, sizeof *s);
    s->kind = k;
    snprintf(s->id, sizeof s->id, "%s", id);
    snprintf(s->parent, sizeof s->parent, "%s", parent);
    snprintf(s->target, sizeof s->target, "%.*s", VIEW_ID_MAX - 1, target);
    map_put(m->by_id, str_from(s->id), s);
    list_push(&m->sessions, &s->link);
    m->n_sessions++;
    t = k == SESSION_REAL ? view_find(m->view, s->target) : NULL;
    if (t != NULL) {
        t->n_sessions++;
        s->counted = true;
    }
    return s;
}

void mux_let_run(struct mux *m, struct mux_session *s, struct mux_call *c)
{
    struct view_target *t = s->waits ? view_find(m->view, s->target) : NULL;

    s->waits = false;
    if (t != NULL && t->waiters > 0 && --t->waiters == 0 && t->hold[0] != '\0')
        m->host.run(m->host.arg, t, c);
    else if (c != NULL)
        mux_reply(c, STR_NONE);
}

void mux_session_remove(struct mux *m, struct mux_session *s)
{
    struct view_target *t = s->counted ? view_find(m->view, s->target) : NULL;

    mux_let_run(m, s, NULL);
    if (t != NULL)
        t->n_sessions--;
    if (s->dressed)
        m->host.redress(m->host.arg, s->target);
    if (s->kind == SESSION_REAL)
        m->host.forget(m->host.arg, s->id);
    map_remove(m->by_id, str_from(s->id));
    list_remove(&s->link);
    m->n_sessions--;
    free(s);
}

/* --- in --- */

static void refuse_text(struct mux *m, bool has_id, uint64_t id, const char *session, int code,
                        const char *message)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addc(&b, '{');
    if (has_id)
        buf_addf(&b, "\"id\":%" PRIu64 ",", id);
    buf_adds(&b, "\"error\":");
    print_error(&b, code, str_from(message));
    add_session(&b, session);
    buf_addc(&b, '}');
    send(m, &b);
}

static bool is_method(struct str s)
{
    if (s.len == 0 || s.len >= MUX_METHOD_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
              s.ptr[i] == '.' || (s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '_'))
            return false;
    return true;
}

/* To the browser, on the session it came on. */
static void forward(struct mux *m, struct mux_session *s, struct mux_call *c, struct str params)
{
    if (s->kind == SESSION_TAB)
        mux_refuse(c, MUX_NO_METHOD, "'%s' wasn't found", c->method);
    else
        m->host.to_browser(m->host.arg, c, s->kind == SESSION_REAL ? s->id : "", params);
}

static void mend(struct mux *m, struct mux_session *s, struct mux_call *c, struct json *params)
{
    struct policy_scope sc = *m->scope;
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;

    sc.is_page = s->kind != SESSION_BROWSER;
    if (c->rule->mend(&sc, params, &e) != STATUS_OK) {
        mux_refuse(c, MUX_REFUSED, "%s: %s", c->method, err_text(&e));
        return;
    }
    if (strcmp(c->method, "Emulation.clearDeviceMetricsOverride") == 0)
        snprintf(c->method, sizeof c->method, "Emulation.setDeviceMetricsOverride");
    s->dressed = s->dressed || strcmp(c->method, "Emulation.setDeviceMetricsOverride") == 0;
    json_print(params, 0, &b);
    forward(m, s, c, buf_str(&b));
    buf_deinit(&b);
}

static void own(struct mux *m, struct mux_session *s, struct mux_call *c, const struct json *params)
{
    own_fn *fn = mux_own_target(c->method);

    if (fn == NULL)
        fn = mux_own_browser(c->method);
    if (fn != NULL)
        fn(m, s, c, params);
    else
        mux_refuse(c, MUX_NO_METHOD, "'%s' wasn't found", c->method);
}

/* Those that look into their parameters get a tree; the rest is handed on as it is. Strictly read:
 * of two equal keys the browser might heed the other one. */
static void with_tree(struct mux *m, struct mux_session *s, struct mux_call *c, struct str text)
{
    struct err e = ERR_INIT;
    struct json *params = text.len > 0 ? json_parse(text, true, &e) : json_new_object();

    if (params == NULL || json_type(params) != JSON_OBJECT)
        mux_refuse(c, MUX_PARAMS, "%s: params: found %s, expected an object", c->method,
                   params == NULL ? err_text(&e) : json_type_name(json_type(params)));
    else if (c->rule->act == RULE_MEND)
        mend(m, s, c, params);
    else
        own(m, s, c, params);
    json_destroy(&params);
}

static bool may_call(const struct mux *m, const struct mux_session *s, const struct rule *r)
{
    unsigned where = s->kind == SESSION_BROWSER ? RULE_BROWSER : RULE_PAGE;

    if ((r->flags & RULE_ALONE) != 0 && !m->scope->alone)
        return false;
    return (r->flags & where) != 0;
}

static void dispatch(struct mux *m, struct mux_session *s, struct mux_call *c, struct str params)
{
    const struct rule *r = c->rule;

    if (r->act == RULE_REFUSE || !may_call(m, s, r)) {
        mux_refuse(c, MUX_REFUSED, "%s is not let through: %s", c->method,
                   r->why != NULL ? r->why : "not on this session");
        return;
    }
    if (r->act == RULE_IGNORE)
        mux_reply(c, STR_NONE);
    else if (r->act == RULE_PASS)
        forward(m, s, c, params);
    else
        with_tree(m, s, c, params);
}

static struct mux_call *call_of(struct mux *m, const struct cdp_envelope *v)
{
    struct mux_call *c = xcalloc(1, sizeof *c);

    c->mux = m;
    c->id = v->id;
    c->rule = policy_rule(v->method);
    memcpy(c->method, v->method.ptr, v->method.len);
    if (v->session_id.len > 0)
        memcpy(c->session, v->session_id.ptr, v->session_id.len);
    c->bytes = v->params.len;
    if ((c->rule->flags & RULE_ACTS) != 0)
        crypto_hash_sha256(c->hash, (const unsigned char *)(v->params.len > 0 ? v->params.ptr : ""),
                           v->params.len);
    list_push(&m->calls, &c->link);
    m->n_calls++;
    m->bytes += c->bytes;
    return c;
}

struct early {
    struct list link;
    struct str text;
};

static void keep_early(struct mux *m, struct str text)
{
    struct early *e = xcalloc(1, sizeof *e);
    char *copy = xcalloc(1, text.len + 1);

    memcpy(copy, text.ptr, text.len);
    e->text = str_n(copy, text.len);
    list_push(&m->early, &e->link);
    m->bytes += text.len;
}

static struct str early_take(struct mux *m)
{
    struct list *l = list_pop(&m->early);
    struct early *e = l != NULL ? list_entry(l, struct early, link) : NULL;
    struct str text = e != NULL ? e->text : STR_NONE;

    m->bytes -= text.len;
    free(e);
    return text;
}

void mux_message(struct mux *m, struct str text)
{
    struct cdp_envelope v;
    struct mux_session *s;
    char session[VIEW_ID_MAX] = "";

    if (m->is_page && !m->attached && m->bytes < MUX_BYTES_MAX) {
        keep_early(m, text);
        return;
    }
    if (!policy_json_ok(text) || !cdp_scan(text, &v)) {
        refuse_text(m, false, 0, "", -32700, "Message must be a valid JSON object");
        return;
    }
    if (!v.has_id || !is_method(v.method)) {
        refuse_text(m, v.has_id, v.id, "", -32600,
                    v.has_id ? "Message must have string 'method' property"
                             : "Message must have integer 'id' property");
        return;
    }
    if (v.session_id.len < sizeof session && v.session_id.len > 0)
        memcpy(session, v.session_id.ptr, v.session_id.len);
    s = v.session_id.len < sizeof session ? mux_session_find(m, session) : NULL;
    if (s == NULL)
        refuse_text(m, true, v.id, session, MUX_SESSION_GONE, "Session with given id not found.");
    else if (m->n_calls >= MUX_CALLS_MAX || m->bytes + v.params.len > MUX_BYTES_MAX)
        refuse_text(m, true, v.id, session, MUX_REFUSED, "too many commands are under way");
    else
        dispatch(m, s, call_of(m, &v), v.params);
}

/* --- events --- */

/* The identity's script is no script of the page: debuggers and coverage are not told of it. */
static bool is_patch(const struct mux *m, struct str method, struct str params)
{
    char url[64];
    int n;

    if (m->scope->patch[0] == '\0' || !str_eqz(method, "Debugger.scriptParsed"))
        return false;
    n = snprintf(url, sizeof url, "\"url\":\"%s\"", m->scope->patch);
    return memmem(params.ptr, params.len, url, (size_t)n) != NULL;
}

void mux_event(struct mux *m, const char *session, struct str method, struct str params)
{
    struct mux_session *s = session[0] != '\0' ? map_find(m->by_id, str_from(session)) : &m->root;
    char name[MUX_METHOD_MAX];

    if (s == NULL || !is_method(method))
        return;
    if (str_eqz(method, "Target.attachedToTarget") ||
        str_eqz(method, "Target.detachedFromTarget")) {
        mux_child_event(m, s, method, params);
        return;
    }
    if ((m->is_page && s == &m->root) || is_patch(m, method, params))
        return;
    snprintf(name, sizeof name, "%.*s", STR_ARG(method));
    mux_emit(m, s->id, name, params);
    if (s != &m->root)
        return;
    list_for_each (link, &m->sessions) { /* played ones speak through it */
        const struct mux_session *other = list_entry(link, struct mux_session, link);

        if (other->kind == SESSION_BROWSER)
            mux_emit(m, other->id, name, params);
    }
}

/* --- life --- */

struct mux *mux_create(struct view *v, const struct policy_scope *scope,
                       const struct mux_host *host, const char *page)
{
    struct mux *m = xcalloc(1, sizeof *m);

    m->view = v;
    m->scope = scope;
    m->host = *host;
    m->by_id = map_create();
    list_init(&m->sessions);
    list_init(&m->calls);
    list_init(&m->early);
    m->is_page = page != NULL;
    if (page != NULL)
        mux_attach_main(m, page);
    return m;
}

void mux_main_ready(struct mux *m)
{
    m->attached = true;
    while (!list_empty(&m->early)) {
        struct str text = early_take(m);

        mux_message(m, text);
        free((void *)(uintptr_t)text.ptr);
    }
}

void mux_destroy(struct mux **mp)
{
    struct mux *m = *mp;

    if (m == NULL)
        return;
    *mp = NULL;
    while (!list_empty(&m->sessions))
        mux_session_remove(m, list_entry(m->sessions.next, struct mux_session, link));
    while (!list_empty(&m->calls)) {
        struct mux_call *c = list_entry(m->calls.next, struct mux_call, link);

        list_remove(&c->link);
        c->mux = NULL;
        if (c->parked) /* answered before: nobody else frees it */
            mux_call_free(c);
    }
    while (!list_empty(&m->early))
        free((void *)(uintptr_t)early_take(m).ptr);
    map_destroy(&m->by_id, NULL);
    free(m);
}
