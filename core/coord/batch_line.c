/* The texts of a finished task: its line in the results, and its receipt's payload. Written by
 * hand, since a tree for each would cost more than all the rest of a short task. */
#include "core/base/clock.h"
#include "core/base/jcs.h"
#include "core/coord/engine_internal.h"
#include "core/record/merkle.h"

enum { ERROR_SHOWN_MAX = 400, TEXT_USUAL = 1000 };

/* `name` of all that follow comes with its comma, quotes and colon. */
static void add_u64(struct buf *out, struct str name, uint64_t v)
{
    buf_addstr(out, name);
    buf_add_u64(out, v);
}

static void add_text(struct buf *out, struct str name, const char *z)
{
    buf_addstr(out, name);
    if (z)
        json_print_str(str_from(z), out);
    else
        BUF_ADD_LIT(out, "null");
}

/* Of ours: nothing in it needs an escape. */
static void add_word(struct buf *out, struct str name, const char *z)
{
    buf_addstr(out, name);
    buf_addc(out, '"');
    buf_adds(out, z);
    buf_addc(out, '"');
}

static void add_tree(struct buf *out, struct str name, const struct json *j, struct str otherwise)
{
    buf_addstr(out, name);
    if (j)
        json_print(j, 0, out);
    else
        buf_addstr(out, otherwise);
}

static void add_error(const struct task_text *x, struct buf *out)
{
    if (x->t->status == STATUS_OK) {
        BUF_ADD_LIT(out, ",\"error\":null");
        return;
    }
    buf_addf(out, ",\"error\":{\"code\":\"%s\",\"message\":", status_name(x->t->status));
    json_print_str(str_from(err_text(x->err)), out);
    if (x->t->error_step >= 0)
        buf_addf(out, ",\"step\":%d", x->t->error_step);
    buf_addf(out, ",\"retryable\":%s}", x->retryable ? "true" : "false");
}

static void write_line(const struct task_text *x, bool with_output, struct buf *out)
{
    const struct batch_task *t = x->t;
    char started[CLOCK_RFC3339_MAX];

    add_word(out, STR("{\"task\":"), t->id);
    BUF_ADD_LIT(out, ",\"target\":");
    json_print_str(t->target, out);
    add_text(out, STR(",\"url\":"), t->url);
    if (t->member)
        add_u64(out, STR(",\"member\":"), t->member->index);
    else
        BUF_ADD_LIT(out, ",\"member\":null");
    add_text(out, STR(",\"identity\":"), t->member ? t->member->identity->id : NULL);
    add_word(out, STR(",\"status\":"), task_state_name(t->state));
    add_u64(out, STR(",\"attempts\":"), t->attempts);
    if (t->started_wall_ms)
        add_word(out, STR(",\"started\":"), clock_rfc3339(t->started_wall_ms, started));
    else
        BUF_ADD_LIT(out, ",\"started\":null");
    add_u64(out, STR(",\"duration_ms\":"), t->duration_ms);
    add_tree(out, STR(",\"output\":"), with_output ? t->output : NULL, STR("null"));
    add_error(x, out);
    add_tree(out, STR(",\"artifacts\":"), t->artifacts, STR("[]"));
}

void batch_line_write(const struct task_text *x, struct buf *out)
{
    write_line(x, true, out);
    if (buf_status(out) != STATUS_OK ||
        out->len > TASK_LINE_MAX) { /* an output beyond all measure: the rest is told */
        buf_reset(out);
        write_line(x, false, out);
    }
}

/* --- the payload --- */

static void add_hash(struct buf *out, struct str name, const struct json *what)
{
    struct buf text = BUF_INIT(BUF_MAX_MESSAGE);
    struct merkle_hash hash;

    if (what)
        buf_expect(&text, TEXT_USUAL);
    if (what && jcs_write(what, &text, NULL) == STATUS_OK) {
        merkle_sha256(text.ptr, text.len, &hash);
        buf_addstr(out, name);
        buf_add_hex(out, hash.b, sizeof(hash.b));
        BUF_ADD_LIT(out, "\",");
    }
    buf_deinit(&text);
}

/* The first bytes of a text, whole characters only. */
static struct str shown(const char *text)
{
    struct str s = str_from(text);

    if (s.len > ERROR_SHOWN_MAX) {
        s.len = ERROR_SHOWN_MAX;
        while (s.len > 0 && ((unsigned char)s.ptr[s.len] & 0xc0) == 0x80)
            s.len--;
    }
    return s;
}

/* Members in the order of RFC 8785. */
void batch_payload_write(const struct task_text *x, struct buf *out)
{
    const struct batch_task *t = x->t;

    buf_addc(out, '{');
    add_hash(out, STR("\"artifacts_sha256\":\""), t->artifacts);
    add_u64(out, STR("\"attempts\":"), t->attempts);
    add_u64(out, STR(",\"duration_ms\":"), t->duration_ms);
    if (t->status != STATUS_OK) {
        BUF_ADD_LIT(out, ",\"error\":");
        jcs_add_str(out, shown(err_text(x->err)));
    }
    buf_addc(out, ',');
    add_hash(out, STR("\"output_sha256\":\""), t->output);
    add_word(out, STR("\"status\":"), task_state_name(t->state));
    add_word(out, STR(",\"task\":"), t->id);
    BUF_ADD_LIT(out, ",\"url\":");
    jcs_add_str(out, str_from(t->url));
    buf_addc(out, '}');
}
