/* What proxy.c, proxy_line.c, proxy_json.c and proxy_list.c share. */
#ifndef PROXIES_PROXY_INTERNAL_H
#define PROXIES_PROXY_INTERNAL_H

#include "proxies/proxy.h"
#include "proxies/vault.h"

/** What was read of a proxy, before it becomes one. Texts point into the input. */
struct proxy_draft {
    enum proxy_scheme scheme;
    bool has_credentials;
    bool encoded; /* user and password are percent-encoded */
    struct str user, password;
    struct str host; /* without brackets */
    uint16_t port;   /* 0: the scheme's own */
    struct str tag;  /* empty: none */
    uint32_t weight;
    char country[3];
};

void proxy_draft_init(struct proxy_draft *d);
must_check enum status proxy_read_scheme(struct str s, enum proxy_scheme *out, struct err *e);
/** `quotable`: the text may be shown in an error (it cannot hold a credential). */
must_check enum status proxy_read_host(struct str s, bool quotable, struct proxy_draft *d,
                                       struct err *e);
must_check enum status proxy_read_tag(struct str s, struct proxy_draft *d, struct err *e);
must_check enum status proxy_read_country(struct str s, struct proxy_draft *d, struct err *e);
must_check enum status proxy_read_line(struct str line, struct proxy_draft *d, struct err *e);
must_check enum status proxy_read_json(const struct json *j, struct proxy_draft *d, struct err *e);
/** Checks the credentials and makes the proxy; they go into `v` when it has room, into a vault of
 * their own otherwise. `v` may be NULL. */
must_check enum status proxy_build(const struct proxy_draft *d, const char *id, struct vault *v,
                                   struct proxy **out, struct err *e);

#endif
