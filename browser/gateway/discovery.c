/* The texts that clients look for a browser by: Chromium's own shapes. */
#include "browser/gateway/gateway_internal.h"

static void member(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, ",\"%s\":", name);
    json_print_str(str_from(value), out);
}

void discovery_version(const struct gateway *g, const char *ws, struct buf *out)
{
    const char *version = g->deps.version != NULL ? g->deps.version : "0.0.0.0";

    buf_addf(out, "{\"Browser\":\"Chrome/%s\",\"Protocol-Version\":\"1.3\"", version);
    buf_addf(
        out,
        ",\"User-Agent\":\"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/%.*s.0.0.0 Safari/537.36\"",
        (int)strcspn(version, "."), version);
    member(out, "V8-Version", "");
    member(out, "WebKit-Version", "537.36");
    member(out, "webSocketDebuggerUrl", ws);
    buf_adds(out, "}\n");
}

void discovery_list(const struct lease *l, const char *base, bool tls, struct buf *out)
{
    const char *comma = "";

    buf_addc(out, '[');
    list_for_each (link, &l->view.targets) {
        const struct view_target *t = list_entry(link, struct view_target, link);
        char ws[512];

        if (!t->ready)
            continue;
        snprintf(ws, sizeof ws, "%s://%s/devtools/page/%s/%s", tls ? "wss" : "ws", base, l->id,
                 t->id);
        buf_addf(out, "%s{\"id\":\"%s\",\"type\":\"%s\"", comma, t->id, t->type);
        member(out, "title", json_str(json_get(t->info, "title"), ""));
        member(out, "url", json_str(json_get(t->info, "url"), ""));
        member(out, "description", "");
        member(out, "devtoolsFrontendUrl", "");
        member(out, "webSocketDebuggerUrl", ws);
        buf_addc(out, '}');
        comma = ",";
    }
    buf_adds(out, "]\n");
}

/* The methods that may be called are in the policy's table; clients that read this want to know
 * that the domains are there. */
void discovery_protocol_print(struct buf *out)
{
    const char *comma = "";
    struct str last = STR_NONE;

    buf_adds(out, "{\"version\":{\"major\":\"1\",\"minor\":\"3\"},\"domains\":[");
    for (size_t i = 0; policy_row(i) != NULL; i++) {
        const struct rule *r = policy_row(i);
        struct str domain = str_n(r->method, strcspn(r->method, "."));

        if (r->act == RULE_REFUSE || str_eq(domain, last))
            continue;
        buf_addf(out, "%s{\"domain\":\"%.*s\",\"commands\":[],\"events\":[],\"types\":[]}", comma,
                 STR_ARG(domain));
        comma = ",";
        last = domain;
    }
    buf_adds(out, "]}\n");
}
