#include "browser/ops_network.h"

#include "browser/acting.h"

#define F(T, m) JF_COMMON(struct T, m)

/* --- page.block --- */

struct block_args {
    struct json_strs hosts, patterns, types;
};

static const char *const block_types[] = {
    "Stylesheet", "Image",    "Media",       "Font", "Script",   "TextTrack", "XHR",
    "Fetch",      "Prefetch", "EventSource", "Ping", "Manifest", "Other",     NULL};

static const struct json_field block_fields[] = {
    {F(block_args, hosts), .kind = JK_STRS, .one_is_array = true, .max = 500,
     .doc = "Hosts; those below them as well."},
    {F(block_args, patterns), .kind = JK_STRS, .one_is_array = true, .max = 500,
     .doc = "URLs, where * stands for anything."},
    {F(block_args, types), .kind = JK_STRS, .one_is_array = true, .max = 20, .names = block_types,
     .doc = "Kinds of requests, DevTools' words: Image, Font, Media, Stylesheet, Script ..."},
};

static const struct json_schema block_schema = {
    .name = "page.block",
    .fields = block_fields,
    .n = ARRAY_LEN(block_fields),
    .size = sizeof(struct block_args),
};

static void add_pattern(struct buf *b, const char *url, const char *type)
{
    if (b->len > 0)
        buf_addc(b, ',');
    buf_adds(b, "{\"urlPattern\":");
    json_print_str(str_from(url), b);
    if (type != NULL)
        buf_addf(b, ",\"resourceType\":\"%s\"", type);
    buf_addc(b, '}');
}

static void add_host(struct op_call *call, struct buf *b, const char *host)
{
    static const char *const shapes[] = {"http://%s/*",     "https://%s/*",    "http://%s:*/*",
                                         "https://%s:*/*",  "http://*.%s/*",   "https://*.%s/*",
                                         "http://*.%s:*/*", "https://*.%s:*/*"};

    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct str shape = str_from(shapes[i]), before = str_cut(&shape, '%');

        add_pattern(b,
                    arena_printf(call->arena, "%.*s%s%.*s", STR_ARG(before), host,
                                 STR_ARG(str_skip(shape, 1))),
                    NULL);
    }
}

static void block_run(struct op_call *call)
{
    const struct block_args *args = call->args;
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;

    for (size_t i = 0; i < args->hosts.n; i++)
        add_host(call, &b, args->hosts.v[i]);
    for (size_t i = 0; i < args->patterns.n; i++)
        add_pattern(&b, args->patterns.v[i], NULL);
    for (size_t i = 0; i < args->types.n; i++)
        add_pattern(&b, "*", args->types.v[i]);
    if (buf_status(&b) == STATUS_OK)
        page_block(session_of(call)->page, buf_str(&b));
    else
        err_set(&e, STATUS_TOO_LARGE, "the patterns are longer than %d bytes", BUF_MAX_FILE);
    buf_deinit(&b);
    op_call_finish(call, e.status, &e, NULL);
}

/* --- page.console --- */

struct console_args {
    const char *name;
    bool save;
};

static const struct json_field console_fields[] = {
    {F(console_args, save), .kind = JK_BOOL,
     .doc = "Into a file among the artifacts instead of the result; default false."},
    {F(console_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the file's name; default \"console\"."},
};

static const struct json_schema console_schema = {
    .name = "page.console",
    .fields = console_fields,
    .n = ARRAY_LEN(console_fields),
    .size = sizeof(struct console_args),
};

static void console_run(struct op_call *call)
{
    const struct console_args *args = call->args;
    struct page_session *s = session_of(call);
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    if (!args->save) {
        page_listen_console(s->page);
        op_call_finish(call, STATUS_OK, NULL,
                       json_add(json_new_object(), "entries",
                                s->console != NULL ? json_dup(s->console) : json_new_array()));
        return;
    }
    (void)acting_begin(call);
    for (const struct json *j = json_first(s->console); j != NULL; j = json_next(j)) {
        json_print(j, 0, &text);
        buf_addc(&text, '\n');
    }
    acting_save(call, buf_status(&text), buf_str(&text), NULL,
                args->name != NULL ? args->name : "console", "ndjson");
    buf_deinit(&text);
}

/* --- page.dialogs --- */

struct dialogs_args {
    bool accept;
    const char *text;
};

static const struct json_field dialogs_fields[] = {
    {F(dialogs_args, accept), .kind = JK_BOOL, .required = true,
     .doc = "true: confirm() and prompt() are agreed to; false, as at first: they are not."},
    {F(dialogs_args, text), .kind = JK_STR, .max = 4096,
     .doc = "What is typed into a prompt(); default what the page proposes."},
};

static const struct json_schema dialogs_schema = {
    .name = "page.dialogs",
    .fields = dialogs_fields,
    .n = ARRAY_LEN(dialogs_fields),
    .size = sizeof(struct dialogs_args),
};

static void dialogs_run(struct op_call *call)
{
    const struct dialogs_args *args = call->args;

    page_dialog_policy(session_of(call)->page, args->accept, args->text);
    op_call_finish(call, STATUS_OK, NULL, NULL);
}

/* --- the rows --- */

const struct op ops_network[] = {
    {"page.block",
     "From now on the page's requests to these hosts, URLs or of these kinds fail; empty: none do.",
     &block_schema, 0, block_run},
    {"page.console",
     "What the page wrote to its console and which errors it met, from the first call on; dialogs "
     "and popups always.",
     &console_schema, OP_HOLDS_RESULT, console_run},
    {"page.dialogs",
     "How the page's confirm() and prompt() are answered from now on; an alert is always closed, a "
     "page may always be left.",
     &dialogs_schema, 0, dialogs_run},
};
const size_t n_ops_network = ARRAY_LEN(ops_network);
