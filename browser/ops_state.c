/* Storage state as Playwright writes it:
 *
 *   {"cookies": [{"name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite"}],
 *    "origins": [{"origin", "localStorage": [{"name", "value"}]}]}
 *
 * Cookies are all of the member's. Local storage can only be read where a document of the origin
 * is: the origins of the page's frames are exported. An import of local storage waits for the first
 * document of each origin: it is put there before the page's own scripts run, where the page does
 * not see who does it, and never over what is there already. */
#include "browser/ops_state.h"

#include "browser/acting.h"

enum { FRAMES_MAX = 64, PLACE_MAX = 4096 };

#define F(T, m) JF_COMMON(struct T, m)

/* --- member.state.export --- */

struct export_args {
    const char *name;
    bool save;
};

static const struct json_field export_fields[] = {
    {F(export_args, save), .kind = JK_BOOL,
     .doc = "Into a file among the artifacts instead of the result; default false."},
    {F(export_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the file's name; default \"state\"."},
};

static const struct json_schema export_schema = {
    .name = "member.state.export",
    .fields = export_fields,
    .n = ARRAY_LEN(export_fields),
    .size = sizeof(struct export_args),
};

struct exporting {
    struct acting *acting;
    struct op_call *call;
    struct json *state; /* {"cookies", "origins"} */
    struct frame_ref frames[FRAMES_MAX];
    size_t n_frames, at;
};

static const char *same_site(const struct json *cookie)
{
    return json_str(json_get(cookie, "sameSite"), "Lax");
}

static struct json *cookie_out(const struct json *c)
{
    bool session = json_bool(json_get(c, "session"), false);
    struct json *j = json_add_str(json_new_object(), "name", json_str(json_get(c, "name"), ""));

    json_add(j, "value", json_dup(json_get(c, "value")));
    json_add_str(j, "domain", json_str(json_get(c, "domain"), ""));
    json_add_str(j, "path", json_str(json_get(c, "path"), "/"));
    json_add_num(j, "expires", session ? -1 : json_num(json_get(c, "expires"), -1));
    json_add_bool(j, "httpOnly", json_bool(json_get(c, "httpOnly"), false));
    json_add_bool(j, "secure", json_bool(json_get(c, "secure"), false));
    json_add_str(j, "sameSite", same_site(c));
    return j;
}

static void export_end(struct exporting *x, enum status s, const struct err *e)
{
    struct op_call *call = x->call;
    const struct export_args *args = call->args;
    struct json *state = steal_ptr(&x->state);
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    if (s != STATUS_OK) {
        json_destroy(&state);
        session_finish(call, s, e, NULL);
        return;
    }
    if (!args->save) {
        session_finish(call, STATUS_OK, e, json_add(json_new_object(), "state", state));
        return;
    }
    json_print(state, 2, &text);
    json_destroy(&state);
    acting_save(call, buf_status(&text), buf_str(&text), e,
                args->name != NULL ? args->name : "state", "json");
    buf_deinit(&text);
}

static bool is_exported(const struct json *origins, const char *origin)
{
    for (const struct json *o = json_first(origins); o != NULL; o = json_next(o))
        if (strcmp(json_str(json_get(o, "origin"), ""), origin) == 0)
            return true;
    return false;
}

static void export_next(struct exporting *x);

static void on_storage(void *arg, enum status s, const struct json *value, const char *handle,
                       const struct err *e)
{
    struct exporting *x = arg;
    struct json *origins = json_take(x->state, "origins");
    const char *origin = json_str(json_get(value, "origin"), "");

    (void)handle;
    if (s == STATUS_OK && origin[0] != '\0' && !is_exported(origins, origin))
        json_push(origins, json_dup(value));
    json_add(x->state, "origins", origins);
    /* A frame that went away, or whose storage is closed to it, has none. */
    if (s == STATUS_OK || s == STATUS_CLOSED || s == STATUS_SCRIPT_FAILED)
        export_next(x);
    else
        export_end(x, s, e);
}

static void export_next(struct exporting *x)
{
    const struct page_eval ev = {
        .source =
            STR("(function(){var l=[],i,k;if(!/^https?:$/.test(location.protocol))return null;"
                "for(i=0;i<localStorage.length;i++){k=localStorage.key(i);"
                "l.push({name:k,value:localStorage.getItem(k)})}"
                "return l.length?{origin:location.origin,localStorage:l}:null})()"),
        .deadline_ms = x->call->deadline_ms,
    };
    struct frame *f = NULL;

    while (f == NULL && x->at < x->n_frames)
        f = page_frame_find(x->acting->page, x->frames[x->at++]);
    if (f != NULL)
        x->acting->id = page_evaluate(x->acting->page, f, &ev, on_storage, x);
    else
        export_end(x, STATUS_OK, NULL);
}

static void add_frames(struct exporting *x, const struct frame *f)
{
    if (f == NULL || x->n_frames == FRAMES_MAX)
        return;
    x->frames[x->n_frames++] = frame_ref(f);
    for (size_t i = 0; frame_child(f, i) != NULL; i++)
        add_frames(x, frame_child(f, i));
}

static void on_cookies(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct exporting *x = arg;
    struct json *cookies = json_new_array();

    for (const struct json *c = json_first(json_get(result, "cookies")); c != NULL;
         c = json_next(c))
        json_push(cookies, cookie_out(c));
    x->state = json_add(json_new_object(), "cookies", cookies);
    json_add(x->state, "origins", json_new_array());
    if (s != STATUS_OK) {
        export_end(x, s, e);
        return;
    }
    add_frames(x, page_main_frame(x->acting->page));
    export_next(x);
}

static void export_run(struct op_call *call)
{
    struct exporting *x = arena_new(call->arena, struct exporting);

    x->call = call;
    x->acting = acting_begin(call);
    x->acting->id = page_context_call(x->acting->page, "Storage.getCookies", STR_NONE,
                                      call->deadline_ms, on_cookies, x);
}

/* --- member.state.import --- */

struct import_args {
    const struct json *state;
};

static const struct json_field import_fields[] = {
    {F(import_args, state), .kind = JK_ANY, .required = true,
     .doc = "Playwright's storage state: {\"cookies\": [...], \"origins\": [...]}."},
};

static bool is_list(const struct json *j)
{
    return j == NULL || json_type(j) == JSON_ARRAY;
}

static void check_cookies(struct json_decode *d, const struct json *cookies)
{
    static const char *const wanted[] = {"name", "value", "domain"};
    size_t i = 0;

    for (const struct json *c = json_first(cookies); c != NULL; c = json_next(c), i++)
        for (size_t k = 0; k < ARRAY_LEN(wanted); k++)
            if (json_str(json_get(c, wanted[k]), NULL) == NULL)
                json_fail(d, "/state/cookies", "element %zu: no %s, expected a string", i,
                          wanted[k]);
}

static void import_check(struct json_decode *d, void *obj)
{
    const struct import_args *a = obj;
    const struct json *cookies = json_get(a->state, "cookies"),
                      *origins = json_get(a->state, "origins");

    /* A variable whose value is not known yet is text here. */
    if (json_type(a->state) == JSON_STRING)
        return;
    if (json_type(a->state) != JSON_OBJECT || !is_list(cookies) || !is_list(origins))
        json_fail(d, "/state", "expected an object with the lists cookies and origins");
    else
        check_cookies(d, cookies);
}

static const struct json_schema import_schema = {
    .name = "member.state.import",
    .fields = import_fields,
    .n = ARRAY_LEN(import_fields),
    .size = sizeof(struct import_args),
    .check = import_check,
};

static void add_cookie(struct buf *b, const struct json *c)
{
    static const char *const names[] = {"name", "value", "domain", "path", "httpOnly", "secure"};
    double expires = json_num(json_get(c, "expires"), -1);
    const char *site = json_str(json_get(c, "sameSite"), "");
    const char *comma = "{";

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct json *v = json_get(c, names[i]);

        if (v == NULL)
            continue;
        buf_addf(b, "%s\"%s\":", comma, names[i]);
        json_print(v, 0, b);
        comma = ",";
    }
    if (expires > 0)
        buf_addf(b, ",\"expires\":%.3f", expires);
    if (strcmp(site, "Strict") == 0 || strcmp(site, "Lax") == 0 || strcmp(site, "None") == 0)
        buf_addf(b, ",\"sameSite\":\"%s\"", site);
    buf_addc(b, '}');
}

static void add_cookies(struct buf *b, const struct json *list)
{
    const char *comma = "";

    buf_adds(b, "\"cookies\":[");
    for (const struct json *c = json_first(list); c != NULL; c = json_next(c)) {
        buf_adds(b, comma);
        add_cookie(b, c);
        comma = ",";
    }
    buf_addc(b, ']');
}

/* For documents to come, and for the one that is there. */
static void add_script(struct buf *source, const struct json *origins)
{
    buf_adds(source, "(function(){var o=");
    json_print(origins, 0, source);
    buf_adds(source, ",i,j,l;try{for(i=0;i<o.length;i++){if(o[i].origin!==location.origin)continue;"
                     "l=o[i].localStorage||[];for(j=0;j<l.length;j++)"
                     "if(localStorage.getItem(l[j].name)===null)"
                     "localStorage.setItem(l[j].name,l[j].value)}}catch(_){}})()");
}

static void seed_storage(struct page *p, const struct json *origins)
{
    struct buf source = BUF_INIT(BUF_MAX_FILE), params = BUF_INIT(BUF_MAX_FILE);

    add_script(&source, origins);
    buf_adds(&params, "{\"worldName\":\"fleet\",\"runImmediately\":true,\"source\":");
    json_print_str(buf_str(&source), &params);
    buf_addc(&params, '}');
    if (buf_status(&params) == STATUS_OK)
        page_seed(p, buf_str(&params));
    buf_deinit(&source);
    buf_deinit(&params);
}

static void on_set(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct op_call *call = arg;
    const struct import_args *args = call->args;
    struct json *done = NULL;

    (void)result;
    if (s == STATUS_OK) {
        if (json_len(json_get(args->state, "origins")) > 0)
            seed_storage(((struct acting *)call->run_state)->page,
                         json_get(args->state, "origins"));
        done = json_new_object();
        json_add_num(done, "cookies", (double)json_len(json_get(args->state, "cookies")));
        json_add_num(done, "origins", (double)json_len(json_get(args->state, "origins")));
    }
    session_finish(call, s, e, done);
}

static void import_run(struct op_call *call)
{
    const struct import_args *args = call->args;
    struct acting *a = acting_begin(call);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;

    if (json_type(args->state) != JSON_OBJECT) {
        err_set(&e, STATUS_INVALID, "state: found %s, expected an object",
                json_type_name(json_type(args->state)));
        session_finish(call, STATUS_INVALID, &e, NULL);
        return;
    }
    add_cookies(&b, json_get(args->state, "cookies"));
    a->id = page_context_call(a->page, "Storage.setCookies", buf_str(&b), call->deadline_ms, on_set,
                              call);
    buf_deinit(&b);
}

/* --- the rows --- */

const struct op ops_state[] = {
    {"member.state.export",
     "The member's cookies, and the local storage of the page's origins, in Playwright's JSON.",
     &export_schema, OP_HOLDS_RESULT, export_run},
    {"member.state.import",
     "Gives the member cookies and local storage of a Playwright storage state.", &import_schema, 0,
     import_run},
};
const size_t n_ops_state = ARRAY_LEN(ops_state);
