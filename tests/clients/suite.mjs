// What the suites of clients share: a list of scripts, each with a lease of its own and a deadline, run one
// after the other or in lanes; the names of those that failed, and exit code 1 then.
import {AsyncLocalStorage} from 'node:async_hooks';

export const {FLEET_URL, FLEET_TOKEN, SITE, SITE2} = process.env;
export const headers = {authorization: `Bearer ${FLEET_TOKEN}`};
const SCRIPT_MS = 15000;
export const CALL_MS = 10000; // a client's own deadline of a call: one that hangs is named

const script_at_work = new AsyncLocalStorage(); // {made}: its leases

export async function lease(body = {}) {
  const answer = await fetch(`${FLEET_URL}/v1/leases`, {method: 'POST', headers, body: JSON.stringify(body)});
  const made = await answer.json();
  if (answer.status !== 201) throw new Error(`POST /v1/leases: ${answer.status} ${JSON.stringify(made)}`);
  script_at_work.getStore()?.made.push(made);
  return made;
}

export async function release(made) {
  await fetch(`${FLEET_URL}/v1/leases/${made.id}`, {method: 'DELETE', headers});
}

// Files of a lease: PUT, GET (text), and GET until it is there and whole.
const file_url = (made, name) => `${FLEET_URL}/v1/leases/${made.id}/files/${encodeURIComponent(name)}`;
export async function put(made, name, body) {
  const answer = await fetch(file_url(made, name), {method: 'PUT', headers, body});
  return {code: answer.status, ...await answer.json()};
}
export async function get(made, name) {
  const answer = await fetch(file_url(made, name), {headers});
  return {code: answer.status, text: await answer.text()};
}
export async function eventually(made, name) {
  for (let i = 0; i < 200; i++) {
    const found = await get(made, name);
    if (found.code === 200) return found.text;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`the lease has no file ${name}: ${(await get(made, name)).text}`);
}

// Waits until the lease is over, and its member is free.
export async function gone(made) {
  for (let i = 0; i < 200; i++) {
    const answer = await fetch(`${FLEET_URL}/v1/leases/${made.id}`, {headers});
    await answer.text();
    if (answer.status === 404) return;
    await new Promise((done) => setTimeout(done, 25));
  }
  throw new Error(`lease ${made.id} is not over`);
}

// A lease for the time of `fn`; then nothing is left of it.
export async function withLease(fn, body) {
  const made = await lease(body);
  try {
    await fn(made);
  } finally {
    await release(made);
    await gone(made);
  }
}

export function is(found, expected, what = 'value') {
  const a = JSON.stringify(found), b = JSON.stringify(expected);
  if (a !== b) throw new Error(`${what}: found ${a}, expected ${b}`);
}
export function ok(value, what) {
  if (!value) throw new Error(what);
}
export async function refused(promise, pattern) {
  let sentence;
  try {
    await promise;
  } catch (e) {
    sentence = String(e.message ?? e);
  }
  if (sentence === undefined) throw new Error(`went through; expected a refusal like ${pattern}`);
  if (!pattern.test(sentence)) throw new Error(`refused with "${sentence}", expected ${pattern}`);
}

async function run_one(name, script, lane) {
  const begun = Date.now(), store = {made: []};
  let timer, failed = 0;
  const late = new Promise((_, no) => {
    timer = setTimeout(() => no(new Error(`not through after ${SCRIPT_MS} ms`)), SCRIPT_MS);
  });
  try {
    await Promise.race([script_at_work.run(store, () => script(lane)), late]);
    if (process.env.VERBOSE) console.log(`# ok ${name} (${Date.now() - begun} ms)`);
  } catch (e) {
    failed = 1;
    console.log(`# failed: ${name} (${Date.now() - begun} ms): ${e.stack ?? e}`);
  }
  clearTimeout(timer);
  for (const made of store.made) await release(made);
  return failed;
}

// `lanes`: how many at a time; each script is told its lane, 0 and on.
export async function run(scripts, lanes = 1) {
  const only = process.env.ONLY;
  const todo = Object.entries(scripts).filter(([name]) => !only || name.includes(only)), n = todo.length;
  let failed = 0;
  process.on('unhandledRejection', (e) => console.log(`# unhandled: ${e?.message}`));
  await Promise.all([...Array(lanes).keys()].map(async (lane) => {
    for (let next; (next = todo.shift()) !== undefined;) {
      const lost = await run_one(...next, lane); // first: `failed` is read when it is added to
      failed += lost;
    }
  }));
  console.log(`# ${n - failed} of ${n} scripts`);
  process.exit(failed > 0 || n === 0 ? 1 : 0);
}
