/* Texts of a campaign, its own and those it names: from the disk or from where they are kept. */
#include "core/base/file.h"
#include "core/conf/comments.h"
#include "core/conf/conf_internal.h"

static void free_tree(void *p)
{
    struct json *j = p;

    json_destroy(&j);
}

const char *campaign_join(const struct load *l, const char *rel)
{
    cleanup_free char *path = file_join(l->conf->dir, rel);

    return arena_strdup(l->d->arena, path);
}

void campaign_files_add(struct arena *a, struct campaign_files *files, const char *path,
                        struct str text)
{
    if (files->n == files->cap) {
        size_t cap = files->cap ? files->cap * 2 : 8;
        struct campaign_text *v = arena_array(a, struct campaign_text, cap);

        if (files->n > 0)
            memcpy(v, files->v, files->n * sizeof(*v));
        files->v = v;
        files->cap = cap;
    }
    files->v[files->n++] = (struct campaign_text){.path = path, .text = text};
}

/* The path under which a text is kept: one that does not depend on the working directory. */
const char *campaign_absolute(struct arena *a, const char *path)
{
    cleanup_free char *cwd = NULL, *joined = NULL;

    if (path[0] == '/' || strcmp(path, "-") == 0)
        return arena_strdup(a, path);
    cwd = getcwd(NULL, 0);
    joined = file_join(cwd ? cwd : "", path);
    return arena_strdup(a, joined);
}

static enum status find_text(const struct campaign_files *files, const char *path, struct str *out,
                             struct err *e)
{
    for (size_t i = 1; i < files->n; i++) {
        if (strcmp(files->v[i].path, path) == 0) {
            *out = files->v[i].text;
            return STATUS_OK;
        }
    }
    return err_set(e, STATUS_NOT_FOUND,
                   "%s: files are not read here; write what it holds in its place", path);
}

/* The content as text that lives as long as the arena: from the disk, or from what was kept. */
enum status campaign_read_text(struct arena *a, const struct campaign_source *source,
                               const char *path, size_t max, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(max);
    enum status s = source->from ? find_text(source->from, path, out, e) : file_read(path, &b, e);
    size_t len = 0;
    char *p;

    if (s != STATUS_OK || source->from) {
        buf_deinit(&b);
        return s;
    }
    p = buf_take(&b, &len);
    if (p)
        arena_on_reset(a, free, p);
    *out = str_n(p ? p : "", len);
    if (source->keep)
        campaign_files_add(a, source->keep, campaign_absolute(a, path), *out);
    return STATUS_OK;
}

/* JSON that people write: comments are fine, members that are there twice are not. */
struct json *campaign_parse_text(struct str text, struct err *e)
{
    cleanup_free char *copy = xcalloc(1, text.len + 1);

    memcpy(copy, text.ptr, text.len);
    if (comments_blank(copy, text.len, e) != STATUS_OK)
        return NULL;
    return json_parse(str_n(copy, text.len), true, e);
}

const struct json *campaign_keep_tree(struct arena *a, struct json *j)
{
    arena_on_reset(a, free_tree, j);
    return j;
}
