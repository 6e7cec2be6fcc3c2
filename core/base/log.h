/* Structured log: an event name and typed fields, one line a record, to standard error or a file.
 *
 *   log_info(ctx, "task.leased", LOG_U64("task", id), LOG_STR("target", host));
 *
 * Levels: error: a person must act; warn: degraded, carrying on; info: what an operator follows;
 * debug: why; trace: wire. Repeats of the same event from the same place within a second are
 * counted, not repeated (not on debug and trace); the count comes as "repeated" with the next such
 * record, or in a record of its own once the second is over and anything else is logged.
 * Credentials, cookies and page content have no field kind that prints them: use LOG_SECRET, which
 * prints "[redacted]" and the length.
 *
 * Text:  2026-01-02T03:04:05.678Z warn task.leased task=4 target=shop.example why="lease ran out"
 * JSON:
 * {"at":"2026-01-02T03:04:05.678Z","event":"task.leased","level":"warn","target":"shop.example","task":4}
 * (RFC 8785; integers past 2^53-1 as strings). Of fields with the same name the innermost counts;
 * values past LOG_VALUE_MAX bytes are cut and say so. On a terminal the level is coloured, unless
 * NO_COLOR is set or TERM is "dumb".
 *
 * Any thread may log; the sink is one of the few locks of the program. */
#ifndef CORE_BASE_LOG_H
#define CORE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/str.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE
};
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_kind {
    LOG_KIND_STR,
    LOG_KIND_U64,
    LOG_KIND_I64,
    LOG_KIND_BOOL,
    LOG_KIND_ERR,
    LOG_KIND_SECRET
};
struct log_field {
    const char *name;
    enum log_kind kind;
    struct str s;
    uint64_t u;
};
#define LOG_S(name_, str_) ((struct log_field){name_, LOG_KIND_STR, (str_), 0})
#define LOG_STR(name_, z_) ((struct log_field){name_, LOG_KIND_STR, str_from(z_), 0})
#define LOG_U64(name_, v_) ((struct log_field){name_, LOG_KIND_U64, STR_NONE, (uint64_t)(v_)})
#define LOG_I64(name_, v_)                                                                         \
    ((struct log_field){name_, LOG_KIND_I64, STR_NONE, (uint64_t)(int64_t)(v_)})
#define LOG_BOOL(name_, v_) ((struct log_field){name_, LOG_KIND_BOOL, STR_NONE, (v_) ? 1u : 0u})
/** The sentence of a struct err, under the name "error"; its status' name and errno follow as
 * "status" and "errno". */
#define LOG_ERR(e_)                                                                                \
    ((struct log_field){"error", LOG_KIND_ERR, str_from(err_text(e_)), LOG_ERR_CODE(e_)})
/* status in the low half, errno in the high */
#define LOG_ERR_CODE(e_)        ((uint64_t)(e_)->status | (uint64_t)(unsigned)(e_)->sys_errno << 32)
#define LOG_SECRET(name_, str_) ((struct log_field){name_, LOG_KIND_SECRET, (str_), 0})

/** Fields that every record under this context carries; `parent` and the fields are borrowed for as
 * long as the context is used. */
struct log_ctx {
    const struct log_ctx *parent;
    const struct log_field *fields;
    size_t n;
};

/** At start, before other threads. Default: text, warn and up, to standard error. */
void log_set(enum log_level level, enum log_format format);
/** Where lines go (without a newline, without colour): NULL: standard error. The terminal's
 * progress display puts itself between. Called with the sink's lock held: must not log. */
void log_set_sink(void (*sink)(void *arg, struct str line), void *arg);
/** Writes out the counts of repeats that are still held. At the end of the program. */
void log_flush(void);
/** For tests: whose time records bear; NULL: the system's. */
struct clock;
void log_set_clock(const struct clock *clock);
enum { LOG_VALUE_MAX = 4096, LOG_FIELDS_MAX = 64 };
bool log_enabled(enum log_level level);
/** Use the macros below. `event` and `file` are literals: they are kept. Fields past LOG_FIELDS_MAX
 * are left out. */
void log_record(const struct log_ctx *ctx, enum log_level level, const char *event,
                const char *file, int line, const struct log_field *fields, size_t n);
must_check bool log_level_parse(struct str s, enum log_level *out);

#define LOG_AT(ctx, level, event, ...)                                                             \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field f_[] = {{0}, ##__VA_ARGS__};                                    \
            log_record(ctx, level, event, __FILE__, __LINE__, f_ + 1, ARRAY_LEN(f_) - 1);          \
        }                                                                                          \
    } while (0)
#define log_error(ctx, event, ...) LOG_AT(ctx, LOG_LEVEL_ERROR, event, ##__VA_ARGS__)
#define log_warn(ctx, event, ...)  LOG_AT(ctx, LOG_LEVEL_WARN, event, ##__VA_ARGS__)
#define log_info(ctx, event, ...)  LOG_AT(ctx, LOG_LEVEL_INFO, event, ##__VA_ARGS__)
#define log_debug(ctx, event, ...) LOG_AT(ctx, LOG_LEVEL_DEBUG, event, ##__VA_ARGS__)
#define log_trace(ctx, event, ...) LOG_AT(ctx, LOG_LEVEL_TRACE, event, ##__VA_ARGS__)

#endif
