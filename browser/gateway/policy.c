/* Rows are in order of method: a method is looked for by itself, then its domain. Two dozen rows
 * say why; a row without `why` needs none. The order of worth: nothing of another member, nothing
 * of this machine, nothing that undoes the identity, nothing that switches the gate off. */
#include "browser/gateway/policy.h"

#include <stdlib.h>
#include <string.h>

#include "browser/gateway/mend.h"

#define B   RULE_BROWSER
#define P   RULE_PAGE
#define BP  (RULE_BROWSER | RULE_PAGE)
#define PA  (RULE_PAGE | RULE_ACTS)
#define BPA (RULE_BROWSER | RULE_PAGE | RULE_ACTS)

static const char identity_why[] = "the member's identity decides it";
static const char machine_why[] = "it reaches this machine, not a page";
static const char others_why[] = "other members share the browser";
static const char trace_why[] = "other members share the browser, and a trace shows what all of "
                                "them do; a server with isolation "
                                "\"process\" lets it through";
static const char gate_why[] = "it leads around the gate";
static const char flat_why[] = "sessions are flat here (flatten: true)";

/* clang-format off */
static const struct rule rows[] = {
    {"Accessibility.", RULE_PASS, P, NULL, NULL},
    {"Animation.", RULE_PASS, P, NULL, NULL},
    {"Audits.", RULE_PASS, P, NULL, NULL},
    {"Autofill.", RULE_PASS, PA, NULL, NULL},
    {"BackgroundService.", RULE_REFUSE, 0, NULL, others_why},
    {"BluetoothEmulation.", RULE_REFUSE, 0, NULL, machine_why},
    {"Browser.addPrivacySandboxCoordinatorKeyConfig", RULE_REFUSE, 0, NULL, others_why},
    {"Browser.addPrivacySandboxEnrollmentOverride", RULE_REFUSE, 0, NULL, others_why},
    {"Browser.cancelDownload", RULE_MEND, B | RULE_ACTS, mend_context, NULL},
    {"Browser.close", RULE_OWN, BPA, NULL, NULL},
    {"Browser.crash", RULE_REFUSE, 0, NULL, others_why},
    {"Browser.crashGpuProcess", RULE_REFUSE, 0, NULL, others_why},
    {"Browser.executeBrowserCommand", RULE_REFUSE, 0, NULL, others_why},
    {"Browser.getBrowserCommandLine", RULE_REFUSE, 0, NULL, machine_why},
    {"Browser.getHistogram", RULE_REFUSE, 0, NULL, others_why},
    {"Browser.getHistograms", RULE_REFUSE, 0, NULL, others_why},
    {"Browser.getVersion", RULE_PASS, BP, NULL, NULL},
    {"Browser.getWindowBounds", RULE_OWN, BP, NULL, NULL},
    {"Browser.getWindowForTarget", RULE_OWN, BP, NULL, NULL},
    {"Browser.grantPermissions", RULE_MEND, B | RULE_ACTS, mend_context, NULL},
    {"Browser.resetPermissions", RULE_MEND, B | RULE_ACTS, mend_context, NULL},
    {"Browser.setContentsSize", RULE_IGNORE, BP, NULL, identity_why},
    {"Browser.setDockTile", RULE_IGNORE, BP, NULL, machine_why},
    {"Browser.setDownloadBehavior", RULE_MEND, B | RULE_ACTS, mend_downloads, NULL},
    {"Browser.setPermission", RULE_MEND, B | RULE_ACTS, mend_context, NULL},
    {"Browser.setWindowBounds", RULE_IGNORE, BP, NULL, identity_why},
    {"CSS.", RULE_PASS, P, NULL, NULL},
    {"CacheStorage.", RULE_PASS, P, NULL, NULL},
    {"Cast.", RULE_REFUSE, 0, NULL, machine_why},
    {"Console.", RULE_PASS, P, NULL, NULL},
    {"DOM.", RULE_PASS, P, NULL, NULL},
    {"DOM.removeNode", RULE_PASS, PA, NULL, NULL},
    {"DOM.setAttributeValue", RULE_PASS, PA, NULL, NULL},
    {"DOM.setAttributesAsText", RULE_PASS, PA, NULL, NULL},
    {"DOM.setFileInputFiles", RULE_MEND, PA, mend_files, NULL},
    {"DOM.setNodeValue", RULE_PASS, PA, NULL, NULL},
    {"DOM.setOuterHTML", RULE_PASS, PA, NULL, NULL},
    {"DOMDebugger.", RULE_PASS, P, NULL, NULL},
    {"DOMSnapshot.", RULE_PASS, P, NULL, NULL},
    {"DOMStorage.", RULE_PASS, P, NULL, NULL},
    {"Debugger.", RULE_PASS, P, NULL, NULL},
    {"Debugger.evaluateOnCallFrame", RULE_PASS, PA, NULL, NULL},
    {"Debugger.setScriptSource", RULE_PASS, PA, NULL, NULL},
    {"DeviceAccess.", RULE_REFUSE, 0, NULL, machine_why},
    {"DeviceOrientation.", RULE_PASS, P, NULL, NULL},
    {"Emulation.", RULE_PASS, P, NULL, NULL},
    {"Emulation.addScreen", RULE_REFUSE, 0, NULL, others_why},
    {"Emulation.clearDeviceMetricsOverride", RULE_MEND, P, mend_metrics_clear, NULL},
    {"Emulation.clearIdleOverride", RULE_PASS, P, NULL, NULL},
    {"Emulation.getScreenInfos", RULE_PASS, BP, NULL, NULL},
    {"Emulation.removeScreen", RULE_REFUSE, 0, NULL, others_why},
    {"Emulation.resetPageScaleFactor", RULE_PASS, P, NULL, NULL},
    {"Emulation.setAutomationOverride", RULE_IGNORE, P, NULL, identity_why},
    {"Emulation.setDeviceMetricsOverride", RULE_MEND, P, mend_metrics, NULL},
    {"Emulation.setHardwareConcurrencyOverride", RULE_IGNORE, P, NULL, identity_why},
    {"Emulation.setLocaleOverride", RULE_IGNORE, P, NULL, identity_why},
    {"Emulation.setNavigatorOverrides", RULE_IGNORE, P, NULL, identity_why},
    {"Emulation.setTimezoneOverride", RULE_IGNORE, P, NULL, identity_why},
    {"Emulation.setUserAgentOverride", RULE_IGNORE, P, NULL, identity_why},
    {"Emulation.updateScreen", RULE_REFUSE, 0, NULL, others_why},
    {"EventBreakpoints.", RULE_PASS, P, NULL, NULL},
    {"Extensions.", RULE_REFUSE, 0, NULL, others_why},
    {"FedCm.", RULE_PASS, P, NULL, NULL},
    {"Fetch.", RULE_PASS, P, NULL, NULL},
    {"Fetch.continueRequest", RULE_MEND, P, mend_continue, NULL},
    {"FileSystem.", RULE_REFUSE, 0, NULL, machine_why},
    {"Fleet.", RULE_OWN, BP, NULL, NULL},
    {"Fleet.handoff", RULE_OWN, BPA, NULL, NULL},
    {"HeadlessExperimental.", RULE_PASS, P, NULL, NULL},
    {"HeapProfiler.", RULE_PASS, P, NULL, NULL},
    {"IO.", RULE_PASS, P, NULL, NULL},
    {"IndexedDB.", RULE_PASS, P, NULL, NULL},
    {"Input.", RULE_PASS, PA, NULL, NULL},
    {"Input.dispatchDragEvent", RULE_MEND, PA, mend_drag, NULL},
    {"Input.setIgnoreInputEvents", RULE_PASS, P, NULL, NULL},
    {"Input.setInterceptDrags", RULE_PASS, P, NULL, NULL},
    {"Inspector.", RULE_PASS, P, NULL, NULL},
    {"LayerTree.", RULE_PASS, P, NULL, NULL},
    {"Log.", RULE_PASS, P, NULL, NULL},
    {"Media.", RULE_PASS, P, NULL, NULL},
    {"Memory.", RULE_REFUSE, 0, NULL, others_why},
    {"Memory.getDOMCounters", RULE_PASS, P, NULL, NULL},
    {"Memory.getDOMCountersForLeakDetection", RULE_PASS, P, NULL, NULL},
    {"Memory.prepareForLeakDetection", RULE_PASS, P, NULL, NULL},
    {"Network.", RULE_PASS, P, NULL, NULL},
    {"Network.clearBrowserCookies", RULE_PASS, PA, NULL, NULL},
    {"Network.deleteCookies", RULE_PASS, PA, NULL, NULL},
    {"Network.loadNetworkResource", RULE_REFUSE, 0, NULL, gate_why},
    {"Network.replayXHR", RULE_PASS, PA, NULL, NULL},
    {"Network.setAcceptedEncodings", RULE_IGNORE, P, NULL, identity_why},
    {"Network.setCookie", RULE_PASS, PA, NULL, NULL},
    {"Network.setCookieControls", RULE_PASS, PA, NULL, NULL},
    {"Network.setCookies", RULE_PASS, PA, NULL, NULL},
    {"Network.setExtraHTTPHeaders", RULE_MEND, P, mend_headers, NULL},
    {"Network.setRequestInterception", RULE_REFUSE, 0, NULL, "use the Fetch domain"},
    {"Network.setUserAgentOverride", RULE_IGNORE, P, NULL, identity_why},
    {"Overlay.", RULE_PASS, P, NULL, NULL},
    {"PWA.", RULE_REFUSE, 0, NULL, machine_why},
    {"Page.", RULE_PASS, P, NULL, NULL},
    {"Page.addScriptToEvaluateOnLoad", RULE_PASS, PA, NULL, NULL},
    {"Page.addScriptToEvaluateOnNewDocument", RULE_PASS, PA, NULL, NULL},
    {"Page.clearDeviceMetricsOverride", RULE_REFUSE, 0, NULL, "use the Emulation domain"},
    {"Page.close", RULE_PASS, PA, NULL, NULL},
    {"Page.crash", RULE_PASS, PA, NULL, NULL},
    {"Page.deleteCookie", RULE_PASS, PA, NULL, NULL},
    {"Page.handleJavaScriptDialog", RULE_PASS, PA, NULL, NULL},
    {"Page.navigate", RULE_MEND, PA, mend_url, NULL},
    {"Page.navigateToHistoryEntry", RULE_PASS, PA, NULL, NULL},
    {"Page.reload", RULE_PASS, PA, NULL, NULL},
    {"Page.setDeviceMetricsOverride", RULE_REFUSE, 0, NULL, "use the Emulation domain"},
    {"Page.setDocumentContent", RULE_PASS, PA, NULL, NULL},
    {"Page.setDownloadBehavior", RULE_MEND, PA, mend_downloads_page, NULL},
    {"Page.setPrerenderingAllowed", RULE_REFUSE, 0, NULL, gate_why},
    {"Page.setTouchEmulationEnabled", RULE_REFUSE, 0, NULL, "use the Emulation domain"},
    {"Performance.", RULE_PASS, P, NULL, NULL},
    {"PerformanceTimeline.", RULE_PASS, P, NULL, NULL},
    {"Preload.", RULE_PASS, P, NULL, NULL},
    {"Profiler.", RULE_PASS, P, NULL, NULL},
    {"Runtime.", RULE_PASS, P, NULL, NULL},
    {"Runtime.callFunctionOn", RULE_PASS, PA, NULL, NULL},
    {"Runtime.evaluate", RULE_PASS, PA, NULL, NULL},
    {"Runtime.runIfWaitingForDebugger", RULE_OWN, BP, NULL, NULL},
    {"Runtime.runScript", RULE_PASS, PA, NULL, NULL},
    {"Schema.getDomains", RULE_PASS, P, NULL, NULL},
    {"Security.", RULE_PASS, P, NULL, NULL},
    {"Security.setIgnoreCertificateErrors", RULE_PASS, P, NULL, NULL},
    {"ServiceWorker.", RULE_PASS, P, NULL, NULL},
    {"SmartCardEmulation.", RULE_REFUSE, 0, NULL, machine_why},
    {"Storage.", RULE_MEND, P, mend_context_if_named, NULL},
    {"Storage.clearCookies", RULE_MEND, BPA, mend_context, NULL},
    {"Storage.getCookies", RULE_MEND, BP, mend_context, NULL},
    {"Storage.setCookies", RULE_MEND, BPA, mend_context, NULL},
    {"SystemInfo.", RULE_REFUSE, 0, NULL, machine_why},
    {"Target.activateTarget", RULE_OWN, BPA, NULL, NULL},
    {"Target.attachToBrowserTarget", RULE_OWN, BP, NULL, NULL},
    {"Target.attachToTarget", RULE_OWN, BP, NULL, NULL},
    {"Target.autoAttachRelated", RULE_REFUSE, 0, NULL, "use Target.setAutoAttach"},
    {"Target.closeTarget", RULE_OWN, BPA, NULL, NULL},
    {"Target.createBrowserContext", RULE_OWN, BPA, NULL, NULL},
    {"Target.createTarget", RULE_OWN, BPA, NULL, NULL},
    {"Target.detachFromTarget", RULE_OWN, BP, NULL, NULL},
    {"Target.disposeBrowserContext", RULE_OWN, BPA, NULL, NULL},
    {"Target.exposeDevToolsProtocol", RULE_REFUSE, 0, NULL, "a page must not drive the browser"},
    {"Target.getBrowserContexts", RULE_OWN, BP, NULL, NULL},
    {"Target.getTargetInfo", RULE_OWN, BP, NULL, NULL},
    {"Target.getTargets", RULE_OWN, BP, NULL, NULL},
    {"Target.sendMessageToTarget", RULE_REFUSE, 0, NULL, flat_why},
    {"Target.setAutoAttach", RULE_OWN, BP, NULL, NULL},
    {"Target.setDiscoverTargets", RULE_OWN, BP, NULL, NULL},
    {"Target.setRemoteLocations", RULE_REFUSE, 0, NULL, machine_why},
    {"Tethering.", RULE_REFUSE, 0, NULL, machine_why},
    {"Tracing.", RULE_PASS, BP | RULE_ALONE, NULL, trace_why},
    {"WebAudio.", RULE_PASS, P, NULL, NULL},
    {"WebAuthn.", RULE_PASS, P, NULL, NULL},
    {"WebMCP.", RULE_PASS, P, NULL, NULL},
    {"WebMCP.invokeTool", RULE_PASS, PA, NULL, NULL},
};
/* clang-format on */

static const struct rule unknown = {"", RULE_REFUSE, 0, NULL,
                                    "it is not on the list of what clients may call"};

struct key {
    struct str method;
};

static int compare(const void *a, const void *b)
{
    struct str method = ((const struct key *)a)->method;
    const char *row = ((const struct rule *)b)->method;
    size_t n = strlen(row);
    int order = memcmp(method.ptr, row, method.len < n ? method.len : n);

    if (order != 0)
        return order;
    return method.len < n ? -1 : method.len > n;
}

static const struct rule *find(struct str method)
{
    struct key k = {method};

    return bsearch(&k, rows, ARRAY_LEN(rows), sizeof rows[0], compare);
}

const struct rule *policy_rule(struct str method)
{
    ptrdiff_t dot = str_chr(method, '.');
    const struct rule *r = method.len > 0 ? find(method) : NULL;

    if (r == NULL && dot > 0 && (size_t)dot + 1 < method.len)
        r = find(str_n(method.ptr, (size_t)dot + 1));
    return r != NULL ? r : &unknown;
}

const struct rule *policy_row(size_t i)
{
    return i < ARRAY_LEN(rows) ? &rows[i] : NULL;
}

bool policy_url_ok(const char *url)
{
    static const char *const fine[] = {"http:", "https:", "data:", "blob:"};
    struct str s = str_from(url);

    while (s.len > 0 && (unsigned char)s.ptr[0] <= ' ')
        s = str_skip(s, 1);
    for (size_t i = 0; i < s.len; i++) /* browsers drop these inside a scheme */
        if (strchr("\t\r\n", s.ptr[i]) != NULL && str_chr(str_n(s.ptr, i), ':') < 0)
            return false;
    for (size_t i = 0; i < ARRAY_LEN(fine); i++)
        if (str_starts_nocase(s, str_from(fine[i])))
            return true;
    return str_eq_nocase(s, STR("about:blank")) || str_eq_nocase(s, STR("about:srcdoc")) ||
           str_starts_nocase(s, STR("about:blank#")) || str_starts_nocase(s, STR("about:blank?"));
}

/* --- text that is handed on --- */

struct scan {
    const char *p, *end;
    size_t depth;
    unsigned char open[POLICY_JSON_DEPTH]; /* '{' or '[' */
};

static void space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escape(struct scan *s)
{
    if (s->p >= s->end)
        return false;
    if (*s->p != 'u')
        return *s->p != '\0' && strchr("\"\\/bfnrt", *s->p++) != NULL;
    if (s->end - s->p < 5)
        return false;
    for (int i = 1; i <= 4; i++)
        if (!is_hex(s->p[i]))
            return false;
    s->p += 5;
    return true;
}

static bool string(struct scan *s)
{
    if (s->p >= s->end || *s->p++ != '"')
        return false;
    while (s->p < s->end) {
        unsigned char c = (unsigned char)*s->p++;

        if (c == '"')
            return true;
        if (c < 0x20 || (c == '\\' && !escape(s)))
            return false;
    }
    return false;
}

static size_t digits(struct scan *s)
{
    const char *from = s->p;

    while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
        s->p++;
    return (size_t)(s->p - from);
}

static bool number(struct scan *s)
{
    if (s->p < s->end && *s->p == '-')
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++;
    else if (digits(s) == 0)
        return false;
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (digits(s) == 0)
            return false;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (digits(s) == 0)
            return false;
    }
    return true;
}

static bool word(struct scan *s, struct str w)
{
    if ((size_t)(s->end - s->p) < w.len || memcmp(s->p, w.ptr, w.len) != 0)
        return false;
    s->p += w.len;
    return true;
}

static bool scalar(struct scan *s)
{
    switch (*s->p) {
    case '"':
        return string(s);
    case 't':
        return word(s, STR("true"));
    case 'f':
        return word(s, STR("false"));
    case 'n':
        return word(s, STR("null"));
    default:
        return number(s);
    }
}

static bool name(struct scan *s)
{
    space(s);
    if (!string(s))
        return false;
    space(s);
    return s->p < s->end && *s->p++ == ':';
}

/* After a value: closes what ends here, and stands at the next value. *over: all is closed. */
static bool after(struct scan *s, bool *over)
{
    for (;;) {
        space(s);
        *over = s->depth == 0;
        if (*over)
            return s->p == s->end;
        if (s->p >= s->end)
            return false;
        if (*s->p == ',') {
            s->p++;
            return s->open[s->depth - 1] == '[' || name(s);
        }
        if (*s->p++ != (s->open[s->depth - 1] == '{' ? '}' : ']'))
            return false;
        s->depth--;
    }
}

/* An opening bracket. *empty: it was closed at once, and is a value now. */
static bool enter(struct scan *s, bool *empty)
{
    char c = *s->p++;

    if (s->depth == POLICY_JSON_DEPTH)
        return false;
    space(s);
    *empty = s->p < s->end && *s->p == (c == '{' ? '}' : ']');
    if (*empty) {
        s->p++;
        return true;
    }
    s->open[s->depth++] = (unsigned char)c;
    return c == '[' || name(s);
}

bool policy_json_ok(struct str text)
{
    struct scan s = {.p = text.ptr, .end = text.ptr + text.len};
    bool over = false;

    while (!over) {
        bool is_value = true;

        space(&s);
        if (s.p >= s.end)
            return false;
        if (*s.p == '{' || *s.p == '[') {
            if (!enter(&s, &is_value))
                return false;
        } else if (!scalar(&s)) {
            return false;
        }
        if (is_value && !after(&s, &over))
            return false;
    }
    return str_is_utf8(text);
}
