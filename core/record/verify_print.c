#include "core/record/verify.h"

#include "core/base/json.h"

#include <inttypes.h>

static void print_json(const struct audit_verdict *v, struct buf *out)
{
    buf_addf(out,
             "{\"exit\":%d,\"size\":%" PRIu64 ",\"covered\":%" PRIu64 ",\"tail\":%" PRIu64
             ",\"torn\":%s,\"bad_seq\":",
             v->exit_code, v->size, v->covered, v->tail, v->torn ? "true" : "false");
    if (v->has_bad)
        buf_addf(out, "%" PRIu64, v->bad_seq);
    else
        buf_adds(out, "null");
    buf_adds(out, ",\"reason\":");
    json_print_str(str_from(v->reason), out);
    buf_adds(out, ",\"log\":");
    json_print_str(str_from(v->log_id), out);
    buf_adds(out, ",\"root\":\"");
    buf_add_hex(out, v->root.b, MERKLE_HASH);
    buf_adds(out, "\",\"key\":");
    json_print_str(str_from(v->key_path), out);
    buf_addf(out,
             ",\"signatures\":%" PRIu64 ",\"checkpoints\":%" PRIu64 ",\"anchors\":%" PRIu64
             ",\"forests\":%" PRIu64 ",\"payloads\":%" PRIu64 ",\"rotations\":%" PRIu64 "}\n",
             v->signatures, v->checkpoints, v->anchors, v->forests, v->payloads, v->rotations);
}

void audit_verdict_print(const struct audit_verdict *v, bool json, struct buf *out)
{
    static const char *const name[] = {"ok", "TAMPERED", "TRUNCATED", "ok, with an unsigned tail",
                                       "NO TRUSTED KEY"};

    if (json) {
        print_json(v, out);
        return;
    }
    buf_addf(out, "%s: %s\n", name[v->exit_code], v->reason);
    if (v->log_id[0])
        buf_addf(out, "  log        %s\n", v->log_id);
    buf_addf(out, "  records    %" PRIu64 " read, the first %" PRIu64 " covered by signatures\n",
             v->size, v->covered);
    if (v->tail > 0)
        buf_addf(out, "  tail       %" PRIu64 "%s\n", v->tail, v->torn ? ", one of them torn" : "");
    buf_addf(out,
             "  verified   %" PRIu64 " signatures, %" PRIu64 " checkpoints, %" PRIu64
             " anchors, %" PRIu64 " close receipts, %" PRIu64 " payloads, %" PRIu64
             " key rotations\n",
             v->signatures, v->checkpoints, v->anchors, v->forests, v->payloads, v->rotations);
    if (v->key_path[0])
        buf_addf(out, "  key        %s\n", v->key_path);
    buf_adds(out, "  root       ");
    buf_add_hex(out, v->root.b, MERKLE_HASH);
    buf_addc(out, '\n');
}
