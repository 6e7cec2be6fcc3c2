/* What the files of the control API share: one file a resource. */
#ifndef CORE_API_API_INTERNAL_H
#define CORE_API_API_INTERNAL_H

#include "core/api/api.h"

struct api {
    struct api_opts opts;
    struct server *server;
    struct engine *engine;
};

/** Decodes the body with a schema into `obj`; false: it was answered. */
must_check bool api_decode(struct exchange *x, const struct json_schema *schema, void *obj);
/** False (and answered) when there is a query parameter that is not in `known`. */
must_check bool api_check_query(struct exchange *x, const char *const *known);
/** The body must be empty, or an empty object; false: answered. */
must_check bool api_no_body(struct exchange *x);
/** Lines of errors as the answer: {"error":{"code","message","errors":[...]}}. */
void api_answer_errors(struct exchange *x, const struct err *e, const struct buf *lines);

/* api_engine.c */
void api_health(struct exchange *x, void *arg);
void api_index(struct exchange *x, void *arg);
void api_status(struct exchange *x, void *arg);
void api_metrics(struct exchange *x, void *arg);
void api_config(struct exchange *x, void *arg);
void api_config_patch(struct exchange *x, void *arg);
void api_scale(struct exchange *x, void *arg);
void api_pause(struct exchange *x, void *arg);
void api_resume(struct exchange *x, void *arg);
void api_drain(struct exchange *x, void *arg);

/* api_batches.c */
void api_batches(struct exchange *x, void *arg);
void api_batch_submit(struct exchange *x, void *arg);
void api_batch(struct exchange *x, void *arg);
void api_batch_results(struct exchange *x, void *arg);
void api_batch_summary(struct exchange *x, void *arg);
void api_batch_cancel(struct exchange *x, void *arg);
void api_batch_remove(struct exchange *x, void *arg);
void api_batches_remove(struct exchange *x, void *arg);

/* api_guard.c */
void api_breakers(struct exchange *x, void *arg);
void api_breaker_reset(struct exchange *x, void *arg);
/** Targets that are known, with tokens and breaker, as an array. */
must_check struct json *api_targets_json(struct engine *e);

/* api_members.c */
void api_member_rotate(struct exchange *x, void *arg);

/* api_events.c */
void api_events(struct exchange *x, void *arg);

#endif
