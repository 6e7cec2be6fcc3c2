#include "browser/flow/vars.h"

#include "core/base/rng.h"

enum { TEXT_MAX = 1 << 24, NAMES_MAX = 64 };

/* --- syntax --- */

struct piece {
    struct str plain;     /* before the variable */
    struct str name;      /* ptr NULL: there is no variable, the text is over */
    struct str otherwise; /* after "|"; ptr NULL: none */
};

/* Cuts the next piece off *rest. False: a {{ without its end, or without a name. */
static bool take_piece(struct str *rest, struct piece *p)
{
    struct str s = *rest;
    ptrdiff_t at = str_find(s, STR("{{")), end, bar;

    *p = (struct piece){.plain = s};
    if (at < 0 || (at > 0 && s.ptr[at - 1] == '\\')) {
        /* an escaped one is plain text up to behind it */
        size_t n = at < 0 ? s.len : (size_t)at + 2;

        p->plain = str_n(s.ptr, n);
        *rest = str_skip(s, n);
        return true;
    }
    p->plain = str_n(s.ptr, (size_t)at);
    s = str_skip(s, (size_t)at + 2);
    end = str_find(s, STR("}}"));
    if (end < 0)
        return false;
    *rest = str_skip(s, (size_t)end + 2);
    s = str_n(s.ptr, (size_t)end);
    bar = str_chr(s, '|');
    p->name = str_trim(bar < 0 ? s : str_n(s.ptr, (size_t)bar));
    if (bar >= 0)
        p->otherwise = str_trim(str_skip(s, (size_t)bar + 1));
    if (bar >= 0 && p->otherwise.ptr == NULL)
        p->otherwise = STR("");
    return p->name.len > 0;
}

bool vars_has(struct str text)
{
    struct piece p;

    while (text.len > 0) {
        if (!take_piece(&text, &p))
            return true;
        if (p.name.ptr != NULL)
            return true;
    }
    return false;
}

static enum status fault(struct str text, struct err *e)
{
    return err_set(e, STATUS_INVALID,
                   "\"%.*s\" has a {{ without a name and }}; a plain {{ is written \\{{",
                   STR_ARG(str_head(text, 120)));
}

static struct str first_of(struct str name)
{
    size_t n = 0;

    while (n < name.len && name.ptr[n] != '.' && name.ptr[n] != '[')
        n++;
    return str_n(name.ptr, n);
}

static size_t random_kinds(const char **names);

/* The names below a root that are the same for every flow; *n 0: another root. */
static const char *const *names_of(struct str root, const char **randoms_room, size_t *n)
{
    static const char *const of_member[] = {"index",  "number",   "id",
                                            "locale", "timezone", "user_agent"};
    static const char *const of_task[] = {"id", "attempt", "stage", "slot", "seed"};

    *n = 0;
    if (str_eqz(root, "member"))
        return *n = ARRAY_LEN(of_member), of_member;
    if (str_eqz(root, "task"))
        return *n = ARRAY_LEN(of_task), of_task;
    if (str_eqz(root, "random"))
        *n = random_kinds(randoms_room);
    return randoms_room;
}

/* A name that is nearly one of ours is a slip, which would be met only when the step is due. */
static enum status check_spelling(struct str name, struct err *e)
{
    const char *randoms_room[NAMES_MAX], *near;
    struct str root = first_of(name), part = str_skip(name, root.len);
    size_t n;
    const char *const *names = names_of(root, randoms_room, &n);

    if (n == 0 || part.len < 2 || part.ptr[0] != '.')
        return STATUS_OK;
    part = first_of(str_skip(part, 1));
    for (size_t i = 0; i < n; i++)
        if (str_eqz(part, names[i]))
            return STATUS_OK;
    near = str_suggest(part, names, n);
    return near == NULL
               ? STATUS_OK
               : err_set(e, STATUS_INVALID, "found \"{{%.*s}}\", did you mean \"%.*s.%s\"?",
                         STR_ARG(str_head(name, 120)), STR_ARG(root), near);
}

/* What is asked of the row, the member ... has a name. Columns by themselves may end in a dot. */
static enum status check_name(struct str name, struct err *e)
{
    static const char *const roots[] = {"vars", "row", "member", "task", "input", "random"};
    struct str first = first_of(name);
    bool is_root = false;

    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        is_root = is_root || str_eqz(first, roots[i]);
    for (size_t i = first.len; is_root && i < name.len; i++)
        if (name.ptr[i] == '.' &&
            (i + 1 == name.len || name.ptr[i + 1] == '.' || name.ptr[i + 1] == '['))
            return err_set(e, STATUS_INVALID, "found \"{{%.*s}}\", expected a name after \"%.*s\"",
                           STR_ARG(str_head(name, 120)), STR_ARG(str_n(name.ptr, i + 1)));
    return check_spelling(name, e);
}

enum status vars_check(struct str text, struct err *e)
{
    struct str rest = text;
    struct piece p;

    while (rest.len > 0) {
        if (!take_piece(&rest, &p))
            return fault(text, e);
        if (p.name.ptr != NULL && check_name(p.name, e) != STATUS_OK)
            return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* --- looking up --- */

static const struct json *element(const struct json *j, uint64_t n)
{
    if (json_type(j) != JSON_ARRAY)
        return NULL;
    for (j = json_first(j); j != NULL && n > 0; n--)
        j = json_next(j);
    return j;
}

static const struct json *member(const struct json *j, struct str name)
{
    for (const struct json *c = json_type(j) == JSON_OBJECT ? json_first(j) : NULL; c != NULL;
         c = json_next(c))
        if (str_eqz(name, json_key(c)))
            return c;
    return NULL;
}

/* Takes ".name" or "[n]" off *path. */
static const struct json *step_in(const struct json *j, struct str *path)
{
    size_t n = 0;
    uint64_t index;

    if (path->ptr[0] == '[') {
        ptrdiff_t end = str_chr(*path, ']');

        if (end < 0 || !str_to_u64(str_n(path->ptr + 1, (size_t)end - 1), 1u << 30, &index))
            return NULL;
        *path = str_skip(*path, (size_t)end + 1);
        return element(j, index);
    }
    if (path->ptr[0] == '.')
        *path = str_skip(*path, 1);
    while (n < path->len && path->ptr[n] != '.' && path->ptr[n] != '[')
        n++;
    if (n == 0)
        return NULL;
    j = str_to_u64(str_n(path->ptr, n), 1u << 30, &index) && json_type(j) == JSON_ARRAY
            ? element(j, index)
            : member(j, str_n(path->ptr, n));
    *path = str_skip(*path, n);
    return j;
}

static const struct json *follow(const struct json *j, struct str path)
{
    while (j != NULL && path.len > 0)
        j = step_in(j, &path);
    return j;
}

static const struct json *lookup(const struct vars *v, struct str name)
{
    const struct {
        const char *root;
        const struct json *j;
    } roots[] = {{"vars", v->vars},
                 {"row", v->row},
                 {"member", v->member},
                 {"task", v->task},
                 {"input", v->input}};
    struct str first = first_of(name);
    const struct json *found;

    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        if (str_eqz(first, roots[i].root) && roots[i].j != NULL &&
            (found = follow(roots[i].j, str_skip(name, first.len))) != NULL)
            return found;
    if ((found = follow(v->vars, name)) != NULL)
        return found;
    if ((found = member(v->row, name)) != NULL) /* a column may have a dot in its name */
        return found;
    if ((found = follow(v->row, name)) != NULL)
        return found;
    return follow(v->input, name);
}

/* --- test data --- */

static const char *const first_names[] = {
    "Ada",  "Alan", "Barbara",   "Claude", "Donald",   "Edsger",  "Frances", "Grace",
    "Hedy", "John", "Katherine", "Ken",    "Margaret", "Niklaus", "Radia",   "Tim"};
static const char *const last_names[] = {
    "Archer", "Baker",  "Carter", "Dyer",   "Fisher", "Gardner", "Hunter", "Mason",
    "Miller", "Parker", "Porter", "Sawyer", "Tailor", "Turner",  "Walker", "Weaver"};
static const char *const words[] = {"amber", "birch",  "cedar",  "delta",   "ember", "fjord",
                                    "grove", "harbor", "indigo", "juniper", "kelp",  "lagoon",
                                    "maple", "nectar", "orchid", "pebble"};
static const char *const streets[] = {"High Street", "Station Road", "Church Lane", "Mill Road",
                                      "Park Avenue"};
static const char *const cities[] = {"Ashford", "Brookfield", "Clifton",
                                     "Dunmore", "Easton",     "Fairview"};

#define PICK(r, list) (list)[rng_below((r), ARRAY_LEN(list))]

typedef void random_fn(struct rng *r, struct buf *b);

static void random_first(struct rng *r, struct buf *b)
{
    buf_adds(b, PICK(r, first_names));
}
static void random_last(struct rng *r, struct buf *b)
{
    buf_adds(b, PICK(r, last_names));
}
static void random_name(struct rng *r, struct buf *b)
{
    random_first(r, b);
    buf_addc(b, ' ');
    random_last(r, b);
}
static void random_word(struct rng *r, struct buf *b)
{
    buf_adds(b, PICK(r, words));
}
static void random_user(struct rng *r, struct buf *b)
{
    random_word(r, b);
    buf_addf(b, "%06u", (unsigned)rng_below(r, 1000000));
}
/* example.com takes no mail (RFC 2606). */
static void random_email(struct rng *r, struct buf *b)
{
    random_user(r, b);
    buf_adds(b, "@example.com");
}
static void random_password(struct rng *r, struct buf *b)
{
    static const char set[] = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

    for (int i = 0; i < 12; i++)
        buf_addc(b, set[rng_below(r, sizeof(set) - 1)]);
    buf_addf(b, "!%u", (unsigned)rng_below(r, 10)); /* what most rules for passwords ask for */
}
/* 555-0100 to 555-0199 are not given out. */
static void random_phone(struct rng *r, struct buf *b)
{
    buf_addf(b, "+1 202 555 01%02u", (unsigned)rng_below(r, 100));
}
static void random_number(struct rng *r, struct buf *b)
{
    buf_addf(b, "%u", (unsigned)rng_below(r, 1000000));
}
static void random_street(struct rng *r, struct buf *b)
{
    buf_addf(b, "%u %s", 1 + (unsigned)rng_below(r, 199), PICK(r, streets));
}
static void random_city(struct rng *r, struct buf *b)
{
    buf_adds(b, PICK(r, cities));
}
static void random_postcode(struct rng *r, struct buf *b)
{
    buf_addf(b, "%05u", 10000 + (unsigned)rng_below(r, 89999));
}
static void random_date(struct rng *r, struct buf *b)
{
    buf_addf(b, "%u-%02u-%02u", 1960 + (unsigned)rng_below(r, 45), 1 + (unsigned)rng_below(r, 12),
             1 + (unsigned)rng_below(r, 28));
}
static void random_uuid(struct rng *r, struct buf *b)
{
    uint64_t hi = rng_u64(r), lo = rng_u64(r);

    buf_addf(b, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(hi >> 32),
             (unsigned)(hi >> 16) & 0xffffu, (unsigned)hi & 0xfffu,
             0x8000u | ((unsigned)(lo >> 48) & 0x3fffu),
             (unsigned long long)(lo & 0xffffffffffffull));
}

static const struct {
    const char *name;
    random_fn *fn;
} randoms[] = {
    {"first_name", random_first},  {"last_name", random_last}, {"name", random_name},
    {"word", random_word},         {"username", random_user},  {"email", random_email},
    {"password", random_password}, {"phone", random_phone},    {"number", random_number},
    {"street", random_street},     {"city", random_city},      {"postcode", random_postcode},
    {"date", random_date},         {"uuid", random_uuid},
};

static size_t random_kinds(const char **names)
{
    size_t n = ARRAY_LEN(randoms) < NAMES_MAX ? ARRAY_LEN(randoms) : NAMES_MAX;

    for (size_t i = 0; i < n; i++)
        names[i] = randoms[i].name;
    return n;
}

/* {{random.email}}, and {{random.email.2}} for another one. */
static bool random_text(const struct vars *v, struct str name, struct buf *b)
{
    struct rng r;
    struct str rest = str_skip(name, 7), kind;

    if (!str_starts(name, STR("random.")))
        return false;
    rng_seed(&r, v->seed, rest);
    kind = str_cut(&rest, '.');
    for (size_t i = 0; i < ARRAY_LEN(randoms); i++)
        if (str_eqz(kind, randoms[i].name)) {
            randoms[i].fn(&r, b);
            return true;
        }
    return false;
}

/* --- what there is, for people --- */

static size_t add_names(const char **names, size_t n, const struct json *j)
{
    for (const struct json *c = json_type(j) == JSON_OBJECT ? json_first(j) : NULL;
         c != NULL && n < NAMES_MAX; c = json_next(c))
        names[n++] = json_key(c);
    return n;
}

static void list_members(struct buf *b, const char *title, const struct json *j)
{
    const char *sep = "";

    if (json_type(j) != JSON_OBJECT || json_first(j) == NULL)
        return;
    buf_addf(b, "; %s: ", title);
    for (const struct json *c = json_first(j); c != NULL && b->len < 380;
         c = json_next(c), sep = ", ")
        buf_addf(b, "%s%s", sep, json_key(c));
}

static enum status unknown(const struct vars *v, struct str name, struct err *e)
{
    struct buf b = BUF_INIT((size_t)ERR_TEXT_MAX * 4);
    const char *names[NAMES_MAX], *near;
    struct str first = first_of(name);
    size_t n = add_names(names, 0, v->vars);

    n = add_names(names, n, v->row);
    near = str_suggest(first, names, n);
    buf_addf(&b, "{{%.*s}}: there is no such value", STR_ARG(str_head(name, 80)));
    if (near != NULL && !str_eqz(first, near))
        buf_addf(&b, ", did you mean \"%s\"?", near);
    list_members(&b, "row", v->row);
    list_members(&b, "vars", v->vars);
    list_members(&b, "input", v->input);
    list_members(&b, "member", v->member);
    list_members(&b, "task", v->task);
    err_set(e, STATUS_INVALID, "%s", b.ptr);
    buf_deinit(&b);
    return STATUS_INVALID;
}

/* --- putting in --- */

static void add_value(const struct json *j, struct buf *b)
{
    if (json_type(j) == JSON_STRING)
        buf_adds(b, json_str(j, ""));
    else if (json_type(j) != JSON_NULL)
        json_print(j, 0, b);
}

/* Which quote the script is in after `text`, 0: none. Good enough to tell 'x{{a}}' from x{{a}}. */
static char quote_after(char q, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\\' && q != 0)
            i++;
        else if (q == 0 && (c == '"' || c == '\'' || c == '`'))
            q = c;
        else if (q != 0 && c == q)
            q = 0;
    }
    return q;
}

/* As part of a JavaScript string: no quote, line end or ${ of a value ends or opens anything. */
static void add_escaped(struct str s, struct buf *b)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (c == '\n')
            buf_adds(b, "\\n");
        else if (c == '\r')
            buf_adds(b, "\\r");
        else if (strchr("\\\"'`$", c) != NULL && c != '\0')
            buf_addf(b, "\\%c", c);
        else
            buf_addc(b, c);
    }
}

/* {{n|0}} in a script is the number. */
static bool is_literal(struct str s)
{
    struct json *j = json_parse(s, true, NULL);
    bool is = j != NULL;

    json_destroy(&j);
    return is;
}

static enum status add_variable(const struct vars *v, const struct piece *p, bool script,
                                char quote, struct buf *b, struct err *e)
{
    const struct json *j = lookup(v, p->name);
    struct buf text = BUF_INIT(TEXT_MAX);
    bool is_text = json_type(j) == JSON_STRING, literal = false;

    if (j == NULL && random_text(v, p->name, &text))
        is_text = true;
    else if ((j == NULL || json_type(j) == JSON_NULL) && p->otherwise.ptr != NULL) {
        buf_addstr(&text, p->otherwise);
        literal = is_literal(p->otherwise);
        is_text = true;
    } else if (j == NULL)
        return unknown(v, p->name, e);
    else
        add_value(j, &text);
    if (!script || (literal && quote == 0))
        buf_addstr(b, buf_str(&text));
    else if (quote != 0)
        add_escaped(buf_str(&text), b);
    else if (is_text)
        json_print_str(buf_str(&text), b);
    else
        json_print(j, 0, b);
    buf_deinit(&text);
    return STATUS_OK;
}

/* Without the backslash of a \{{ at its end. */
static void add_plain(struct str s, struct buf *b)
{
    if (str_ends(s, STR("\\{{"))) {
        buf_addstr(b, str_n(s.ptr, s.len - 3));
        buf_adds(b, "{{");
    } else {
        buf_addstr(b, s);
    }
}

enum status vars_text(const struct vars *v, struct arena *a, struct str text, bool script,
                      const char **out, struct err *e)
{
    struct buf b = BUF_INIT(TEXT_MAX);
    struct str rest = text, copy;
    enum status s = STATUS_OK;
    struct piece p;
    char quote = 0;

    while (rest.len > 0 && s == STATUS_OK) {
        if (!take_piece(&rest, &p)) {
            s = fault(text, e);
            break;
        }
        add_plain(p.plain, &b);
        quote = quote_after(quote, p.plain);
        if (p.name.ptr != NULL)
            s = add_variable(v, &p, script, quote, &b, e);
    }
    if (s == STATUS_OK && (s = buf_status(&b)) != STATUS_OK)
        err_set(e, s, "a text with its variables would be larger than %d bytes", TEXT_MAX);
    if (s == STATUS_OK) {
        copy = buf_str(&b);
        *out = arena_strndup(a, copy.ptr, copy.len);
    }
    buf_deinit(&b);
    return s;
}

/* When the text is one variable and nothing else, its value; otherwise a string with vars_text. The
 * caller owns *out. */
static enum status vars_value(const struct vars *v, struct arena *a, struct str text,
                              struct json **out, struct err *e)
{
    struct str rest = text;
    struct piece p;
    const struct json *j;
    const char *z;
    enum status s;

    if (take_piece(&rest, &p) && p.plain.len == 0 && p.name.ptr != NULL && rest.len == 0 &&
        (j = lookup(v, p.name)) != NULL &&
        !(json_type(j) == JSON_NULL && p.otherwise.ptr != NULL)) {
        *out = json_dup(j);
        return STATUS_OK;
    }
    s = vars_text(v, a, text, false, &z, e);
    if (s == STATUS_OK)
        *out = json_new_str(str_from(z));
    return s;
}

enum status vars_tree(const struct vars *v, struct arena *a, const struct json *j, bool typed,
                      struct json **out, struct err *e)
{
    bool is_array = json_type(j) == JSON_ARRAY;
    enum status s = STATUS_OK;
    const char *z;

    if (json_type(j) == JSON_STRING && typed)
        return vars_value(v, a, str_from(json_str(j, "")), out, e);
    if (json_type(j) == JSON_STRING) {
        s = vars_text(v, a, str_from(json_str(j, "")), false, &z, e);
        if (s == STATUS_OK)
            *out = json_new_str(str_from(z));
        return s;
    }
    if (!is_array && json_type(j) != JSON_OBJECT) {
        *out = json_dup(j);
        return STATUS_OK;
    }
    *out = is_array ? json_new_array() : json_new_object();
    for (const struct json *c = json_first(j); c != NULL; c = json_next(c)) {
        struct json *copy;

        s = vars_tree(v, a, c, typed, &copy, e);
        if (s != STATUS_OK)
            break;
        if (is_array)
            json_push(*out, copy);
        else
            json_add(*out, json_key(c), copy);
    }
    if (s != STATUS_OK)
        json_destroy(out);
    return s;
}
