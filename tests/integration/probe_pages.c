#include "tests/integration/probe_pages.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/embed.h"
#include "tests/support/testing.h"

#define CORS     "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Headers: *\r\n"
#define NO_STORE "Cache-Control: no-store\r\n"
#define HINTS                                                                                      \
    "Accept-CH: Sec-CH-UA-Full-Version-List, Sec-CH-UA-Platform-Version, Sec-CH-UA-Arch, "         \
    "Sec-CH-UA-Bitness, Sec-CH-UA-Model, Sec-CH-Device-Memory, Device-Memory\r\n"

const char *probe_query(const char *path, const char *name, char *out, size_t size)
{
    const char *p = strchr(path, '?');
    size_t n = strlen(name);

    out[0] = '\0';
    while (p != NULL && *p != '\0') {
        p++;
        if (strncmp(p, name, n) == 0 && p[n] == '=') {
            snprintf(out, size, "%.*s", (int)strcspn(p + n + 1, "&"), p + n + 1);
            return out;
        }
        p = strchr(p, '&');
    }
    return out;
}

static const char *type_of(const char *path)
{
    size_t n = strcspn(path, "?");

    return n > 3 && strncmp(path + n - 3, ".js", 3) == 0 ? "text/javascript"
                                                         : "text/html; charset=utf-8";
}

static bool site_file(const char *path, struct httpd_reply *a)
{
    size_t n = strcspn(path, "?");

    for (size_t i = 0; i < embed_site_len; i++) {
        const struct embed_file *f = &embed_site[i];

        if (strlen(f->path) != n - 1 || strncmp(f->path, path + 1, n - 1) != 0)
            continue;
        a->body = (const char *)f->data;
        a->body_len = f->len;
        a->type = type_of(path);
        a->headers = CORS NO_STORE HINTS "Service-Worker-Allowed: /\r\n";
        return true;
    }
    return false;
}

/* The scripts are read once, before any visit. */
static struct {
    const char *path, *file;
    char *text;
    bool looked;
} scripts[] = {
    {"/npm/fp.js", "node_modules/@fingerprintjs/fingerprintjs/dist/fp.umd.min.js", NULL, false},
    {"/npm/tm.js", "node_modules/@thumbmarkjs/thumbmarkjs/dist/thumbmark.umd.js", NULL, false},
};

__attribute__((constructor)) static void read_scripts(void)
{
    const char *npm = getenv("FLEET_NPM");
    char path[PATH_MAX];

    for (size_t i = 0; npm != NULL && i < sizeof scripts / sizeof *scripts; i++) {
        snprintf(path, sizeof path, "%s/%s", npm, scripts[i].file);
        if (access(path, R_OK) == 0)
            scripts[i].text = test_read_file(path, NULL);
    }
}

__attribute__((destructor)) static void free_scripts(void)
{
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
        free(scripts[i].text);
}

static bool npm_script(const char *path, struct httpd_reply *a)
{
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        if (strcmp(path, scripts[i].path) != 0)
            continue;
        a->type = "text/javascript";
        a->body = scripts[i].text != NULL ? scripts[i].text : "";
        return true;
    }
    return false;
}

static void seen(const char *path, struct httpd_reply *a)
{
    char k[32];

    probe_query(path, "k", k, sizeof k);
    a->headers = CORS NO_STORE;
    a->body = " ";
    a->type = "text/plain";
    if (strcmp(k, "style") == 0)
        a->type = "text/css";
    if (strcmp(k, "script") == 0)
        a->type = "text/javascript";
    if (strcmp(k, "socket") == 0 || strcmp(k, "events") == 0)
        a->status = 400;
}

void probe_page(const struct httpd_request *q, struct httpd_reply *a)
{
    a->status = 200;
    a->body = " ";
    a->headers = CORS NO_STORE;
    if (strcmp(q->method, "OPTIONS") == 0 || strncmp(q->path, "/r?", 3) == 0)
        return;
    if (strncmp(q->path, "/probe/seen", 11) == 0) {
        seen(q->path, a);
        return;
    }
    if (!npm_script(q->path, a) && !site_file(q->path, a))
        a->status = 404;
}
