/* Proofs out of the log, and exports of it. */
#include "core/record/verify.h"

#include "core/base/file.h"
#include "core/base/map.h"
#include "core/record/audit.h"
#include "core/record/base64.h"
#include "core/record/logread.h"
#include "core/record/record.h"
#include "core/record/sink.h"

#include <inttypes.h>
#include <unistd.h>

#define PROOF_HEADER "c2sp.org/tlog-proof@v1"

/* Leaf hashes in order, out of batches. */
struct leaves {
    struct logread *log;
    struct logread_batch batch;
    size_t next;
    uint64_t index;  /* of the next line */
    uint64_t wanted; /* its line goes to `line` */
    struct buf *line;
    enum status status;
    struct err *e;
};

static enum status leaves_open(struct leaves *l, const char *path, struct err *e)
{
    *l = (struct leaves){.wanted = UINT64_MAX, .e = e};
    logread_batch_init(&l->batch);
    return logread_open(path, &l->log, e);
}

static void leaves_close(struct leaves *l)
{
    logread_close(&l->log);
    logread_batch_deinit(&l->batch);
}

static bool next_line(struct leaves *l, struct str *line)
{
    if (l->next == l->batch.n) {
        l->next = 0;
        l->status = logread_next(l->log, &l->batch, l->e);
        if (l->status != STATUS_OK || l->batch.n == 0)
            return false;
    }
    *line = logread_line(&l->batch, l->next);
    l->index++;
    return !l->batch.item[l->next++].torn;
}

static bool leaf_at(void *arg, uint64_t index, struct merkle_hash *out)
{
    struct leaves *l = arg;
    struct str line;

    BUG_ON(index != l->index);
    if (!next_line(l, &line))
        return false;
    merkle_leaf(line.ptr, line.len, out);
    if (index == l->wanted && l->line)
        buf_addstr(l->line, line);
    return true;
}

static enum status too_short(const struct leaves *l, const char *path, uint64_t want, struct err *e)
{
    if (l->status != STATUS_OK)
        return l->status;
    return err_set(e, STATUS_NOT_FOUND, "%s: %" PRIu64 " records are wanted, the log ends before",
                   path, want);
}

/* --- prove --- */

/* The newest checkpoint: of the database, or beside the copy. */
static enum status newest_checkpoint(struct leaves *l, const char *path, struct buf *note,
                                     struct checkpoint *c, struct err *e)
{
    enum status s = STATUS_OK;
    struct str text, stored;
    uint64_t size;

    if (logread_is_database(l->log)) {
        while (logread_checkpoint(l->log, &size, &stored)) {
            buf_reset(note);
            buf_addstr(note, stored);
        }
    } else {
        cleanup_free char *beside = sink_beside(path, ".checkpoint");

        s = file_read(beside, note, e);
    }
    if (s != STATUS_OK)
        return err_prefix(e, "the checkpoint that a proof ends in"), s;
    if (!note_text(buf_str(note), &text) || !checkpoint_parse(text, c))
        return err_set(e, STATUS_NOT_FOUND, "%s: no checkpoint covers it", path);
    return STATUS_OK;
}

static void write_proof(uint64_t seq, const struct merkle_proof *p, struct str note,
                        struct buf *out)
{
    buf_addf(out, PROOF_HEADER "\nindex %" PRIu64 "\n", seq);
    for (size_t i = 0; i < p->n; i++) {
        buf_add_base64(out, p->hash[i].b, MERKLE_HASH);
        buf_addc(out, '\n');
    }
    buf_addc(out, '\n');
    buf_addstr(out, note);
}

static enum status prove(struct leaves *l, const char *path, uint64_t seq, struct buf *out,
                         struct err *e)
{
    struct buf note = BUF_INIT(NOTE_MAX);
    struct checkpoint c = {0};
    struct merkle_proof proof;
    struct merkle_hash root;
    enum status s = newest_checkpoint(l, path, &note, &c, e);

    if (s == STATUS_OK && seq >= c.size)
        s = err_set(e, STATUS_NOT_FOUND,
                    "%s: record %" PRIu64 " is wanted, the newest checkpoint covers %" PRIu64, path,
                    seq, c.size);
    if (s == STATUS_OK && !merkle_prove_inclusion(leaf_at, l, seq, c.size, &proof, &root))
        s = too_short(l, path, c.size, e);
    if (s == STATUS_OK && !merkle_eq(&root, &c.root))
        s = err_set(e, STATUS_AUDIT_INVALID,
                    "%s: the first %" PRIu64 " records do not have the root that the checkpoint "
                    "signs",
                    path, c.size);
    if (s == STATUS_OK)
        write_proof(seq, &proof, buf_str(&note), out);
    buf_deinit(&note);
    return s;
}

enum status audit_prove(const char *path, uint64_t seq, struct buf *out, struct buf *line,
                        struct err *e)
{
    struct leaves l;
    enum status s = leaves_open(&l, path, e);

    l.wanted = seq;
    l.line = line;
    if (s == STATUS_OK)
        s = prove(&l, path, seq, out, e);
    leaves_close(&l);
    return s;
}

/* --- checking a proof --- */

static bool refuse(struct err *e, const char *what)
{
    err_set(e, STATUS_AUDIT_INVALID, "the proof does not hold: %s", what);
    return false;
}

/* Header, index and hashes; *note is what follows the empty line. */
static bool parse_proof(struct str proof, uint64_t *index, struct merkle_proof *out,
                        struct str *note, struct err *e)
{
    struct str line = str_cut(&proof, '\n');

    out->n = 0;
    if (!str_eqz(line, PROOF_HEADER))
        return refuse(e, "expected " PROOF_HEADER " in its first line");
    line = str_cut(&proof, '\n');
    if (str_starts(line, STR("extra ")))
        line = str_cut(&proof, '\n');
    if (!str_starts(line, STR("index ")) || !str_to_u64(str_skip(line, 6), INT64_MAX, index))
        return refuse(e, "expected \"index N\"");
    for (;;) {
        line = str_cut(&proof, '\n');
        if (!proof.ptr)
            return refuse(e, "no checkpoint in it");
        if (line.len == 0)
            break;
        if (out->n == MERKLE_PROOF_MAX ||
            !base64_exact(line, NULL, out->hash[out->n].b, MERKLE_HASH))
            return refuse(e, "a line that is no hash");
        out->n++;
    }
    *note = proof;
    return true;
}

bool audit_check_proof(struct str proof, struct str line, const unsigned char (*keys)[32],
                       size_t n_keys, uint64_t *index, struct err *e)
{
    struct merkle_proof p;
    struct merkle_hash leaf;
    struct checkpoint c;
    struct str note, text;
    bool is_signed = false;

    if (!parse_proof(proof, index, &p, &note, e))
        return false;
    if (!note_text(note, &text) || !checkpoint_parse(text, &c))
        return refuse(e, "its checkpoint is none");
    for (size_t i = 0; i < n_keys && !is_signed; i++)
        is_signed = note_check(note, c.origin, keys[i]) == NOTE_OK;
    if (!is_signed)
        return refuse(e, "none of the keys signed its checkpoint");
    merkle_leaf(line.ptr, line.len, &leaf);
    if (!merkle_check_inclusion(&p, &leaf, *index, c.size, &c.root))
        return refuse(e, "the record is not at that place under the checkpoint's root");
    return true;
}

/* --- consistency --- */

enum status audit_consistency(const char *path, uint64_t from, uint64_t to,
                              struct audit_consistency *out, struct err *e)
{
    struct leaves l;
    enum status s;

    *out = (struct audit_consistency){.from = from, .to = to};
    if (from > to)
        return err_set(e, STATUS_INVALID,
                       "consistency from %" PRIu64 " to %" PRIu64 ": the first is the smaller",
                       from, to);
    s = leaves_open(&l, path, e);
    if (s == STATUS_OK && !merkle_prove_consistency(leaf_at, &l, from, to, &out->proof,
                                                    &out->from_root, &out->to_root))
        s = too_short(&l, path, to, e);
    leaves_close(&l);
    return s;
}

void audit_consistency_print(const struct audit_consistency *c, bool json, struct buf *out)
{
    if (json)
        buf_addf(out, "{\"from\":%" PRIu64 ",\"to\":%" PRIu64 ",\"from_root\":\"", c->from, c->to);
    else
        buf_addf(out, "consistent from %" PRIu64 " to %" PRIu64 "\n  root from  ", c->from, c->to);
    buf_add_base64(out, c->from_root.b, MERKLE_HASH);
    buf_adds(out, json ? "\",\"to_root\":\"" : "\n  root to    ");
    buf_add_base64(out, c->to_root.b, MERKLE_HASH);
    buf_adds(out, json ? "\",\"proof\":[" : "\n");
    for (size_t i = 0; i < c->proof.n; i++) {
        buf_adds(out, json ? (i ? ",\"" : "\"") : "  proof      ");
        buf_add_base64(out, c->proof.hash[i].b, MERKLE_HASH);
        buf_adds(out, json ? "\"" : "\n");
    }
    if (json)
        buf_adds(out, "]}\n");
}

/* --- export --- */

struct export
{
    struct map *members; /* leaf hashes of the campaign's records that may have children */
    bool found;
    struct buf out;
    int fd;
    uint64_t n;
};

/* The campaign's open receipt, whatever has a parent within it, and the receipts that close any of
 * these. */
static bool belongs(struct export *x, const char *campaign, struct str line)
{
    static char in_set; /* its address: a value that is not NULL */
    struct record_fault fault;
    struct merkle_hash leaf;
    struct record r;
    bool in;

    if (!record_decode(line, &r, &fault))
        return false;
    in = !x->found && str_ends(r.kind, STR(".open")) && str_eqz(r.id, campaign);
    x->found |= in;
    in = in || (r.has_parent && map_find(x->members, str_n((char *)r.parent.b, MERKLE_HASH)));
    in = in || (r.has_of && map_find(x->members, str_n((char *)r.of.b, MERKLE_HASH)));
    if (!in)
        return false;
    merkle_leaf(line.ptr, line.len, &leaf);
    (void)map_put(x->members, str_n((char *)leaf.b, MERKLE_HASH), &in_set);
    return true;
}

static enum status flush(struct export *x, struct err *e)
{
    enum status s =
        x->out.len ? file_write_all(x->fd, x->out.ptr, x->out.len, "the export", e) : STATUS_OK;

    buf_reset(&x->out);
    return s;
}

static enum status export_lines(struct export *x, struct leaves *l, const char *campaign,
                                struct err *e)
{
    enum status s = STATUS_OK;
    struct str line;

    while (s == STATUS_OK && next_line(l, &line)) {
        if (campaign && !belongs(x, campaign, line))
            continue;
        buf_addstr(&x->out, line);
        buf_addc(&x->out, '\n');
        x->n++;
        if (x->out.len >= LOGREAD_CHUNK)
            s = flush(x, e);
    }
    if (s == STATUS_OK)
        s = l->status;
    return s == STATUS_OK ? flush(x, e) : s;
}

enum status audit_export(const char *path, const char *campaign, int fd, uint64_t *n, struct err *e)
{
    struct export x = {.members = map_create(), .fd = fd};
    struct leaves l;
    enum status s = leaves_open(&l, path, e);

    buf_init(&x.out, (size_t)LOGREAD_CHUNK + 2 * AUDIT_LINE_MAX);
    if (s == STATUS_OK)
        s = export_lines(&x, &l, campaign, e);
    if (s == STATUS_OK && campaign && !x.found)
        s = err_set(e, STATUS_NOT_FOUND, "%s: no open receipt has the id \"%s\"", path, campaign);
    *n = x.n;
    leaves_close(&l);
    buf_deinit(&x.out);
    map_destroy(&x.members, NULL);
    return s;
}
