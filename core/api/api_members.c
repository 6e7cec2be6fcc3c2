/* Members: who they are. */
#include "core/api/api_internal.h"

#include "core/fleet/member.h"

/* By its index, or by the identity that it has. */
static struct member *find(struct engine *e, const char *name)
{
    size_t n;
    struct member **v = engine_members(e, &n);
    uint64_t index;

    if (n > 0 && str_to_u64(str_from(name), n - 1, &index))
        return v[index];
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i]->identity->id, name) == 0)
            return v[i];
    return NULL;
}

static void on_rotated(void *arg, enum status s, const char *from, const char *to,
                       const unsigned char *leaf, const struct err *e)
{
    struct exchange *x = arg;
    char hex[AUDIT_HEX_MAX];
    struct json *j;

    if (s != STATUS_OK) {
        exchange_answer_err(x, e);
        return;
    }
    j = json_add_str(json_new_object(), "from", from);
    json_add_str(j, "to", to);
    json_add_str(j, "receipt", leaf ? audit_hex(leaf, hex) : NULL);
    exchange_answer_json(x, to ? 200 : 202, j);
}

void api_member_rotate(struct exchange *x, void *arg)
{
    struct api *a = arg;
    const char *name = exchange_param(x, "member");
    struct member *m;
    struct err e = ERR_INIT;

    if (!api_no_body(x))
        return;
    m = find(a->engine, name);
    if (m) {
        engine_rotate(a->engine, m, on_rotated, x);
        return;
    }
    err_set(&e, STATUS_NOT_FOUND, "no member is or has the identity %s", name);
    exchange_answer_err(x, &e);
}
