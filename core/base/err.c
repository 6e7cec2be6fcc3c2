#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
    int http;
    int exit;
    bool retryable;
} statuses[] = {
#define STATUS_ROW(name, text, http, exit, retry) {#name, text, http, exit, retry},
    STATUS_TABLE(STATUS_ROW)
#undef STATUS_ROW
};
_Static_assert(ARRAY_LEN(statuses) == STATUS_COUNT, "a row for each status");

/* One byte more than fits, so that a text that was cut is known from one that just fits. */
enum { DRAFT_MAX = ERR_TEXT_MAX + 1 };

/* Copies the draft into e->text; one that is too long loses the character that does not fit whole.
 */
static void set_text(struct err *e, const char *draft)
{
    size_t n = strlen(draft);

    if (n >= ERR_TEXT_MAX) {
        n = ERR_TEXT_MAX - 1;
        while (n > 0 && ((unsigned char)draft[n] & 0xc0) == 0x80)
            n--;
    }
    memcpy(e->text, draft, n);
    e->text[n] = '\0';
}

static void draft_append(char *draft, const char *s)
{
    size_t used = strlen(draft), n = strnlen(s, DRAFT_MAX - 1 - used);

    memcpy(draft + used, s, n);
    draft[used + n] = '\0';
}

enum status err_set(struct err *e, enum status s, const char *fmt, ...)
{
    char draft[DRAFT_MAX]; /* the arguments may point into e->text */
    va_list ap;

    BUG_ON((unsigned)s >= STATUS_COUNT);
    if (!e)
        return s;
    va_start(ap, fmt);
    (void)vsnprintf(draft, sizeof(draft), fmt, ap);
    va_end(ap);
    e->status = s;
    e->sys_errno = 0;
    e->peer_code = 0;
    set_text(e, draft);
    return s;
}

static enum status status_of_errno(int errnum, enum status otherwise)
{
    switch (errnum) {
    case ENOSPC:
    case EDQUOT:
        return STATUS_NO_SPACE;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_PERMISSION;
    default:
        return otherwise;
    }
}

enum status err_set_errno(struct err *e, enum status s, int errnum, const char *fmt, ...)
{
    char draft[DRAFT_MAX], reason[128];
    va_list ap;

    BUG_ON((unsigned)s >= STATUS_COUNT);
    s = status_of_errno(errnum, s);
    if (!e)
        return s;
    va_start(ap, fmt);
    (void)vsnprintf(draft, sizeof(draft), fmt, ap);
    va_end(ap);
    draft_append(draft, ": ");
    draft_append(draft, strerror_r(errnum, reason, sizeof(reason)));
    e->status = s;
    e->sys_errno = errnum;
    e->peer_code = 0;
    set_text(e, draft);
    return s;
}

enum status err_prefix(struct err *e, const char *fmt, ...)
{
    char draft[DRAFT_MAX];
    va_list ap;

    if (!e)
        return STATUS_INTERNAL;
    va_start(ap, fmt);
    (void)vsnprintf(draft, sizeof(draft), fmt, ap);
    va_end(ap);
    draft_append(draft, ": ");
    draft_append(draft, err_text(e));
    set_text(e, draft);
    return e->status;
}

void err_clear(struct err *e)
{
    if (e)
        *e = (struct err)ERR_INIT;
}

const char *err_text(const struct err *e)
{
    return e->text[0] ? e->text : status_text(e->status);
}

const char *status_name(enum status s)
{
    BUG_ON((unsigned)s >= STATUS_COUNT);
    return statuses[s].name;
}

const char *status_text(enum status s)
{
    BUG_ON((unsigned)s >= STATUS_COUNT);
    return statuses[s].text;
}

int status_http(enum status s)
{
    BUG_ON((unsigned)s >= STATUS_COUNT);
    return statuses[s].http;
}

int status_exit(enum status s)
{
    BUG_ON((unsigned)s >= STATUS_COUNT);
    return statuses[s].exit;
}

bool status_retryable(enum status s)
{
    BUG_ON((unsigned)s >= STATUS_COUNT);
    return statuses[s].retryable;
}

bool status_find(const char *name, enum status *out)
{
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        if (strcmp(statuses[i].name, name) == 0) {
            *out = (enum status)i;
            return true;
        }
    }
    return false;
}
