/* Parameters of a client's command, checked and put right. Each is a `mend` of policy.h: `params`
 * is an object that may be changed; POLICY_DENIED or INVALID with the sentence that the client is
 * told. */
#ifndef BROWSER_GATEWAY_MEND_H
#define BROWSER_GATEWAY_MEND_H

#include "browser/gateway/policy.h"

typedef enum status mend_fn(const struct policy_scope *sc, struct json *params, struct err *e);

mend_fn mend_context;          /* browserContextId: the lease's own; put in when absent */
mend_fn mend_context_if_named; /* the same when it is named */
mend_fn mend_url;              /* url: a page's, see policy_url_ok */
mend_fn mend_continue;         /* Fetch.continueRequest: url and headers */
mend_fn mend_headers;          /* Network.setExtraHTTPHeaders: not those that are the identity's */
mend_fn mend_files;            /* files of DOM.setFileInputFiles: uploaded ones */
mend_fn mend_drag;             /* data.files of Input.dispatchDragEvent: the same */
mend_fn mend_downloads;        /* where they go */
mend_fn mend_downloads_page;
mend_fn mend_metrics;       /* the viewport is the client's, the screen is the identity's */
mend_fn mend_metrics_clear; /* becomes the identity's own */

#endif
