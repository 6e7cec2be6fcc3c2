#include "browser/handoff.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/api/http.h"
#include "core/base/embed.h"
#include "core/base/file.h"
#include "core/base/list.h"
#include "core/base/log.h"
#include "core/base/rng.h"

enum {
    TOKEN_BYTES = 24,
    CALL_MS = 5000,
    BODY_MAX = 64 * 1024,
    SCREEN_MAX = 32 * 1024 * 1024,
    TEXT_MAX = 4096,
};

struct handoffs {
    struct handoffs_opts opts;
    struct server *server; /* NULL: nothing listens */
    struct list all;
    char token[TOKEN_BYTES * 2 + 1];
    char *address, *path;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct handoff {
    struct list link;
    struct handoffs *of;
    struct handoff_opts opts;
    unsigned inputs;
};

static uint64_t now_ms(const struct handoffs *h)
{
    return loop_now_ms(h->opts.loop);
}

static struct handoff *find(struct handoffs *h, const char *task)
{
    list_for_each (l, &h->all) {
        struct handoff *x = list_entry(l, struct handoff, link);

        if (strcmp(x->opts.task, task) == 0)
            return x;
    }
    return NULL;
}

/* Answers for itself when the page does not wait any more. */
static struct handoff *find_for(struct exchange *x, struct handoffs *h)
{
    const char *task = exchange_param(x, "task");
    struct handoff *found = find(h, task);

    if (found == NULL)
        exchange_fail(x, STATUS_NOT_FOUND, "%.40s waits for nobody", task);
    return found;
}

/* --- looking --- */

static void get_view(struct exchange *x, void *arg)
{
    (void)arg;
    exchange_set_header(
        x, "content-security-policy",
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src blob:; connect-src 'self'; frame-ancestors 'none'");
    exchange_set_header(x, "cache-control", "no-store");
    exchange_set_header(x, "referrer-policy", "no-referrer");
    for (size_t i = 0; i < embed_assets_len; i++) {
        if (strcmp(embed_assets[i].path, "browser/assets/handoff.html") != 0)
            continue;
        exchange_answer(x, 200, "text/html; charset=UTF-8",
                        str_n((const char *)embed_assets[i].data, embed_assets[i].len));
        return;
    }
    exchange_fail(x, STATUS_INTERNAL, "the view is not in this program");
}

static struct json *describe(const struct handoff *x)
{
    uint64_t now = now_ms(x->of);
    struct json *j = json_add_str(json_new_object(), "task", x->opts.task);
    const struct member *m = x->opts.member;

    json_add_num(j, "member", m->index);
    json_add_str(j, "identity", m->identity != NULL ? m->identity->id : NULL);
    json_add_str(j, "url", page_url(x->opts.page));
    return json_add_num(j, "waits_ms",
                        x->opts.until_ms > now ? (double)(x->opts.until_ms - now) : 0);
}

static void get_list(struct exchange *x, void *arg)
{
    struct handoffs *h = arg;
    struct json *list = json_new_array();

    list_for_each (l, &h->all)
        json_push(list, describe(list_entry(l, struct handoff, link)));
    exchange_answer_json(x, 200, json_add(json_new_object(), "handoffs", list));
}

static void on_screen(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct exchange *x = arg;
    struct buf image = BUF_INIT(SCREEN_MAX);
    const char *data = json_str(json_get(result, "data"), "");

    if (s != STATUS_OK || buf_add_unbase64(&image, str_from(data)) != STATUS_OK) {
        exchange_fail(x, STATUS_UNAVAILABLE, "the page cannot be shown now: %.200s", err_text(e));
        buf_deinit(&image);
        return;
    }
    exchange_set_header(x, "cache-control", "no-store");
    exchange_answer_buf(x, 200, "image/jpeg", &image);
}

static void get_screen(struct exchange *x, void *arg)
{
    struct handoffs *h = arg;
    struct handoff *at = find_for(x, h);

    if (at == NULL)
        return;
    page_call(at->opts.page, NULL, "Page.captureScreenshot",
              STR("{\"format\":\"jpeg\",\"quality\":70,\"optimizeForSpeed\":true}"),
              now_ms(h) + CALL_MS, on_screen, x);
}

/* --- acting --- */

enum act { ACT_CLICK, ACT_WHEEL, ACT_TEXT, ACT_KEY };

static const char *const act_names[] = {"click", "wheel", "text", "key", NULL};

static const struct {
    const char *name, *text;
    int code;
} keys[] = {
    {"Enter", "\\r", 13},  {"Tab", "", 9},        {"Backspace", "", 8}, {"Escape", "", 27},
    {"Delete", "", 46},    {"ArrowLeft", "", 37}, {"ArrowUp", "", 38},  {"ArrowRight", "", 39},
    {"ArrowDown", "", 40}, {"Home", "", 36},      {"End", "", 35},      {"PageUp", "", 33},
    {"PageDown", "", 34},
};

struct input {
    int type;
    double x, y, by;
    const char *text, *key;
};

static const struct json_field input_fields[] = {
    {.name = "type",
     .offset = offsetof(struct input, type),
     .kind = JK_ENUM,
     .required = true,
     .names = act_names},
    {.name = "x", .offset = offsetof(struct input, x), .kind = JK_DOUBLE, .dmin = 0, .dmax = 1},
    {.name = "y", .offset = offsetof(struct input, y), .kind = JK_DOUBLE, .dmin = 0, .dmax = 1},
    {.name = "by",
     .offset = offsetof(struct input, by),
     .kind = JK_DOUBLE,
     .dmin = -5000,
     .dmax = 5000},
    {.name = "text",
     .offset = offsetof(struct input, text),
     .kind = JK_STR,
     .min = 1,
     .max = TEXT_MAX},
    {.name = "key", .offset = offsetof(struct input, key), .kind = JK_STR, .min = 1, .max = 20},
};
static const struct json_schema input_schema = {
    .name = "input",
    .fields = input_fields,
    .n = ARRAY_LEN(input_fields),
    .size = sizeof(struct input),
};

static void on_done(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct exchange *x = arg;

    (void)result;
    if (s == STATUS_OK)
        exchange_answer_none(x);
    else
        exchange_fail(x, STATUS_UNAVAILABLE, "the page did not take it: %.200s", err_text(e));
}

/* The call after it answers. */
static void on_step(void *arg, enum status s, const struct json *result, const struct err *e)
{
    (void)arg;
    (void)s;
    (void)result;
    (void)e;
}

/* `x` NULL: another call answers. */
static void dispatch(struct handoff *at, struct exchange *x, const char *method,
                     const struct buf *params)
{
    page_call(at->opts.page, NULL, method, buf_str(params), now_ms(at->of) + CALL_MS,
              x != NULL ? on_done : on_step, x);
}

static void mouse(struct handoff *at, struct exchange *x, const char *type, double px, double py,
                  const char *more)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "{\"type\":\"%s\",\"x\":%.2f,\"y\":%.2f%s}", type, px, py, more);
    dispatch(at, x, "Input.dispatchMouseEvent", &b);
    buf_deinit(&b);
}

/* What is pointed at is a share of what is shown: how large that is is asked first. */
struct pointing {
    struct exchange *x;
    struct handoffs *of;
    struct input in;
    char task[24];
};

static void point(const struct pointing *p, struct handoff *at, double width, double height)
{
    double px = p->in.x * width, py = p->in.y * height;
    char more[80];

    mouse(at, NULL, "mouseMoved", px, py, "");
    if (p->in.type == ACT_WHEEL) {
        snprintf(more, sizeof more, ",\"deltaX\":0,\"deltaY\":%.0f", p->in.by);
        mouse(at, p->x, "mouseWheel", px, py, more);
        return;
    }
    mouse(at, NULL, "mousePressed", px, py, ",\"button\":\"left\",\"buttons\":1,\"clickCount\":1");
    mouse(at, p->x, "mouseReleased", px, py, ",\"button\":\"left\",\"clickCount\":1");
}

static void on_metrics(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct pointing *p = arg;
    const struct json *v = json_get(result, "cssLayoutViewport");
    struct handoff *at = find(p->of, p->task);

    if (at == NULL)
        exchange_fail(p->x, STATUS_NOT_FOUND, "%s waits for nobody", p->task);
    else if (s != STATUS_OK)
        exchange_fail(p->x, STATUS_UNAVAILABLE, "the page did not take it: %.200s", err_text(e));
    else
        point(p, at, json_num(json_get(v, "clientWidth"), 0),
              json_num(json_get(v, "clientHeight"), 0));
    free(p);
}

static void begin_pointing(struct handoff *at, struct exchange *x, const struct input *in)
{
    struct pointing *p = xcalloc(1, sizeof *p);

    *p = (struct pointing){.x = x, .of = at->of, .in = *in};
    snprintf(p->task, sizeof p->task, "%s", at->opts.task);
    page_call(at->opts.page, NULL, "Page.getLayoutMetrics", STR_NONE, now_ms(at->of) + CALL_MS,
              on_metrics, p);
}

static void type_text(struct handoff *at, struct exchange *x, const char *text)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_adds(&b, "{\"text\":");
    json_print_str(str_from(text), &b);
    buf_addc(&b, '}');
    dispatch(at, x, "Input.insertText", &b);
    buf_deinit(&b);
}

static void press(struct handoff *at, struct exchange *x, const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct buf b = BUF_INIT(BUF_MAX_LINE);

        if (strcmp(keys[i].name, key) != 0)
            continue;
        buf_addf(&b,
                 "{\"type\":\"%s\",\"key\":\"%s\",\"code\":\"%s\",\"text\":\"%s\","
                 "\"windowsVirtualKeyCode\":%d}",
                 keys[i].text[0] != '\0' ? "keyDown" : "rawKeyDown", key, key, keys[i].text,
                 keys[i].code);
        dispatch(at, NULL, "Input.dispatchKeyEvent", &b);
        buf_reset(&b);
        buf_addf(&b,
                 "{\"type\":\"keyUp\",\"key\":\"%s\",\"code\":\"%s\",\"windowsVirtualKeyCode\":%d}",
                 key, key, keys[i].code);
        dispatch(at, x, "Input.dispatchKeyEvent", &b);
        buf_deinit(&b);
        return;
    }
    exchange_fail(x, STATUS_INVALID,
                  "input: /key: found \"%s\", expected Enter, Tab, Backspace, ...", key);
}

static void act(struct handoff *at, struct exchange *x, const struct input *in)
{
    at->inputs++;
    if (in->type == ACT_TEXT && in->text != NULL)
        type_text(at, x, in->text);
    else if (in->type == ACT_KEY && in->key != NULL)
        press(at, x, in->key);
    else if (in->type == ACT_CLICK || in->type == ACT_WHEEL)
        begin_pointing(at, x, in);
    else
        exchange_fail(x, STATUS_INVALID, "input: /%s: expected a text", act_names[in->type]);
}

static void post_input(struct exchange *x, void *arg)
{
    struct handoff *at = find_for(x, arg);
    struct err e = ERR_INIT;
    struct input in = {.type = -1};
    struct json_decode d;
    struct json *body;

    if (at == NULL)
        return;
    body = exchange_json(x, &e);
    json_decode_init(&d, exchange_arena(x), NULL);
    if (body == NULL || !json_decode(&d, &input_schema, body, &in)) {
        if (body != NULL)
            (void)json_decode_status(&d, "input", &e);
        exchange_answer_err(x, &e);
    } else {
        act(at, x, &in);
    }
    json_destroy(&body);
}

static void post_give_up(struct exchange *x, void *arg)
{
    struct handoff *at = find_for(x, arg);

    if (at == NULL)
        return;
    at->opts.give_up(at->opts.arg);
    exchange_answer_none(x);
}

/* --- the server --- */

static const struct route routes[] = {
    {HTTP_GET, "/", get_view, false, "The live view."},
    {HTTP_GET, "/v1/handoffs", get_list, false, "Pages that wait for a person."},
    {HTTP_GET, "/v1/handoffs/{task}/screen", get_screen, false, "What one shows, JPEG."},
    {HTTP_POST, "/v1/handoffs/{task}/input", post_input, false, "What the person does there."},
    {HTTP_POST, "/v1/handoffs/{task}/give-up", post_give_up, false, "Nobody will come."},
    {HTTP_GET, NULL, NULL, false, NULL},
};

static bool before(struct exchange *x, void *arg)
{
    const struct handoffs *h = arg;
    const char *given = exchange_token(x);

    if (strcmp(exchange_path(x), "/") == 0 || (given != NULL && token_eq(given, h->token)))
        return true;
    exchange_set_header(x, "www-authenticate", "Bearer");
    exchange_fail(x, STATUS_PERMISSION, "a token is wanted: it is in %s", h->path);
    return false;
}

static enum status write_address(struct handoffs *h, struct err *e)
{
    cleanup_free char *dir = file_dirname(h->path);
    struct buf b = BUF_INIT(512);
    enum status s;

    buf_addf(&b, "http://127.0.0.1:%u/#%s", server_port(h->server), h->token);
    h->address = buf_take(&b, NULL);
    buf_addf(&b, "%s\n", h->address);
    s = file_mkdirs(dir, 0700, e);
    if (s == STATUS_OK)
        s = file_replace(h->path, buf_str(&b), 0600, e);
    buf_deinit(&b);
    return s;
}

/* A page waits all the same where nobody can be shown it. */
static void listen_once(struct handoffs *h)
{
    const struct server_opts o = {
        .loop = h->opts.loop, .routes = routes, .arg = h, .before = before, .body_max = BODY_MAX};
    unsigned char bytes[TOKEN_BYTES];
    struct buf hex = BUF_INIT(sizeof h->token);
    struct err e = ERR_INIT;

    if (h->server != NULL)
        return;
    rng_bytes(bytes, sizeof bytes);
    buf_add_hex(&hex, bytes, sizeof bytes);
    snprintf(h->token, sizeof h->token, "%s", hex.ptr);
    buf_deinit(&hex);
    if (server_open(&o, &h->server, &e) != STATUS_OK || write_address(h, &e) != STATUS_OK)
        log_warn(NULL, "handoff.view", LOG_ERR(&e));
}

struct handoffs *handoffs_create(const struct handoffs_opts *o)
{
    struct handoffs *h = xcalloc(1, sizeof *h);

    h->opts = *o;
    h->path = file_join(o->state_dir, "run/handoff");
    list_init(&h->all);
    return h;
}

static void on_closed(void *arg)
{
    struct handoffs *h = arg;

    h->closed(h->closed_arg);
}

void handoffs_close(struct handoffs *h, void (*closed)(void *arg), void *arg)
{
    BUG_ON(!list_empty(&h->all));
    h->closed = closed;
    h->closed_arg = arg;
    if (h->server == NULL) {
        loop_defer(h->opts.loop, on_closed, h);
        return;
    }
    (void)unlink(h->path);
    server_close(h->server, on_closed, h);
    h->server = NULL;
}

void handoffs_destroy(struct handoffs **hp)
{
    struct handoffs *h = *hp;

    if (h == NULL)
        return;
    *hp = NULL;
    free(h->address);
    free(h->path);
    free(h);
}

/* --- pages --- */

/* The token is told to nobody who keeps what is told: reports and logs are shown to others. */
static void tell(const struct handoff *x)
{
    const struct handoffs *h = x->of;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_addf(&b, "%s waits at %.200s; ", x->opts.task, page_url(x->opts.page));
    if (h->address != NULL)
        buf_addf(&b, "open the address that is in %s", h->path);
    else
        buf_adds(&b, "it cannot be shown here");
    if (h->opts.on_event != NULL)
        h->opts.on_event(h->opts.arg, "person wanted", x->opts.member, b.ptr);
    buf_deinit(&b);
}

struct handoff *handoff_open(struct handoffs *h, const struct handoff_opts *o)
{
    struct handoff *x = xcalloc(1, sizeof *x);

    x->of = h;
    x->opts = *o;
    list_push(&h->all, &x->link);
    listen_once(h);
    tell(x);
    return x;
}

unsigned handoff_inputs(const struct handoff *x)
{
    return x != NULL ? x->inputs : 0;
}

void handoff_close(struct handoff **xp)
{
    struct handoff *x = *xp;

    if (x == NULL)
        return;
    *xp = NULL;
    list_remove(&x->link);
    free(x);
}
