#include "reaper/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void report_init(struct report *r, uint32_t id, const struct wire_numbers *n)
{
    memset(r, 0, sizeof(*r));
    r->failed.type = WIRE_FAILED;
    r->failed.id = id;
    if (n) {
        r->fail_at = n->fail_at;
        r->fail_errno = (int)n->fail_errno;
    }
}

bool report_fail(struct report *r, enum step s, const char *detail, int errnum)
{
    if (r->failed.step != STEP_NONE)
        return false;
    r->failed.step = s;
    r->failed.sys_errno = errnum;
    snprintf(r->failed.detail, sizeof(r->failed.detail), "%s", detail ? detail : "");
    return false;
}

bool report_is_fault(struct report *r, enum step s, const char *detail)
{
#ifdef FLEET_FAULTS
    r->calls++;
    if (r->fail_at != 0 && r->calls == r->fail_at) {
        (void)report_fail(r, s, detail, r->fail_errno);
        return true;
    }
#else
    (void)r;
    (void)s;
    (void)detail;
#endif
    return false;
}

bool report_rc(struct report *r, enum step s, const char *detail, long rc)
{
    return rc >= 0 || report_fail(r, s, detail, errno);
}

void report_clear(struct report *r)
{
    r->failed.step = STEP_NONE;
    r->failed.sys_errno = 0;
    r->failed.detail[0] = '\0';
}
