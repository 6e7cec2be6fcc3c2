/* The command line: verbs of one and two words, options in all their spellings, keys of the
 * configuration, and what is said of mistakes. */
#include "tests/support/testing.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/cli/cli.h"
#include "core/conf/campaign.h"

static struct {
    unsigned calls;
    const char *verb;
    char json[8], file[64], first[64];
    size_t n_args;
    char state_dir[64];
    char limit[64];
} seen;

static int see(struct cli *c)
{
    const struct override *o =
        cli_verb(c)->takes_config ? overrides_at(cli_overrides(c), "/limits/max_requests") : NULL;
    const char *file = cli_get(c, "file"), *json = cli_get(c, "json");

    seen.calls++;
    seen.verb = cli_verb(c)->name;
    snprintf(seen.json, sizeof(seen.json), "%s", json ? "yes" : "no");
    snprintf(seen.file, sizeof(seen.file), "%s", file ? file : "-");
    snprintf(seen.first, sizeof(seen.first), "%s", cli_arg(c, 0) ? cli_arg(c, 0) : "-");
    snprintf(seen.state_dir, sizeof(seen.state_dir), "%s", cli_state_dir(c));
    snprintf(seen.limit, sizeof(seen.limit), "%s", o ? o->name : "-");
    seen.n_args = cli_n_args(c);
    return 42;
}

static const struct cli_option options[] = {
    {"json", 'j', NULL, "as JSON"},
    {"file", 'f', "FILE", "a file"},
    {NULL, 0, NULL, NULL},
};
static const struct cli_verb go = {
    .name = "go",
    .summary = "Go",
    .usage = "[WHERE]",
    .options = options,
    .max_args = 2,
    .takes_config = true,
    .run = see,
};
static const struct cli_verb log_show = {
    .name = "log show",
    .summary = "Show",
    .usage = "NAME",
    .options = options,
    .min_args = 1,
    .max_args = 1,
    .run = see,
};
static const struct cli_verb *const verbs[] = {&go, &log_show, &verb_completion, &verb_version,
                                               NULL};
static const struct cli_program program = {
    .name = "prog",
    .summary = "a test",
    .verbs = verbs,
};

static char out[64 * 1024], err[8 * 1024];

static void slurp(const char *path, char *into, size_t max)
{
    size_t n;
    char *text = test_read_file(path, &n);

    snprintf(into, max, "%s", text);
    free(text);
    unlink(path);
}

static void redirect(int fd, const char *path, int *kept)
{
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    fflush(NULL);
    *kept = dup(fd);
    dup2(to, fd);
    close(to);
}

static void restore(int fd, int kept)
{
    fflush(NULL);
    dup2(kept, fd);
    close(kept);
}

/* Runs "prog <words>", words separated by single spaces. */
static int run(const char *words)
{
    char copy[512], *argv[32] = {copy}, *rest = copy;
    int argc = 0, kept_out, kept_err, code;

    snprintf(copy, sizeof(copy), "prog%s%s", words[0] ? " " : "", words);
    while (rest) {
        argv[argc++] = strsep(&rest, " ");
        assert_true(argc < 32);
    }
    memset(&seen, 0, sizeof(seen));
    redirect(1, "out.txt", &kept_out);
    redirect(2, "err.txt", &kept_err);
    code = cli_main(&program, argc, argv);
    restore(1, kept_out);
    restore(2, kept_err);
    slurp("out.txt", out, sizeof(out));
    slurp("err.txt", err, sizeof(err));
    return code;
}

static void test_accepts(void **state)
{
    static const struct {
        const char *words, *verb, *json, *file, *first;
        size_t n_args;
    } rows[] = {
        {"go", "go", "no", "-", "-", 0},
        {"go there", "go", "no", "-", "there", 1},
        {"go --json there", "go", "yes", "-", "there", 1},
        {"go there --file x", "go", "no", "x", "there", 1},
        {"go --file=x=y -j", "go", "yes", "x=y", "-", 0},
        {"go -fx -j a b", "go", "yes", "x", "a", 2},
        {"go -f x", "go", "no", "x", "-", 0},
        {"go -", "go", "no", "-", "-", 1},
        {"go -- --json", "go", "no", "-", "--json", 1},
        {"log show it", "log show", "no", "-", "it", 1},
        {"log show --json it", "log show", "yes", "-", "it", 1},
        {"--log error go", "go", "no", "-", "-", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (run(rows[i].words) != 42)
            fail_msg("%s: %s", rows[i].words, err);
        assert_string_equal(seen.verb, rows[i].verb);
        assert_string_equal(seen.json, rows[i].json);
        assert_string_equal(seen.file, rows[i].file);
        assert_string_equal(seen.first, rows[i].first);
        assert_int_equal(seen.n_args, rows[i].n_args);
    }
}

static void test_refuses(void **state)
{
    static const struct {
        const char *words, *told;
    } rows[] = {
        {"goo", "prog: unknown verb \"goo\", did you mean \"go\"?\nTry \"prog --help\".\n"},
        {"xyzzy", "prog: unknown verb \"xyzzy\"\nTry \"prog --help\".\n"},
        {"log", "prog: log: expected one of: show\nTry \"prog --help\".\n"},
        {"log shwo x", "prog: unknown verb \"log shwo\", did you mean \"log show\"?\nTry \"prog "
                       "--help\".\n"},
        {"log show", "prog: log show: expected NAME\nTry \"prog log show --help\".\n"},
        {"log show a b", "prog: log show: unexpected argument \"b\"\nTry \"prog log show "
                         "--help\".\n"},
        {"go --jsn", "prog: unknown option --jsn\nTry \"prog go --help\".\n"},
        {"log show x --jsn", "prog: unknown option --jsn, did you mean --json?\nTry \"prog log "
                             "show --help\".\n"},
        {"go --json=1", "prog: --json takes no value\nTry \"prog go --help\".\n"},
        {"go --file", "prog: --file: expected FILE\nTry \"prog go --help\".\n"},
        {"go -x", "prog: unknown option -x\nTry \"prog go --help\".\n"},
        {"go --log loud", "prog: --log: found \"loud\", expected error, warn, info, debug or "
                          "trace\nTry \"prog go --help\".\n"},
        {"go --limits.max-request 5", "prog: unknown option --limits.max-request, did you mean "
                                      "--limits.max-requests?\nTry \"prog go --help\".\n"},
        {"go --slots", "prog: --slots: expected a value\nTry \"prog go --help\".\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (run(rows[i].words) != EXIT_USAGE || strcmp(err, rows[i].told) != 0)
            fail_msg("%s\n  told:     %s  expected: %s", rows[i].words, err, rows[i].told);
        assert_int_equal(seen.calls, 0);
    }
}

static void test_config_keys(void **state)
{
    (void)state;
    assert_int_equal(run("go --limits.max-requests 5 x"), 42);
    assert_string_equal(seen.limit, "--limits.max-requests");
    assert_string_equal(seen.first, "x");
    assert_int_equal(run("go --limits.robots x"), 42); /* a boolean takes no word of its own */
    assert_string_equal(seen.first, "x");
    setenv("FLEET_LIMITS_MAX_REQUESTS", "7", 1);
    assert_int_equal(run("go"), 42);
    assert_string_equal(seen.limit, "FLEET_LIMITS_MAX_REQUESTS");
    assert_int_equal(run("go --limits.max-requests=5"), 42);
    assert_string_equal(seen.limit, "--limits.max-requests");
    unsetenv("FLEET_LIMITS_MAX_REQUESTS");
}

static void test_state_dir(void **state)
{
    (void)state;
    unsetenv("FLEET_STATE_DIR");
    assert_int_equal(run("go"), 42);
    assert_string_equal(seen.state_dir, ".fleet");
    setenv("FLEET_STATE_DIR", "/env", 1);
    assert_int_equal(run("go"), 42);
    assert_string_equal(seen.state_dir, "/env");
    assert_int_equal(run("--state-dir=/flag go"), 42);
    assert_string_equal(seen.state_dir, "/flag");
    unsetenv("FLEET_STATE_DIR");
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(run("--help"), EXIT_OK);
    assert_non_null(strstr(out, "log show NAME"));
    assert_int_equal(run(""), EXIT_USAGE);
    assert_non_null(strstr(err, "log show NAME"));
    assert_int_equal(run("go --help"), EXIT_OK);
    assert_non_null(strstr(out, "-f, --file=FILE"));
    assert_non_null(strstr(out, "--limits.max-requests=N"));
    assert_int_equal(run("help log show"), EXIT_OK);
    assert_non_null(strstr(out, "prog log show"));
    assert_int_equal(run("log --help"), EXIT_OK);
    assert_non_null(strstr(out, "log show NAME"));
    assert_null(strstr(out, "go "));
    assert_int_equal(run("help log"), EXIT_OK);
    assert_non_null(strstr(out, "log show NAME"));
    assert_int_equal(run("--version"), EXIT_OK);
    assert_memory_equal(out, "prog ", 5);
}

static void test_completion(void **state)
{
    (void)state;
    assert_int_equal(run("completion bash"), EXIT_OK);
    assert_non_null(strstr(out, "complete -o nospace -F _prog_complete prog"));
    assert_non_null(strstr(out, "--limits.max-requests="));
    assert_int_equal(run("completion zsh"), EXIT_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),     cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_config_keys), cmocka_unit_test(test_state_dir),
        cmocka_unit_test(test_help),        cmocka_unit_test(test_completion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
