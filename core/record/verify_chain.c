/* Records in order: what links one to the next. */
#include "core/record/verify_internal.h"

#include <inttypes.h>
#include <stdio.h>

static struct str hash_key(const struct merkle_hash *h)
{
    return str_n((const char *)h->b, MERKLE_HASH);
}

/* A rotation is signed by the key that signed so far; from the next record on the new one does. */
static bool take_rotation(struct verify *v, const struct record *r, bool is_signed)
{
    unsigned char key[SIGN_PUBLIC];
    char name[NOTE_NAME_MAX], origin[NOTE_NAME_MAX];
    int k;

    (void)snprintf(origin, sizeof(origin), "fleet/%s", v->v->log_id);
    if (!note_vkey_parse(r->vkey, name, key) || strcmp(name, origin) != 0)
        return TAMPERED(v, r->seq, "record %" PRIu64 ": its \"vkey\" is no key of this log",
                        r->seq);
    k = verify_find_key(v, key, v->n_keys);
    if (!is_signed && v->current != NO_KEY)
        return TAMPERED(v, r->seq, "record %" PRIu64 ": a key rotation without a signature",
                        r->seq);
    if (!is_signed) { /* signed by a key we do not know: it counts only if it leads to one we trust
                       */
        if (k != NO_KEY && k < v->n_trusted)
            v->current = k;
        return true;
    }
    if (k == NO_KEY) {
        if (v->n_keys == KEYS_MAX)
            return TAMPERED(v, r->seq, "record %" PRIu64 ": more than %d keys", r->seq,
                            (int)KEYS_MAX);
        k = v->n_keys;
        memcpy(v->key[k], key, SIGN_PUBLIC);
        v->n_keys++;
    }
    v->current = k;
    v->v->rotations++;
    return true;
}

static bool take_signature(struct verify *v, const struct job *j, const struct checked *c,
                           struct str line, bool *is_signed)
{
    uint64_t place = v->opts->campaign ? c->r.seq : v->v->size;
    int key = c->sig_key;

    *is_signed = false;
    if (!c->r.has_sig)
        return true;
    if (v->current != NO_KEY && (j->n_keys != 1 || j->first_key != v->current))
        key = verify_signature_ok(line, &c->r, v->key[v->current]) ? v->current : NO_KEY;
    if (v->current == NO_KEY && key == NO_KEY) {
        if (v->unknown_signatures++ == 0)
            v->first_unknown = place;
        return true;
    }
    if (v->current == NO_KEY && v->unknown_signatures > 0) /* no rotation led to this key */
        return TAMPERED(v, v->first_unknown, "record %" PRIu64 ": its signature does not verify",
                        v->first_unknown);
    if (key == NO_KEY)
        return TAMPERED(v, place, "record %" PRIu64 ": its signature does not verify", place);
    v->current = key;
    v->v->signatures++;
    *is_signed = true;
    return true;
}

struct merkle_builder *verify_forest(struct verify *v, const struct merkle_hash *open)
{
    return map_find(v->forests, hash_key(open));
}

static bool take_forest(struct verify *v, const struct record *r, const struct merkle_hash *leaf)
{
    struct merkle_builder *f;
    struct merkle_hash root;

    if (r->has_parent && (f = verify_forest(v, &r->parent)))
        merkle_builder_add(f, leaf);
    if (str_ends(r->kind, STR(".open"))) {
        if (map_len(v->forests) >= FORESTS_MAX)
            v->forests_full = true;
        else
            free(map_put(v->forests, hash_key(leaf), xcalloc(1, sizeof(*f))));
    }
    if (!r->has_of)
        return true;
    f = map_remove(v->forests, hash_key(&r->of));
    if (!f)
        return v->forests_full ||
               TAMPERED(v, r->seq, "record %" PRIu64 " closes a receipt that is not open", r->seq);
    merkle_range_root(merkle_builder_range(f), &root);
    if (!r->has_forest || !r->has_children || r->children != merkle_builder_size(f) ||
        !merkle_eq(&r->forest, &root)) {
        uint64_t n = merkle_builder_size(f);

        free(f);
        return TAMPERED(v, r->seq,
                        "record %" PRIu64 " counts %" PRIu64 " children, %" PRIu64
                        " are there or they are others",
                        r->seq, r->children, n);
    }
    free(f);
    v->v->forests++;
    return true;
}

/* Place and link: what stands between this record and the one before it. */
static bool check_link(struct verify *v, const struct record *r, bool is_signed)
{
    uint64_t want = v->v->size;

    if (v->opts->campaign) {
        if (want > 0 && r->seq <= v->last_seq)
            return TAMPERED(v, r->seq, "record %" PRIu64 " comes after record %" PRIu64, r->seq,
                            v->last_seq);
        if (want == 0 || r->seq != v->last_seq + 1)
            return true;
    } else if (r->seq > want) {
        return TAMPERED(v, want,
                        "record %" PRIu64 " is missing: record %" PRIu64 " stands in its place",
                        want, r->seq);
    } else if (r->seq < want) {
        return TAMPERED(v, want, "record %" PRIu64 " stands in the place of record %" PRIu64,
                        r->seq, want);
    }
    if (merkle_eq(&r->prev, &v->prev))
        return true;
    if (want == 0)
        return TAMPERED(v, 0, "record 0 follows another record: the beginning is cut off");
    if (v->prev_was_signed || !is_signed)
        return TAMPERED(v, v->prev_was_signed ? r->seq : r->seq - 1,
                        "record %" PRIu64 " does not follow record %" PRIu64
                        ": its \"prev\" is another hash",
                        r->seq, r->seq - 1);
    return TAMPERED(v, r->seq - 1,
                    "record %" PRIu64 " was changed: record %" PRIu64 " was chained to another",
                    r->seq - 1, r->seq);
}

static bool check_place(struct verify *v, const struct logread_item *it, const struct record *r,
                        bool is_signed)
{
    char *id = v->v->log_id;

    if (logread_is_database(v->log) && it->row != r->seq)
        return TAMPERED(v, it->row, "row %" PRIu64 " holds record %" PRIu64, it->row, r->seq);
    if (v->v->size == 0)
        (void)snprintf(id, sizeof(v->v->log_id), "%.*s", STR_ARG(r->log));
    if (!check_link(v, r,
                    is_signed)) /* first: a record 0 of another name fails record 1's "prev" */
        return false;
    if (!str_eqz(r->log, id))
        return TAMPERED(v, r->seq, "record %" PRIu64 " is of log \"%.*s\", the log is \"%s\"",
                        r->seq, r->log.len > 64 ? 64 : (int)r->log.len, r->log.ptr, id);
    return true;
}

/* A last line without newline: the end of a record that was being written, or junk. */
static bool take_torn(struct verify *v, struct str line)
{
    bool plausible = line.len > 0 && line.len <= AUDIT_LINE_MAX && line.ptr[0] == '{' &&
                     (line.len < 2 || line.ptr[1] == '"');

    for (size_t i = 0; i < line.len && plausible; i++)
        plausible = (unsigned char)line.ptr[i] >= 0x20;
    if (!plausible)
        return TAMPERED(v, v->v->size, "bytes after record %" PRIu64 " that are no record",
                        v->v->size ? v->v->size - 1 : 0);
    v->v->torn = true;
    return true;
}

bool verify_record(struct verify *v, const struct job *j, size_t i)
{
    const struct logread_item *it = &j->batch.item[i];
    const struct checked *c = &j->item[i];
    struct str line = logread_line(&j->batch, i);
    uint64_t place = v->opts->campaign ? it->row : v->v->size;
    bool is_signed;

    if (it->torn && !c->decoded)
        return take_torn(v, line);
    if (logread_is_database(v->log) && it->row > place)
        return TAMPERED(v, place,
                        "record %" PRIu64 " is missing: record %" PRIu64 " stands in its place",
                        place, it->row);
    if (!c->decoded)
        return TAMPERED(v, place, "record %" PRIu64 ": %s (byte %zu of the line)", place,
                        c->fault.what, c->fault.at);
    if (!take_signature(v, j, c, line, &is_signed) || !check_place(v, it, &c->r, is_signed))
        return false;
    if (!c->payload_ok)
        return TAMPERED(v, c->r.seq, "record %" PRIu64 ": its stored payload has another hash",
                        c->r.seq);
    if (it->has_payload)
        v->v->payloads++;
    if (str_eqz(c->r.kind, "key.rotate") && !take_rotation(v, &c->r, is_signed))
        return false;
    if (!take_forest(v, &c->r, &j->leaf[i]))
        return false;
    merkle_builder_add(&v->tree, &j->leaf[i]);
    v->prev = j->leaf[i];
    v->prev_was_signed = is_signed;
    v->last_seq = c->r.seq;
    v->v->size++;
    if (is_signed)
        v->v->covered = v->v->size;
    return v->opts->campaign || verify_heads(v);
}
