/* A batch at once. Its worker has looked whether anything in it is out of the ordinary and says so
 * in the digest; if nothing is, all that is left to be done in order is to see that it follows what
 * came before, and to add its leaves. Else it is followed record by record. */
#include "core/record/verify_internal.h"

/* --- the worker's side --- */

/* May the record stand in a plain batch? */
static bool is_plain(const struct verify *v, const struct job *j, size_t i)
{
    const struct logread_item *it = &j->batch.item[i];
    const struct checked *c = &j->item[i];

    return c->decoded && !it->torn && c->payload_ok && !c->r.has_of &&
           (!c->r.has_sig || (j->n_keys == 1 && c->sig_key == j->first_key)) &&
           (!logread_is_database(v->log) || it->row == c->r.seq) &&
           !str_ends(c->r.kind, STR(".open")) && !str_eqz(c->r.kind, "key.rotate");
}

/* Does record i, which is decoded as the one before it, follow that one? */
static bool follows(const struct job *j, size_t i)
{
    const struct record *r = &j->item[i].r, *before = &j->item[i - 1].r;

    return r->seq == before->seq + 1 && merkle_eq(&r->prev, &j->leaf[i - 1]) &&
           str_eq(r->log, before->log) && r->has_sig == before->has_sig;
}

static bool same_parent(const struct record *a, const struct record *b)
{
    return a->has_parent == b->has_parent && (!a->has_parent || merkle_eq(&a->parent, &b->parent));
}

/* The subtrees that lie whole in the batch. */
static void hash_subtrees(struct job *j, struct digest *d)
{
    size_t over = (size_t)(j->item[0].r.seq % MERKLE_HELD);

    d->sub_at = over ? MERKLE_HELD - over : 0;
    for (size_t i = d->sub_at; i + MERKLE_HELD <= j->batch.n; i += MERKLE_HELD)
        merkle_held_root(&j->leaf[i], j->only_hashes, &d->sub[d->n_subs++]);
}

void verify_digest(const struct verify *v, struct job *j)
{
    struct digest *d = &j->digest;
    size_t n = j->batch.n;

    d->plain = false;
    d->n_runs = d->n_subs = 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_plain(v, j, i) || (i > 0 && !follows(j, i)))
            return;
        if (i == 0 || !same_parent(&j->item[i].r, &j->item[i - 1].r))
            d->run[d->n_runs++] = (uint16_t)i;
    }
    d->run[d->n_runs] = (uint16_t)n;
    d->is_signed = j->item[0].r.has_sig;
    hash_subtrees(j, d);
    d->plain = true;
}

/* --- in order --- */

/* Does the batch follow what came before, under the key that is current? The first one of a log is
 * never taken at once: it says whose log it is. */
static bool fits(const struct verify *v, const struct job *j)
{
    const struct record *first = &j->item[0].r;

    return j->digest.plain && !v->opts->campaign && !v->opts->by_record && v->v->size > 0 &&
           first->seq == v->v->size && merkle_eq(&first->prev, &v->prev) &&
           str_eqz(first->log, v->v->log_id) &&
           (!j->digest.is_signed || v->current == j->first_key);
}

/* Leaves [from, to) to the tree. */
static void add_leaves(struct verify *v, const struct job *j, size_t from, size_t to)
{
    const struct digest *d = &j->digest;

    while (from < to) {
        size_t sub = from >= d->sub_at ? (from - d->sub_at) / MERKLE_HELD : d->n_subs;

        if (sub < d->n_subs && from == d->sub_at + sub * MERKLE_HELD && from + MERKLE_HELD <= to) {
            merkle_builder_add_root(&v->tree, &d->sub[sub]);
            from += MERKLE_HELD;
        } else {
            merkle_builder_add(&v->tree, &j->leaf[from++]);
        }
    }
}

/* Leaves to the forests of their parents. */
static void add_children(struct verify *v, const struct job *j)
{
    const struct digest *d = &j->digest;

    for (size_t i = 0; i < d->n_runs; i++) {
        const struct record *r = &j->item[d->run[i]].r;
        struct merkle_builder *f = r->has_parent ? verify_forest(v, &r->parent) : NULL;

        if (f)
            merkle_builder_add_many(f, &j->leaf[d->run[i]], (size_t)(d->run[i + 1] - d->run[i]));
    }
}

/* The size at which a checkpoint or a note is due next, at most `end`. */
static uint64_t next_head(const struct verify *v, uint64_t end)
{
    if (v->has_stored && v->stored_size < end)
        end = v->stored_size;
    if (v->next_note < v->n_notes && v->note[v->next_note].c.size < end)
        end = v->note[v->next_note].c.size;
    return end;
}

/* Items [from, to), after which a checkpoint may be due; false after a verdict. */
static bool take_part(struct verify *v, const struct job *j, size_t from, size_t to)
{
    add_leaves(v, j, from, to);
    for (size_t i = from; i < to; i++)
        v->v->payloads += j->batch.item[i].has_payload;
    v->v->size += to - from;
    if (j->digest.is_signed) {
        v->v->signatures += to - from;
        v->v->covered = v->v->size;
    }
    return verify_heads(v);
}

static void take_at_once(struct verify *v, const struct job *j)
{
    uint64_t begin = v->v->size, end = begin + j->batch.n;
    bool go_on = true;

    add_children(v, j);
    while (go_on && v->v->size < end)
        go_on = take_part(v, j, (size_t)(v->v->size - begin), (size_t)(next_head(v, end) - begin));
    v->prev = j->leaf[j->batch.n - 1];
    v->prev_was_signed = j->digest.is_signed;
    v->last_seq = end - 1;
}

void verify_batch(struct verify *v, const struct job *j)
{
    if (fits(v, j)) {
        take_at_once(v, j);
        return;
    }
    for (size_t i = 0; i < j->batch.n && !v->bad; i++)
        (void)verify_record(v, j, i);
}
