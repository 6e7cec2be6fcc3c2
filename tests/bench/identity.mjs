// What an identity costs: the same pages by a member with its full identity, by one with the noise off, and by an honest one (no client
// hints, no script; locale and zone alone), on both tiers. The page has 60 subresources, two workers and a frame.
//
//   tests/bench/run identity [--pages 40] [--rounds 5] [--only process,dense] [--life kept,fresh]
//
// CPU is that of the whole process tree as the kernel counts it (times of children that were waited for: browser, fleet and all), a page: the
// difference between a run of `pages` and one of `pages / 4`, so that starting costs nothing. Variants take turns, round by round; medians.
// The goal is for CPU with kept contexts: at most 12 % over honest.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const option = (name, otherwise) => {
    const at = process.argv.indexOf(`--${name}`);
    return at > 0 ? process.argv[at + 1] : otherwise;
};
const pages = Number(option('pages', 40));
const rounds = Number(option('rounds', 5));
const tiers = option('only', 'process,dense').split(',');
const lives = option('life', 'kept,fresh').split(',');
const fleet = resolve(option('fleet', join(here, '../../build/release/fleet')));
const variants = { full: {}, 'no noise': { noise: false }, honest: { honest: true } };

/* --- the page --- */

const body = (path) => {
    const list = (n, f) => Array.from({ length: n }, (_, i) => f(i)).join('');
    if (path.startsWith('/page'))
        return ['text/html', `<title>page</title>${list(10, (i) => `<link rel=stylesheet href=/s${i}.css>`)}
            ${list(37, (i) => `<img src=/i${i}.svg>`)}${list(10, (i) => `<script src=/j${i}.js></script>`)}<iframe src=/frame></iframe>
            <script>for (const n of [1, 2]) new Worker('/worker.js?' + n).postMessage(n);</script>${list(200, (i) => `<p>Paragraph ${i}</p>`)}`];
    if (path.startsWith('/frame'))
        return ['text/html', '<p>frame'];
    if (path.endsWith('.svg'))
        return ['image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'];
    if (path.endsWith('.css'))
        return ['text/css', `p:nth-child(${path.length}) { color: #123 }`];
    return ['text/javascript', path.startsWith('/worker') ? 'onmessage = (e) => postMessage(e.data)' : 'window.n = (window.n || 0) + 1'];
};
const server = createServer((q, a) => {
    const [type, text] = body(q.url);
    a.setHeader('content-type', type);
    a.setHeader('cache-control', 'no-store');
    a.end(text);
});
const port = await new Promise((ok) => server.listen(0, '127.0.0.1', () => ok(server.address().port)));

/* --- a run --- */

function run(dir, tier, life, variant, n) {
    writeFileSync(join(dir, 'c.json'), JSON.stringify({
        name: 'bench', flow: { title: 'page', steps: [{ type: 'navigate', url: '{{url}}' }] },
        targets: Array.from({ length: n }, (_, i) => `http://127.0.0.1:${port}/page?${i}`),
        members: { count: 1, identities: { seed: 'bench', ...variants[variant] } }, slots: 1, context: life,
        isolation: tier === 'process' ? 'process' : 'context', browser: tier === 'process' ? 'chromium' : 'headless-shell',
        limits: { max_requests: 1000, window_ms: 1000, robots: false }, policy: { private_networks: true },
        output: { results: 'results.ndjson', artifacts: 'out' },
    }));
    rmSync(join(dir, 'state'), { recursive: true, force: true });
    rmSync(join(dir, 'results.ndjson'), { force: true });
    return new Promise((ok, fail) => {
        const child = spawn('bash', ['-c', 'TIMEFORMAT="%U %S"; time "$0" run c.json --quiet >out.txt 2>err.txt', fleet],
            { cwd: dir, env: { ...process.env, LC_ALL: 'C', FLEET_STATE_DIR: join(dir, 'state') }, stdio: ['ignore', 'ignore', 'pipe'] });
        let text = '';
        child.stderr.on('data', (d) => { text += d; });
        child.on('close', (code) => {
            if (code !== 0) {
                fail(new Error(`${tier}, ${variant}: exit ${code}\n${readFileSync(join(dir, 'err.txt'), 'utf8')}`));
                return;
            }
            const results = readFileSync(join(dir, 'results.ndjson'), 'utf8').trim().split('\n').map((l) => JSON.parse(l));
            const [user, sys] = text.trim().split(/\s+/).map(Number);
            ok({ cpu: (user + sys) * 1000, wall: results.slice(1).map((r) => r.duration_ms).sort((a, b) => a - b)[n >> 1] });
        });
    });
}

const median = (v) => v.slice().sort((a, b) => a - b)[v.length >> 1];

async function measure(tier, life) {
    const rows = Object.fromEntries(Object.keys(variants).map((v) => [v, []]));
    const dir = mkdtempSync(join(tmpdir(), 'fleet-bench-'));
    const few = Math.max(2, pages >> 2);
    try {
        for (let i = 0; i < rounds; i++)
            for (const v of Object.keys(variants)) {
                process.stderr.write(`\r${tier}, ${life}: round ${i + 1} of ${rounds}, ${v}          `);
                const short = await run(dir, tier, life, v, few);
                const long = await run(dir, tier, life, v, pages);
                rows[v].push({ cpu: (long.cpu - short.cpu) / (pages - few), wall: long.wall });
            }
    } finally {
        rmSync(dir, { recursive: true, force: true });
        process.stderr.write('\r\x1b[K');
    }
    const of = (v, key) => median(rows[v].map((r) => r[key]));
    console.log(`\n${tier} tier, ${life} contexts: ${pages} pages, medians of ${rounds} rounds`);
    for (const v of Object.keys(variants)) {
        const over = 100 * (of(v, 'cpu') / of('honest', 'cpu') - 1);
        const verdict = v === 'full' && life === 'kept' ? `   goal <= 12 %   ${over <= 12 ? 'reached' : 'MISSED'}` : '';
        console.log(`  ${v.padEnd(9)} ${of(v, 'cpu').toFixed(1).padStart(7)} ms CPU a page  ${(over >= 0 ? '+' : '') + over.toFixed(1)} %   task ${of(v, 'wall')} ms${verdict}`);
    }
}

for (const tier of tiers)
    for (const life of lives)
        await measure(tier, life);
server.close();
