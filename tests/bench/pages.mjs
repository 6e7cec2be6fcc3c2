// Pages of an article, side by side in one run: Fleet with everything on (gate, forwarder, identity, receipts) against puppeteer-core,
// puppeteer-cluster and playwright-core on the same browser binary, and a raw driver that asks of the browser the least there is (the floor of
// the machine, no peer). Prints a table of medians with ratios against the best peer.
//
//   tests/bench/run --tasks 300 --in-flight 4 --rounds 3 --only fresh,kept,first,proxied,chromium,offered
//
// proxied: fresh contexts behind a tinyproxy that asks for a name and a password. chromium: fresh contexts on the full browser's new headless.
// offered: 16 tasks at a time are offered, more than two processors can serve: Fleet as it is, with slots for 2 a processor alone, and with no
// bound; with the browser's PSS at its height, looked at every 0.4 s.
// The contenders take turns, round by round, so that a machine whose speed drifts treats all alike. CPU and memory are sampled from
// /proc every 25 ms (fleet's controller: fleet and all fleet-reaper together; a renderer's last few milliseconds are missed, for all alike). The
// first page is the time from the start of the process to a beacon that the page sends after its load event.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const option = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at > 0 ? process.argv[at + 1] : otherwise;
};
const tasks = Number(option('tasks', 300));
const inFlight = Number(option('in-flight', 4));
const rounds = Number(option('rounds', 3));
const only = option('only', 'fresh,kept,first,proxied,chromium,offered').split(',');
const offered = 16;
const fleet = resolve(option('fleet', join(here, '../../build/release/fleet')));
const browserOf = (mode) => (mode === 'chromium' ? '/usr/bin/chromium' : '/usr/bin/chromium-headless-shell');
const tick = 100; // USER_HZ

/* --- /proc --- */

const cpuOf = (pid) => {
    try {
        const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
        const close = text.lastIndexOf(')');
        const f = text.slice(close + 2).split(' ');
        return { comm: text.slice(text.indexOf('(') + 1, close), ppid: Number(f[1]), cpu: (Number(f[11]) + Number(f[12])) / tick };
    } catch {
        return null;
    }
};
const rssOf = (pid) => {
    try {
        return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]) / 1024;
    } catch {
        return 0;
    }
};
const pssOf = (pid) => {
    try {
        return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))[1]) / 1024;
    } catch {
        return 0;
    }
};
/** A contender's processes, by their last reading: the controller (the root, and what is called fleet*) and the browser (all the rest). */
class Sampler {
    constructor(root, withPss) {
        this.root = root;
        this.cpu = { controller: new Map(), browser: new Map() };
        this.rss = 0;
        this.pss = 0;
        this.pssTimer = withPss ? setInterval(() => this.samplePss(), 400) : null;
        this.timer = setInterval(() => this.sample(), 25);
    }
    tree() {
        const now = new Map();
        for (const name of readdirSync('/proc')) {
            const s = /^\d+$/.test(name) ? cpuOf(name) : null;
            if (s)
                now.set(Number(name), s);
        }
        const mine = new Map([[this.root, now.get(this.root)]]);
        for (let grew = true; grew;) {
            grew = false;
            for (const [p, s] of now)
                if (!mine.has(p) && mine.has(s.ppid)) {
                    mine.set(p, s);
                    grew = true;
                }
        }
        return mine;
    }
    sample() {
        let rss = 0;
        for (const [p, s] of this.tree()) {
            const controller = p === this.root || s?.comm.startsWith('fleet');
            if (s)
                (controller ? this.cpu.controller : this.cpu.browser).set(p, s.cpu);
            if (controller)
                rss += rssOf(p);
        }
        this.rss = Math.max(this.rss, rss);
    }
    samplePss() {
        let pss = 0;
        for (const [p, s] of this.tree())
            if (p !== this.root && !s?.comm.startsWith('fleet'))
                pss += pssOf(p);
        this.pss = Math.max(this.pss, pss);
    }
    end() {
        const sum = (m) => [...m.values()].reduce((x, y) => x + y, 0);
        clearInterval(this.timer);
        clearInterval(this.pssTimer);
        return { cpu: sum(this.cpu.controller), browserCpu: sum(this.cpu.browser), rss: this.rss, pss: this.pss };
    }
}

/* --- contenders --- */

const server = spawn(process.execPath, [join(here, 'server.mjs'), join(here, '../site')], { stdio: ['ignore', 'pipe', 'inherit'] });
const lines = createInterface({ input: server.stdout });
let onLoaded = () => {};
const port = await new Promise((ok) => lines.on('line', (l) => {
    const m = JSON.parse(l);
    if (m.port)
        ok(m.port);
    else
        onLoaded(m.loaded);
}));
const urls = (mode) => [1, 2, 3, 4, 5, 6, 7, 8].map((i) => `http://127.0.0.1:${port}/${mode === 'first' ? 'first' : 'article'}/${i}`);

function run(command, args, env, cwd, withPss) {
    return new Promise((ok, fail) => {
        const started = Date.now();
        const child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
        const sampler = new Sampler(child.pid, withPss);
        let out = '';
        let err = '';
        child.stdout.on('data', (d) => { out += d; });
        child.stderr.on('data', (d) => { err += d; });
        child.on('error', fail);
        child.on('close', (code) => {
            const sampled = sampler.end();
            if (code !== 0)
                fail(new Error(`${command} ${args.join(' ')}: exit ${code}\n${out.slice(-2000)}\n${err.slice(-4000)}`));
            else
                ok({ out, started, ...sampled });
        });
    });
}

/* --- the upstream proxy --- */

class Upstream {
    user = 'bench';
    password = 's3cret';
    async start() {
        this.dir = mkdtempSync(join(tmpdir(), 'fleet-bench-proxy-'));
        this.log = join(this.dir, 'log');
        this.port = await new Promise((ok) => {
            const s = createServer().listen(0, '127.0.0.1', () => {
                const { port: free } = s.address();
                s.close(() => ok(free));
            });
        });
        writeFileSync(join(this.dir, 'conf'), `Port ${this.port}\nListen 127.0.0.1\nMaxClients 400\nTimeout 60\nLogLevel Connect\nLogFile "${this.log}"\nDisableViaHeader Yes\nBasicAuth ${this.user} ${this.password}\n`);
        this.child = spawn('tinyproxy', ['-d', '-c', join(this.dir, 'conf')], { stdio: 'ignore' });
        const failed = new Promise((_, fail) => this.child.on('error', (e) => fail(new Error(`tinyproxy: ${e.message} (package tinyproxy)`))));
        for (let i = 0; i < 100 && !existsSync(this.log); i++)
            await Promise.race([failed, new Promise((ok) => setTimeout(ok, 50))]);
        return this;
    }
    /** How many requests it let through so far. */
    served() {
        return (readFileSync(this.log, 'latin1').match(/Request \(file descriptor/g) ?? []).length;
    }
    stop() {
        this.child.kill();
        rmSync(this.dir, { recursive: true, force: true });
    }
}
const upstream = only.includes('proxied') ? await new Upstream().start() : null;

async function peer(name, mode, n, flight) {
    const env = mode === 'proxied' ? { BENCH_PROXY: `http://127.0.0.1:${upstream.port}`, BENCH_USER: upstream.user, BENCH_PASSWORD: upstream.password } : {};
    const r = await run(process.execPath, [join(here, 'peer.mjs'), name, mode === 'kept' ? 'kept' : 'fresh', browserOf(mode), n, flight, ...urls(mode)], env, undefined, mode === 'offered');
    return { ...r, ...JSON.parse(r.out) };
}

const flow = {
    title: 'article',
    steps: [
        { type: 'navigate', url: '{{url}}' },
        { type: 'set', name: 'page', output: true, expression: '({title: document.title, links: [...document.links].slice(0, 5).map((a) => a.href), length: document.body.innerText.length})' },
    ],
};

async function ours(name, mode, n, flight, perCpu = 2) {
    const dir = mkdtempSync(join(tmpdir(), 'fleet-bench-'));
    try {
        mkdirSync(join(dir, 'out'));
        writeFileSync(join(dir, 'article.flow.json'), JSON.stringify(flow));
        const all = urls(mode);
        writeFileSync(join(dir, 'campaign.json'), JSON.stringify({
            name: 'bench', flow: 'article.flow.json', targets: Array.from({ length: n }, (_, i) => all[i % all.length]),
            members: { count: flight, identities: { viewport: '800x600' } }, slots: flight, // as large as the peers' pages
            isolation: 'context', browser: mode === 'chromium' ? 'chromium' : 'headless-shell', context: mode === 'kept' ? 'kept' : 'fresh',
            ...(mode === 'proxied' ? { proxies: { list: [`http://${upstream.user}:${upstream.password}@127.0.0.1:${upstream.port}#bench`], required: true } } : {}),
            limits: { max_requests: 1000, window_ms: 1000 }, policy: { private_networks: true },
            autoscale: { per_cpu: perCpu }, audit: { sink: 'audit.ndjson' }, output: { results: 'results.ndjson' },
        }));
        const r = await run(fleet, ['run', join(dir, 'campaign.json'), '--quiet'], { FLEET_STATE_DIR: join(dir, 'state') }, dir, mode === 'offered');
        const results = readFileSync(join(dir, 'results.ndjson'), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
        const bad = results.find((x) => x.status !== 'succeeded' || x.output.page.links.length !== 5 || x.output.page.length < 20000);
        if (bad || results.length !== n)
            throw new Error(`fleet: ${results.length} results, ${JSON.stringify(bad)}`);
        const begin = Math.min(...results.map((x) => Date.parse(x.started)));
        const end = Math.max(...results.map((x) => Date.parse(x.started) + x.duration_ms));
        const times = results.map((x) => x.duration_ms).sort((a, b) => a - b);
        const q = (p) => times[Math.min(times.length - 1, Math.floor(times.length * p))];
        return { ...r, tasks: n, seconds: (end - begin) / 1000, p50: q(0.5), p95: q(0.95), p99: q(0.99) };
    } finally {
        rmSync(dir, { recursive: true, force: true });
    }
}

// held: the raw driver that holds each document until it is let go, as a gate has to: the floor of all that enforce.
const contenders = {
    fleet: ours, puppeteer: peer, cluster: peer, playwright: peer, raw: peer, held: peer,
    'few slots': (name, mode, n) => ours(name, mode, n, 2 * availableParallelism()), unbound: (name, mode, n, flight) => ours(name, mode, n, flight, 0),
};
const peers = ['puppeteer', 'cluster', 'playwright'];

/* --- measuring and telling --- */

const median = (v) => v.slice().sort((a, b) => a - b)[Math.floor(v.length / 2)];
const rows = {};

async function round(mode, name) {
    let loaded = 0;
    onLoaded = (t) => { loaded ||= t; };
    const n = mode === 'first' ? 1 : tasks;
    const before = mode === 'proxied' ? upstream.served() : 0;
    const r = await contenders[name](name, mode, n, { first: 1, offered }[mode] ?? inFlight);
    if (mode === 'proxied' && upstream.served() - before < n)
        throw new Error(`${name}: ${n} pages, but the proxy saw ${upstream.served() - before} requests`);
    const row = { pages: n / r.seconds, p50: r.p50, p95: r.p95, p99: r.p99, controller: (r.cpu * 1000) / n, browser: (r.browserCpu * 1000) / n, rss: r.rss, pss: r.pss, first: loaded - r.started };
    ((rows[mode] ??= {})[name] ??= []).push(row);
}

const taking = (mode) => mode === 'offered' ? ['fleet', 'few slots', 'unbound', 'puppeteer'] : Object.keys(contenders).filter((name) =>
    name !== 'few slots' && name !== 'unbound' && (mode !== 'proxied' || (name !== 'raw' && name !== 'held')));
for (const mode of only) {
    const times = mode === 'first' ? Math.max(rounds, 5) : rounds;
    for (let i = 0; i < times; i++)
        for (const name of taking(mode)) {
            process.stderr.write(`\r${mode} round ${i + 1} of ${times}: ${name}          `);
            await round(mode, name);
        }
}
process.stderr.write('\r\x1b[K');
server.kill();
upstream?.stop();

const of = (mode, name, key) => median(rows[mode][name].map((r) => r[key]));
const pad = (s, n) => String(s).padStart(n);
for (const mode of only.filter((m) => m !== 'first' && m !== 'offered')) {
    console.log(`\n${{ fresh: 'a fresh context per task', kept: 'kept contexts', proxied: 'a fresh context per task, behind a proxy with a password', chromium: 'a fresh context per task, new headless' }[mode]}: ${tasks} pages, ${inFlight} in flight, medians of ${rounds} rounds`);
    console.log('             pages/s   p50 / p95 / p99 ms   controller  browser CPU ms/page   controller RSS MB');
    for (const name of taking(mode))
        console.log(`${name.padEnd(11)} ${pad(of(mode, name, 'pages').toFixed(1), 8)}   ${pad(`${of(mode, name, 'p50').toFixed(0)} / ${of(mode, name, 'p95').toFixed(0)} / ${of(mode, name, 'p99').toFixed(0)}`, 18)}   ${pad(of(mode, name, 'controller').toFixed(2), 10)}  ${pad(of(mode, name, 'browser').toFixed(1), 7)}               ${pad(of(mode, name, 'rss').toFixed(1), 8)}`);
}
const best = (mode) => Math.max(...peers.map((n) => of(mode, n, 'pages')));
const verdict = (text, value, goal, atLeast) => console.log(`${text.padEnd(58)} ${value.toFixed(2)}   goal ${atLeast ? '>=' : '<='} ${goal}   ${(atLeast ? value >= goal : value <= goal) ? 'reached' : 'MISSED'}`);
console.log('');
if (rows.fresh)
    verdict('fresh contexts: pages/s against the best peer', of('fresh', 'fleet', 'pages') / best('fresh'), 1.2, true);
if (rows.kept)
    verdict("kept contexts: pages/s against the best peer's", of('kept', 'fleet', 'pages') / best('kept'), 1.15, true);
if (rows.proxied)
    verdict('behind a proxy with a password: against the best peer', of('proxied', 'fleet', 'pages') / best('proxied'), 1.35, true);
if (rows.chromium)
    verdict('new headless: against the best peer', of('chromium', 'fleet', 'pages') / best('chromium'), 1.3, true);
for (const mode of only.filter((m) => m !== 'first' && m !== 'proxied' && m !== 'offered'))
    console.log(`${`${mode}: pages/s against the raw driver, which is ${(of(mode, 'raw', 'pages') / best(mode)).toFixed(2)} of the best peer (${(of(mode, 'held', 'pages') / best(mode)).toFixed(2)} when it holds documents)`.padEnd(104)} ${(of(mode, 'fleet', 'pages') / of(mode, 'raw', 'pages')).toFixed(2)}`);
if (rows.kept && rows.fresh)
    verdict('kept against own fresh', of('kept', 'fleet', 'pages') / of('fresh', 'fleet', 'pages'), 2, true);
if (rows.fresh) {
    verdict('controller CPU ms a page (fresh)', of('fresh', 'fleet', 'controller'), 1.5, false);
    console.log(`${"  the same against puppeteer's (8.2 ms where the goal was set: 0.18)".padEnd(58)} ${(of('fresh', 'fleet', 'controller') / of('fresh', 'puppeteer', 'controller')).toFixed(2)}`);
    verdict("resident memory of fleet's processes, MB", of('fresh', 'fleet', 'rss'), 20, false);
}
if (rows.first) {
    for (const name of taking('first'))
        console.log(`process start to first page, ${name}: ${of('first', name, 'first').toFixed(0)} ms`);
    verdict('process start to first page against puppeteer', of('first', 'fleet', 'first') / of('first', 'puppeteer', 'first'), 0.35, false);
}
if (rows.offered) {
    console.log(`\n${offered} tasks offered at a time: ${tasks} pages, medians of ${rounds} rounds\n             pages/s   p50 / p95 / p99 ms   browser CPU ms/page   browser PSS MB`);
    for (const name of taking('offered'))
        console.log(`${name.padEnd(11)} ${pad(of('offered', name, 'pages').toFixed(1), 8)}   ${pad(['p50', 'p95', 'p99'].map((k) => of('offered', name, k).toFixed(0)).join(' / '), 18)}   ${pad(of('offered', name, 'browser').toFixed(1), 19)}   ${pad(of('offered', name, 'pss').toFixed(0), 14)}`);
    verdict('offered: pages/s against slots for 2 a processor', of('offered', 'fleet', 'pages') / of('offered', 'few slots', 'pages'), 0.95, true);
    verdict("offered: the browser's PSS against puppeteer's", of('offered', 'fleet', 'pss') / of('offered', 'puppeteer', 'pss'), 0.6, false);
    verdict("offered: the browser's PSS against no bound", of('offered', 'fleet', 'pss') / of('offered', 'unbound', 'pss'), 0.6, false);
}
