/* The receipt of an op: what stands in it, and that nothing is handed out without one. */
#include <string.h>

#include "core/base/jcs.h"
#include "core/op/gate_internal.h"
#include "core/record/audit.h"
#include "core/record/merkle.h"

enum { PAYLOAD_MAX = 64 * 1024, PAYLOAD_USUAL = 500 };

/* No receipt, no result: what cannot be proved is not handed out. */
static void without_receipt(struct op_call *call, enum status s, const struct err *e)
{
    json_destroy(&call->result);
    call->status = s;
    call->err = *e;
    err_prefix(&call->err, "%s: no receipt could be written", call->op->name);
}

static void receipt_durable(void *arg, enum status s, const unsigned char leaf[32], uint64_t seq,
                            const struct err *e)
{
    struct op_call *call = arg;

    (void)seq;
    if (s == STATUS_OK)
        memcpy(call->receipt, leaf, sizeof call->receipt);
    else
        without_receipt(call, s, e);
    gate_call_over(call);
}

/* When it failed, so did the receipt that stands for it. */
static void ahead_durable(void *arg, enum status s, const unsigned char leaf[32], uint64_t seq,
                          const struct err *e)
{
    struct gate *g = arg;

    (void)s;
    (void)leaf;
    (void)seq;
    (void)e;
    g->n_ahead--;
}

static void append_ahead(struct gate *g, struct op_call *call, struct receipt *r)
{
    struct err e = ERR_INIT;
    enum status s;

    r->lazy = true; /* it shares the commit of the caller's own */
    g->n_ahead++;
    s = audit_append_ahead(g->deps.audit, r, ahead_durable, g, &e);
    if (s != STATUS_OK) {
        g->n_ahead--;
        without_receipt(call, s, &e);
    }
    gate_call_over(call);
}

static void add_name(struct buf *out, struct str name)
{
    buf_addc(out, out->len == 0 ? '{' : ',');
    buf_addstr(out, name);
}

static void add_text(struct buf *out, struct str name, struct str text)
{
    add_name(out, name);
    jcs_add_str(out, text);
}

static void add_u64(struct buf *out, struct str name, uint64_t v)
{
    add_name(out, name);
    buf_add_u64(out, v);
}

/* Parameters may hold what people type into forms: their hash is enough to prove them later. */
static void add_params(struct buf *out, const struct json *params)
{
    struct buf text = BUF_INIT(BUF_MAX_MESSAGE);
    struct merkle_hash hash;

    if (params != NULL && jcs_write(params, &text, NULL) == STATUS_OK) {
        merkle_sha256(text.ptr, text.len, &hash);
        add_name(out, STR("\"params_sha256\":\""));
        buf_add_hex(out, hash.b, sizeof hash.b);
        buf_addc(out, '"');
    }
    buf_deinit(&text);
}

/* Members in the order of RFC 8785; by hand, since a tree would cost more than the rest. */
static void payload_write(const struct op_call *call, struct buf *out)
{
    buf_expect(out, PAYLOAD_USUAL);
    if (call->seen.block != NULL)
        add_text(out, STR("\"block\":"), str_from(call->seen.block));
    if (call->status != STATUS_OK)
        add_text(out, STR("\"error\":"), str_from(err_text(&call->err)));
    if (call->seen.http_status > 0)
        add_u64(out, STR("\"http_status\":"), (uint64_t)call->seen.http_status);
    add_params(out, call->params);
    if (call->task_id != NULL)
        add_text(out, STR("\"task\":"), str_from(call->task_id));
    add_u64(out, STR("\"took_ms\":"), call->took_ms);
    if (call->url.len > 0)
        add_text(out, STR("\"url\":"), call->url);
    add_u64(out, STR("\"waited_ms\":"), call->waited_ms);
    buf_addc(out, '}');
    if (buf_status(out) != STATUS_OK)
        buf_reset(out);
}

void gate_record(struct op_call *call)
{
    struct gate *g = pass_of(call)->gate;
    struct buf payload = BUF_INIT(PAYLOAD_MAX);
    struct receipt r = {
        .kind = "op",
        .member = call->member != NULL ? call->member->identity->id : NULL,
        .op = call->op->name,
        .outcome = call->status == STATUS_OK ? "ok" : status_name(call->status),
        .parent = call->parent,
        .proxy = call->member != NULL && call->member->proxy_id[0] != '\0' ? call->member->proxy_id
                                                                           : NULL,
    };
    char target[256];

    call->state = OP_RECORDING;
    if (call->target.len > 0 && call->target.len < sizeof target) {
        memcpy(target, call->target.ptr, call->target.len);
        target[call->target.len] = '\0';
        r.target = target;
    }
    if (g->deps.audit == NULL) {
        gate_call_over(call);
        return;
    }
    payload_write(call, &payload);
    r.payload = buf_str(&payload);
    if (call->ahead && g->n_ahead < GATE_AHEAD_MAX)
        append_ahead(g, call, &r);
    else
        audit_append(g->deps.audit, &r, receipt_durable, call);
    buf_deinit(&payload);
}
