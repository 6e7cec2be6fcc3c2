#!/usr/bin/env bash
# Each header compiles alone: it includes what it uses.
. "$FLEET_SOURCE/tests/support/tap.sh"
cd "$FLEET_SOURCE" || exit 1

alone() { # HEADER
    ${CC:-gcc} -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -I"$FLEET_BUILD/gen" ${FLEET_PKG_CFLAGS:-} \
        -include stddef.h -fsyntax-only -x c - <<<"#include \"$1\"
#include \"$1\"" || return 1
}

broken() {
    export -f alone
    find core browser reaper fingerprints proxies tests/support -name '*.h' | sort |
        xargs -P2 -I@ bash -c 'alone @ 2>&1 || echo "@ does not compile alone"'
}
check 'headers compile alone' empty "$(broken)"
finish
