/* A serving fleet-core as a process, pages on loopback for it, and requests to its socket. All
 * failures are the running case's. */
#ifndef TESTS_INTEGRATION_SERVE_RIG_H
#define TESTS_INTEGRATION_SERVE_RIG_H

#include <sys/types.h>

#include "core/base/json.h"
#include "tests/support/httpd.h"

/* One at a time. */
struct serve_rig {
    struct httpd *server; /* /500...: 500; /robots.txt: 404; others: 200 after delay_ms */
    unsigned delay_ms;
    char *dir;                           /* the working directory */
    pid_t pid;                           /* of the engine; 0: none */
    char err[32 * 1024], out[64 * 1024]; /* what the last `run` printed */
};
extern struct serve_rig rig;

int rig_up(void **state);
int rig_down(void **state);

/** Starts `serve` with settings fit for tests and `options` (parted by spaces; NULL: none), until
 *  it answers. */
void serve_start(const char *options);
void serve_kill(void);                /* -9 */
int serve_wait(void);                 /* exit code */
void serve_end(int signum, int code); /* and expects that code */

/** Runs fleet-core to its end: its exit code, or -signal. */
int run(const char *words);
bool out_has(const char *text);
bool err_has(const char *text);
size_t count_lines(const char *text);

/** A request; the case fails unless it is answered `code`. malloc'ed text; or JSON, the caller's.
 */
char *ask_text(const char *method, const char *path, const char *body, unsigned code);
struct json *ask(const char *method, const char *path, const char *body, unsigned code);
/** Submits n rows "http://127.0.0.1:PORT<path>/<i>". */
struct json *submit_rows(unsigned n, const char *path, const char *key, unsigned code);
const char *text_of(const struct json *j, const char *name);
void wait_over(const char *batch, const char *state);
void wait_finished(const char *batch, unsigned n);
/** A body of so many bytes is answered 413. */
void too_large(size_t n);

/* Raw connections. */
int raw_open(void);
void raw_send(int fd, const char *text);
char *raw_rest(int fd); /* until it is closed; closes; malloc'ed */
unsigned raw_code(int fd);

#endif
