/* Cookies: one jar a member, shared by all its requests. */
#include "core/http/fetch_internal.h"
#include "fingerprints/cookies.h"

void jar_use(CURL *easy, struct member *m)
{
    CURLSH *share = m->jar;

    if (share == NULL) {
        share = curl_share_init();
        BUG_ON(share == NULL);
        curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
        m->jar = share;
    }
    curl_easy_setopt(easy, CURLOPT_SHARE, share);
    curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
}

struct json *http_jar_export(struct member *m)
{
    struct buf lines = BUF_INIT(BUF_MAX_FILE), faults = BUF_INIT(BUF_MAX_LINE);
    struct curl_slist *list = NULL;
    struct json *state, *cookies = NULL;
    CURL *easy = m->jar != NULL ? curl_easy_init() : NULL;

    if (easy != NULL) {
        jar_use(easy, m);
        curl_easy_getinfo(easy, CURLINFO_COOKIELIST, &list);
        curl_easy_cleanup(easy);
    }
    for (const struct curl_slist *l = list; l != NULL; l = l->next)
        buf_addf(&lines, "%s\n", l->data);
    curl_slist_free_all(list);
    state = cookies_from_netscape(buf_str(&lines), "jar", &faults);
    if (state != NULL)
        cookies = json_take(state, "cookies");
    json_destroy(&state);
    buf_deinit(&lines);
    buf_deinit(&faults);
    return cookies != NULL ? cookies : json_new_array();
}

void http_jar_import(struct member *m, const struct json *state)
{
    struct buf lines = BUF_INIT(BUF_MAX_FILE);
    struct str rest;
    CURL *easy = curl_easy_init();

    BUG_ON(easy == NULL);
    jar_use(easy, m);
    cookies_to_netscape(state, &lines);
    rest = buf_str(&lines);
    while (rest.ptr != NULL) {
        struct str line = str_cut(&rest, '\n');
        cleanup_free char *text = xcalloc(1, line.len + 1);

        memcpy(text, line.ptr, line.len);
        if (line.len > 0)
            curl_easy_setopt(easy, CURLOPT_COOKIELIST, text);
    }
    curl_easy_cleanup(easy);
    buf_deinit(&lines);
}

void http_jar_free(struct member *m)
{
    if (m->jar != NULL)
        curl_share_cleanup(m->jar);
    m->jar = NULL;
    m->http_door = 0; /* whoever it is next uses none of its connections */
}
