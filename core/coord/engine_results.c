/* results.ndjson of a batch that goes on. The file follows the log: it is read once, line by line,
 * and each line is compared with what task_done has of its task.
 *
 *   sound     it is the task's line, byte by byte, and the first of that task
 *   foreign   the same of another batch in this state directory
 *   damaged   all else: torn, zeroed, changed, twice
 *
 * Damage behind the last sound or foreign line is cut off (a kill, a full disk). Damage before it
 * (a power cut may leave pages of zeros anywhere) sends the file aside as results.ndjson.1, and it
 * is written anew: foreign lines as they were, then those of the log. So is a file in which no line
 * is sound. Tasks without a line are appended in order of their receipts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "core/base/log.h"
#include "core/coord/engine_internal.h"

enum line_kind { LINE_SOUND, LINE_FOREIGN, LINE_DAMAGED };

struct check {
    struct batch *batch;
    struct store_lines *lines;
    FILE *file; /* NULL: there is none */
    char *text; /* getline's */
    size_t room;
    bool *has;             /* by index: the file has its line */
    off_t good;            /* behind the last line that is not damaged */
    size_t sound, foreign; /* lines */
    bool is_torn;          /* damage before `good` */
    uint64_t added;
};

/* {"task":"t-000012",... -> 11. False: it does not begin like that. */
static bool index_of(struct str line, uint32_t *index)
{
    const struct str head = STR("{\"task\":\"t-");
    struct str rest = line, digits;
    uint64_t n = 0;

    if (!str_starts(line, head))
        return false;
    rest = str_n(line.ptr + head.len, line.len - head.len);
    digits = str_cut(&rest, '"');
    if (!rest.ptr || !str_to_u64(digits, UINT32_MAX, &n) || n == 0)
        return false;
    *index = (uint32_t)(n - 1);
    return true;
}

/* The receipt that a line ends with: ..."receipt":"<64 hex>"}. False: it has none. */
static bool leaf_of(struct str line, unsigned char leaf[AUDIT_LEAF])
{
    const size_t behind = 2, digits = (size_t)2 * AUDIT_LEAF; /* "} */

    return line.len > digits + behind && str_ends(line, STR("\"}")) &&
           hex_decode(str_n(line.ptr + line.len - behind - digits, digits), leaf, AUDIT_LEAF);
}

static enum status judge(struct check *c, struct str line, enum line_kind *kind, struct err *er)
{
    unsigned char leaf[AUDIT_LEAF];
    struct str want = str_n("", 0);
    uint32_t index = 0;
    enum status s = STATUS_OK;

    *kind = LINE_DAMAGED;
    if (!index_of(line, &index) || !leaf_of(line, leaf))
        return s;
    if (index < c->batch->total)
        s = store_lines_get(c->lines, index, &want, er);
    if (s == STATUS_OK && str_eq(line, want)) {
        *kind = c->has[index] ? LINE_DAMAGED : LINE_SOUND;
        c->has[index] = true;
        return s;
    }
    if (s == STATUS_OK)
        s = store_lines_find(c->lines, index, leaf, &want, er);
    if (s == STATUS_OK && str_eq(line, want))
        *kind = LINE_FOREIGN;
    return s;
}

/* The next line without its end; false: there is none that ended. */
static bool next_line(struct check *c, struct str *line)
{
    ssize_t n = c->file ? getline(&c->text, &c->room, c->file) : -1;

    if (n <= 0 || c->text[n - 1] != '\n')
        return false;
    *line = str_n(c->text, (size_t)n - 1);
    return true;
}

/* The whole file, to its end. */
static enum status read_all(struct check *c, struct err *er)
{
    bool damage = false;
    off_t at = 0;
    struct str line;

    while (next_line(c, &line)) {
        enum line_kind kind;
        enum status s = judge(c, line, &kind, er);

        if (s != STATUS_OK)
            return s;
        at += (off_t)line.len + 1;
        c->sound += kind == LINE_SOUND;
        c->foreign += kind == LINE_FOREIGN;
        if (kind == LINE_DAMAGED) {
            damage = true;
            continue;
        }
        c->is_torn = damage;
        c->good = at;
    }
    if (c->file && ferror(c->file))
        return err_set_errno(er, STATUS_IO, errno, "%s: cannot be read",
                             c->batch->conf->output.results);
    return STATUS_OK;
}

/* Goes on with the file, or begins another and leaves this one beside it. */
static enum status open_again(struct check *c, struct err *er)
{
    struct batch *b = c->batch;
    const char *path = b->conf->output.results;
    enum status s;

    if (c->sound > 0 && !c->is_torn) {
        if (ftruncate(fileno(c->file), c->good) != 0)
            return err_set_errno(er, STATUS_IO, errno, "%s: cannot be cut", path);
        return batch_open_outputs(b, er);
    }
    b->resumed = false; /* what is there is not ours, or not sound */
    s = batch_open_outputs(b, er);
    b->resumed = true;
    memset(c->has, 0, b->total * sizeof(*c->has));
    if (c->is_torn)
        log_warn(NULL, "results.torn", LOG_STR("batch", b->id), LOG_STR("file", path));
    return s;
}

/* Results of others that were in a file that is written anew. */
static enum status keep_foreign(struct check *c, struct err *er)
{
    struct str line;
    enum status s = STATUS_OK;

    if (c->sound == 0 || !c->is_torn || c->foreign == 0)
        return s;
    rewind(c->file);
    while (s == STATUS_OK && next_line(c, &line)) {
        enum line_kind kind;

        s = judge(c, line, &kind, er);
        if (s == STATUS_OK && kind == LINE_FOREIGN)
            results_add(c->batch->results, line);
    }
    memset(c->has, 0, c->batch->total * sizeof(*c->has));
    return s;
}

static void add_missing(void *arg, uint32_t index, struct str line)
{
    struct check *c = arg;

    if (index < c->batch->total && c->has[index])
        return;
    results_add(c->batch->results, line);
    c->added++;
}

static enum status complete(struct check *c, struct err *er)
{
    struct batch *b = c->batch;
    enum status s = read_all(c, er);

    if (s == STATUS_OK)
        s = open_again(c, er);
    if (s == STATUS_OK)
        s = keep_foreign(c, er);
    if (s == STATUS_OK)
        s = store_read_lines(logdb_path(b->engine->logdb), b->n, add_missing, c, er);
    if (s == STATUS_OK && c->added > 0)
        log_info(NULL, "results.completed", LOG_STR("batch", b->id), LOG_U64("lines", c->added));
    return s;
}

/* NULL for what is no regular file: it is only written. */
static FILE *open_regular(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    FILE *f = NULL;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        f = fdopen(fd, "r+");
    if (fd >= 0 && !f)
        close(fd);
    return f;
}

enum status batch_complete_results(struct batch *b, struct err *er)
{
    struct check c = {.batch = b};
    enum status s = store_lines_open(logdb_path(b->engine->logdb), b->n, &c.lines, er);

    if (s == STATUS_OK) {
        c.has = xcalloc((size_t)b->total + 1, sizeof(*c.has));
        c.file = open_regular(b->conf->output.results);
        s = complete(&c, er);
    }
    if (c.file)
        fclose(c.file);
    free(c.text);
    free(c.has);
    store_lines_close(&c.lines);
    return s;
}
