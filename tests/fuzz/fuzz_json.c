/* Text -> tree -> text -> tree: what parses must print, the print must parse strictly to an equal
 * tree, and print again as the same bytes. Whatever strict parsing takes, parsing of messages takes
 * as well, as the same value. */
#include "core/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_print(const struct json *j, unsigned indent)
{
    struct buf first = BUF_INIT(BUF_MAX_MESSAGE), second = BUF_INIT(BUF_MAX_MESSAGE);
    struct err e = ERR_INIT;
    struct json *again;

    json_print(j, indent, &first);
    again = json_parse(buf_str(&first), false, &e);
    if (!again)
        BUG("what was printed does not parse: %s: %s", e.text, first.ptr);
    BUG_ON(!json_eq(j, again));
    json_print(again, indent, &second);
    BUG_ON(!str_eq(buf_str(&first), buf_str(&second)));
    json_destroy(&again);
    buf_deinit(&first);
    buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_n((const char *)data, size);
    struct err e = ERR_INIT;
    struct json *strict = json_parse(text, true, &e), *lenient;

    BUG_ON(!strict && (e.status == STATUS_OK || !str_is_utf8(str_from(e.text))));
    lenient = json_parse(text, false, NULL);
    BUG_ON(strict && !json_eq(strict, lenient));
    if (lenient) {
        struct json *copy = json_dup(lenient);

        BUG_ON(!json_eq(copy, lenient));
        json_destroy(&copy);
        check_print(lenient, 0);
        check_print(lenient, 2);
    }
    json_destroy(&strict);
    json_destroy(&lenient);
    return 0;
}
