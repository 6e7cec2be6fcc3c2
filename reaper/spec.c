#include "reaper/spec.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    TMP_DEFAULT = 1024 * 1024 * 1024,
    SHM_DEFAULT = 512 * 1024 * 1024,
    FD_TARGET_MAX = WIRE_FDS_MAX,
};

extern char **environ;

/* The environment's names that go to a member which names none itself. */
static const char *const base_env[] = {"PATH=", "LANG=", "LC_", "LANGUAGE=", "TZ="};

/* What the minimal view shows anyway: a program there needs no bind. */
static const char *const shown[] = {"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/",
                                    "/etc/", "/opt/", "/nix/",  "/gnu/", "/snap/"};

/* --- checks --- */

static enum status bad(struct err *e, const char *field, const char *why)
{
    return err_set(e, STATUS_INVALID, "%s: %s", field, why);
}

static enum status check_name(const struct reaper_spec *s, struct err *e)
{
    size_t n = s->name ? strlen(s->name) : 0;

    if (n == 0 || n > REAPER_NAME_MAX ||
        strspn(s->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != n)
        return bad(e, "name", "1 to 48 letters, digits, \"-\", \"_\" or \".\" expected");
    return STATUS_OK;
}

static enum status check_enums(const struct reaper_spec *s, struct err *e)
{
    const struct {
        const char *field;
        unsigned value, count;
    } rows[] = {
        {"kind", s->kind, REAPER_KIND_COUNT},
        {"sandbox", s->sandbox, REAPER_SANDBOX_OFF + 1},
        {"view", s->view, REAPER_VIEW_HOST + 1},
        {"uid", s->uid, REAPER_UID_OWN + 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].value >= rows[i].count)
            return bad(e, rows[i].field, "not one of its values");
    if (s->oom_score_adj < -1000 || s->oom_score_adj > 1000)
        return bad(e, "oom_score_adj", "-1000..1000 expected");
    if (s->n_listeners > REAPER_LISTENERS_MAX)
        return bad(e, "n_listeners", "at most 64");
    if (s->n_listeners > 0 && !s->netns)
        return bad(e, "n_listeners", "listeners are inside a network namespace: netns is not set");
    return STATUS_OK;
}

static enum status check_fds(const struct reaper_spec *s, struct err *e)
{
    bool used[FD_TARGET_MAX] = {false};

    if (s->n_fds > REAPER_FDS_MAX)
        return bad(e, "fds", "at most 64");
    for (size_t i = 0; i < s->n_fds; i++) {
        int t = s->fds[i].target;

        if (t < 0 || t >= FD_TARGET_MAX)
            return bad(e, "fds", "a target outside of 0..63");
        if (used[t])
            return bad(e, "fds", "two descriptors for one target");
        if (s->fds[i].fd < 0)
            return bad(e, "fds", "a negative descriptor");
        used[t] = true;
    }
    return STATUS_OK;
}

static enum status check_binds(const struct reaper_spec *s, struct err *e)
{
    struct stat st;

    if (s->n_binds > REAPER_BINDS_MAX)
        return bad(e, "binds", "at most 64");
    for (size_t i = 0; i < s->n_binds; i++) {
        const struct reaper_bind *b = &s->binds[i];
        const char *at = b->at ? b->at : b->path;

        if (!b->path || b->path[0] != '/' || at[0] != '/')
            return bad(e, "binds", "an absolute path expected");
        if (strcmp(at, "/") == 0 || strstr(at, "/../") || strstr(at, "/./"))
            return err_set(e, STATUS_INVALID, "binds: \"%s\" is no place for a bind", at);
        if (stat(b->path, &st) < 0)
            return err_set_errno(e, STATUS_NOT_FOUND, errno, "binds: %s", b->path);
    }
    for (size_t i = 0; s->hide && s->hide[i]; i++)
        if (i >= REAPER_HIDE_MAX || s->hide[i][0] != '/')
            return bad(e, "hide", "at most 64 absolute paths");
    return STATUS_OK;
}

static enum status check_rlimits(const struct reaper_spec *s, struct err *e)
{
    if (s->n_rlimits > REAPER_RLIMITS_MAX)
        return bad(e, "rlimits", "at most 16");
    return STATUS_OK;
}

enum status spec_check(const struct reaper_spec *s, struct err *e)
{
    static enum status (*const checks[])(const struct reaper_spec *, struct err *) = {
        check_name, check_enums, check_fds, check_binds, check_rlimits};

    if (!s->argv || !s->argv[0] || !*s->argv[0])
        return bad(e, "argv", "a program expected");
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        enum status st = checks[i](s, e);

        if (st != STATUS_OK)
            return st;
    }
    return STATUS_OK;
}

/* --- layers --- */

void spec_layers(const struct reaper_spec *s, uint32_t without, uint32_t *wanted,
                 uint32_t *required)
{
    uint32_t all = REAPER_LAYER_BIT(REAPER_LAYER_COUNT) - 1u;

    if (s->kind != REAPER_BROWSER || s->sandbox == REAPER_SANDBOX_OFF)
        all &= ~REAPER_LAYER_BIT(REAPER_LAYER_CHROMIUM);
    if (s->uid == REAPER_UID_OWN)
        all &= ~REAPER_LAYER_BIT(REAPER_LAYER_UID);
    if (!s->netns)
        all &= ~REAPER_LAYER_BIT(REAPER_LAYER_NETNS);
    all &= ~(without | s->without);
    *wanted = all;
    *required = s->sandbox == REAPER_SANDBOX_REQUIRE ? all & REAPER_LAYERS_REQUIRED : 0;
    if (s->netns) /* also when a test leaves it out: whoever asked relies on it */
        *required |= REAPER_LAYER_BIT(REAPER_LAYER_NETNS);
}

/* --- encoding --- */

static void add(struct buf *b, enum wire_tag tag, const void *p, size_t n)
{
    static const char zeros[8] = {0};
    struct wire_record r = {.tag = (uint32_t)tag, .len = (uint32_t)n};

    buf_add(b, &r, sizeof(r));
    buf_add(b, p, n);
    buf_add(b, zeros, (8u - n % 8u) % 8u);
}

static void add_text(struct buf *b, enum wire_tag tag, const char *z)
{
    add(b, tag, z, strlen(z) + 1);
}

static void add_numbers(struct buf *b, const struct reaper_spec *s, const struct spec_extra *x)
{
    struct wire_numbers n = {
        .kind = s->kind,
        .sandbox = s->sandbox,
        .uid_policy = s->uid,
        .view = s->view,
        .netns = s->netns,
        .n_listeners = s->netns ? s->n_listeners : 0,
        .inside_port = REAPER_INSIDE_PORT,
        .uid_base = x->uid_base,
        .uid_count = x->uid_count,
        .uid_hint = x->uid_hint,
        .oom_score_adj = s->oom_score_adj,
        .pids_max = s->pids_max,
        .cpu_max_percent = s->cpu_max_percent,
        .memory_max_bytes = s->memory_max_bytes,
        .tmp_max_bytes = s->tmp_max_bytes ? s->tmp_max_bytes : TMP_DEFAULT,
        .shm_max_bytes = s->shm_max_bytes ? s->shm_max_bytes : SHM_DEFAULT,
        .fail_at = x->fail_at,
        .fail_errno = x->fail_errno,
    };

    spec_layers(s, x->without, &n.wanted, &n.required);
    add(b, WIRE_TAG_NUMBERS, &n, sizeof(n));
}

/* argv[0] as execve wants it: looked up in PATH, links resolved (the member may not see where they
 * lead). */
static enum status find_program(const char *name, char out[PATH_MAX], struct err *e)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *path = getenv("PATH");
    struct str rest = str_from(path ? path : "/usr/local/bin:/usr/bin:/bin");
    char candidate[PATH_MAX];

    if (strchr(name, '/')) {
        if (!realpath(name, out))
            return err_set_errno(e, STATUS_NOT_FOUND, errno, "%s", name);
        if (access(out, X_OK) < 0)
            return err_set_errno(e, STATUS_PERMISSION, errno, "execute %s", out);
        return STATUS_OK;
    }
    while (rest.ptr) {
        struct str dir = str_cut(&rest, ':');

        snprintf(candidate, sizeof(candidate), "%.*s/%s", STR_ARG(dir), name);
        if (dir.len > 0 && access(candidate, X_OK) == 0 && realpath(candidate, out))
            return STATUS_OK;
    }
    return err_set(e, STATUS_NOT_FOUND, "%s: no such program in PATH", name);
}

static void add_bind(struct buf *b, bool writable, const char *path, const char *at)
{
    struct buf one = BUF_INIT(PATH_MAX * 2 + 16);

    buf_addc(&one, writable ? 'w' : 'r');
    buf_add(&one, path, strlen(path) + 1);
    buf_add(&one, at, strlen(at) + 1);
    add(b, WIRE_TAG_BIND, buf_str(&one).ptr, one.len);
    buf_deinit(&one);
}

/* A program outside of what is shown comes with its directory, read-only; one that lies in a
 * directory that is much else besides
 * (/tmp, a home) by itself. */
static void bind_program(struct buf *b, const char *program)
{
    static const char *const too_wide[] = {"/",    "/tmp",  "/var/tmp", "/root",
                                           "/dev", "/proc", "/run"};
    char dir[PATH_MAX];
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *home = getenv("HOME");
    bool wide;

    for (size_t i = 0; i < ARRAY_LEN(shown); i++)
        if (strncmp(program, shown[i], strlen(shown[i])) == 0)
            return;
    snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(program, '/') - program), program);
    wide = dir[0] == '\0' || (home && strcmp(home, dir) == 0);
    for (size_t i = 0; i < ARRAY_LEN(too_wide); i++)
        wide = wide || strcmp(too_wide[i], dir) == 0;
    add_bind(b, false, wide ? program : dir, wide ? program : dir);
}

static enum status add_binds(struct buf *b, const struct reaper_spec *s, const char *program,
                             struct err *e)
{
    char real[PATH_MAX];

    /* in the host's view it is there, unless the private /tmp hides it */
    if (s->view == REAPER_VIEW_MINIMAL || strncmp(program, "/tmp/", 5) == 0)
        bind_program(b, program);
    for (size_t i = 0; i < s->n_binds; i++) {
        const struct reaper_bind *w = &s->binds[i];

        if (!realpath(w->path, real))
            return err_set_errno(e, STATUS_NOT_FOUND, errno, "binds: %s", w->path);
        add_bind(b, w->writable, real, w->at ? w->at : w->path);
    }
    for (size_t i = 0; s->hide && s->hide[i]; i++)
        add_text(b, WIRE_TAG_HIDE, s->hide[i]);
    return STATUS_OK;
}

static void add_env(struct buf *b, const struct reaper_spec *s)
{
    if (s->envp) {
        for (size_t i = 0; s->envp[i]; i++)
            add_text(b, WIRE_TAG_ENV, s->envp[i]);
        return;
    }
    for (char **v = environ; v && *v; v++)
        for (size_t i = 0; i < ARRAY_LEN(base_env); i++)
            if (strncmp(*v, base_env[i], strlen(base_env[i])) == 0)
                add_text(b, WIRE_TAG_ENV, *v);
}

static void add_rest(struct buf *b, const struct reaper_spec *s, const struct spec_extra *x)
{
    char cwd[PATH_MAX];

    /* a member has a /tmp of its own */
    if (s->cwd)
        add_text(b, WIRE_TAG_CWD, s->cwd);
    else if (s->view == REAPER_VIEW_MINIMAL || !getcwd(cwd, sizeof(cwd)) ||
             strncmp(cwd, "/tmp", 4) == 0)
        add_text(b, WIRE_TAG_CWD, "/");
    else
        add_text(b, WIRE_TAG_CWD, cwd);
    for (size_t i = 0; i < s->n_rlimits; i++) {
        struct wire_rlimit l = {.resource = (uint64_t)s->rlimits[i].resource,
                                .value = s->rlimits[i].value};

        add(b, WIRE_TAG_RLIMIT, &l, sizeof(l));
    }
    for (size_t i = 0; i < s->n_fds; i++) {
        int32_t t = s->fds[i].target;

        add(b, WIRE_TAG_TARGET, &t, sizeof(t));
    }
    if (x->filter.len > 0)
        add(b, WIRE_TAG_FILTER, x->filter.ptr, x->filter.len);
}

enum status spec_encode(const struct reaper_spec *s, const struct spec_extra *x, struct buf *out,
                        struct err *e)
{
    struct wire_head h = {.magic = WIRE_MAGIC, .version = WIRE_VERSION};
    size_t start = out->len;
    char program[PATH_MAX];
    enum status st = find_program(s->argv[0], program, e);

    if (st != STATUS_OK)
        return err_prefix(e, "launch %s", s->name);
    buf_add(out, &h, sizeof(h));
    add_numbers(out, s, x);
    add_text(out, WIRE_TAG_NAME, s->name);
    add_text(out, WIRE_TAG_PROGRAM, program);
    add_text(out, WIRE_TAG_DIR, x->run_dir);
    for (size_t i = 0; s->argv[i]; i++)
        add_text(out, WIRE_TAG_ARG, s->argv[i]);
    add_env(out, s);
    st = add_binds(out, s, program, e);
    if (st != STATUS_OK)
        return err_prefix(e, "launch %s", s->name);
    add_rest(out, s, x);
    st = buf_status(out);
    if (st != STATUS_OK)
        return err_set(e, st, "launch %s: arguments, environment and paths take more than %d bytes",
                       s->name, REAPER_SPEC_MAX);
    h.len = (uint32_t)(out->len - start);
    memcpy(out->ptr + start, &h, sizeof(h));
    return STATUS_OK;
}
