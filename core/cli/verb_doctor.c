/* What the machine offers and lacks, looked at really: sandboxes are tried by fleet-reaper, files
 * are written, limits are read from the kernel. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include "core/base/file.h"
#include "core/base/loop.h"
#include "core/cli/doctor.h"
#include "reaper/reaper.h"

enum {
    ROWS_MAX = 64,
    MIB = 1024 * 1024,
    NOFILE_WANTED = 4096,
    SHM_WANTED_MIB = 256,
    MEMORY_WANTED_MIB = 1024,
    MEMORY_NEEDED_MIB = 256,
    DISK_WANTED_MIB = 1024,
    DISK_NEEDED_MIB = 50,
};

struct doctor {
    struct cli *cli;
    struct arena *arena;
    struct doctor_row rows[ROWS_MAX];
    size_t n;
};

static const struct {
    const char *name, *colour;
} states[] = {
    [DOCTOR_OK] = {"ok", "\033[32m"},
    [DOCTOR_DEGRADED] = {"degraded", "\033[33m"},
    [DOCTOR_MISSING] = {"missing", "\033[31m"},
};

/* --- for checks --- */

static const char *keep(struct doctor *d, const char *text)
{
    return text && text[0] ? arena_strdup(d->arena, text) : NULL;
}

void doctor_add(struct doctor *d, const struct doctor_row *row)
{
    struct doctor_row *r = &d->rows[d->n++];

    BUG_ON(d->n > ROWS_MAX);
    *r = *row;
    r->name = keep(d, row->name);
    r->found = keep(d, row->found);
    r->cost = row->state == DOCTOR_OK ? NULL : keep(d, row->cost);
    r->mend = row->state == DOCTOR_OK ? NULL : keep(d, row->mend);
}

struct arena *doctor_arena(struct doctor *d)
{
    return d->arena;
}

const char *doctor_find_program(struct doctor *d, const char *name)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *path = getenv("PATH");
    struct str rest = str_from(path ? path : "/usr/bin:/bin");

    while (rest.ptr) {
        struct str dir = str_cut(&rest, ':');
        char *full = arena_printf(d->arena, "%.*s/%s", STR_ARG(dir), name);

        if (access(full, X_OK) == 0)
            return full;
    }
    return NULL;
}

/* --- sandbox --- */

static void on_stopped(void *arg)
{
    *(bool *)arg = true;
}

static enum status probe_in(const char *dir, struct reaper_level *out, struct err *e)
{
    const struct reaper_opts opts = {.state_dir = dir};
    struct loop *loop = NULL;
    struct reaper *r = NULL;
    enum status s = loop_create(&loop, NULL, e);
    bool stopped = false;

    if (s == STATUS_OK)
        s = reaper_start(loop, &opts, &r, e);
    if (s == STATUS_OK) {
        s = reaper_level(r, out, e);
        reaper_stop(r, on_stopped, &stopped);
        while (!stopped)
            loop_run_once(loop, 100);
    }
    loop_destroy(&loop);
    return s;
}

/* Not in the state directory, which may not be there or not be writable: that is told by its own
 * row. */
static enum status probe(struct doctor *d, struct reaper_level *out, struct err *e)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *tmp = getenv("TMPDIR");
    char *dir = arena_printf(d->arena, "%s/fleet-doctor-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    struct err removed = ERR_INIT;
    enum status s;

    if (!mkdtemp(dir))
        return err_set_errno(e, STATUS_IO, errno, "%s", dir);
    s = probe_in(dir, out, e);
    if (file_remove_tree(dir, &removed) != STATUS_OK && s == STATUS_OK)
        s = err_set(e, removed.status, "%s", err_text(&removed));
    return s;
}

static void add_layer(struct doctor *d, const struct reaper_row *row)
{
    static const enum doctor_state of[] = {
        [REAPER_ROW_OK] = DOCTOR_OK,
        [REAPER_ROW_DEGRADED] = DOCTOR_DEGRADED,
        [REAPER_ROW_MISSING] = DOCTOR_MISSING,
    };
    const char *title = reaper_layer_title(row->layer);

    doctor_add(d, &(struct doctor_row){
                      .name = reaper_layer_name(row->layer),
                      .state = of[row->state],
                      .found = row->state == REAPER_ROW_OK || row->sys_errno == 0
                                   ? title
                                   : arena_printf(d->arena, "%s: %s", title,
                                                  strerrordesc_np(row->sys_errno)),
                      .cost = row->cost,
                      .mend = row->mend,
                  });
}

static void check_sandbox(struct doctor *d)
{
    struct reaper_level level = {0};
    struct err e = ERR_INIT;

    if (probe(d, &level, &e) != STATUS_OK) {
        doctor_add(d, &(struct doctor_row){
                          .name = "fleet-reaper",
                          .state = DOCTOR_MISSING,
                          .found = err_text(&e),
                          .cost = "nothing can be started",
                          .mend = e.status == STATUS_PERMISSION
                                      ? "set TMPDIR to a directory that can be written"
                                      : "build it (make) and keep it beside fleet, or name it in "
                                        "FLEET_REAPER",
                      });
        return;
    }
    doctor_add(
        d, &(struct doctor_row){
               .name = "guarantee",
               .state = level.guarantee == REAPER_GUARANTEE_KERNEL ? DOCTOR_OK : DOCTOR_DEGRADED,
               .found = reaper_guarantee_text(level.guarantee),
               .cost = "processes may outlive a fleet that is killed, until its next start",
               .mend = "run as root with CAP_SYS_ADMIN, or allow user namespaces",
           });
    doctor_add(d, &(struct doctor_row){
                      .name = "user-namespaces",
                      .state = level.userns || level.root ? DOCTOR_OK : DOCTOR_MISSING,
                      .found = level.userns ? "layers are had through them"
                               : level.root ? "not needed: root with CAP_SYS_ADMIN"
                                            : "cannot be made",
                      .cost = "no PID and mount namespaces: sandbox \"require\" refuses to start",
                      .mend = "sysctl -w user.max_user_namespaces=15000 "
                              "kernel.apparmor_restrict_unprivileged_userns=0",
                  });
    for (size_t i = 0; i < REAPER_LAYER_COUNT; i++)
        add_layer(d, &level.rows[i]);
}

/* --- memory, files, disks --- */

/* A line of /proc/meminfo in MiB; 0 when it is not there. */
static uint64_t meminfo_mib(const char *name)
{
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    struct str rest;
    uint64_t kib = 0;

    if (file_read("/proc/meminfo", &text, NULL) == STATUS_OK) {
        rest = buf_str(&text);
        while (rest.ptr) {
            struct str value = str_cut(&rest, '\n'), key = str_cut(&value, ':');
            struct str number = str_trim(value);

            number = str_cut(&number, ' ');
            if (str_eqz(key, name) && str_to_u64(number, UINT64_MAX, &kib))
                break;
        }
    }
    buf_deinit(&text);
    return kib / 1024;
}

static void check_memory(struct doctor *d)
{
    uint64_t available = meminfo_mib("MemAvailable"), total = meminfo_mib("MemTotal");

    doctor_add(
        d,
        &(struct doctor_row){
            .name = "memory",
            .state = available >= MEMORY_WANTED_MIB   ? DOCTOR_OK
                     : available >= MEMORY_NEEDED_MIB ? DOCTOR_DEGRADED
                                                      : DOCTOR_MISSING,
            .found = arena_printf(d->arena, "%llu of %llu MiB available",
                                  (unsigned long long)available, (unsigned long long)total),
            .cost = "a browser wants 150 MiB, and a page 20 to 100 MiB more: pages may be killed",
            .mend = "fewer slots, isolation \"context\", or more memory",
        });
}

static void check_shm(struct doctor *d)
{
    struct statvfs v;
    bool there = statvfs("/dev/shm", &v) == 0;
    uint64_t mib = there ? (uint64_t)v.f_bavail * v.f_frsize / MIB : 0;

    doctor_add(d,
               &(struct doctor_row){
                   .name = "/dev/shm",
                   .state = mib >= SHM_WANTED_MIB ? DOCTOR_OK : DOCTOR_DEGRADED,
                   .found = there ? arena_printf(d->arena, "%llu MiB free", (unsigned long long)mib)
                                  : "not mounted",
                   .cost = "without mount namespaces of their own, browsers put shared memory "
                           "into /tmp",
                   .mend = "docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm",
               });
}

static void check_files(struct doctor *d)
{
    struct rlimit l = {0};

    (void)getrlimit(RLIMIT_NOFILE, &l);
    doctor_add(d, &(struct doctor_row){
                      .name = "open-files",
                      .state = l.rlim_max >= NOFILE_WANTED ? DOCTOR_OK : DOCTOR_DEGRADED,
                      .found = arena_printf(d->arena, "%llu, may be raised to %llu",
                                            (unsigned long long)l.rlim_cur,
                                            (unsigned long long)l.rlim_max),
                      .cost = "each member needs 10 to 30 of them at a time",
                      .mend = "ulimit -Hn 65536, or LimitNOFILE=65536 in the unit",
                  });
}

/* The directory itself, or the nearest above it that is there. */
static const char *existing(struct doctor *d, const char *path)
{
    char *p = arena_strdup(d->arena, path), *slash;

    while (access(p, F_OK) != 0) {
        slash = strrchr(p, '/');
        if (!slash)
            return ".";
        *(slash == p ? slash + 1 : slash) = '\0';
    }
    return p;
}

static void check_disk(struct doctor *d)
{
    const char *dir = existing(d, cli_state_dir(d->cli));
    struct statvfs v;
    uint64_t mib = 0;

    if (statvfs(dir, &v) == 0)
        mib = (uint64_t)v.f_bavail * v.f_frsize / MIB;
    doctor_add(d, &(struct doctor_row){
                      .name = "disk",
                      .state = mib >= DISK_WANTED_MIB   ? DOCTOR_OK
                               : mib >= DISK_NEEDED_MIB ? DOCTOR_DEGRADED
                                                        : DOCTOR_MISSING,
                      .found = arena_printf(d->arena, "%llu MiB free for %s",
                                            (unsigned long long)mib, cli_state_dir(d->cli)),
                      .cost = "a run stops when receipts or results cannot be written",
                      .mend = "make room, or choose another place: --state-dir, FLEET_STATE_DIR",
                  });
}

/* Writes, reads back and removes; leaves the directory as it was. */
static enum status try_state_dir(const char *dir, struct err *e)
{
    bool was_there = access(dir, F_OK) == 0;
    cleanup_free char *path = file_join(dir, ".doctor");
    enum status s = file_mkdirs(dir, 0700, e);

    if (s == STATUS_OK)
        s = file_replace(path, STR("written by fleet doctor\n"), 0600, e);
    if (s == STATUS_OK && unlink(path) != 0)
        s = err_set_errno(e, STATUS_IO, errno, "%s", path);
    if (!was_there)
        (void)rmdir(dir); /* not there, or not empty: both are fine */
    return s;
}

static void check_state_dir(struct doctor *d)
{
    const char *dir = cli_state_dir(d->cli);
    struct err e = ERR_INIT;
    bool ok = try_state_dir(dir, &e) == STATUS_OK;

    doctor_add(d, &(struct doctor_row){
                      .name = "state-directory",
                      .state = ok ? DOCTOR_OK : DOCTOR_MISSING,
                      .found = ok ? arena_printf(d->arena, "%s can be written", dir) : err_text(&e),
                      .cost = "no campaign can run: receipts have nowhere to go",
                      .mend = "choose a directory that can be written: --state-dir DIR, or "
                              "FLEET_STATE_DIR",
                  });
}

/* --- clock and fonts --- */

static void check_clock(struct doctor *d)
{
    const struct clock *c = clock_system();
    uint64_t before = c->mono_ns(c), wall = clock_wall_ms(c);
    struct timespec nap = {.tv_nsec = 2000000};
    char text[CLOCK_RFC3339_MAX];
    bool moves, sane;

    nanosleep(&nap, NULL);
    moves = c->mono_ns(c) > before;
    sane = wall > 1704067200000u && wall < 4102444800000u; /* 2024 to 2100 */
    doctor_add(d, &(struct doctor_row){
                      .name = "clock",
                      .state = !moves ? DOCTOR_MISSING
                               : sane ? DOCTOR_OK
                                      : DOCTOR_DEGRADED,
                      .found = arena_printf(d->arena, "%s%s", clock_rfc3339(wall, text),
                                            moves ? ", monotonic" : "; CLOCK_MONOTONIC stands"),
                      .cost = "receipts and certificates are dated by it",
                      .mend = "timedatectl set-ntp true",
                  });
}

/* nftw has no argument: this is the count of the walk that is under way. */
static unsigned n_fonts;

static int on_font(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    struct str s = str_from(path);

    (void)st;
    (void)ftw;
    if (type == FTW_F && (str_ends(s, STR(".ttf")) || str_ends(s, STR(".otf")) ||
                          str_ends(s, STR(".ttc")) || str_ends(s, STR(".pfb"))))
        n_fonts++;
    return 0;
}

static void check_fonts(struct doctor *d)
{
    n_fonts = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    (void)nftw("/usr/share/fonts", on_font, 16, FTW_PHYS);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): one thread */
    (void)nftw("/usr/local/share/fonts", on_font, 16, FTW_PHYS);
    doctor_add(d, &(struct doctor_row){
                      .name = "fonts",
                      .state = n_fonts > 0 ? DOCTOR_OK : DOCTOR_DEGRADED,
                      .found = n_fonts > 0 ? arena_printf(d->arena, "%u files", n_fonts) : "none",
                      .cost = "pages are laid out and photographed without letters",
                      .mend = "apt-get install fonts-dejavu-core fonts-liberation",
                  });
}

static void check_redis(struct doctor *d)
{
    const char *path = doctor_find_program(d, "redis-server");

    doctor_add(d, &(struct doctor_row){
                      .name = "redis-server",
                      .state = path ? DOCTOR_OK : DOCTOR_MISSING,
                      .optional = true,
                      .found = path ? path : "not installed",
                      .cost = "nothing: this version keeps all in the state directory",
                      .mend = "apt-get install redis-server",
                  });
}

/* --- telling --- */

static bool is_failure(const struct doctor_row *r)
{
    return r->state == DOCTOR_MISSING && !r->optional;
}

static int print_json(struct doctor *d, bool ok)
{
    struct json *j = json_new_object(), *rows = json_new_array();
    int code;

    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_row *r = &d->rows[i];
        struct json *one = json_new_object();

        json_add_str(one, "name", r->name);
        json_add_str(one, "state", states[r->state].name);
        json_add_bool(one, "optional", r->optional);
        json_add_str(one, "found", r->found);
        json_add_str(one, "cost", r->cost);
        json_add_str(one, "mend", r->mend);
        json_push(rows, one);
    }
    json_add_bool(j, "ok", ok);
    json_add(j, "rows", rows);
    code = cli_print_json(d->cli, j);
    json_destroy(&j);
    return code;
}

static bool has_colour(void)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(no && no[0]) && !(term && strcmp(term, "dumb") == 0);
}

static void print_text(const struct doctor *d)
{
    bool colour = has_colour();
    int width = 0;

    for (size_t i = 0; i < d->n; i++) {
        int n = (int)strlen(d->rows[i].name);

        width = n > width ? n : width;
    }
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_row *r = &d->rows[i];

        printf("%s%-8s%s  %-*s  %s\n", colour ? states[r->state].colour : "", states[r->state].name,
               colour ? "\033[0m" : "", width, r->name, r->found ? r->found : "");
        if (r->cost)
            printf("%*scosts: %s\n", width + 12, "", r->cost);
        if (r->mend)
            printf("%*smend:  %s\n", width + 12, "", r->mend);
    }
}

static void print_sum(const struct doctor *d, bool ok)
{
    unsigned degraded = 0, missing = 0;

    for (size_t i = 0; i < d->n; i++) {
        degraded += d->rows[i].state == DOCTOR_DEGRADED;
        missing += is_failure(&d->rows[i]);
    }
    if (!ok)
        printf("\n%u of what is needed %s missing.\n", missing, missing == 1 ? "is" : "are");
    else if (degraded > 0)
        printf("\nAll that is needed is there; %u %s degraded.\n", degraded,
               degraded == 1 ? "is" : "are");
    else
        printf("\nAll is well.\n");
}

static int doctor(struct cli *c)
{
    static doctor_check_fn *const common[] = {check_state_dir, check_disk,  check_memory,
                                              check_shm,       check_files, check_clock};
    struct doctor d = {.cli = c, .arena = arena_create(NULL, 0)};
    const struct cli_program *p = cli_program(c);
    bool ok = true;
    int code = EXIT_OK;

    for (size_t i = 0; p->checks && p->checks[i]; i++)
        p->checks[i](&d);
    if (p->kit->needs_reaper) {
        check_sandbox(&d);
        check_fonts(&d);
    }
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        common[i](&d);
    check_redis(&d);
    for (size_t i = 0; i < d.n; i++)
        ok = ok && !is_failure(&d.rows[i]);
    if (cli_has(c, "json")) {
        code = print_json(&d, ok);
    } else {
        print_text(&d);
        print_sum(&d, ok);
    }
    arena_destroy(&d.arena);
    return code != EXIT_OK ? code : ok ? EXIT_OK : EXIT_ENVIRONMENT;
}

static const struct cli_option options[] = {
    {"json", 0, NULL, "print the rows as JSON"},
    {NULL, 0, NULL, NULL},
};

const struct cli_verb verb_doctor = {
    .name = "doctor",
    .summary = "Say what this machine offers and lacks, and how to mend it",
    .usage = "",
    .options = options,
    .details = "Each row is ok, degraded (it works, at the cost that is told) or missing.\n"
               "Exit codes: 0 all that is needed is there, 9 something needed is missing.",
    .run = doctor,
};
