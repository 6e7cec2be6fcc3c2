/* `lease`: a member of the serving engine for a program of one's own. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "browser/gateway/face.h"
#include "core/api/client.h"
#include "core/base/clock.h"

extern char **environ;

enum {
    LEASE_TIMEOUT_MS = 70 * 1000,
    TAKE_MAX_MS = 5000,
    START_MAX_MS = 20 * 1000,
    TAKE_POLL_MS = 100,
    SIGNALLED = 128
};

static const struct cli_option options[] = {
    {"fleet", 0, "NAME", "of the fleet's members; default: the serving engine's"},
    {"identity", 0, "ID", "the member with this identity; default: any that is free"},
    {"ttl", 0, "MS", "after which it ends; default: 1800000"},
    {"kept", 0, NULL, "cookies stay with the member afterwards"},
    {"json", 0, NULL, "print the lease as JSON"},
    {NULL, 0, NULL, NULL},
};

static enum status ask_gateway(struct cli *c, const char *socket, const char *method,
                               const char *path, struct str body, struct json **out, struct err *e)
{
    const struct client_request q = {.socket = socket,
                                     .method = method,
                                     .path = path,
                                     .body = body,
                                     .timeout_ms = LEASE_TIMEOUT_MS};
    struct client_reply r;
    enum status s = client_call(&q, &r, e);

    if (s == STATUS_OK && out != NULL) {
        *out = client_json(&r, e);
        s = *out != NULL ? STATUS_OK : STATUS_PROTOCOL;
    }
    client_reply_deinit(&r);
    if (s == STATUS_ENVIRONMENT)
        err_set(e, s, "no gateway on %s; \"%s serve --listen 127.0.0.1:8730\" starts one", socket,
                cli_program(c)->name);
    return s;
}

/* A member that was given back a moment ago is tidied up first, and a server that began a moment
 * ago has no browser yet: a while is waited for them. */
static enum status take(struct cli *c, const char *socket, struct str body, struct json **out,
                        struct err *e)
{
    static const struct timespec pause = {.tv_nsec = TAKE_POLL_MS * 1000000L};
    uint64_t begun_ms = clock_mono_ms(clock_system()), ms = 0;
    enum status s = ask_gateway(c, socket, "POST", "/v1/leases", body, out, e);

    while ((s == STATUS_BUSY && ms < TAKE_MAX_MS) ||
           (s == STATUS_UNAVAILABLE && ms < START_MAX_MS)) {
        nanosleep(&pause, NULL);
        err_clear(e);
        s = ask_gateway(c, socket, "POST", "/v1/leases", body, out, e);
        ms = clock_mono_ms(clock_system()) - begun_ms;
    }
    return s;
}

static int ask(struct cli *c, const char *socket, struct json **out)
{
    struct json *body = json_new_object();
    struct buf text = BUF_INIT(BUF_MAX_LINE);
    struct err e = ERR_INIT;
    uint64_t ttl = 0;
    enum status s;

    if (cli_has(c, "ttl") && !str_to_u64(str_from(cli_get(c, "ttl")), UINT32_MAX, &ttl)) {
        json_destroy(&body);
        return cli_usage(c, "--ttl: found \"%s\", expected milliseconds", cli_get(c, "ttl"));
    }
    if (cli_has(c, "fleet"))
        json_add_str(body, "fleet", cli_get(c, "fleet"));
    if (cli_has(c, "identity"))
        json_add_str(body, "identity", cli_get(c, "identity"));
    if (cli_has(c, "ttl"))
        json_add_num(body, "ttl_ms", (double)ttl);
    if (cli_has(c, "kept"))
        json_add_str(body, "context", "kept");
    json_print(body, 0, &text);
    s = take(c, socket, buf_str(&text), out, &e);
    buf_deinit(&text);
    json_destroy(&body);
    return s == STATUS_OK ? EXIT_OK : cli_fail(c, &e);
}

/* One that is not there any more was given back by the command: its client closed the browser, or
 * its time was over. */
static int release(struct cli *c, const char *socket, const char *id)
{
    char path[128];
    struct err e = ERR_INIT;
    enum status s;

    snprintf(path, sizeof path, "/v1/leases/%.64s", id);
    s = ask_gateway(c, socket, "DELETE", path, STR_NONE, NULL, &e);
    return s == STATUS_OK || s == STATUS_NOT_FOUND ? EXIT_OK : cli_fail(c, &e);
}

/* The command has the terminal: an interrupt is its own affair, and the lease is released after it.
 */
static int run_command(struct cli *c, const char *url)
{
    size_t n = cli_n_args(c);
    char **argv = xcalloc(n + 1, sizeof *argv);
    struct err e = ERR_INIT;
    int status = 0, error;
    pid_t pid;

    for (size_t i = 0; i < n; i++)
        argv[i] = (char *)(uintptr_t)cli_arg(c, i);
    setenv("FLEET_CDP_URL", url, 1);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    error = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (error != 0) {
        err_set_errno(&e, STATUS_NOT_FOUND, error, "%s", argv[0]);
        free(argv);
        return cli_fail(c, &e);
    }
    free(argv);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
}

static int lease(struct cli *c)
{
    cleanup_free char *socket = gateway_socket_path(cli_state_dir(c));
    struct json *made = NULL;
    int code = ask(c, socket, &made), released;

    if (code != EXIT_OK)
        return code;
    if (cli_n_args(c) == 0) {
        if (cli_has(c, "json"))
            code = cli_print_json(c, made);
        else
            printf("%s\n", json_str(json_get(made, "url"), ""));
    } else {
        code = run_command(c, json_str(json_get(made, "url"), ""));
        released = release(c, socket, json_str(json_get(made, "id"), ""));
        if (code == EXIT_OK)
            code = released;
    }
    json_destroy(&made);
    return code;
}

const struct cli_verb verb_lease = {
    .name = "lease",
    .summary = "Take a member for a DevTools client of your own",
    .usage = "[-- COMMAND...]",
    .options = options,
    .max_args = UINT16_MAX,
    .details =
        "Prints the address that Playwright (connectOverCDP), Puppeteer (browserWSEndpoint) and\n"
        "chromedp connect to. With a COMMAND, runs it with the address in FLEET_CDP_URL, releases\n"
        "the lease at its end, and exits as it did. \"serve --listen\" must be running on the "
        "same\n"
        "state directory.",
    .run = lease,
};
