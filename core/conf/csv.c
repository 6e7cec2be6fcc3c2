#include "core/conf/csv.h"

void csv_init(struct csv *c, struct str text)
{
    *c = (struct csv){.rest = text, .line = 1};
}

/* The length of the field that begins `s`, up to its comma or line end; SIZE_MAX when its quote is
 * never closed. */
static size_t field_len(struct str s)
{
    size_t i = 0;

    if (i < s.len && s.ptr[i] == '"') {
        for (i++;; i++) {
            if (i >= s.len)
                return SIZE_MAX;
            if (s.ptr[i] != '"')
                continue;
            if (i + 1 >= s.len || s.ptr[i + 1] != '"')
                break;
            i++;
        }
    }
    while (i < s.len && s.ptr[i] != ',' && s.ptr[i] != '\n')
        i++;
    return i;
}

static uint32_t count_lines(struct str s)
{
    uint32_t n = 0;

    for (size_t i = 0; i < s.len; i++)
        n += s.ptr[i] == '\n';
    return n;
}

/* Bytes of the record that begins `s`, without its line end; SIZE_MAX as above. */
static size_t record_len(struct str s)
{
    size_t i = 0;

    for (;;) {
        size_t n = field_len(str_skip(s, i));

        if (n == SIZE_MAX)
            return SIZE_MAX;
        i += n;
        if (i >= s.len || s.ptr[i] == '\n')
            return i;
        i++; /* the comma; a field follows, though it may be empty */
    }
}

bool csv_record(struct csv *c, struct str *record, uint32_t *line, enum status *s, struct err *e)
{
    *s = STATUS_OK;
    while (c->rest.ptr && c->rest.len > 0) {
        size_t n = record_len(c->rest);

        *line = c->line;
        if (n == SIZE_MAX) {
            c->rest = STR_NONE;
            *s = err_set(e, STATUS_INVALID,
                         "found a quoted field that does not end, expected a closing \"");
            return false;
        }
        *record = str_n(c->rest.ptr, n);
        c->line += count_lines(*record) + 1;
        c->rest = str_skip(c->rest, n + 1);
        if (record->len > 0 && record->ptr[record->len - 1] == '\r')
            record->len--;
        if (record->len > 0)
            return true;
    }
    return false;
}

bool csv_field(struct str *record, bool *more, struct str *field, enum status *s, struct err *e)
{
    size_t n;

    *s = STATUS_OK;
    if (!*more)
        return false;
    n = field_len(*record);
    *field = str_n(record->ptr, n == SIZE_MAX ? record->len : n);
    *more = field->len < record->len;
    *record = str_skip(*record, field->len + 1);
    if (field->len > 0 && field->ptr[0] == '"') {
        if (n == SIZE_MAX || field->len < 2 || field->ptr[field->len - 1] != '"')
            *s = err_set(e, STATUS_INVALID, "found text behind a closing quote, expected a comma");
    } else if (str_chr(*field, '"') >= 0) {
        *s = err_set(e, STATUS_INVALID,
                     "found a quote inside a field, expected the whole field in quotes, with \"\" "
                     "for each quote inside");
    }
    return *s == STATUS_OK;
}

size_t csv_value(struct str field, char *out)
{
    size_t n = 0;

    if (field.len < 2 || field.ptr[0] != '"') {
        if (field.len > 0)
            memcpy(out, field.ptr, field.len);
        return field.len;
    }
    for (size_t i = 1; i + 1 < field.len; i++) {
        out[n++] = field.ptr[i];
        if (field.ptr[i] == '"')
            i++;
    }
    return n;
}
