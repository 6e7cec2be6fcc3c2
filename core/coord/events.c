#include "core/coord/events.h"

#include <stdio.h>

#include "core/base/log.h"
#include "core/coord/engine_internal.h"
#include "core/substrate/substrate.h"

enum { EVENTS_KEPT = 1000000, DATA_MAX = 64 * 1024 };

enum status events_open(struct engine *e, struct err *er)
{
    const struct substrate_opts opts = {
        .node = audit_log_id(e->audit),
        .event_limit = EVENTS_KEPT,
        .hlc = audit_hlc(e->audit),
    };
    enum status s = substrate_open_local(e->loop, e->logdb, &opts, &e->substrate, er);

    return s == STATUS_OK ? s : err_prefix(er, "events");
}

static void on_emitted(void *arg, enum status s, uint64_t seq, bool duplicate, const struct err *er)
{
    (void)arg;
    (void)seq;
    (void)duplicate;
    if (s != STATUS_OK && s != STATUS_SHUTTING_DOWN && s != STATUS_POLICY_DENIED)
        log_warn(NULL, "event.lost", LOG_ERR(er));
}

/* Takes `data` over. */
static void emit(struct engine *e, const char *type, const char *subject, struct json *data)
{
    struct buf text = BUF_INIT(DATA_MAX);
    const struct substrate_event ev = {.type = type, .subject = subject};

    json_print(data, 0, &text);
    if (e->substrate && e->trouble.status == STATUS_OK && buf_status(&text) == STATUS_OK) {
        struct substrate_event whole = ev;

        whole.data = buf_str(&text);
        substrate_emit(e->substrate, &whole, on_emitted, NULL);
    }
    buf_deinit(&text);
    json_destroy(&data);
}

void events_batch(struct engine *e, const struct batch *b)
{
    struct json *j = json_new_object();
    char type[64];

    snprintf(type, sizeof(type), "batch.%s", batch_state_name(b->state));
    json_add_str(j, "batch", b->id);
    json_add_str(j, "name", b->name);
    json_add_num(j, "total", b->total);
    json_add_num(j, "finished", (double)b->finished);
    json_add_num(j, "completed", (double)b->succeeded);
    emit(e, type, b->id, json_add_num(j, "failed", (double)(b->finished - b->succeeded)));
}

void events_removed(struct engine *e, uint32_t n, const unsigned char *leaf)
{
    char id[BATCH_ID_MAX], hex[AUDIT_HEX_MAX];
    struct json *j = json_new_object();

    snprintf(id, sizeof(id), "b-%07u", n);
    json_add_str(j, "batch", id);
    emit(e, "batch.removed", id, json_add_str(j, "receipt", audit_hex(leaf, hex)));
}

void events_task(struct engine *e, const struct batch *b, const struct batch_task *t)
{
    struct json *j;
    char type[64];

    if (!e->opts.events)
        return;
    j = json_new_object();
    snprintf(type, sizeof(type), "task.%s", task_state_name(t->state));
    json_add_str(j, "batch", b->id);
    json_add_str(j, "task", t->id);
    json_add_num(j, "index", t->index);
    json_add(j, "target", json_new_str(t->target));
    json_add_str(j, "status", t->status == STATUS_OK ? "ok" : status_name(t->status));
    json_add_num(j, "attempts", t->attempts);
    json_add_num(j, "duration_ms", (double)t->duration_ms);
    emit(e, type, b->id, json_add_str(j, "receipt", t->receipt));
}

void events_breaker(struct engine *e, struct str target, bool open)
{
    char subject[SUBSTRATE_NAME_MAX + 1];

    snprintf(subject, sizeof(subject), "%.*s", STR_ARG(target));
    emit(e, open ? "breaker.opened" : "breaker.reset", subject, json_new_object());
}

void events_scaled(struct engine *e, uint32_t slots, const char *why)
{
    struct json *j = json_add_num(json_new_object(), "slots", slots);

    emit(e, "slots.scaled", NULL, json_add_str(j, "why", why));
}

void events_pressure(struct engine *e, bool begun, const char *why)
{
    emit(e, begun ? "pressure.begun" : "pressure.over", NULL,
         json_add_str(json_new_object(), "why", why));
}

void events_held(struct engine *e, uint32_t slots, uint32_t of, const char *why)
{
    struct json *j = json_add_num(json_new_object(), "slots", slots);

    json_add_num(j, "of", of);
    emit(e, "slots.held", NULL, json_add_str(j, "why", why));
}

void events_rotated(struct engine *e, uint32_t member, const char *from, const char *to,
                    const char *why, const unsigned char *leaf)
{
    struct json *j = json_add_num(json_new_object(), "member", member);
    char hex[AUDIT_HEX_MAX];

    json_add_str(j, "from", from);
    json_add_str(j, "to", to);
    json_add_str(j, "why", why);
    emit(e, "identity.rotated", from, json_add_str(j, "receipt", audit_hex(leaf, hex)));
}

void events_engine(struct engine *e, const char *what)
{
    emit(e, what, NULL, json_add_num(json_new_object(), "epoch", (double)e->epoch));
}

void events_close(struct engine *e, void (*closed)(void *arg), void *arg)
{
    substrate_close(e->substrate, closed, arg);
}
