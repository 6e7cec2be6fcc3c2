#include "browser/gateway/mend.h"

#include "fingerprints/hints.h"

#include <stdio.h>
#include <string.h>

/* --- contexts --- */

enum status mend_context_if_named(const struct policy_scope *sc, struct json *params, struct err *e)
{
    const struct json *id = json_get(params, "browserContextId");

    if (id == NULL || json_type(id) == JSON_NULL)
        return STATUS_OK;
    if (sc->has_context(sc->arg, json_str(id, "")))
        return STATUS_OK;
    return err_set(e, STATUS_NOT_FOUND, "Failed to find browser context for id %.64s",
                   json_str(id, ""));
}

enum status mend_context(const struct policy_scope *sc, struct json *params, struct err *e)
{
    const struct json *id = json_get(params, "browserContextId");

    if (!sc->is_page && (id == NULL || json_type(id) == JSON_NULL || json_str(id, "")[0] == '\0'))
        json_add_str(params, "browserContextId", sc->context);
    return mend_context_if_named(sc, params, e);
}

/* --- addresses --- */

enum status mend_url(const struct policy_scope *sc, struct json *params, struct err *e)
{
    const char *url = json_str(json_get(params, "url"), "");

    (void)sc;
    if (policy_url_ok(url))
        return STATUS_OK;
    return err_set(
        e, STATUS_POLICY_DENIED,
        "url: \"%.200s\" is refused; http, https, data and blob addresses and about:blank "
        "are let through",
        url);
}

/* --- headers --- */

/* Those that tell who asks, and so are the identity's. */
static bool is_of_identity(const char *name)
{
    struct str n = str_from(name);

    return str_eq_nocase(n, STR("user-agent")) || str_eq_nocase(n, STR("accept-language")) ||
           str_starts_nocase(n, STR("sec-ch-"));
}

enum status mend_headers(const struct policy_scope *sc, struct json *params, struct err *e)
{
    struct json *kept = json_new_object();

    (void)e;
    if (sc->identity->honest) {
        json_destroy(&kept);
        return STATUS_OK;
    }
    for (const struct json *h = json_first(json_get(params, "headers")); h != NULL;
         h = json_next(h))
        if (json_key(h) != NULL && !is_of_identity(json_key(h)))
            json_add(kept, json_key(h), json_dup(h));
    json_add(params, "headers", kept);
    return STATUS_OK;
}

/* A list of headers replaces all of the request's: those that are the identity's must stand in it,
 * as it has them. */
static struct json *headers_of_identity(const struct policy_scope *sc, const struct json *list)
{
    struct json *out = json_new_array();

    for (const struct json *h = json_first(list); h != NULL; h = json_next(h)) {
        const char *name = json_str(json_get(h, "name"), "");
        struct buf value = BUF_INIT(4096);

        if (!is_of_identity(name))
            json_push(out, json_dup(h));
        else if (identity_header(sc->identity, name, &value))
            json_push(out, json_add_str(json_add_str(json_new_object(), "name", name), "value",
                                        value.ptr));
        buf_deinit(&value);
    }
    return out;
}

enum status mend_continue(const struct policy_scope *sc, struct json *params, struct err *e)
{
    const struct json *headers = json_get(params, "headers");

    if (json_get(params, "url") != NULL && mend_url(sc, params, e) != STATUS_OK)
        return STATUS_POLICY_DENIED;
    if (headers != NULL && json_type(headers) == JSON_ARRAY && !sc->identity->honest)
        json_add(params, "headers", headers_of_identity(sc, headers));
    return STATUS_OK;
}

/* --- files of this machine --- */

/* The name of an upload, given by itself or by the path that the PUT answered; NULL: none. */
static const char *upload_of(const struct policy_scope *sc, const char *path)
{
    size_t n = sc->uploads_dir != NULL ? strlen(sc->uploads_dir) : 0;
    const char *name = path;

    if (n == 0 || sc->has_upload == NULL)
        return NULL;
    if (strncmp(path, sc->uploads_dir, n) == 0 && path[n] == '/')
        name = path + n + 1;
    if (strchr(name, '/') != NULL || !sc->has_upload(sc->arg, name))
        return NULL;
    return name;
}

/* Names become paths. `object` has them as "files". */
static enum status mend_paths(const struct policy_scope *sc, struct json *object, struct err *e)
{
    struct json *paths;
    struct buf path = BUF_INIT(BUF_MAX_LINE);

    if (json_get(object, "files") == NULL)
        return STATUS_OK;
    paths = json_new_array();
    for (const struct json *f = json_first(json_get(object, "files")); f != NULL;
         f = json_next(f)) {
        const char *name = upload_of(sc, json_str(f, ""));

        if (name == NULL) {
            json_destroy(&paths);
            buf_deinit(&path);
            return err_set(e, STATUS_POLICY_DENIED,
                           "files: \"%.200s\" is not a file of this lease; PUT it to "
                           "/v1/leases/{id}/files/{name} and name the path that is answered",
                           json_str(f, ""));
        }
        buf_reset(&path);
        buf_addf(&path, "%s/%s", sc->uploads_dir, name);
        json_push(paths, json_new_str(buf_str(&path)));
    }
    buf_deinit(&path);
    json_add(object, "files", paths);
    return STATUS_OK;
}

enum status mend_files(const struct policy_scope *sc, struct json *params, struct err *e)
{
    return mend_paths(sc, params, e);
}

enum status mend_drag(const struct policy_scope *sc, struct json *params, struct err *e)
{
    struct json *data = json_take(params, "data");
    enum status s = data != NULL ? mend_paths(sc, data, e) : STATUS_OK;

    if (data != NULL)
        json_add(params, "data", data);
    return s;
}

/* --- downloads --- */

enum status mend_downloads_page(const struct policy_scope *sc, struct json *params, struct err *e)
{
    const char *behavior = json_str(json_get(params, "behavior"), "");

    (void)e;
    json_destroy(&(struct json *){json_take(params, "downloadPath")});
    if (strcmp(behavior, "deny") == 0)
        return STATUS_OK;
    if (sc->downloads_dir == NULL)
        json_add_str(params, "behavior", "deny");
    else
        json_add_str(params, "downloadPath", sc->downloads_dir);
    return STATUS_OK;
}

/* By name they are told apart and found again: what is called for two files of one name may not
 * overwrite the other. */
enum status mend_downloads(const struct policy_scope *sc, struct json *params, struct err *e)
{
    enum status s = mend_context(sc, params, e);

    if (s != STATUS_OK)
        return s;
    if (sc->deliver_to != NULL &&
        strcmp(json_str(json_get(params, "behavior"), ""), "allowAndName") == 0)
        sc->deliver_to(sc->arg, json_str(json_get(params, "downloadPath"), ""));
    if (strcmp(json_str(json_get(params, "behavior"), ""), "allow") == 0)
        json_add_str(params, "behavior", "allowAndName");
    if (strcmp(json_str(json_get(params, "behavior"), ""), "default") == 0)
        json_add_str(params, "behavior", "deny");
    json_add_bool(params, "eventsEnabled", true); /* we count, too */
    return mend_downloads_page(sc, params, e);
}

/* --- the screen --- */

static void copy_number(struct json *to, const struct json *from, const char *name)
{
    const struct json *v = json_get(from, name);

    if (v != NULL)
        json_add(to, name, json_dup(v));
}

/* Width and height of the page are how a script looks at it; density, touch and screen are who it
 * is. 0 stands for "as it is", which is the identity's. */
enum status mend_metrics(const struct policy_scope *sc, struct json *params, struct err *e)
{
    static const char *const own[] = {"deviceScaleFactor", "mobile",    "screenWidth",
                                      "screenHeight",      "positionX", "positionY"};

    (void)e;
    if (sc->identity->honest)
        return STATUS_OK;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        copy_number(params, sc->metrics, own[i]);
    json_destroy(&(struct json *){json_take(params, "screenOrientation")});
    if (json_num(json_get(params, "width"), 0) <= 0)
        copy_number(params, sc->metrics, "width");
    if (json_num(json_get(params, "height"), 0) <= 0)
        copy_number(params, sc->metrics, "height");
    return STATUS_OK;
}

/* The mux sends it as setDeviceMetricsOverride. */
enum status mend_metrics_clear(const struct policy_scope *sc, struct json *params, struct err *e)
{
    (void)e;
    for (const struct json *v = json_first(sc->metrics); v != NULL; v = json_next(v))
        json_add(params, json_key(v), json_dup(v));
    return STATUS_OK;
}
