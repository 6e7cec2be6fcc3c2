#include "browser/demo/promise.h"

#include <stdio.h>
#include <sys/stat.h>

#include "browser/demo/site.h"
#include "core/base/file.h"
#include "core/base/map.h"

enum { ITEMS = 60, MEMBERS = 8, ARTICLES = 8, RESULTS_MAX = 64 * 1024 * 1024 };

/* --- what the run tells --- */

static bool is_site(struct str target, enum site_kind k)
{
    return str_eqz(target, site_address(k));
}

static void on_breaker(void *arg, struct str target, bool open)
{
    struct promises *p = arg;

    p->breakers += open && is_site(target, SITE_GUARDED);
}

static void on_slowed(void *arg, struct str target, uint64_t until_ms, const char *why)
{
    struct promises *p = arg;
    uint64_t now = loop_now_ms(p->loop);

    (void)why;
    if (!is_site(target, SITE_BUSY))
        return;
    p->slowed++;
    if (until_ms > now && until_ms - now > p->slowed_ms)
        p->slowed_ms = until_ms - now;
}

static void on_rotated(void *arg, const struct member *m, const char *from, const char *to,
                       enum status why)
{
    struct promises *p = arg;

    if (why == STATUS_OK)
        return; /* chosen anew for a task, nobody's reputation was at stake */
    if (p->rotated++ == 0)
        snprintf(p->rotated_text, sizeof p->rotated_text, "member %u went from %s to %s after %s",
                 m->index, from, to, status_name(why));
}

static void on_event(void *arg, const char *what, const struct member *m, const char *text)
{
    struct promises *p = arg;

    (void)m;
    if (strcmp(what, "page killed") != 0)
        return;
    p->killed++;
    snprintf(p->killed_text, sizeof p->killed_text, "%s", text != NULL ? text : "");
}

struct run_watch promises_watch(struct promises *p, struct loop *loop)
{
    p->loop = loop;
    return (struct run_watch){
        .on_breaker = on_breaker,
        .on_slowed = on_slowed,
        .on_rotated = on_rotated,
        .on_event = on_event,
        .arg = p,
    };
}

/* --- what the results say --- */

/* Sums over results.ndjson, by site. */
struct seen {
    const char *dir;
    struct {
        unsigned tasks, ok, blocked, retried;
        unsigned captcha, timeout, hung;
    } site[SITE_COUNT];
    struct map *skus, *joined; /* SKU; identity that joined */
    unsigned pictures;
};

static bool is_png(const char *path)
{
    static const char magic[] = "\x89PNG\r\n\x1a\n";
    char got[8];
    FILE *f = fopen(path, "rb");
    bool is = f != NULL && fread(got, 1, sizeof got, f) == sizeof got &&
              memcmp(got, magic, sizeof got) == 0;

    if (f != NULL)
        fclose(f);
    return is;
}

static void see_items(struct seen *s, const struct json *output)
{
    const struct json *items = json_get(output, "items");

    for (const struct json *i = json_first(items); i != NULL; i = json_next(i)) {
        int64_t sku = json_int(json_get(i, "sku"), -1);

        if (sku > 0 && json_str(json_get(i, "name"), "")[0] != '\0' &&
            json_num(json_get(i, "price"), -1) > 0)
            map_put_u64(s->skus, (uint64_t)sku, s);
    }
}

static void see_joined(struct seen *s, const struct json *result)
{
    const struct json *output = json_get(result, "output");

    if (json_int(json_get(output, "membership"), 0) > 0)
        map_put_u64(s->joined, (uint64_t)json_int(json_get(result, "member"), 0) + 1, s);
}

static void see_pictures(struct seen *s, const struct json *artifacts)
{
    for (const struct json *a = json_first(artifacts); a != NULL; a = json_next(a)) {
        cleanup_free char *path = file_join(s->dir, json_str(a, ""));

        s->pictures += is_png(path);
    }
}

static void see_result(struct seen *s, const struct json *j)
{
    const char *status = json_str(json_get(j, "status"), "");
    const char *code = json_str(json_at(j, "error", "code", NULL), "");
    bool ok = strcmp(status, "succeeded") == 0;
    size_t k = 0;

    while (k < SITE_COUNT &&
           strcmp(json_str(json_get(j, "target"), ""), site_address((enum site_kind)k)) != 0)
        k++;
    if (k == SITE_COUNT)
        return;
    s->site[k].tasks++;
    s->site[k].ok += ok;
    s->site[k].blocked += strcmp(status, "blocked") == 0;
    s->site[k].retried += json_int(json_get(j, "attempts"), 1) > 1;
    s->site[k].captcha += strcmp(code, "CAPTCHA_DETECTED") == 0;
    s->site[k].timeout += strcmp(code, "TIMEOUT") == 0;
    s->site[k].hung += strcmp(code, "PAGE_HUNG") == 0;
    if (k == SITE_SHOP && ok)
        see_items(s, json_get(j, "output"));
    if (k == SITE_CLUB && ok)
        see_joined(s, j);
    if (k == SITE_NEWS && ok)
        see_pictures(s, json_get(j, "artifacts"));
}

/* Calls fn for each line of a file of JSON lines. */
static enum status each_line(const char *dir, const char *name,
                             void (*fn)(void *arg, struct json *j), void *arg, struct err *e)
{
    cleanup_free char *path = file_join(dir, name);
    struct buf text = BUF_INIT(RESULTS_MAX);
    enum status st = file_read(path, &text, e);
    struct str rest = buf_str(&text);
    unsigned line = 0;

    while (st == STATUS_OK && rest.ptr != NULL && rest.len > 0) {
        struct str one = str_cut(&rest, '\n');
        struct json *j;

        line++;
        if (one.len == 0)
            continue;
        j = json_parse(one, false, e);
        if (j == NULL)
            st = err_prefix(e, "%s:%u", path, line);
        else
            fn(arg, j);
        json_destroy(&j);
    }
    buf_deinit(&text);
    return st;
}

static void on_result(void *arg, struct json *j)
{
    see_result(arg, j);
}

/* --- what the receipts say --- */

struct receipts {
    unsigned all;
    bool closed;
};

static void on_receipt(void *arg, struct json *j)
{
    struct receipts *r = arg;
    const char *kind = json_str(json_get(j, "kind"), "");

    r->all++;
    r->closed = r->closed || strcmp(kind, "campaign.close") == 0;
}

/* --- the list --- */

void promises_add(struct promises *p, const char *name, bool kept, const char *fmt, ...)
{
    struct promise *one = &p->v[p->n++];
    va_list ap;

    BUG_ON(p->n > PROMISES_MAX);
    one->name = name;
    one->kept = kept;
    va_start(ap, fmt);
    vsnprintf(one->text, sizeof one->text, fmt, ap);
    va_end(ap);
}

static void judge(struct promises *p, const struct seen *s)
{
    size_t skus = map_len(s->skus), joined = map_len(s->joined);

    promises_add(p, "catalogue", skus == ITEMS,
                 "%zu of %d items read from pages that JavaScript draws", skus, ITEMS);
    promises_add(p, "sign-up", joined == MEMBERS && s->site[SITE_CLUB].ok == MEMBERS,
                 "%zu of %d members took the three steps and hold a confirmation", joined, MEMBERS);
    promises_add(p, "articles", s->pictures >= ARTICLES && s->site[SITE_NEWS].ok == ARTICLES,
                 "%u articles read, %u pictures of them", s->site[SITE_NEWS].ok, s->pictures);
    promises_add(
        p, "429 slows",
        p->slowed > 0 && s->site[SITE_BUSY].retried > 0 &&
            s->site[SITE_BUSY].ok == s->site[SITE_BUSY].tasks,
        "busy answered 429 (%u): left alone for %.1f s, %u tasks repeated, all %u went well",
        p->slowed, (double)p->slowed_ms / 1000, s->site[SITE_BUSY].retried, s->site[SITE_BUSY].ok);
    promises_add(p, "breaker", p->breakers == 1 && s->site[SITE_GUARDED].blocked > 0,
                 "guarded asked %u times for a person: its breaker opened, %u tasks were not sent",
                 s->site[SITE_GUARDED].captcha, s->site[SITE_GUARDED].blocked);
    promises_add(p, "rotation", p->rotated > 0, "%u times; first: %s", p->rotated, p->rotated_text);
    promises_add(p, "endless page", s->site[SITE_SLOW].timeout > 0,
                 "the page that never finishes ended with TIMEOUT");
    promises_add(p, "hung page", p->killed > 0 && s->site[SITE_STUCK].hung > 0,
                 "killed %u times, ended with PAGE_HUNG", p->killed);
}

enum status promises_check(struct promises *p, const char *dir, struct err *e)
{
    struct seen s = {.dir = dir, .skus = map_create(), .joined = map_create()};
    struct receipts r = {0};
    enum status st = each_line(dir, "results.ndjson", on_result, &s, e);

    if (st == STATUS_OK) {
        judge(p, &s);
        st = each_line(dir, "audit.ndjson", on_receipt, &r, e);
    }
    if (st == STATUS_OK)
        promises_add(p, "receipts", r.closed, "%u, the last of them closes the campaign", r.all);
    map_destroy(&s.skus, NULL);
    map_destroy(&s.joined, NULL);
    return st;
}

bool promises_all_kept(const struct promises *p)
{
    for (size_t i = 0; i < p->n; i++)
        if (!p->v[i].kept)
            return false;
    return p->n > 0;
}

void promises_print(const struct promises *p)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    bool colour = isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0') &&
                  (term == NULL || strcmp(term, "dumb") != 0);

    for (size_t i = 0; i < p->n; i++) {
        const struct promise *one = &p->v[i];

        printf("  %s%-6s%s %-13s %s\n",
               !colour     ? ""
               : one->kept ? "\033[32m"
                           : "\033[1;31m",
               one->kept ? "ok" : "MISSED", colour ? "\033[0m" : "", one->name, one->text);
    }
    fflush(stdout);
}
