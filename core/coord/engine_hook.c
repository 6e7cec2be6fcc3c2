/* The policy's own program (core/guard/hook.h): launched by the reaper as an automation, with one
 * socket as its standard input and output. When it ends the policy says no; it is not started
 * again, since a program that decides and falls over must be looked at. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/log.h"
#include "core/coord/engine_internal.h"
#include "core/guard/hook.h"
#include "reaper/reaper.h"

static void on_exit_of_hook(struct reaper_child *c maybe_unused, const struct reaper_exit *x,
                            void *arg maybe_unused)
{
    log_warn(NULL, "policy.hook.ended", LOG_STR("how", err_text(&x->err)));
}

/* argv with an absolute program, where it has a slash. */
static enum status absolute_argv(struct engine *e, const struct json_strs *hook, const char ***out,
                                 struct err *er)
{
    const char **argv = arena_array(e->arena, const char *, hook->n + 1);
    char path[PATH_MAX];

    for (size_t i = 0; i < hook->n; i++)
        argv[i] = hook->v[i];
    if (strchr(argv[0], '/')) {
        if (!realpath(argv[0], path))
            return err_set_errno(er, STATUS_NOT_FOUND, errno, "policy.hook: %s", argv[0]);
        argv[0] = arena_strdup(e->arena, path);
    }
    *out = argv;
    return STATUS_OK;
}

static enum status launch(struct engine *e, const char *const *argv, int far, struct err *er)
{
    char state[PATH_MAX];
    const char *const hide[] = {realpath(e->state_dir, state), NULL};
    const struct reaper_fd fds[] = {{far, 0}, {far, 1}};
    const struct reaper_callbacks cb = {.on_exit = on_exit_of_hook};
    const struct reaper_spec spec = {.name = "policy-hook",
                                     .kind = REAPER_AUTOMATION,
                                     .argv = argv,
                                     .fds = fds,
                                     .n_fds = ARRAY_LEN(fds),
                                     .stderr_fd = STDERR_FILENO,
                                     .sandbox = REAPER_SANDBOX_PREFER,
                                     .uid = REAPER_UID_OWN,
                                     .view = REAPER_VIEW_HOST,
                                     .hide = hide};
    struct reaper_child *child;

    return reaper_launch(e->reaper, &spec, &cb, &child, er);
}

enum status engine_make_hook(struct engine *e, struct err *er)
{
    const struct policy_conf *c = &e->conf->policy;
    cleanup_fd int near = -1, far = -1;
    struct policy_hook *hook = NULL;
    const char **argv = NULL;
    enum status s;
    int fd[2];

    if (c->hook.n == 0)
        return STATUS_OK;
    s = absolute_argv(e, &c->hook, &argv, er);
    if (s != STATUS_OK)
        return s;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) != 0)
        return err_set_errno(er, STATUS_ENVIRONMENT, errno, "policy.hook: socketpair");
    near = fd[0];
    far = fd[1];
    s = launch(e, argv, far, er);
    if (s == STATUS_OK)
        s = policy_hook_create(e->loop, near, c->hook_ms, &hook, er);
    if (s != STATUS_OK)
        return err_prefix(er, "policy.hook");
    (void)steal_fd(&near);
    policy_take_hook(e->policy, hook);
    return STATUS_OK;
}

void engine_end_hook(struct engine *e)
{
    if (e->policy && e->gate && gate_inside(e->gate) == 0)
        policy_take_hook(e->policy, NULL);
}
