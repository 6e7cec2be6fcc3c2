#!/bin/bash
# Leases of members of the identity store: cookies and local storage come back with the next lease.
. "$FLEET_SOURCE/tests/support/tap.sh"
fleet=$FLEET_BUILD/fleet
export FLEET_TOKEN=a-token-of-the-tests FLEET_STATE_DIR=$PWD/st

if ! command -v chromium-headless-shell >/dev/null || [ -z "${FLEET_NPM-}" ]; then
    skip "leases of the store" "no chromium-headless-shell, or FLEET_NPM is not set"
    finish
fi
check "an identity" bash -c '"$0" identity new --tag team >/dev/null 2>err || { cat err; false; }' "$fleet"
echo '{"members":{"store":"team"},"browser":"headless-shell","limits":{"max_requests":1000,"window_ms":1000,"robots":false},' \
    '"policy":{"private_networks":true}}' > serve.json
serve() {
    "$fleet" serve --config serve.json --listen 127.0.0.1:0 --json > said 2> errors &
    serve=$!
    for _ in $(seq 300); do grep -q gateway said && break; sleep 0.1; done
    FLEET_URL=$(grep -o 'http://127.0.0.1:[0-9]*' said | head -1)
    export FLEET_URL
}

serve
check "what a client leaves is kept" node "$FLEET_SOURCE/tests/clients/kept.mjs"
kill -TERM $serve
wait $serve
check "serve ends by the signal" test $? = 143
check "nothing was said" bash -c '! grep -E "warn|error" errors'
rm -rf st out said errors err serve.json audit.*
finish
