#!/usr/bin/env bash
# The identity store from outside: its verbs with good and bad input, campaigns whose members come
# from it, over plain HTTP and in a browser, each run a process of its own, and kill -9 between.
. "$FLEET_SOURCE/tests/support/tap.sh"
core=$FLEET_BUILD/fleet-core
browser=$FLEET_BUILD/fleet
export NO_COLOR=1
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'kill "$server" 2>/dev/null; wait; cd /; rm -rf "$dir"' EXIT

same() { # EXPECTED FOUND
    [ "$1" = "$2" ] || { echo "expected $1, found $2"; return 1; }
}

# Counts visits in a cookie and in local storage, and writes what it is sent: PATH COOKIES.
cat >server.mjs <<'END'
import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
const server = createServer((q, a) => {
    const cookie = q.headers.cookie || '-';
    if (q.url === '/robots.txt' || q.url === '/favicon.ico') { a.statusCode = 404; a.end(); return; }
    appendFileSync('hits', `${q.url} ${cookie}\n`);
    const n = 1 + Number((/visits=(\d+)/.exec(cookie) || [0, 0])[1]);
    if (!q.url.startsWith('/tell')) a.setHeader('set-cookie', `visits=${n}; Max-Age=100000; HttpOnly`);
    a.setHeader('content-type', 'text/html');
    a.end(q.url !== '/page' ? 'ok' : `<title>page</title><script>
        const k = localStorage.getItem('k') || 'none';
        localStorage.setItem('k', k + '+');
        const x = new XMLHttpRequest(); x.open('GET', '/tell?' + k, false); x.send();
    </script>`);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
END
: >hits
node server.mjs >port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
port=$(cat port)

# --- the verbs ---

"$core" identity list >text 2>err
check "no store yet: an error" test $? -ne 0
id=$("$core" identity new --tag team 2>err)
check "new prints an id" grep -qE '^i-[0-9a-f]{16}$' <<<"$id"
check "the key is the owner's alone" same 600 "$(stat -c %a .fleet/keys/identities.key)"
"$core" identity show "$id" >text
check "show" grep -q "$id" text
"$core" identity show nobody 2>err
check "show of one that is not there: 3" same 3 $?
"$core" identity new --count x 2>err
check "a bad count: 2" same 2 $?
printf '%064d' 1 >wrong.key && chmod 600 wrong.key
"$core" identity list --key "file:$dir/wrong.key" >text 2>err
check "the wrong key: 9" same 9 $?
check "which is said" grep -q 'is not the one that it was made with' err

cat >state.json <<END
{"cookies":[{"name":"a","value":"1","domain":"127.0.0.1","path":"/","expires":-1,"httpOnly":false,"secure":false,"sameSite":"Lax"}],
 "origins":[{"origin":"http://other.example","localStorage":[{"name":"x","value":"y"}]}]}
END
printf '127.0.0.1\tFALSE\t/\tFALSE\t0\tb\t2\n' >cookies.txt
check "import of Playwright's state" "$core" identity import state.json --id "$id"
"$core" identity export "$id" --format netscape >text
check "comes out as cookies.txt" grep -qP '^127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1$' text
two=$("$core" identity import cookies.txt --tag spare)
check "import of a cookies.txt makes an identity" grep -q '^i-' <<<"$two"
"$core" identity export "$two" --format playwright >text
check "comes out as a storage state" grep -q '"name": "b"' text
"$core" identity export >all
check "lines of all" same 2 "$(wc -l <all)"
"$core" identity import all 2>err
check "they are there already: 3" same 3 $?
check "remove" "$core" identity remove "$two"
tail -1 all >one
check "import of a line" "$core" identity import one
check "its cookies are back" grep -q '"name":"b"' <("$core" identity export "$two")
echo '{"cookies":5}' | "$core" identity import - 2>err
check "a state that is none: 3" same 3 $?
check "rotate" "$core" identity rotate "$two"
check "forgets cookies" empty "$("$core" identity export "$two" | grep '"name":"b"')"

# --- campaigns ---

campaign() { # FLOW-TYPE PATH MEMBERS N
    local i rows=
    for i in $(seq "$4"); do rows="$rows,\"http://127.0.0.1:$port$2\""; done
    cat <<END
{"flow":{"title":"t","steps":[{"type":"$1","url":"{{url}}"}]},"targets":[${rows#,}],"members":{$3},
 "slots":1,"limits":{"robots":false,"max_requests":1000,"window_ms":1000}}
END
}
campaign http.get /plain '"store":"team","count":3' 1 >c.json
"$core" run c.json >text 2>err
check "fewer than the count: 3" same 3 $?
check "how many there are" grep -q 'has 1 identities' err
campaign http.get /plain '"store":"team","identities":{"os":["linux"]}' 1 >c.json
"$core" config check c.json >text 2>err
check "identities beside the store: 3" same 3 $?
campaign http.get /plain '"store":"team"' 1 >c.json
check "config show has no count" empty "$("$core" config show c.json | grep '"count": 0')"

check "a first run" "$core" run c.json
check "sends what was imported" grep -q '^/plain a=1$' hits
check "a second run, another process" "$core" run c.json
check "sends the cookie of the first" grep -q '^/plain .*visits=1' hits
check "storage of other origins stays" grep -q other.example <("$core" identity export "$id")

campaign http.get /kill '"store":"team"' 400 >k.json
lost=
for round in 1 2 3; do
    rm -f results.ndjson && : >hits
    FLEET_STATE_DIR=.fleet "$core" run k.json >/dev/null 2>&1 &
    pid=$!
    sleep 0.$((round * 2))
    "$core" run c.json >text 2>busy
    [ $? = 9 ] && told=1
    kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
    done_n=$(cat results.ndjson 2>/dev/null | grep -c '"status":"succeeded"')
    first=$(sed -n '1s/.*visits=\([0-9]*\).*/\1/p' hits)
    kept=$("$core" identity export "$id" | sed -n 's/.*"visits","value":"\([0-9]*\)".*/\1/p')
    [ "${kept:-0}" -ge $((${first:-0} + done_n)) ] || lost="$lost round $round: kept $kept, told $done_n from $first;"
done
check "kill -9: no cookie of a task that was told is lost" empty "$lost"
check "the store is one process's: 9" same 1 "${told:-0}"

# --- a browser ---

: >hits
campaign navigate /page '"store":"team"' 1 >b.json
if "$browser" run b.json >text 2>&1; then
    check "a second browser" "$browser" run b.json
    check "storage is empty at first" same none "$(sed -n 's/^\/tell?\([^ ]*\) .*/\1/p' hits | head -1)"
    check "it finds its local storage" same none+ "$(sed -n 's/^\/tell?\([^ ]*\) .*/\1/p' hits | tail -1)"
    first=$(sed -n 's/^\/page .*visits=\([0-9]*\).*/\1/p' hits | head -1)
    check "and its cookie" same $((first + 1)) "$(sed -n 's/^\/page .*visits=\([0-9]*\).*/\1/p' hits | tail -1)"
else
    skip "a browser finds what it left" "no browser runs here: $(tail -1 text)"
fi
finish
