#include "tests/support/traffic_play.h"

static void play_loaded(struct traffic *t, const char *method, const struct json *params)
{
    const char *loader = t->n_pages > 0 ? t->pages[t->n_pages - 1].loader : "";
    double at_s = json_num(json_get(params, "timestamp"), 0);

    if (strcmp(method, "Page.domContentEventFired") == 0)
        traffic_loaded(t, loader, false, at_s);
    else if (strcmp(method, "Page.loadEventFired") == 0)
        traffic_loaded(t, loader, true, at_s);
}

void traffic_play(struct traffic *t, struct str lines, const char *frame)
{
    const struct traffic_place at = {1, frame, "http://before.example/", "", 1795257000};

    while (lines.ptr != NULL) {
        struct json *j = json_parse(str_cut(&lines, '\n'), false, NULL);
        const char *method = json_str(json_get(j, "method"), "");
        const struct json *params = json_get(j, "params");

        for (int kind = 0; kind < TRAFFIC_KIND_COUNT; kind++)
            if (strcmp(method, traffic_methods[kind]) == 0)
                (void)traffic_take(t, &at, (enum traffic_kind)kind, params);
        play_loaded(t, method, params);
        json_destroy(&j);
    }
}
