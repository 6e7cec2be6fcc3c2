#include "reaper/mountinfo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "core/base/attr.h"

/* The next field up to a space into out, with \040 and its like undone; NULL when there is none or
 * it does not fit. */
static const char *take_field(const char *p, char *out, size_t max)
{
    size_t n = 0;

    if (*p == '\0' || *p == ' ')
        return NULL;
    while (*p != '\0' && *p != ' ') {
        char c = *p++;

        if (c == '\\' && p[0] >= '0' && p[0] <= '3' && p[1] >= '0' && p[1] <= '7' && p[2] >= '0' &&
            p[2] <= '7') {
            c = (char)((p[0] - '0') * 64 + (p[1] - '0') * 8 + (p[2] - '0'));
            p += 3;
        }
        if (n + 1 >= max)
            return NULL;
        out[n++] = c;
    }
    out[n] = '\0';
    return *p == ' ' ? p + 1 : p;
}

bool mountinfo_parse(const char *line, struct mountinfo *out)
{
    char skip[4096];
    const char *p = line;

    for (int i = 0; i < 3 && p; i++) /* id, parent, major:minor */
        p = take_field(p, skip, sizeof(skip));
    p = p ? take_field(p, out->root, sizeof(out->root)) : NULL;
    p = p ? take_field(p, out->point, sizeof(out->point)) : NULL;
    p = p ? take_field(p, out->options, sizeof(out->options)) : NULL;
    do /* optional fields, up to "-" */
        p = p ? take_field(p, skip, sizeof(skip)) : NULL;
    while (p && strcmp(skip, "-") != 0);
    p = p ? take_field(p, out->type, sizeof(out->type)) : NULL;
    p = p ? take_field(p, skip, sizeof(skip)) : NULL; /* source */
    p = p ? take_field(p, out->super, sizeof(out->super)) : NULL;
    return p != NULL;
}

bool mountinfo_has_option(const char *options, const char *word)
{
    size_t n = strlen(word);

    for (const char *p = options; p; p = strchr(p, ','), p = p ? p + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == '\0' || p[n] == ','))
            return true;
    return false;
}

int mountinfo_each(bool (*fn)(const struct mountinfo *m, void *arg), void *arg)
{
    static struct mountinfo m; /* the launcher has one thread, and little stack to spare */
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    if (!f)
        return -1;
    while ((n = getline(&line, &room, f)) > 0) {
        line[n - 1] = '\0';
        if (mountinfo_parse(line, &m) && !fn(&m, arg))
            break;
    }
    free(line);
    fclose(f);
    return 0;
}

struct remount {
    const char *path;
    unsigned long flags;
    int err;
};

static unsigned long flags_of(const char *options)
{
    static const struct {
        const char *word;
        unsigned long flag;
    } words[] = {
        {"ro", MS_RDONLY},
        {"nosuid", MS_NOSUID},
        {"nodev", MS_NODEV},
        {"noexec", MS_NOEXEC},
        {"noatime", MS_NOATIME},
        {"relatime", MS_RELATIME},
        {"nodiratime", MS_NODIRATIME},
    };
    unsigned long f = 0;

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (mountinfo_has_option(options, words[i].word))
            f |= words[i].flag;
    return f;
}

static bool remount_one(const struct mountinfo *m, void *arg)
{
    struct remount *t = arg;
    size_t n = strlen(t->path);

    if (strncmp(m->point, t->path, n) != 0 || (m->point[n] != '\0' && m->point[n] != '/'))
        return true;
    if (mount(NULL, m->point, NULL, MS_REMOUNT | MS_BIND | t->flags | flags_of(m->options), NULL) <
            0 &&
        errno != EACCES && errno != ENOENT)
        t->err = errno;
    return t->err == 0;
}

int mountinfo_remount(const char *path, unsigned long flags)
{
    struct remount t = {.path = path, .flags = flags};

    if (mountinfo_each(remount_one, &t) < 0)
        return -1;
    errno = t.err;
    return t.err == 0 ? 0 : -1;
}
