#include "core/record/record.h"

#include "core/base/jcs.h"
#include "core/base/num.h"
#include "core/record/base64.h"

#include <endian.h>
#include <sodium.h>

enum {
    TEXT_MAX_BYTES = 6 * AUDIT_LINE_MAX, /* of all texts of a receipt, in any escape */
    FIXED_MAX = 384,                     /* fence, hlc, of, parent: names, numbers and hashes */
};

/* --- building --- */

static const uint64_t ones = 0x0101010101010101u;

/* The digits of bytes of four bits each. */
static uint64_t digits_of(uint64_t x)
{
    uint64_t above_nine = ((x + ones * 6) >> 4) & ones;

    return x + ones * '0' + above_nine * ('a' - '0' - 10);
}

/* A byte's eight bits become eight bytes of four bits each, four at a time, and then digits: no
 * table, no branch. */
void record_hex(const unsigned char *hash, char *out)
{
    const uint64_t lows = 0x000f000f000f000fu;

    for (size_t i = 0; i < MERKLE_HASH; i += 4) {
        uint64_t x = (uint64_t)hash[i] | (uint64_t)hash[i + 1] << 16 | (uint64_t)hash[i + 2] << 32 |
                     (uint64_t)hash[i + 3] << 48;

        x = (x >> 4 & lows) | (x & lows) << 8;
        x = htole64(digits_of(x));
        memcpy(out + 2 * i, &x, sizeof(x));
    }
}

/* Longest text that record_build and record_add_signature add to the prepared pieces. */
static size_t added_max(const struct receipt *r, bool sign)
{
    size_t n = sizeof("{\"prev\":\"\",\"seq\":,\"v\":1}") + 2 * MERKLE_HASH + 16;

    if (r->payload.ptr)
        n += sizeof("\"ph\":\"\",") + 2 * MERKLE_HASH;
    if (r->closes)
        n += sizeof("\"children\":,\"forest\":\"\",") + 16 + 2 * MERKLE_HASH;
    return n + (sign ? RECORD_SIG_TEXT : 0);
}

static enum status check_receipt(const struct receipt *r, struct err *e)
{
    if (!r->kind || !r->kind[0])
        return err_set(e, STATUS_INVALID, "receipt without a kind");
    if (r->fence > RECORD_INT_MAX)
        return err_set(e, STATUS_INVALID, "receipt \"%s\": fence %llu is not below 2^53", r->kind,
                       (unsigned long long)r->fence);
    if (r->payload.len > AUDIT_PAYLOAD_MAX)
        return err_set(e, STATUS_TOO_LARGE, "receipt \"%s\": payload of %zu bytes, the limit is %d",
                       r->kind, r->payload.len, (int)AUDIT_PAYLOAD_MAX);
    return STATUS_OK;
}

/* Where the next byte of the line goes. Room was made before. */
struct line_at {
    char *p;
};

static inline void put(struct line_at *l, const char *s, size_t n)
{
    memcpy(l->p, s, n);
    l->p += n;
}
#define PUT_LIT(l, lit) put((l), "" lit, sizeof(lit) - 1)

static void put_u64(struct line_at *l, uint64_t v)
{
    l->p += num_print_u64(v, l->p);
}

static void put_hash(struct line_at *l, const struct merkle_hash *h)
{
    record_hex(h->b, l->p);
    l->p += 2 * MERKLE_HASH;
    PUT_LIT(l, "\",");
}

/* The texts of a receipt, in the order of their members. */
enum text_member {
    TEXT_ID,
    TEXT_KIND,
    TEXT_LOG,
    TEXT_MEMBER,
    TEXT_OP,
    TEXT_OUTCOME,
    TEXT_PROXY,
    TEXT_TARGET,
    TEXT_COUNT
};

struct text {
    struct str name; /* with its quotes and colon */
    struct str value;
    bool is_plain; /* no byte of it needs an escape */
};

static size_t take_text(struct text *t, struct str name, const char *value)
{
    t->name = name;
    t->value = str_from(value);
    t->is_plain = str_json_plain(t->value.ptr, t->value.len) == t->value.len;
    /* as escapes: "\u0000", or U+FFFD for a byte that is no UTF-8 */
    return t->value.len ? name.len + 3 + t->value.len * (t->is_plain ? 1 : 6) : 0;
}

/* Reads all and returns the most bytes that they come to. */
static size_t take_texts(struct text t[TEXT_COUNT], const struct receipt *r, const char *id,
                         const char *log_id)
{
    size_t n = 0;

    n += take_text(&t[TEXT_ID], STR("\"id\":"), id);
    n += take_text(&t[TEXT_KIND], STR("\"kind\":"), r->kind);
    n += take_text(&t[TEXT_LOG], STR("\"log\":"), log_id);
    n += take_text(&t[TEXT_MEMBER], STR("\"member\":"), r->member);
    n += take_text(&t[TEXT_OP], STR("\"op\":"), r->op);
    n += take_text(&t[TEXT_OUTCOME], STR("\"outcome\":"), r->outcome);
    n += take_text(&t[TEXT_PROXY], STR("\"proxy\":"), r->proxy);
    return n + take_text(&t[TEXT_TARGET], STR("\"target\":"), r->target);
}

/* `"name":"value",` unless the value is absent. */
static void put_text(struct line_at *l, const struct text *t)
{
    if (t->value.len == 0)
        return;
    put(l, t->name.ptr, t->name.len);
    if (t->is_plain) {
        *l->p++ = '"';
        put(l, t->value.ptr, t->value.len);
        *l->p++ = '"';
    } else {
        struct buf escaped = BUF_INIT(TEXT_MAX_BYTES);

        jcs_add_str(&escaped, t->value);
        put(l, buf_str(&escaped).ptr, escaped.len);
        buf_deinit(&escaped);
    }
    *l->p++ = ',';
}

static void put_texts(struct line_at *l, const struct text *t, enum text_member from,
                      enum text_member to)
{
    for (enum text_member i = from; i <= to; i++)
        put_text(l, &t[i]);
}

static void put_leaf(struct line_at *l, struct str name, const unsigned char *leaf)
{
    if (!leaf)
        return;
    put(l, name.ptr, name.len);
    record_hex(leaf, l->p);
    l->p += 2 * MERKLE_HASH;
    PUT_LIT(l, "\",");
}

/* Writes the members at `start`; returns where they end. */
static char *put_members(char *start, const struct receipt *r, struct hlc_time at,
                         const struct text *texts, struct record_pieces *pieces)
{
    struct line_at l = {start};

    if (r->fence) {
        PUT_LIT(&l, "\"fence\":");
        put_u64(&l, r->fence);
        PUT_LIT(&l, ",");
    }
    pieces->end[0] = (uint16_t)(l.p - start);
    PUT_LIT(&l, "\"hlc\":[");
    put_u64(&l, at.ms);
    PUT_LIT(&l, ",");
    put_u64(&l, at.counter);
    PUT_LIT(&l, "],");
    put_texts(&l, texts, TEXT_ID, TEXT_MEMBER);
    put_leaf(&l, STR("\"of\":\""), r->closes);
    put_texts(&l, texts, TEXT_OP, TEXT_OUTCOME);
    put_leaf(&l, STR("\"parent\":\""), r->parent);
    pieces->end[1] = (uint16_t)(l.p - start);
    put_text(&l, &texts[TEXT_PROXY]);
    pieces->end[2] = (uint16_t)(l.p - start);
    put_text(&l, &texts[TEXT_TARGET]);
    pieces->end[3] = (uint16_t)(l.p - start);
    return l.p;
}

static enum status too_long(const struct receipt *r, size_t n, struct err *e)
{
    return err_set(e, STATUS_TOO_LARGE,
                   "receipt \"%s\": a line of about %zu bytes, the limit is %d", r->kind, n,
                   (int)AUDIT_LINE_MAX);
}

enum status record_prepare(const struct receipt *r, struct hlc_time at, const char *id,
                           const char *log_id, bool sign, struct buf *out,
                           struct record_pieces *pieces, struct err *e)
{
    struct text texts[TEXT_COUNT];
    enum status s = check_receipt(r, e);
    size_t n;
    char *start;

    if (s != STATUS_OK)
        return s;
    n = take_texts(texts, r, id, log_id);
    if (n > TEXT_MAX_BYTES)
        return too_long(r, n, e);
    start = buf_reserve(out, n + FIXED_MAX);
    if (!start)
        return too_long(r, n, e);
    n = (size_t)(put_members(start, r, at, texts, pieces) - start);
    if (n + added_max(r, sign) > AUDIT_LINE_MAX)
        return too_long(r, n + added_max(r, sign), e);
    buf_commit(out, n);
    return STATUS_OK;
}

size_t record_head(char out[RECORD_BUILD_MAX], const char *text, const struct record_pieces *pieces,
                   const struct record_place *at)
{
    const uint16_t *end = pieces->end;
    struct line_at l = {out};

    PUT_LIT(&l, "{");
    if (at->forest) {
        PUT_LIT(&l, "\"children\":");
        put_u64(&l, at->children);
        PUT_LIT(&l, ",");
    }
    put(&l, text, end[0]);
    if (at->forest) {
        PUT_LIT(&l, "\"forest\":\"");
        put_hash(&l, at->forest);
    }
    put(&l, text + end[0], (size_t)(end[1] - end[0]));
    if (at->payload) {
        PUT_LIT(&l, "\"ph\":\"");
        put_hash(&l, at->payload);
    }
    PUT_LIT(&l, "\"prev\":\"");
    return (size_t)(l.p - out);
}

size_t record_build(char out[RECORD_BUILD_MAX], const char *text,
                    const struct record_pieces *pieces, const struct record_place *at)
{
    const uint16_t *end = pieces->end;
    struct line_at l = {out + record_head(out, text, pieces, at)};

    put_hash(&l, at->prev);
    put(&l, text + end[1], (size_t)(end[2] - end[1]));
    PUT_LIT(&l, "\"seq\":");
    put_u64(&l, at->seq);
    PUT_LIT(&l, ",");
    put(&l, text + end[2], (size_t)(end[3] - end[2]));
    PUT_LIT(&l, "\"v\":1");
    if (at->vkey) {
        PUT_LIT(&l, ",\"vkey\":\"");
        put(&l, at->vkey, strlen(at->vkey));
        PUT_LIT(&l, "\"");
    }
    PUT_LIT(&l, "}");
    return (size_t)(l.p - out);
}

size_t record_add_signature(char out[RECORD_BUILD_MAX], size_t len,
                            const unsigned char sig[RECORD_SIG])
{
    char b64[sodium_base64_ENCODED_LEN(RECORD_SIG, sodium_base64_VARIANT_ORIGINAL)];
    struct line_at l = {out + len - 1};

    sodium_bin2base64(b64, sizeof(b64), sig, RECORD_SIG, sodium_base64_VARIANT_ORIGINAL);
    PUT_LIT(&l, ",\"zsig\":\"");
    put(&l, b64, sizeof(b64) - 1);
    PUT_LIT(&l, "\"}");
    return (size_t)(l.p - out);
}

/* --- taking apart --- */

struct scan {
    const char *p, *end;
    struct record_fault *fault;
    const char *start;
    unsigned char seen; /* all bytes of strings, or-ed: from 0x80 on there is more to check */
};

static bool fail(struct scan *s, const char *what)
{
    s->fault->what = what;
    s->fault->at = (size_t)(s->p - s->start);
    return false;
}

static bool take(struct scan *s, char c, const char *what)
{
    if (s->p == s->end || *s->p != c)
        return fail(s, what);
    s->p++;
    return true;
}

static bool take_u64(struct scan *s, uint64_t *out)
{
    const char *first = s->p;
    uint64_t v = 0;

    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++) {
        v = v * 10 + (uint64_t)(*s->p - '0');
        if (v > RECORD_INT_MAX)
            return fail(s, "an integer that is not below 2^53");
    }
    if (s->p == first)
        return fail(s, "expected an integer");
    if (*first == '0' && s->p - first > 1)
        return fail(s, "an integer with a leading zero");
    *out = v;
    return true;
}

/* After a backslash: only the escapes that a canonical writer uses (RFC 8785 §3.2.2.2). */
static bool take_escape(struct scan *s)
{
    static const char hex[] = "0123456789abcdef";
    const char *p = s->p;
    unsigned v;

    if (p < s->end && memchr("\"\\bfnrt", *p, 7)) {
        s->p++;
        return true;
    }
    if (s->end - p < 5 || memcmp(p, "u00", 3) != 0 || (p[3] != '0' && p[3] != '1') || !p[4] ||
        !strchr(hex, p[4]))
        return fail(s, "an escape that is not canonical");
    v = (unsigned)(p[3] - '0') * 16 + (unsigned)(strchr(hex, p[4]) - hex);
    if (v >= 0x08 && v <= 0x0d && v != 0x0b)
        return fail(s, "an escape that is not canonical");
    s->p += 5;
    return true;
}

/* Bytes that end a run of plain ones: controls, the quote and the backslash. */
static const bool stops[256] = {
    [0x00] = 1, [0x01] = 1, [0x02] = 1, [0x03] = 1, [0x04] = 1, [0x05] = 1, [0x06] = 1,
    [0x07] = 1, [0x08] = 1, [0x09] = 1, [0x0a] = 1, [0x0b] = 1, [0x0c] = 1, [0x0d] = 1,
    [0x0e] = 1, [0x0f] = 1, [0x10] = 1, [0x11] = 1, [0x12] = 1, [0x13] = 1, [0x14] = 1,
    [0x15] = 1, [0x16] = 1, [0x17] = 1, [0x18] = 1, [0x19] = 1, [0x1a] = 1, [0x1b] = 1,
    [0x1c] = 1, [0x1d] = 1, [0x1e] = 1, [0x1f] = 1, ['"'] = 1,  ['\\'] = 1,
};

/* Past plain ASCII bytes, eight at a time; where eight are left, to the first that is none. */
static void skip_plain(struct scan *s)
{
    uint64_t x, quote, slash, stop;

    for (; s->end - s->p >= 8; s->p += 8) {
        memcpy(&x, s->p, sizeof(x));
        x = le64toh(x);
        quote = x ^ ones * '"';
        slash = x ^ ones * '\\';
        /* the high bit of a byte is set by the subtraction if it is below; wrong only above a byte
         * that is, and the lowest is what counts */
        stop = (x | (x - ones * 0x20) | (quote - ones) | (slash - ones)) & ones * 0x80;
        if (stop) {
            s->p += __builtin_ctzll(stop) / 8;
            return;
        }
    }
}

static bool take_string(struct scan *s, struct str *out)
{
    const char *first;

    if (!take(s, '"', "expected a string"))
        return false;
    first = s->p;
    for (;;) {
        unsigned char c = 0;

        skip_plain(s);
        while (s->p < s->end && !stops[c = (unsigned char)*s->p]) {
            s->seen |= c;
            s->p++;
        }
        if (s->p == s->end)
            return fail(s, "a string without end");
        if (c == '"')
            break;
        if (c != '\\')
            return fail(s, "a control character in a string");
        s->p++;
        if (!take_escape(s))
            return false;
    }
    *out = str_n(first, (size_t)(s->p - first));
    s->p++;
    return true;
}

/* 64 digits; false unless all are lower case hex digits. Eight at a time: a letter has bit 6 and is
 * nine more than its low bits; what does not come out as it went in was no digit. */
static bool unhex(const char *p, struct merkle_hash *out)
{
    uint64_t wrong = 0;

    for (size_t i = 0; i < MERKLE_HASH; i += 4) {
        uint64_t x, v;
        uint32_t four;

        memcpy(&x, p + 2 * i, sizeof(x));
        x = le64toh(x);
        v = (x & ones * 0x0f) + (x >> 6 & ones) * 9;
        wrong |= (v & ones * 0xf0) | (digits_of(v) ^ x);
        v = (v << 4 | v >> 8) & 0x00ff00ff00ff00ffu;
        v = (v | v >> 8) & 0x0000ffff0000ffffu;
        four = htole32((uint32_t)(v | v >> 16));
        memcpy(out->b + i, &four, sizeof(four));
    }
    return wrong == 0;
}

static bool take_hash(struct scan *s, struct merkle_hash *out)
{
    const char *p = s->p + 1;
    struct str t;

    if (s->end - s->p < 2 * MERKLE_HASH + 2 || *s->p != '"' || p[2 * MERKLE_HASH] != '"')
        return take_string(s, &t) && fail(s, "a hash that is not 64 hex digits");
    if (!unhex(p, out))
        return fail(s, "a hash that is not 64 lower case hex digits");
    s->p += 2 * MERKLE_HASH + 2;
    return true;
}

static bool take_hlc(struct scan *s, struct hlc_time *out)
{
    uint64_t counter;

    if (!take(s, '[', "expected [ms,counter]") || !take_u64(s, &out->ms) ||
        !take(s, ',', "expected [ms,counter]") || !take_u64(s, &counter))
        return false;
    if (counter > UINT32_MAX)
        return fail(s, "a clock counter beyond 32 bits");
    out->counter = (uint32_t)counter;
    return take(s, ']', "expected [ms,counter]");
}

static bool take_sig(struct scan *s, unsigned char out[RECORD_SIG])
{
    struct str t;

    if (!take_string(s, &t))
        return false;
    if (t.len != 88 || !base64_exact(t, NULL, out, RECORD_SIG))
        return fail(s, "a signature that is not the base64 of 64 bytes");
    return true;
}

enum member_kind { M_U64, M_STR, M_HASH, M_HLC, M_VERSION, M_SIG };
struct member {
    struct str name;
    enum member_kind kind;
    bool required;
    size_t offset;
    size_t has; /* offset of the bool that tells that it was there; 0: none */
};
#define STR_CONST(lit)                                                                             \
    {                                                                                              \
        lit, sizeof(lit) - 1                                                                       \
    }
#define M(name_, field, kind_)                                                                     \
    {                                                                                              \
        STR_CONST(name_), kind_, true, offsetof(struct record, field), 0                           \
    }
#define M_OPT(name_, field, kind_)                                                                 \
    {                                                                                              \
        STR_CONST(name_), kind_, false, offsetof(struct record, field), 0                          \
    }
#define M_HAS(name_, field, kind_, has_)                                                           \
    {                                                                                              \
        STR_CONST(name_), kind_, false, offsetof(struct record, field),                            \
            offsetof(struct record, has_)                                                          \
    }

/* In canonical order: the scan walks down the table as it walks down the line. */
static const struct member members[] = {
    M_HAS("children", children, M_U64, has_children),
    M_HAS("fence", fence, M_U64, has_fence),
    M_HAS("forest", forest, M_HASH, has_forest),
    M("hlc", hlc, M_HLC),
    M("id", id, M_STR),
    M("kind", kind, M_STR),
    M("log", log, M_STR),
    M_OPT("member", member, M_STR),
    M_HAS("of", of, M_HASH, has_of),
    M_OPT("op", op, M_STR),
    M_OPT("outcome", outcome, M_STR),
    M_HAS("parent", parent, M_HASH, has_parent),
    M_HAS("ph", ph, M_HASH, has_ph),
    M("prev", prev, M_HASH),
    M_OPT("proxy", proxy, M_STR),
    M("seq", seq, M_U64),
    M_OPT("target", target, M_STR),
    {STR_CONST("v"), M_VERSION, true, 0, 0},
    M_OPT("vkey", vkey, M_STR),
    M_HAS("zsig", sig, M_SIG, has_sig),
};

static bool take_value(struct scan *s, const struct member *m, struct record *out)
{
    void *field = (char *)out + m->offset;
    uint64_t version;

    if (m->has)
        *(bool *)(void *)((char *)out + m->has) = true;
    switch (m->kind) {
    case M_U64:
        return take_u64(s, field);
    case M_STR:
        return take_string(s, field);
    case M_HASH:
        return take_hash(s, field);
    case M_HLC:
        return take_hlc(s, field);
    case M_SIG:
        return take_sig(s, field);
    case M_VERSION:
        return take_u64(s, &version) && (version == 1 || fail(s, "a version other than 1"));
    }
    BUG("member kind %d", (int)m->kind);
}

/* A member we do not know: a string, a boolean or an integer, as later versions may add. */
static bool skip_value(struct scan *s)
{
    struct str ignored;
    uint64_t number;
    size_t left = (size_t)(s->end - s->p);

    if (left >= 4 && memcmp(s->p, "true", 4) == 0) {
        s->p += 4;
        return true;
    }
    if (left >= 5 && memcmp(s->p, "false", 5) == 0) {
        s->p += 5;
        return true;
    }
    return left > 0 && *s->p == '"' ? take_string(s, &ignored) : take_u64(s, &number);
}

static int compare(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = memcmp(a.ptr, b.ptr, n);

    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

/* The members of a line so far. */
struct progress {
    size_t at;       /* members[0..at) are behind */
    struct str last; /* name of the last one */
    bool strange;    /* it is none of the table's */
};

/* Passes members[at..to); false when one of them is required. */
static bool pass(struct scan *s, struct progress *p, size_t to)
{
    for (; p->at < to; p->at++)
        if (members[p->at].required)
            return fail(s, "a required member is missing before this");
    return true;
}

/* A name that is not in the rest of the table: new, repeated or out of order. */
static bool take_strange(struct scan *s, struct progress *p, struct str name)
{
    size_t to = p->at;

    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] >= 0x7f || name.ptr[i] == '\\')
            return fail(s, "a member's name that is not plain ASCII");
    if (p->last.ptr && compare(p->last, name) >= 0)
        return fail(s, "members that are not in canonical order");
    while (to < ARRAY_LEN(members) && compare(members[to].name, name) < 0)
        to++;
    p->strange = true;
    p->last = name;
    return pass(s, p, to) && take(s, ':', "expected ':'") && skip_value(s);
}

/* Does `"name":` stand there? */
static bool is_next(const struct scan *s, const struct str name)
{
    return (size_t)(s->end - s->p) > name.len + 2 && s->p[1] == name.ptr[0] && s->p[0] == '"' &&
           s->p[name.len + 1] == '"' && s->p[name.len + 2] == ':' &&
           memcmp(s->p + 1, name.ptr, name.len) == 0;
}

/* As a canonical writer leaves members out: the next one that is there, if nothing strange is
 * about. False: nothing was taken. */
static bool take_expected(struct scan *s, struct progress *p, size_t *at)
{
    size_t i = p->at;

    if (p->strange)
        return false;
    while (i < ARRAY_LEN(members) && !members[i].required && !is_next(s, members[i].name))
        i++;
    if (i == ARRAY_LEN(members) || !is_next(s, members[i].name))
        return false;
    s->p += members[i].name.len + 3;
    *at = i;
    return true;
}

/* The table is in canonical order, so a walk down it is one down the line; names are compared only
 * around members that are not in it. */
static bool take_member(struct scan *s, struct record *out, struct progress *p)
{
    const char *before = s->p;
    size_t i = p->at;
    struct str name;

    if (take_expected(s, p, &i)) {
        p->at = i + 1;
        p->last = members[i].name;
        if (members[i].kind == M_SIG)
            out->sig_at = (size_t)(before - s->start) - 1;
        return take_value(s, &members[i], out);
    }
    if (!take_string(s, &name))
        return false;
    while (i < ARRAY_LEN(members) && !(members[i].name.len == name.len &&
                                       memcmp(members[i].name.ptr, name.ptr, name.len) == 0))
        i++;
    if (i == ARRAY_LEN(members))
        return take_strange(s, p, name);
    if (p->strange && compare(p->last, name) >= 0)
        return fail(s, "members that are not in canonical order");
    if (!pass(s, p, i) || !take(s, ':', "expected ':'"))
        return false;
    p->at = i + 1;
    p->strange = false;
    p->last = name;
    if (members[i].kind == M_SIG)
        out->sig_at = (size_t)(before - s->start) - 1;
    return take_value(s, &members[i], out);
}

bool record_decode(struct str line, struct record *out, struct record_fault *fault)
{
    struct scan s = {line.ptr, line.ptr + line.len, fault, line.ptr, 0};
    struct progress p = {0};

    memset(out, 0, sizeof(*out));
    if (line.len > AUDIT_LINE_MAX)
        return fail(&s, "a line longer than 4096 bytes");
    if (!take(&s, '{', "expected '{'"))
        return false;
    for (;;) {
        if (!take_member(&s, out, &p))
            return false;
        if (s.p < s.end && *s.p == '}')
            break;
        if (!take(&s, ',', "expected ',' or '}'"))
            return false;
    }
    if (!pass(&s, &p, ARRAY_LEN(members)))
        return false;
    s.p++;
    if (s.p != s.end)
        return fail(&s, "bytes after the record");
    if (out->has_sig && s.p - 1 != line.ptr + out->sig_at + RECORD_SIG_TEXT)
        return fail(&s, "members after the signature");
    return s.seen < 0x80 || str_is_utf8(line) || fail(&s, "bytes that are no UTF-8");
}
