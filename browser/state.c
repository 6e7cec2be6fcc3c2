#include "browser/state.h"

enum { FRAMES_MAX = 64 };

/* --- out --- */

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

struct json *state_cookies(const struct json *result)
{
    struct json *cookies = json_new_array();

    for (const struct json *c = json_first(json_get(result, "cookies")); c != NULL;
         c = json_next(c))
        json_push(cookies, cookie_out(c));
    return cookies;
}

struct reading {
    struct page *page;
    uint64_t deadline_ms, *id;
    state_origins_fn *fn;
    void *arg;
    struct json *origins;
    struct frame_ref frames[FRAMES_MAX];
    size_t n_frames, at;
};

static bool is_read(const struct json *origins, const char *origin)
{
    for (const struct json *o = json_first(origins); o != NULL; o = json_next(o))
        if (strcmp(json_str(json_get(o, "origin"), ""), origin) == 0)
            return true;
    return false;
}

static void read_next(struct reading *x);

static void on_storage(void *arg, enum status s, const struct json *value, const char *handle,
                       const struct err *e)
{
    struct reading *x = arg;
    const char *origin = json_str(json_get(value, "origin"), "");

    (void)handle;
    if (s == STATUS_OK && origin[0] != '\0' && !is_read(x->origins, origin))
        json_push(x->origins, json_dup(value));
    /* A frame that went away, or whose storage is closed to it, has none. */
    if (s == STATUS_OK || s == STATUS_CLOSED || s == STATUS_SCRIPT_FAILED)
        read_next(x);
    else
        x->fn(x->arg, s, x->origins, e);
}

static void read_next(struct reading *x)
{
    const struct page_eval ev = {
        .source =
            STR("(function(){var l=[],i,k;if(!/^https?:$/.test(location.protocol))return null;"
                "for(i=0;i<localStorage.length;i++){k=localStorage.key(i);"
                "l.push({name:k,value:localStorage.getItem(k)})}"
                "return {origin:location.origin,localStorage:l}})()"),
        .deadline_ms = x->deadline_ms,
    };
    struct err ok = ERR_INIT;
    struct frame *f = NULL;

    while (f == NULL && x->at < x->n_frames)
        f = page_frame_find(x->page, x->frames[x->at++]);
    if (f != NULL)
        *x->id = page_evaluate(x->page, f, &ev, on_storage, x);
    else
        x->fn(x->arg, STATUS_OK, x->origins, &ok);
}

static void add_frames(struct reading *x, const struct frame *f)
{
    if (f == NULL || x->n_frames == FRAMES_MAX)
        return;
    x->frames[x->n_frames++] = frame_ref(f);
    for (size_t i = 0; frame_child(f, i) != NULL; i++)
        add_frames(x, frame_child(f, i));
}

void state_read_origins(struct page *p, struct arena *a, uint64_t deadline_ms, uint64_t *id,
                        state_origins_fn *fn, void *arg)
{
    struct reading *x = arena_new(a, struct reading);

    *x = (struct reading){
        .page = p,
        .deadline_ms = deadline_ms,
        .id = id,
        .fn = fn,
        .arg = arg,
        .origins = json_new_array(),
    };
    add_frames(x, page_main_frame(p));
    read_next(x);
}

/* --- in --- */

void state_open_cookie(struct buf *b, const struct json *c, const char *const *names, size_t n)
{
    const char *comma = "{";

    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_get(c, names[i]);

        if (v == NULL)
            continue;
        buf_addf(b, "%s\"%s\":", comma, names[i]);
        json_print(v, 0, b);
        comma = ",";
    }
}

static void add_cookie(struct buf *b, const struct json *c)
{
    static const char *const names[] = {"name", "value", "domain", "path", "httpOnly", "secure"};
    double expires = json_num(json_get(c, "expires"), -1);
    const char *site = json_str(json_get(c, "sameSite"), "");

    state_open_cookie(b, c, names, ARRAY_LEN(names));
    if (expires > 0)
        buf_addf(b, ",\"expires\":%.3f", expires);
    if (strcmp(site, "Strict") == 0 || strcmp(site, "Lax") == 0 || strcmp(site, "None") == 0)
        buf_addf(b, ",\"sameSite\":\"%s\"", site);
    buf_addc(b, '}');
}

void state_print_cookies(struct buf *b, const struct json *list)
{
    const char *comma = "";

    buf_addc(b, '[');
    for (const struct json *c = json_first(list); c != NULL; c = json_next(c)) {
        buf_adds(b, comma);
        add_cookie(b, c);
        comma = ",";
    }
    buf_addc(b, ']');
}

/* Where a document of the origin led here, or the page is loaded again, storage is what the page
 * made of it. */
static const char only_first[] =
    "if(localStorage.length||document.referrer.indexOf(location.origin+'/')===0||"
    "(performance.getEntriesByType('navigation')[0]||{type:'navigate'}).type!=='navigate')return;";

/* For documents to come, and for the one that is there. */
static void add_script(struct buf *source, const struct json *origins, bool first)
{
    buf_adds(source, "(function(){var o=");
    json_print(origins, 0, source);
    buf_adds(source, ",i,j,l;try{");
    buf_adds(source, first ? only_first : "");
    buf_adds(source, "for(i=0;i<o.length;i++){if(o[i].origin!==location.origin)continue;"
                     "l=o[i].localStorage||[];for(j=0;j<l.length;j++)"
                     "if(localStorage.getItem(l[j].name)===null)"
                     "localStorage.setItem(l[j].name,l[j].value)}}catch(_){}})()");
}

void state_seed(struct page *p, const struct json *origins, bool first)
{
    struct buf source = BUF_INIT(BUF_MAX_FILE), params = BUF_INIT(BUF_MAX_FILE);

    add_script(&source, origins, first);
    buf_adds(&params, "{\"worldName\":\"fleet\",\"runImmediately\":true,\"source\":");
    json_print_str(buf_str(&source), &params);
    buf_addc(&params, '}');
    if (buf_status(&params) == STATUS_OK)
        page_seed(p, buf_str(&params));
    buf_deinit(&source);
    buf_deinit(&params);
}
