// A HAR of `fleet run` before other people's judges: the schema of har-validator, and Playwright's own recordHar of
// the same visit of the same site, entry by entry.
import {spawn} from 'node:child_process';
import {existsSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import http from 'node:http';
import {gzipSync} from 'node:zlib';
import {done, skip, test} from '../support/tap.mjs';

const shell = ['/usr/bin/chromium-headless-shell', '/usr/lib/chromium/headless_shell'].find(existsSync);
if (!shell) {
  await test('HAR files', async () => skip('no chromium-headless-shell here'));
  done();
}
const {load} = await import('../support/npm.mjs');
const validator = await load('har-validator');
const {chromium} = await load('playwright-core');

// --- the site: what has a place of its own in a HAR ---

const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
const html = 'text/html; charset=utf-8';
const pages = {
  '/start': () => [302, {location: '/home?a=1&b=x%20y'}],
  '/home': (port) => [200, {'content-type': html, 'content-encoding': 'gzip',
    'set-cookie': ['sid=hidden; HttpOnly; Expires=Fri, 01 Jan 2038 00:00:00 GMT', 't=2; SameSite=Lax']},
    gzipSync(`<!doctype html><title>home</title><link rel=icon href=data:,><link rel=stylesheet href=/s.css>
    <p>${'x'.repeat(2000)}</p><img src=/p.png><img src=/missing.png>
    <iframe src="http://localhost:${port}/frame"></iframe><script src=/a.js></script>`)],
  '/a.js': () => [200, {'content-type': 'text/javascript', 'cache-control': 'max-age=600'}, `
    const wait = [fetch('/api/list?q=1', {method: 'POST', body: 'k=v&z=a+b', headers: {
        'content-type': 'application/x-www-form-urlencoded', authorization: 'Bearer ' + 'hid' + 'den'}}).then(r => r.json()),
      fetch('/redir').then(r => r.text()), fetch('http://127.0.0.1:1/dead').catch(() => 0),
      new Promise(told => { new Worker('/w.js').onmessage = told; })];
    Promise.all(wait).then(() => { window.done = true; });`],
  '/w.js': () => [200, {'content-type': 'text/javascript'},
    'fetch("/api/worker").then(r => r.text()).then(() => postMessage(1))'],
  '/redir': () => [307, {location: '/api/end'}],
  '/frame': () => [200, {'content-type': html}, 'in a frame<script>fetch("/api/frame")</script>'],
  '/s.css': (port, q) => q.headers['if-none-match'] ? [304, {'content-type': 'text/css', etag: '"1"'}] :
    [200, {'content-type': 'text/css', etag: '"1"', 'cache-control': 'no-cache'}, 'p{color:red}'],
  '/p.png': () => [200, {'content-type': 'image/png', 'cache-control': 'max-age=600'}, Buffer.from(pixel, 'base64')],
  '/second': () => [200, {'content-type': html}, `<!doctype html><title>second</title><link rel=icon href=data:,>
    <link rel=stylesheet href=/s.css><img src=/p.png onload="window.done=true"><p>two`],
};
const site = http.createServer((q, r) => {
  const path = q.url.split('?')[0];
  const answer = pages[path] ? pages[path](site.address().port, q) :
    path.startsWith('/api/') ? [200, {'content-type': 'application/json'}, JSON.stringify({path: q.url, 'ü': [1, 2]})] :
    [404, {'content-type': 'text/plain'}, 'no'];
  r.writeHead(answer[0], answer[1]);
  r.end(answer[2]);
});
await new Promise((up) => site.listen(0, '127.0.0.1', up));
const at = `http://127.0.0.1:${site.address().port}`;

// --- two visits ---

async function of_playwright() {
  const browser = await chromium.launch({executablePath: shell, args: ['--no-sandbox']});
  const context = await browser.newContext({recordHar: {path: 'playwright.har', content: 'embed'}});
  const page = await context.newPage();
  for (const path of ['/start', '/second']) {
    await page.goto(at + path);
    await page.waitForFunction('window.done');
    await page.waitForLoadState('networkidle');
  }
  await context.close();
  await browser.close();
  return JSON.parse(readFileSync('playwright.har')).log;
}

// The site answers from this very process: nothing here may wait for the program.
const spawned = (args) => new Promise((over) => {
  const child = spawn(`${process.env.FLEET_BUILD}/fleet`, args, {stdio: ['ignore', 'ignore', 'pipe']});
  let said = '';
  child.stderr.on('data', (text) => { said += text; });
  child.on('close', (code) => over({code, said}));
});

async function of_fleet(output) {
  const until = (e) => ({type: 'waitForExpression', expression: e, timeout: 20000});
  rmSync('out', {recursive: true, force: true});
  writeFileSync('flow.json', JSON.stringify({title: 'visit', steps: [
    {type: 'navigate', url: `${at}/start`}, until('window.done'), {type: 'sleep', ms: 500},
    {type: 'navigate', url: `${at}/second`}, until('window.done'), {type: 'sleep', ms: 100}]}));
  writeFileSync('campaign.json', JSON.stringify({name: 'visit', flow: 'flow.json', targets: [{url: `${at}/start`}],
    browser: 'headless-shell', sandbox: 'prefer', policy: {private_networks: true}, retry: {max: 0},
    limits: {robots: false}, output}));
  const {code, said} = await spawned(['--state-dir', 'st', 'run', 'campaign.json']);
  const file = existsSync('out') ? readdirSync('out').find((name) => name.endsWith('.har')) : undefined;
  if (code !== 0 || !file) throw new Error(`fleet run: ${code}: ${said}`);
  return readFileSync(`out/${file}`, 'utf8');
}

// --- the judges ---

// Of one entry what both must say alike. A failed request is 0 with us, as in Chrome's export, and -1 with them; what
// came from the wire or from memory is the browser's choice, so a revalidated style sheet counts by its kind.
const brief = (e) => [e.request.method, e.request.url, Math.max(e.response.status, 0),
  e.response.content.mimeType.split(';')[0], e._resourceType, e.response.redirectURL,
  Math.max(e.response.content.size, 0) > 0 && e.response.status !== 304 ? e.response.content.text ?? '' : ''].join(' ');
const sorted = (log) => log.entries.map(brief).sort();

function same(a, b) {
  const missing = a.filter((x) => !b.includes(x)), more = b.filter((x) => !a.includes(x));
  if (missing.length || more.length || a.length !== b.length)
    throw new Error(`missing:\n${missing.join('\n')}\nmore:\n${more.join('\n')}`);
}

async function is_valid(log) {
  try {
    await validator.har({log});
  } catch (e) {
    throw new Error((e.errors ?? [e]).slice(0, 5).map((x) => `${x.dataPath} ${x.message}`).join('\n'));
  }
}

let log;
await test('a campaign leaves a HAR', async () => { log = JSON.parse(await of_fleet({har: 'embed'})).log; });
await test('har-validator finds it valid', async () => is_valid(log));
await test("it has the entries of Playwright's own", async () => same(sorted(await of_playwright()), sorted(log)));
await test('who signs in how is not in it', async () => {
  if (JSON.stringify(log).includes('hidden')) throw new Error('a cookie or authorization is in the HAR');
});
await test('unless that is asked for', async () => {
  const text = await of_fleet({har: 'omit', har_sensitive: true});
  await is_valid(JSON.parse(text).log);
  if (!text.includes('sid=hidden') || !text.includes('Bearer hidden')) throw new Error('they are not in it');
  if (JSON.parse(text).log.entries.some((e) => 'text' in e.response.content)) throw new Error('it has bodies');
});
site.close();
site.closeAllConnections();
for (const name of ['out', 'st', 'flow.json', 'campaign.json', 'playwright.har'])
  rmSync(name, {recursive: true, force: true});
for (const name of readdirSync('.').filter((x) => /^(audit|results|report|identities)/.test(x))) rmSync(name);
done();
