#include "core/conf/targets.h"

#include <stdio.h>

#include "core/base/map.h"
#include "core/base/url.h"
#include "core/conf/csv.h"

enum { FOUND_MAX = 120, FLOWS_MAX = 1000 };

/* A list on its way in. */
struct reading {
    struct arena *arena;
    struct arena *scratch; /* of one row */
    const char *name;
    struct target_table *table;
    struct map *hosts; /* host -> struct str *, so that a host that comes often is kept once */
    struct target_row *rows;
    size_t n, cap;
    struct map *flows_by_name; /* -> struct row_flow * */
    struct row_flow *flows;
    size_t n_flows;
    struct json_decode *decode; /* inline lists tell their faults here; else NULL */
    struct buf *faults;
    size_t n_faults;
};

/* --- faults --- */

static void fault(struct reading *r, uint32_t line, const char *fmt, ...) printf_like(3, 4);
static void fault(struct reading *r, uint32_t line, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    if (r->decode) {
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        json_fail(r->decode, NULL, "%s", text);
        return;
    }
    if (r->n_faults++ >= JSON_ERRORS_MAX)
        return;
    if (line > 0)
        buf_addf(r->faults, "%s:%u: ", r->name, line);
    else
        buf_addf(r->faults, "%s: ", r->name);
    va_start(ap, fmt);
    buf_vaddf(r->faults, fmt, ap);
    va_end(ap);
    buf_addc(r->faults, '\n');
}

/* --- rows --- */

static bool host_of(struct arena *scratch, struct str url, struct str *host, struct err *e)
{
    struct url u;

    if (url_parse(scratch, url, "http https", &u, e) != STATUS_OK)
        return false;
    *host = u.host;
    return true;
}

static struct str intern(struct reading *r, struct str host)
{
    struct str *known = map_find(r->hosts, host);

    if (!known) {
        known = arena_new(r->arena, struct str);
        *known = arena_str(r->arena, host);
        map_put(r->hosts, host, known);
    }
    return *known;
}

static struct target_row *row_new(struct reading *r)
{
    if (r->n == r->cap) {
        r->cap = r->cap ? r->cap * 2 : 256;
        r->rows = xreallocarray(r->rows, r->cap, sizeof(*r->rows));
    }
    return &r->rows[r->n++];
}

/* False when the list is full, or was told so. */
static bool has_room(struct reading *r, uint32_t line)
{
    if (r->n < CONF_TARGETS_MAX)
        return true;
    if (r->n == CONF_TARGETS_MAX)
        fault(r, line, "found more than %d targets, expected at most that many", CONF_TARGETS_MAX);
    return false;
}

/* What of a URL that cannot be read may be shown: credentials stand before an "@". */
static struct str shown(struct str url)
{
    if (str_chr(url, '@') >= 0)
        return STR("(not shown: it may hold a password)");
    return str_n(url.ptr, url.len > FOUND_MAX ? FOUND_MAX : url.len);
}

/* --- what rows say of themselves: $flow and $member --- */

static uint32_t flow_id(struct reading *r, struct str name, uint32_t line)
{
    struct row_flow *f = map_find(r->flows_by_name, name);

    if (f)
        return (uint32_t)(f - r->flows) + 1;
    if (r->n_flows == FLOWS_MAX) {
        fault(r, line, "$flow: found more than %d different flows, expected at most that many",
              FLOWS_MAX);
        return 0;
    }
    if (!r->flows)
        r->flows = arena_array(r->arena, struct row_flow, FLOWS_MAX);
    f = &r->flows[r->n_flows++];
    f->name = arena_strndup(r->arena, name.ptr, name.len);
    f->row = (uint32_t)r->n - 1;
    map_put(r->flows_by_name, name, f);
    return (uint32_t)r->n_flows;
}

/* Of the row that was added last. */
static void row_reserved(struct reading *r, struct str flow, struct str member, uint32_t line)
{
    struct target_row *row = &r->rows[r->n - 1];
    uint64_t index = 0;

    if (flow.len > 0)
        row->flow = flow_id(r, flow, line);
    if (member.len == 0)
        return;
    if (str_to_u64(member, CONF_MEMBERS_MAX - 1, &index))
        row->member = (int32_t)index;
    else
        fault(r, line, "$member: found \"%.*s\", expected the index of a member, 0 or more",
              member.len > FOUND_MAX ? FOUND_MAX : (int)member.len, member.ptr);
}

/* Names that begin with "$" are ours. */
static void check_name(struct reading *r, struct str name, uint32_t line)
{
    static const char *const known[] = {"$flow", "$member"};
    const char *near;

    if (name.len == 0 || name.ptr[0] != '$' || str_eqz(name, "$flow") || str_eqz(name, "$member"))
        return;
    near = str_suggest(name, known, ARRAY_LEN(known));
    fault(r, line, "found \"%.*s\", expected %s%s%s", STR_ARG(name),
          near ? "\"" : "$flow or $member: other names that begin with $ are reserved",
          near ? near : "", near ? "\"" : "");
}

static void object_reserved(struct reading *r, const struct json *j, uint32_t line)
{
    const struct json *flow = json_get(j, "$flow"), *member = json_get(j, "$member");
    int64_t index = json_int(member, -1);
    char digits[24] = "";

    for (const struct json *c = json_first(j); c; c = json_next(c))
        check_name(r, str_from(json_key(c)), line);
    if (json_type(flow) != JSON_NULL && json_type(flow) != JSON_STRING)
        fault(r, line, "$flow: found %s, expected the name of a flow file",
              json_type_name(json_type(flow)));
    if (json_type(member) == JSON_NUMBER && index >= 0)
        snprintf(digits, sizeof(digits), "%lld", (long long)index);
    else if (json_type(member) != JSON_NULL && json_type(member) != JSON_STRING)
        fault(r, line, "$member: found %s, expected the index of a member, 0 or more",
              json_type(member) == JSON_NUMBER ? "another number"
                                               : json_type_name(json_type(member)));
    row_reserved(r, str_from(json_str(flow, "")), str_from(json_str(member, digits)), line);
}

/* Takes a row in whose URL is `url`; `text` is kept, not copied. False when it is a fault. */
static bool row_add(struct reading *r, struct str url, struct str text, uint32_t line)
{
    struct err e = ERR_INIT;
    struct target_row *row;
    struct str host, told;
    char *copy;

    url = str_trim(url);
    if (!host_of(r->scratch, url, &host, &e)) {
        fault(r, line, "found \"%.*s\", expected an http or https URL: %s", STR_ARG(shown(url)),
              err_text(&e));
        return false;
    }
    row = row_new(r);
    copy = arena_strndup(r->arena, url.ptr, url.len);
    told = url_shown(r->arena, str_n(copy, url.len));
    *row = (struct target_row){
        .url = copy,
        .told = told.ptr,
        .host = intern(r, host),
        .text = text,
        .table = r->table,
        .line = line,
        .member = -1,
    };
    return true;
}

/* --- the forms --- */

static void read_txt(struct reading *r, struct str text)
{
    struct str rest = text;

    for (uint32_t line = 1; rest.ptr && has_room(r, line); line++) {
        struct str s = str_trim(str_cut(&rest, '\n'));

        if (s.len == 0 || s.ptr[0] == '#')
            continue;
        row_add(r, s, STR_NONE, line);
        arena_reset(r->scratch);
    }
}

static void read_ndjson_row(struct reading *r, struct str s, uint32_t line)
{
    struct err e = ERR_INIT;
    struct json *j = json_parse(s, true, &e);
    const char *url = json_str(json_type(j) == JSON_OBJECT ? json_get(j, "url") : j, NULL);

    if (!j)
        fault(r, line, "%s", err_text(&e));
    else if (!url && json_type(j) == JSON_OBJECT && json_get(j, "url"))
        fault(r, line, "/url: found %s, expected a string",
              json_type_name(json_type(json_get(j, "url"))));
    else if (!url)
        fault(r, line, "found %s, expected a string or an object with \"url\"",
              json_type(j) == JSON_OBJECT ? "an object without it" : json_type_name(json_type(j)));
    else if (row_add(r, str_from(url), s, line))
        object_reserved(r, j, line);
    json_destroy(&j);
}

static void read_ndjson(struct reading *r, struct str text)
{
    struct str rest = text;

    for (uint32_t line = 1; rest.ptr && has_room(r, line); line++) {
        struct str s = str_trim(str_cut(&rest, '\n'));

        if (s.len == 0)
            continue;
        read_ndjson_row(r, s, line);
        arena_reset(r->scratch);
    }
}

/* The fields of a record into v[0..max); SIZE_MAX when it is broken (told). More than `max` are
 * counted. */
static size_t split(struct reading *r, struct str record, uint32_t line, struct str *v, size_t max)
{
    struct err e = ERR_INIT;
    enum status s = STATUS_OK;
    struct str field;
    bool more = true;
    size_t n = 0;

    while (csv_field(&record, &more, &field, &s, &e)) {
        if (n < max)
            v[n] = field;
        n++;
    }
    if (s == STATUS_OK)
        return n;
    fault(r, line, "%s", err_text(&e));
    return SIZE_MAX;
}

static struct str value_of(struct arena *a, struct str field)
{
    char *out = arena_alloc(a, field.len + 1);

    return str_n(out, csv_value(field, out));
}

static bool looks_like_url(struct str s)
{
    return str_starts_nocase(s, STR("http://")) || str_starts_nocase(s, STR("https://"));
}

static bool name_is_new(const struct json_strs *columns, struct str name)
{
    for (size_t i = 0; i < columns->n; i++) {
        if (str_eqz(name, columns->v[i]))
            return false;
    }
    return true;
}

/* What spreadsheets of many countries write: semicolons, or tabs, between columns. */
static bool is_one_of_many(struct str name)
{
    return !looks_like_url(name) && (str_chr(name, ';') >= 0 || str_chr(name, '\t') >= 0);
}

/* False when the header cannot be used (told). */
static bool read_header(struct reading *r, struct str record, uint32_t line)
{
    struct json_strs *columns = &r->table->columns;
    struct str fields[CONF_COLUMNS_MAX];
    size_t n = split(r, record, line, fields, CONF_COLUMNS_MAX);

    if (n == SIZE_MAX)
        return false;
    if (n > CONF_COLUMNS_MAX) {
        fault(r, line, "found %zu columns, expected at most %d", n, CONF_COLUMNS_MAX);
        return false;
    }
    if (n == 1 && is_one_of_many(fields[0])) {
        fault(r, line, "found one column \"%.*s\", expected columns separated by commas",
              fields[0].len > FOUND_MAX ? FOUND_MAX : (int)fields[0].len, fields[0].ptr);
        return false;
    }
    columns->v = arena_array(r->arena, const char *, n);
    r->table->url_column = r->table->flow_column = r->table->member_column = n;
    for (size_t i = 0; i < n; i++) {
        struct str name = str_trim(value_of(r->arena, fields[i]));

        if (looks_like_url(name)) {
            fault(r, line, "found the URL %.*s in the first row, expected the names of columns",
                  name.len > FOUND_MAX ? FOUND_MAX : (int)name.len, name.ptr);
            return false;
        }
        if (!name_is_new(columns, name))
            fault(r, line, "found the column \"%.*s\" twice", STR_ARG(name));
        check_name(r, name, line);
        if (r->table->url_column == n && str_eq_nocase(name, STR("url")))
            r->table->url_column = i;
        if (str_eqz(name, "$flow"))
            r->table->flow_column = i;
        if (str_eqz(name, "$member"))
            r->table->member_column = i;
        columns->v[columns->n++] = arena_strndup(r->arena, name.ptr, name.len);
    }
    return true;
}

/* Which column holds URLs, when none is named so: as the first row has it. */
static size_t find_url_column(struct reading *r, const struct str *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (looks_like_url(str_trim(value_of(r->scratch, fields[i]))))
            return i;
    }
    return n;
}

static struct str column_of(struct reading *r, const struct str *fields, size_t i)
{
    return i < r->table->columns.n ? str_trim(value_of(r->scratch, fields[i])) : STR_NONE;
}

static void read_csv_row(struct reading *r, struct str record, uint32_t line)
{
    const struct target_table *table = r->table;
    struct str fields[CONF_COLUMNS_MAX];
    size_t n = split(r, record, line, fields, CONF_COLUMNS_MAX);

    if (n == SIZE_MAX)
        return;
    if (n != table->columns.n) {
        fault(r, line, "found %zu fields, expected %zu as in the first row", n, table->columns.n);
        return;
    }
    if (table->url_column == n)
        r->table->url_column = find_url_column(r, fields, n);
    if (table->url_column == n) {
        fault(r, line,
              "found no URL, expected a column \"url\" or one that holds http or https "
              "URLs");
        return;
    }
    if (row_add(r, value_of(r->scratch, fields[table->url_column]), record, line))
        row_reserved(r, column_of(r, fields, table->flow_column),
                     column_of(r, fields, table->member_column), line);
}

static void read_csv(struct reading *r, struct str text)
{
    struct err e = ERR_INIT;
    enum status s = STATUS_OK;
    struct str record;
    uint32_t line = 1;
    struct csv csv;

    csv_init(&csv, text);
    if (csv_record(&csv, &record, &line, &s, &e) && !read_header(r, record, line))
        return;
    while (s == STATUS_OK && csv_record(&csv, &record, &line, &s, &e) && has_room(r, line)) {
        read_csv_row(r, record, line);
        arena_reset(r->scratch);
    }
    if (s != STATUS_OK)
        fault(r, line, "%s", err_text(&e));
}

/* --- a whole list --- */

static void begin(struct reading *r, struct arena *a, const char *name, enum target_form form,
                  struct buf *faults)
{
    *r = (struct reading){.arena = a, .name = name, .faults = faults};
    r->scratch = arena_create(NULL, 0);
    r->hosts = map_create();
    r->flows_by_name = map_create();
    r->table = arena_new(a, struct target_table);
    r->table->form = form;
}

static void end(struct reading *r, struct target_list *out)
{
    map_destroy(&r->hosts, NULL);
    map_destroy(&r->flows_by_name, NULL);
    arena_destroy(&r->scratch);
    *out = (struct target_list){0};
    if (r->n_faults == 0 && r->n > 0) {
        arena_on_reset(r->arena, free, r->rows);
        *out = (struct target_list){
            .rows = r->rows, .n = r->n, .flows = r->flows, .n_flows = r->n_flows};
        return;
    }
    free(r->rows);
}

/* Text that can be kept as C strings and JSON. */
static bool is_text(struct reading *r, struct str text)
{
    struct str rest = text;

    if (text.len == 0 || (str_is_utf8(text) && !memchr(text.ptr, '\0', text.len)))
        return true;
    for (uint32_t line = 1; rest.ptr; line++) {
        struct str s = str_cut(&rest, '\n');

        if (!str_is_utf8(s) || (s.len > 0 && memchr(s.ptr, '\0', s.len))) {
            fault(r, line, "found bytes that are no UTF-8 text, expected UTF-8");
            break;
        }
    }
    return false;
}

enum target_form targets_form(const char *name, struct str text)
{
    static const struct {
        struct str ending;
        enum target_form form;
    } endings[] = {
        {{".csv", 4}, TARGETS_CSV},
        {{".ndjson", 7}, TARGETS_NDJSON},
        {{".jsonl", 6}, TARGETS_NDJSON},
        {{".txt", 4}, TARGETS_TXT},
    };
    struct str first, s = str_from(name);

    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        if (s.len > endings[i].ending.len &&
            str_eq_nocase(str_skip(s, s.len - endings[i].ending.len), endings[i].ending))
            return endings[i].form;
    }
    s = str_trim(text);
    first = str_cut(&s, '\n');
    if (first.len > 0 && (first.ptr[0] == '{' || first.ptr[0] == '"'))
        return TARGETS_NDJSON;
    if (first.len > 0 && first.ptr[0] != '#' && !looks_like_url(first) &&
        (str_chr(first, ',') >= 0 || str_eq_nocase(str_trim(first), STR("url"))))
        return TARGETS_CSV;
    return TARGETS_TXT;
}

bool targets_parse(struct arena *a, const char *name, enum target_form form, struct str text,
                   struct target_list *out, struct buf *faults)
{
    static void (*const forms[])(struct reading * r, struct str text) = {
        [TARGETS_TXT] = read_txt,
        [TARGETS_CSV] = read_csv,
        [TARGETS_NDJSON] = read_ndjson,
    };
    struct reading r;

    BUG_ON((unsigned)form >= ARRAY_LEN(forms));
    begin(&r, a, name, form, faults);
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    if (is_text(&r, text)) {
        forms[form](&r, text);
        if (r.n == 0 && r.n_faults == 0)
            fault(&r, 0, "found no target, expected at least one");
    }
    if (r.n_faults > JSON_ERRORS_MAX)
        buf_addf(faults, "%s: and %zu errors more\n", name, r.n_faults - JSON_ERRORS_MAX);
    end(&r, out);
    return r.n_faults == 0;
}

static struct str print_row(struct arena *a, const struct json *j)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    struct str s;

    json_print(j, 0, &text);
    s = arena_str(a, buf_str(&text));
    buf_deinit(&text);
    return s;
}

static void inline_row(struct json_decode *d, struct reading *r, const struct json *j)
{
    bool is_object = json_type(j) == JSON_OBJECT;
    const char *url = json_str(is_object ? json_get(j, "url") : j, NULL);
    struct err e = ERR_INIT;
    struct str host;

    if (!url) {
        json_fail(d, is_object ? "/url" : NULL, "found %s, expected %s",
                  is_object && !json_get(j, "url")
                      ? "nothing"
                      : json_type_name(json_type(is_object ? json_get(j, "url") : j)),
                  is_object ? "a URL" : "a URL or an object with \"url\"");
    } else if (!host_of(r->scratch, str_trim(str_from(url)), &host, &e)) {
        json_fail(d, is_object ? "/url" : NULL, "found \"%.*s\", expected an http or https URL: %s",
                  STR_ARG(shown(str_from(url))), err_text(&e));
    } else {
        if (row_add(r, str_from(url), print_row(r->arena, j), 0) && is_object)
            object_reserved(r, j, 0);
    }
    arena_reset(r->scratch);
}

bool targets_inline(struct json_decode *d, const struct json *array, struct target_list *out)
{
    struct buf none = BUF_INIT(BUF_MAX_LINE);
    size_t before = d->n_errors, i = 0;
    struct reading r;

    if (json_len(array) == 0 || json_len(array) > CONF_TARGETS_MAX)
        return json_fail(d, NULL, "found an array of %zu, expected 1..%d targets", json_len(array),
                         CONF_TARGETS_MAX);
    begin(&r, d->arena, "targets", TARGETS_INLINE, &none);
    r.decode = d;
    for (const struct json *c = json_first(array); c; c = json_next(c), i++) {
        size_t mark = json_enter(d, NULL, i);

        inline_row(d, &r, c);
        json_leave(d, mark);
    }
    r.n_faults = d->n_errors - before;
    end(&r, out);
    buf_deinit(&none);
    return d->n_errors == before;
}

/* --- a row's variables --- */

static struct json *csv_row_json(const struct target_row *row)
{
    const struct target_table *table = row->table;
    cleanup_free char *value = xcalloc(1, row->text.len + 1);
    struct json *j = json_new_object();
    struct str record = row->text, field;
    enum status s = STATUS_OK;
    bool more = true;

    json_add_str(j, "url", row->url);
    for (size_t i = 0; i < table->columns.n && csv_field(&record, &more, &field, &s, NULL); i++) {
        size_t n = csv_value(field, value);

        if (strcmp(table->columns.v[i], "url") != 0)
            json_add(j, table->columns.v[i], json_new_str(str_n(value, n)));
    }
    return j;
}

struct json *target_row_json(const struct target_row *row)
{
    struct json *j = NULL;

    if (row->table->form == TARGETS_CSV)
        return csv_row_json(row);
    if (row->table->form != TARGETS_TXT && str_starts(row->text, STR("{")))
        j = json_parse(row->text, false, NULL);
    if (json_type(j) == JSON_OBJECT)
        return j;
    json_destroy(&j);
    j = json_new_object();
    return json_add_str(j, "url", row->url);
}
