/* Dialogs hold a page's script until somebody answers. Here somebody does at once: an alert is
 * accepted, a page may always be left (beforeunload), confirm and prompt as the flow said. */
#include "browser/page/page_internal.h"

#include "core/base/log.h"

static const char *const dialog_types[] = {"alert", "confirm", "prompt", "beforeunload"};

static const char *dialog_type(const char *z)
{
    for (size_t i = 0; i < ARRAY_LEN(dialog_types); i++)
        if (strcmp(z, dialog_types[i]) == 0)
            return dialog_types[i];
    return "alert";
}

void dialog_on_opening(void *arg, struct cdp_session *s, const struct json *params)
{
    struct page *p = ((struct frame_realm *)arg)->page;
    const char *type = dialog_type(json_str(json_get(params, "type"), ""));
    bool asks = strcmp(type, "confirm") == 0 || strcmp(type, "prompt") == 0;
    bool accept = asks ? p->dialog_accept : true;
    struct context *c = p->ctx;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    p->dialog_type = type;
    free(p->dialog_message);
    p->dialog_message = xstrdup(json_str(json_get(params, "message"), ""));
    if (c != NULL && c->watch != NULL && c->watch->on_dialog(c->watch->arg, c))
        return;
    console_add(p, type, str_from(p->dialog_message), page_url(p));
    buf_addf(&b, "{\"accept\":%s", accept ? "true" : "false");
    if (accept && strcmp(type, "prompt") == 0) {
        const char *proposed = json_str(json_get(params, "defaultPrompt"), "");

        buf_adds(&b, ",\"promptText\":");
        json_print_str(str_from(p->dialog_text != NULL ? p->dialog_text : proposed), &b);
    }
    buf_addc(&b, '}');
    cdp_tell(s, "Page.handleJavaScriptDialog", buf_str(&b));
    buf_deinit(&b);
    log_debug(NULL, "page.dialog", LOG_STR("type", type), LOG_BOOL("accepted", accept));
}

void page_dialog_policy(struct page *p, bool accept, const char *prompt_text)
{
    p->dialog_accept = accept;
    free(p->dialog_text);
    p->dialog_text = prompt_text != NULL ? xstrdup(prompt_text) : NULL;
}

struct page_dialog page_last_dialog(const struct page *p)
{
    return (struct page_dialog){p->dialog_type, p->dialog_message};
}
