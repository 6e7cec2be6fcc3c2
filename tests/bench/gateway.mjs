// The same Puppeteer and Playwright scripts on a browser of their own and through the gateway, in turns on
// one machine, the gate idle (private targets, a high rate): pages a second each way, and the ratio.
//     FLEET_NPM=$PWD/build/npm FLEET_BUILD=$PWD/build/release node tests/bench/gateway.mjs [ROUNDS]
import {spawn} from 'node:child_process';
import {createServer} from 'node:http';
import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {load} from '../support/npm.mjs';

const rounds = Number(process.argv[2] ?? 7), pages = 20;
const puppeteer = await load('puppeteer-core');
const {chromium} = await load('playwright-core');
const dir = await mkdtemp(`${tmpdir()}/gateway-bench-`);
const body = `<!doctype html><title>Page</title><h1>Page</h1><button id=b onclick="this.textContent='done'">go</button><p>${'words '.repeat(2000)}</p>`;
const site = createServer((q, a) => a.setHeader('content-type', 'text/html').end(body)).listen(0, '127.0.0.1');
await new Promise((done) => site.once('listening', done));
const url = `http://127.0.0.1:${site.address().port}/`;

function line(child, stream, pattern) {
  let text = '';
  return new Promise((done, no) => {
    child[stream].on('data', (chunk) => {
      text += chunk;
      const found = text.match(pattern);
      if (found) done(found);
    });
    child.once('exit', () => no(new Error(`${child.spawnargs[0]} ended: ${text}`)));
  });
}

await writeFile(`${dir}/serve.json`, JSON.stringify({
  members: {count: 2, identities: {honest: true}}, limits: {max_requests: 5000, window_ms: 1000, robots: false},
  policy: {private_networks: true}, audit: {sink: 'audit.ndjson'}}));
const fleet = spawn(`${process.env.FLEET_BUILD}/fleet`,
    ['--state-dir', 'state', 'serve', '--config', 'serve.json', '--listen', '127.0.0.1:0', '--json'],
    {cwd: dir, stdio: ['ignore', 'pipe', 'inherit']});
const [, base, token] = await line(fleet, 'stdout', /"gateway":"(http[^"]+)","token":"([^"]+)"/);
const shell = process.env.FLEET_HEADLESS_SHELL ?? 'chromium-headless-shell';
const alone = spawn(shell, ['--no-sandbox', '--remote-debugging-port=0', `--user-data-dir=${dir}/profile`],
    {stdio: ['ignore', 'ignore', 'pipe']});
const [, direct] = await line(alone, 'stderr', /listening on (ws:\S+)/);
const headers = {authorization: `Bearer ${token}`};

async function lease() {
  const answer = await fetch(`${base}/v1/leases`, {method: 'POST', headers});
  return (await answer.json()).url;
}
const visits = {
  async puppeteer(endpoint) {
    const browser = await puppeteer.connect({browserWSEndpoint: endpoint});
    const context = await browser.createBrowserContext();
    for (let i = 0; i < pages; i++) {
      const page = await context.newPage();
      await page.goto(url);
      await page.click('#b');
      await page.$eval('#b', (e) => e.textContent);
      await page.close();
    }
    await context.close();
    await browser.disconnect();
  },
  async playwright(endpoint) {
    const browser = await chromium.connectOverCDP(endpoint);
    const context = await browser.newContext();
    for (let i = 0; i < pages; i++) {
      const page = await context.newPage();
      await page.goto(url);
      await page.click('#b');
      await page.textContent('#b');
      await page.close();
    }
    await context.close();
    await browser.close();
  },
};
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

const through = await lease();
for (const [name, visit] of Object.entries(visits)) {
  const took = {direct: [], gateway: []};
  for (let i = 0; i <= rounds; i++) {
    for (const [way, endpoint] of [['direct', direct], ['gateway', through]]) {
      const begun = performance.now();
      await visit(endpoint);
      if (i > 0) took[way].push((performance.now() - begun) / pages); // the first round warms up
    }
  }
  const d = median(took.direct), g = median(took.gateway);
  console.log(`${name}: direct ${d.toFixed(1)} ms a page, gateway ${g.toFixed(1)} ms, ${(100 * d / g).toFixed(1)} % of the speed`);
}
fleet.kill();
alone.kill();
await new Promise((done) => fleet.once('exit', done));
site.close();
await rm(dir, {recursive: true, force: true});
