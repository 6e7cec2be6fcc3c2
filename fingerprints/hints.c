#include "fingerprints/hints.h"

#include "core/base/str.h"

static void quoted(struct buf *out, const char *text)
{
    buf_addf(out, "\"%s\"", text != NULL ? text : "");
}

static void brands(const struct identity *id, bool full, struct buf *out)
{
    for (size_t i = 0; i < id->n_brands; i++)
        buf_addf(out, "%s\"%s\";v=\"%s\"", i > 0 ? ", " : "", id->brands[i].brand,
                 full ? id->brands[i].version : id->brands[i].major);
}

static void ua(const struct identity *id, struct buf *out)
{
    brands(id, false, out);
}

static void full_version_list(const struct identity *id, struct buf *out)
{
    brands(id, true, out);
}

static void full_version(const struct identity *id, struct buf *out)
{
    quoted(out, id->full_version);
}

static void mobile(const struct identity *id, struct buf *out)
{
    buf_addf(out, "?%d", id->mobile ? 1 : 0);
}

static void wow64(const struct identity *id, struct buf *out)
{
    buf_addf(out, "?%d", id->ch_wow64 ? 1 : 0);
}

static void platform(const struct identity *id, struct buf *out)
{
    quoted(out, id->ch_platform);
}

static void platform_version(const struct identity *id, struct buf *out)
{
    quoted(out, id->ch_platform_version);
}

static void architecture(const struct identity *id, struct buf *out)
{
    quoted(out, id->ch_architecture);
}

static void bitness(const struct identity *id, struct buf *out)
{
    quoted(out, id->ch_bitness);
}

static void model(const struct identity *id, struct buf *out)
{
    quoted(out, id->ch_model);
}

static void form_factors(const struct identity *id, struct buf *out)
{
    if (id->ch_form_factor != NULL && id->ch_form_factor[0] != '\0')
        quoted(out, id->ch_form_factor);
}

static void user_agent(const struct identity *id, struct buf *out)
{
    buf_adds(out, id->user_agent != NULL ? id->user_agent : "");
}

static void accept_language(const struct identity *id, struct buf *out)
{
    buf_adds(out, id->accept_language != NULL ? id->accept_language : "");
}

bool identity_header(const struct identity *id, const char *name, struct buf *out)
{
    static const struct {
        const char *name;
        void (*write)(const struct identity *id, struct buf *out);
    } rows[] = {
        {"sec-ch-ua", ua},
        {"sec-ch-ua-mobile", mobile},
        {"sec-ch-ua-platform", platform},
        {"user-agent", user_agent},
        {"accept-language", accept_language},
        {"sec-ch-ua-full-version-list", full_version_list},
        {"sec-ch-ua-full-version", full_version},
        {"sec-ch-ua-platform-version", platform_version},
        {"sec-ch-ua-arch", architecture},
        {"sec-ch-ua-bitness", bitness},
        {"sec-ch-ua-model", model},
        {"sec-ch-ua-form-factors", form_factors},
        {"sec-ch-ua-wow64", wow64},
    };
    struct str n = str_from(name);
    size_t before = out->len;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq_nocase(n, str_from(rows[i].name)))
            rows[i].write(id, out);
    return out->len > before;
}

unsigned identity_header_place(const char *name)
{
    static const char *const order[] = {
        "sec-ch-device-memory",
        "device-memory",
        "sec-ch-dpr",
        "dpr",
        "sec-ch-viewport-width",
        "viewport-width",
        "sec-ch-viewport-height",
        "rtt",
        "downlink",
        "ect",
        "sec-ch-ua",
        "sec-ch-ua-mobile",
        "sec-ch-ua-full-version",
        "sec-ch-ua-arch",
        "sec-ch-ua-platform",
        "sec-ch-ua-platform-version",
        "sec-ch-ua-model",
        "sec-ch-ua-bitness",
        "sec-ch-ua-wow64",
        "sec-ch-ua-full-version-list",
        "sec-ch-ua-form-factors",
        "sec-ch-prefers-color-scheme",
        "sec-ch-prefers-reduced-motion",
        "sec-ch-prefers-reduced-transparency",
        "upgrade-insecure-requests",
        "user-agent",
        "accept-language", /* of an override; the network adds it last otherwise */
        "accept",
    };
    _Static_assert(ARRAY_LEN(order) == IDENTITY_HEADER_PLACES - 1, "the last place is the rest's");

    for (unsigned i = 0; i < ARRAY_LEN(order); i++)
        if (str_eq_nocase(str_from(name), str_from(order[i])))
            return i;
    return ARRAY_LEN(order);
}
