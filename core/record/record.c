#include "core/record/record.h"

#include "core/base/jcs.h"
#include "core/record/base64.h"

#include <sodium.h>

/* --- building --- */

void record_hex(const unsigned char *hash, char *out)
{
    static const char digit[] = "0123456789abcdef";

    for (size_t i = 0; i < MERKLE_HASH; i++) {
        out[2 * i] = digit[hash[i] >> 4];
        out[2 * i + 1] = digit[hash[i] & 15];
    }
}

/* Decimal digits of v at out; returns how many. */
static size_t put_u64(char *out, uint64_t v)
{
    char rev[20];
    size_t n = 0;

    do {
        rev[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = rev[n - 1 - i];
    return n;
}

static bool is_plain(const char *s, size_t n)
{
    unsigned char bad = 0;

    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];

        bad |= (unsigned char)(c < 0x20 || c >= 0x7f || c == '"' || c == '\\');
    }
    return !bad;
}

/* `"name":"value",` unless the value is absent. `name` comes with its quotes and colon. */
static void add_str(struct buf *b, struct str name, const char *value)
{
    size_t n = value ? strlen(value) : 0;

    if (n == 0)
        return;
    buf_addstr(b, name);
    if (is_plain(value, n)) {
        buf_addc(b, '"');
        buf_add(b, value, n);
        buf_addc(b, '"');
    } else {
        jcs_add_str(b, str_n(value, n));
    }
    buf_addc(b, ',');
}

static void add_hash(struct buf *b, struct str name, const unsigned char *hash)
{
    char hex[2 * MERKLE_HASH];

    if (!hash)
        return;
    record_hex(hash, hex);
    buf_addstr(b, name);
    buf_addc(b, '"');
    buf_add(b, hex, sizeof(hex));
    buf_add(b, "\",", 2);
}

static void add_u64(struct buf *b, struct str name, uint64_t v, char end)
{
    char digits[20];

    buf_addstr(b, name);
    buf_add(b, digits, put_u64(digits, v));
    buf_addc(b, end);
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

enum status record_prepare(const struct receipt *r, struct hlc_time at, const char *id,
                           const char *log_id, bool sign, struct buf *out,
                           struct record_pieces *pieces, struct err *e)
{
    size_t start = out->len, n;
    size_t end[RECORD_PIECES];
    enum status s = check_receipt(r, e);

    if (s != STATUS_OK)
        return s;
    if (r->fence)
        add_u64(out, STR("\"fence\":"), r->fence, ',');
    end[0] = out->len - start;
    add_u64(out, STR("\"hlc\":["), at.ms, ',');
    add_u64(out, STR(""), at.counter, ']');
    buf_addc(out, ',');
    add_str(out, STR("\"id\":"), id);
    add_str(out, STR("\"kind\":"), r->kind);
    add_str(out, STR("\"log\":"), log_id);
    add_str(out, STR("\"member\":"), r->member);
    add_hash(out, STR("\"of\":"), r->closes);
    add_str(out, STR("\"op\":"), r->op);
    add_str(out, STR("\"outcome\":"), r->outcome);
    add_hash(out, STR("\"parent\":"), r->parent);
    end[1] = out->len - start;
    add_str(out, STR("\"proxy\":"), r->proxy);
    end[2] = out->len - start;
    add_str(out, STR("\"target\":"), r->target);
    end[3] = out->len - start;
    n = end[3] + added_max(r, sign);
    if (buf_status(out) != STATUS_OK || n > AUDIT_LINE_MAX)
        return err_set(e, STATUS_TOO_LARGE,
                       "receipt \"%s\": a line of about %zu bytes, the limit is %d", r->kind, n,
                       (int)AUDIT_LINE_MAX);
    for (size_t i = 0; i < RECORD_PIECES; i++)
        pieces->end[i] = (uint16_t)end[i];
    return STATUS_OK;
}

/* Where the next byte of the line goes. */
struct line_at {
    char *p;
};

static void put(struct line_at *l, const char *s, size_t n)
{
    memcpy(l->p, s, n);
    l->p += n;
}
#define PUT_LIT(l, lit) put((l), "" lit, sizeof(lit) - 1)

static void put_hash(struct line_at *l, const struct merkle_hash *h)
{
    record_hex(h->b, l->p);
    l->p += 2 * MERKLE_HASH;
    PUT_LIT(l, "\",");
}

size_t record_build(char out[RECORD_BUILD_MAX], const char *text,
                    const struct record_pieces *pieces, const struct record_place *at)
{
    const uint16_t *end = pieces->end;
    struct line_at l = {out};

    PUT_LIT(&l, "{");
    if (at->forest) {
        PUT_LIT(&l, "\"children\":");
        l.p += put_u64(l.p, at->children);
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
    put_hash(&l, at->prev);
    put(&l, text + end[1], (size_t)(end[2] - end[1]));
    PUT_LIT(&l, "\"seq\":");
    l.p += put_u64(l.p, at->seq);
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

static bool take_string(struct scan *s, struct str *out)
{
    const char *first;

    if (!take(s, '"', "expected a string"))
        return false;
    first = s->p;
    for (;;) {
        unsigned char c;

        if (s->p == s->end)
            return fail(s, "a string without end");
        c = (unsigned char)*s->p;
        if (c == '"')
            break;
        if (c < 0x20)
            return fail(s, "a control character in a string");
        s->p++;
        if (c == '\\' && !take_escape(s))
            return false;
    }
    *out = str_n(first, (size_t)(s->p - first));
    s->p++;
    return true;
}

static bool take_hash(struct scan *s, struct merkle_hash *out)
{
    static const signed char value[256] = {
        ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
        ['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
        ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    };
    struct str t;

    if (!take_string(s, &t))
        return false;
    if (t.len != 2 * MERKLE_HASH)
        return fail(s, "a hash that is not 64 hex digits");
    for (size_t i = 0; i < MERKLE_HASH; i++) {
        int hi = value[(unsigned char)t.ptr[2 * i]], lo = value[(unsigned char)t.ptr[2 * i + 1]];

        if (!hi || !lo)
            return fail(s, "a hash that is not 64 lower case hex digits");
        out->b[i] = (unsigned char)((hi - 1) << 4 | (lo - 1));
    }
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
    const char *name;
    enum member_kind kind;
    bool required;
    size_t offset;
    size_t has; /* offset of the bool that tells that it was there; 0: none */
};
#define M(name_, field, kind_)                                                                     \
    {                                                                                              \
        name_, kind_, true, offsetof(struct record, field), 0                                      \
    }
#define M_OPT(name_, field, kind_)                                                                 \
    {                                                                                              \
        name_, kind_, false, offsetof(struct record, field), 0                                     \
    }
#define M_HAS(name_, field, kind_, has_)                                                           \
    {                                                                                              \
        name_, kind_, false, offsetof(struct record, field), offsetof(struct record, has_)         \
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
    {"v", M_VERSION, true, 0, 0},
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

static int compare_name(struct str a, const char *b)
{
    size_t n = strlen(b), m = a.len < n ? a.len : n;
    int c = memcmp(a.ptr, b, m);

    return c != 0 ? c : (a.len > n) - (a.len < n);
}

static bool take_name(struct scan *s, struct str *last)
{
    struct str name;

    if (!take_string(s, &name))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] >= 0x7f || name.ptr[i] == '\\')
            return fail(s, "a member's name that is not plain ASCII");
    if (last->ptr) {
        size_t n = last->len < name.len ? last->len : name.len;
        int c = memcmp(last->ptr, name.ptr, n);

        if (c > 0 || (c == 0 && last->len >= name.len))
            return fail(s, "members that are not in canonical order");
    }
    *last = name;
    return take(s, ':', "expected ':'");
}

static bool take_member(struct scan *s, struct record *out, struct str *last, size_t *at)
{
    const char *before = s->p;

    if (!take_name(s, last))
        return false;
    while (*at < ARRAY_LEN(members)) {
        const struct member *m = &members[*at];
        int c = compare_name(*last, m->name);

        if (c < 0)
            break;
        if (c == 0) {
            ++*at;
            if (m->kind == M_SIG)
                out->sig_at = (size_t)(before - s->start) - 1;
            return take_value(s, m, out);
        }
        if (m->required)
            return fail(s, "a required member is missing before this one");
        ++*at;
    }
    return skip_value(s);
}

bool record_decode(struct str line, struct record *out, struct record_fault *fault)
{
    struct scan s = {line.ptr, line.ptr + line.len, fault, line.ptr};
    struct str last = STR_NONE;
    size_t at = 0;

    memset(out, 0, sizeof(*out));
    if (line.len > AUDIT_LINE_MAX)
        return fail(&s, "a line longer than 4096 bytes");
    if (!take(&s, '{', "expected '{'"))
        return false;
    for (;;) {
        if (!take_member(&s, out, &last, &at))
            return false;
        if (s.p < s.end && *s.p == '}')
            break;
        if (!take(&s, ',', "expected ',' or '}'"))
            return false;
    }
    for (; at < ARRAY_LEN(members); at++)
        if (members[at].required)
            return fail(&s, "a required member is missing");
    s.p++;
    if (s.p != s.end)
        return fail(&s, "bytes after the record");
    if (out->has_sig && s.p - 1 != line.ptr + out->sig_at + RECORD_SIG_TEXT)
        return fail(&s, "members after the signature");
    return str_is_utf8(line) || fail(&s, "bytes that are no UTF-8");
}
