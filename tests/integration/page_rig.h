/* A member's page in one real browser, driven op by op through the gate (browser_rig.h), each case
 * with a browser of its own. Member 0 is German, member 1 British in Tokyo. */
#ifndef TESTS_INTEGRATION_PAGE_RIG_H
#define TESTS_INTEGRATION_PAGE_RIG_H

#include "browser/page/session.h"
#include "tests/integration/browser_rig.h"

enum { SOON_MS = 10000, SEEN_OPS_MAX = 256 };

struct seen_op {
    char name[32], host[64], path[128];
    enum status status;
    int http_status;
};

struct page_fixture {
    struct identity identity[2];
    struct applied applied[2];
    struct member member[2];
    struct context *ctx;
    struct page_session session;
    bool made;
    struct seen_op op[SEEN_OPS_MAX]; /* what went through the gate */
    size_t n_ops;
    char killed[200]; /* URL of the page that was killed last */
};
extern struct browser_rig rig;
extern struct page_fixture fx;

int page_rig_up(void **state); /* headless-shell, with a page of member 0 */
int page_rig_up_chromium(void **state);
int page_rig_down(void **state);

/** A context of this member becomes fx.ctx, and a session in it begins. */
void page_open_context(size_t member);
/** A session in fx.ctx begins, or ends; `keep`: the page stays for the next one. */
void page_begin(void);
void page_end(bool keep);

/** The last op: its call and its result, borrowed until the next. */
extern struct op_ran {
    struct op_call call;
    struct json *params, *result;
    bool done;
} ran;
/** Takes an op through the gate; `url` (may be NULL) is what it asks for. */
enum status op_run(const char *name, const char *params, const char *url, unsigned ms);
enum status go(const char *url, unsigned ms);
void go_ok(const char *url);
/** Ops of this name, host (NULL: any) and path that the gate saw. */
size_t count_ops(const char *name, const char *host, const char *path);

/** What the last script came to. */
extern struct script_ran {
    bool done;
    enum status status;
    char text[4096];
} evaled;
/** Evaluates in the page's (or a frame's) world: JSON, or the error's sentence. */
const char *eval_in(struct page *p, struct frame *f, enum page_world world, const char *source);
const char *eval(const char *source);

/** What the last script led to. */
extern struct page_went {
    bool done;
    enum status status;
    struct page_nav nav;
    char url[200], text[ERR_TEXT_MAX];
} went;
/** Runs a script as if a user did it, and waits for what comes of it. */
enum status act_and_settle(const char *source);

#endif
