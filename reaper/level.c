#include "reaper/level.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"

static const struct {
    const char *name, *title;
} layers[REAPER_LAYER_COUNT] = {
#define LAYER_ROW(id, name_, title_) [REAPER_LAYER_##id] = {.name = (name_), .title = (title_)},
    REAPER_LAYER_TABLE(LAYER_ROW)
#undef LAYER_ROW
};

/* What its absence costs, and how to mend it; parallel to the layer table. */
static const struct {
    const char *cost, *mend;
} advice[REAPER_LAYER_COUNT] = {
    [REAPER_LAYER_CHROMIUM] = {"a page that breaks into its renderer owns the browser: sandbox "
                               "\"require\" refuses to start one",
                               "allow user namespaces: sysctl user.max_user_namespaces > 0, "
                               "kernel.apparmor_restrict_unprivileged_userns=0; "
                               "in a container use the seccomp profile that comes with Fleet"},
    [REAPER_LAYER_PIDNS] =
        {"the end of a member is not guaranteed by the kernel, see the guarantee",
         "run as root with CAP_SYS_ADMIN, or allow user namespaces"},
    [REAPER_LAYER_MOUNTNS] = {"a member sees the file system of this user, and its temporary files "
                              "are on disk until it ends",
                              "run as root with CAP_SYS_ADMIN, or allow user namespaces"},
    [REAPER_LAYER_NETNS] =
        {"a member reaches the network by itself: only flags keep it to its proxy; sandbox "
         "\"require\" refuses to start a browser",
         "run as root with CAP_SYS_ADMIN, or allow user namespaces and net namespaces "
         "(user.max_net_namespaces)"},
    [REAPER_LAYER_IPCNS] = {"members share System V IPC with this machine",
                            "as for the PID namespace"},
    [REAPER_LAYER_UID] = {"a member runs as this process's own user",
                          "do not run as root inside a container (or give it CAP_SYS_ADMIN)"},
    [REAPER_LAYER_NNP] = {"a member could gain privileges from setuid programs",
                          "a kernel of 3.5 or later"},
    [REAPER_LAYER_SECCOMP] =
        {"the browser process has no system call filter",
         "a kernel with CONFIG_SECCOMP_FILTER, and a container profile that allows seccomp"},
    [REAPER_LAYER_LANDLOCK] = {"files are kept by mounts and permissions alone",
                               "a kernel of 5.13 or later with Landlock in its lsm= list"},
    [REAPER_LAYER_RLIMITS] = {"no resource limits", ""},
    [REAPER_LAYER_CGROUP] =
        {"no limits of memory, processes and CPU: a page can take all of the machine's memory",
         "run as root, or in a delegated cgroup: systemd-run --user --scope -p Delegate=yes fleet "
         "..."},
    [REAPER_LAYER_CGROUP_KILL] =
        {"one way less to end a member where PID namespaces cannot be had",
         "a kernel of 5.14 or later with cgroup v2 delegated to this user"},
};

static const char *const guarantees[] = {
    [REAPER_GUARANTEE_KERNEL] =
        "by the kernel: a member's PID namespace ends with its controller, whatever is killed",
    [REAPER_GUARANTEE_CGROUP] =
        "by cgroup.kill: fleet-reaper, or the next start, ends all of a member at once",
    [REAPER_GUARANTEE_UID] =
        "by uid: fleet-reaper, or the next start, kills all of a member's own uid at once",
    [REAPER_GUARANTEE_BEST_EFFORT] =
        "best effort: fleet-reaper and each member's init kill what they find below themselves; if "
        "both are killed "
        "with the controller, stopped or detached processes stay until the next start",
};

const char *reaper_layer_name(enum reaper_layer l)
{
    BUG_ON((unsigned)l >= REAPER_LAYER_COUNT);
    return layers[l].name;
}

const char *reaper_layer_title(enum reaper_layer l)
{
    BUG_ON((unsigned)l >= REAPER_LAYER_COUNT);
    return layers[l].title;
}

char *reaper_layers_text(uint32_t bits, char *out)
{
    size_t n = 0;

    snprintf(out, REAPER_LAYERS_TEXT_MAX, "none");
    for (unsigned l = 0; l < REAPER_LAYER_COUNT; l++) {
        if ((bits & REAPER_LAYER_BIT(l)) == 0 || n >= REAPER_LAYERS_TEXT_MAX)
            continue;
        n += (size_t)snprintf(out + n, REAPER_LAYERS_TEXT_MAX - n, "%s%s", n ? "," : "",
                              layers[l].name);
    }
    return out;
}

const char *reaper_guarantee_text(enum reaper_guarantee g)
{
    BUG_ON((unsigned)g >= ARRAY_LEN(guarantees));
    return guarantees[g];
}

const char *reaper_guarantee_name(enum reaper_guarantee g)
{
    static const char *const names[] = {"kernel", "cgroup", "uid", "best-effort"};

    BUG_ON((unsigned)g >= ARRAY_LEN(names));
    return names[g];
}

static bool has(uint32_t bits, enum reaper_layer l)
{
    return (bits & REAPER_LAYER_BIT(l)) != 0;
}

static enum reaper_guarantee guarantee_of(uint32_t bits, bool root)
{
    if (has(bits, REAPER_LAYER_PIDNS))
        return REAPER_GUARANTEE_KERNEL;
    if (has(bits, REAPER_LAYER_CGROUP_KILL))
        return REAPER_GUARANTEE_CGROUP;
    return root && has(bits, REAPER_LAYER_UID) ? REAPER_GUARANTEE_UID
                                               : REAPER_GUARANTEE_BEST_EFFORT;
}

enum reaper_guarantee reaper_guarantee_of(uint32_t bits)
{
    return guarantee_of(bits, has(bits, REAPER_LAYER_UID));
}

/* Missing: what a sandbox is made of, or what keeps a promise. Degraded: a layer among others. */
static enum reaper_row_state state_of(uint32_t bits, enum reaper_layer l)
{
    if (has(bits, l))
        return REAPER_ROW_OK;
    return (REAPER_LAYERS_REQUIRED & REAPER_LAYER_BIT(l)) != 0 ? REAPER_ROW_MISSING
                                                               : REAPER_ROW_DEGRADED;
}

void reaper_level_fill(struct reaper_level *out, uint32_t bits, bool root, bool userns,
                       const int errnos[REAPER_LAYER_COUNT])
{
    memset(out, 0, sizeof(*out));
    out->guarantee = guarantee_of(bits, root);
    out->root = root;
    out->userns = userns;
    out->layers = bits;
    for (unsigned l = 0; l < REAPER_LAYER_COUNT; l++) {
        struct reaper_row *row = &out->rows[l];
        bool ok = has(bits, (enum reaper_layer)l);

        row->layer = (enum reaper_layer)l;
        row->state = state_of(bits, row->layer);
        row->sys_errno = ok ? 0 : errnos[l];
        row->cost = ok ? "" : advice[l].cost;
        row->mend = ok ? "" : advice[l].mend;
        /* a second best: it is there only where the first is not needed */
        if (l == REAPER_LAYER_CGROUP_KILL && out->guarantee == REAPER_GUARANTEE_KERNEL)
            row->state = REAPER_ROW_OK;
    }
}

bool reaper_level_check(uint32_t bits, uint32_t required, struct err *e)
{
    struct buf b = BUF_INIT(1024);
    uint32_t missing = required & ~bits;

    if (missing == 0)
        return true;
    for (unsigned l = 0; l < REAPER_LAYER_COUNT; l++)
        if ((missing & REAPER_LAYER_BIT(l)) != 0)
            buf_addf(&b, "%s%s", b.len ? ", " : "", layers[l].name);
    for (unsigned l = 0; l < REAPER_LAYER_COUNT; l++)
        if ((missing & REAPER_LAYER_BIT(l)) != 0) {
            buf_addf(&b, " cannot be had here; %s; `fleet doctor` tells more", advice[l].mend);
            break;
        }
    err_set(e, STATUS_ENVIRONMENT, "the sandbox requires what this machine does not offer: %s",
            b.ptr ? b.ptr : "");
    buf_deinit(&b);
    return false;
}
