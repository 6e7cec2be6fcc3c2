// A CAPTCHA that calls a person, in `fleet run`: the page is shown on a loopback port whose address is in the state
// directory; what the person does there reaches the page, and the task goes on when the block is gone. Here the person
// is a browser of its own that opens the view, looks, clicks and types.
import {spawn} from 'node:child_process';
import {existsSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import http from 'node:http';
import {load} from '../support/npm.mjs';
import {done, skip, test} from '../support/tap.mjs';

const fleet = `${process.env.FLEET_BUILD}/fleet`;
const shell = ['/usr/bin/chromium-headless-shell', '/usr/lib/chromium/headless_shell'].find(existsSync);
if (!shell) {
  await test('a person at a CAPTCHA', async () => skip('no chromium-headless-shell here'));
  done();
}
const puppeteer = await load('puppeteer-core');
const pause = (ms) => new Promise((over) => setTimeout(over, ms));
const ok = (value, what) => { if (!value) throw new Error(what); };
const is = (a, b, what) => ok(JSON.stringify(a) === JSON.stringify(b), `${what}: found ${JSON.stringify(a)}, expected ${JSON.stringify(b)}`);

// The quarter at the upper left is a field, the one at the lower right a button: with the right word the block goes.
const PAGE = `<!doctype html><title>Are you a robot?</title><style>input, button { position: fixed; width: 50vw; height: 50vh; }</style>
<input id=w style="left:0;top:0"><button id=b style="left:50vw;top:50vh">Go on</button><script>
document.getElementById('b').onclick = () => { if (document.getElementById('w').value === 'green') { document.title = 'Shop'; document.body.innerHTML = '<h1>Shop</h1>'; } };
</script>`;
const site = http.createServer((q, r) => r.setHeader('content-type', 'text/html').end(PAGE));
await new Promise((up) => site.listen(0, '127.0.0.1', up));

function begin(name) {
  writeFileSync('flow.json', JSON.stringify({title: 'read', steps: [{type: 'navigate', url: '{{url}}'}, {type: 'extract', into: 'h', fields: {h: 'h1'}}]}));
  writeFileSync('campaign.json', JSON.stringify({name, flow: 'flow.json', targets: [{url: `http://127.0.0.1:${site.address().port}/`}], members: {count: 1}, slots: 1,
    browser: 'headless-shell', sandbox: 'prefer', policy: {private_networks: true}, retry: {max: 0}, limits: {robots: false, max_requests: 1000, window_ms: 1000},
    captcha: {on_detected: 'handoff', handoff_ms: 25000}, audit: {sink: `${name}.log/audit.ndjson`}, output: {results: `${name}.ndjson`}}));
  const child = spawn(fleet, ['--state-dir', name, 'run', 'campaign.json'], {stdio: ['ignore', 'ignore', 'pipe']}), run = {said: ''};
  child.stderr.on('data', (text) => { run.said += text; });
  run.over = new Promise((end) => child.on('close', (code) => { run.code = code; end(code); }));
  run.address = (async () => {
    for (let i = 0; i < 400 && !existsSync(`${name}/run/handoff`) && run.code === undefined; i++) await pause(50);
    ok(existsSync(`${name}/run/handoff`), `nobody was called: ${run.code} ${run.said}`);
    return readFileSync(`${name}/run/handoff`, 'utf8').trim();
  })();
  return run;
}
const result = (name) => JSON.parse(readFileSync(`${name}.ndjson`, 'utf8'));
const clean = (name) => { for (const f of [name, `${name}.log`, `${name}.ndjson`, 'flow.json', 'campaign.json', 'out', 'report.html', 'audit.pub']) rmSync(f, {recursive: true, force: true}); };

await test('a person sees the page, deals with it, and the task goes on', async () => {
  const run = begin('seen'), address = await run.address;
  is(statSync('seen/run/handoff').mode & 0o777, 0o600, 'mode of the address');
  ok(/^http:\/\/127\.0\.0\.1:\d+\/#[0-9a-f]{48}$/.test(address), address);
  ok(!run.said.includes(address.split('#')[1]), 'the token is not told');
  const person = await puppeteer.launch({executablePath: shell, pipe: true, args: ['--no-sandbox']});
  const view = await person.newPage();
  await view.goto(address);
  await view.waitForFunction(() => document.getElementById('screen').naturalWidth > 0, {timeout: 15000});
  const box = await (await view.$('#screen')).boundingBox(), at = (x, y) => view.mouse.click(box.x + x * box.width, box.y + y * box.height);
  ok((await view.$eval('#says', (e) => e.textContent)).includes('waits for'), 'it says who waits');
  const sent = () => view.waitForResponse((r) => r.url().endsWith('/input') && r.status() === 204);
  await Promise.all([sent(), at(0.25, 0.25)]);
  for (const c of 'gree') await Promise.all([sent(), view.keyboard.press(c)]);
  await view.type('#text', 'n');
  await Promise.all([sent(), view.click('#send')]);
  await Promise.all([sent(), at(0.75, 0.75)]);
  is(await run.over, 0, run.said);
  await person.close();
  is([result('seen').status, result('seen').output.h.h], ['succeeded', 'Shop'], 'result');
  ok(!existsSync('seen/run/handoff'), 'the address is gone');
  const log = readFileSync('seen.log/audit.ndjson', 'utf8');
  ok(log.includes('"kind":"handoff.open"') && log.includes('"kind":"handoff.close"'), 'receipts');
  clean('seen');
}, 60000);
await test('what is not the person\'s is refused; one that is given up ends', async () => {
  const run = begin('given'), [base, token] = (await run.address).split('/#');
  const ask = async (path, body, given = token) => {
    const answer = await fetch(`${base}${path}`, {method: body === undefined ? 'GET' : 'POST', headers: given ? {authorization: `Bearer ${given}`} : {},
      body: body && JSON.stringify(body)});
    return {code: answer.status, bytes: Buffer.from(await answer.arrayBuffer()), type: answer.headers.get('content-type')};
  };
  is((await ask('/', undefined, '')).code, 200, 'the view itself says nothing');
  for (const path of ['/v1/handoffs', '/v1/handoffs/t-000000/screen'])
    for (const given of ['', 'wrong', token.slice(1) + '0']) is((await ask(path, undefined, given)).code, 403, path);
  const {handoffs: [one]} = JSON.parse((await ask('/v1/handoffs')).bytes);
  is([one.member, /^http:\/\/127/.test(one.url), one.waits_ms > 0], [0, true, true], 'who waits');
  const screen = await ask(`/v1/handoffs/${one.task}/screen`);
  is([screen.code, screen.type, screen.bytes.readUInt16BE(0)], [200, 'image/jpeg', 0xffd8], 'screen');
  for (const wrong of [{}, {type: 'navigate', text: 'file:///etc/passwd'}, {type: 'text'}, {type: 'key', key: 'F12'}, {type: 'click', x: 2, y: 0}, {type: 'click', url: 'x'}])
    is((await ask(`/v1/handoffs/${one.task}/input`, wrong)).code, 400, JSON.stringify(wrong));
  is((await ask('/v1/handoffs/t-999999/input', {type: 'text', text: 'x'})).code, 404, 'another task');
  is((await ask(`/v1/handoffs/${one.task}/input`, {type: 'wheel', x: 0.5, y: 0.5, by: 100})).code, 204, 'wheel');
  is((await ask(`/v1/handoffs/${one.task}/input`, {type: 'key', key: 'Tab'})).code, 204, 'key');
  is((await ask(`/v1/handoffs/${one.task}/give-up`, {})).code, 204, 'give-up');
  is(await run.over, 7, run.said);
  ok(result('given').error.message.includes('who looked at it gave it up'), result('given').error.message);
  clean('given');
}, 60000);
site.close();
done();
