/* A record becomes one list of fields (innermost wins), then a line. Formatting happens outside of
 * the lock; the lock covers the table of repeats and the write, so that lines of different threads
 * do not mix. */
#include "core/base/log.h"
#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/jcs.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_MAX_BYTES = 2 * 1024 * 1024, /* all fields at their longest, every byte escaped */
    BASE_FIELDS = 4,                  /* at, event, level; repeated */
    REPEATS = 64,
    REPEAT_WINDOW_MS = 1000,
    WRITE_WAIT_MS = 200, /* a terminal that takes nothing for so long loses lines */
};
static const uint64_t JSON_INT_MAX = (1ull << 53) - 1;

/* What was last seen at a place in the code. Places that fall on one entry push each other out,
 * which only shows repeats earlier. */
struct repeat {
    const char *file, *event;
    int line;
    enum log_level level;
    uint64_t since_ms, held;
};

/* The program's log: one of the two file statics that style allows. `level`, `format` and `clock`
 * are set before other threads run. */
static struct {
    _Atomic int level;
    enum log_format format;
    const struct clock *clock;
    pthread_mutex_t lock; /* guards what follows */
    void (*sink)(void *arg, struct str line);
    void *sink_arg;
    int coloured; /* -1: not looked yet */
    struct repeat repeats[REPEATS];
} the_log = {.level = LOG_LEVEL_WARN, .lock = PTHREAD_MUTEX_INITIALIZER, .coloured = -1};

static const struct {
    const char *name, *colour;
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", "\033[31m"}, [LOG_LEVEL_WARN] = {"warn", "\033[33m"},
    [LOG_LEVEL_INFO] = {"info", "\033[32m"},   [LOG_LEVEL_DEBUG] = {"debug", "\033[36m"},
    [LOG_LEVEL_TRACE] = {"trace", "\033[2m"},
};

/* --- settings --- */

void log_set(enum log_level level, enum log_format format)
{
    atomic_store(&the_log.level, (int)level);
    the_log.format = format;
}

void log_set_sink(void (*sink)(void *arg, struct str line), void *arg)
{
    pthread_mutex_lock(&the_log.lock);
    the_log.sink = sink;
    the_log.sink_arg = arg;
    pthread_mutex_unlock(&the_log.lock);
}

void log_set_clock(const struct clock *clock)
{
    the_log.clock = clock;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&the_log.level, memory_order_relaxed);
}

bool log_level_parse(struct str s, enum log_level *out)
{
    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (str_eq_nocase(s, str_from(levels[i].name))) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

static const struct clock *log_clock(void)
{
    return the_log.clock ? the_log.clock : clock_system();
}

/* --- gathering fields --- */

struct fields {
    struct log_field v[BASE_FIELDS + LOG_FIELDS_MAX];
    size_t n, max;
};

static void put(struct fields *f, struct log_field field)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->v[i].name, field.name) == 0) {
            f->v[i] = field;
            return;
        }
    if (f->n < f->max)
        f->v[f->n++] = field;
}

static void put_all(struct fields *f, const struct log_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        enum status st;

        if (fields[i].kind != LOG_KIND_ERR) {
            put(f, fields[i]);
            continue;
        }
        st = (enum status)(fields[i].u & UINT32_MAX);
        put(f, LOG_S(fields[i].name, fields[i].s));
        put(f, LOG_STR("status", status_name(st)));
        if (fields[i].u >> 32)
            put(f, LOG_U64("errno", fields[i].u >> 32));
    }
}

static void put_context(struct fields *f, const struct log_ctx *ctx)
{
    if (!ctx)
        return;
    put_context(f, ctx->parent);
    put_all(f, ctx->fields, ctx->n);
}

/* --- values --- */

/* At most LOG_VALUE_MAX bytes, cut between characters. */
static struct str cut(struct str s)
{
    size_t n = LOG_VALUE_MAX;

    if (s.len <= n)
        return s;
    while (n > LOG_VALUE_MAX - 4 && ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
        n--;
    return str_n(s.ptr, n);
}

static bool is_bare(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || strchr("\"=\\", s.ptr[i]))
            return false;
    return s.len > 0;
}

/* Quoted for a terminal: control characters, also those of C1 (U+0080 to U+009F, which a terminal
 * may obey), and bytes that are no UTF-8 become escapes. */
static void add_quoted(struct buf *out, struct str s)
{
    bool utf8 = str_is_utf8(s);

    buf_addc(out, '"');
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        unsigned char next = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;

        if (c == '"' || c == '\\')
            buf_addf(out, "\\%c", c);
        else if (c == '\n')
            buf_adds(out, "\\n");
        else if (c < ' ' || c == 0x7f || (c >= 0x80 && !utf8))
            buf_addf(out, "\\x%02x", c);
        else if (c == 0xc2 && next < 0xa0)
            buf_addf(out, "\\u%04x", (unsigned)s.ptr[++i] & 0xff);
        else
            buf_addc(out, (char)c);
    }
    buf_addc(out, '"');
}

static void add_text_str(struct buf *out, struct str s)
{
    struct str head = cut(s);

    if (!s.ptr)
        buf_addc(out, '-');
    else if (is_bare(head))
        buf_addstr(out, head);
    else
        add_quoted(out, head);
    if (head.len < s.len)
        buf_addf(out, "[%zu-more-bytes]", s.len - head.len);
}

static void add_json_str(struct buf *out, struct str s)
{
    struct str head = cut(s);
    struct buf whole = BUF_INIT(LOG_VALUE_MAX + 64);

    if (!s.ptr) {
        buf_adds(out, "null");
    } else if (head.len == s.len) {
        jcs_add_str(out, s);
    } else {
        buf_addstr(&whole, head);
        buf_addf(&whole, "[%zu more bytes]", s.len - head.len);
        jcs_add_str(out, buf_str(&whole));
    }
    buf_deinit(&whole);
}

static void add_int(struct buf *out, const struct log_field *f, bool json)
{
    bool negative = f->kind == LOG_KIND_I64 && (int64_t)f->u < 0;
    uint64_t magnitude = negative ? 0 - f->u : f->u;
    const char *quote = json && magnitude > JSON_INT_MAX ? "\"" : "";

    buf_addf(out, "%s%s%llu%s", quote, negative ? "-" : "", (unsigned long long)magnitude, quote);
}

static void add_value(struct buf *out, const struct log_field *f, bool json)
{
    switch (f->kind) {
    case LOG_KIND_STR:
    case LOG_KIND_ERR:
        (json ? add_json_str : add_text_str)(out, f->s);
        break;
    case LOG_KIND_U64:
    case LOG_KIND_I64:
        add_int(out, f, json);
        break;
    case LOG_KIND_BOOL:
        buf_adds(out, f->u ? "true" : "false");
        break;
    case LOG_KIND_SECRET:
        buf_addf(out, json ? "\"[redacted]:%zu\"" : "[redacted]:%zu", f->s.len);
        break;
    }
}

/* --- lines --- */

static void add_text_line(struct buf *out, const struct fields *f, enum log_level level,
                          const char *event, const char *at)
{
    buf_addf(out, "%s %s %s", at, levels[level].name, event);
    for (size_t i = 0; i < f->n; i++) {
        buf_addf(out, " %s=", f->v[i].name);
        add_value(out, &f->v[i], false);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct log_field *)a)->name, ((const struct log_field *)b)->name);
}

static void add_json_line(struct buf *out, struct fields *f, enum log_level level,
                          const char *event, const char *at)
{
    f->max = ARRAY_LEN(f->v);
    put(f, LOG_STR("at", at));
    put(f, LOG_STR("event", event));
    put(f, LOG_STR("level", levels[level].name));
    qsort(f->v, f->n, sizeof(f->v[0]), by_name); /* names are ASCII: bytes order as UTF-16 does */
    for (size_t i = 0; i < f->n; i++) {
        buf_addc(out, i ? ',' : '{');
        jcs_add_str(out, str_from(f->v[i].name));
        buf_addc(out, ':');
        add_value(out, &f->v[i], true);
    }
    buf_addc(out, '}');
}

static void add_line(struct buf *out, struct fields *f, enum log_level level, const char *event)
{
    char at[CLOCK_RFC3339_MAX];

    clock_rfc3339(clock_wall_ms(log_clock()), at);
    if (the_log.format == LOG_FORMAT_JSON)
        add_json_line(out, f, level, event, at);
    else
        add_text_line(out, f, level, event, at);
}

/* --- the sink; all below with the lock held --- */

static bool is_coloured(void)
{
    /* the environment is not written to once threads run */
    const char *no_color = getenv("NO_COLOR"); /* NOLINT(concurrency-mt-unsafe) */
    const char *term = getenv("TERM");         /* NOLINT(concurrency-mt-unsafe) */

    if (the_log.coloured < 0)
        the_log.coloured = isatty(STDERR_FILENO) && !(no_color && *no_color) && term && *term &&
                           strcmp(term, "dumb") != 0;
    return the_log.coloured && the_log.format == LOG_FORMAT_TEXT;
}

/* The level of a text line is its second word. */
static void add_coloured(struct buf *out, struct str line, enum log_level level)
{
    size_t from = (size_t)str_chr(line, ' ') + 1;
    size_t n = strlen(levels[level].name);

    buf_add(out, line.ptr, from);
    buf_adds(out, levels[level].colour);
    buf_add(out, line.ptr + from, n);
    buf_adds(out, "\033[0m");
    buf_addstr(out, str_skip(line, from + n));
}

/* To standard error, whatever it is; a log that cannot be written has nobody to tell. */
static void write_stderr(struct str s)
{
    while (s.len > 0) {
        ssize_t n = write(STDERR_FILENO, s.ptr, s.len);
        struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

        if (n >= 0)
            s = str_skip(s, (size_t)n);
        else if (errno != EINTR && (errno != EAGAIN || poll(&p, 1, WRITE_WAIT_MS) <= 0))
            return;
    }
}

static void emit(struct str line, enum log_level level)
{
    struct buf out = BUF_INIT(LINE_MAX_BYTES);

    if (the_log.sink) {
        the_log.sink(the_log.sink_arg, line);
        return;
    }
    if (is_coloured())
        add_coloured(&out, line, level);
    else
        buf_addstr(&out, line);
    buf_addc(&out, '\n');
    write_stderr(buf_str(&out));
    buf_deinit(&out);
}

/* --- repeats --- */

static void emit_repeat(struct repeat *r)
{
    struct buf line = BUF_INIT(LINE_MAX_BYTES);
    struct fields f = {.max = LOG_FIELDS_MAX};

    if (r->held) {
        put(&f, LOG_U64("repeated", r->held));
        add_line(&line, &f, r->level, r->event);
        emit(buf_str(&line), r->level);
    }
    buf_deinit(&line);
    *r = (struct repeat){0};
}

/* Writes the counts whose second is over; all of them when `all`. `except` is left to the record
 * that is being made. */
static void emit_repeats(uint64_t now_ms, const struct repeat *except, bool all)
{
    for (size_t i = 0; i < REPEATS; i++) {
        struct repeat *r = &the_log.repeats[i];

        if (except != NULL && r == except)
            continue;
        if (r->held && (all || now_ms - r->since_ms >= REPEAT_WINDOW_MS))
            emit_repeat(r);
    }
}

/* True when the record is only to be counted. *held: how many were counted since the last that was
 * written. */
static bool count_repeat(enum log_level level, const char *event, const char *file, int line,
                         uint64_t *held)
{
    uint64_t now_ms = clock_mono_ms(log_clock());
    size_t slot = ((uintptr_t)file / 8 * 31 + (uintptr_t)line * 7 + (uintptr_t)event) % REPEATS;
    struct repeat *r = &the_log.repeats[slot];
    bool same =
        r->event && r->line == line && strcmp(r->event, event) == 0 && strcmp(r->file, file) == 0;

    *held = 0;
    emit_repeats(now_ms, same ? r : NULL, false);
    if (same && now_ms - r->since_ms < REPEAT_WINDOW_MS) {
        r->held++;
        return true;
    }
    if (same)
        *held = r->held;
    else
        emit_repeat(r);
    *r = (struct repeat){file, event, line, level, now_ms, 0};
    return false;
}

void log_flush(void)
{
    pthread_mutex_lock(&the_log.lock);
    emit_repeats(0, NULL, true);
    pthread_mutex_unlock(&the_log.lock);
}

void log_record(const struct log_ctx *ctx, enum log_level level, const char *event,
                const char *file, int line, const struct log_field *fields, size_t n)
{
    struct buf out = BUF_INIT(LINE_MAX_BYTES);
    struct fields f = {.max = LOG_FIELDS_MAX};
    uint64_t held = 0;

    if (level <= LOG_LEVEL_INFO) {
        bool counted;

        pthread_mutex_lock(&the_log.lock);
        counted = count_repeat(level, event, file, line, &held);
        pthread_mutex_unlock(&the_log.lock);
        if (counted)
            return;
    }
    put_context(&f, ctx);
    put_all(&f, fields, n);
    f.max++;
    if (held)
        put(&f, LOG_U64("repeated", held));
    add_line(&out, &f, level, event);
    pthread_mutex_lock(&the_log.lock);
    emit(buf_str(&out), level);
    pthread_mutex_unlock(&the_log.lock);
    buf_deinit(&out);
}
