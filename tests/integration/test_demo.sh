#!/usr/bin/env bash
# The demo as a person runs it: every promise is looked at again here, from its files and from the
# machine, not from what it says of itself. Then signals: the first lets tasks finish, the second
# ends it at once; the code says which it was, results are whole lines, the chain verifies.
. "$FLEET_SOURCE/tests/support/tap.sh"
fleet=$FLEET_BUILD/fleet
dir=$PWD/demo
export NO_COLOR=1

missing() { # PROGRAM...
    for p; do command -v "$p" >/dev/null || { echo "$p is not installed"; return; }; done
    [ -x "$fleet" ] || echo "fleet is not built"
}

why=$(missing tinyproxy microsocks)
if [ -n "$why" ]; then
    skip "the demo keeps its promises" "$why"
    finish
fi

count() { # PATTERN FILE: distinct matches
    grep -oE "$1" "$2" | sort -u | wc -l
}
same() { # EXPECTED FOUND
    [ "$1" = "$2" ] || { echo "expected $1, found $2"; return 1; }
}
shows() { # TEXT
    grep -qF -- "$1" out.txt || { echo "not in the output: $1"; cat out.txt; return 1; }
}
whole_lines() { # every line of the results is a whole object
    [ -z "$(grep -vE '^\{.*\}$' "$dir/results.ndjson")" ]
}
members_left() { find "$dir/.fleet/run" -name 'm-*' 2>/dev/null; }

# --- all of it ---

"$fleet" demo --dir "$dir" >out.txt 2>err.txt
code=$?
check "it ends with 0" same 0 "$code"
[ "$code" = 0 ] || sed 's/^/# /' out.txt err.txt
check "it says that all was seen" shows 'All that the demo promises was seen.'
check "60 items of the catalogue, each once" same 60 "$(count '"sku":[0-9]+' "$dir/results.ndjson")"
check "8 confirmations" same 8 "$(count '"membership":[0-9]+' "$dir/results.ndjson")"
check "by 8 members" same 8 "$(grep '"membership"' "$dir/results.ndjson" | count '"member":[0-9]+' /dev/stdin)"
check "57 results" same 57 "$(wc -l <"$dir/results.ndjson")"
check "every line of them is whole" whole_lines
check "8 pictures" same 8 "$(find "$dir/out" -name '*article*.png' -size +2k | wc -l)"
check "a report" test -s "$dir/report.html"
check "the hung page ended so" grep -q '"code":"PAGE_HUNG"' "$dir/results.ndjson"
check "the endless page ended so" grep -q '"code":"TIMEOUT"' "$dir/results.ndjson"
check "blocked by the breaker" grep -q '"status":"blocked"' "$dir/results.ndjson"
check "429 in the receipts" grep -q '"outcome":"HTTP_429"' "$dir/audit.ndjson"
check "both proxies in the receipts" same 2 "$(count '"proxy":"(tinyproxy|microsocks)"' "$dir/audit.ndjson")"
check "the chain verifies" "$fleet" audit verify "$dir/audit.ndjson"
check "no member is left" empty "$(members_left)"
password=$(sed -n 's|^http://demo:\([^@]*\)@.*|\1|p' "$dir/proxies.txt")
check "a password was drawn" test -n "$password"
check "and stands in its own file alone" empty \
    "$(grep -rlF -- "$password" "$dir" out.txt err.txt | grep -v '/proxies\.txt$')"
check "which is private" same 600 "$(stat -c %a "$dir/proxies.txt")"

# --- signals ---

begin() { # runs it until some tasks are done; sets pid
    rm -f "$dir/results.ndjson"
    "$fleet" demo --dir "$dir" >out.txt 2>err.txt &
    pid=$!
    for _ in $(seq 400); do
        [ "$(cat "$dir/results.ndjson" 2>/dev/null | wc -l)" -ge 3 ] && return
        sleep 0.05
    done
}
millis() { date +%s%3N; }

begin
kill -TERM $pid
wait $pid
check "SIGTERM: 143" same 143 $?
check "it says that it drains" grep -q 'no new tasks' err.txt
check "results are whole lines" whole_lines
check "some tasks were not begun" test "$(wc -l <"$dir/results.ndjson")" -lt 57
check "the chain verifies to its end" "$fleet" audit verify "$dir/audit.ndjson"
check "the campaign rests, to be resumed" grep -q '"kind":"campaign.pause"' "$dir/audit.ndjson"
check "no member is left" empty "$(members_left)"

begin
kill -INT $pid
sleep 0.2
at=$(millis)
kill -INT $pid 2>/dev/null
wait $pid
check "SIGINT twice: 130" same 130 $?
took=$(($(millis) - at))
check "and at once ($took ms)" test $took -lt 6000
check "the chain verifies" "$fleet" audit verify "$dir/audit.ndjson"
check "no member is left" empty "$(members_left)"

# --- bad input ---

mkdir -p other && echo mine >other/file
"$fleet" demo --dir other >out.txt 2>err.txt
check "a directory with something else: 3" same 3 $?
check "says so" grep -q 'was not made by fleet demo' err.txt
check "and is left as it was" same file "$(ls -A other)"
PATH=/nowhere "$fleet" demo --dir "$dir" >out.txt 2>err.txt
check "no proxy program: 9" same 9 $?
check "names the package" grep -q 'apt-get install tinyproxy' err.txt
FLEET_HEADLESS_SHELL=/nowhere FLEET_CHROMIUM=/nowhere "$fleet" demo --dir "$dir" >out.txt 2>err.txt
check "no browser: 9" same 9 $?
check "says what was looked for" grep -q '/nowhere' err.txt
"$fleet" demo --port 99999 >out.txt 2>err.txt
check "a port that is none: 2" same 2 $?

rm -rf "$dir" other out.txt err.txt .fleet
finish
