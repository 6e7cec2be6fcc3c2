/* What a page says: errors always (output.console), all that it writes to its console once somebody
 * asked, dialogs and popups always. Kept with the attempt, so much and no more.
 *
 * Runtime.enable can be noticed by a page, since what it logs is then looked into for previews; so
 * that is only sent when it is asked for. Console.enable gives the text of errors alone, which is
 * made with or without it. */
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

/* Console.messageAdded: without arguments but the first, and without stacks. */
void console_on_message(void *arg, struct cdp_session *s, const struct json *params)
{
    struct frame_realm *r = arg;
    const struct json *m = json_get(params, "message");
    bool thrown = strcmp(json_str(json_get(m, "source"), ""), "javascript") == 0;

    (void)s;
    if (r->page->console || strcmp(json_str(json_get(m, "level"), ""), "error") != 0)
        return;
    console_add(r->page, thrown ? "pageerror" : "error",
                str_from(json_str(json_get(m, "text"), "")), json_str(json_get(m, "url"), ""));
}

/* The browser tells again what it has told already: of the page's own errors one copy is enough. */
static void forget_errors(struct page_session *s)
{
    struct json *rest = json_new_array();

    for (const struct json *j = json_first(s->console); j != NULL; j = json_next(j))
        if (strstr(json_str(json_get(j, "type"), ""), "error") == NULL)
            json_push(rest, json_dup(j));
    json_destroy(&s->console);
    s->console = rest;
}

void page_listen_console(struct page *p)
{
    if (p->console)
        return;
    p->console = true;
    if (p->ctx != NULL && p->ctx->session != NULL && p->ctx->session->console != NULL)
        forget_errors(p->ctx->session);
    console_send(p);
}

static enum console_kept wanted(const struct page *p)
{
    const struct page_session *s = p->ctx != NULL ? p->ctx->session : NULL;

    return s == NULL || s->conf == NULL || p->ctx->watch != NULL ? CONSOLE_KEPT_OFF
                                                                 : s->conf->output.console;
}

void console_realm(struct frame_realm *r)
{
    if (r->session == NULL || r->says || r->page->console || wanted(r->page) != CONSOLE_KEPT_ERRORS)
        return;
    r->says = true;
    cdp_tell(r->session, "Runtime.discardConsoleEntries", STR_NONE); /* of an attempt before */
    cdp_tell(r->session, "Console.enable", STR_NONE);
}

void console_send(struct page *p)
{
    p->console = p->console || wanted(p) == CONSOLE_KEPT_ALL;
    console_realm(&p->main_realm);
    list_for_each (l, &p->realms)
        console_realm(list_entry(l, struct frame_realm, link));
    if (p->console && p->main_realm.session != NULL && !p->main_realm.runtime) {
        p->main_realm.runtime = true;
        cdp_tell(p->main_realm.session, "Runtime.enable", STR_NONE);
    }
}

void console_reset(struct page *p)
{
    if (p->main_realm.session != NULL && p->main_realm.runtime)
        cdp_tell(p->main_realm.session, "Runtime.disable", STR_NONE);
    p->main_realm.runtime = p->console = false;
    if (p->main_realm.session != NULL && p->main_realm.says)
        cdp_tell(p->main_realm.session, "Console.disable", STR_NONE);
    p->main_realm.says = false;
    list_for_each (l, &p->realms) {
        struct frame_realm *r = list_entry(l, struct frame_realm, link);

        if (r->says)
            cdp_tell(r->session, "Console.disable", STR_NONE);
        r->says = false;
    }
}
