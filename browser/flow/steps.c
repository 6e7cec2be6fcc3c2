/* The types of steps: Chrome DevTools Recorder's, then Fleet's own. */
#include "browser/flow/flow_internal.h"

#include "browser/ops_capture.h"
#include "browser/ops_files.h"
#include "browser/ops_flow.h"
#include "browser/ops_network.h"
#include "browser/ops_page.h"
#include "browser/ops_record.h"
#include "browser/ops_state.h"
#include "browser/ops_traffic.h"

#include <string.h>

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

const char *const step_members[] = {"type",    "timeout",        "assertedEvents", "target",
                                    "frame",   "frame_url",      "irreversible",   "optional",
                                    "retries", "retry_delay_ms", "comment",        NULL};

/* What page.check takes, written out in the conditions of if. */
#define CONDITION                                                                                  \
    "expression", "selectors", "operator", "count", "visible", "attributes", "properties", "text", \
        "url", "title"

const struct step_type step_types[] = {
    {.name = "navigate",
     .op = "page.navigate",
     .own = NAMES("accept_status", "accept_4xx"),
     .doc = "goes to a URL and waits until it is loaded"},
    {.name = "click", .op = "page.click", .led = true, .doc = "clicks an element"},
    {.name = "doubleClick",
     .op = "page.double_click",
     .led = true,
     .doc = "clicks an element twice"},
    {.name = "hover", .op = "page.hover", .led = true, .doc = "moves the pointer over an element"},
    {.name = "change", .op = "page.change", .led = true, .doc = "gives a field a value"},
    {.name = "keyDown", .op = "page.key_down", .led = true, .doc = "presses a key"},
    {.name = "keyUp", .op = "page.key_up", .led = true, .doc = "releases a key"},
    {.name = "scroll", .op = "page.scroll", .led = true, .doc = "scrolls an element or the window"},
    {.name = "waitForElement",
     .op = "page.wait_for_element",
     .led = true,
     .doc = "waits for elements"},
    {.name = "waitForExpression",
     .op = "page.wait_for_expression",
     .led = true,
     .doc = "waits until an expression is truthy"},
    {.name = "setViewport",
     .op = "page.set_viewport",
     .no_page = true,
     .doc = "sets the page's size and kind of screen"},
    {.name = "emulateNetworkConditions",
     .op = "page.emulate_network",
     .no_page = true,
     .doc = "limits the page's network"},
    {.name = "close", .op = "page.close", .doc = "closes the page"},
    {.name = "customStep",
     .kind = STEP_NOTHING,
     .own = NAMES("name", "parameters"),
     .no_page = true,
     .doc = "does nothing, as in @puppeteer/replay"},
    {.name = "drag",
     .op = "page.drag",
     .led = true,
     .doc = "drags an element to another one, or by a distance"},
    {.name = "extract",
     .op = "page.extract",
     .own = NAMES("into"),
     .renamed = NAMES("selector", "selectors"),
     .doc = "takes typed values out of the page"},
    {.name = "assert",
     .op = "page.assert",
     .led = true,
     .renamed = NAMES("selector", "selectors"),
     .doc = "fails unless something holds"},
    {.name = "screenshot",
     .op = "page.screenshot",
     .own = NAMES("selectors", "selector"),
     .renamed = NAMES("fullPage", "full_page"),
     .doc = "makes a picture"},
    {.name = "pdf", .op = "page.pdf", .doc = "prints the page to PDF"},
    {.name = "html", .op = "page.html", .doc = "keeps the page's DOM as HTML"},
    {.name = "mhtml", .op = "page.mhtml", .doc = "keeps the page with all its parts in one file"},
    {.name = "allowDownloads",
     .op = "page.allow_downloads",
     .no_page = true,
     .doc = "keeps downloads from now on"},
    {.name = "waitForDownload",
     .op = "page.download",
     .no_page = true,
     .doc = "waits for a download and keeps it"},
    {.name = "upload",
     .op = "page.upload",
     .renamed = NAMES("selector", "selectors"),
     .led = true,
     .doc = "chooses files for a file field"},
    {.name = "block",
     .op = "page.block",
     .no_page = true,
     .doc = "makes requests to hosts, URLs or of kinds fail"},
    {.name = "console",
     .op = "page.console",
     .own = NAMES("into"),
     .no_page = true,
     .doc = "keeps what the page writes to its console, and its errors"},
    {.name = "dialogs",
     .op = "page.dialogs",
     .no_page = true,
     .doc = "says how confirm and prompt are answered"},
    {.name = "har",
     .op = "page.har",
     .own = NAMES("into"),
     .no_page = true,
     .doc = "records what pages ask the network for, or ends that, as a HAR file"},
    {.name = "screencast",
     .op = "page.screencast",
     .own = NAMES("into"),
     .no_page = true,
     .doc = "keeps frames of what the page shows, or ends that"},
    {.name = "responseBody",
     .op = "page.response_body",
     .own = NAMES("into"),
     .doc = "takes the body of a response that the page got"},
    {.name = "exportState",
     .op = "member.state.export",
     .own = NAMES("into"),
     .doc = "takes the member's cookies and local storage"},
    {.name = "importState",
     .op = "member.state.import",
     .no_page = true,
     .doc = "gives the member cookies and local storage"},
    {.name = "set",
     .op = "page.set",
     .own = NAMES("output"),
     .no_page = true,
     .doc = "gives variables their values"},
    {.name = "sleep", .op = "page.sleep", .no_page = true, .doc = "waits"},
    {.name = "if",
     .kind = STEP_IF,
     .op = "page.check",
     .own = NAMES("steps", "else", CONDITION),
     .doc = "takes its steps when something holds, else those of \"else\""},
    {.name = "repeat",
     .kind = STEP_REPEAT,
     .own = NAMES("steps", "times", "while", "until", "max"),
     .doc = "takes its steps again and again"},
    {.name = "paginate",
     .kind = STEP_PAGINATE,
     .op = "page.click",
     .own = NAMES("steps", "next", "max"),
     .led = true,
     .doc = "takes its steps on every page, clicking \"next\" until there is none"},
};
const size_t n_step_types = ARRAY_LEN(step_types);

const struct step_type *step_type_find(const char *name)
{
    for (size_t i = 0; i < n_step_types; i++)
        if (strcmp(step_types[i].name, name) == 0)
            return &step_types[i];
    return NULL;
}

static const struct op *find_in(const struct op *rows, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

const struct op *step_op_find(const char *name)
{
    const struct op *op = find_in(ops_flow, n_ops_flow, name);

    op = op != NULL ? op : find_in(ops_page, n_ops_page, name);
    op = op != NULL ? op : find_in(ops_capture, n_ops_capture, name);
    op = op != NULL ? op : find_in(ops_files, n_ops_files, name);
    op = op != NULL ? op : find_in(ops_network, n_ops_network, name);
    op = op != NULL ? op : find_in(ops_record, n_ops_record, name);
    op = op != NULL ? op : find_in(ops_state, n_ops_state, name);
    op = op != NULL ? op : find_in(ops_traffic, n_ops_traffic, name);
    BUG_ON(op == NULL);
    return op;
}
