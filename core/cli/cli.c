#include "core/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#include "core/base/buf.h"
#include "core/base/log.h"
#include "core/cli/cli_internal.h"
#include "core/conf/campaign.h"

extern char **environ;

/* --- for verbs --- */

const struct cli_program *cli_program(const struct cli *c)
{
    return c->program;
}

const struct cli_verb *cli_verb(const struct cli *c)
{
    return c->verb;
}

size_t cli_options_len(const struct cli_verb *v)
{
    size_t n = 0;

    while (v->options && v->options[n].name)
        n++;
    return n;
}

static int option_index(const struct cli_verb *v, struct str name)
{
    for (size_t i = 0; i < cli_options_len(v); i++) {
        if (str_eqz(name, v->options[i].name))
            return (int)i;
    }
    return -1;
}

const char *cli_get(const struct cli *c, const char *option)
{
    int i = option_index(c->verb, str_from(option));

    if (i < 0)
        BUG("%s has no option --%s", c->verb->name, option);
    return c->values[i];
}

size_t cli_n_args(const struct cli *c)
{
    return c->n_args;
}

const char *cli_arg(const struct cli *c, size_t i)
{
    return i < c->n_args ? c->args[i] : NULL;
}

struct overrides *cli_overrides(const struct cli *c)
{
    return c->overrides;
}

const char *cli_state_dir(const struct cli *c)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *env = getenv("FLEET_STATE_DIR");

    if (c->state_dir)
        return c->state_dir;
    return env && env[0] ? env : ".fleet";
}

static int own_exit(const struct cli *c, int code)
{
    return c->verb && c->verb->fail_exit ? c->verb->fail_exit : code;
}

int cli_fail(const struct cli *c, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", c->program->name, err_text(e));
    if (status_exit(e->status) == EXIT_ENVIRONMENT)
        fprintf(stderr, "\"%s doctor\" explains what the machine offers and lacks.\n",
                c->program->name);
    return own_exit(c, status_exit(e->status));
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", c->program->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry \"%s%s%s --help\".\n", c->program->name, c->verb ? " " : "",
            c->verb ? c->verb->name : "");
    return own_exit(c, EXIT_USAGE);
}

int cli_print_json(const struct cli *c, const struct json *j)
{
    struct buf text = BUF_INIT(BUF_MAX_FILE);
    int code = EXIT_OK;

    json_print(j, 2, &text);
    buf_addc(&text, '\n');
    if (fwrite(text.ptr, 1, text.len, stdout) != text.len || fflush(stdout) != 0) {
        fprintf(stderr, "%s: standard output cannot be written\n", c->program->name);
        code = EXIT_ENVIRONMENT;
    }
    buf_deinit(&text);
    return code;
}

/* --- verbs --- */

/* The verb that the first words name; *n_words how many they are. */
static const struct cli_verb *find_verb(const struct cli_program *p, char *const *words, int n,
                                        int *n_words)
{
    char two[128];

    *n_words = 2;
    if (n >= 2) {
        snprintf(two, sizeof(two), "%s %s", words[0], words[1]);
        for (size_t i = 0; p->verbs[i]; i++) {
            if (strcmp(p->verbs[i]->name, two) == 0)
                return p->verbs[i];
        }
    }
    *n_words = 1;
    for (size_t i = 0; p->verbs[i]; i++) {
        if (strcmp(p->verbs[i]->name, words[0]) == 0)
            return p->verbs[i];
    }
    return NULL;
}

bool cli_is_first_word(const char *name, const char *word)
{
    size_t n = strlen(word);

    return strncmp(name, word, n) == 0 && name[n] == ' ';
}

/* "batch --help", "help batch": help on what is no verb, but the first word of some. */
static bool help_group(const struct cli *c, char *const *words, int n)
{
    bool asked = n < 2 ? c->help : strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0;

    for (size_t i = 0; asked && c->program->verbs[i]; i++) {
        if (!c->program->verbs[i]->hidden &&
            cli_is_first_word(c->program->verbs[i]->name, words[0])) {
            cli_help_group(c->program, words[0], stdout);
            return true;
        }
    }
    return false;
}

static int unknown_verb(const struct cli *c, char *const *words, int n)
{
    const char *names[64], *near;
    struct buf below = BUF_INIT(1024);
    char two[128];
    size_t n_names = 0;

    snprintf(two, sizeof(two), "%s%s%s", words[0], n > 1 ? " " : "", n > 1 ? words[1] : "");
    for (size_t i = 0; c->program->verbs[i] && n_names < ARRAY_LEN(names); i++) {
        if (c->program->verbs[i]->hidden)
            continue;
        names[n_names++] = c->program->verbs[i]->name;
        if (cli_is_first_word(c->program->verbs[i]->name, words[0]))
            buf_addf(&below, "%s%s", below.len ? ", " : "",
                     c->program->verbs[i]->name + strlen(words[0]) + 1);
    }
    near = str_suggest(str_from(two), names, n_names);
    if (!near)
        near = str_suggest(str_from(words[0]), names, n_names);
    if (below.len && n < 2)
        (void)cli_usage(c, "%s: expected one of: %s", words[0], below.ptr);
    else if (near)
        (void)cli_usage(c, "unknown verb \"%s\", did you mean \"%s\"?", below.len ? two : words[0],
                        near);
    else if (below.len)
        (void)cli_usage(c, "unknown verb \"%s\": %s has %s", two, words[0], below.ptr);
    else
        (void)cli_usage(c, "unknown verb \"%s\"", words[0]);
    buf_deinit(&below);
    return EXIT_USAGE;
}

/* --- options --- */

/* One argument that begins with a dash. *i is the place of the next. EXIT_OK, or what to end with.
 */
struct words {
    char **v;
    int n, i;
};

static const char *take_value(struct words *w, struct str rest)
{
    if (rest.ptr)
        return rest.ptr;
    return w->i < w->n ? w->v[w->i++] : NULL;
}

static int take_global(struct cli *c, struct words *w, struct str name, struct str rest,
                       bool *known)
{
    const char **into = str_eqz(name, "state-dir") ? &c->state_dir
                        : str_eqz(name, "log")     ? &c->log
                                                   : NULL;

    *known = true;
    if (into) {
        *into = take_value(w, rest);
        return *into && **into ? EXIT_OK : cli_usage(c, "--%.*s: expected a value", STR_ARG(name));
    }
    if (str_eqz(name, "help"))
        c->help = true;
    else if (str_eqz(name, "version") && !c->verb)
        c->version = true;
    else
        *known = false;
    return EXIT_OK;
}

static int take_own(struct cli *c, struct words *w, int i, struct str rest)
{
    const struct cli_option *o = &c->verb->options[i];

    if (!o->value && rest.ptr)
        return cli_usage(c, "--%s takes no value", o->name);
    c->values[i] = o->value ? take_value(w, rest) : "";
    return c->values[i] ? EXIT_OK : cli_usage(c, "--%s: expected %s", o->name, o->value);
}

static int take_config(struct cli *c, struct words *w, struct str name, struct str rest)
{
    struct err e = ERR_INIT;
    bool takes_value;

    if (overrides_has(c->overrides, name, &takes_value, NULL) && takes_value && !rest.ptr)
        rest = str_from(take_value(w, rest));
    if (overrides_flag(c->overrides, name, rest.ptr, &e) != STATUS_OK)
        return cli_usage(c, "%s", err_text(&e));
    return EXIT_OK;
}

static int unknown_option(struct cli *c, struct str name)
{
    const char *names[CLI_OPTIONS_MAX + 4] = {"help", "state-dir", "log"}, *near;
    size_t n = 3;

    for (size_t i = 0; c->verb && i < cli_options_len(c->verb); i++)
        names[n++] = c->verb->options[i].name;
    near = str_suggest(name, names, n);
    return cli_usage(c, "unknown option --%.*s%s%s%s", STR_ARG(name),
                     near ? ", did you mean --" : "", near ? near : "", near ? "?" : "");
}

static int take_long(struct cli *c, struct words *w, struct str text)
{
    struct str rest = text, name = str_cut(&rest, '=');
    int i = c->verb ? option_index(c->verb, name) : -1, code;
    bool known;

    if (i >= 0)
        return take_own(c, w, i, rest);
    code = take_global(c, w, name, rest, &known);
    if (known || code != EXIT_OK)
        return code;
    if (c->verb && c->verb->takes_config)
        return take_config(c, w, name, rest);
    return unknown_option(c, name);
}

static int take_letter(struct cli *c, struct words *w, const char *text)
{
    for (size_t i = 0; c->verb && i < cli_options_len(c->verb); i++) {
        const struct cli_option *o = &c->verb->options[i];

        if (o->letter == text[0])
            return take_own(c, w, (int)i, text[1] ? str_from(text + 1) : STR_NONE);
    }
    if (text[0] == 'h' && !text[1]) {
        c->help = true;
        return EXIT_OK;
    }
    return cli_usage(c, "unknown option -%s", text);
}

/* Everything behind the program's name and the verb. */
static int take_words(struct cli *c, struct words *w, bool until_verb)
{
    while (w->i < w->n) {
        const char *s = w->v[w->i];
        int code;

        if (s[0] != '-' || !s[1]) {
            if (until_verb)
                return EXIT_OK;
            c->args[c->n_args++] = s;
            w->i++;
            continue;
        }
        w->i++;
        if (strcmp(s, "--") == 0)
            break;
        code = s[1] == '-' ? take_long(c, w, str_from(s + 2)) : take_letter(c, w, s + 1);
        if (code != EXIT_OK)
            return code;
    }
    while (!until_verb && w->i < w->n)
        c->args[c->n_args++] = w->v[w->i++];
    return EXIT_OK;
}

/* --- the whole --- */

static int set_log(const struct cli *c)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): nobody writes the environment */
    const char *level = c->log ? c->log : getenv("FLEET_LOG");
    enum log_level parsed = LOG_LEVEL_WARN;

    if (level && level[0] && !log_level_parse(str_from(level), &parsed))
        return cli_usage(c, "--log: found \"%s\", expected error, warn, info, debug or trace",
                         level);
    log_set(parsed, LOG_FORMAT_TEXT);
    return EXIT_OK;
}

static int check_args(const struct cli *c)
{
    const struct cli_verb *v = c->verb;

    if (c->n_args < v->min_args)
        return cli_usage(c, "%s: expected %s", v->name, v->usage);
    if (c->n_args > v->max_args)
        return cli_usage(c, "%s: unexpected argument \"%s\"", v->name, c->args[v->max_args]);
    return EXIT_OK;
}

static int run_verb(struct cli *c)
{
    struct err e = ERR_INIT;
    int code = set_log(c);

    if (code == EXIT_OK)
        code = check_args(c);
    if (code != EXIT_OK)
        return code;
    if (c->verb->takes_config &&
        overrides_env(c->overrides, (const char *const *)environ, &e) != STATUS_OK)
        return cli_fail(c, &e);
    return c->verb->run(c);
}

static int version(const struct cli *c)
{
    return verb_version.run(&(struct cli){.program = c->program, .verb = &verb_version});
}

static int parse_and_run(struct cli *c, struct words *w)
{
    int n_words, code = take_words(c, w, true);

    if (code != EXIT_OK)
        return code;
    if (c->version)
        return version(c);
    if (w->i == w->n) {
        cli_help_program(c->program, c->help ? stdout : stderr);
        return c->help ? EXIT_OK : EXIT_USAGE;
    }
    if (strcmp(w->v[w->i], "help") == 0) {
        w->i++;
        c->help = true;
        if (w->i == w->n)
            return cli_help_program(c->program, stdout), EXIT_OK;
    }
    c->verb = find_verb(c->program, w->v + w->i, w->n - w->i, &n_words);
    if (!c->verb && help_group(c, w->v + w->i, w->n - w->i))
        return EXIT_OK;
    if (!c->verb)
        return unknown_verb(c, w->v + w->i, w->n - w->i);
    BUG_ON(cli_options_len(c->verb) > CLI_OPTIONS_MAX);
    w->i += n_words;
    code = take_words(c, w, false);
    if (code != EXIT_OK)
        return code;
    if (c->help) {
        cli_help_verb(c->program, c->verb, stdout);
        return EXIT_OK;
    }
    return run_verb(c);
}

/* A program that was started with 0, 1 or 2 closed would get its first files there: a message would
 * end up in the log data base. */
static void standard_descriptors_open(void)
{
    int fd = open("/dev/null", O_RDWR);

    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open("/dev/null", O_RDWR);
    if (fd > STDERR_FILENO)
        close(fd);
}

/* What was printed and is lost (a full disk) is no success; a reader that has seen enough is. */
static int check_output(const struct cli_program *p, int code)
{
    struct err e = ERR_INIT;

    errno = 0;
    if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE || code != EXIT_OK)
        return code;
    err_set_errno(&e, STATUS_IO, errno ? errno : EIO, "standard output");
    fprintf(stderr, "%s: %s\n", p->name, err_text(&e));
    return EXIT_ENVIRONMENT;
}

int cli_main(const struct cli_program *p, int argc, char **argv)
{
    struct cli c = {.program = p};
    struct words w = {.v = argv, .n = argc, .i = 1};
    int code;

    standard_descriptors_open();
    signal(SIGPIPE, SIG_IGN);
    c.args = xcalloc((size_t)argc + 1, sizeof(*c.args));
    c.overrides = overrides_create(campaign_schema());
    code = check_output(p, parse_and_run(&c, &w));
    overrides_destroy(&c.overrides);
    free(c.args);
    log_flush();
    return code;
}
