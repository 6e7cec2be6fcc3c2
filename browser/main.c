/* fleet: the whole thing. */
#include "browser/chromium/args.h"
#include "browser/chromium/version.h"
#include "browser/demo/verb_demo.h"
#include "browser/doctor.h"
#include "browser/executor.h"
#include "browser/flow/verb_flow.h"
#include "browser/gateway/face.h"
#include "browser/ops.h"
#include "core/cli/cli.h"

static enum status browser_version(const struct campaign_conf *c, const char *state_dir,
                                   char out[32], struct err *e)
{
    struct arena *a = arena_create(NULL, 0);
    struct browser_program program;
    enum status s = browser_find(a, c->browser, &program, e);

    if (s == STATUS_OK)
        s = browser_version_of(program.path, state_dir, out, e);
    arena_destroy(&a);
    return s;
}

static const struct run_kit kit = {
    .executor = &browser_executor,
    .add_ops = ops_add_browser,
    .browser_version = browser_version,
    .needs_reaper = true,
};

static doctor_check_fn *const checks[] = {browser_doctor, NULL};

static const struct cli_verb *const verbs[] = {
    CLI_VERBS_RUN,    &verb_demo,      CLI_VERBS_ENGINE,  &verb_lease,     &verb_doctor,
    &verb_flow_check, CLI_VERBS_FILES, CLI_VERBS_PROGRAM, &verb_demo_site, NULL,
};

static const struct serve_face *const faces[] = {&gateway_face, NULL};

int main(int argc, char **argv)
{
    static const struct cli_program program = {
        .name = "fleet",
        .summary = "browser campaigns that can be proved",
        .verbs = verbs,
        .kit = &kit,
        .checks = checks,
        .faces = faces,
    };

    return cli_main(&program, argc, argv);
}
