#!/usr/bin/env bash
# What the plan of the house says must never be: an include against its direction, a foreign library
# included by a file that does not wrap it, an entry at the top that is not in the plan, a path of one
# machine, an unfinished mark.
. "$FLEET_SOURCE/tests/support/tap.sh"
cd "$FLEET_SOURCE" || exit 1

sources() { # DIRECTORY...
    find "$@" -name '*.c' -o -name '*.h' | sort
}

# FROM TO...: the lines in which FROM includes what is below TO, except core/base.
against() {
    local from=$1 to
    shift
    for to in "$@"; do
        sources "$from" | xargs -r grep -nE "^#include +\"$to/" | grep -v '"core/base/'
    done
}

below_base() {
    sources core/base | xargs grep -nE '^#include +"' | grep -vE '"(core/base/|version\.h")'
}

core_without_base() {
    find core -name base -prune -o \( -name '*.c' -o -name '*.h' \) -print
}

from_root() {
    sources core browser reaper fingerprints proxies tests |
        xargs grep -nE '^#include +"' |
        grep -vE '"(core|browser|reaper|fingerprints|proxies|tests)/[^"]+"|"version\.h"'
}

check 'core/base includes nothing of ours' empty "$(below_base)"
check 'reaper includes core/base and itself' empty "$(against reaper core browser fingerprints proxies)"
check 'fingerprints includes core/base and itself' empty "$(against fingerprints core browser reaper proxies)"
check 'proxies includes core/base and itself' empty "$(against proxies core browser reaper fingerprints)"
check 'core never includes browser' empty "$(core_without_base | xargs -r grep -nE '^#include +"browser/')"
check 'includes are spelled from the root' empty "$(from_root)"

# Which files may include which library: those that wrap it.
wraps=(
    'uv\.h:core/base/(loop|work|file)[a-z_]*\.[ch]|browser/cdp/[a-z_]+\.c|browser/demo/[a-z_]+\.c|core/api/[a-z_]+\.c'
    'cjson/cJSON\.h|cJSON\.h:core/base/json[a-z_]*\.[ch]'
    'curl/[a-z]+\.h:core/http/[a-z_]+\.[ch]'
    'hiredis/[a-z/]+\.h:core/substrate/redis[a-z_]*\.[ch]'
    'libpsl\.h:core/[a-z]+/[a-z_]+\.c'
)
wrapped() { # HEADERS FILES
    sources core browser reaper fingerprints proxies |
        xargs grep -nE "^#include +<($1)>" | grep -vE "^($2):"
}
for row in "${wraps[@]}"; do
    check "only the files that wrap it include $(tr -d '\\' <<<"<${row%%:*}>")" empty "$(wrapped "${row%%:*}" "${row#*:}")"
done

guards() {
    local h want
    for h in $(sources core browser reaper fingerprints proxies tests/support | grep '\.h$'); do
        want=$(echo "$h" | tr 'a-z/.-' 'A-Z___')
        grep -qx "#ifndef $want" "$h" || echo "$h: expected the guard $want"
    done
}
check 'the guard of a header is its path' empty "$(guards)"

if git rev-parse --git-dir >/dev/null 2>&1; then
    top() {
        git ls-tree --name-only HEAD | grep -vE '^(\..*|Makefile|README\.md|core|browser|reaper|fingerprints|proxies|tests)$'
    }
    check 'the top level is as planned' empty "$(top)"
    check 'no path of one machine' empty "$(git grep -nIE '(^|[^a-z.])/(work|farm|home/[a-z]+)/[a-z]' -- ':!tests/lint' | head -20)"
    check 'nothing is marked as unfinished' empty \
        "$(git grep -nEw 'TODO|FIXME|XXX' -- '*.c' '*.h' '*.js' '*.mjs' Makefile ':!tests/lint' | head -20)"
    check 'no registry is named in a lock file' empty "$(git grep -nE '"resolved"' -- '*package-lock.json')"
else
    skip 'the tree as git sees it' 'not a git work tree'
fi
finish
