/* What the engine does, as Prometheus reads it (text exposition format 0.0.4): one family after the
 * other, each with its help and type. Pure. */
#ifndef CORE_API_METRICS_H
#define CORE_API_METRICS_H

#include "core/base/buf.h"
#include "core/base/json.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/** From the object that GET /v1/status answers. What it has not (no browser, no limiter) has no
 * samples. Names, labels and what they mean: API.md, GET /metrics. */
void metrics_write(const struct json *status, struct buf *out);

#endif
