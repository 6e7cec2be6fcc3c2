/* Rendering: HTML from what was collected. Every value goes through html() or a number's format. */
#include <stdio.h>

#include "core/base/clock.h"
#include "core/base/embed.h"
#include "core/base/file.h"
#include "core/base/loop.h"
#include "core/base/map.h"
#include "core/report/report_internal.h"
#include "fingerprints/identity.h"

struct page {
    struct report *r;
    struct run *run;
    const struct campaign_conf *conf;
    const struct tally *tally;
    const struct run_end *end;
    const char *verified;
    bool verified_ok;
    struct buf *out;
    char *artifacts_base; /* what relative artefacts are relative to, seen from the report: "" or
                             "dir/" */
};

static void raw(struct page *p, const char *z)
{
    buf_adds(p->out, z);
}

static void html(struct page *p, const char *z)
{
    buf_add_html(p->out, str_from(z ? z : ""));
}

static void duration(struct page *p, uint64_t ms)
{
    if (ms < 1000)
        buf_addf(p->out, "%llu ms", (unsigned long long)ms);
    else if (ms < 60000)
        buf_addf(p->out, "%.1f s", (double)ms / 1000);
    else
        buf_addf(p->out, "%llu min %llu s", (unsigned long long)(ms / 60000),
                 (unsigned long long)(ms / 1000 % 60));
}

static void asset(struct page *p, const char *path)
{
    for (size_t i = 0; i < embed_assets_len; i++) {
        if (strcmp(embed_assets[i].path, path) == 0)
            buf_add(p->out, embed_assets[i].data, embed_assets[i].len);
    }
}

static const char *state_class(enum task_state s)
{
    switch (s) {
    case TASK_SUCCEEDED:
        return "ok";
    case TASK_BLOCKED:
        return "warn";
    case TASK_CANCELLED:
        return "soft";
    default:
        return "bad";
    }
}

static void tag(struct page *p, const char *class, const char *text)
{
    buf_addf(p->out, "<span class=\"tag %s\">", class);
    html(p, text);
    raw(p, "</span>");
}

/* --- head --- */

static const char *verdict(const struct page *p, const char **class)
{
    const struct tally *t = p->tally;

    *class = "bad";
    if (p->end->status != STATUS_OK)
        return "stopped early";
    if (t->finished < t->total) {
        *class = "warn";
        return "stopped before the end";
    }
    if (t->done[TASK_SUCCEEDED] == t->total) {
        *class = "ok";
        return "all tasks succeeded";
    }
    if (t->done[TASK_SUCCEEDED] == 0)
        return "no task succeeded";
    *class = "warn";
    return "some tasks did not succeed";
}

static void head(struct page *p)
{
    char when[CLOCK_RFC3339_MAX];
    const char *class, *text = verdict(p, &class);
    uint64_t now = loop_wall_ms(run_loop(p->run));

    raw(p, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
           "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
           "<title>");
    html(p, p->conf->name);
    raw(p, " · Fleet</title><style>");
    asset(p, "core/assets/report.css");
    raw(p, "</style></head><body><main><header><h1>");
    html(p, p->conf->name);
    buf_addf(p->out, "</h1><span class=\"verdict %s\">%s</span><span class=\"when\">", class, text);
    html(p, clock_rfc3339(now - p->end->took_ms, when));
    raw(p, " · ");
    duration(p, p->end->took_ms);
    raw(p, "</span></header>");
    if (p->end->status != STATUS_OK) {
        raw(p, "<p class=\"trouble\">");
        html(p, err_text(&p->end->err));
        raw(p, "</p>");
    }
}

static void card(struct page *p, const char *class, const char *value, const char *name)
{
    buf_addf(p->out, "<div class=\"card\"><b class=\"%s\">%s</b><span>%s</span></div>", class,
             value, name);
}

static void card_num(struct page *p, const char *class, uint64_t v, const char *name)
{
    char text[32];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    card(p, v ? class : "", text, name);
}

static void stack_part(struct page *p, const char *class, uint64_t n, const char *name)
{
    if (n > 0)
        buf_addf(p->out, "<i class=\"%s\" style=\"width:%.2f%%\" title=\"%llu %s\"></i>", class,
                 100.0 * (double)n / (double)p->tally->total, (unsigned long long)n, name);
}

static void cards(struct page *p)
{
    const struct tally *t = p->tally;
    char text[64];

    raw(p, "<div class=\"cards\">");
    snprintf(text, sizeof(text), "%llu / %llu", (unsigned long long)t->finished,
             (unsigned long long)t->total);
    card(p, "", text, "tasks finished");
    card_num(p, "ok", t->done[TASK_SUCCEEDED], "succeeded");
    card_num(p, "bad", t->done[TASK_FAILED] + t->done[TASK_DEAD] + t->done[TASK_UNKNOWN],
             "failed or unknown");
    card_num(p, "warn", t->done[TASK_BLOCKED], "blocked");
    snprintf(text, sizeof(text), "%.1f",
             p->end->took_ms ? (double)t->finished * 1000 / (double)p->end->took_ms : 0);
    card(p, "", text, "tasks a second");
    snprintf(text, sizeof(text), "%llu ms", (unsigned long long)tally_quantile_ms(t, 0.5));
    card(p, "", text, "median duration");
    snprintf(text, sizeof(text), "%llu ms", (unsigned long long)tally_quantile_ms(t, 0.95));
    card(p, "", text, "95 % below");
    card_num(p, "", t->ops, "ops, each gated");
    card_num(p, "", t->retries, "retries");
    card_num(p, "info", t->rotations, "proxies rotated");
    card_num(p, "bad", t->breakers_opened, "breakers opened");
    card_num(p, "", p->end->receipts, "signed receipts");
    raw(p, "</div><div class=\"stack\">");
    stack_part(p, "ok", t->done[TASK_SUCCEEDED], "succeeded");
    stack_part(p, "warn", t->done[TASK_BLOCKED], "blocked");
    stack_part(p, "bad", t->done[TASK_FAILED] + t->done[TASK_UNKNOWN] + t->done[TASK_DEAD],
               "failed");
    stack_part(p, "soft", t->done[TASK_CANCELLED], "cancelled");
    raw(p, "</div>");
}

/* --- tables --- */

static void open_table(struct page *p, const char *title, const char *small, const char *columns)
{
    struct str rest = str_from(columns);

    buf_addf(p->out, "<h2>%s", title);
    if (small)
        buf_addf(p->out, "<small>%s</small>", small);
    raw(p, "</h2><div class=\"wrap\"><table><thead><tr>");
    while (rest.ptr) { /* "#" before a name: numbers */
        struct str name = str_cut(&rest, '|');
        bool number = name.len > 0 && name.ptr[0] == '#';

        buf_addf(p->out, "<th%s>%.*s</th>", number ? " class=\"n\"" : "",
                 STR_ARG(str_skip(name, number)));
    }
    raw(p, "</tr></thead><tbody>");
}

static void close_table(struct page *p)
{
    raw(p, "</tbody></table></div>");
}

static void cell_num(struct page *p, uint64_t v)
{
    buf_addf(p->out, "<td class=\"n\">%llu</td>", (unsigned long long)v);
}

static void target_state(struct page *p, const struct tally_target *t)
{
    if (t->breaker_open)
        tag(p, "bad", "breaker open");
    else if (t->last_slow_until_ms > 0)
        tag(p, "warn", "slowed");
    else if (t->ops > 0)
        tag(p, "ok", "ok");
    else
        tag(p, "", "not visited");
}

static void target_row(struct page *p, const struct tally_target *t)
{
    struct limit_state l;
    bool known =
        limiter_get(run_limiter(p->run), str_from(t->name), loop_now_ms(run_loop(p->run)), &l);

    raw(p, "<tr><td><b>");
    html(p, t->name);
    raw(p, "</b></td><td>");
    target_state(p, t);
    raw(p, "</td>");
    cell_num(p, t->tasks[TASK_SUCCEEDED]);
    cell_num(p, t->tasks[TASK_FAILED] + t->tasks[TASK_UNKNOWN]);
    cell_num(p, t->tasks[TASK_BLOCKED]);
    cell_num(p, t->ops);
    cell_num(p, known ? l.taken : 0);
    buf_addf(p->out, "<td class=\"n\">%g/s</td><td class=\"n\">", known ? l.rate_per_s : 0.0);
    duration(p, t->waited_ms);
    raw(p, "</td>");
    cell_num(p, t->hits_429);
    cell_num(p, t->hits_403);
    cell_num(p, t->hits_captcha);
    raw(p, "</tr>");
}

static void targets(struct page *p)
{
    const struct tally_target *t;
    size_t it = 0, n = 0;

    open_table(p, "Targets", NULL,
               "target|state|#succeeded|#failed|#blocked|#ops|#tokens|#rate|#waited|#429|#403|#"
               "CAPTCHA");
    while ((t = tally_target_next(p->tally, &it)) && n++ < REPORT_TARGETS_MAX)
        target_row(p, t);
    close_table(p);
    if (tally_targets(p->tally) > REPORT_TARGETS_MAX)
        buf_addf(p->out, "<p class=\"soft\">and %zu more</p>",
                 tally_targets(p->tally) - REPORT_TARGETS_MAX);
}

static void refusals(struct page *p)
{
    const struct report_refusal *x;
    size_t it = 0;

    if (map_len(p->r->refusals) == 0)
        return;
    open_table(p, "Blocked, slowed and refused",
               "what a guard held back, and what targets held against us",
               "target|what|#times|why");
    while ((x = map_next(p->r->refusals, &it, NULL))) {
        raw(p, "<tr><td>");
        html(p, x->target);
        raw(p, "</td><td>");
        tag(p, x->status == STATUS_BREAKER_OPEN ? "bad" : "warn", status_name(x->status));
        raw(p, "</td>");
        cell_num(p, x->count);
        raw(p, "<td class=\"err\">");
        html(p, x->why);
        raw(p, "</td></tr>");
    }
    close_table(p);
}

static void proxy_row(struct page *p, const struct roster_info *i)
{
    raw(p, "<tr><td><b>");
    html(p, i->id);
    raw(p, "</b></td><td class=\"mono\">");
    html(p, i->label);
    raw(p, "</td><td>");
    tag(p, i->state == ROSTER_READY ? "ok" : "warn", roster_state_name(i->state));
    raw(p, "</td>");
    cell_num(p, i->picks);
    cell_num(p, i->ok);
    cell_num(p, i->failed);
    buf_addf(p->out, "<td class=\"n\">%llu ms</td>", (unsigned long long)i->latency_ms);
    cell_num(p, i->hits_429);
    cell_num(p, i->hits_403);
    cell_num(p, i->hits_captcha);
    buf_addf(p->out, "<td class=\"n\">%.1f KiB</td><td class=\"n\">%.1f KiB</td><td>",
             (double)i->bytes_in / 1024, (double)i->bytes_out / 1024);
    html(p, i->last_failure == STATUS_OK ? "" : status_name(i->last_failure));
    raw(p, "</td></tr>");
}

static void proxies(struct page *p)
{
    struct roster *r = run_roster(p->run);
    struct roster_info info;

    if (!r)
        return;
    open_table(p, "Proxies", NULL,
               "id|address|health|#picked|#ok|#failed|#latency|#429|#403|#CAPTCHA|#in|#out|last "
               "failure");
    for (size_t i = 0; i < roster_len(r) && i < REPORT_TARGETS_MAX; i++) {
        roster_info(r, i, loop_now_ms(run_loop(p->run)), &info);
        proxy_row(p, &info);
    }
    close_table(p);
}

static void members(struct page *p)
{
    size_t n;
    struct member **v = run_members(p->run, &n);

    open_table(p, "Members", NULL,
               "#member|identity|#tasks|#not ok|locale|time zone|viewport|proxy|user agent");
    for (size_t i = 0; i < n && i < REPORT_MEMBERS_MAX; i++) {
        const struct identity *x = v[i]->identity;

        buf_addf(p->out, "<tr><td class=\"n\">%zu</td><td class=\"mono\">", i);
        html(p, x->id);
        raw(p, "</td>");
        cell_num(p, p->r->members[i].tasks);
        cell_num(p, p->r->members[i].failed);
        raw(p, "<td>");
        html(p, x->languages[0]);
        raw(p, "</td><td>");
        html(p, x->timezone);
        buf_addf(p->out, "</td><td>%u×%u</td><td>", x->viewport_w, x->viewport_h);
        html(p, v[i]->proxy_id[0] ? v[i]->proxy_id : "direct");
        raw(p, "</td><td class=\"err\">");
        html(p, x->user_agent);
        raw(p, "</td></tr>");
    }
    close_table(p);
    if (n > REPORT_MEMBERS_MAX)
        buf_addf(p->out, "<p class=\"soft\">and %zu more</p>", n - REPORT_MEMBERS_MAX);
}

/* --- tasks --- */

static bool is_image(const char *path)
{
    struct str s = str_from(path);

    return str_ends(s, STR(".png")) || str_ends(s, STR(".jpg")) || str_ends(s, STR(".jpeg")) ||
           str_ends(s, STR(".webp"));
}

/* A path as a relative URL: what has a meaning there is escaped, slashes stay. */
static void href(struct page *p, const char *path)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);
    struct str rest = str_from(path);

    while (rest.ptr) {
        buf_add_percent(&b, str_cut(&rest, '/'));
        if (rest.ptr)
            buf_addc(&b, '/');
    }
    html(p, p->artifacts_base);
    buf_add_html(p->out, buf_str(&b));
    buf_deinit(&b);
}

static void thumbs(struct page *p, const struct report_task *t)
{
    raw(p, "<td><div class=\"thumbs\">");
    for (size_t i = 0; i < t->n_artifacts; i++) {
        raw(p, "<a href=\"");
        href(p, t->artifacts[i]);
        raw(p, "\">");
        if (is_image(t->artifacts[i])) {
            raw(p, "<img loading=\"lazy\" alt=\"");
            html(p, t->artifacts[i]);
            raw(p, "\" src=\"");
            href(p, t->artifacts[i]);
            raw(p, "\">");
        } else {
            html(p, t->artifacts[i]);
        }
        raw(p, "</a>");
    }
    raw(p, "</div></td>");
}

static void track(struct page *p, const struct report_task *t)
{
    double all = p->r->last_ms ? (double)p->r->last_ms : 1;
    uint64_t from = t->ended_ms > t->duration_ms ? t->ended_ms - t->duration_ms : 0;
    double left = 100.0 * (double)from / all;
    double wide = 100.0 * (double)t->duration_ms / all;

    raw(p, "<td><div class=\"track\">");
    if (t->ran)
        buf_addf(p->out, "<i class=\"%s\" style=\"left:%.2f%%;width:%.2f%%\"></i>",
                 state_class(t->state), left > 99 ? 99 : left,
                 left + wide > 100 ? 100 - left : wide);
    raw(p, "</div></td>");
}

static void task_error(struct page *p, const struct report_task *t)
{
    raw(p, "<td class=\"err\">");
    if (t->error) {
        raw(p, "<b>");
        html(p, status_name(t->status));
        raw(p, "</b> ");
        html(p, t->error);
    }
    raw(p, "</td>");
}

static bool is_web(const char *url)
{
    return str_starts_nocase(str_from(url), STR("http://")) ||
           str_starts_nocase(str_from(url), STR("https://"));
}

static void task_row(struct page *p, const struct report_task *t)
{
    buf_addf(p->out, "<tr data-s=\"%s\"><td class=\"mono\" title=\"receipt %s\">",
             task_state_name(t->state), t->receipt);
    html(p, t->id);
    raw(p, "</td><td>");
    tag(p, state_class(t->state), task_state_name(t->state));
    raw(p, "</td><td><a class=\"url\" rel=\"noreferrer\" href=\"");
    html(p, is_web(t->url) ? t->url : "#");
    raw(p, "\">");
    html(p, t->url);
    raw(p, "</a></td>");
    if (t->member >= 0)
        cell_num(p, (uint64_t)t->member);
    else
        raw(p, "<td class=\"n\">–</td>");
    cell_num(p, t->attempts);
    raw(p, "<td class=\"n\">");
    if (t->ran)
        duration(p, t->duration_ms);
    raw(p, "</td>");
    track(p, t);
    task_error(p, t);
    thumbs(p, t);
    raw(p, "</tr>");
}

static void filter_button(struct page *p, enum task_state s)
{
    if (p->tally->done[s] > 0)
        buf_addf(p->out, "<button data-s=\"%s\">%s %llu</button>", task_state_name(s),
                 task_state_name(s), (unsigned long long)p->tally->done[s]);
}

static void tasks(struct page *p)
{
    raw(p, "<div id=\"tasks\">");
    buf_addf(p->out, "<h2>Tasks<small id=\"shown\">%zu shown</small></h2>", p->r->n_tasks);
    raw(p, "<div class=\"filter\"><input id=\"find\" placeholder=\"find: URL, error, member\">"
           "<button class=\"on\" data-s=\"\">all</button>");
    for (int s = 0; s < TASK_STATE_COUNT; s++)
        filter_button(p, (enum task_state)s);
    raw(p, "</div><div class=\"wrap\"><table><thead><tr><th>task</th><th>status</th><th>URL</th>"
           "<th class=\"n\">member</th><th class=\"n\">attempts</th><th class=\"n\">duration</th>"
           "<th>when</th><th>error</th><th>artefacts</th></tr></thead><tbody>");
    for (size_t i = 0; i < p->r->n_tasks; i++)
        task_row(p, &p->r->tasks[i]);
    close_table(p);
    if (p->r->tasks_unseen > 0)
        buf_addf(p->out, "<p class=\"soft\">and %llu more: all are in the results file</p>",
                 (unsigned long long)p->r->tasks_unseen);
    raw(p, "</div>");
}

/* --- events and audit --- */

static void events(struct page *p)
{
    if (p->r->n_events == 0)
        return;
    open_table(p, "What happened", NULL, "#at|what|");
    for (size_t i = 0; i < p->r->n_events; i++) {
        const struct report_event *e = &p->r->events[i];

        buf_addf(p->out, "<tr><td class=\"n\">%.1f s</td><td>", (double)e->at_ms / 1000);
        tag(p, e->class, e->what);
        raw(p, "</td><td>");
        html(p, e->text);
        raw(p, "</td></tr>");
    }
    close_table(p);
    if (p->r->events_unseen > 0)
        buf_addf(p->out, "<p class=\"soft\">and %llu more</p>",
                 (unsigned long long)p->r->events_unseen);
}

static void audit_row(struct page *p, const char *name, const char *value)
{
    raw(p, "<tr><td>");
    html(p, name);
    raw(p, "</td><td class=\"mono\">");
    html(p, value);
    raw(p, "</td></tr>");
}

static void audit(struct page *p)
{
    char n[32];

    snprintf(n, sizeof(n), "%llu", (unsigned long long)p->end->receipts);
    open_table(p, "Audit chain",
               "\"fleet audit verify\" checks it again, by itself, on any machine", "what|value");
    raw(p, "<tr><td>verification</td><td>");
    tag(p, p->verified_ok ? "ok" : "bad", p->verified ? p->verified : "not checked");
    raw(p, "</td></tr>");
    audit_row(p, "receipts in the log", n);
    audit_row(p, "opening receipt", p->end->open);
    audit_row(p, "closing receipt", p->end->close[0] ? p->end->close : "not written");
    if (p->conf->audit.sink)
        audit_row(p, "copy", p->conf->audit.sink);
    close_table(p);
}

/* Artefacts are named relative to the results; the report may stand elsewhere. */
static char *artifacts_base(const struct campaign_conf *c)
{
    cleanup_free char *results = file_dirname(c->output.results);
    cleanup_free char *report = file_dirname(c->output.report);
    cleanup_free char *absolute = NULL;
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    if (strcmp(results, report) == 0)
        return xstrdup("");
    absolute = realpath(results[0] ? results : ".", NULL);
    buf_addf(&b, "%s/", absolute ? absolute : results);
    return buf_take(&b, NULL);
}

void report_render(struct report *r, struct run *run, const char *verified, bool ok,
                   struct buf *out)
{
    struct page p = {
        .r = r,
        .run = run,
        .conf = run_conf(run),
        .tally = run_tally(run),
        .end = run_end(run),
        .verified = verified,
        .verified_ok = ok,
        .out = out,
        .artifacts_base = artifacts_base(run_conf(run)),
    };

    head(&p);
    cards(&p);
    targets(&p);
    refusals(&p);
    proxies(&p);
    tasks(&p);
    members(&p);
    events(&p);
    audit(&p);
    raw(&p, "<footer>Written by Fleet.</footer></main><script>");
    asset(&p, "core/assets/report.js");
    raw(&p, "</script></body></html>\n");
    free(p.artifacts_base);
}
