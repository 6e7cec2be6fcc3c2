#!/usr/bin/env bash
# fleet doctor: as whoever runs this, as nobody, where nothing can be written, and with an empty
# PATH; and the manual page, which has every verb that --help lists.
. "$FLEET_SOURCE/tests/support/tap.sh"
fleet=$FLEET_BUILD/fleet
export NO_COLOR=1

same() { # EXPECTED FOUND
    [ "$1" = "$2" ] || { echo "expected $1, found $2"; return 1; }
}
row() { # STATE NAME
    grep -qE "^$1 +$2( |$)" out || { echo "no row \"$1 $2\" in:"; cat out; return 1; }
}

"$fleet" doctor >out
code=$?
for name in headless-shell chromium guarantee user-namespaces seccomp landlock cgroup-limits fonts \
    state-directory disk memory /dev/shm open-files clock tinyproxy microsocks redis-server; do
    check "a row for $name" row '(ok|degraded|missing)' "$name"
done
check "0, or 9 where something is missing" same "$(grep -E '^missing' out | grep -qvE 'tinyproxy|microsocks|redis' && echo 9 || echo 0)" "$code"
check "each lack tells how to mend it" same "$(grep -cE '^(degraded|missing)' out)" "$(grep -c '  mend:' out)"
check "no line is longer than a screen is wide twice" empty "$(grep -E '^.{240}' out)"
check "it leaves nothing" same out "$(ls -A)"

"$fleet" doctor --json >out
check "JSON" grep -q '"rows": \[' out

mkdir shut && chmod 555 shut
if [ "$(id -u)" = 0 ]; then
    run=(setpriv --reuid=65534 --regid=65534 --clear-groups)
else
    run=()
fi
mkdir -m 1777 tmp
# a copy, since others may not reach the build
mkdir -m 755 programs && cp "$fleet" "$FLEET_BUILD/fleet-reaper" programs/
chmod 755 . shut
here=$PWD
(cd shut && "${run[@]}" env TMPDIR="$here/tmp" HOME="$here/tmp" "$here/programs/fleet" doctor) >out 2>&1
check "nothing can be written: 9" same 9 $?
check "and it is the state directory" row missing state-directory
check "with the way out" grep -q -- '--state-dir' out
(cd shut && "${run[@]}" env TMPDIR="$here/tmp" HOME="$here/tmp" "$here/programs/fleet" --state-dir "$here/tmp/state" doctor) >out 2>&1
check "elsewhere it is fine" row ok state-directory
check "and that is left as it was" empty "$(ls -A tmp)"

PATH=/nowhere "$fleet" doctor >out
check "without the proxies' programs" row missing tinyproxy
check "which nothing but the demo needs" same "$code" "$?"
FLEET_HEADLESS_SHELL=/nowhere FLEET_CHROMIUM=/nowhere "$fleet" doctor >out
check "without a browser: 9" same 9 $?
check "says so" row missing headless-shell
check "and how to get one" grep -q 'apt-get install chromium' out

"$fleet" --help | sed -n 's/^  \([a-z]\+\( [a-z]\+\)\?\)\( .*\)\?$/\1/p' | sed 's/ *$//' >verbs
check "the manual page has every verb" empty "$(while read -r verb; do
    grep -qE "(^|[^a-z])$verb" "$FLEET_SOURCE/core/cli/fleet.1" || echo "$verb"
done <verbs)"
check "of which there are some" test "$(wc -l <verbs)" -ge 10

rm -rf out verbs shut tmp programs
finish
