/* The texts that clients look for a browser by: Chromium's own shapes. */
#include <string.h>

#include "browser/gateway/gateway_internal.h"
#include "core/base/embed.h"

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

void discovery_target(const struct lease *l, const struct view_target *t, const char *base,
                      bool tls, struct buf *out)
{
    char ws[512];

    snprintf(ws, sizeof ws, "%s://%s/devtools/page/%s/%s", tls ? "wss" : "ws", base, l->id, t->id);
    buf_addf(out, "{\"id\":\"%s\",\"type\":\"%s\"", t->id, t->type);
    member(out, "title", json_str(json_get(t->info, "title"), ""));
    member(out, "url", json_str(json_get(t->info, "url"), ""));
    member(out, "description", "");
    member(out, "devtoolsFrontendUrl", "");
    member(out, "webSocketDebuggerUrl", ws);
    buf_addc(out, '}');
}

void discovery_list(const struct lease *l, const char *base, bool tls, struct buf *out)
{
    const char *comma = "";

    buf_addc(out, '[');
    list_for_each (link, &l->view.targets) {
        const struct view_target *t = list_entry(link, struct view_target, link);

        if (!t->ready)
            continue;
        buf_adds(out, comma);
        discovery_target(l, t, base, tls, out);
        comma = ",";
    }
    buf_adds(out, "]\n");
}

/* --- the protocol: clients make their methods from it --- */

static const char fleet_domain[] =
    "{\"domain\":\"Fleet\",\"commands\":[{\"name\":\"status\"},{\"name\":\"handoff\","
    "\"parameters\":["
    "{\"name\":\"instructions\",\"type\":\"string\",\"optional\":true},"
    "{\"name\":\"timeout\",\"type\":\"integer\",\"optional\":true}]}],"
    "\"events\":[{\"name\":\"handoffComplete\"}],\"types\":[]}";

static struct str protocol_text(void)
{
    for (size_t i = 0; i < embed_assets_len; i++)
        if (strcmp(embed_assets[i].path, "browser/assets/protocol.ndjson") == 0)
            return str_n((const char *)embed_assets[i].data, embed_assets[i].len);
    BUG("browser/assets/protocol.ndjson is not embedded");
}

/* A method of it may be called. */
static bool is_offered(struct str domain)
{
    const struct rule *r;

    for (size_t i = 0; (r = policy_row(i)) != NULL; i++)
        if (r->act != RULE_REFUSE && str_eq(domain, str_n(r->method, strcspn(r->method, "."))))
            return true;
    return false;
}

void discovery_protocol_print(struct buf *out)
{
    const size_t head = sizeof "{\"domain\":\"" - 1;
    struct str rest = protocol_text();

    buf_adds(out, "{\"version\":{\"major\":\"1\",\"minor\":\"3\"},\"domains\":[");
    buf_adds(out, fleet_domain);
    while (rest.len > 0) {
        ptrdiff_t end = str_chr(rest, '\n');
        struct str line = str_n(rest.ptr, end < 0 ? rest.len : (size_t)end);
        struct str name = str_skip(line, head);

        if (is_offered(str_n(name.ptr, strcspn(name.ptr, "\"")))) {
            buf_adds(out, ",\n");
            buf_addstr(out, line);
        }
        rest = str_skip(rest, line.len + (end >= 0));
    }
    buf_adds(out, "]}\n");
}
