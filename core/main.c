/* fleet-core: the same verbs without the browser add-on. */
#include <stdio.h>

#include "core/cli/cli.h"
#include "core/cli/doctor.h"
#include "core/http/executor.h"

/* Identities need the version of a browser; plain HTTP shows none of its own. */
static enum status browser_version(const struct campaign_conf *c, const char *state_dir,
                                   char out[32], struct err *e)
{
    (void)c;
    (void)state_dir;
    (void)e;
    snprintf(out, 32, "%s", HTTP_EXECUTOR_BROWSER_VERSION);
    return STATUS_OK;
}

static const struct run_kit kit = {
    .executor = &http_executor,
    .browser_version = browser_version,
};

static const struct cli_verb *const verbs[] = {
    &verb_run,
    &verb_resume,
    &verb_serve,
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
    NULL,
};

int main(int argc, char **argv)
{
    static const struct cli_program program = {
        .name = "fleet-core",
        .summary = "campaigns over plain HTTP that can be proved",
        .verbs = verbs,
        .kit = &kit,
    };

    return cli_main(&program, argc, argv);
}
