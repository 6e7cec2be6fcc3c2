// What the gateway costs: the same Puppeteer and Playwright scripts on a browser of their own and through a lease, in turns, one page after the
// other, with the gate idle (one private target, 5,000 a second); then how many leases can be held open at once.
//
//   tests/bench/run gateway        FLEET_NPM=$PWD/build/npm node tests/bench/gateway.mjs [--rounds 7] [--pages 10] [--only raw,puppeteer,playwright,lease,held]
//
// Both browsers are the same binary with the same switches: those of the member's browser, read from /proc, less its pipe and its proxy. The
// member's pages have what Fleet adds: identity, forwarder, gate and receipts; the other's have none of it. A round is one connection, one
// context and so many pages on each; medians over the pages of all rounds but the first. CPU is that of the processes, from /proc.
//
// lease: from asking for a lease to an answer of its page, which has identity, viewport, time zone, locale and proxy; with a page that waits
// ready, and without; against what puppeteer and playwright take to the same on a browser that runs.
//
// held: 200 leases, each with a client connected to it and its page open, 20 of which open pages and click on them meanwhile.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { Wire } from '../clients/wire.mjs';
import { load } from '../support/npm.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const option = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at > 0 ? process.argv[at + 1] : otherwise;
};
const rounds = Number(option('rounds', 7));
const pages = Number(option('pages', 10));
const leases = Number(option('leases', 200));
const active = Number(option('active', 20));
const only = option('only', 'raw,puppeteer,playwright,lease,held').split(',');
const build = resolve(process.env.FLEET_BUILD ?? join(here, '../../build/release'));
const shell = option('browser', '/usr/bin/chromium-headless-shell');
const dir = mkdtempSync(join(tmpdir(), 'gateway-bench-'));
const tick = 100; // USER_HZ

const sorted = (v) => v.slice().sort((a, b) => a - b);
const quantile = (v, p) => sorted(v)[Math.min(v.length - 1, Math.floor(v.length * p))] ?? NaN;
const median = (v) => quantile(v, 0.5);
const pad = (s, n) => String(s).padStart(n);

/* --- the site --- */

const body = `<!doctype html><title>Page</title><h1>Page</h1><button id=b onclick="this.textContent='done'">go</button><p>${'words '.repeat(2000)}</p>`;
const site = createServer((q, a) => a.setHeader('content-type', 'text/html').end(body)).listen(0, '127.0.0.1');
await new Promise((done) => site.once('listening', done));
const url = `http://127.0.0.1:${site.address().port}/`;

/* --- processes --- */

function stat(pid) {
    try {
        const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const f = text.slice(text.lastIndexOf(')') + 2).split(' ');
        return { ppid: Number(f[1]), cpu: ((Number(f[11]) + Number(f[12])) * 1000) / tick, dead: ((Number(f[13]) + Number(f[14])) * 1000) / tick };
    } catch {
        return null;
    }
}
function tree(root) {
    const all = new Map();
    for (const name of readdirSync('/proc'))
        if (/^\d+$/.test(name))
            all.set(Number(name), stat(name));
    const mine = new Set([root]);
    for (let grew = true; grew;) {
        grew = false;
        for (const [pid, s] of all)
            if (s && !mine.has(pid) && mine.has(s.ppid)) {
                mine.add(pid);
                grew = true;
            }
    }
    return [...mine];
}
const command = (pid) => {
    try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').slice(0, -1);
    } catch {
        return [];
    }
};
const isBrowser = (pid) => (command(pid)[0] ?? '').includes('chrom');
/* Of what runs, and of children that ended and were waited for. */
const cpu = (pids) => pids.reduce((sum, pid) => sum + (stat(pid)?.cpu ?? 0) + (stat(pid)?.dead ?? 0), 0);
const kb = (pid, file, name) => {
    try {
        return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'latin1'))?.[1] ?? 0);
    } catch {
        return 0;
    }
};

const children = []; // none is left behind, whatever fails
process.on('exit', () => children.forEach((child) => child.kill()));

function line(child, stream, pattern) {
    let text = '';
    return new Promise((done, no) => {
        child[stream].on('data', (chunk) => {
            text += chunk;
            const found = text.match(pattern);
            if (found)
                done(found);
        });
        child.once('exit', () => no(new Error(`${child.spawnargs[0]} ended: ${text}`)));
    });
}

async function serve(members, slots, more = {}) {
    const state = mkdtempSync(join(dir, 'state-'));
    writeFileSync(join(state, 'serve.json'), JSON.stringify({
        members: { count: members, identities: { honest: true } }, slots, browser: 'headless-shell', isolation: 'context',
        limits: { max_requests: 5000, window_ms: 1000, robots: false }, policy: { private_networks: true }, audit: { sink: 'audit.ndjson' }, ...more,
    }));
    const child = spawn(join(build, 'fleet'), ['--state-dir', 'state', 'serve', '--config', 'serve.json', '--listen', '127.0.0.1:0', '--json'], { cwd: state, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    const [, base, token] = await line(child, 'stdout', /"gateway":"(http[^"]+)","token":"([^"]+)"/);
    const headers = { authorization: `Bearer ${token}` };
    return {
        child,
        base,
        async lease(want = {}) {
            const answer = await fetch(`${base}/v1/leases`, { method: 'POST', headers, body: JSON.stringify(want) });
            const made = await answer.json();
            if (answer.status !== 201)
                throw new Error(`POST /v1/leases: ${answer.status} ${JSON.stringify(made)}`);
            return made;
        },
        async give(made) {
            await fetch(`${base}/v1/leases/${made.id}`, { method: 'DELETE', headers });
        },
        async end() {
            child.kill();
            await new Promise((done) => child.once('exit', done));
        },
        fleet: () => [child.pid],
        browser: () => tree(child.pid).filter(isBrowser),
        all: () => tree(child.pid),
    };
}

/* A browser of one's own, with the switches of a member's. */
async function alone(like) {
    const theirs = command(like.find((pid) => command(pid).some((a) => a === '--remote-debugging-pipe')));
    const not = /^--(remote-debugging-pipe|user-data-dir|proxy-server|proxy-bypass-list|host-resolver-rules)/;
    const args = theirs.slice(1).filter((a) => !not.test(a));
    args.push('--remote-debugging-port=0', `--user-data-dir=${join(dir, 'profile')}`);
    if (process.getuid() === 0 && !args.includes('--no-sandbox'))
        args.push('--no-sandbox'); // it does not start as root with its sandbox; a member's does, below fleet-reaper
    const child = spawn(shell.replace(/^\/usr\/bin\/(chromium)/, '/usr/lib/chromium/$1'), args, { stdio: ['ignore', 'ignore', 'pipe'] });
    children.push(child);
    const [, endpoint] = await line(child, 'stderr', /listening on (ws:\S+)/);
    return { child, endpoint, browser: () => tree(child.pid) };
}

/* --- what is done on each --- */

const puppeteer = only.includes('puppeteer') ? await load('puppeteer-core') : null;
const playwright = only.includes('playwright') ? await load('playwright-core') : null;
let steps;
async function timed(name, work) {
    const begun = performance.now();
    const out = await work();
    ((steps[name] ??= [])).push(performance.now() - begun);
    return out;
}
const scripts = {
    async puppeteer(endpoint) {
        const browser = await timed('connect', () => puppeteer.connect({ browserWSEndpoint: endpoint }));
        const context = await timed('context', () => browser.createBrowserContext());
        for (let i = 0; i < pages; i++)
            await timed('page', async () => {
                const page = await timed('open', () => context.newPage());
                await timed('goto', () => page.goto(url));
                await timed('click', () => page.click('#b'));
                await timed('read', () => page.$eval('#b', (e) => e.textContent));
                await timed('close', () => page.close());
            });
        await timed('end', () => context.close());
        await browser.disconnect();
    },
    async playwright(endpoint) {
        const browser = await timed('connect', () => playwright.chromium.connectOverCDP(endpoint));
        const context = await timed('context', () => browser.newContext());
        for (let i = 0; i < pages; i++)
            await timed('page', async () => {
                const page = await timed('open', () => context.newPage());
                await timed('goto', () => page.goto(url));
                await timed('click', () => page.click('#b'));
                await timed('read', () => page.textContent('#b'));
                await timed('close', () => page.close());
            });
        await timed('end', () => context.close());
        await browser.close();
    },
};
const shown = ['connect', 'context', 'open', 'goto', 'click', 'read', 'close', 'page'];

async function compare(name, ways) {
    const took = {};
    const spent = {};
    for (let i = 0; i <= rounds; i++)
        for (const way of i % 2 === 0 ? ways : ways.slice().reverse()) {
            steps = {};
            const before = [cpu(way.browser()), way.fleet ? cpu(way.fleet()) : 0];
            await scripts[name](way.endpoint);
            if (i === 0)
                continue; // it warms up
            const s = (spent[way.name] ??= { browser: 0, fleet: 0 });
            s.browser += cpu(way.browser()) - before[0];
            s.fleet += way.fleet ? cpu(way.fleet()) - before[1] : 0;
            for (const [step, times] of Object.entries(steps))
                ((took[way.name] ??= {})[step] ??= []).push(...times);
        }
    console.log(`\n${name}: ${rounds} rounds of ${pages} pages; medians, ms`);
    console.log(`             ${shown.map((s) => pad(s, 8)).join('')}   fleet CPU ms/page   browser CPU ms/page`);
    for (const way of ways)
        console.log(`${way.name.padEnd(13)}${shown.map((s) => pad(median(took[way.name][s]).toFixed(1), 8)).join('')}   ${pad(way.fleet ? (spent[way.name].fleet / rounds / pages).toFixed(1) : '-', 17)}   ${pad((spent[way.name].browser / rounds / pages).toFixed(0), 19)}`);
    const [d, g] = ways.map((way) => median(took[way.name].page));
    console.log(`${name}: ${((100 * d) / g).toFixed(1)} % of the speed of a direct connection; goal >= 95 %`);
}

/* One command after the other, and many at once: what a message costs. */
async function raw(ways) {
    const n = 1000;
    const took = {};
    const rate = {};
    const spent = {};
    for (const way of ways) {
        way.wire = await Wire.open(way.endpoint);
        way.page = await way.wire.page();
    }
    for (let i = 0; i <= 4; i++)
        for (const way of ways) {
            const send = () => way.wire.send('Runtime.evaluate', { expression: '1' }, way.page.sessionId);
            const before = way.fleet ? cpu(way.fleet()) : 0;
            for (let k = 0; k < n; k++) {
                const begun = performance.now();
                await send();
                if (i > 0)
                    (took[way.name] ??= []).push(performance.now() - begun);
            }
            const begun = performance.now();
            for (let k = 0; k < n; k += 50)
                await Promise.all(Array.from({ length: 50 }, send));
            if (i > 0) {
                (rate[way.name] ??= []).push((n * 1000) / (performance.now() - begun));
                (spent[way.name] ??= []).push(way.fleet ? (cpu(way.fleet()) - before) / n / 2 : 0);
            }
        }
    for (const way of ways)
        await way.wire.close();
    console.log(`\nRuntime.evaluate, ${4 * n} times, one after the other: p50 / p95 ms; 50 under way: commands a second`);
    for (const way of ways)
        console.log(`${way.name.padEnd(13)}${median(took[way.name]).toFixed(3)} / ${quantile(took[way.name], 0.95).toFixed(3)}   ${median(rate[way.name]).toFixed(0)}/s${way.fleet ? `   fleet CPU ${(1000 * median(spent[way.name])).toFixed(0)} us a command (with its receipt)` : ''}`);
    const [d, g] = ways.map((way) => median(took[way.name]));
    console.log(`added latency a command: ${(1000 * (g - d)).toFixed(0)} us`);
}

async function speed() {
    const server = await serve(2, 2);
    const made = await server.lease();
    const own = await alone(server.browser());
    const ways = [
        { name: 'direct', endpoint: own.endpoint, browser: own.browser },
        { name: 'gateway', endpoint: made.url, browser: server.browser, fleet: server.fleet },
    ];
    if (only.includes('raw'))
        await raw(ways);
    for (const name of Object.keys(scripts).filter((s) => only.includes(s)))
        await compare(name, ways);
    own.child.kill();
    await server.end();
}

/* --- one lease --- */

const asked = '[navigator.userAgent, innerWidth, Intl.DateTimeFormat().resolvedOptions().timeZone, navigator.language].join()';

/* A way begins: resolves when its page answers, with what asks it who it is, and what ends it. */
async function leased(server) {
    const made = await server.lease();
    const wire = await Wire.open(made.url);
    const { targetInfos } = await wire.send('Target.getTargets');
    const { sessionId } = await wire.send('Target.attachToTarget', { targetId: targetInfos.find((t) => t.type === 'page').targetId, flatten: true });
    await wire.evaluate('1', sessionId);
    return {
        ask: () => wire.evaluate(asked, sessionId),
        async end() {
            await wire.close();
            await server.give(made);
        },
    };
}

const agent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36';
const is = { userAgent: agent, width: 1280, height: 720, zone: 'Europe/Berlin', locale: 'de-DE' };
const peers = {
    async puppeteer(endpoint) {
        const browser = await puppeteer.connect({ browserWSEndpoint: endpoint, defaultViewport: null });
        return async () => {
            const context = await browser.createBrowserContext({ proxyServer: 'http://127.0.0.1:9' });
            const page = await context.newPage();
            const session = await page.createCDPSession(); // it has no word for the locale
            await Promise.all([page.setUserAgent({ userAgent: is.userAgent }), page.setViewport(is), page.emulateTimezone(is.zone), session.send('Emulation.setLocaleOverride', { locale: is.locale })]);
            await page.evaluate('1');
            return { ask: () => page.evaluate(asked), end: () => context.close() };
        };
    },
    async playwright(endpoint) {
        const browser = await playwright.chromium.connectOverCDP(endpoint);
        return async () => {
            const context = await browser.newContext({ userAgent: is.userAgent, viewport: { width: is.width, height: is.height }, timezoneId: is.zone, locale: is.locale, proxy: { server: 'http://127.0.0.1:9' } });
            const page = await context.newPage();
            await page.evaluate('1');
            return { ask: () => page.evaluate(asked), end: () => context.close() };
        };
    },
};

async function one() {
    const full = { members: { count: 4 } };
    const warm = await serve(4, 4, { ...full, warm: 1 });
    const cold = await serve(4, 4, { ...full, warm: 0 });
    await (await leased(cold)).end(); // its browser is there
    const own = await alone(cold.browser());
    const ways = { 'a lease, warm': () => leased(warm), 'a lease, cold': () => leased(cold) };
    for (const name of Object.keys(peers).filter((n) => only.includes(n)))
        ways[name] = await peers[name](own.endpoint);
    const took = {};
    for (let k = 0; k < 6 * rounds; k++)
        for (const [name, begin] of Object.entries(ways)) {
            await new Promise((done) => setTimeout(done, 250)); // idle, as people leave it
            const at = performance.now();
            const way = await begin();
            if (k > 2)
                (took[name] ??= []).push(performance.now() - at);
            const said = await way.ask();
            if (name in peers ? !said.startsWith(`${is.userAgent},${is.width},${is.zone},`) : /Headless|,UTC,/.test(said))
                throw new Error(`${name}: found ${said}`);
            await way.end();
        }
    console.log('\nto an answer of a page that has identity, viewport, time zone, locale and proxy: p50 / p95 ms');
    for (const name of Object.keys(ways))
        console.log(`${name.padEnd(16)}${median(took[name]).toFixed(1)} / ${quantile(took[name], 0.95).toFixed(1)}`);
    const theirs = Math.min(Infinity, ...Object.keys(peers).filter((n) => took[n]).map((n) => median(took[n])));
    for (const [name, goal] of [['a lease, warm', 0.15], ['a lease, cold', 0.9]]) {
        const ratio = median(took[name]) / theirs;
        console.log(`${name} against the quicker peer   ${ratio.toFixed(2)}   goal <= ${goal}   ${ratio <= goal ? 'reached' : 'MISSED'}`);
    }
    own.child.kill();
    await warm.end();
    await cold.end();
}

/* --- many leases --- */

async function held() {
    const server = await serve(leases, leases);
    const open = [];
    const took = [];
    const late = [];
    let errors = 0;
    const failed = (what, e) => {
        errors++;
        if (errors <= 5)
            console.log(`# ${what}: ${e.message}`);
    };
    const begun = performance.now();
    for (let i = 0; i < leases; i += 4)
        await Promise.all(Array.from({ length: Math.min(4, leases - i) }, async () => {
            try {
                const at = performance.now();
                const made = await server.lease({ ttl_ms: 3600000, idle_ms: 3600000 });
                const wire = await Wire.open(made.url);
                const page = await wire.page();
                await wire.send('Page.enable', {}, page.sessionId);
                await wire.evaluate('1', page.sessionId);
                took.push(performance.now() - at);
                open.push({ made, wire, page });
            } catch (e) {
                failed('lease', e);
            }
        }));
    const opened = (performance.now() - begun) / 1000;
    await Promise.all(open.slice(0, active).map(async ({ wire, page }) => {
        for (let k = 0; k < 10; k++)
            try {
                await visit(wire, page, late);
            } catch (e) {
                failed('page', e);
            }
    }));
    await Promise.all(open.map(async ({ wire, page }) => {
        const answer = await wire.evaluate('6 * 7', page.sessionId).catch((e) => failed('at the end', e));
        if (answer !== undefined && answer !== 42)
            failed('at the end', new Error(`found ${JSON.stringify(answer)}`));
    }));
    const all = server.all();
    const browsers = all.filter(isBrowser);
    const pss = browsers.reduce((sum, pid) => sum + kb(pid, 'smaps_rollup', 'Pss'), 0) / 1024;
    const rss = kb(server.child.pid, 'status', 'VmRSS') / 1024;
    console.log(`\n${open.length} leases held at once, ${active} of them active (${10 * active} pages, ${late.length} commands); opened in ${opened.toFixed(1)} s`);
    console.log(`lease to a usable page p50 / p95 ms            ${median(took).toFixed(0)} / ${quantile(took, 0.95).toFixed(0)} (four at a time)`);
    console.log(`a command on a loaded page p50 / p95 ms        ${median(late).toFixed(1)} / ${quantile(late, 0.95).toFixed(1)}`);
    console.log(`browsers: processes, PSS MB, PSS MB a lease    ${browsers.length}, ${pss.toFixed(0)}, ${(pss / open.length).toFixed(1)}`);
    console.log(`fleet RSS MB, descriptors                      ${rss.toFixed(0)}, ${readdirSync(`/proc/${server.child.pid}/fd`).length}`);
    console.log(`errors                                         ${errors}   goal 0   ${errors === 0 && open.length === leases ? 'reached' : 'MISSED'}`);
    await Promise.all(open.map(({ wire }) => wire.close()));
    await server.end();
}

async function visit(wire, page, late) {
    await wire.load(url, page.sessionId);
    for (let k = 0; k < 5; k++) {
        const at = performance.now();
        await wire.evaluate("document.querySelector('#b').click(); document.querySelector('#b').textContent", page.sessionId);
        late.push(performance.now() - at);
    }
}

try {
    if (only.some((s) => s !== 'held' && s !== 'lease'))
        await speed();
    if (only.includes('lease'))
        await one();
    if (only.includes('held'))
        await held();
} finally {
    site.close();
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}
