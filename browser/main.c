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
    &verb_run,
    &verb_resume,
    &verb_demo,
    &verb_serve,
    &verb_lease,
    &verb_status,
    &verb_batch_submit,
    &verb_batch_list,
    &verb_batch_status,
    &verb_batch_results,
    &verb_batch_cancel,
    &verb_batch_remove,
    &verb_scale,
    &verb_pause,
    &verb_unpause,
    &verb_drain,
    &verb_doctor,
    &verb_flow_check,
    &verb_config_show,
    &verb_config_check,
    &verb_config_set,
    &verb_audit_verify,
    &verb_audit_prove,
    &verb_audit_consistency,
    &verb_audit_export,
    &verb_breaker_list,
    &verb_breaker_reset,
    &verb_identity_new,
    &verb_identity_list,
    &verb_identity_show,
    &verb_identity_import,
    &verb_identity_export,
    &verb_identity_rotate,
    &verb_identity_remove,
    &verb_identity_check,
    &verb_proxy_list,
    &verb_proxy_check,
    &verb_ops,
    &verb_completion,
    &verb_version,
    &verb_demo_site,
    NULL,
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
