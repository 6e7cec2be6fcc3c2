/* What a flow makes hold for a page: requests that fail, scripts for documents to come. */
#include "browser/page/page_internal.h"

#include <stdio.h>

#define ASKS(type) "{\"resourceType\":\"" type "\"}"

/* On the full browser a challenge opens a dialog that nobody answers, and the request waits for it
 * for ever; headless-shell refuses by itself. The browser tells of the challenges of requests that
 * it pauses before they go out (156): documents, and what scripts ask for; images and the like are
 * not, it would cost a pause each. Not on the root session: it would answer before a client that
 * looks on and has passwords of its own. */
static bool wants_challenges(const struct page *p)
{
    return !p->targets->opts.url_at_creation && p->ctx != NULL && p->ctx->watch == NULL;
}

/* What the URL or the member's cache of passwords knew was tried before. The page gets the answer
 * that came with the challenge. */
void rules_on_challenged(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)arg;
    cdp_callf(s, "Fetch.continueWithAuth", 0, NULL, NULL,
              "{\"requestId\":\"%s\",\"authChallengeResponse\":{\"response\":\"CancelAuth\"}}",
              json_str(json_get(params, "requestId"), ""));
}

static bool is_blocked(const struct page *p, const struct json *params)
{
    const char *url = json_str(json_at(params, "request", "url", NULL), "");
    const char *type = json_str(json_get(params, "resourceType"), "");
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct json *patterns;
    bool found = false;

    if (p->blocked == NULL)
        return false;
    buf_addf(&text, "[%s]", p->blocked);
    patterns = json_parse(buf_str(&text), false, NULL);
    for (const struct json *x = json_first(patterns); x != NULL && !found; x = json_next(x))
        found =
            str_glob_nocase(str_from(json_str(json_get(x, "urlPattern"), "*")), str_from(url)) &&
            strcmp(json_str(json_get(x, "resourceType"), type), type) == 0;
    json_destroy(&patterns);
    buf_deinit(&text);
    return found;
}

/* What a session of the page pauses is to fail, or only looked at for its challenge. Documents are
 * held on the root session all the same. */
void rules_on_paused(void *arg, struct cdp_session *s, const struct json *params)
{
    struct page *p = ((struct frame_realm *)arg)->page;
    const char *request = json_str(json_get(params, "requestId"), "");

    if (wants_challenges(p) && !is_blocked(p, params))
        cdp_callf(s, "Fetch.continueRequest", 0, NULL, NULL, "{\"requestId\":\"%s\"}", request);
    else
        cdp_callf(s, "Fetch.failRequest", 0, NULL, NULL,
                  "{\"requestId\":\"%s\",\"errorReason\":\"BlockedByClient\"}", request);
}

static void enable(struct cdp_session *s, const char *blocked, bool challenges)
{
    struct buf b = BUF_INIT(BUF_MAX_FILE);

    buf_addf(&b, "{\"patterns\":[%s%s%s]%s}", blocked != NULL ? blocked : "",
             blocked != NULL && challenges ? "," : "",
             challenges ? ASKS("Document") "," ASKS("XHR") "," ASKS("Fetch") : "",
             challenges ? ",\"handleAuthRequests\":true" : "");
    cdp_tell(s, "Fetch.enable", buf_str(&b));
    buf_deinit(&b);
}

void rules_send(struct page *p, struct cdp_session *s)
{
    if (wants_challenges(p))
        enable(s, NULL, true);
}

static void send_blocked(struct page *p)
{
    bool challenges = wants_challenges(p);

    if (p->main_realm.session != NULL && (p->blocked != NULL || challenges))
        enable(p->main_realm.session, p->blocked, challenges);
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
        send_blocked(p);
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
