#!/usr/bin/env bash
# tests/support/embed: bytes come through unchanged, also NUL and an empty file; rows are sorted; no file at
# all makes an empty table.
. "$FLEET_SOURCE/tests/support/tap.sh"
mkdir -p site/b
trap 'rm -rf site out.c main.c prog' EXIT
printf 'a\0b\n' >site/b/two.bin
: >site/empty
printf 'text' >site/a.html

cat >main.c <<'C'
#include <stdio.h>
#include "core/base/embed.h"
int main(void)
{
    for (size_t i = 0; i < embed_site_len; i++) {
        printf("%s %zu ", embed_site[i].path, embed_site[i].len);
        for (size_t j = 0; j <= embed_site[i].len; j++)
            printf("%02x", embed_site[i].data[j]);
        printf("\n");
    }
    return embed_site[embed_site_len].path != NULL;
}
C
table() { # FILE...
    "$FLEET_SOURCE/tests/support/embed" embed_site site/ "$@" >out.c &&
        gcc -I"$FLEET_SOURCE" main.c out.c -o prog && ./prog
}
is() { # EXPECTED FILE...
    local want=$1 got
    shift
    got=$(table "$@") && [ "$got" = "$want" ] || { echo "$got"; return 1; }
}
check 'three files' is $'a.html 4 7465787400\nb/two.bin 4 6100620a00\nempty 0 00' site/empty site/b/two.bin site/a.html
check 'no file' is ''
check 'a quote in a name is refused' bash -c '! "$FLEET_SOURCE/tests/support/embed" s "" "a\"b" 2>/dev/null'
finish
