/* The receipt of an op: what stands in it, and that nothing is handed out without one. */
#include <string.h>

#include "core/base/jcs.h"
#include "core/op/gate_internal.h"
#include "core/record/audit.h"

enum { PAYLOAD_MAX = 64 * 1024 };

static void receipt_durable(void *arg, enum status s, const unsigned char leaf[32], uint64_t seq,
                            const struct err *e)
{
    struct op_call *call = arg;

    (void)seq;
    if (s == STATUS_OK) {
        memcpy(call->receipt, leaf, sizeof call->receipt);
    } else {
        /* No receipt, no result: what cannot be proved is not handed out. */
        json_destroy(&call->result);
        call->status = s;
        call->err = *e;
        err_prefix(&call->err, "%s: no receipt could be written", call->op->name);
    }
    gate_call_over(call);
}

static void payload_write(const struct op_call *call, struct buf *out)
{
    struct json *j = json_new_object();
    unsigned char hash[32];

    if (call->task_id != NULL)
        json_add_str(j, "task", call->task_id);
    if (call->url.len > 0)
        json_add(j, "url", json_new_str(call->url));
    if (call->seen.http_status != 0)
        json_add_num(j, "http_status", call->seen.http_status);
    if (call->seen.block != NULL)
        json_add_str(j, "block", call->seen.block);
    if (call->status != STATUS_OK)
        json_add_str(j, "error", err_text(&call->err));
    json_add_num(j, "waited_ms", (double)call->waited_ms);
    json_add_num(j, "took_ms", (double)call->took_ms);
    /* Parameters may hold what people type into forms: their hash is enough to prove them later. */
    if (call->params != NULL && jcs_sha256(call->params, hash, NULL) == STATUS_OK) {
        struct buf hex = BUF_INIT(65);

        buf_add_hex(&hex, hash, sizeof hash);
        json_add(j, "params_sha256", json_new_str(buf_str(&hex)));
        buf_deinit(&hex);
    }
    if (jcs_write(j, out, NULL) != STATUS_OK)
        buf_reset(out);
    json_destroy(&j);
}

void gate_record(struct op_call *call)
{
    struct pass *p = pass_of(call);
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
    if (p->gate->deps.audit == NULL) {
        gate_call_over(call);
        return;
    }
    payload_write(call, &payload);
    r.payload = buf_str(&payload);
    audit_append(p->gate->deps.audit, &r, receipt_durable, call);
    buf_deinit(&payload);
}
