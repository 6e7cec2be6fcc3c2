/* An event's way: checked -> asked of the policy -> clock -> envelope -> log.
 *
 * Questions to the policy go out at once and may be answered in any order; the queue is worked off
 * from its head, so that the log has the order of the emits. Without a policy and with nobody in
 * the queue an event goes straight on.
 *
 *   ASKED --decide--> ALLOWED | DENIED --head of the queue--> logged | "policy.denied" logged
 *     \--silent for policy_ms--> DENIED; kept in `undecided` until the policy speaks after all */
#include "core/substrate/substrate_internal.h"

#include "core/base/jcs.h"
#include "core/record/merkle.h"

enum { CANONICAL_MAX = 1024 * 1024 - 4096 }; /* data: the envelope needs room as well */
enum verdict { VERDICT_ASKED, VERDICT_ALLOWED, VERDICT_DENIED };

struct substrate_decision {
    struct substrate *s;
    struct list link;
    uint64_t deadline_ms;
    enum verdict verdict;
    bool told; /* the policy has answered */
    struct emission *emission;
};

struct emission {
    struct substrate_decision decision;
    struct substrate_event ev; /* texts in the arena; data canonical */
    struct arena *arena;
    const char *log_id; /* what the log tells duplicates by; NULL: none */
    const char *why;
    struct substrate_envelope foreign; /* of a merge: node set */
    substrate_emitted_fn *done;
    void *arg;
};

/* --- checks --- */

static enum status canonical(struct str text, struct arena *a, struct str *out, struct err *e)
{
    struct buf b = BUF_INIT(CANONICAL_MAX);
    struct json *j;
    enum status s;

    *out = STR("{}");
    if (text.len == 0)
        return STATUS_OK;
    if (text.len > SUBSTRATE_DATA_MAX)
        return err_set(e, STATUS_TOO_LARGE, "%zu bytes, the limit is %d", text.len,
                       SUBSTRATE_DATA_MAX);
    j = json_parse(text, true, e);
    if (!j)
        return e->status;
    if (json_type(j) != JSON_OBJECT)
        s = err_set(e, STATUS_INVALID, "found %s, expected an object",
                    json_type_name(json_type(j)));
    else
        s = jcs_write(j, &b, e);
    json_destroy(&j);
    if (s == STATUS_OK)
        *out = arena_str(a, buf_str(&b));
    buf_deinit(&b);
    return s;
}

enum status event_check(const struct substrate_event *ev, struct arena *a, struct str *data,
                        struct err *e)
{
    static const char expected[] = "expected 1..200 printable ASCII characters without spaces";
    enum status s;

    if (!envelope_is_type(ev->type))
        return err_set(e, STATUS_INVALID,
                       "event type \"%.64s\": expected words of [a-z0-9_-] parted by dots, such as "
                       "\"task.succeeded\"",
                       ev->type ? ev->type : "");
    if (strncmp(ev->type, "policy.", 7) == 0)
        return err_set(e, STATUS_INVALID, "event type \"%.64s\": \"policy.\" is the log's own",
                       ev->type);
    if (ev->subject && ev->subject[0] && !substrate_is_name(ev->subject))
        return err_set(e, STATUS_INVALID, "event \"%.64s\": subject \"%.64s\": %s", ev->type,
                       ev->subject, expected);
    if (ev->id && ev->id[0] && !substrate_is_name(ev->id))
        return err_set(e, STATUS_INVALID, "event \"%.64s\": id \"%.64s\": %s", ev->type, ev->id,
                       expected);
    s = canonical(ev->data, a, data, e);
    if (s != STATUS_OK)
        err_prefix(e, "event \"%.64s\": data", ev->type);
    return s;
}

/* --- to the log --- */

static void answer_append(struct call *c, enum status s, const struct err *e)
{
    if (c->fn.emitted)
        c->fn.emitted(c->arg, s, s == STATUS_OK ? c->value : 0, c->duplicate, e);
}

/* Stamps the event, as late as possible: the log's times follow its order. */
static void stamp(struct substrate *s, const struct emission *m, struct substrate_envelope *v)
{
    uint64_t wall = loop_wall_ms(s->loop);

    if (!m->foreign.node) {
        v->node = s->node;
        v->at = hlc_tick(s->hlc, wall);
        return;
    }
    v->node = m->foreign.node;
    v->origin = m->foreign.has_origin ? m->foreign.origin : m->foreign.at;
    v->has_origin = true;
    v->at = hlc_merge(s->hlc, m->foreign.at, wall, &v->clamped);
    v->clamped = v->clamped || m->foreign.clamped;
}

static struct call *append_call(struct substrate *s, const struct substrate_envelope *v,
                                const char *log_id, call_answer_fn *answer, void *arg)
{
    struct call *c = call_new(s, CALL_APPEND, answer, arg);

    c->refused.status = STATUS_OK; /* what was taken on before the end is logged */
    buf_reset(&s->scratch);
    envelope_write(v, &s->scratch);
    if (buf_status(&s->scratch) != STATUS_OK)
        err_set(&c->refused, buf_status(&s->scratch), "event \"%s\": its envelope is too large",
                v->type);
    c->type = arena_strdup(c->arena, v->type);
    c->name2 = v->subject ? arena_strdup(c->arena, v->subject) : NULL;
    c->id = log_id ? arena_strdup(c->arena, log_id) : NULL;
    c->at = v->at;
    c->bytes = arena_str(c->arena, buf_str(&s->scratch));
    return c;
}

static void emission_free(struct emission *m)
{
    arena_destroy(&m->arena);
    free(m);
}

static void log_allowed(struct substrate *s, const struct emission *m)
{
    struct substrate_envelope v = {.type = m->ev.type,
                                   .subject = m->ev.subject,
                                   .id = m->ev.id,
                                   .policy = m->why,
                                   .data = m->ev.data};
    struct call *c;

    stamp(s, m, &v);
    c = append_call(s, &v, m->log_id, answer_append, m->arg);
    c->fn.emitted = m->done;
    call_start(c);
}

/* The record of the denial is durable, or failed: then that is what the emitter must know. */
static void answer_denied(struct call *c, enum status s, const struct err *e)
{
    struct emission *m = c->arg;
    struct err why = ERR_INIT;

    if (s == STATUS_OK) {
        s = err_set(&why, STATUS_POLICY_DENIED, "event \"%s\"%s%s: %s", m->ev.type,
                    m->ev.subject ? " of " : "", m->ev.subject ? m->ev.subject : "",
                    m->why ? m->why : "denied by the policy");
        e = &why;
    }
    if (m->done)
        m->done(m->arg, s, 0, false, e);
    /* A policy that has not answered may yet: its decision is the emission's. */
    if (m->decision.told)
        emission_free(m);
    else
        list_push(&m->decision.s->undecided, &m->decision.link);
}

static void log_denied(struct substrate *s, struct emission *m)
{
    struct substrate_envelope v = {.type = "policy.denied", .subject = m->ev.subject};
    struct hlc_time at = hlc_tick(s->hlc, loop_wall_ms(s->loop));
    struct buf data = BUF_INIT(BUF_MAX_LINE);

    buf_adds(&data, "{\"event\":");
    jcs_add_str(&data, str_from(m->ev.type));
    if (m->ev.id) {
        buf_adds(&data, ",\"id\":");
        jcs_add_str(&data, str_from(m->ev.id));
    }
    buf_adds(&data, ",\"why\":");
    jcs_add_str(&data, str_from(m->why ? m->why : "denied by the policy"));
    buf_addc(&data, '}');
    v.at = at;
    v.node = s->node;
    v.data = buf_str(&data);
    call_start(append_call(s, &v, NULL, answer_denied, m));
    buf_deinit(&data);
}

/* --- the queue --- */

static void arm_policy(struct substrate *s);

/* Works off the head as far as it is decided. */
static void pump(struct substrate *s)
{
    struct substrate_decision *d;

    if (s->in_pump)
        return;
    s->in_pump = true;
    while ((d = list_first(&s->emissions, struct substrate_decision, link)) &&
           d->verdict != VERDICT_ASKED) {
        list_remove(&d->link);
        s->n_emissions--;
        if (d->verdict == VERDICT_DENIED) {
            log_denied(s, d->emission);
        } else {
            log_allowed(s, d->emission);
            emission_free(d->emission);
        }
    }
    s->in_pump = false;
    arm_policy(s);
}

void substrate_decide(struct substrate_decision *d, bool allow, const char *why)
{
    struct emission *m = d->emission;

    BUG_ON(d->told);
    d->told = true;
    if (d->verdict != VERDICT_ASKED) { /* too late */
        bool logged = !list_empty(&d->link);

        list_remove(&d->link);
        if (logged)
            emission_free(m);
        return;
    }
    d->verdict = allow ? VERDICT_ALLOWED : VERDICT_DENIED;
    if (why && why[0]) {
        struct str cut = str_head(str_from(why), SUBSTRATE_NAME_MAX);

        m->why = arena_strndup(m->arena, cut.ptr, cut.len);
    }
    pump(d->s);
}

static void on_policy_silent(struct loop_timer *t)
{
    struct substrate *s = container_of(t, struct substrate, policy_timer);
    uint64_t now = loop_now_ms(s->loop);

    list_for_each (link, &s->emissions) {
        struct substrate_decision *d = list_entry(link, struct substrate_decision, link);

        if (d->verdict != VERDICT_ASKED || d->deadline_ms > now)
            continue;
        d->verdict = VERDICT_DENIED;
        d->emission->why =
            arena_printf(d->emission->arena, "the policy did not answer within %llu ms",
                         (unsigned long long)s->policy_ms);
    }
    pump(s);
    substrate_try_close(s);
}

/* The head is always the oldest question, or decided and gone. */
static void arm_policy(struct substrate *s)
{
    struct substrate_decision *d = list_first(&s->emissions, struct substrate_decision, link);
    uint64_t now = loop_now_ms(s->loop);

    if (!d)
        loop_timer_stop(&s->policy_timer);
    else if (!loop_timer_is_active(&s->policy_timer) || d->deadline_ms <= now)
        loop_timer_start(s->loop, &s->policy_timer, d->deadline_ms > now ? d->deadline_ms - now : 0,
                         on_policy_silent);
}

static void take_on(struct substrate *s, struct emission *m)
{
    struct substrate_decision *d = &m->decision;

    d->s = s;
    d->emission = m;
    d->deadline_ms = loop_now_ms(s->loop) + s->policy_ms;
    if (!s->policy) {
        d->verdict = VERDICT_ALLOWED;
        d->told = true;
    }
    list_push(&s->emissions, &d->link);
    s->n_emissions++;
    if (s->policy)
        s->policy(s->policy_arg, &m->ev, d);
    pump(s);
}

/* --- emit and merge --- */

static void answer_refused(struct call *c, enum status s, const struct err *e)
{
    if (c->fn.emitted)
        c->fn.emitted(c->arg, s, 0, false, e);
}

static void refuse(struct substrate *s, const struct err *e, substrate_emitted_fn *done, void *arg)
{
    struct call *c = call_new(s, CALL_APPEND, answer_refused, arg);

    c->refused = *e;
    c->fn.emitted = done;
    call_start(c);
}

static struct emission *emission_new(substrate_emitted_fn *done, void *arg)
{
    struct emission *m = xcalloc(1, sizeof(*m));

    m->arena = arena_create(NULL, 0);
    m->done = done;
    m->arg = arg;
    return m;
}

static const char *copy(struct arena *a, const char *z)
{
    return z && z[0] ? arena_strdup(a, z) : NULL;
}

void substrate_emit(struct substrate *s, const struct substrate_event *ev,
                    substrate_emitted_fn *done, void *arg)
{
    struct emission *m = emission_new(done, arg);
    struct err e = ERR_INIT;

    if (substrate_check_room(s, &e) != STATUS_OK ||
        event_check(ev, m->arena, &m->ev.data, &e) != STATUS_OK) {
        emission_free(m);
        refuse(s, &e, done, arg);
        return;
    }
    m->ev.type = copy(m->arena, ev->type);
    m->ev.subject = copy(m->arena, ev->subject);
    m->ev.id = copy(m->arena, ev->id);
    if (m->ev.id)
        m->log_id = arena_printf(m->arena, "id:%s", m->ev.id);
    take_on(s, m);
}

/* What tells a foreign event from all others: its node, and its id or its time there. */
static const char *foreign_id(struct arena *a, const struct substrate_envelope *v)
{
    struct hlc_time at = v->has_origin ? v->origin : v->at;
    struct merkle_hash h;
    char *text =
        v->id ? arena_printf(a, "%s id %s", v->node, v->id)
              : arena_printf(a, "%s at %llu %u", v->node, (unsigned long long)at.ms, at.counter);
    struct buf hex = BUF_INIT(128);
    char *id;

    merkle_sha256(text, strlen(text), &h);
    buf_adds(&hex, "merge:");
    buf_add_hex(&hex, h.b, sizeof(h.b));
    id = arena_strndup(a, hex.ptr, hex.len);
    buf_deinit(&hex);
    return id;
}

/* Its denials are its own log's; and ours are not said by others. */
static enum status check_foreign(const struct substrate_envelope *v, struct err *e)
{
    return strncmp(v->type, "policy.", 7) != 0
               ? STATUS_OK
               : err_set(e, STATUS_INVALID, "event type \"%.64s\": \"policy.\" is each log's own",
                         v->type);
}

void substrate_merge(struct substrate *s, struct str envelope, substrate_emitted_fn *done,
                     void *arg)
{
    struct emission *m = emission_new(done, arg);
    struct err e = ERR_INIT;

    if (substrate_check_room(s, &e) != STATUS_OK ||
        substrate_envelope_decode(envelope, m->arena, &m->foreign, &e) != STATUS_OK ||
        check_foreign(&m->foreign, &e) != STATUS_OK) {
        emission_free(m);
        refuse(s, &e, done, arg);
        return;
    }
    m->ev = (struct substrate_event){m->foreign.type, m->foreign.subject, m->foreign.id,
                                     m->foreign.data};
    m->log_id = foreign_id(m->arena, &m->foreign);
    take_on(s, m);
}

void substrate_set_policy(struct substrate *s, substrate_policy_fn *fn, void *arg)
{
    s->policy = fn;
    s->policy_arg = arg;
}

/* --- the end --- */

static void on_shut(struct substrate *s, struct emission *m)
{
    struct err e = ERR_INIT;

    err_set(&e, STATUS_SHUTTING_DOWN, "event \"%s\": the substrate is closing", m->ev.type);
    if (m->done)
        m->done(m->arg, STATUS_SHUTTING_DOWN, 0, false, &e);
    m->decision.verdict = VERDICT_DENIED;
    if (m->decision.told)
        emission_free(m);
    else
        list_push(&s->undecided, &m->decision.link);
}

void emit_close(struct substrate *s)
{
    struct list *link;

    s->n_emissions = 0;
    while ((link = list_pop(&s->emissions)))
        on_shut(s, list_entry(link, struct substrate_decision, link)->emission);
    loop_timer_stop(&s->policy_timer);
}

void emit_deinit(struct substrate *s)
{
    struct list *link;

    while ((link = list_pop(&s->undecided)))
        emission_free(list_entry(link, struct substrate_decision, link)->emission);
}
