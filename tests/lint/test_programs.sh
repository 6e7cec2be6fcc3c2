#!/usr/bin/env bash
# What the built programs are made of: fleet-core has no browser code, fleet-reaper is static, a release
# build is a position-independent executable with full RELRO and calls nothing that is banned.
. "$FLEET_SOURCE/tests/support/tap.sh"
cd "$FLEET_BUILD" || exit 1

browser_symbols() { # PROGRAM: functions that libbrowser.a defines and PROGRAM has
    comm -12 <(nm -g --defined-only libbrowser.a 2>/dev/null | awk '$2 == "T" {print $3}' | sort -u) \
        <(nm "$1" | awk '$2 ~ /[Tt]/ {print $3}' | sort -u)
}
is_static() {
    ! readelf -lW "$1" | grep -q INTERP
}
banned() {
    nm -u "$1" 2>/dev/null | awk '{print $2}' | sed 's/@.*//; s/^__\(.*\)_chk$/\1/' |
        grep -xE 'strcpy|strcat|sprintf|strtok|atoi|gmtime|localtime|system'
}

if [ -f fleet-core ]; then
    if [ -f libbrowser.a ]; then
        check 'fleet-core has no browser code' empty "$(browser_symbols fleet-core)"
    else
        skip 'fleet-core has no browser code' 'the browser add-on was not built'
    fi
fi
[ -f fleet-reaper ] && check 'fleet-reaper is static' is_static fleet-reaper
for program in fleet fleet-core; do
    [ -f "$program" ] || continue
    check "$program calls nothing that is banned" empty "$(banned "$program")"
    if [ "$(basename "$FLEET_BUILD")" = release ]; then
        check "$program is position-independent" grep -q 'DYN' <(readelf -hW "$program")
        check "$program has full RELRO" grep -q 'BIND_NOW\|NOW' <(readelf -dW "$program")
        check "$program exports nothing" empty \
            "$(nm -D --defined-only "$program" | awk '$2 == "T" {print $3}' | grep -v '^_')"
    fi
done
[ "$number" -gt 0 ] || skip 'programs' 'none was built'
finish
