/* Storage state as Playwright writes it (state.h), in and out by ops. Cookies are all of the
 * member's. Local storage can only be read where a document of the origin is: the origins of the
 * page's frames are exported. An import of local storage waits for the first document of each
 * origin: it is put there before the page's own scripts run, where the page does not see who does
 * it, and never over what is there already. */
#include "browser/ops_state.h"

#include "browser/acting.h"
#include "browser/state.h"

#define F(T, m) JF_COMMON(struct T, m)

/* --- member.state.export --- */

struct export_args {
    const char *name;
    bool save;
};

static const struct json_field export_fields[] = {
    {F(export_args, save), .kind = JK_BOOL,
     .doc = "Into a file among the artifacts instead of the result; default false."},
    {F(export_args, name), .kind = JK_STR, .max = 100,
     .doc = "Part of the file's name; default \"state\"."},
};

static const struct json_schema export_schema = {
    .name = "member.state.export",
    .fields = export_fields,
    .n = ARRAY_LEN(export_fields),
    .size = sizeof(struct export_args),
};

struct exporting {
    struct acting *acting;
    struct op_call *call;
    struct json *state; /* {"cookies", "origins"} */
};

static void export_end(struct exporting *x, enum status s, const struct err *e)
{
    struct op_call *call = x->call;
    const struct export_args *args = call->args;
    struct json *state = steal_ptr(&x->state);
    struct buf text = BUF_INIT(BUF_MAX_FILE);

    if (s != STATUS_OK) {
        json_destroy(&state);
        session_finish(call, s, e, NULL);
        return;
    }
    if (!args->save) {
        session_finish(call, STATUS_OK, e, json_add(json_new_object(), "state", state));
        return;
    }
    json_print(state, 2, &text);
    json_destroy(&state);
    acting_save(call, buf_status(&text), buf_str(&text), e,
                args->name != NULL ? args->name : "state", "json");
    buf_deinit(&text);
}

/* An origin without items is not worth a line. */
static void on_origins(void *arg, enum status s, struct json *origins, const struct err *e)
{
    struct exporting *x = arg;
    struct json *kept = json_new_array();

    for (const struct json *o = json_first(origins); o != NULL; o = json_next(o))
        if (json_len(json_get(o, "localStorage")) > 0)
            json_push(kept, json_dup(o));
    json_destroy(&origins);
    json_add(x->state, "origins", kept);
    export_end(x, s, e);
}

static void on_cookies(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct exporting *x = arg;

    x->state = json_add(json_new_object(), "cookies", state_cookies(result));
    if (s == STATUS_OK)
        state_read_origins(x->acting->page, x->call->arena, x->call->deadline_ms, &x->acting->id,
                           on_origins, x);
    else
        export_end(x, s, e);
}

static void export_run(struct op_call *call)
{
    struct exporting *x = arena_new(call->arena, struct exporting);

    x->call = call;
    x->acting = acting_begin(call);
    x->acting->id = page_context_call(x->acting->page, "Storage.getCookies", STR_NONE,
                                      call->deadline_ms, on_cookies, x);
}

/* --- member.state.import --- */

struct import_args {
    const struct json *state;
};

static const struct json_field import_fields[] = {
    {F(import_args, state), .kind = JK_ANY, .required = true,
     .doc = "Playwright's storage state: {\"cookies\": [...], \"origins\": [...]}."},
};

static bool is_list(const struct json *j)
{
    return j == NULL || json_type(j) == JSON_ARRAY;
}

static void check_cookies(struct json_decode *d, const struct json *cookies)
{
    static const char *const wanted[] = {"name", "value", "domain"};
    size_t i = 0;

    for (const struct json *c = json_first(cookies); c != NULL; c = json_next(c), i++)
        for (size_t k = 0; k < ARRAY_LEN(wanted); k++)
            if (json_str(json_get(c, wanted[k]), NULL) == NULL)
                json_fail(d, "/state/cookies", "element %zu: no %s, expected a string", i,
                          wanted[k]);
}

static void import_check(struct json_decode *d, void *obj)
{
    const struct import_args *a = obj;
    const struct json *cookies = json_get(a->state, "cookies"),
                      *origins = json_get(a->state, "origins");

    /* A variable whose value is not known yet is text here. */
    if (json_type(a->state) == JSON_STRING)
        return;
    if (json_type(a->state) != JSON_OBJECT || !is_list(cookies) || !is_list(origins))
        json_fail(d, "/state", "expected an object with the lists cookies and origins");
    else
        check_cookies(d, cookies);
}

static const struct json_schema import_schema = {
    .name = "member.state.import",
    .fields = import_fields,
    .n = ARRAY_LEN(import_fields),
    .size = sizeof(struct import_args),
    .check = import_check,
};

static void on_set(void *arg, enum status s, const struct json *result, const struct err *e)
{
    struct op_call *call = arg;
    const struct import_args *args = call->args;
    struct json *done = NULL;

    (void)result;
    if (s == STATUS_OK) {
        if (json_len(json_get(args->state, "origins")) > 0)
            state_seed(((struct acting *)call->run_state)->page, json_get(args->state, "origins"),
                       false);
        done = json_new_object();
        json_add_num(done, "cookies", (double)json_len(json_get(args->state, "cookies")));
        json_add_num(done, "origins", (double)json_len(json_get(args->state, "origins")));
    }
    session_finish(call, s, e, done);
}

static void import_run(struct op_call *call)
{
    const struct import_args *args = call->args;
    struct acting *a = acting_begin(call);
    struct buf b = BUF_INIT(BUF_MAX_FILE);
    struct err e = ERR_INIT;

    if (json_type(args->state) != JSON_OBJECT) {
        err_set(&e, STATUS_INVALID, "state: found %s, expected an object",
                json_type_name(json_type(args->state)));
        session_finish(call, STATUS_INVALID, &e, NULL);
        return;
    }
    buf_adds(&b, "\"cookies\":");
    state_print_cookies(&b, json_get(args->state, "cookies"));
    a->id = page_context_call(a->page, "Storage.setCookies", buf_str(&b), call->deadline_ms, on_set,
                              call);
    buf_deinit(&b);
}

/* --- the rows --- */

const struct op ops_state[] = {
    {"member.state.export",
     "The member's cookies, and the local storage of the page's origins, in Playwright's JSON.",
     &export_schema, OP_HOLDS_RESULT, export_run},
    {"member.state.import",
     "Gives the member cookies and local storage of a Playwright storage state.", &import_schema, 0,
     import_run},
};
const size_t n_ops_state = ARRAY_LEN(ops_state);
