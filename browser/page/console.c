/* What a page says: console messages and errors once somebody asked for them, dialogs and popups
 * always. Kept with the attempt, so much and no more.
 *
 * Runtime.enable can be noticed by a page, so that it is only sent when it is asked for. */
#include "browser/page/page_internal.h"
#include "browser/page/session.h"

enum { ENTRIES_MAX = 500, TEXT_MAX = 2000 };

void console_add(struct page *p, const char *type, struct str text, const char *url)
{
    struct page_session *s = p->ctx != NULL ? p->ctx->session : NULL;
    struct json *j;

    if (s == NULL)
        return;
    if (s->console == NULL)
        s->console = json_new_array();
    if (json_len(s->console) >= ENTRIES_MAX)
        return;
    j = json_add_str(json_new_object(), "type", type);
    json_add(j, "text", json_new_str(str_head(text, TEXT_MAX)));
    if (url != NULL && url[0] != '\0')
        json_add(j, "url", json_new_str(str_head(str_from(url), TEXT_MAX)));
    json_push(s->console, j);
}

static void add_argument(struct buf *b, const struct json *arg)
{
    const struct json *value = json_get(arg, "value");
    const char *described = json_str(json_get(arg, "description"), "");

    if (b->len > 0)
        buf_addc(b, ' ');
    if (json_type(value) == JSON_STRING)
        buf_adds(b, json_str(value, ""));
    else if (described[0] == '\0' && value != NULL)
        json_print(value, 0, b);
    else
        buf_adds(b, described[0] != '\0' ? described : json_str(json_get(arg, "type"), ""));
}

void console_on_called(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    (void)s;
    if (!r->page->console)
        return;
    for (const struct json *a = json_first(json_get(params, "args")); a != NULL; a = json_next(a))
        add_argument(&text, a);
    console_add(
        r->page, json_str(json_get(params, "type"), "log"), buf_str(&text),
        json_str(
            json_at(params, "stackTrace", "callFrames", NULL) != NULL
                ? json_get(json_first(json_at(params, "stackTrace", "callFrames", NULL)), "url")
                : NULL,
            ""));
    buf_deinit(&text);
}

void console_on_thrown(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    const struct json *details = json_get(params, "exceptionDetails");
    const char *text = json_str(json_at(details, "exception", "description", NULL), NULL);

    (void)s;
    if (!r->page->console)
        return;
    if (text == NULL)
        text = json_str(json_get(details, "text"), "error");
    console_add(r->page, "pageerror", str_from(text), json_str(json_get(details, "url"), ""));
}

void page_listen_console(struct page *p)
{
    if (p->console)
        return;
    p->console = true;
    console_send(p);
}

void console_send(struct page *p)
{
    if (p->console && p->main_realm.session != NULL && !p->main_realm.runtime) {
        p->main_realm.runtime = true;
        cdp_tell(p->main_realm.session, "Runtime.enable", STR_NONE);
    }
}
