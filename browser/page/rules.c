/* What a flow makes hold for a page: requests that fail, scripts for documents to come. */
#include "browser/page/page_internal.h"

#include <stdio.h>

/* Whatever the page's own session pauses is to fail; documents are held on the root session. */
void rules_on_paused(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)arg;
    cdp_callf(s, "Fetch.failRequest", 0, NULL, NULL,
              "{\"requestId\":\"%s\",\"errorReason\":\"BlockedByClient\"}",
              json_str(json_get(params, "requestId"), ""));
}

static void send_blocked(struct page *p)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    if (p->blocked == NULL || p->main_realm.session == NULL)
        return;
    buf_addf(&b, "{\"patterns\":[%s]}", p->blocked);
    cdp_tell(p->main_realm.session, "Fetch.enable", buf_str(&b));
    buf_deinit(&b);
}

void page_block(struct page *p, struct str patterns)
{
    bool had = p->blocked != NULL;

    free(steal_ptr(&p->blocked));
    if (patterns.len > 0) {
        p->blocked = xcalloc(1, patterns.len + 1);
        memcpy(p->blocked, patterns.ptr, patterns.len);
        send_blocked(p);
    } else if (had && p->main_realm.session != NULL) {
        cdp_tell(p->main_realm.session, "Fetch.disable", STR_NONE);
    }
}

static void on_seeded(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct page *p = arg;

    (void)e;
    if (s == STATUS_OK)
        snprintf(p->seed_id, sizeof p->seed_id, "%s", json_str(json_get(result, "identifier"), ""));
    page_unref(p);
}

static void send_seed(struct page *p)
{
    if (p->seed == NULL || p->main_realm.session == NULL)
        return;
    page_ref(p);
    cdp_call(p->main_realm.session, "Page.addScriptToEvaluateOnNewDocument", str_from(p->seed), 0,
             on_seeded, p);
}

void page_seed(struct page *p, struct str params)
{
    free(p->seed);
    p->seed = xcalloc(1, params.len + 1);
    memcpy(p->seed, params.ptr, params.len);
    send_seed(p);
}

void page_send_rules(struct page *p)
{
    send_blocked(p);
    send_seed(p);
}

void page_reset_rules(struct page *p)
{
    page_block(p, STR_NONE);
    if (p->seed_id[0] != '\0' && p->main_realm.session != NULL)
        cdp_callf(p->main_realm.session, "Page.removeScriptToEvaluateOnNewDocument", 0, NULL, NULL,
                  "{\"identifier\":\"%s\"}", p->seed_id);
    p->seed_id[0] = '\0';
    free(steal_ptr(&p->seed));
}
