/* What a browser says, split at NUL bytes as the pipe does it: to a connection with a call that
 * waits, a session, and a listener. */
#include <stdint.h>

#include "browser/cdp/conn.h"

static struct loop *loop;

static enum status send_nothing(struct transport *t, struct str batch, struct err *e)
{
    (void)t;
    (void)batch;
    (void)e;
    return STATUS_OK;
}

static void destroy_nothing(struct transport *t)
{
    (void)t;
}

static unsigned answers;

static void on_reply(void *arg, enum status s, const struct json *result, const struct err *e)
{
    (void)arg;
    (void)e;
    BUG_ON((s == STATUS_OK) != (result != NULL));
    answers++;
}

static void on_event(void *arg, struct cdp_session *s, const struct json *params)
{
    (void)arg;
    (void)s;
    BUG_ON(json_type(params) != JSON_OBJECT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct transport_ops ops = {"none", send_nothing, destroy_nothing};
    static const struct cdp_handler handlers[] = {{"Page.frameNavigated", on_event},
                                                  {"A.b", on_event}};
    struct transport t = {.ops = &ops};
    struct cdp_listener l = {0};
    struct str rest = {(const char *)data, size};
    struct cdp_session *s;
    struct cdp_conn *c;

    if (loop == NULL && loop_create(&loop, NULL, NULL) != STATUS_OK)
        return 0;
    answers = 0;
    c = cdp_conn_create(loop, &t, NULL, NULL);
    s = cdp_session_create(c, STR("S"));
    cdp_listen(s, &l, handlers, ARRAY_LEN(handlers), NULL);
    cdp_call(cdp_conn_root(c), "A.a", STR_NONE, 0, on_reply, NULL);
    cdp_call(s, "B.b", STR_NONE, 0, on_reply, NULL);
    while (rest.ptr != NULL)
        t.events.on_message(t.events.arg, str_cut(&rest, '\0'));
    cdp_conn_destroy(&c);
    loop_run_once(loop, 0);
    BUG_ON(answers != 2);
    return 0;
}
