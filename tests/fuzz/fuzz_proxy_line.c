/* A proxy line, as itself, as JSON and as a list. What parses must have printable parts that hold
 * no credential and parse again. */
#include <stdint.h>
#include <stdlib.h>

#include "proxies/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct proxy *p)
{
    struct str user, password;
    struct buf basic = BUF_INIT(2048);
    struct proxy *again = NULL;

    proxy_credentials(p, &user, &password);
    BUG_ON(user.len > PROXY_CREDENTIAL_MAX || password.len > PROXY_CREDENTIAL_MAX);
    BUG_ON(proxy_port(p) == 0 || !*proxy_host(p) || !*proxy_id(p));
    BUG_ON(proxy_weight(p) == 0 || proxy_weight(p) > PROXY_WEIGHT_MAX);
    BUG_ON(strchr(proxy_label(p), '@') != NULL);
    BUG_ON(proxy_parse(str_from(proxy_label(p)), "again", &again, NULL) != STATUS_OK);
    BUG_ON(strcmp(proxy_label(p), proxy_label(again)) != 0);
    proxy_add_basic(p, &basic);
    BUG_ON(buf_status(&basic) != STATUS_OK);
    buf_deinit(&basic);
    proxy_unref(&again);
}

static void try_json(struct str text)
{
    struct json *j = json_parse(text, false, NULL);
    struct proxy *p = NULL;

    if (j && proxy_from_json(j, "id", &p, NULL) == STATUS_OK)
        check(p);
    proxy_unref(&p);
    json_destroy(&j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    struct proxy_list l = PROXY_LIST_INIT;
    struct buf faults = BUF_INIT(BUF_MAX_FILE);
    struct proxy *p = NULL;
    struct err e = ERR_INIT;

    if (proxy_parse(text, "id", &p, &e) == STATUS_OK)
        check(p);
    proxy_unref(&p);
    try_json(text);
    if (proxy_list_parse(text, "list", &l, &faults, &e) == STATUS_OK) {
        for (size_t i = 0; i < l.n; i++)
            check(l.v[i]);
    }
    proxy_list_deinit(&l);
    buf_deinit(&faults);
    return 0;
}
