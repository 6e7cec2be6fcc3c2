#include "core/op/outcome.h"

#include "core/base/clock.h"

/* --- what a status says --- */

enum status outcome_classify(enum status run_status, const struct op_observed *seen,
                             bool accept_4xx)
{
    if (seen->from_proxy)
        return run_status == STATUS_OK ? STATUS_PROXY_FAILED : run_status;
    /* Ended by the gate's own side: what was seen until then does not change why. */
    if (run_status == STATUS_CANCELLED || run_status == STATUS_SHUTTING_DOWN)
        return run_status;
    if (seen->block != NULL)
        return STATUS_CAPTCHA_DETECTED;
    if (seen->http_status == 429)
        return STATUS_HTTP_429;
    if (seen->http_status == 403)
        return STATUS_HTTP_403;
    if (run_status != STATUS_OK)
        return run_status;
    if (seen->http_status >= 500)
        return STATUS_HTTP_5XX;
    if (seen->http_status >= 400)
        return accept_4xx ? STATUS_OK : STATUS_HTTP_4XX;
    return STATUS_OK;
}

bool outcome_is_target_failure(enum status s)
{
    switch (s) {
    case STATUS_HTTP_429:
    case STATUS_HTTP_403:
    case STATUS_HTTP_5XX:
    case STATUS_CAPTCHA_DETECTED:
    case STATUS_NAVIGATION_FAILED:
    case STATUS_TIMEOUT:
    case STATUS_PAGE_HUNG:
    case STATUS_PROTOCOL:
    case STATUS_UNAVAILABLE:
    case STATUS_CLOSED:
        return true;
    default:
        return false;
    }
}

bool outcome_is_sample(enum status s, const struct op_observed *seen)
{
    if (seen->from_proxy || (seen->own_fault && s == STATUS_NAVIGATION_FAILED))
        return false;
    return s == STATUS_OK || s == STATUS_HTTP_4XX || outcome_is_target_failure(s);
}

bool outcome_is_reputation_hit(enum status s)
{
    return s == STATUS_HTTP_429 || s == STATUS_HTTP_403 || s == STATUS_CAPTCHA_DETECTED;
}

/* --- Retry-After --- */

enum { RETRY_AFTER_MAX_MS = 86400000 };

int64_t outcome_retry_after_ms(struct str value, uint64_t wall_ms)
{
    char date[64];
    uint64_t seconds;
    int64_t at_s, ms;

    value = str_trim(value);
    if (str_to_u64(value, UINT64_MAX / 1000, &seconds))
        return seconds > RETRY_AFTER_MAX_MS / 1000 ? RETRY_AFTER_MAX_MS : (int64_t)seconds * 1000;
    if (value.len == 0 || value.len >= sizeof date)
        return -1;
    memcpy(date, value.ptr, value.len);
    date[value.len] = '\0';
    if (clock_parse_http_date(date, &at_s) != 0)
        return -1;
    if (at_s <= (int64_t)(wall_ms / 1000))
        return 0;
    if (at_s - (int64_t)(wall_ms / 1000) > RETRY_AFTER_MAX_MS / 1000)
        return RETRY_AFTER_MAX_MS;
    ms = at_s * 1000 - (int64_t)wall_ms;
    return ms < 0 ? 0 : ms;
}
