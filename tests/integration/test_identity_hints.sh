#!/usr/bin/env bash
# Client hints of the requests that are on their way before any command reaches their tab: the first
# document, and a noopener pop-up's, at an origin that has asked for hints of high entropy. In a
# campaign they say what all other requests say, and stand in the same order. Both tiers.
. "$FLEET_SOURCE/tests/support/tap.sh"
browser=$FLEET_BUILD/fleet
export NO_COLOR=1
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'kill "$server" 2>/dev/null; wait; cd /; rm -rf "$dir"' EXIT

cat >server.mjs <<'END'
import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
const hints = ['full-version-list', 'full-version', 'platform-version', 'arch', 'bitness', 'model', 'form-factors', 'wow64'];
let plain = false;
const server = createServer((q, a) => {
    if (q.url.startsWith('/pop') || q.url.startsWith('/page')) {
        const names = q.rawHeaders.filter((_, i) => i % 2 === 0), values = {};
        for (const n of names)
            if (/^(sec-ch-|user-agent|accept-language)/i.test(n)) values[n.toLowerCase()] = q.headers[n.toLowerCase()];
        appendFileSync('seen', JSON.stringify({ url: q.url, values, order: names.filter((n) => !/accept-language/i.test(n)).join(',') }) + '\n');
    }
    plain ||= q.url === '/pop?noopener';
    a.setHeader('content-type', 'text/html');
    a.setHeader('accept-ch', hints.map((h) => 'sec-ch-ua-' + h).join(', '));
    a.end(q.url === '/done' ? String(plain) : q.url !== '/page' ? 'ok' : `<title>page</title><script>
        window.open('/pop?opener'); window.open('/pop?noopener', '_blank', 'noopener');
        const ask = () => fetch('/done').then((r) => r.text()).then((t) => { window.done = t === 'true'; if (!window.done) setTimeout(ask, 50); });
        ask();</script>`);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
END
cat >judge.mjs <<'END'
import { readFileSync } from 'node:fs';
const text = readFileSync('seen', 'utf8');
const of = Object.fromEntries(text.trim().split('\n').map((l) => JSON.parse(l)).map((r) => [r.url, r]));
const a = of['/pop?opener'], b = of['/pop?noopener'];
if (!/"Chromium";v="\d+"/.test(of['/page'].values['sec-ch-ua'])) console.log('first document:', of['/page'].values['sec-ch-ua']);
if (/headless/i.test(text)) console.log('the word Headless');
if (Object.keys(a.values).length < 12) console.log('hints were not sent:', Object.keys(a.values));
for (const n in a.values)
    if (a.values[n] !== b.values[n]) console.log(`${n}: ${b.values[n]}, with an opener ${a.values[n]}`);
if (a.order !== b.order) console.log(`order: ${b.order}\nwith an opener: ${a.order}`);
END
for tier in process context; do
    rm -rf .fleet seen results.ndjson
    node server.mjs >port &
    server=$!
    for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done
    kind=chromium; [ $tier = context ] && kind=headless-shell
    cat >c.json <<END
{"flow":{"title":"t","steps":[{"type":"navigate","url":"{{url}}"},{"type":"waitForExpression","expression":"window.done"}]},
 "targets":["http://127.0.0.1:$(cat port)/page"],"members":{"identities":{"seed":"hints","locales":["de-DE"]}},
 "isolation":"$tier","browser":"$kind","limits":{"robots":false,"max_requests":1000,"window_ms":1000}}
END
    if ! "$browser" run c.json >text 2>err && grep -q "fleet doctor" err; then
        skip "$tier: hints of first requests" "no browser runs here: $(tail -1 err)"
    else
        check "$tier: hints of first requests are the identity's" empty "$(node judge.mjs)"
    fi
    kill $server; wait $server 2>/dev/null; rm -f port
done
finish
