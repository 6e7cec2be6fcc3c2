#include "core/guard/robots.h"

#include "core/base/buf.h"
#include "core/base/list.h"
#include "core/base/map.h"

/* --- rules of one file (RFC 9309) --- */

enum {
    ROBOTS_MAX_BYTES = 500 * 1024, /* §2.5 */
    ROBOTS_MAX_RULES = 20000,
    CRAWL_DELAY_MAX_S = 60,
};

struct rule {
    struct str pattern; /* percent-normalised; points into robots_rules.text */
    bool allow;
};

struct robots_rules {
    struct arena *arena;
    struct rule *rules;
    size_t n, cap;
    uint64_t crawl_delay_ms;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("-._~", c) != NULL;
}

/* §2.2.2: octets outside ASCII are compared percent-encoded, and %XX of an unreserved character
 * decoded. */
static struct str normalise(struct arena *a, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, s.len * 3 + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        int hi = -1, lo = -1;

        if (c == '%' && i + 2 < s.len) {
            hi = hex_digit(s.ptr[i + 1]);
            lo = hex_digit(s.ptr[i + 2]);
        }
        if (hi >= 0 && lo >= 0) {
            unsigned char v = (unsigned char)(hi * 16 + lo);

            i += 2;
            if (v != 0 && is_unreserved(v)) {
                out[n++] = (char)v;
                continue;
            }
            c = v;
        } else if (c > 0x20 && c < 0x7f) {
            out[n++] = (char)c;
            continue;
        }
        out[n++] = '%';
        out[n++] = digits[c >> 4];
        out[n++] = digits[c & 15];
    }
    return str_n(out, n);
}

enum line_kind { LINE_OTHER, LINE_AGENT, LINE_ALLOW, LINE_DISALLOW, LINE_DELAY };

static enum line_kind line_read(struct str line, struct str *value)
{
    static const struct {
        const char *name;
        enum line_kind kind;
    } names[] = {
        {"user-agent", LINE_AGENT},  {"useragent", LINE_AGENT},   {"allow", LINE_ALLOW},
        {"disallow", LINE_DISALLOW}, {"crawl-delay", LINE_DELAY},
    };
    ptrdiff_t hash = str_chr(line, '#');
    struct str key;

    if (hash >= 0)
        line.len = (size_t)hash;
    *value = line;
    key = str_trim(str_cut(value, ':'));
    if (value->ptr == NULL)
        return LINE_OTHER;
    *value = str_trim(*value);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_nocase(key, str_from(names[i].name)))
            return names[i].kind;
    return LINE_OTHER;
}

/* The product token is the longest run of [A-Za-z_-] at the start (§2.2.1). */
static bool agent_matches(struct str value, struct str product)
{
    size_t n = 0;

    while (n < value.len && (is_unreserved((unsigned char)value.ptr[n]) || value.ptr[n] == '_') &&
           !(value.ptr[n] >= '0' && value.ptr[n] <= '9') && value.ptr[n] != '.' &&
           value.ptr[n] != '~')
        n++;
    return str_eq_nocase(str_n(value.ptr, n), product);
}

static void rule_add(struct robots_rules *r, struct str pattern, bool allow)
{
    if (pattern.len == 0 || r->n == ROBOTS_MAX_RULES)
        return;
    if (r->n == r->cap) {
        struct rule *v = arena_array(r->arena, struct rule, r->cap ? r->cap * 2 : 16);

        if (r->n > 0)
            memcpy(v, r->rules, r->n * sizeof *v);
        r->cap = r->cap ? r->cap * 2 : 16;
        r->rules = v;
    }
    r->rules[r->n++] = (struct rule){normalise(r->arena, pattern), allow};
}

static void delay_set(struct robots_rules *r, struct str value)
{
    double s;

    if (str_to_double(value, &s) && s > 0)
        r->crawl_delay_ms = (uint64_t)((s < CRAWL_DELAY_MAX_S ? s : CRAWL_DELAY_MAX_S) * 1000);
}

/* One pass over the file, taking the groups that `wanted` names: all of them together count
 * (§2.2.1). */
static bool groups_take(struct robots_rules *r, struct str text, struct str wanted, bool star)
{
    bool in_agents = false, mine = false, found = false;

    while (text.ptr != NULL) {
        struct str value, line = str_cut(&text, '\n');
        enum line_kind k = line_read(line, &value);

        if (k == LINE_OTHER)
            continue;
        if (k == LINE_AGENT) {
            bool hit = star ? str_eqz(value, "*") : agent_matches(value, wanted);

            mine = (in_agents && mine) || hit;
            in_agents = true;
            found |= hit;
            continue;
        }
        in_agents = false;
        if (!mine)
            continue;
        if (k == LINE_DELAY)
            delay_set(r, value);
        else
            rule_add(r, value, k == LINE_ALLOW);
    }
    return found;
}

struct robots_rules *robots_parse(struct str text, struct str product)
{
    struct arena *a = arena_create(NULL, 0);
    struct robots_rules *r = arena_new(a, struct robots_rules);
    char *copy;

    r->arena = a;
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    if (text.len > ROBOTS_MAX_BYTES)
        text.len = ROBOTS_MAX_BYTES;
    /* Lines end in LF, CRLF or CR alone (§2.2). */
    copy = arena_strndup(a, text.ptr != NULL ? text.ptr : "", text.len);
    for (size_t i = 0; i < text.len; i++)
        if (copy[i] == '\r')
            copy[i] = '\n';
    text.ptr = copy;
    if (!groups_take(r, text, product, false))
        groups_take(r, text, product, true);
    return r;
}

void robots_rules_destroy(struct robots_rules **r)
{
    if (*r != NULL) {
        struct arena *a = (*r)->arena;

        arena_destroy(&a);
    }
    *r = NULL;
}

/* `*` matches any run, `$` at the end of the pattern the end of the path; otherwise a prefix is
 * enough. Linear: on a mismatch only the last star moves. */
static bool pattern_matches(struct str p, struct str s)
{
    bool anchored = p.len > 0 && p.ptr[p.len - 1] == '$';
    size_t pi = 0, si = 0, star = SIZE_MAX, star_s = 0;

    if (anchored)
        p.len--;
    for (;;) {
        if (pi == p.len) {
            if (!anchored || si == s.len)
                return true;
        } else if (p.ptr[pi] == '*') {
            star = ++pi;
            star_s = si;
            continue;
        } else if (si < s.len && p.ptr[pi] == s.ptr[si]) {
            pi++;
            si++;
            continue;
        }
        if (star == SIZE_MAX || star_s >= s.len)
            return false;
        pi = star;
        si = ++star_s;
    }
}

bool robots_rules_allow(const struct robots_rules *r, struct str path)
{
    struct arena *a;
    const struct rule *best = NULL;
    bool allow;

    if (str_eqz(path, "/robots.txt")) /* §2.2.2: implicitly allowed */
        return true;
    a = arena_create(NULL, 0);
    path = normalise(a, path);
    for (size_t i = 0; i < r->n; i++) {
        const struct rule *x = &r->rules[i];

        if (!pattern_matches(x->pattern, path))
            continue;
        if (best == NULL || x->pattern.len > best->pattern.len ||
            (x->pattern.len == best->pattern.len && x->allow))
            best = x;
    }
    allow = best == NULL || best->allow;
    arena_destroy(&a);
    return allow;
}

uint64_t robots_rules_crawl_delay_ms(const struct robots_rules *r)
{
    return r->crawl_delay_ms;
}

/* --- cache ---
 *
 * An entry a scheme, host and port: empty -> fetching -> known, and back to fetching when it is
 * stale. Those who ask meanwhile wait in the entry, each with its own deadline; the answer is given
 * through loop_defer, so never from inside robots_ask. */

enum {
    FRESH_MS = 24 * 3600 * 1000, /* §2.4 */
    FRESH_4XX_MS = 3600 * 1000,
    RETRY_MS = 60 * 1000,
    FETCH_MS = 20 * 1000,
};

enum entry_state { ENTRY_EMPTY, ENTRY_FETCHING, ENTRY_KNOWN };

struct entry {
    struct robots *robots;
    char *authority; /* "https://shop.example.org:8443" */
    enum entry_state state;
    struct robots_rules *rules; /* NULL: everything is allowed, or unreachable */
    bool unreachable;
    uint64_t fresh_until_ms;
    struct list waits;
};

struct robots {
    struct loop *loop;
    robots_fetch_fn *fetch;
    void *fetch_arg;
    struct map *entries;
};

struct robots_wait {
    struct list link;
    struct entry *entry; /* NULL once answered */
    struct robots *robots;
    char *path;
    struct loop_timer timer;
    robots_answer_fn *done; /* NULL: cancelled */
    void *arg;
    bool posted;
    enum robots_answer answer;
    uint64_t delay_ms;
    const char *why;
};

struct robots *robots_create(struct loop *l, robots_fetch_fn *fetch, void *fetch_arg)
{
    struct robots *r = xcalloc(1, sizeof *r);

    r->loop = l;
    r->fetch = fetch;
    r->fetch_arg = fetch_arg;
    r->entries = map_create();
    return r;
}

static void entry_free(void *p)
{
    struct entry *x = p;

    BUG_ON(!list_empty(&x->waits));
    robots_rules_destroy(&x->rules);
    free(x->authority);
    free(x);
}

void robots_destroy(struct robots **r)
{
    if (*r == NULL)
        return;
    map_destroy(&(*r)->entries, entry_free);
    free(*r);
    *r = NULL;
}

static void wait_free(struct robots_wait *w)
{
    loop_timer_stop(&w->timer);
    free(w->path);
    free(w);
}

static void wait_tell(void *arg)
{
    struct robots_wait *w = arg;

    if (w->done != NULL)
        w->done(w->arg, w->answer, w->delay_ms, w->why);
    wait_free(w);
}

static void wait_answer(struct robots_wait *w, enum robots_answer answer, uint64_t delay_ms,
                        const char *why)
{
    list_remove(&w->link);
    loop_timer_stop(&w->timer);
    w->entry = NULL;
    w->answer = answer;
    w->delay_ms = delay_ms;
    w->why = why;
    w->posted = true;
    loop_defer(w->robots->loop, wait_tell, w);
}

static void wait_answer_from(struct robots_wait *w, const struct entry *x)
{
    if (x->unreachable)
        wait_answer(w, ROBOTS_UNREACHABLE, 0, "robots.txt cannot be fetched");
    else if (x->rules == NULL)
        wait_answer(w, ROBOTS_ALLOW, 0, NULL);
    else if (robots_rules_allow(x->rules, str_from(w->path)))
        wait_answer(w, ROBOTS_ALLOW, x->rules->crawl_delay_ms, NULL);
    else
        wait_answer(w, ROBOTS_DENY, x->rules->crawl_delay_ms, "disallowed by robots.txt");
}

static void wait_timeout(struct loop_timer *t)
{
    wait_answer(container_of(t, struct robots_wait, timer), ROBOTS_UNREACHABLE, 0,
                "robots.txt did not come within the deadline");
}

/* §2.3.1: 4xx: everything may be visited; 5xx and unreachable: nothing, until it answers again. */
static void entry_fetched(void *arg, int http_status, struct str body)
{
    struct entry *x = arg;
    uint64_t now = loop_now_ms(x->robots->loop);

    robots_rules_destroy(&x->rules);
    x->state = http_status < 0 ? ENTRY_EMPTY : ENTRY_KNOWN;
    x->unreachable = false;
    if (http_status >= 200 && http_status < 300) {
        x->rules = robots_parse(body, STR("fleet"));
        x->fresh_until_ms = now + FRESH_MS;
    } else if (http_status >= 300 && http_status < 500 && http_status != 429) {
        x->fresh_until_ms = now + FRESH_4XX_MS;
    } else {
        x->unreachable = true;
        x->fresh_until_ms = now + RETRY_MS;
    }
    list_for_each_safe (it, &x->waits)
        wait_answer_from(list_entry(it, struct robots_wait, link), x);
}

static struct entry *entry_get(struct robots *r, struct str authority)
{
    struct entry *x = map_find(r->entries, authority);

    if (x == NULL) {
        x = xcalloc(1, sizeof *x);
        x->robots = r;
        x->authority = xcalloc(1, authority.len + 1);
        memcpy(x->authority, authority.ptr, authority.len);
        list_init(&x->waits);
        map_put(r->entries, authority, x);
    }
    return x;
}

static void entry_fetch(struct entry *x, struct member *m, uint64_t deadline_ms,
                        const unsigned char *parent)
{
    struct buf url = BUF_INIT(URL_MAX);
    uint64_t until = loop_now_ms(x->robots->loop) + FETCH_MS;

    x->state = ENTRY_FETCHING;
    buf_addf(&url, "%s/robots.txt", x->authority);
    /* Others may come to wait for this fetch: it is not cut short by the first asker's own
     * deadline, only never longer than FETCH_MS. */
    x->robots->fetch(x->robots->fetch_arg, m, buf_str(&url),
                     deadline_ms > until ? deadline_ms : until, parent, entry_fetched, x);
    buf_deinit(&url);
}

struct robots_wait *robots_ask(struct robots *r, struct member *m, const struct url *url,
                               uint64_t deadline_ms, const unsigned char *parent,
                               robots_answer_fn *done, void *arg)
{
    struct robots_wait *w = xcalloc(1, sizeof *w);
    struct buf authority = BUF_INIT(URL_MAX);
    uint64_t now = loop_now_ms(r->loop);
    bool v6 = str_chr(url->host, ':') >= 0;
    struct entry *x;

    buf_addf(&authority, "%.*s://%s%.*s%s", STR_ARG(url->scheme), v6 ? "[" : "", STR_ARG(url->host),
             v6 ? "]" : "");
    if (url->has_port)
        buf_addf(&authority, ":%u", url->port);
    x = entry_get(r, buf_str(&authority));
    buf_deinit(&authority);
    w->robots = r;
    w->entry = x;
    w->done = done;
    w->arg = arg;
    w->path = xcalloc(1, url->path.len + 1);
    memcpy(w->path, url->path.ptr, url->path.len);
    list_push(&x->waits, &w->link);
    if (x->state == ENTRY_KNOWN && now < x->fresh_until_ms) {
        wait_answer_from(w, x);
        return w;
    }
    loop_timer_start(r->loop, &w->timer, deadline_ms > now ? deadline_ms - now : 0, wait_timeout);
    if (x->state != ENTRY_FETCHING)
        entry_fetch(x, m, deadline_ms, parent);
    return w;
}

void robots_cancel(struct robots_wait **wp)
{
    struct robots_wait *w = *wp;

    *wp = NULL;
    if (w == NULL)
        return;
    w->done = NULL;
    if (w->posted)
        return; /* wait_tell frees it */
    list_remove(&w->link);
    wait_free(w);
}
