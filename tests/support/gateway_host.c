#include "tests/support/gateway_host.h"

#include <stdio.h>

enum { TEXT_MAX = 64 * 1024 * 1024 };

static void keep(struct gateway_host *h, struct mux_call *c)
{
    struct err e = ERR_INIT;

    if (h->n_calls == HOST_ASKED_MAX) {
        struct mux_call *oldest = h->calls[0];

        memmove(h->calls, h->calls + 1, --h->n_calls * sizeof h->calls[0]);
        h->calls[h->n_calls++] = c;
        err_set(&e, STATUS_CLOSED, "too many");
        mux_answered(oldest, STATUS_CLOSED, STR_NONE, &e);
        return;
    }
    h->calls[h->n_calls++] = c;
}

static void to_client(void *arg, struct str message)
{
    struct gateway_host *h = arg;

    buf_addstr(&h->client, message);
    buf_addc(&h->client, '\n');
}

static void to_browser(void *arg, struct mux_call *c, const char *session, struct str params)
{
    struct gateway_host *h = arg;

    buf_addf(&h->asked, "%s %s %.*s\n", session[0] != '\0' ? session : "-", c->method,
             STR_ARG(params));
    keep(h, c);
}

static bool adopt(void *arg, const char *session)
{
    (void)arg;
    return session[0] != '\0';
}

static void forget(void *arg, const char *session)
{
    (void)arg;
    (void)session;
}

static void run_target(void *arg, struct view_target *t, struct mux_call *c)
{
    struct gateway_host *h = arg;

    t->hold[0] = '\0';
    t->running = true;
    buf_addf(&h->told, "run %s\n", t->id);
    if (c != NULL)
        keep(h, c);
}

static void redress(void *arg, const char *target)
{
    buf_addf(&((struct gateway_host *)arg)->told, "redress %s\n", target);
}

static void open_page(void *arg, struct mux_call *c, const char *context, const char *url)
{
    struct gateway_host *h = arg;

    buf_addf(&h->told, "open %s %s\n", context, url);
    keep(h, c);
}

static void make_context(void *arg, struct mux_call *c)
{
    keep(arg, c);
}

static void drop_context(void *arg, struct mux_call *c, const char *context)
{
    (void)context;
    keep(arg, c);
}

static void fleet(void *arg, struct mux_call *c, const struct json *params)
{
    (void)params;
    keep(arg, c);
}

static void release(void *arg)
{
    buf_adds(&((struct gateway_host *)arg)->told, "release\n");
}

static void over(void *arg)
{
    buf_adds(&((struct gateway_host *)arg)->told, "over\n");
}

static void acted(void *arg, const struct mux_call *c, const char *url, enum status s)
{
    (void)url;
    buf_addf(&((struct gateway_host *)arg)->told, "acted %s %s\n", c->method, status_name(s));
}

static bool has_context(void *arg, const char *id)
{
    return view_has_context(&((struct gateway_host *)arg)->view, id);
}

void gateway_host_open(struct gateway_host *h, const char *page)
{
    const struct mux_host host = {
        to_client,    to_browser,   adopt, forget, run_target, redress, open_page,
        make_context, drop_context, fleet, over,   release,    acted,   h};

    *h = (struct gateway_host){0};
    buf_init(&h->client, TEXT_MAX);
    buf_init(&h->asked, TEXT_MAX);
    buf_init(&h->told, TEXT_MAX);
    view_init(&h->view, "LEASE");
    BUG_ON(!view_add_context(&h->view, "C1"));
    h->identity =
        (struct identity){.user_agent = "Theirs/1.0", .viewport_w = 800, .viewport_h = 600};
    h->metrics = json_parse(STR("{\"width\":800,\"height\":600,\"deviceScaleFactor\":1,\"mobile\":"
                                "false,\"screenWidth\":1920,\"screenHeight\":1080}"),
                            true, NULL);
    h->scope = (struct policy_scope){.identity = &h->identity,
                                     .metrics = h->metrics,
                                     .context = "C1",
                                     .has_context = has_context,
                                     .arg = h};
    if (page != NULL)
        gateway_host_page(h, page);
    h->mux = mux_create(&h->view, &h->scope, &host, page);
}

static void answer(struct gateway_host *h, enum status s, const char *result)
{
    struct mux_call *c = h->calls[0];
    struct err e = ERR_INIT;

    memmove(h->calls, h->calls + 1, --h->n_calls * sizeof h->calls[0]);
    err_set(&e, s, "%s", "the end");
    mux_answered(c, s, s == STATUS_OK ? str_from(result) : STR_NONE, &e);
}

bool gateway_host_answer(struct gateway_host *h, const char *result)
{
    if (h->n_calls == 0)
        return false;
    answer(h, STATUS_OK, result);
    return true;
}

struct view_target *gateway_host_page(struct gateway_host *h, const char *id)
{
    char text[256];
    struct json *info;
    struct view_target *t;

    snprintf(text, sizeof text,
             "{\"targetId\":\"%.40s\",\"type\":\"page\",\"title\":\"\",\"url\":\"about:blank\","
             "\"browserContextId\":\"C1\"}",
             id);
    info = json_parse(str_from(text), false, NULL);
    t = view_update(&h->view, info);
    json_destroy(&info);
    snprintf(t->hold, sizeof t->hold, "OURS-%.30s", id);
    t->ready = true;
    if (h->mux != NULL && !mux_ready(h->mux, t))
        run_target(h, t, NULL);
    return t;
}

void gateway_host_close(struct gateway_host *h)
{
    mux_destroy(&h->mux);
    while (h->n_calls > 0)
        answer(h, STATUS_CLOSED, NULL);
    view_deinit(&h->view);
    json_destroy(&h->metrics);
    buf_deinit(&h->client);
    buf_deinit(&h->asked);
    buf_deinit(&h->told);
}
