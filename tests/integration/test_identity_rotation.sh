#!/usr/bin/env bash
# Members that become other identities: what a target sees before and after, over plain HTTP and in
# a browser of both tiers, through kill -9, and when asked of an engine that runs. The server gives
# each client that it does not know a number (in a cookie; pages keep it in local storage too), so
# that whatever is left of an old identity shows: a number belongs to one identity only, and all
# requests of a task are of one number and one set of headers.
. "$FLEET_SOURCE/tests/support/tap.sh"
core=$FLEET_BUILD/fleet-core
browser=$FLEET_BUILD/fleet
export NO_COLOR=1
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'kill "$server" $engine 2>/dev/null; wait; cd /; rm -rf "$dir"' EXIT

same() { # EXPECTED FOUND
    [ "$1" = "$2" ] || { echo "expected $1, found $2"; return 1; }
}

cat >server.mjs <<'END'
import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
let last = 0;
const server = createServer((q, a) => {
    const url = new URL(q.url, 'http://x'), h = q.headers;
    if (url.pathname === '/robots.txt' || url.pathname === '/favicon.ico') { a.statusCode = 404; a.end(); return; }
    let who = (/who=(\d+)/.exec(h.cookie || '') || [])[1];
    if (!who) a.setHeader('set-cookie', `who=${who = String(++last)}; Max-Age=100000`);
    appendFileSync('hits', JSON.stringify({ task: url.searchParams.get('t'), who, kept: url.searchParams.get('kept'),
        port: q.socket.remotePort, head: [h['user-agent'], h['accept-language'], h['sec-ch-ua']].join('|') }) + '\n');
    a.setHeader('content-type', 'text/html');
    if (url.pathname === '/refuse') a.statusCode = 403;
    setTimeout(() => a.end(url.pathname !== '/page' ? 'ok' : `<title>page</title><script>
        const t = new URLSearchParams(location.search).get('t'), kept = localStorage.getItem('who') || '-';
        localStorage.setItem('who', '${who}');
        const x = new XMLHttpRequest(); x.open('GET', '/tell?t=' + t + '&kept=' + kept, false); x.send();
    </script>`), url.pathname === '/slow' ? 400 : 5);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
END
# The rules above, over `hits` and results.ndjson. Prints what does not hold, then
# "TASKS identities=N numbers=N".
cat >judge.mjs <<'END'
import { readFileSync } from 'node:fs';
const lines = f => readFileSync(f, 'utf8').split('\n').filter(Boolean).map(l => JSON.parse(l));
const hits = lines('hits'), whoOf = {}, idOf = {}, of = {}, ids = new Set();
for (const h of hits) (of[h.task] ||= []).push(h);
for (const r of lines('results.ndjson')) {
    const t = new URL(r.url).searchParams.get('t'), all = of[t] || [];
    ids.add(r.identity);
    if (r.attempts === 1) {
        if (new Set(all.map(h => h.who)).size !== 1) console.log(`task ${t}: numbers ${all.map(h => h.who)}`);
        if (new Set(all.map(h => h.head)).size !== 1) console.log(`task ${t}: headers differ`);
    }
    for (const h of all.slice(-1)) {
        if (h.kept && h.kept !== '-' && h.kept !== h.who) console.log(`task ${t}: local storage of ${h.kept}, cookie of ${h.who}`);
        if ((idOf[h.who] ||= r.identity) !== r.identity) console.log(`number ${h.who}: of ${idOf[h.who]} and ${r.identity}`);
        (whoOf[r.identity] ||= new Set()).add(h.who);
    }
}
console.log(`${Object.keys(of).length} identities=${ids.size} numbers=${new Set(hits.map(h => h.who)).size}`);
END
: >hits
node server.mjs >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
port=$(cat port)

campaign() { # FLOW-TYPE MEMBERS MORE PATH...: one task a path, of two steps
    local type=$1 members=$2 more=$3 rows= i=0 path
    shift 3
    for path; do rows="$rows,\"http://127.0.0.1:$port$path?t=$((++i))\""; done
    cat <<END
{"flow":{"title":"t","steps":[{"type":"$type","url":"{{url}}"},{"type":"$type","url":"{{url}}&again=1"}]},
 "targets":[${rows#,}],"members":{$members},"slots":1,$more"retry":{"max":0},
 "limits":{"robots":false,"max_requests":1000,"window_ms":1000}}
END
}
fresh() { rm -rf .fleet results.ndjson audit.ndjson audit.pub audit.checkpoint && : >hits; }
rotations() { grep -c '"kind":"identity.rotated"' audit.ndjson; }
pages() { for _ in $(seq "$1"); do echo /plain; done; }

# --- the keys ---

campaign http.get '"rotate":{"on":["404"]}' '' /plain >c.json
"$core" config check c.json >text 2>err
check "a hit there is not: 3" same 3 $?
check "which is said" grep -q '/members/rotate/on/0' err
check "a flag for each key" grep -qE 'every_tasks +7' <("$core" config show --members.rotate.every-tasks=7)

# --- plain HTTP ---

seed='"identities":{"seed":"turn","locales":["en-GB","de-DE","fr-FR","it-IT"]}'
campaign http.get "$seed,\"rotate\":{\"every_tasks\":2}" '' $(pages 6) >c.json
"$core" run c.json >text 2>err
check "every two tasks: three identities, each a client of its own" same "6 identities=3 numbers=3" "$(node judge.mjs)"
check "two receipts" same 2 "$(rotations)"
check "the chain verifies" "$core" audit verify
ids=$(grep -o '"identity":"[^"]*"' results.ndjson | sort -u)
fresh
"$core" run c.json >text 2>err
check "the same line of identities from the same seed" same "$ids" "$(grep -o '"identity":"[^"]*"' results.ndjson | sort -u)"
last=$(tail -1 results.ndjson | grep -o '"identity":"[^"]*"')
rm -f results.ndjson && : >hits
campaign http.get "$seed" '' /plain >c.json
"$core" run c.json >text 2>err
check "another campaign begins with whom it had last" grep -q "$last" results.ndjson

fresh
campaign http.get "$seed,\"rotate\":{\"on\":[\"403\"]}" '"breaker":{"min_samples":1000},' /plain /refuse /plain /plain >c.json
"$core" run c.json >text 2>err
check "a 403 rotates, before the next task" same "4 identities=2 numbers=2" "$(node judge.mjs)"
check "the receipt says why" grep -q HTTP_403 <("$core" audit export)

# --- the store, through kill -9 ---

fresh
first=$("$core" identity new --tag team)
campaign http.get '"store":"team","rotate":{"every_tasks":1}' '' $(pages 40) >c.json
"$core" run c.json >text 2>err &
pid=$!
for round in 1 2 3; do
    sleep 0.2$round
    kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
    "$core" resume >text 2>err &
    pid=$!
done
wait $pid
check "through kill -9: all is done" same 40 "$(grep -c '"status":"succeeded"' results.ndjson)"
check "no identity has another's cookies" empty "$(node judge.mjs | grep -v identities=)"
check "as often in the store as there are receipts" same "$(rotations)" \
    "$("$core" identity list --json | grep -o '"rotations": *[0-9]*' | grep -o '[0-9]*')"
now=$("$core" identity list | cut -d' ' -f1)
check "one identity, another one" test "$first" != "$now" -a "$(wc -w <<<"$now")" = 1
check "the last that was told" grep -q "$now" <(tail -1 results.ndjson)
check "the chain verifies after it" "$core" audit verify
out=$("$core" identity rotate "$now")
check "rotate in the store: another id" grep -qE "^$now is i-[0-9a-f]{16} now" <<<"$out"
check "the old one is gone" same 3 "$("$core" identity show "$now" >/dev/null 2>&1; echo $?)"

# --- asked of an engine that runs ---

fresh
"$core" serve --members.count=1 --slots=1 --limits.robots=false --policy.private-networks=true >text 2>serve.err &
engine=$!
for _ in $(seq 100); do [ -S .fleet/run/control.sock ] && break; sleep 0.1; done
out=$("$core" identity rotate 0)
check "idle: at once" grep -q 'another client' <<<"$out"
check "with a receipt" grep -qE 'receipt [0-9a-f]{64}' <<<"$out"
"$core" identity rotate 7 >text 2>err
check "there is no such member: not 0" test $? -ne 0
cat >b.json <<END
{"name":"b","flow":{"steps":[{"type":"http.get","url":"{{url}}"},{"type":"http.get","url":"{{url}}&again=1"}]},
 "targets":["http://127.0.0.1:$port/slow?t=1","http://127.0.0.1:$port/plain?t=2"]}
END
"$core" batch submit b.json >text 2>err || cat err
sleep 0.2
check "busy: after its task" grep -q 'has a task' <("$core" identity rotate 0)
for _ in $(seq 100); do [ "$("$core" batch results b-0000001 2>/dev/null | grep -c succeeded)" = 2 ] && break; sleep 0.1; done
"$core" batch results b-0000001 >results.ndjson
check "never in the middle of a task" same "2 identities=2 numbers=2" "$(node judge.mjs)"
kill -TERM $engine; wait $engine; engine=
check "its chain verifies" "$core" audit verify

# --- a browser ---

for tier in process context; do
    fresh
    kind=chromium; [ $tier = context ] && kind=headless-shell
    campaign navigate "$seed,\"rotate\":{\"every_tasks\":2}" "\"isolation\":\"$tier\",\"browser\":\"$kind\"," /page /page /page /page >c.json
    if ! "$browser" run c.json >text 2>err && grep -q "fleet doctor" err; then
        skip "$tier: a browser rotates" "no browser runs here: $(tail -1 err)"
        continue
    fi
    check "$tier: nothing of the old identity, nothing in a task's middle" same "4 identities=2 numbers=2" "$(node judge.mjs)"
    check "$tier: headers differ" same 2 "$(grep -o '"head":"[^"]*' hits | sort -u | wc -l)"
    check "$tier: no connection outlives it" empty \
        "$(node -e 'const o={};for(const l of require("fs").readFileSync("hits","utf8").split("\n").filter(Boolean)){const h=JSON.parse(l);(o[h.port]??=h.who)!==h.who&&console.log(h.port)}')"
done
finish
