// A machine that is short of memory: one lease may always be, others wait for it to have room, for as long as they
// said, by whatever way they were asked for. What is there already goes on.
import {rmSync, writeFileSync} from 'node:fs';
import {FLEET_TOKEN, FLEET_URL, SITE, gone, headers, is, lease, ok, release, run} from './suite.mjs';
import {Wire} from './wire.mjs';

const press = () => writeFileSync(process.env.PRESSED, ''), ease = () => rmSync(process.env.PRESSED, {force: true});
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const all = async () => (await (await fetch(`${FLEET_URL}/v1/leases`, {headers})).json()).leases;
async function waiting(n) {
  for (let i = 0; i < 200; i++) {
    if ((await all()).filter((l) => l.waits_for !== null).length === n) return;
    await pause(20);
  }
  throw new Error(`there are not ${n} leases that wait`);
}
const ask = (body) => fetch(`${FLEET_URL}/v1/leases`, {method: 'POST', headers, body: JSON.stringify(body)});
const pressed = (fn) => async () => {
  press();
  try {
    await fn();
  } finally {
    ease();
  }
};

await run({
  'one lease may always be, the next is refused and told when to come again': pressed(async () => {
    const made = await lease();
    const wire = await Wire.open(made.url);
    const {sessionId} = await wire.page();
    for (const wait_ms of [0, 100]) {
      const answer = await ask({wait_ms});
      const {error} = await answer.json();
      is([answer.status, error.code], [503, 'UNAVAILABLE']);
      is(error.message, `no new lease: little memory is left; waited for ${wait_ms} ms`);
      ok(Number(answer.headers.get('retry-after')) > 0, 'Retry-After');
    }
    await wire.load(`${SITE}/`, sessionId);
    is(await wire.evaluate('document.title', sessionId), 'Home');
    is((await all()).length, 1, 'leases');
    await wire.close();
    await release(made);
    await gone(made);
    const next = await lease(); // the machine is as it was; but there is no other
    await release(next);
    await gone(next);
  }),
  'those that wait are let in': pressed(async () => {
    const first = await lease();
    const later = [1, 2].map(async () => {
      const answer = await ask({wait_ms: 10000});
      is(answer.status, 201);
      return answer.json();
    });
    await waiting(2);
    ease();
    const made = await Promise.all(later);
    for (const one of [first, ...made]) {
      await release(one);
      await gone(one);
    }
  }),
  'a place that comes free is the next one\'s': pressed(async () => {
    const first = await lease();
    const later = ask({wait_ms: 10000});
    await waiting(1);
    await release(first);
    const answer = await later;
    is(answer.status, 201);
    const made = await answer.json();
    await release(made);
    await gone(made);
  }),
  'a socket that asks for a lease waits, too, or is closed with 1013': pressed(async () => {
    const first = await lease();
    const ws = FLEET_URL.replace('http', 'ws');
    const patient = await Wire.open(`${ws}/?token=${FLEET_TOKEN}`);
    const version = patient.send('Browser.getVersion');
    await waiting(1);
    ease();
    ok((await version).product, 'it goes on when there is room');
    press();
    const goes = await Wire.open(`${ws}/?token=${FLEET_TOKEN}&wait_ms=300`);
    void goes.send('Browser.getVersion').catch(() => {});
    await waiting(1);
    is(await goes.closed, 1013);
    is(await patient.evaluate('1+1', (await patient.page()).sessionId), 2);
    await patient.close();
    await release(first);
    await gone(first);
  }),
  'one that waits can be released': pressed(async () => {
    const first = await lease();
    const later = ask({wait_ms: 30000});
    await waiting(1);
    const [one] = (await all()).filter((l) => l.waits_for !== null);
    await release(one);
    is((await later).status, 502);
    await release(first);
    await gone(first);
  }),
});
