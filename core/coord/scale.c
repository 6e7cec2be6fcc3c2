#include "core/coord/scale.h"

#include <stdio.h>

#include "core/base/attr.h"

static uint32_t clamp(uint64_t v, const struct scale_conf *c)
{
    return v < c->min ? c->min : v > c->max ? c->max : (uint32_t)v;
}

enum shortage { SHORT_NONE, SHORT_MEMORY, SHORT_AVAILABLE, SHORT_CPU };

static const char *const shortage_words[] = {
    [SHORT_NONE] = NULL,
    [SHORT_MEMORY] = "memory pressure",
    [SHORT_AVAILABLE] = "little memory is left",
    [SHORT_CPU] = "processor pressure",
};

static uint32_t cpu_high(const struct scale_conf *c)
{
    if (c->cpu > 0)
        return c->cpu;
    return c->max > 0 ? SCALE_CPU_HIGH : 100;
}

static enum shortage shortage_of(const struct scale_conf *c, const struct scale_seen *s)
{
    if (s->memory_pressure > c->memory)
        return SHORT_MEMORY;
    if (s->available >= 0 && s->available < c->available)
        return SHORT_AVAILABLE;
    return s->cpu_pressure > cpu_high(c) ? SHORT_CPU : SHORT_NONE;
}

const char *scale_pressure(const struct scale_conf *c, const struct scale_seen *s,
                           char text[SCALE_TEXT_MAX])
{
    enum shortage what = shortage_of(c, s);
    const char *word = shortage_words[what];

    if (what == SHORT_NONE)
        return NULL;
    if (what == SHORT_AVAILABLE)
        snprintf(text, SCALE_TEXT_MAX, "%s: %.1f %% of it is available, expected %u %% or more",
                 word, s->available, c->available);
    else
        snprintf(text, SCALE_TEXT_MAX,
                 "%s: something waited for it in %.1f %% of the last 10 s, expected %u %% or less",
                 word, what == SHORT_MEMORY ? s->memory_pressure : s->cpu_pressure,
                 what == SHORT_MEMORY ? c->memory : cpu_high(c));
    return text;
}

static uint32_t quarter_less(uint32_t n)
{
    return n - (n > 4 ? n / 4 : n > 1 ? 1 : 0);
}

static uint32_t decide(struct autoscaler *a, const struct scale_seen *s, const char **why)
{
    bool spare = s->waiting == 0 && s->active * 2 < s->slots;

    *why = shortage_words[shortage_of(&a->conf, s)];
    a->idle = spare ? a->idle + 1 : 0;
    if (*why)
        return clamp(quarter_less(s->slots), &a->conf);
    if (s->waiting > 2 * s->active && s->active >= s->slots) {
        *why = "more than twice as many wait as run";
        return clamp((uint64_t)s->slots * 2, &a->conf);
    }
    if (a->idle >= SCALE_IDLE_PERIODS) {
        a->idle = 0;
        *why = "less than half of them is in use";
        return clamp(quarter_less(s->slots), &a->conf);
    }
    return clamp(s->slots, &a->conf);
}

static uint32_t half_more(uint32_t n)
{
    return n + (n > 1 ? n / 2 : 1);
}

uint32_t scale_admit(struct admission *a, const struct scale_conf *c, const struct scale_seen *s)
{
    static const struct scale_conf one = {.min = 1, .max = UINT32_MAX};
    enum shortage what = shortage_of(c, s);

    if (what == SHORT_NONE)
        a->cap = a->cap > 0 ? half_more(a->cap) : 0;
    else if (a->cap == 0)
        a->cap = clamp(s->active, &one);
    else if (what != SHORT_CPU)
        a->cap = quarter_less(a->cap);
    if (what == SHORT_NONE && a->cap >= s->slots)
        a->cap = 0;
    if (a->cap > s->slots)
        a->cap = s->slots;
    return a->cap > 0 ? a->cap : s->slots;
}

uint32_t scale_decide(struct autoscaler *a, const struct scale_seen *s, const char **why)
{
    uint32_t n = decide(a, s, why);

    if (n == s->slots)
        *why = "";
    else if (!*why)
        *why = "the bounds";
    return n;
}
