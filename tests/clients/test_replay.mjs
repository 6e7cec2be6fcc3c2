// Flows as people record them, run by @puppeteer/replay and by `fleet run` on the same pages with the same browser: what happened on
// the pages (they tell the server each event) is to be the same, and so is whether the flow succeeded. Where Fleet means to differ, the
// case says so, and it must differ. Cases with frames are run in the full browser, where those of another site have a process of their own.
// REPLAY_BROWSER=chromium|headless-shell: all in that one; REPLAY_CASE=REGEXP: some cases; REPLAY_SHOW=1: all events.
import {execFile} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import http from 'node:http';
import {cases} from './replay_cases.mjs';
import {done, skip, test} from '../support/tap.mjs';

const programs = {
  'headless-shell': process.env.FLEET_HEADLESS_SHELL ?? '/usr/bin/chromium-headless-shell',
  chromium: process.env.FLEET_CHROMIUM ?? '/usr/bin/chromium',
};
const kindOf = (c) => process.env.REPLAY_BROWSER ?? (c.frames ? 'chromium' : 'headless-shell');
const chosen = cases.filter((c) => new RegExp(process.env.REPLAY_CASE ?? '').test(c.what));
const pages = `${process.env.FLEET_SOURCE}/tests/site/cases/replay`;

// --- the pages; each run has its own first part of the path ---

const told = new Map(); // run -> [document, when it began, number, words]
let port;
const sites = (run) => ({SITE: `http://127.0.0.1:${port}/${run}`, OTHER: `http://localhost:${port}/${run}`});
const fill = (text, run) => text.replaceAll(/\{\{(SITE|OTHER)\}\}/g, (_, name) => sites(run)[name]);

const server = http.createServer((request, response) => {
  const [, run, name] = /^\/([^/?]*)\/?([^?]*)/.exec(request.url);
  if (request.method === 'POST') {
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => {
      const [of, ...note] = JSON.parse(body);
      if (!told.has(of)) told.set(of, []);
      told.get(of).push(note);
      response.end();
    });
    return;
  }
  const file = `${pages}/${name}`;
  const found = /^[a-z]+\.(html|js)$/.test(name) && existsSync(file);
  response.writeHead(found ? 200 : 404, {
    'content-type': name.endsWith('.js') ? 'text/javascript' : 'text/html', 'cache-control': 'no-store'});
  response.end(found ? fill(readFileSync(file, 'utf8'), run) : '');
});
await new Promise((ready) => server.listen(0, ready));
port = server.address().port;

// Words by document, in the order the documents began; port and run are not what is compared.
function happened(run, without) {
  const documents = new Map();
  for (const [name, began, number, words] of (told.get(run) ?? []).sort((a, b) => a[1] - b[1] || a[2] - b[2])) {
    if (without?.test(words)) continue;
    const key = `${name} ${began}`;
    if (!documents.has(key)) documents.set(key, [`== ${name}`]);
    documents.get(key).push(words);
  }
  for (const list of documents.values()) if (/^focusout/.test(list.at(-1))) list.pop(); // as the page is closed
  return [...documents.values()].map((list) => list.join('\n')).sort().join('\n');
}

// A case's flow: on a page of one size, which is given time to tell all after it.
const size = {type: 'setViewport', width: 1000, height: 800, deviceScaleFactor: 1, isMobile: false, hasTouch: false, isLandscape: false};
const flow = (c, run) => JSON.parse(fill(JSON.stringify({title: c.what, timeout: 10000,
  steps: [size, ...c.steps, {type: 'waitForExpression', expression: 'flushed()'}]}), run));

// --- the two ---

const theirs = new Map(), ours = new Map(); // case -> {ok, text}

process.on('unhandledRejection', () => {}); // of replay: an event that was asserted by a step that failed

async function replayed(kind) {
  const {load} = await import('../support/npm.mjs');
  const puppeteer = await load('puppeteer-core');
  const {PuppeteerRunnerExtension, createRunner} = await load('@puppeteer/replay');
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-popup-blocking'];
  const env = {...process.env, HOME: `${process.cwd()}/campaign`}; // it leaves settings there
  const browser = await puppeteer.launch({executablePath: programs[kind], args, env, defaultViewport: {width: 1000, height: 800}});
  const [first] = await browser.pages();
  for (const [i, c] of chosen.entries()) {
    if (kindOf(c) !== kind) continue;
    const page = await browser.newPage();
    try {
      await (await createRunner(flow(c, `r${i}`), new PuppeteerRunnerExtension(browser, page))).run();
      theirs.set(c, {ok: true});
    } catch (e) {
      theirs.set(c, {ok: false, text: String(e.message ?? e)});
    }
    for (const left of await browser.pages()) // one of them may be held by a dialog
      if (left !== first) await Promise.race([left.close().catch(() => {}), new Promise((go) => setTimeout(go, 1000))]);
  }
  await browser.close();
}

async function fleeted(kind) {
  const targets = [];
  for (const [i, c] of chosen.entries()) {
    if (kindOf(c) !== kind) continue;
    writeFileSync(`campaign/${i}.json`, JSON.stringify(flow(c, `f${i}`)));
    targets.push({url: `${sites(`f${i}`).SITE}/second.html`, $flow: `${i}.json`});
  }
  writeFileSync(`campaign/${kind}.c.json`, JSON.stringify({
    name: 'replay', targets, slots: 1, browser: kind, isolation: 'context', context: 'kept',
    sandbox: 'prefer', retry: {max: 0}, policy: {private_networks: true},
    limits: {max_requests: 1000, authorized: ['127.0.0.1', 'localhost'], robots: false},
    breaker: {failure_rate: 1, min_samples: 100000},
    output: {results: `${kind}.ndjson`}}));
  const [out, err] = await new Promise((over) => execFile(`${process.env.FLEET_BUILD}/fleet`,
    ['--state-dir', `campaign/${kind}`, 'run', `campaign/${kind}.c.json`], {maxBuffer: 1 << 26}, (_, o, e) => over([o, e])));
  if (!existsSync(`campaign/${kind}.ndjson`)) throw new Error(`fleet run: ${out}${err}`);
  for (const line of readFileSync(`campaign/${kind}.ndjson`, 'utf8').trim().split('\n')) {
    const r = JSON.parse(line);
    ours.set(chosen[Number(/\/f(\d+)\//.exec(r.url)[1])], {ok: r.status === 'succeeded', text: r.error?.message ?? ''});
  }
}

// --- side by side ---

// Places are told in whole pixels; those in frames that stand between two are rounded now up, now down.
const place = /(-?\d+),(-?\d+)/g;
function alike(a, b) {
  const p = [...a.matchAll(place)], q = [...b.matchAll(place)];
  return a.replace(place, '@') === b.replace(place, '@') && p.length === q.length &&
    p.every((m, i) => Math.abs(m[1] - q[i][1]) <= 1 && Math.abs(m[2] - q[i][2]) <= 1);
}

function difference(a, b) {
  const left = a.split('\n'), right = b.split('\n');
  let at = 0;
  while (left[at] === right[at] && at < left.length) at++;
  return `replay:\n  ${left.slice(Math.max(0, at - 3), at + 6).join('\n  ')}\nfleet:\n  ${right.slice(Math.max(0, at - 3), at + 6).join('\n  ')}`;
}

mkdirSync('campaign');
for (const kind of new Set(chosen.map(kindOf)))
  if (existsSync(programs[kind])) await Promise.all([replayed(kind), fleeted(kind)]);
await new Promise((go) => setTimeout(go, 300)); // what closed pages still told

for (const [i, c] of chosen.entries()) {
  await test(c.what, () => {
    if (!existsSync(programs[kindOf(c)])) skip(`${programs[kindOf(c)]} is not there`);
    const their = theirs.get(c), our = ours.get(c) ?? {ok: false, text: 'fleet run has no result'};
    const a = happened(`r${i}`, c.without), b = happened(`f${i}`, c.without);
    const said = `replay ${their.ok ? 'succeeded' : `failed: ${their.text}`}\nfleet ${our.ok ? 'succeeded' : `failed: ${our.text}`}\n`;
    if (process.env.REPLAY_SHOW) console.log(`# ${(said + b).replaceAll('\n', '\n# ')}`);
    const expected = c.differs ?? {replay: !c.fails, fleet: !c.fails};
    if (their.ok !== expected.replay || our.ok !== expected.fleet) throw new Error(`${said}${difference(a, b)}`);
    if (!c.differs && !alike(a, b)) throw new Error(`${said}${difference(a, b)}`);
    if (c.differs && a === b && their.ok === our.ok) throw new Error('they do the same, and are said to differ');
    if (!c.fails && !c.differs && !/\n/.test(b)) throw new Error('nothing happened');
  });
}
rmSync('campaign', {recursive: true, maxRetries: 5, retryDelay: 200});
server.close();
done();
