/* Keys, and the checkpoints that they signed. */
#include "core/record/verify_internal.h"

#include "core/base/file.h"
#include "core/record/sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

/* --- keys --- */

int verify_find_key(const struct verify *v, const unsigned char key[SIGN_PUBLIC], int n)
{
    for (int i = 0; i < n; i++)
        if (memcmp(v->key[i], key, SIGN_PUBLIC) == 0)
            return i;
    return NO_KEY;
}

/* Somebody else's directory may hold a pipe that nobody writes to. */
static enum status read_beside(const char *path, struct buf *text, struct err *e)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return err_set(e, STATUS_INVALID, "%s is no regular file", path);
    return file_read(path, text, e);
}

static enum status load_key_file(struct verify *v, const char *path, bool beside, struct err *e)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    unsigned char keys[KEYFILE_PUBLIC_MAX][SIGN_PUBLIC];
    size_t n = 0;
    enum status s = (beside ? read_beside : file_read)(path, &text, e);

    if (s == STATUS_OK)
        s = public_key_parse(buf_str(&text), path, keys, KEYFILE_PUBLIC_MAX, &n, e);
    buf_deinit(&text);
    for (size_t i = 0; s == STATUS_OK && i < n; i++) {
        if (v->n_keys == KEYS_MAX)
            return err_set(e, STATUS_TOO_LARGE, "%s: more than %d trusted keys", path,
                           (int)KEYS_MAX);
        if (verify_find_key(v, keys[i], v->n_keys) == NO_KEY)
            memcpy(v->key[v->n_keys++], keys[i], SIGN_PUBLIC);
    }
    if (s == STATUS_OK && !v->v->key_path[0])
        (void)snprintf(v->v->key_path, sizeof(v->v->key_path), "%s", path);
    return s;
}

/* Without keys given: those that stand beside the log. None there is a verdict, not an error, and
 * so is a file that holds none. */
enum status verify_load_keys(struct verify *v, struct err *e)
{
    const struct audit_verify_opts *o = v->opts;
    enum status s = STATUS_OK;

    for (size_t i = 0; i < o->n_keys && s == STATUS_OK; i++)
        s = load_key_file(v, o->keys[i], false, e);
    if (o->n_keys == 0 && strcmp(o->path, "-") != 0) {
        cleanup_free char *dir = file_dirname(o->path);
        cleanup_free char *path = logread_is_database(v->log) ? file_join(dir, "audit.pub")
                                                              : sink_beside(o->path, ".pub");

        s = load_key_file(v, path, true, e);
        if (s == STATUS_INVALID)
            (void)verify_verdict(v, AUDIT_EXIT_NO_KEY, 0, "no trusted public key: %s", err_text(e));
        if (s == STATUS_INVALID || s == STATUS_NOT_FOUND) {
            err_clear(e);
            s = STATUS_OK;
        }
    }
    v->n_trusted = v->n_keys;
    return s;
}

/* --- checkpoints --- */

/* Signed by one of the keys known so far? BAD_SIGNATURE when a line claims to be and is not. */
static enum note_verdict check_note(const struct verify *v, struct str note, const char *origin)
{
    enum note_verdict worst = NOTE_OTHER_KEY;

    for (int i = 0; i < v->n_keys; i++) {
        enum note_verdict n = note_check(note, origin, v->key[i]);

        if (n == NOTE_OK || n == NOTE_MALFORMED)
            return n;
        if (n == NOTE_BAD_SIGNATURE)
            worst = n;
    }
    return worst;
}

/* Reads a note into the list. Its signature is checked later, when all keys are known. */
static enum status load_note(struct verify *v, const char *path, bool is_anchor, struct err *e)
{
    struct buf text = BUF_INIT(NOTE_MAX);
    enum status s = (is_anchor ? file_read : read_beside)(path, &text, e);
    struct note_in *n;
    struct str body;

    if (s == STATUS_OK && v->n_notes == NOTES_MAX)
        s = err_set(e, STATUS_TOO_LARGE, "more than %d anchors", (int)NOTES_MAX);
    if (s != STATUS_OK) {
        buf_deinit(&text);
        return s;
    }
    n = &v->note[v->n_notes];
    *n = (struct note_in){.is_anchor = is_anchor};
    (void)snprintf(n->name, sizeof(n->name), "%s %s", is_anchor ? "anchor" : "checkpoint", path);
    if (!note_text(buf_str(&text), &body) || !checkpoint_parse(body, &n->c)) {
        if (is_anchor)
            s = err_set(e, STATUS_INVALID, "%s is no signed checkpoint (c2sp.org/tlog-checkpoint)",
                        path);
        else
            (void)TAMPERED(v, 0, "%s is no signed checkpoint", n->name);
    } else {
        memcpy(n->text, text.ptr, text.len);
        n->len = text.len;
        if (check_note(v, buf_str(&text), n->c.origin) == NOTE_BAD_SIGNATURE)
            (void)TAMPERED(v, 0, "the signature of %s does not verify: it was rewritten", n->name);
        v->n_notes++;
    }
    buf_deinit(&text);
    return s;
}

static int by_size(const void *a, const void *b)
{
    const struct note_in *x = a, *y = b;

    return (x->c.size > y->c.size) - (x->c.size < y->c.size);
}

enum status verify_load_notes(struct verify *v, struct err *e)
{
    const struct audit_verify_opts *o = v->opts;
    enum status s = STATUS_OK;

    if (!logread_is_database(v->log) && strcmp(o->path, "-") != 0 && !o->campaign) {
        cleanup_free char *path = sink_beside(o->path, ".checkpoint");

        s = load_note(v, path, false, e);
        if (s == STATUS_INVALID || s == STATUS_TOO_LARGE)
            (void)TAMPERED(v, 0, "the checkpoint beside the log is none: %s", err_text(e));
        if (s == STATUS_NOT_FOUND || v->bad) {
            err_clear(e);
            s = STATUS_OK;
        }
    }
    for (size_t i = 0; i < o->n_anchors && s == STATUS_OK; i++)
        s = load_note(v, o->anchors[i], true, e);
    qsort(v->note, v->n_notes, sizeof(v->note[0]), by_size);
    return s;
}

void verify_next_stored(struct verify *v)
{
    struct str note;

    v->has_stored = logread_checkpoint(v->log, &v->stored_size, &note);
    v->stored_len = 0;
    if (!v->has_stored || note.len > sizeof(v->stored))
        return;
    memcpy(v->stored, note.ptr, note.len);
    v->stored_len = note.len;
}

/* The checkpoint of the database at this size. */
static bool check_stored(struct verify *v, const struct merkle_hash *root)
{
    struct str note = str_n(v->stored, v->stored_len), text;
    uint64_t size = v->stored_size;
    enum note_verdict signed_by;
    struct checkpoint c;
    char origin[NOTE_NAME_MAX];

    (void)snprintf(origin, sizeof(origin), "fleet/%s", v->v->log_id);
    if (!note_text(note, &text) || !checkpoint_parse(text, &c) || c.size != size ||
        (v->v->size > 0 && strcmp(c.origin, origin) != 0))
        return TAMPERED(v, size ? size - 1 : 0,
                        "the checkpoint at size %" PRIu64 " is no checkpoint of this log", size);
    signed_by = check_note(v, note, c.origin);
    if (signed_by == NOTE_BAD_SIGNATURE)
        return TAMPERED(v, size ? size - 1 : 0,
                        "the signature of the checkpoint at size %" PRIu64
                        " does not verify: it was rewritten",
                        size);
    if (!merkle_eq(&c.root, root))
        return TAMPERED(v, v->v->covered < size ? v->v->covered : size - 1,
                        "the records up to %" PRIu64
                        " do not have the root that the checkpoint at size %" PRIu64 " signs",
                        size ? size - 1 : 0, size);
    if (signed_by != NOTE_OK) {
        v->unknown_checkpoints++;
        return true;
    }
    v->v->checkpoints++;
    if (size > v->v->covered)
        v->v->covered = size;
    return true;
}

bool verify_note_origin(struct verify *v, const struct note_in *n)
{
    char origin[NOTE_NAME_MAX];

    (void)snprintf(origin, sizeof(origin), "fleet/%s", v->v->log_id);
    if (v->v->size == 0 || strcmp(n->c.origin, origin) == 0)
        return true;
    return verify_verdict(v, n->is_anchor ? AUDIT_EXIT_TRUNCATED : AUDIT_EXIT_TAMPERED, 0,
                          "%s is of log \"%s\", the records are of \"%s\"", n->name, n->c.origin,
                          origin);
}

static bool check_note_in(struct verify *v, const struct note_in *n, const struct merkle_hash *root)
{
    uint64_t size = n->c.size;

    if (!verify_note_origin(v, n))
        return false;
    if (!merkle_eq(&n->c.root, root) && n->is_anchor)
        return verify_verdict(v, AUDIT_EXIT_TRUNCATED, size ? size - 1 : 0,
                              "the log was rolled back and went on otherwise: its first %" PRIu64
                              " records are not those that %s signs",
                              size, n->name);
    if (!merkle_eq(&n->c.root, root))
        return TAMPERED(v, v->v->covered < size ? v->v->covered : size - 1,
                        "the records up to %" PRIu64 " do not have the root that %s signs",
                        size - 1, n->name);
    /* only now: keys that the log rotated to are known */
    if (check_note(v, str_n(n->text, n->len), n->c.origin) != NOTE_OK) {
        v->unknown_checkpoints++;
        if (!v->unsigned_note)
            v->unsigned_note = n;
        return true;
    }
    *(n->is_anchor ? &v->v->anchors : &v->v->checkpoints) += 1;
    if (size > v->v->covered)
        v->v->covered = size;
    return true;
}

/* All that signs the tree at the size reached. */
bool verify_heads(struct verify *v)
{
    uint64_t size = v->v->size;
    struct merkle_hash root;
    bool wanted = (v->has_stored && v->stored_size <= size) ||
                  (v->next_note < v->n_notes && v->note[v->next_note].c.size <= size);

    if (!wanted)
        return true;
    merkle_range_root(merkle_builder_range(&v->tree), &root);
    while (v->has_stored && v->stored_size <= size) {
        if (v->stored_size < size)
            return TAMPERED(v, v->stored_size, "two checkpoints at size %" PRIu64, v->stored_size);
        if (!check_stored(v, &root))
            return false;
        verify_next_stored(v);
    }
    for (; v->next_note < v->n_notes && v->note[v->next_note].c.size <= size; v->next_note++)
        if (!check_note_in(v, &v->note[v->next_note], &root))
            return false;
    return true;
}
