#include "browser/demo/files.h"

#include <dirent.h>
#include <stdio.h>

#include "core/base/embed.h"
#include "core/base/file.h"
#include "reaper/reaper.h"

#define MARK   ".fleet-demo" /* says that the directory is a demo's; locked while one runs */
#define ASSETS "browser/assets/demo/"

enum { TEXT_MAX = 1024 * 1024 };

/* What a run writes; campaign and flows are replaced anyway. */
static const char *const outputs[] = {"results.ndjson", "report.html",      "audit.ndjson",
                                      "audit.pub",      "audit.checkpoint", "out",
                                      ".fleet"};

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    bool empty = true;

    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (d != NULL && empty && (entry = readdir(d)) != NULL)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (d != NULL)
        closedir(d);
    return empty;
}

static enum status remove_outputs(const char *dir, struct err *e)
{
    cleanup_free char *state = file_join(dir, ".fleet");
    struct reaper_swept swept;
    enum status s = STATUS_OK;

    /* What a demo that was killed may have left is cleared away by what its state tells. */
    if (access(state, F_OK) == 0)
        s = reaper_sweep(state, &swept, e);
    for (size_t i = 0; i < ARRAY_LEN(outputs) && s == STATUS_OK; i++) {
        cleanup_free char *path = file_join(dir, outputs[i]);

        s = file_remove_tree(path, e);
    }
    return s;
}

enum status files_take_dir(const char *dir, int *lock, struct err *e)
{
    cleanup_free char *mark = file_join(dir, MARK);
    enum status s = file_mkdirs(dir, 0755, e);

    if (s != STATUS_OK)
        return s;
    if (access(mark, F_OK) != 0 && !is_empty(dir))
        return err_set(e, STATUS_EXISTS,
                       "%s is not empty and was not made by fleet demo: choose another with --dir",
                       dir);
    s = file_lock(mark, 0, lock, e);
    if (s != STATUS_OK)
        return s == STATUS_BUSY ? err_prefix(e, "another demo runs in %s", dir) : s;
    s = remove_outputs(dir, e);
    if (s != STATUS_OK)
        close(steal_fd(lock));
    return s;
}

/* --- the files --- */

static bool value_of(const struct stage_info *i, struct str name, struct buf *out)
{
    const struct {
        const char *name, *text;
        unsigned number;
    } values[] = {
        {"SITE_PORT", NULL, i->site_port},   {"HTTP_PORT", NULL, i->http_port},
        {"SOCKS_PORT", NULL, i->socks_port}, {"USER", i->user, 0},
        {"PASSWORD", i->password, 0},
    };

    for (size_t k = 0; k < ARRAY_LEN(values); k++) {
        if (!str_eqz(name, values[k].name))
            continue;
        if (values[k].text != NULL)
            buf_adds(out, values[k].text);
        else
            buf_addf(out, "%u", values[k].number);
        return true;
    }
    return false;
}

/* "@NAME@" becomes its value; any other "@" stays. */
static void fill_in(struct str text, const struct stage_info *i, struct buf *out)
{
    while (text.len > 0) {
        ptrdiff_t at = str_chr(text, '@'), end;

        if (at < 0) {
            buf_addstr(out, text);
            return;
        }
        buf_addstr(out, str_n(text.ptr, (size_t)at));
        text = str_skip(text, (size_t)at + 1);
        end = str_chr(text, '@');
        if (end >= 0 && value_of(i, str_n(text.ptr, (size_t)end), out))
            text = str_skip(text, (size_t)end + 1);
        else
            buf_addc(out, '@');
    }
}

static enum status write_one(const char *dir, const struct embed_file *f,
                             const struct stage_info *info, struct err *e)
{
    const char *name = f->path + sizeof ASSETS - 1;
    cleanup_free char *path = file_join(dir, name);
    struct buf text = BUF_INIT(TEXT_MAX);
    bool is_private = strcmp(name, "proxies.txt") == 0;
    enum status s;

    fill_in(str_n((const char *)f->data, f->len), info, &text);
    s = buf_status(&text);
    if (s == STATUS_OK)
        s = file_replace(path, buf_str(&text), is_private ? 0600 : 0644, e);
    buf_deinit(&text);
    return s;
}

enum status files_write(const char *dir, const struct stage_info *info, struct err *e)
{
    for (size_t i = 0; i < embed_assets_len; i++) {
        enum status s;

        if (!str_starts(str_from(embed_assets[i].path), STR(ASSETS)))
            continue;
        s = write_one(dir, &embed_assets[i], info, e);
        if (s != STATUS_OK)
            return s;
    }
    return STATUS_OK;
}
