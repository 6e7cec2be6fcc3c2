#!/bin/bash
# `fleet serve --listen` and `fleet lease` as people use them: a token that is wanted, a command with the
# address in its environment, the lease given back at its end, and a log that verifies after SIGTERM.
. "$FLEET_SOURCE/tests/support/tap.sh"
fleet=$FLEET_BUILD/fleet
unset FLEET_TOKEN

if ! command -v chromium-headless-shell >/dev/null && ! command -v chromium >/dev/null; then
    skip "serve and lease" "no chromium here"
    finish
fi
echo '{"members":{"count":2},"policy":{"private_networks":true}}' > serve.json
"$fleet" --state-dir st serve --config serve.json --listen 127.0.0.1:0 --json > said 2> errors &
serve=$!
for _ in $(seq 300); do grep -q gateway said && break; sleep 0.1; done
url=$(grep -o 'http://127.0.0.1:[0-9]*' said | head -1)
token=$(grep -o '"token":"[0-9a-f]*"' said | cut -d'"' -f4)

code() { curl -s -o body -w '%{http_code}' "$@"; }
is() { [ "$1" = "$2" ] || { echo "found $1, expected $2: $(cat body 2>/dev/null)"; return 1; }; }

check "a token is printed" test ${#token} -ge 32
check "without it nothing is told" is "$(code "$url/json/version")" 403
check "with it an address is" is "$(code -H "Authorization: Bearer $token" "$url/json/version")" 200
check "lease prints an address" \
    bash -c '"$0" --state-dir st lease | grep -qE "^ws://127.0.0.1:[0-9]+/devtools/browser/[0-9a-f]{32}$"' "$fleet"
check "a command has it in its environment" \
    bash -c '"$0" --state-dir st lease -- sh -c "echo \$FLEET_CDP_URL" | grep -q ^ws://' "$fleet"
"$fleet" --state-dir st lease -- sh -c 'exit 7'
check "and its exit code is the verb's" is $? 7
cat > closes.sh <<'END'
curl -s -o /dev/null -X DELETE -H "Authorization: Bearer $TOKEN" "$URL/v1/leases/${FLEET_CDP_URL##*/}"
exit ${1:-0}
END
TOKEN=$token URL=$url "$fleet" --state-dir st lease -- bash closes.sh 2> closed
check "a command that gives it back by itself is no failure" is $? 0
check "and nothing is said of it" test ! -s closed
TOKEN=$token URL=$url "$fleet" --state-dir st lease -- bash closes.sh 5 2> closed
check "its own exit code counts then, too" is $? 5
for _ in $(seq 100); do # those given back may be on their way out yet
    curl -s -H "Authorization: Bearer $token" "$url/v1/leases" | grep -q '"state":"ending"' || break
    sleep 0.05
done
check "one lease is left" is "$(code -H "Authorization: Bearer $token" "$url/v1/leases"; grep -o '"id"' body | wc -l)" "2001"
check "a command that is not there" bash -c '! "$0" --state-dir st lease -- ./nothing 2>/dev/null' "$fleet"
check "a proxy that no member has" is "$(code -H "Authorization: Bearer $token" -d '{"proxy":"p9"}' "$url/v1/leases")" 404
# A machine that has less memory than it should: the second lease waits, and is told to come again; with room it is let in.
ask() { curl -s -D head -o body -w '%{http_code}' -H "Authorization: Bearer $token" -d "$1" "$url/v1/leases"; }
"$fleet" --state-dir st config set autoscale.memory_available=100 > /dev/null
check "status tells what the machine is short of" bash -c '"$0" --state-dir st status | grep -q "^pressure  .*little memory is left"' "$fleet"
check "no second lease under pressure" is "$(ask '{"wait_ms":200}')" 503
check "the sentence says why" grep -q 'UNAVAILABLE.*no new lease: little memory is left: .* expected 100 % or more; waited for 200 ms' body
check "and when to come again" grep -qi '^retry-after: [1-9]' head
check "it is an event" bash -c '"$0" --state-dir st audit verify >/dev/null; curl -s --unix-socket st/run/control.sock "http://fleet/v1/events?type=pressure.begun" | grep -q "little memory"' "$fleet"
ask '{"wait_ms":30000}' > later & waits=$!
for _ in $(seq 100); do curl -s -H "Authorization: Bearer $token" "$url/v1/leases" | grep -q '"waits_for":"little' && break; sleep 0.05; done
"$fleet" --state-dir st config set autoscale.memory_available=0 > /dev/null
wait $waits
check "one that waits is let in when there is room" is "$(cat later)" 201
check "and the pressure is over" bash -c '! "$0" --state-dir st status | grep -q ^pressure' "$fleet"
second=$(grep -o '"id":"[0-9a-f]*"' body | cut -d'"' -f4)
curl -s -o body -X DELETE -H "Authorization: Bearer $token" "$url/v1/leases/$second"
check "the protocol is for all" is "$(code "$url/json/protocol")" 200
check "another fleet's name" bash -c '! "$0" --state-dir st lease --fleet other 2>/dev/null' "$fleet"
kill -TERM $serve
wait $serve
check "serve ends by the signal" is $? 143
check "the log verifies" "$fleet" --state-dir st audit verify
check "leases are in it" bash -c 'grep -q "\"kind\":\"lease.open\"" <("$0" --state-dir st audit export 2>/dev/null) || grep -rq lease.open st' "$fleet"
check "without an engine the verb says how to start one" \
    bash -c '"$0" --state-dir st lease 2>&1 | grep -q "serve --listen"' "$fleet"
rm -rf st out said errors body head later closed closes.sh serve.json audit.*
finish
