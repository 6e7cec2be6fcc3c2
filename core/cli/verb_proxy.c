/* fleet proxy: what a list holds, and which of its proxies work. Credentials are never shown. */
#include <sodium.h>
#include <stdio.h>

#include "core/base/file.h"
#include "core/base/loop.h"
#include "core/base/url.h"
#include "core/cli/remote.h"
#include "proxies/probe.h"
#include "proxies/tls.h"

enum {
    PARALLEL = 16,
    PARALLEL_MAX = 256,
    TIMEOUT_MS = 10000,
    TIMEOUT_MAX_MS = 300000,
    LIST_MAX_BYTES = 64 * 1024 * 1024,
};

/* --- reading a list --- */

/* EXIT_OK, or the faults were told. */
static int read_list(const struct cli *c, struct proxy_list *out)
{
    const char *path = cli_arg(c, 0), *name = strcmp(path, "-") == 0 ? "standard input" : path;
    struct buf text = BUF_INIT(LIST_MAX_BYTES), faults = BUF_INIT(BUF_MAX_MESSAGE);
    struct err e = ERR_INIT;
    enum status s = file_read(path, &text, &e);
    int code = EXIT_OK;

    if (s == STATUS_OK)
        s = proxy_list_parse(buf_str(&text), name, out, &faults, &e);
    if (s != STATUS_OK && faults.len > 0) {
        fputs(faults.ptr, stderr);
        code = EXIT_INPUT;
    } else if (s != STATUS_OK) {
        code = cli_fail(c, &e) == EXIT_USAGE ? EXIT_USAGE : EXIT_INPUT;
    }
    if (text.ptr)
        sodium_memzero(text.ptr, text.len);
    buf_deinit(&text);
    buf_deinit(&faults);
    return code;
}

static struct json *proxy_json(const struct proxy *p)
{
    struct json *j = json_new_object();

    json_add_str(j, "id", proxy_id(p));
    json_add_str(j, "proxy", proxy_label(p));
    json_add_str(j, "country", proxy_country(p)[0] ? proxy_country(p) : NULL);
    json_add_num(j, "weight", proxy_weight(p));
    return json_add_bool(j, "credentials", proxy_has_credentials(p));
}

/* --- list --- */

static int list(struct cli *c)
{
    struct proxy_list l = PROXY_LIST_INIT;
    struct json *all = json_new_array();
    int code = read_list(c, &l);

    for (size_t i = 0; i < l.n; i++) {
        const struct proxy *p = l.v[i];

        if (cli_has(c, "json"))
            json_push(all, proxy_json(p));
        else
            printf("%-20s %-40s %-3s %4u%s\n", proxy_id(p), proxy_label(p), proxy_country(p),
                   proxy_weight(p), proxy_has_credentials(p) ? "  with credentials" : "");
    }
    if (code == EXIT_OK && cli_has(c, "json"))
        code = cli_print_json(c, all);
    else if (code == EXIT_OK && l.n == 0)
        printf("%s: no proxies\n", cli_arg(c, 0));
    json_destroy(&all);
    proxy_list_deinit(&l);
    return code;
}

static const struct cli_option list_options[] = {
    {"json", 0, NULL, "print the list as JSON"},
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_proxy_list = {
    .name = "proxy list",
    .summary = "Show the proxies of a list, without their credentials",
    .usage = "FILE",
    .options = list_options,
    .min_args = 1,
    .max_args = 1,
    .details = "FILE has one proxy a line (scheme://user:password@host:port#tag; http, https or\n"
               "socks5), or is a JSON array; - is standard input. Every line that cannot be read\n"
               "is named.",
    .run = list,
};

/* --- check --- */

struct check {
    const struct cli *cli;
    struct loop *loop;
    struct proxy_list list;
    struct probe_opts opts;
    uint64_t parallel;
    struct json *all; /* answers, in order of the list; NULL: printed as they come */
    struct json **slots;
    size_t next, running, good;
};

struct look {
    struct check *check;
    size_t at;
};

static void start_some(struct check *k);

static void told(struct check *k, size_t at, const struct proxy *p, const struct probe_result *r)
{
    struct json *j;

    k->good += r->status == STATUS_OK;
    if (!k->slots) {
        printf("%s  %-20s %-36s ", remote_word(r->status == STATUS_OK ? "ok" : "failed", 6),
               proxy_id(p), proxy_label(p));
        if (r->status == STATUS_OK)
            printf("%5llu ms\n", (unsigned long long)r->latency_ms);
        else
            printf("%s\n", err_text(&r->err));
        fflush(stdout);
        return;
    }
    j = k->slots[at] = proxy_json(p);
    json_add_str(j, "status", r->status == STATUS_OK ? "ok" : status_name(r->status));
    json_add_num(j, "connect_ms", (double)r->connect_ms);
    json_add_num(j, "latency_ms", (double)r->latency_ms);
    json_add(j, "http_status", r->http_status ? json_new_num(r->http_status) : json_new_null());
    json_add_str(j, "error", r->status == STATUS_OK ? NULL : err_text(&r->err));
}

static void on_probe(void *arg, const struct proxy *p, const struct probe_result *r)
{
    struct look *l = arg;
    struct check *k = l->check;

    told(k, l->at, p, r);
    free(l);
    k->running--;
    start_some(k);
    if (k->running == 0)
        loop_stop(k->loop);
}

static void start_some(struct check *k)
{
    while (k->running < k->parallel && k->next < k->list.n) {
        struct probe_opts o = k->opts;
        struct look *l = xcalloc(1, sizeof(*l));
        struct probe_result r = {0};
        struct probe *probe;

        *l = (struct look){k, k->next};
        o.proxy = k->list.v[k->next++];
        k->running++;
        r.status = probe_start(k->loop, &o, on_probe, l, &probe, &r.err);
        if (r.status == STATUS_OK)
            continue;
        k->running--;
        told(k, l->at, o.proxy, &r);
        free(l);
    }
}

static int print_all(struct check *k)
{
    struct json *all = json_new_array();
    int code;

    for (size_t i = 0; i < k->list.n; i++)
        json_push(all, k->slots[i]);
    code = cli_print_json(k->cli, all);
    json_destroy(&all);
    return code;
}

static int look_at_all(struct check *k)
{
    bool json = cli_has(k->cli, "json");
    int code = EXIT_OK;

    if (json)
        k->slots = xcalloc(k->list.n + 1, sizeof(struct json *));
    start_some(k);
    while (k->running > 0)
        loop_run(k->loop);
    if (json)
        code = print_all(k);
    else
        printf("%zu of %zu proxies work\n", k->good, k->list.n);
    free(k->slots);
    if (code != EXIT_OK || k->good == k->list.n)
        return code;
    return k->good > 0 ? EXIT_PARTIAL : EXIT_FAILED;
}

/* A number of an option, within 1..max; false when it was told what is wrong. */
static bool number(const struct cli *c, const char *name, uint64_t max, uint64_t *out)
{
    const char *text = cli_get(c, name);

    if (!text || (str_to_u64(str_from(text), max, out) && *out > 0))
        return true;
    cli_usage(c, "--%s: found \"%s\", expected a number from 1 to %llu", name, text,
              (unsigned long long)max);
    return false;
}

static bool url_is_good(const struct cli *c, const char *text)
{
    struct arena *a = arena_create(NULL, 0);
    struct err e = ERR_INIT;
    struct url url;
    bool good = text && url_parse(a, str_from(text), "http https", &url, &e) == STATUS_OK;

    if (!text)
        cli_usage(c, "proxy check: expected --url: what is to be asked for through each proxy");
    else if (!good)
        cli_usage(c, "--url: %s", err_text(&e));
    arena_destroy(&a);
    return good;
}

static int check(struct cli *c)
{
    struct check k = {.cli = c, .parallel = PARALLEL};
    struct tls_ctx *tls = NULL;
    struct err e = ERR_INIT;
    int code;

    k.opts.url = cli_get(c, "url");
    k.opts.timeout_ms = TIMEOUT_MS;
    if (!url_is_good(c, k.opts.url) || !number(c, "timeout", TIMEOUT_MAX_MS, &k.opts.timeout_ms) ||
        !number(c, "parallel", PARALLEL_MAX, &k.parallel))
        return EXIT_USAGE;
    code = read_list(c, &k.list);
    if (code == EXIT_OK &&
        (loop_create(&k.loop, NULL, &e) != STATUS_OK || tls_ctx_open(NULL, &tls, &e) != STATUS_OK))
        code = cli_fail(c, &e);
    k.opts.tls = tls;
    if (code == EXIT_OK)
        code = look_at_all(&k);
    tls_ctx_close(&tls);
    loop_destroy(&k.loop);
    proxy_list_deinit(&k.list);
    return code;
}

static const struct cli_option check_options[] = {
    {"url", 0, "URL", "what to ask for: http answers with a head, https as far as the tunnel"},
    {"timeout", 0, "MS", "for each proxy; default: 10000"},
    {"parallel", 0, "N", "proxies at a time; default: 16"},
    {"json", 0, NULL, "print the answers as JSON, in order of the list"},
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_proxy_check = {
    .name = "proxy check",
    .summary = "Ask for a URL through each proxy of a list",
    .usage = "FILE",
    .options = check_options,
    .min_args = 1,
    .max_args = 1,
    .details =
        "FILE as for proxy list. The URL should be one that you may ask as often as the list\n"
        "is long. Exit codes: 0 all work, 4 some, 5 none, 2 and 3 for what cannot be read.",
    .run = check,
};
