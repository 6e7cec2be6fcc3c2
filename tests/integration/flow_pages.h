/* Flows on the pages of tests/site/cases/flow in a real Chromium (headless-shell;
 * FLOW_BROWSER=chromium: the other). The site answers for all host names, since it is also the
 * member's proxy: a.test and b.test are different sites, denied.test is refused by policy,
 * robots.test by its robots.txt, and the breaker of broken.test is open. One browser for all cases
 * of a program, a context for each case. In the texts of flows here ' stands for ", and ^ for '. */
#ifndef TESTS_INTEGRATION_FLOW_PAGES_H
#define TESTS_INTEGRATION_FLOW_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/err.h"

int flow_setup_all(void **state);
int flow_teardown_all(void **state);
int flow_setup(void **state);
int flow_teardown(void **state);
#define FLOW_CASE(f) cmocka_unit_test_setup_teardown(f, flow_setup, flow_teardown)

/** How the last flow ended. */
struct flow_tried {
    enum status status;
    char text[ERR_TEXT_MAX];
    int error_step;
    bool may_have_happened;
    char output[8192];    /* JSON text, "null" when none */
    char artifacts[1024]; /* as output */
    uint64_t took_ms;     /* of it, or from when it was cancelled */
};
extern struct flow_tried tried;

/** Runs a flow of these steps (the elements of its array) for the row {url:
 * http://a.test/form.html, word: "green", n: 7}. */
enum status flow_try(const char *steps);
/** For another row, and cancelled after `cancel_ms` (0: never). */
enum status flow_try_with(const char *steps, const char *row, unsigned cancel_ms);
/** It succeeds with this output. */
void flow_expect(const char *steps, const char *output);
/** It ends with this status, and `text` is in what is said. */
void flow_expect_fail(const char *steps, enum status s, const char *text);

/** What the campaign of the flows to come says, borrowed; NULL: there is none. */
struct campaign_conf;
void flow_conf(const struct campaign_conf *conf);

/** From the next flow on, `fn` looks at each artifact before it is removed; NULL: nobody does. */
void flow_look(void (*fn)(const char *path));

/** What `path` answers from now on; "@silent" and "@never" as site_answer has them. The strings are
 * borrowed. */
void flow_serve(const char *path, int status, const char *headers, const char *body);
/** Requests that came for this host since the program began. */
size_t flow_asked(const char *host);
/** What campaigns say of block pages, for the flows of this case; NULL (at its begin): nothing. */
struct block_conf;
void flow_captcha(const struct block_conf *c);
/** A page of tests/site, such as "guarded/later.html", answers at "/NAME" from now on. */
void flow_serve_file(const char *name, int status);
/** The breaker of a.test is open; closes it. */
bool flow_breaker_was_open(void);
/** Requests a second that the limiter lets through to a host, as it is slowed now; 0: it was not
 * asked yet. Of hosts that nobody slowed: 1000. */
double flow_rate(const char *host);
/** heartbeat_ms of the flows of this case; 0 (at its begin): none. */
void flow_heartbeat(uint64_t every_ms);
/** What on_event was told in this case: words separated by ", ". */
const char *flow_events(void);
/** Waits until it was told just these. */
void flow_wait_events(const char *events);
/** `ms` after the next flow's page has been navigated its process crashes. */
void flow_crash_after(uint64_t ms);
/** `ms` after the next flow's page has been navigated the browser is stopped for good: it answers
 * nothing any more. When it is told to be stuck it is killed ("browser stuck" among the events); no
 * flow can be run after it. */
void flow_freeze_after(uint64_t ms);

#define GO(page) "{'type': 'navigate', 'url': 'http://a.test/" page "'}, "
/* What the page has noted, and the value of a field, into the output. */
#define LOG ", {'type': 'set', 'name': 'log', 'expression': 'log.join(^ ^)', 'output': true}"
#define VALUE(id)                                                                                  \
    ", {'type': 'set', 'name': '" id "', 'expression': 'document.getElementById(^" id              \
    "^).value', 'output': true}"

#endif
