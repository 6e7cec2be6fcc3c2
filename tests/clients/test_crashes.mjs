// Instances that die at random under a campaign: each task ends well all the same, once, the target is not blamed (its breaker
// stays closed), and the log verifies. In turn
// the browser's main process is killed, the process that makes its pages' (a zygote), and the one that speaks to the network.
import {execFileSync, spawn} from 'node:child_process';
import {existsSync, readFileSync, readdirSync, rmSync, writeFileSync} from 'node:fs';
import http from 'node:http';
import {done, skip, test} from '../support/tap.mjs';

const TASKS = 50, KILLS = 4;
const fleet = `${process.env.FLEET_BUILD}/fleet`;
if (!['/usr/bin/chromium-headless-shell', '/usr/lib/chromium/headless_shell'].some(existsSync)) {
  await test('instances that die', async () => skip('no chromium-headless-shell here'));
  done();
}
const pause = (ms) => new Promise((over) => setTimeout(over, ms));
const site = http.createServer((q, r) => setTimeout(() => r.setHeader('content-type', 'text/html').end(`<title>${q.url}</title><h1>${q.url}</h1>`), 100));
await new Promise((up) => site.listen(0, '127.0.0.1', up));
const at = `http://127.0.0.1:${site.address().port}`;

// Browsers below `root`, also those that are starting, and their helpers that are a second old: a browser that starts without one is waited for.
const parts = [(p) => /--remote-debugging-pipe/.test(p.args) && !/--type=/.test(p.args), (p) => /--type=zygote/.test(p.args), (p) => /network\.mojom/.test(p.args)];
function browsers(root, part) {
  const all = execFileSync('ps', ['-eo', 'pid=,ppid=,etimes=,args='], {encoding: 'utf8'}).trim().split('\n').map((line) => {
    const [, pid, parent, age, args] = line.match(/^\s*(\d+)\s+(\d+)\s+(\d+)\s+(.*)$/);
    return {pid: Number(pid), parent: Number(parent), age: Number(age), args};
  });
  const mine = new Set([root]);
  for (let n = 0; n !== mine.size;) {
    n = mine.size;
    for (const p of all) if (mine.has(p.parent)) mine.add(p.pid);
  }
  return all.filter((p) => mine.has(p.pid) && (part === parts[0] || p.age >= 1) && /^\S*(chrom|headless)/.test(p.args) && part(p));
}

let ended, killed = 0;
await test('a campaign whose browsers are killed ends as others do', async () => {
  writeFileSync('flow.json', JSON.stringify({title: 'read', steps: [{type: 'navigate', url: '{{url}}'}, {type: 'extract', into: 'h', fields: {h: 'h1'}}]}));
  writeFileSync('campaign.json', JSON.stringify({name: 'crashes', flow: 'flow.json', targets: [...Array(TASKS).keys()].map((i) => ({url: `${at}/${i}`})),
    members: {count: 2}, slots: 2, browser: 'headless-shell', sandbox: 'prefer', policy: {private_networks: true}, retry: {max: 6, base_ms: 300},
    limits: {robots: false, max_requests: 1000, window_ms: 1000}}));
  const child = spawn(fleet, ['--state-dir', 'st', 'run', 'campaign.json'], {stdio: ['ignore', 'ignore', 'pipe']});
  let said = '';
  child.stderr.on('data', (text) => { said += text; });
  const over = new Promise((end) => child.on('close', end));
  over.then((code) => { ended = code; });
  for (let turn = 0; turn < 200 && killed < KILLS && ended === undefined; turn++) {
    await pause(100 + Math.random() * 400);
    const begun = existsSync('results.ndjson') && readFileSync('results.ndjson').length > 0; // a machine whose first browser dies is told so
    const all = begun ? browsers(child.pid, parts[killed % 3]) : [];
    if (all.length === 0) continue;
    try {
      process.kill(all[Math.floor(Math.random() * all.length)].pid, 'SIGKILL');
      killed++;
    } catch { /* it went by itself */ }
  }
  if (await over !== 0) throw new Error(`fleet run: ${ended}: ${said.slice(-1500)}`);
  if (killed < 2) throw new Error(`${killed} kills: the campaign was over before`);
}, 60000);
await test('no task is lost, none is done twice', async () => {
  const rows = readFileSync('results.ndjson', 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  const found = rows.filter((r) => r.status === 'succeeded').map((r) => r.output.h.h).sort();
  const expected = [...Array(TASKS).keys()].map((i) => `/${i}`).sort();
  if (JSON.stringify(found) !== JSON.stringify(expected)) throw new Error(`${rows.length} rows; ${JSON.stringify(rows.filter((r) => r.status !== 'succeeded')).slice(0, 800)}; first ${JSON.stringify(rows[0])}`);
});
await test('the log verifies', async () => execFileSync(fleet, ['--state-dir', 'st', 'audit', 'verify']));
await test('a server without TLS is told as that, and no browser is blamed for it', async () => {
  const tls = at.replace('http:', 'https:');
  writeFileSync('campaign.json', JSON.stringify({name: 'tls', flow: 'flow.json', targets: [...Array(5).keys()].map((i) => ({url: `${tls}/${i}`})),
    members: {count: 1}, slots: 1, browser: 'headless-shell', sandbox: 'prefer', policy: {private_networks: true}, retry: {max: 1, base_ms: 100}, limits: {robots: false, max_requests: 1000, window_ms: 1000}}));
  const child = spawn(fleet, ['--state-dir', 'st', 'run', 'campaign.json'], {stdio: ['ignore', 'ignore', 'pipe']});
  let said = '';
  child.stderr.on('data', (text) => { said += text; });
  await new Promise((end) => child.on('close', end));
  if (said.includes('recycled')) throw new Error(said);
  const errors = readFileSync('results.ndjson', 'utf8').trim().split('\n').map((line) => JSON.parse(line).error.message).filter((m) => !m.includes('no TLS there'));
  if (errors.length > 0) throw new Error(errors[0]);
}, 30000);
site.close();
site.closeAllConnections();
for (const name of readdirSync('.').filter((x) => /^(out|st|flow\.json|campaign\.json|(audit|results|report|identities).*)$/.test(x))) rmSync(name, {recursive: true, force: true});
done();
