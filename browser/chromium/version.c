#include "browser/chromium/version.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/file.h"
#include "core/base/log.h"

enum { LINE_LEN = 4096 + 256, MAJOR_MIN = 90, MAJOR_MAX = 999, PIECE = 1 << 20, OVERLAP = 64 };

/* --- the program's file --- */

static size_t digits(const char *p, const char *end)
{
    size_t n = 0;

    while (p + n < end && n < 6 && isdigit((unsigned char)p[n]))
        n++;
    return n;
}

/* A version around the ".0." at `dot`: "<major>.0.<build>.<patch>" as a whole string of its own. */
static bool version_at(const char *start, const char *dot, const char *end, char out[32],
                       unsigned *major)
{
    const char *from = dot, *p = dot + 3;
    size_t n;

    while (from > start && dot - from < 3 && isdigit((unsigned char)from[-1]))
        from--;
    if (from == dot || from == start || (from[-1] != '\0' && from[-1] != '/' && from[-1] != ' '))
        return false;
    n = digits(p, end);
    if (n != 4 && n != 5)
        return false;
    p += n;
    if (p >= end || *p != '.')
        return false;
    p++;
    n = digits(p, end);
    if (n == 0 || n > 3 || p + n >= end || (p[n] != '\0' && p[n] != ' '))
        return false;
    p += n;
    /* NOLINTNEXTLINE(cert-err34-c): at most three digits, as was seen above */
    if (p - from >= 31 || sscanf(from, "%u", major) != 1)
        return false;
    memcpy(out, from, (size_t)(p - from));
    out[p - from] = '\0';
    return true;
}

/* The file names older versions too (features that came with them): the newest is its own. A dot is
 * rare in 15 MB of strings: to look for one is a fifteenth of the work of looking for ".0.". */
static void scan(const char *text, size_t len, unsigned *best, char out[32])
{
    const char *end = text + len, *p = text;

    while ((p = memchr(p, '.', (size_t)(end - p))) != NULL) {
        char found[32];
        unsigned major;

        if (end - p > 3 && p[1] == '0' && p[2] == '.' && version_at(text, p, end, found, &major) &&
            major > *best && major <= MAJOR_MAX) {
            *best = major;
            memcpy(out, found, sizeof(found));
        }
        p++;
    }
}

struct range {
    off_t at;
    uint64_t len;
};

static bool read_at(int fd, void *to, size_t len, uint64_t at)
{
    return at < INT64_MAX && pread(fd, to, len, (off_t)at) == (ssize_t)len;
}

/* Where a linker puts strings: a fifteenth of the file. False when it is no ELF file with one. */
static bool find_rodata(int fd, struct range *out)
{
    Elf64_Ehdr h;
    Elf64_Shdr names, s;
    char name[sizeof(".rodata")];

    if (!read_at(fd, &h, sizeof(h), 0) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
        h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_shentsize != sizeof(s) ||
        h.e_shoff > INT32_MAX * UINT64_C(1024) ||
        !read_at(fd, &names, sizeof(names), h.e_shoff + h.e_shstrndx * sizeof(s)) ||
        names.sh_offset > INT32_MAX * UINT64_C(1024))
        return false;
    for (unsigned i = 0; i < h.e_shnum; i++) {
        if (!read_at(fd, &s, sizeof(s), h.e_shoff + i * sizeof(s)) ||
            !read_at(fd, name, sizeof(name), names.sh_offset + s.sh_name))
            return false;
        if (s.sh_type == SHT_PROGBITS && memcmp(name, ".rodata", sizeof(name)) == 0 &&
            s.sh_offset < INT64_MAX) {
            *out = (struct range){(off_t)s.sh_offset, s.sh_size};
            return true;
        }
    }
    return false;
}

/* Piece by piece: the file is 200 MB, and this process is to stay small. 0, or -1 with errno. */
static int scan_range(int fd, struct range r, unsigned *best, char out[32])
{
    cleanup_free char *text = xcalloc(1, PIECE);
    size_t len = 0;

    while (r.len > 0) {
        size_t want = r.len < PIECE - len ? (size_t)r.len : PIECE - len, kept;
        ssize_t got = pread(fd, text + len, want, r.at);

        if (got <= 0)
            return got == 0 ? 0 : -1;
        r.at += got;
        r.len -= (uint64_t)got;
        len += (size_t)got;
        scan(text, len, best, out);
        kept = len < OVERLAP ? len : OVERLAP;
        memmove(text, text + len - kept, kept);
        len = kept;
    }
    return 0;
}

static enum status read_program(const char *path, char out[32], struct err *e)
{
    cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    unsigned best = MAJOR_MIN - 1;
    struct range strings;

    if (fd < 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "%s", path);
    if (find_rodata(fd, &strings) && scan_range(fd, strings, &best, out) == 0 && best >= MAJOR_MIN)
        return STATUS_OK;
    if (scan_range(fd, (struct range){0, UINT64_MAX}, &best, out) != 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "%s: cannot be read", path);
    if (best >= MAJOR_MIN)
        return STATUS_OK;
    return err_set(e, STATUS_ENVIRONMENT,
                   "%s: its version cannot be told; FLEET_BROWSER_VERSION=156.0.8078.79 (as its "
                   "--version prints) does",
                   path);
}

/* --- what was read last time --- */

/* "<path> <size> <seconds>.<nanoseconds> ": what the version behind it is of. */
static void name_file(const char *path, const struct stat *st, char *out, size_t max)
{
    snprintf(out, max, "%s %lld %lld.%09ld ", path, (long long)st->st_size,
             (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static bool remembered(const char *cache, const char *name, char out[32])
{
    struct buf text = BUF_INIT(LINE_LEN + 32);
    bool found = false;

    if (file_read(cache, &text, NULL) == STATUS_OK) {
        struct str s = str_trim(buf_str(&text));

        found = str_starts(s, str_from(name)) && s.len - strlen(name) < 32 && s.len > strlen(name);
        if (found)
            snprintf(out, 32, "%.*s", STR_ARG(str_skip(s, strlen(name))));
    }
    buf_deinit(&text);
    return found;
}

/* Only saves time: a cache that cannot be written is no trouble. */
static void remember(const char *dir, const char *cache, const char *name, const char *version)
{
    struct buf text = BUF_INIT(LINE_LEN + 32);
    struct err e = ERR_INIT;

    buf_addf(&text, "%s%s\n", name, version);
    if (file_mkdirs(dir, 0700, &e) != STATUS_OK ||
        file_replace(cache, buf_str(&text), 0600, &e) != STATUS_OK)
        log_debug(NULL, "version.not_kept", LOG_ERR(&e));
    buf_deinit(&text);
}

enum status browser_version_of(const char *path, const char *state_dir, char out[32], struct err *e)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *given = getenv("FLEET_BROWSER_VERSION");
    cleanup_free char *dir = file_join(state_dir, "cache");
    cleanup_free char *cache = file_join(dir, "browser-version");
    char name[LINE_LEN];
    struct stat st;
    enum status s;

    if (given && given[0] && strlen(given) < 32) {
        snprintf(out, 32, "%s", given);
        return STATUS_OK;
    }
    if (stat(path, &st) != 0)
        return err_set_errno(e, STATUS_ENVIRONMENT, errno, "%s", path);
    name_file(path, &st, name, sizeof(name));
    if (state_dir && remembered(cache, name, out))
        return STATUS_OK;
    s = read_program(path, out, e);
    if (s == STATUS_OK && state_dir)
        remember(dir, cache, name, out);
    return s;
}
