/* Statuses and errors. One table holds every status with its text, HTTP code, exit code and whether
 * a retry can help.
 *
 * Whatever can fail returns `enum status`; what a person should read goes to `struct err`. Callers
 * switch on the status, people read the sentence; nobody compares strings. `struct err *` may be
 * NULL everywhere. */
#ifndef CORE_BASE_ERR_H
#define CORE_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/attr.h"

/* Exit codes of every program (design.md §9). */
enum exit_code {
    EXIT_OK = 0,
    EXIT_INTERNAL = 1,
    EXIT_USAGE = 2,
    EXIT_INPUT = 3,
    EXIT_PARTIAL = 4,
    EXIT_FAILED = 5,
    EXIT_BREAKER = 6,
    EXIT_HANDOFF = 7,
    EXIT_AUDIT = 8,
    EXIT_ENVIRONMENT = 9,
    EXIT_SIGINT = 130,
    EXIT_SIGTERM = 143,
};

/* name, text, HTTP code, exit code, retry can help. The name is what results, receipts and the API
 * show as `code`. */
#define STATUS_TABLE(X)                                                                            \
    X(OK, "ok", 200, EXIT_OK, false)                                                               \
    X(INTERNAL, "internal error", 500, EXIT_INTERNAL, false)                                       \
    X(USAGE, "wrong use of the command line", 400, EXIT_USAGE, false)                              \
    X(INVALID, "input is not valid", 400, EXIT_INPUT, false)                                       \
    X(NOT_FOUND, "not found", 404, EXIT_INPUT, false)                                              \
    X(EXISTS, "exists already", 409, EXIT_INPUT, false)                                            \
    X(TOO_LARGE, "larger than the limit", 413, EXIT_INPUT, false)                                  \
    X(NO_MEMORY, "out of memory", 507, EXIT_ENVIRONMENT, true)                                     \
    X(NO_SPACE, "no space left on the device", 507, EXIT_ENVIRONMENT, false)                       \
    X(IO, "input/output error", 500, EXIT_ENVIRONMENT, false)                                      \
    X(PERMISSION, "permission denied", 403, EXIT_ENVIRONMENT, false)                               \
    X(ENVIRONMENT, "the machine lacks something", 500, EXIT_ENVIRONMENT, false)                    \
    X(UNSUPPORTED, "not supported here", 501, EXIT_ENVIRONMENT, false)                             \
    X(BUSY, "in use by another process", 409, EXIT_ENVIRONMENT, true)                              \
    X(UNAVAILABLE, "does not answer", 503, EXIT_FAILED, true)                                      \
    X(TIMEOUT, "deadline passed", 504, EXIT_FAILED, true)                                          \
    X(CANCELLED, "cancelled", 499, EXIT_FAILED, false)                                             \
    X(SHUTTING_DOWN, "shutting down", 503, EXIT_FAILED, true)                                      \
    X(CLOSED, "connection closed", 502, EXIT_FAILED, true)                                         \
    X(PROTOCOL, "the peer broke the protocol", 502, EXIT_FAILED, true)                             \
    X(CORRUPT, "stored data is damaged", 500, EXIT_ENVIRONMENT, false)                             \
    X(AUDIT_INVALID, "the audit chain does not verify", 500, EXIT_AUDIT, false)                    \
    X(POLICY_DENIED, "refused by policy", 403, EXIT_FAILED, false)                                 \
    X(ROBOTS_DENIED, "refused by robots.txt", 403, EXIT_FAILED, false)                             \
    X(BREAKER_OPEN, "the target's circuit breaker is open", 503, EXIT_BREAKER, false)              \
    X(RATE_LIMITED, "no token of the target within the deadline", 429, EXIT_FAILED, true)          \
    X(HTTP_429, "the target answered 429 Too Many Requests", 429, EXIT_FAILED, true)               \
    X(HTTP_403, "the target answered 403 Forbidden", 403, EXIT_FAILED, true)                       \
    X(HTTP_4XX, "the target answered a client error", 502, EXIT_FAILED, false)                     \
    X(HTTP_5XX, "the target answered a server error", 502, EXIT_FAILED, true)                      \
    X(CAPTCHA_DETECTED, "the target asks for a person", 403, EXIT_FAILED, false)                   \
    X(HANDOFF, "a person is wanted", 202, EXIT_HANDOFF, false)                                     \
    X(PROXY_NONE, "no healthy proxy", 503, EXIT_FAILED, true)                                      \
    X(PROXY_AUTH, "the proxy refused the credentials", 502, EXIT_FAILED, true)                     \
    X(PROXY_FAILED, "the proxy failed", 502, EXIT_FAILED, true)                                    \
    X(NAVIGATION_FAILED, "the page could not be loaded", 502, EXIT_FAILED, true)                   \
    X(ELEMENT_NOT_FOUND, "no element for the selector", 422, EXIT_FAILED, true)                    \
    X(ASSERTION_FAILED, "an assertion of the flow does not hold", 422, EXIT_FAILED, false)         \
    X(SCRIPT_FAILED, "an expression of the flow threw", 422, EXIT_FAILED, false)                   \
    X(PAGE_HUNG, "the page stopped answering", 504, EXIT_FAILED, true)                             \
    X(PAGE_CRASHED, "the page crashed", 502, EXIT_FAILED, true)                                    \
    X(PAGE_OUT_OF_MEMORY, "the page ran out of memory", 502, EXIT_FAILED, true)                    \
    X(BROWSER_GONE, "the browser process ended", 502, EXIT_FAILED, true)                           \
    X(LEASE_LOST, "the lease was lost", 409, EXIT_FAILED, true)                                    \
    X(OUTCOME_UNKNOWN, "an irreversible step may or may not have happened", 500, EXIT_FAILED, false)

enum status {
#define STATUS_ENUM(name, text, http, exit, retry) STATUS_##name,
    STATUS_TABLE(STATUS_ENUM)
#undef STATUS_ENUM
        STATUS_COUNT
};

#define ERR_TEXT_MAX 512

/** What went wrong. Owned by the caller, usually on the stack; holds no pointers to free. */
struct err {
    enum status status;
    int sys_errno; /* errno of the call that failed, 0 when none */
    int peer_code; /* the peer's own (SQLite extended, CDP error, HTTP, SOCKS reply), 0 when none */
    char text[ERR_TEXT_MAX]; /* one sentence with the values that matter; "": status says it all */
};

#define ERR_INIT                                                                                   \
    {                                                                                              \
        .status = STATUS_OK                                                                        \
    }

/** Sets status and sentence; sys_errno and peer_code become 0. Returns `s`, so that `return
 * err_set(e, STATUS_X, ...)` reads well. Text past ERR_TEXT_MAX is cut at a character boundary. `e`
 * may be NULL. */
enum status err_set(struct err *e, enum status s, const char *fmt, ...) printf_like(3, 4);

/** As err_set, keeps `errnum` and appends ": <strerror>". ENOSPC, EDQUOT, ENOMEM, EACCES, EPERM and
 * EROFS choose their own status (NO_SPACE, NO_MEMORY, PERMISSION); any other errno gives `s`.
 * Returns the status chosen. */
enum status err_set_errno(struct err *e, enum status s, int errnum, const char *fmt, ...)
    printf_like(4, 5);

/** Puts "<fmt>: " before the sentence: what was attempted, added on the way up. Returns e->status
 * (INTERNAL if e is NULL). */
enum status err_prefix(struct err *e, const char *fmt, ...) printf_like(2, 3);

void err_clear(struct err *e);

/** The sentence to show: e->text, or the status' own text when that is empty. Borrowed, valid as
 * long as `e`. */
const char *err_text(const struct err *e);

/* The table's columns. `s` out of range is a BUG. Strings are static. */
const char *status_name(enum status s);
const char *status_text(enum status s);
int status_http(enum status s);
int status_exit(enum status s);
bool status_retryable(enum status s);

/** The status named `name` ("HTTP_429"); false when there is none. */
must_check bool status_find(const char *name, enum status *out);

#endif
