/* What /proc says of a browser's renderers. Chromium goes on, with no more than a line on standard
 * error, when its seccomp sandbox cannot be had; so it is looked at from outside. A renderer is
 * sandboxed when it carries a filter more than the browser process (which has only ours), and is in
 * a PID namespace below the browser's. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/buf.h"
#include "reaper/check.h"
#include "reaper/reaper.h"

enum { PROCESSES_MAX = 1 << 15, PROC_FILE_MAX = 64 * 1024, YOUNG_MS = 1000 };

struct process {
    pid_t pid, parent;
    bool below; /* of the member */
};

bool check_parse_status(struct str text, struct check_status *out)
{
    bool have[3] = {false};

    *out = (struct check_status){0};
    while (text.ptr) {
        struct str line = str_cut(&text, '\n');
        struct str value = line;
        struct str key = str_cut(&value, ':');
        uint64_t n;

        value = str_trim(value);
        if (str_eqz(key, "PPid") && str_to_u64(value, INT32_MAX, &n)) {
            out->parent = (pid_t)n;
            have[0] = true;
        } else if (str_eqz(key, "Seccomp_filters") && str_to_u64(value, 1000, &n)) {
            out->filters = (unsigned)n;
            have[1] = true;
        } else if (str_eqz(key, "NSpid")) {
            out->depth = 1;
            for (size_t i = 0; i < value.len; i++)
                out->depth += value.ptr[i] == '\t' ? 1u : 0u;
            have[2] = true;
        }
    }
    return have[0] && have[2]; /* Seccomp_filters came with Linux 5.9 */
}

static bool read_proc(pid_t pid, const char *file, struct buf *b)
{
    char path[64];
    FILE *f;
    char *room;
    size_t n;

    buf_reset(b);
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    f = fopen(path, "re");
    if (!f)
        return false;
    room = buf_reserve(b, 16384);
    n = room ? fread(room, 1, 16384, f) : 0;
    buf_commit(b, n);
    fclose(f);
    return n > 0;
}

static bool read_status(pid_t pid, struct buf *b, struct check_status *out)
{
    return read_proc(pid, "status", b) && check_parse_status(buf_str(b), out);
}

static size_t list_processes(struct process *v, size_t max, struct buf *b)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    size_t n = 0;

    if (!d)
        return 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
    while (n < max && (e = readdir(d)) != NULL) {
        struct check_status st;
        uint64_t pid;

        if (!isdigit((unsigned char)e->d_name[0]) ||
            !str_to_u64(str_from(e->d_name), INT32_MAX, &pid))
            continue;
        if (read_status((pid_t)pid, b, &st))
            v[n++] = (struct process){.pid = (pid_t)pid, .parent = st.parent};
    }
    closedir(d);
    return n;
}

/* Marks all that descend from `root`; parents may come after their children, so until nothing
 * changes. */
static void mark_below(struct process *v, size_t n, pid_t root)
{
    bool changed = true;

    for (size_t i = 0; i < n; i++)
        v[i].below = v[i].pid == root;
    while (changed) {
        changed = false;
        for (size_t i = 0; i < n; i++) {
            if (v[i].below)
                continue;
            for (size_t j = 0; j < n && !v[i].below; j++)
                v[i].below = v[j].below && v[j].pid == v[i].parent;
            changed = changed || v[i].below;
        }
    }
}

/* The command line is NUL-separated at first, and one text once Chromium has renamed the process.
 */
static bool is_renderer(pid_t pid, struct buf *b)
{
    struct str s;

    if (!read_proc(pid, "cmdline", b))
        return false;
    for (size_t i = 0; i < b->len; i++)
        if (b->ptr[i] == '\0')
            b->ptr[i] = ' ';
    s = buf_str(b);
    return str_find(s, STR("--type=renderer")) >= 0;
}

/* How long a process has been there (field 22 of /proc/<pid>/stat, in clock ticks since boot), ms.
 */
static uint64_t age_ms(pid_t pid, struct buf *b)
{
    struct timespec now;
    uint64_t ticks, up_ms, start_ms;
    struct str s;

    clock_gettime(CLOCK_BOOTTIME, &now);
    up_ms = (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
    if (!read_proc(pid, "stat", b) || !strrchr(b->ptr, ')'))
        return 0;
    s = str_from(strrchr(b->ptr, ')') + 1);
    for (int field = 2; field < 22; field++)
        (void)str_cut(&s, ' ');
    if (!str_to_u64(str_cut(&s, ' '), UINT64_MAX / 1000, &ticks))
        return 0;
    start_ms = ticks * 1000u / (uint64_t)sysconf(_SC_CLK_TCK);
    return up_ms > start_ms ? up_ms - start_ms : 0;
}

static void judge(pid_t pid, const struct check_status *browser, struct buf *b,
                  struct reaper_renderers *out)
{
    struct check_status st;

    if (!is_renderer(pid, b) || !read_status(pid, b, &st))
        return;
    if (st.filters > browser->filters && st.depth > browser->depth) {
        out->total++;
        out->sandboxed++;
        return;
    }
    if (age_ms(pid, b) < YOUNG_MS)
        return;
    out->total++;
    if (st.filters <= browser->filters)
        err_set(
            &out->err, STATUS_ENVIRONMENT,
            "renderer %d has %u seccomp filters, the browser process %u: it has none of its own",
            (int)pid, st.filters, browser->filters);
    else
        err_set(&out->err, STATUS_ENVIRONMENT,
                "renderer %d is in the browser's PID namespace, not in one of its own", (int)pid);
}

static bool renderers_below(pid_t browser, struct reaper_renderers *out)
{
    struct buf b = BUF_INIT(PROC_FILE_MAX);
    struct process *v = xcalloc(PROCESSES_MAX, sizeof(*v));
    struct check_status st;
    size_t n;

    *out = (struct reaper_renderers){0};
    if (!read_status(browser, &b, &st)) {
        err_set(&out->err, STATUS_BROWSER_GONE, "there is no process %d", (int)browser);
    } else {
        n = list_processes(v, PROCESSES_MAX, &b);
        mark_below(v, n, browser);
        for (size_t i = 0; i < n; i++)
            if (v[i].below)
                judge(v[i].pid, &st, &b, out);
    }
    free(v);
    buf_deinit(&b);
    return out->err.status == STATUS_OK && out->sandboxed == out->total;
}

bool reaper_check_renderers(const struct reaper_child *c, struct reaper_renderers *out)
{
    return renderers_below(reaper_child_pid(c), out);
}
