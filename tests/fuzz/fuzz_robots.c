/* robots.txt from anybody: the first byte splits the input into file and path. */
#include "core/guard/robots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct robots_rules *r;
    size_t cut;

    if (size == 0)
        return 0;
    cut = data[0] < size - 1 ? data[0] : size - 1;
    r = robots_parse(str_n((const char *)data + 1 + cut, size - 1 - cut), STR("fleet"));
    (void)robots_rules_allow(r, str_n((const char *)data + 1, cut));
    (void)robots_rules_crawl_delay_ms(r);
    robots_rules_destroy(&r);
    return 0;
}
