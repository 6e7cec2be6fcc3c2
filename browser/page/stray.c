/* Document requests of frames that are not known yet. The request is told by the browser's process,
 * the frame by its page's: under load the frame comes behind (Page.frameAttached,
 * Target.attachedToTarget). The request stays paused meanwhile, and is looked at again when its
 * frame is known; one whose frame does not come is failed, as nothing may go out that nobody
 * answers for. */
#include <stdio.h>

#include "browser/page/page_internal.h"
#include "core/base/log.h"

enum { STRAY_MS = 5000, STRAYS_MAX = 256 };

struct stray {
    struct list link; /* the targets' */
    struct targets *targets;
    struct json *params; /* of its Fetch.requestPaused */
    char frame[DEVTOOLS_ID_MAX];
    struct loop_timer timer;
};

static void stray_free(struct stray *s)
{
    loop_timer_stop(&s->timer);
    list_remove(&s->link);
    s->targets->n_strays--;
    json_destroy(&s->params);
    free(s);
}

/* Its frame is there, or its time is over. */
static void on_stray(struct loop_timer *timer)
{
    struct stray *s = container_of(timer, struct stray, timer);
    struct targets *t = s->targets;
    struct json *params = steal_ptr(&s->params);

    stray_free(s);
    network_paused_again(t, params);
    json_destroy(&params);
}

bool stray_keep(struct targets *t, const struct json *params)
{
    const char *frame = json_str(json_get(params, "frameId"), "");
    struct stray *s;

    if (frame[0] == '\0' || strlen(frame) >= DEVTOOLS_ID_MAX || t->n_strays == STRAYS_MAX)
        return false;
    s = xcalloc(1, sizeof *s);
    s->targets = t;
    s->params = json_dup(params);
    snprintf(s->frame, sizeof s->frame, "%s", frame);
    list_push(&t->strays, &s->link);
    t->n_strays++;
    loop_timer_start(t->loop, &s->timer, STRAY_MS, on_stray);
    log_debug(NULL, "page.document.early", LOG_STR("frame", frame));
    return true;
}

void stray_known(struct targets *t, const char *frame)
{
    list_for_each (link, &t->strays) {
        struct stray *s = list_entry(link, struct stray, link);

        if (strcmp(s->frame, frame) == 0)
            loop_timer_start(t->loop, &s->timer, 0, on_stray);
    }
}

void strays_drop(struct targets *t)
{
    while (!list_empty(&t->strays))
        stray_free(list_entry(t->strays.next, struct stray, link));
}
