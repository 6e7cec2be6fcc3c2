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
    if (seen->from_proxy)
        return false;
    return s == STATUS_OK || s == STATUS_HTTP_4XX || outcome_is_target_failure(s);
}

bool outcome_is_reputation_hit(enum status s)
{
    return s == STATUS_HTTP_429 || s == STATUS_HTTP_403 || s == STATUS_CAPTCHA_DETECTED;
}

/* --- block pages and CAPTCHA widgets --- */

/* What is looked at: the URL of the document, its title, its visible text, the addresses of its
 * frames and scripts. A rule holds when its needle is found there (without case) and, where
 * `status` is given, the document came with that HTTP status. Words that an ordinary page may use
 * stand only in titles, or with a status. */
enum look { LOOK_URL, LOOK_TITLE, LOOK_TEXT, LOOK_FRAMES };

struct block_rule {
    const char *name;
    enum look look;
    struct str needle;
    int status; /* 0: any */
};

static const struct block_rule block_rules[] = {
    {"recaptcha", LOOK_FRAMES, STR("/recaptcha/api2/bframe"), 0},
    {"recaptcha", LOOK_FRAMES, STR("/recaptcha/api2/anchor"), 0},
    {"recaptcha", LOOK_FRAMES, STR("/recaptcha/enterprise/anchor"), 0},
    {"google-sorry", LOOK_URL, STR("google.com/sorry/"), 0},
    {"hcaptcha", LOOK_FRAMES, STR("hcaptcha.com/captcha/"), 0},
    {"hcaptcha", LOOK_FRAMES, STR("newassets.hcaptcha.com"), 0},
    {"turnstile", LOOK_FRAMES, STR("challenges.cloudflare.com"), 0},
    {"cloudflare-challenge", LOOK_FRAMES, STR("/cdn-cgi/challenge-platform/"), 403},
    {"cloudflare-challenge", LOOK_FRAMES, STR("/cdn-cgi/challenge-platform/h/"), 503},
    {"cloudflare-challenge", LOOK_TITLE, STR("just a moment..."), 0},
    {"cloudflare-block", LOOK_TITLE, STR("attention required! | cloudflare"), 0},
    {"arkose", LOOK_FRAMES, STR("arkoselabs.com/"), 0},
    {"arkose", LOOK_FRAMES, STR("funcaptcha.com/"), 0},
    {"geetest", LOOK_FRAMES, STR("geetest.com/"), 0},
    {"datadome", LOOK_FRAMES, STR("captcha-delivery.com"), 0},
    {"perimeterx", LOOK_FRAMES, STR("captcha.px-cdn.net"), 0},
    {"perimeterx", LOOK_TEXT, STR("press & hold to confirm you are"), 0},
    {"aws-waf", LOOK_FRAMES, STR(".token.awswaf.com"), 405},
    {"aws-waf", LOOK_FRAMES, STR(".captcha.awswaf.com"), 0},
    {"incapsula", LOOK_FRAMES, STR("/_incapsula_resource"), 0},
    {"incapsula", LOOK_TEXT, STR("incapsula incident id"), 0},
    {"captcha-page", LOOK_URL, STR("/captcha"), 403},
    {"captcha-page", LOOK_URL, STR("/captcha"), 503},
    {"captcha-page", LOOK_TITLE, STR("are you a robot"), 0},
    {"captcha-page", LOOK_TITLE, STR("are you human"), 0},
    {"captcha-page", LOOK_TITLE, STR("robot check"), 0},
    {"captcha-page", LOOK_TITLE, STR("human verification"), 0},
    {"captcha-page", LOOK_TITLE, STR("verify you are human"), 0},
    {"captcha-page", LOOK_TITLE, STR("security check"), 0},
    {"captcha-page", LOOK_TEXT, STR("verify you are human"), 0},
    {"captcha-page", LOOK_TEXT, STR("verify that you are human"), 0},
    {"captcha-page", LOOK_TEXT, STR("confirm you are not a robot"), 0},
    {"captcha-page", LOOK_TEXT, STR("prove you are not a robot"), 0},
    {"captcha-page", LOOK_TEXT, STR("unusual traffic from your computer network"), 0},
    {"access-denied", LOOK_TITLE, STR("access denied"), 0},
    {"access-denied", LOOK_TITLE, STR("access to this page has been denied"), 0},
};

static bool contains_nocase(struct str hay, struct str needle)
{
    unsigned char first, folded;

    if (needle.len == 0 || hay.len < needle.len)
        return false;
    first = (unsigned char)needle.ptr[0];
    folded = first >= 'a' && first <= 'z' ? (unsigned char)(first - 32)
                                          : first; /* needles are lower case */
    for (size_t i = 0; i + needle.len <= hay.len; i++) {
        unsigned char c = (unsigned char)hay.ptr[i];

        if ((c == first || c == folded) && str_eq_nocase(str_n(hay.ptr + i, needle.len), needle))
            return true;
    }
    return false;
}

const char *outcome_block_page(const struct outcome_page *p)
{
    const struct str looked[] = {
        [LOOK_URL] = p->url,
        [LOOK_TITLE] = p->title,
        [LOOK_TEXT] = p->text,
        [LOOK_FRAMES] = p->frames,
    };

    for (size_t i = 0; i < ARRAY_LEN(block_rules); i++) {
        const struct block_rule *r = &block_rules[i];

        if ((r->status == 0 || r->status == p->http_status) &&
            contains_nocase(looked[r->look], r->needle))
            return r->name;
    }
    return NULL;
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
