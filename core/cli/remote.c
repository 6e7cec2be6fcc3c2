#include "core/cli/remote.h"

#include <stdio.h>

#include "core/api/api.h"

enum { TEXTS = 8, TEXT_MAX = 256 };

/* --- calls --- */

bool remote_is_there(const struct cli *c)
{
    cleanup_free char *socket = api_socket_path(cli_state_dir(c));

    return client_is_there(socket);
}

static void tell_errors(const struct json *errors)
{
    for (const struct json *l = json_first(errors); l; l = json_next(l))
        fprintf(stderr, "%s\n", json_str(l, ""));
}

int remote_exchange(struct cli *c, struct client_request q, struct client_reply *r)
{
    cleanup_free char *socket = api_socket_path(cli_state_dir(c));
    struct err e = ERR_INIT;
    enum status s;

    q.socket = socket;
    s = client_call(&q, r, &e);
    if (s == STATUS_OK)
        return EXIT_OK;
    if (json_len(r->errors) > 0) {
        tell_errors(r->errors);
        return status_exit(s);
    }
    /* no word of doctor: it is not the machine that lacks something */
    fprintf(stderr, "%s: %s\n", cli_program(c)->name, err_text(&e));
    return status_exit(s);
}

int remote_call(struct cli *c, const char *method, const char *path, struct str body,
                struct json **body_out)
{
    struct client_reply r;
    struct err e = ERR_INIT;
    int code = remote_exchange(
        c, (struct client_request){.method = method, .path = path, .body = body}, &r);

    if (body_out)
        *body_out = NULL;
    if (code == EXIT_OK && body_out) {
        *body_out = client_json(&r, &e);
        if (!*body_out)
            code = cli_fail(c, &e);
    }
    client_reply_deinit(&r);
    return code;
}

char *remote_path(const char *head, const char *id, const char *tail)
{
    struct buf b = BUF_INIT(BUF_MAX_LINE);

    buf_adds(&b, head);
    buf_add_percent(&b, str_head(str_from(id), 1024));
    buf_adds(&b, tail);
    return buf_take(&b, NULL);
}

/* --- looks --- */

static char *room(void)
{
    static char texts[TEXTS][TEXT_MAX];
    static unsigned next;

    return texts[next++ % TEXTS];
}

static bool has_colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM"); /* NOLINT(concurrency-mt-unsafe) */

    return isatty(STDOUT_FILENO) && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

const char *remote_word(const char *word, int width)
{
    static const struct {
        const char *word, *code;
    } inks[] = {
        {"completed", "\033[32m"}, {"ready", "\033[32m"},      {"closed", "\033[32m"},
        {"failed", "\033[31m"},    {"open", "\033[31m"},       {"partial", "\033[33m"},
        {"cancelled", "\033[2m"},  {"processing", "\033[36m"}, {"draining", "\033[33m"},
        {"paused", "\033[33m"},
    };
    char *out = room();
    const char *code = NULL;

    for (size_t i = 0; has_colour() && i < ARRAY_LEN(inks); i++) {
        if (strcmp(inks[i].word, word) == 0)
            code = inks[i].code;
    }
    snprintf(out, TEXT_MAX, "%s%-*.100s%s", code ? code : "", width, word, code ? "\033[0m" : "");
    return out;
}

const char *remote_age(double ms)
{
    char *out = room();
    double s = ms / 1000;
    unsigned long whole = s < 1e9 ? (unsigned long)s : 1000000000ul;

    if (ms < 1000)
        snprintf(out, TEXT_MAX, "%.0fms", ms);
    else if (s < 60)
        snprintf(out, TEXT_MAX, "%.1fs", s);
    else if (s < 3600)
        snprintf(out, TEXT_MAX, "%lum%02lus", whole / 60, whole % 60);
    else if (s < 86400)
        snprintf(out, TEXT_MAX, "%luh%02lum", whole / 3600, whole % 3600 / 60);
    else
        snprintf(out, TEXT_MAX, "%lud%02luh", whole / 86400, whole % 86400 / 3600);
    return out;
}

const char *remote_cut(const char *text, size_t width)
{
    char *out = room();
    struct str all = str_from(text ? text : "");

    if (width >= TEXT_MAX)
        width = TEXT_MAX - 1;
    if (all.len <= width)
        snprintf(out, TEXT_MAX, "%s", all.ptr);
    else
        snprintf(out, TEXT_MAX, "%.*s...", STR_ARG(str_head(all, width > 3 ? width - 3 : 0)));
    return out;
}
